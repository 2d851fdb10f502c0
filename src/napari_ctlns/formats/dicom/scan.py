"""Reading one DICOM series as a volume, slice after slice."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom.pixels import fill, pixel_dtype
from napari_ctlns.formats.dicom.regridding import slices_onto_grid
from napari_ctlns.formats.dicom.series import Series
from napari_ctlns.formats.dicom.slice import Slice
from napari_ctlns.formats.dicom.stacking import Stack, stack
from napari_ctlns.formats.dicom.stacks import scan_slices
from napari_ctlns.volume import AIR_HU, Source, SourceSlice, Volume


@dataclass(frozen=True, eq=False)
class Partial:
    """How far the reading of a scan has come.

    Attributes
    ----------
    done, total
        How many of how many ``unit`` have been read.
    unit
        ``"slices"``.
    volume
        The scan so far; its array is the one that is being filled. None while there
        is none to show. Where values turn out larger than first thought, another
        volume takes its place.
    read
        Which voxels of it are read, in a shape that broadcasts against the array;
        shared too. The others hold 0.
    """

    done: int
    total: int
    unit: str
    volume: Volume | None
    read: npt.NDArray[np.bool_] | None = None


def series_parts(
    series: Series, place: Path, strict: bool = False
) -> Generator[Partial, None, Volume]:
    """Read one series; return its volume, and yield it while it fills.

    Raises
    ------
    ScanError
        If its slices do not make a stack, or lack pixels; where ``strict``, if
        something had to be mended.
    """
    where = f"(series {series.uid} in {series.folder})"
    try:
        return (yield from _parts(series, place, strict))
    except ScanError as error:
        raise ScanError(f"{error} {where}") from None
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        message = f"a DICOM header cannot be understood: {error}; export the scan again"
        raise ScanError(f"{message} {where}") from error


def refuse_mended(source: Source) -> None:
    """Refuse a scan that was mended on reading.

    Raises
    ------
    ScanError
        If there are warnings.
    """
    if source.warnings:
        raise ScanError(f"refused, being strict: {'; '.join(source.warnings)} ({source.path})")


def _parts(series: Series, place: Path, strict: bool) -> Generator[Partial, None, Volume]:
    slices, left_out = scan_slices(series.slices)
    ordered = stack(slices)
    _refuse_tables(ordered.slices)
    words = [*ordered.warnings, *left_out]
    if series.modality != "CT":
        words.insert(0, f"not a CT: the modality is {series.modality or 'not told'}, no HU")
    first = ordered.slices[0].header
    patient = str(first.get("PatientID") or "")
    source = Source(
        path=place,
        format="dicom",
        series_uid=series.uid,
        modality=series.modality,
        window_hu=_window(first),
        warnings=tuple(words),
        slices=tuple(SourceSlice(o.path, o.uid, o.frame, o.position) for o in ordered.slices),
        plane=ordered.plane,
    )
    if strict:  # before the pixels are read
        refuse_mended(source)
    geometry = ordered.geometry.oriented()

    def empty(dtype: npt.DTypeLike) -> Volume:
        # not filled: touching all memory takes longer than reading the first slices
        array = np.zeros(geometry.shape, dtype)
        return Volume(array, geometry, "ct", series.uid, patient or series.uid, source)

    read = _filled if ordered.straight else _resampled
    dtype = pixel_dtype(ordered.slices)
    try:
        return (yield from read(empty(dtype), ordered))
    except OverflowError:
        if dtype != np.int16:
            raise
    # one value out of range makes the whole scan wider, seldom and once
    return (yield from read(empty(np.int32), ordered))


def _filled(volume: Volume, ordered: Stack) -> Generator[Partial, None, Volume]:
    # into the volume's own array, run as the source ran: no second copy is made
    target = volume.geometry.to_source(volume.array)
    source_read = np.zeros((len(target), 1, 1), bool)
    read = volume.geometry.from_source(source_read)
    for done, slice_ in enumerate(fill(ordered.slices, target), start=1):
        source_read[slice_] = True
        yield Partial(done, len(ordered.slices), "slices", volume, read)
    return volume


def _resampled(volume: Volume, ordered: Stack) -> Generator[Partial, None, Volume]:
    source = volume.source
    pixels = np.empty((len(ordered.slices), *ordered.plane.shape[1:]), volume.array.dtype)
    for done, _ in enumerate(fill(ordered.slices, pixels), start=1):
        yield Partial(done, len(ordered.slices), "slices", None)
    volume.geometry.to_source(volume.array)[...] = slices_onto_grid(
        pixels, source.slices, ordered.plane, ordered.geometry, AIR_HU
    )
    return volume


def _refuse_tables(slices: Sequence[Slice]) -> None:
    for one in slices:
        if "ModalityLUTSequence" in one.header and "RescaleSlope" not in one.header:
            message = f"values given by a table (modality LUT) in {one.path}, not as HU"
            raise ScanError(f"{message}; export the scan with rescale slope and intercept")


def _window(header: Dataset) -> tuple[float, float] | None:
    """Return (low, high) that the header proposes first, if it proposes any."""
    try:
        centre, width = (
            float(np.atleast_1d(np.asarray(header.get(name), dtype=object)).ravel()[0])
            for name in ("WindowCenter", "WindowWidth")
        )
    except (TypeError, ValueError, IndexError):
        return None
    return (centre - width / 2, centre + width / 2) if width > 0 else None
