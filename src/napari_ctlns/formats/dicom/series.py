"""DICOM series: which there are in a folder, and choosing one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom.dicomdir import is_dicomdir, listed_files
from napari_ctlns.formats.dicom.headers import Known, Role, is_dicom, read_slices
from napari_ctlns.formats.dicom.slice import Slice

__all__ = [
    "Contents",
    "Series",
    "SeveralSeriesError",
    "choose_series",
    "is_dicom",
    "list_series",
    "listing_place",
    "series_of_file",
    "visible_files",
]


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of one DICOM series, in no order; pixels are still in the files."""

    uid: str
    slices: tuple[Slice, ...]

    @property
    def folder(self) -> Path:
        """The deepest folder that holds all its files."""
        parents = {one.path.parent for one in self.slices}
        common = min(parents, key=lambda p: len(p.parts))
        while not all(p.is_relative_to(common) for p in parents):
            common = common.parent
        return common

    @property
    def description(self) -> str:
        """What the scanner's staff called it; often empty."""
        return " ".join(str(self.slices[0].header.get("SeriesDescription") or "").split())

    @property
    def modality(self) -> str:
        """DICOM modality, or an empty string."""
        return str(self.slices[0].header.get("Modality") or "")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of its first slice."""
        return self.slices[0].shape

    @property
    def words(self) -> str:
        """Description, modality, number of slices, rows and columns."""
        size = "{} slices of {} x {}".format(len(self.slices), *self.shape)
        return ", ".join(word for word in (self.description, self.modality, size) if word)

    @property
    def title(self) -> str:
        """UID and words, for a person to choose by."""
        return f"{self.uid} ({self.words})"


@dataclass(frozen=True)
class Contents:
    """What a folder holds: its series, its damaged files, and how many files of other kinds."""

    series: tuple[Series, ...]
    damaged: tuple[Path, ...] = ()
    others: Counter[Role] | None = None

    def count(self, role: Role) -> int:
        """Return how many files there are of one kind."""
        return (self.others or Counter())[role]


class SeveralSeriesError(ScanError):
    """There are several series, and none was asked for.

    Attributes
    ----------
    summary
        Without the list of series.
    series
        Those to choose from.
    """

    def __init__(self, place: Path, series: tuple[Series, ...]) -> None:
        self.summary = f"{len(series)} series in {place}: choose one with --series UID"
        self.series = series
        super().__init__(f"{self.summary}: {'; '.join(one.title for one in series)}")


def list_series(place: Path) -> Contents:
    """Read the headers of all DICOM files at or below a folder, and group them by series.

    Localizers, secondary captures, and what else does not lie in the patient are
    left out; secondary captures count only where there are no other slices, for
    some software saves whole scans as such.

    Parameters
    ----------
    place
        The folder, or a DICOMDIR: then the files that it lists.

    Raises
    ------
    ScanError
        If a folder may not be looked into, or a DICOMDIR is not right.
    """
    found: dict[Role, dict[str, list[Slice]]] = {"slices": {}, "capture": {}}
    damaged: list[Path] = []
    others: Counter[Role] = Counter()
    known: Known = {}
    for path in visible_files(place) if place.is_dir() else listed_files(place):
        role, slices = read_slices(path, known)
        for one in slices:
            uid = str(one.header.SeriesInstanceUID)
            found[role].setdefault(uid, []).append(one)
        if role == "damaged":
            damaged.append(path)
        others[role] += 1
    grouped = found["slices"] or found["capture"]
    series = tuple(Series(uid, tuple(slices)) for uid, slices in sorted(grouped.items()))
    return Contents(series, tuple(damaged), others)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files at or below a folder, sorted; hidden and temporary ones left out.

    Raises
    ------
    ScanError
        If a folder may not be looked into.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ScanError(f"cannot look into {folder}: {error.strerror or error}") from error
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from visible_files(path)
        elif path.is_file():
            yield path


def choose_series(place: Path, contents: Contents, uid: str | None) -> Series:
    """Return the series asked for, or the only one.

    Raises
    ------
    ScanError
        If there is none, several and none is asked for, or a damaged file among them.
    """
    if not contents.series:
        raise ScanError(_why_none(place, contents))
    if uid is None and len(contents.series) > 1:
        raise SeveralSeriesError(place, contents.series)
    for series in contents.series:
        if uid in (None, series.uid):
            _refuse_damaged(series, contents.damaged)
            return series
    titles = "; ".join(series.title for series in contents.series)
    raise ScanError(f"no series {uid} in {place}; there is {titles}")


def listing_place(path: Path) -> Path:
    """Return where to look for the series of a path: a folder or a DICOMDIR."""
    return path if path.is_dir() or is_dicomdir(path) else path.parent


def series_of_file(path: Path, contents: Contents) -> str:
    """Return the UID of the series that a file belongs to.

    Raises
    ------
    ScanError
        If it is no slice of any.
    """
    for series in contents.series:
        if any(one.path == path for one in series.slices):
            return series.uid
    if read_slices(path, {})[0] == "multiframe":
        raise ScanError(_unplaced_frames(path))
    raise ScanError(f"not a slice of a scan: {path}; give the folder of a CT series")


def _refuse_damaged(series: Series, damaged: tuple[Path, ...]) -> None:
    # it may be the first or last slice, which leaves no gap
    beside = [path for path in damaged if path.is_relative_to(series.folder)]
    if beside:
        message = f"damaged DICOM file {beside[0]} beside the slices"
        raise ScanError(f"{message}; copy it again, or remove it if it is not part of the scan")


def _why_none(place: Path, contents: Contents) -> str:
    if contents.count("multiframe"):
        return _unplaced_frames(place)
    if contents.count("unplaced"):
        message = f"no slices in {place}: its {contents.count('unplaced')} DICOM files"
        return f"{message} are localizers or have no position in the patient; give the CT series"
    if contents.damaged:
        return f"damaged DICOM files in {place}; copy them again"
    if contents.count("beside"):
        message = f"no slices in {place}: its {contents.count('beside')} DICOM files"
        return f"{message} are contours, masks or reports; give the CT series they belong to"
    return f"no DICOM series in {place}; give a folder of DICOM files or an image file"


def _unplaced_frames(place: Path) -> str:
    message = f"multi-frame DICOM without slice positions in {place}"
    return f"{message}; export it as one file a slice, or as .mha"
