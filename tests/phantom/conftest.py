import pytest

from napari_ctlns.phantom import Phantom, PhantomSpec, make_phantom

SLAB = PhantomSpec(
    seed=11, spacing=(1.5, 1.2, 1.2), extent_mm=(72, 200, 270), n_nodules=8, diameter_mm=(5, 20)
)


@pytest.fixture(scope="session")
def slab_spec() -> PhantomSpec:
    return SLAB


@pytest.fixture(scope="session")
def slab() -> Phantom:
    return make_phantom(SLAB)


@pytest.fixture(scope="session")
def clean_slab() -> Phantom:
    return make_phantom(SLAB.model_copy(update={"noise_hu": 0.0}))
