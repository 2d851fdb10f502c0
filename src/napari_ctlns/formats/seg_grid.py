"""Where the planes of a DICOM SEG lie: on the slices of a scan, or on a grid of their own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.regridding import mask_onto_grid
from napari_ctlns.formats.seg_frames import Reference
from napari_ctlns.formats.seg_reading import Segmentation
from napari_ctlns.volume import FloatArray, Geometry, Source, SourceSlice

_Array = npt.NDArray[Any]

_SAME_MM = 0.1
"""A plane nearer to an image than this was drawn on it; headers round."""
_MOST_PLANES = 3000
_MOST_PIXELS = 8192


# -- on a scan --------------------------------------------------------------------


def on_slices(seg: Segmentation, source: Source) -> _Array | None:
    """Return the labels (n, rows, columns) of a scan's slices, if the SEG was drawn on them.

    Returns
    -------
    numpy.ndarray or None
        None if it lies otherwise, and does not say that it was drawn on these images.

    Raises
    ------
    MaskError
        If it says that it was drawn on images that lie elsewhere, or have other pixels.
    """
    if source.plane is None or not source.slices:
        return None
    alike = _same_pixels(seg.plane, source.plane)
    places = np.array([one.position for one in source.slices])
    distance, nearest = KDTree(places).query([one.position for one in seg.planes])
    fits = alike and bool((distance <= _SAME_MM).all())
    _refuse_contradiction(seg, source.slices, source.plane, alike)
    if fits and len(set(nearest.tolist())) == len(nearest):
        labels = np.zeros((len(places), *source.plane.shape[1:]), seg.labels.dtype)
        labels[nearest] = seg.labels
        return labels
    if alike and seg.series_uid == source.series_uid:
        _refuse_shift(seg, source, nearest)
    return None


def _same_pixels(one: Geometry, other: Geometry) -> bool:
    turned = np.abs(np.asarray(one.direction) - np.asarray(other.direction)).max()
    sized = np.abs(np.subtract(one.spacing[1:], other.spacing[1:])).max()
    # so that the far corner, too, lies within a tenth of a millimetre or so
    return one.shape == other.shape and bool(turned < 1e-3 and sized < 1e-3)


def _refuse_contradiction(
    seg: Segmentation, slices: Sequence[SourceSlice], plane: Geometry, alike: bool
) -> None:
    """Refuse a SEG that names the image each plane was drawn on, and lies elsewhere."""
    known = {(one.uid, one.frame): one for one in slices if one.uid}
    for drawn, references in zip(seg.planes, seg.references, strict=True):
        named = [(r, known[r.uid, r.frame]) for r in references if (r.uid, r.frame) in known]
        named = [(r, one) for r, one in named if r.preserved in ("", "YES")]
        if named and not any(_lies_on(drawn, r, one, plane, alike) for r, one in named):
            where, there = (_words(p.position) for p in (drawn, named[0][1]))
            rows, columns = seg.plane.shape[1:]
            raise MaskError(
                f"the mask contradicts its source: a plane of {rows} x {columns} pixels at "
                f"{where} says it was drawn on the image at {there}; export {seg.path} anew"
            )


def _lies_on(
    drawn: SourceSlice, reference: Reference, image: SourceSlice, plane: Geometry, alike: bool
) -> bool:
    away = np.subtract(drawn.position, image.position)
    if reference.preserved == "YES":
        return alike and bool(np.linalg.norm(away) <= _SAME_MM)
    # nothing is said of the place: drawn on another grid it may lie beside, but near
    normal = np.asarray(plane.direction)[:, 2]
    return abs(float(away @ normal)) <= max(plane.spacing[0], 1.0)


def _refuse_shift(seg: Segmentation, source: Source, nearest: _Array) -> None:
    """Refuse pixels like those of the scan's images that are shifted within their planes."""
    normal = np.asarray(seg.plane.direction)[:, 2]
    places = np.array([one.position for one in source.slices])
    aside = places - places[0] - ((places - places[0]) @ normal)[:, None] * normal
    if np.abs(aside).max() > _SAME_MM:
        return  # tilted: what lies straight is shifted against it by right
    away = np.array([one.position for one in seg.planes]) - places[nearest]
    away -= (away @ normal)[:, None] * normal
    largest = float(np.linalg.norm(away, axis=1).max())
    if largest > _SAME_MM:
        message = f"the mask contradicts its source: it is shifted by {largest:.1f} mm"
        raise MaskError(f"{message} against the images it was drawn on; export {seg.path} anew")


def _words(position: Sequence[float]) -> str:
    return "({:.2f}, {:.2f}, {:.2f})".format(*position)


# -- on a grid of its own ---------------------------------------------------------


