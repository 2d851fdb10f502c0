"""Which slices of a DICOM series make the scan.

A series may hold more than one stack: a scout that is not called one, a second
reconstruction of another size. It may hold slices twice.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom_slice import Slice
from napari_ctlns.formats.pixels import fill, pixel_dtype
from napari_ctlns.formats.slices import SAME_MM, in_order

_CLEARLY = 2
"""A stack so many times larger than all others together is the scan."""
_AXES, _SPACINGS = 1e-3, 1e-4


def scan_slices(slices: Sequence[Slice]) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """Return the slices of a series that make the scan, sorted, and what was left out.

    Raises
    ------
    ScanError
        If it is a colour series, holds several stacks and none clearly is the scan,
        or holds different slices at one position.
    """
    unique = _without_copies(slices)
    words = []
    if len(unique) < len(slices):
        count = len(slices) - len(unique)
        words.append(f"{count} files are copies of others and were left out")
    largest, *others = sorted(_stacks(unique), key=len, reverse=True)
    if largest[0].header.get("SamplesPerPixel", 1) != 1:
        raise ScanError("a colour series, not a scan; give a CT with one value a voxel")
    if others:
        aside = [one for group in others for one in group]
        if len(largest) < _CLEARLY * len(aside):
            raise _several(unique, [largest, *others])
        told = ", ".join(_told(group) for group in others)
        words.append(f"slices of another kind were left out: {told}")
    single = _without_twins(in_order(largest))
    if len(single) < len(largest):
        count = len(largest) - len(single)
        words.append(f"{count} slices repeat others, pixel for pixel, and were left out")
    return single, tuple(words)


def _without_copies(slices: Sequence[Slice]) -> list[Slice]:
    """Leave out what holds the same SOP instance at the same place as one before."""
    # the place too: some software calls all slices of a series alike
    names = [(one.uid or str(one.path), one.frame, one.position) for one in slices]
    return list(dict(reversed(list(zip(names, slices, strict=True)))).values())


def _stacks(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Group slices of one size, orientation and pixel spacing."""
    groups: list[list[Slice]] = []
    for one in slices:
        group = next((g for g in groups if _alike(one, g[0])), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return groups


def _alike(one: Slice, other: Slice) -> bool:
    return (
        one.shape == other.shape
        and one.header.get("SamplesPerPixel", 1) == other.header.get("SamplesPerPixel", 1)
        and _near(one.spacing, other.spacing, _SPACINGS)
        and _near(one.x_axis + one.y_axis, other.x_axis + other.y_axis, _AXES)
    )


def _near(some: Sequence[float], others: Sequence[float], tolerance: float) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(some, others, strict=True))


def _several(slices: Sequence[Slice], groups: Sequence[Sequence[Slice]]) -> ScanError:
    first = slices[0]
    if any(one.shape != first.shape for one in slices):
        kind = "sizes"
    elif not all(_near(one.spacing, first.spacing, _SPACINGS) for one in slices):
        kind = "pixel spacings"
    else:
        kind = "orientations"
    told = ", ".join(_told(group) for group in groups[:5])
    return ScanError(f"slices of differing {kind} ({told}); keep those of one stack")


def _told(group: Sequence[Slice]) -> str:
    one = group[0]
    normal = np.abs(np.cross(one.x_axis, one.y_axis))
    plane = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    rows, columns = one.shape
    return f"{len(group)} {plane} of {rows} x {columns} with {one.spacing[1]:.3g} mm"


def _without_twins(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Leave out sorted slices that show the same as the one before, in the same place.

    Where one of them shows something else no other is looked at: it will be refused.
    """
    kept = [slices[0]]
    for k, one in enumerate(slices[1:], start=1):
        if not _near(one.position, kept[-1].position, SAME_MM):
            kept.append(one)
        elif not _same_pixels(one, kept[-1]):
            return (*kept, *slices[k:])
    return tuple(kept)


def _same_pixels(one: Slice, other: Slice) -> bool:
    return np.array_equal(_values(one), _values(other))


def _values(one: Slice) -> npt.NDArray[np.generic]:
    wide = np.dtype(np.int32) if pixel_dtype([one]).kind == "i" else np.dtype(np.float32)
    target = np.empty((1, *one.shape), wide)
    list(fill([one], target))
    return target
