"""The outlines of LIDC's readers as voxels of a scan's slices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.contours import (
    BoolArray,
    Planes,
    edge_pixels,
    pixel_planes_of,
    polygon_pixels,
)
from napari_ctlns.formats.lidc_xml import LidcContour, LidcReading, ReaderNodule
from napari_ctlns.volume import FloatArray, Volume

IntArray = npt.NDArray[np.int64]
_SIDE = 512
"""Rows and columns of every CT of the LIDC-IDRI."""
_STEPS = 3
"""From how many steps between outlines on the distance of the series' slices is known."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A nodule as one reader drew it.

    Attributes
    ----------
    reader
        The reader's place in the reading.
    nodule
        What the reader said of it.
    voxels
        Flat indices into an array of all slices, ascending; shape (n,), n may be 0.
    centre
        (slice, row, column) of its contours' middle.
    """

    reader: int
    nodule: ReaderNodule
    voxels: IntArray
    centre: FloatArray


def draw_reading(
    reading: LidcReading, volume: Volume
) -> tuple[Planes, list[Drawn], tuple[str, ...]]:
    """Draw every nodule of every reader on the slices of a scan.

    The pixels of a contour lie just outside what it encloses: of an outline they do not
    belong to the nodule, nor do those of an excluded part.

    Returns
    -------
    Planes, list of Drawn, tuple of str
        The slices, what lies on them, and what had to be left out, in words.

    Raises
    ------
    MaskError
        If the scan cannot be the series that was read.
    """
    known = volume.source.series_uid
    if known and known != reading.series_uid:
        message = f"a reading of another series: {reading.path} speaks of {reading.series_uid}"
        raise MaskError(f"{message}; give that of {known}")
    planes = pixel_planes_of(volume)
    nodules = [(k, n) for k, reader in enumerate(reading.readers) for n in reader.nodules]
    if not planes.uids:
        _refuse_resampled([n for _, n in nodules], planes, reading)
    numbers = _slice_numbers([c for _, n in nodules for c in n.contours], planes, reading)
    drawn = []
    lost = cut = 0
    for reader, nodule in nodules:
        contours = [(numbers[id(c)], c) for c in nodule.contours]
        inside = [(k, c) for k, c in contours if k is not None]
        lost += not inside
        cut += 0 < len(inside) < len(contours)
        if inside:
            drawn.append(_drawn(reader, nodule, inside, planes))
    words = list(_placing_words(planes, volume))
    if lost:
        words.append(f"{lost} outlined nodules lie on slices that the scan does not have")
    if cut:
        words.append(f"{cut} outlined nodules reach beyond the scan and are cut off")
    return planes, drawn, tuple(words)


def _placing_words(planes: Planes, volume: Volume) -> tuple[str, ...]:
    if planes.uids:
        return ()
    if planes.shape[1:] != (_SIDE, _SIDE):
        size = " x ".join(str(n) for n in planes.shape[1:])
        return (f"contours count pixels of the series' {_SIDE} x {_SIDE}, the scan has {size}",)
    if planes.turned and any(volume.geometry.source_flips):
        return ("the file's axes are turned: contours are drawn as of a patient on the back",)
    return ()


def _slice_numbers(
    contours: list[LidcContour], planes: Planes, reading: LidcReading
) -> dict[int, int | None]:
    """Return the slice of each contour, by its ``id``; None if the scan does not have it."""
    if planes.uids:
        of_uid = {uid: k for k, uid in enumerate(planes.uids)}
        numbers = [of_uid.get(c.sop_uid) for c in contours]
    else:
        numbers = [_at_height(c.z_mm, planes) for c in contours]
    if contours and all(k is None for k in numbers):
        message = f"contours of other slices: none of those in {reading.path} is in the scan"
        raise MaskError(f"{message}; give the scan they were drawn on")
    return {id(c): k for c, k in zip(contours, numbers, strict=True)}


def _at_height(z_mm: float, planes: Planes) -> int | None:
    distance = np.abs(planes.positions[:, 2] - z_mm)
    nearest = int(distance.argmin())
    return nearest if distance[nearest] <= planes.step / 2 else None


def _refuse_resampled(nodules: list[ReaderNodule], planes: Planes, reading: LidcReading) -> None:
    """Refuse slices that are not where the contours are, or not as far apart.

    Outlines follow each other from slice to slice; one may be left out, but not always.
    """
    heights = [np.unique([c.z_mm for c in n.contours]) for n in nodules]
    steps = np.concatenate([np.zeros(0), *(np.diff(h) for h in heights)])
    known = steps.min() if len(steps) >= _STEPS else planes.step
    distance = np.abs(planes.positions[:, 2] - np.concatenate([np.zeros(0), *heights])[:, None])
    nearest = distance.min(axis=1)
    aside = float(nearest[nearest <= planes.step / 2].max(initial=0.0))
    if aside > max(planes.step / 4, 0.1) or not 0.5 < known / planes.step < 1.5:
        message = f"the scan's slices are not those of {reading.path}: {planes.step:.3g} mm apart"
        raise MaskError(
            f"{message}, the contours' {known:.3g} mm and up to {aside:.2f} mm aside; "
            "give the scan as it came, not resampled"
        )


def _drawn(
    reader: int, nodule: ReaderNodule, contours: list[tuple[int, LidcContour]], planes: Planes
) -> Drawn:
    _, rows, columns = planes.shape
    points = np.concatenate([c.points for _, c in contours])
    if (points >= (columns, rows)).any():
        x, y = (int(v) for v in points.max(axis=0))
        message = f"a contour reaches pixel ({x}, {y}), the scan has {columns} x {rows}"
        raise MaskError(f"{message}; give the scan as it came, not cropped")
    low = points.min(axis=0)
    width, height = (int(n) for n in points.max(axis=0) - low + 1)
    voxels = []
    for number in sorted({k for k, _ in contours}):
        here = [c for k, c in contours if k == number]
        row, column = np.nonzero(_enclosed(here, low, (height, width)))
        voxels.append((number * rows + row + low[1]) * columns + column + low[0])
    slices = np.repeat([k for k, _ in contours], [len(c.points) for _, c in contours])
    centre = np.array([slices.mean(), *points.mean(axis=0)[::-1]])
    return Drawn(reader, nodule, np.concatenate(voxels).astype(np.int64), centre)


def _enclosed(contours: list[LidcContour], low: IntArray, shape: tuple[int, int]) -> BoolArray:
    """Return what the outlines of one nodule on one slice enclose, holes cut out."""
    inside = np.zeros(shape, bool)
    holes = np.zeros(shape, bool)
    for contour in contours:
        points = contour.points - low
        filled, edge = polygon_pixels([points], shape), edge_pixels(points, shape)
        if contour.inclusion:
            inside |= filled & ~edge
        else:
            holes |= filled | edge
    return inside & ~holes
