"""Whose scan is whose, from a table."""

import csv
from collections.abc import Iterable
from pathlib import Path

from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.dataset.match import names_of
from napari_ctlns.errors import DatasetError
from napari_ctlns.formats import ScanFile

COLUMNS = ("scan_id", "patient_id")


class Patients:
    """The patients of scans, by series UID, file stem or folder.

    Parameters
    ----------
    path
        A CSV with the columns ``scan_id`` and ``patient_id``; None: nothing is known.
    scans
        All scans there are.

    Raises
    ------
    DatasetError
        If the table cannot be read, lacks a column or a value, gives a scan to two
        patients, or names none of the scans.
    """

    def __init__(self, path: Path | None, scans: Iterable[ScanFile]) -> None:
        self._path = path
        self._patient = {} if path is None else _read(path)
        names = set[str]().union(*(names_of(file) for file in scans))
        others = sorted(self._patient.keys() - names)
        if self._patient and len(others) == len(self._patient):
            raise DatasetError(
                f"{path} names none of these scans ({others[0]}, ...); "
                "its scan_id must be series UIDs or file names of these scans"
            )
        self.strangers = tuple(
            Unmatched(what=f"patient {self._patient[name]} of {name}", why="no such scan")
            for name in others
        )

    def of(self, file: ScanFile) -> str:
        """Return the patient that the table gives a scan; an empty string if none.

        Raises
        ------
        DatasetError
            If it gives the scan two, by two of its names.
        """
        rows = {n: self._patient[n] for n in sorted(names_of(file)) if n in self._patient}
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{name} is {patient}" for name, patient in rows.items())
            raise DatasetError(f"{self._path} gives one scan to two patients: {told}; correct it")
        return next(iter(rows.values()), "")


def _read(path: Path) -> dict[str, str]:
    patients: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
        header = lines[0] if lines else ""
        mark = next((mark for mark in (";", "\t") if mark in header), ",")
        reader = csv.DictReader(lines, delimiter=mark, skipinitialspace=True)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        missing = [column for column in COLUMNS if column not in reader.fieldnames]
        if missing:
            raise DatasetError(
                f"{path} lacks the column {missing[0]}; it needs {','.join(COLUMNS)}"
            )
        for row in reader:
            scan, patient = ((row[column] or "").strip() for column in COLUMNS)
            if not scan or not patient:
                lacks = COLUMNS[bool(scan)]
                raise DatasetError(
                    f"line {reader.line_num} of {path} has no {lacks}; add it or remove the line"
                )
            if patients.setdefault(scan, patient) != patient:
                raise DatasetError(
                    f"line {reader.line_num} of {path} gives {scan} to {patient}, a line before "
                    f"it to {patients[scan]}; remove one of them"
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"cannot read patients {path}; give a CSV {','.join(COLUMNS)}"
        ) from error
    return patients
