"""The scans that are meant by files, folders and patterns, and a name for each."""

import glob
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.dataset.layouts import scans_at
from napari_ctlns.dataset.match import ids_of
from napari_ctlns.errors import CtlnsError, ScanError
from napari_ctlns.formats import ScanFile, find_scans
from napari_ctlns.formats.dicom.series import is_dicom, list_series, series_of_file
from napari_ctlns.formats.images import extension
from napari_ctlns.formats.mask_files import is_mask_image


def find_all(
    places: Iterable[str], masks: Path | None = None, results: Collection[Path] = ()
) -> tuple[tuple[ScanFile, ...], tuple[Unmatched, ...]]:
    """Find the scans at several places, each once.

    Parameters
    ----------
    places
        Scan files, DICOM files, folders that are searched as `prepare` does, and patterns.
    masks
        Where masks lie, if that is known.
    results
        Files that are no scans, because a cohort wrote them.

    Returns
    -------
    tuple
        At least one scan; and what was named but is none, and why.

    Raises
    ------
    ScanError
        If a place does not exist, a pattern fits nothing, or there are no scans.
    """
    found: dict[ScanFile, None] = {}
    unused: list[Unmatched] = []
    finder = _Finder(masks)
    for path in _paths(places):
        try:
            scans, others = finder.at(path)
        except CtlnsError as error:
            unused.append(Unmatched(what=str(path), why=str(error)))
            continue
        found.update(dict.fromkeys(scan for scan in scans if scan.path not in results))
        unused += others
    if not found:
        why = unused[0].why if unused else "they are results of this cohort"
        raise ScanError(f"no scans to work on: {why}")
    return tuple(found), tuple(unused)


class _Finder:
    """Looks at one place after the other; the headers of a folder are read once."""

    def __init__(self, masks: Path | None) -> None:
        self._masks = masks
        self._contents = cache(list_series)

    def at(self, path: Path) -> tuple[Sequence[ScanFile], Sequence[Unmatched]]:
        if path.is_dir():
            return scans_at(path, self._masks)
        if extension(path):
            if is_mask_image(path):
                raise ScanError("integers without sign are labels, no HU")
            return find_scans(path), ()
        if is_dicom(path):
            return [self._of_slice(path)], ()
        raise ScanError("not a scan; give .mhd, .nii.gz, .nrrd or DICOM")

    def _of_slice(self, path: Path) -> ScanFile:
        contents = self._contents(path.parent)
        uid = series_of_file(path, contents)
        series = next(one for one in contents.series if one.uid == uid)
        return ScanFile(path.parent, uid, series.words)


def _paths(places: Iterable[str]) -> Iterator[Path]:
    for place in places:
        if Path(place).exists():
            yield Path(place)
        elif fitting := sorted(glob.glob(place, recursive=True)):  # noqa: PTH207 - anywhere
            yield from map(Path, fitting)
        elif glob.has_magic(place):
            raise ScanError(f"nothing fits {place}; check the pattern")
        else:
            raise ScanError(f"no such file or folder: {place}; check the name")


def id_of(file: ScanFile) -> str:
    """Return the series UID of a scan, or its file's stem."""
    (scan_id,) = ids_of(file)
    return scan_id


def twins(files: Iterable[ScanFile]) -> list[list[ScanFile]]:
    """Return the scans that share an id, capitals or not, together."""
    by_id: dict[str, list[ScanFile]] = {}
    for file in files:
        by_id.setdefault(id_of(file).casefold(), []).append(file)
    return [alike for alike in by_id.values() if len(alike) > 1]


def names_for(
    files: Sequence[ScanFile], taken: Mapping[ScanFile, str] | None = None
) -> dict[ScanFile, str]:
    """Return a name for the results of each scan, which no other has, capitals or not.

    It is the scan's id. Scans that share theirs have as many of their folders before it as
    tell them apart: ``patient1_ct``, ``patient2_ct``; where these do not, digits after it.

    Parameters
    ----------
    taken
        Names that scans have already; they keep them.
    """
    names = dict(taken or {})
    used = {name.casefold() for name in names.values()}
    fresh = [file for file in files if file not in names]
    sharing = twins(fresh)
    shared = {file for alike in sharing for file in alike}
    for alike in [*([file] for file in fresh if file not in shared), *sharing]:
        named = _told_apart(alike, used)
        names.update(named)
        used |= {name.casefold() for name in named.values()}
    return {file: names[file] for file in files}


def _told_apart(alike: Sequence[ScanFile], used: Collection[str]) -> dict[ScanFile, str]:
    deepest = max(len(file.path.parts) for file in alike)
    for folders in range(deepest + 1):
        named = {file: _name(file, folders) for file in alike}
        plain = {name.casefold() for name in named.values()}
        if len(plain) == len(alike) and plain.isdisjoint(used):
            return named
    return {file: f"{id_of(file)}-{_digits(file)}" for file in alike}


def _digits(file: ScanFile) -> str:
    return hashlib.sha256(str(file.path).encode()).hexdigest()[:8]


def _name(file: ScanFile, folders: int) -> str:
    above = (file.path if file.path.is_dir() else file.path.parent).parts[1:]
    return "_".join([*above[len(above) - folders :], id_of(file)]) if folders else id_of(file)