def on_own_grid(seg: Segmentation) -> tuple[_Array, Geometry, tuple[str, ...]]:
    """Return labels, their grid, and what had to be mended.

    The grid is that of the whole series where the SEG tells enough of it, else it
    reaches from the first plane to the last. Planes that are missing are empty.

    Raises
    ------
    MaskError
        If the planes lie too far apart for a patient.
    """
    places = np.array([one.position for one in seg.planes])
    indices, first, step, count = _series(seg, places) or _between(seg, places)
    if count > _MOST_PLANES:
        message = f"the planes of {seg.path} lie impossibly far apart"
        raise MaskError(f"{message} for their spacing of {step:.3f} mm; export it anew")
    normal = np.asarray(seg.plane.direction)[:, 2]
    away = places - (first + np.outer(indices * step, normal))
    if len(set(indices.tolist())) < len(indices) or np.abs(away).max() > min(_SAME_MM, step / 5):
        return _resampled(seg, places, step)
    labels = np.zeros((count, *seg.plane.shape[1:]), seg.labels.dtype)
    labels[indices] = seg.labels
    x, y, z = (float(v) for v in first)
    grid = replace(
        seg.plane,
        shape=(count, *seg.plane.shape[1:]),
        spacing=(step, *seg.plane.spacing[1:]),
        origin=(x, y, z),
    )
    return labels, grid, ()


_Line = tuple[npt.NDArray[np.int64], FloatArray, float, int]
"""The index of each plane on an even line, the line's first place, its step, its length."""


def _series(seg: Segmentation, places: FloatArray) -> _Line | None:
    """Return the line of all images of the series, if their list runs along it evenly."""
    number = {uid: k for k, uid in enumerate(seg.images)}
    uids = [one.uid for one in seg.planes]
    if seg.step is None or len(number) != len(seg.images) or not set(uids) <= number.keys():
        return None
    if any(one.frame for one in seg.planes):
        return None
    indices = np.array([number[uid] for uid in uids])
    normal = np.asarray(seg.plane.direction)[:, 2]
    heights = (places - places[0]) @ normal
    if len(indices) > 1 and indices[-1] < indices[0]:
        indices = len(number) - 1 - indices
    if len(indices) == 1 and not seg.ours:
        return None  # one place shows no direction, but our own lists run along the normal
    along = heights - indices * seg.step
    if np.ptp(along) > min(2 * _SAME_MM, seg.step / 5):
        return None
    # headers round each place: the middle of them is nearest to the truth
    first = places[0] + (along.max() + along.min()) / 2 * normal
    return indices, first, seg.step, len(number)


def _between(seg: Segmentation, places: FloatArray) -> _Line:
    """Return the line from the first plane to the last in the likeliest steps."""
    normal = np.asarray(seg.plane.direction)[:, 2]
    heights = (places - places[0]) @ normal
    gaps = np.diff(heights)
    told = [step for step in (seg.step, seg.thickness) if step is not None]
    if not len(gaps):
        step = told[0] if told else 1.0
        return np.zeros(1, np.int64), places[0], step, 1
    tried = [*told[:1], float(gaps.min()), *told[1:]]
    for step in tried:
        count = round(heights[-1] / step)
        if count and np.abs(gaps / step - np.rint(gaps / step)).max() < 0.05:
            even = float(heights[-1]) / count
            indices = np.rint(heights / even).astype(np.int64)
            if np.abs(heights - indices * even).max() <= min(_SAME_MM, even / 5):
                return indices, places[0], even, count + 1
    step = float(gaps.min())
    return np.rint(heights / step).astype(np.int64), places[0], step, round(heights[-1] / step) + 1


def _resampled(
    seg: Segmentation, places: FloatArray, step: float
) -> tuple[_Array, Geometry, tuple[str, ...]]:
    """Carry tilted or uneven planes onto a straight, even grid around all of them."""
    planes, labels = _without_gaps(seg, places, step)
    one = replace(seg.plane, spacing=(step, *seg.plane.spacing[1:]))
    offsets = one.world_to_index(places)
    low, high = np.floor(offsets.min(axis=0) + 1e-6), np.ceil(offsets.max(axis=0) - 1e-6)
    shape = [int(h - o) + n for h, o, n in zip(high, low, one.shape, strict=True)]
    if shape[0] > _MOST_PLANES or max(shape[1:]) > _MOST_PIXELS:
        raise MaskError(f"the planes of {seg.path} lie impossibly far apart; export it anew")
    grid = one.cropped(low, (shape[0], shape[1], shape[2]))
    words = "drawn on tilted or uneven slices: carried onto a straight grid by nearest neighbour"
    return mask_onto_grid(labels, planes, seg.plane, grid), grid, (words,)


def _without_gaps(
    seg: Segmentation, places: FloatArray, step: float
) -> tuple[list[SourceSlice], _Array]:
    """Put empty planes where some are missing: they are not shown because they are empty."""
    normal = np.asarray(seg.plane.direction)[:, 2]
    planes, kept = [seg.planes[0]], [0]
    for k in range(1, len(places)):
        away = places[k] - places[k - 1]
        parts = max(round(float(away @ normal) / step), 1)
        for j in range(1, parts):
            x, y, z = (float(v) for v in places[k - 1] + away * (j / parts))
            planes.append(SourceSlice(seg.path, "", 0, (x, y, z)))
        kept.append(len(planes))
        planes.append(seg.planes[k])
    labels = np.zeros((len(planes), *seg.plane.shape[1:]), seg.labels.dtype)
    labels[kept] = seg.labels
    return planes, labels
