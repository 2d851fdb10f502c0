"""How many days lie between two scans."""

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom.dates import days_between
from napari_ctlns.volume import Volume


def interval_days(scan: Volume, later_scan: Volume, days: float | None = None) -> float:
    """Return the days between two scans, above 0.

    Parameters
    ----------
    scan, later_scan
        Read from DICOM files, if their dates are to be used; the dates themselves are not
        kept anywhere.
    days
        What a person says; it counts more than the files.

    Raises
    ------
    ScanError
        If it is not known, or not above 0.
    """
    if days is not None:
        if days > 0:
            return float(days)
        raise ScanError(f"{days:g} days between the scans is no time; give a number above 0")
    found = days_between(scan, later_scan)
    if found is None:
        raise ScanError("days between the scans not known: no dates in the files; give --days")
    if found < 0:
        message = f"the later scan was taken {-found} days before the earlier one"
        raise ScanError(f"{message}; give them the other way round, or --days")
    if found == 0:
        raise ScanError("both scans were taken on one day, too soon for growth; give --days")
    return float(found)
