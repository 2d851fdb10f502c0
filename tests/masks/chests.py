"""A body of simple shapes, with lungs that are known exactly."""

import functools

import numpy as np

from napari_ctlns.volume import Geometry, Volume


def ellipsoid(geometry, centre, semi_axes):
    """Where (z, y, x) mm from the middle of the grid lie in an ellipsoid."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * s
        for n, s in zip(geometry.shape, geometry.spacing, strict=True)
    ]
    zyx = np.meshgrid(*axes, indexing="ij", sparse=True)
    return sum(((p - c) / a) ** 2 for p, c, a in zip(zyx, centre, semi_axes, strict=True)) <= 1


@functools.cache
def chest(spacing=(2.5, 1.6, 1.6), noise=30.0):
    """A body, two lungs, a trachea that leaves it at the top, gut gas and a table."""
    extent = (320, 300, 400)
    geometry = Geometry(tuple(round(e / s) for e, s in zip(extent, spacing, strict=True)), spacing)
    hu = np.full(geometry.shape, -1000.0)
    hu[ellipsoid(geometry, (0, 0, 0), (1e6, 110, 165))] = 40
    lungs = ellipsoid(geometry, (20, 0, -75), (110, 80, 55))
    lungs |= ellipsoid(geometry, (20, 0, 75), (110, 80, 55))
    hu[lungs] = -850
    for x in (-70, 80):  # vessels
        hu[ellipsoid(geometry, (10, 10, x), (60, 4, 4)) & lungs] = 50
    middle = (geometry.shape[1] // 2, geometry.shape[2] // 2)
    z0 = round(190 / spacing[0])
    w = round(8 / spacing[1])
    hu[z0:, middle[0] - w : middle[0] + w, middle[1] - w : middle[1] + w] = -1000
    main = np.s_[z0 : z0 + round(8 / spacing[0]), middle[0] - w : middle[0] + w]
    hu[main][..., abs(np.arange(geometry.shape[2]) - middle[1]) < 35 / spacing[2]] = -1000
    hu[ellipsoid(geometry, (-145, -40, 40), (12, 30, 35))] = -1000  # stomach
    back = middle[0] + round(120 / spacing[1])
    hu[:, back : back + round(28 / spacing[1]), 20:-20] = -930  # a foam table in its shell
    hu[:, [back, back + round(28 / spacing[1]) - 1], 20:-20] = -200
    rng = np.random.default_rng(0)
    hu += rng.normal(0, noise, hu.shape)
    return Volume(np.rint(hu).astype(np.int16), geometry, scan_id="chest"), lungs


def crop(volume, truth, box):
    start = [s.indices(n)[0] for s, n in zip(box, volume.array.shape, strict=True)]
    array = volume.array[box]
    return Volume(array, volume.geometry.cropped(start, array.shape)), truth[box]


def edited(volume, where, hu, sd=20.0):
    """The scan with other tissue in some voxels."""
    array = volume.array.copy()
    values = np.random.default_rng(1).normal(hu, sd, np.count_nonzero(where))
    array[where] = np.rint(values).astype(array.dtype)
    return Volume(array, volume.geometry)
