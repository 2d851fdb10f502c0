"""The true lungs of a phantom."""

import numpy as np

from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.metrics import dice
from napari_ctlns.phantom import Phantom, PhantomSpec
from napari_ctlns.phantom.anatomy import build_anatomy
from napari_ctlns.phantom.body import draw_body
from napari_ctlns.phantom.lattice import Lattice


def test_they_are_where_the_phantoms_own_surface_is(slab: Phantom, slab_spec: PhantomSpec) -> None:
    seeds = np.random.SeedSequence(slab_spec.seed).spawn(7)
    body = draw_body(np.random.default_rng(seeds[0]))
    half = np.asarray(slab_spec.extent) / 2 + 2
    anatomy = build_anatomy(body, Lattice.covering(-half, half, 2.5), seeds[2])
    shape = slab.lungs.geometry.shape
    index = np.argwhere(np.ones([-(-n // 3) for n in shape], bool)) * 3
    # the body's frame: millimetres from the middle of the grid
    depth = anatomy.lattice.at(
        anatomy.lung, (index - (np.array(shape) - 1) / 2) * slab.volume.geometry.spacing
    )
    lungs = slab.lungs.array[tuple(index.T)]
    assert lungs[depth > 0.6].all()
    outside = depth < -0.6
    assert not lungs[outside & (slab.mask.array[tuple(index.T)] == 0)].any()
    assert outside.mean() > 0.3


def test_nodules_in_them_belong_to_them(slab: Phantom) -> None:
    assert slab.lungs.array.dtype == np.uint8
    assert slab.lungs.geometry == slab.volume.geometry
    assert set(np.unique(slab.lungs.array)) == {0, 1}
    assert slab.lungs.array[slab.mask.array > 0].all()
    # and vessels: what is as dense as blood is inside too
    assert (slab.volume.array[slab.lungs.array > 0] > 0).any()


def test_they_are_what_is_found_without_knowing_them(slab: Phantom) -> None:
    found = lung_mask(slab.volume).array
    assert dice(found > 0, slab.lungs.array > 0) > 0.95
