"""The picture has the densities, noise and extent that it was asked for."""

import numpy as np
import pytest

from napari_ctlns.phantom import WHOLE_CHEST_MM, Phantom, PhantomSpec, make_phantom

THIN = PhantomSpec(seed=21, spacing=(1.25, 2, 2), extent_mm=(40, 180, 260), n_nodules=0, noise_hu=0)


def test_the_same_spec_gives_the_same_voxels(slab: Phantom, slab_spec: PhantomSpec) -> None:
    again = make_phantom(slab_spec)
    assert np.array_equal(again.volume.array, slab.volume.array)
    assert np.array_equal(again.mask.array, slab.mask.array)
    assert again.nodules == slab.nodules


def test_another_seed_gives_another_patient() -> None:
    other = make_phantom(THIN.model_copy(update={"seed": 22}))
    assert not np.array_equal(other.volume.array, make_phantom(THIN).volume.array)
    assert other.volume.geometry.origin[2] != make_phantom(THIN).volume.geometry.origin[2]


def test_volume_and_mask_are_what_the_others_expect(slab: Phantom, slab_spec: PhantomSpec) -> None:
    assert slab.volume.array.dtype == np.int16
    assert slab.mask.array.dtype == np.uint8
    assert slab.volume.kind == "ct"
    assert slab.mask.kind == "mask"
    assert slab.volume.geometry == slab.mask.geometry
    assert slab.volume.geometry.spacing == slab_spec.spacing
    assert slab.volume.scan_id == slab.mask.scan_id == "phantom-0011"
    size = np.array(slab.volume.geometry.size_mm)
    assert np.abs(size - slab_spec.extent).max() <= max(slab_spec.spacing)
    assert all(slab.volume.geometry.contains(a.centre) for a in slab.annotations)


def test_densities_are_those_of_a_chest(clean_slab: Phantom) -> None:
    hu = clean_slab.volume.array
    assert hu[:, :8, :8].mean() == pytest.approx(-1000, abs=15)
    lung = (hu < -700) & (hu > -960)
    lung[:, :20] = lung[:, -20:] = False
    lung[:, :, :20] = lung[:, :, -20:] = False
    assert -900 < np.median(hu[lung]) < -820
    assert 0.1 < lung.mean() < 0.5
    assert np.mean((hu > -120) & (hu < -80)) > 0.03  # fat
    assert np.mean((hu > 30) & (hu < 70)) > 0.05  # muscle
    assert 0.003 < np.mean(hu > 250) < 0.1  # bone
    assert hu.min() >= -1024


def test_nodules_have_the_density_they_are_named_after() -> None:
    spec = PhantomSpec(
        seed=13,
        spacing=(1.5, 1.2, 1.2),
        extent_mm=(72, 200, 270),
        n_nodules=9,
        diameter_mm=(10, 16),
        shapes={"sphere": 1},
        attachments={"isolated": 1, "pleura": 1},
        noise_hu=0,
    )
    phantom = make_phantom(spec)
    expected = {"solid": (-20, 80), "ground-glass": (-700, -400), "part-solid": (-680, -100)}
    seen = set()
    for nodule in phantom.nodules:
        inside = phantom.volume.array[phantom.mask.array == nodule.label]
        low, high = expected[nodule.density]
        assert low < np.median(inside) < high
        if nodule.density == "part-solid":
            assert np.percentile(inside, 96) > -60
        seen.add(nodule.density)
    assert seen == set(expected)


@pytest.mark.parametrize("kernel", ["soft", "sharp"])
def test_noise_has_the_strength_and_grain_asked_for(kernel: str) -> None:
    spec = PhantomSpec(
        seed=21, spacing=(1.25, 1, 1), extent_mm=(40, 60, 60), n_nodules=0, kernel=kernel
    )
    noisy = make_phantom(spec.model_copy(update={"noise_hu": 30.0})).volume.array
    clean = make_phantom(spec.model_copy(update={"noise_hu": 0.0})).volume.array
    noise = (noisy.astype(float) - clean)[clean > -900]
    assert noise.std() == pytest.approx(30, rel=0.05)
    assert abs(noise.mean()) < 3
    pair = (noisy.astype(float) - clean)[:, 20:40, 20:40]
    neighbours = np.corrcoef(pair[..., 1:].ravel(), pair[..., :-1].ravel())[0, 1]
    assert neighbours > 0.3 if kernel == "soft" else neighbours < 0


def test_a_thick_slice_is_the_mean_of_thin_ones() -> None:
    thin = make_phantom(THIN).volume.array.astype(float)
    thick = make_phantom(THIN.model_copy(update={"spacing": (5.0, 2.0, 2.0)})).volume.array
    mean = thin.reshape(-1, 4, *thin.shape[1:]).mean(axis=1)
    assert thick.shape == mean.shape
    # vessels' ramps follow the thin voxels in both
    assert np.abs(thick - mean).max() < 2.5


def test_outside_the_field_of_view_lies_padding() -> None:
    hu = make_phantom(THIN.model_copy(update={"field_of_view": True})).volume.array
    plain = make_phantom(THIN).volume.array
    outside = hu == -2048
    assert outside[:, 0, 0].all()
    assert 0.005 < outside.mean() < 0.3
    assert not outside[:, 45, 65].any()
    assert np.array_equal(hu[~outside], plain[~outside])


@pytest.mark.slow
def test_a_whole_chest_shows_all_of_the_lungs() -> None:
    phantom = make_phantom(PhantomSpec(seed=2, spacing=(4, 2, 2), n_nodules=10))
    assert phantom.volume.geometry.size_mm == WHOLE_CHEST_MM
    hu = phantom.volume.array
    # neither the first nor the last slice holds lung; each lung is 1 to 4 litres
    lung = (hu < -650) & (hu > -960)
    assert lung[[0, -1], 50:90, 40:70].mean() < 0.02
    for half in (lung[..., :90], lung[..., 90:]):
        assert 0.8 < half[:, 20:-20].sum() * phantom.volume.geometry.voxel_volume / 1e6 < 4
