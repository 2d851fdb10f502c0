"""How many days lie between two DICOM scans; the dates themselves are not kept."""

import contextlib
from collections.abc import Iterator
from datetime import date, datetime

from pydicom import Dataset, dcmread

from napari_ctlns.volume import Volume

_NAMES = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "SeriesDate", "StudyDate")


def days_between(scan: Volume, later_scan: Volume) -> int | None:
    """Return the days from one scan to another; None if they do not tell.

    Parameters
    ----------
    scan, later_scan
        Read from DICOM files that are still there. Of the dates that both have, that of
        the acquisition counts first; negative if the later scan is the earlier one.
    """
    first, second = dict(_dates(scan)), dict(_dates(later_scan))
    for name in _NAMES:
        if name in first and name in second:
            return (second[name] - first[name]).days
    return None


def _dates(volume: Volume) -> Iterator[tuple[str, date]]:
    if volume.source.format != "dicom" or not volume.source.slices:
        return
    header = Dataset()
    # the file may be gone, or be another one by now
    with contextlib.suppress(OSError, ValueError, AttributeError, NotImplementedError):
        path = volume.source.slices[0].path
        header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_NAMES))
    for name in _NAMES:
        with contextlib.suppress(ValueError):
            yield name, datetime.strptime(str(header.get(name, ""))[:8], "%Y%m%d").date()
