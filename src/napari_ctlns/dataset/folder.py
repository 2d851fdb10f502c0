"""A dataset on disk.

``dataset.json`` holds the preparation and the split by patient. Each scan has a
folder with ``scan.json``, its HU (``ct.npy``, int16) and its masks
(``masks/<revision>.npy``), all (z, y, x) on the prepared grid. Array files never
change once they are there: a change writes a file of a new name and then moves
the pointer in ``scan.json``, so that whoever has mapped the old one keeps it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import DatasetError
from napari_ctlns.findings import Annotation, Origin, now
from napari_ctlns.masks.components import parts_of, smallest_dtype
from napari_ctlns.normalising import HuStatistics, hu_statistics
from napari_ctlns.recipe import Preparation
from napari_ctlns.specs import Split, SplitRule
from napari_ctlns.volume import Geometry, Source, Volume

FORMAT_VERSION = 1
DATASET_CARD = "dataset.json"
SCAN_CARD = "scan.json"


class _Card(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Nodule(_Card):
    """A label of a mask: its centroid, rounded to a voxel (z, y, x), and its voxels."""

    label: int
    centre: tuple[int, int, int]
    voxels: int


class MaskRevision(_Card):
    """One state of a scan's mask, and whose work it is.

    Attributes
    ----------
    name
        The file is ``masks/<name>.npy``.
    parent
        The revision that was changed into this one; None for a first one.
    """

    name: str
    reader: str = ""
    time: datetime = Field(default_factory=now)
    parent: str | None = None
    origin: Origin = "annotation"
    nodules: tuple[Nodule, ...] = ()


class SourceNote(_Card):
    """Where a prepared scan came from; ``signature`` changes when it has to be made anew."""

    path: Path
    series: str | None = None
    format: str = ""
    signature: str = ""
    warnings: tuple[str, ...] = ()


class Unmatched(_Card):
    """Something that was given but could not be used, and why."""

    what: str
    why: str


class RatedNodule(_Card):
    """What readers said of a nodule: its label in the masks, ratings by reader and by name."""

    label: int
    ratings: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)


class ScanCard(_Card):
    """What ``scan.json`` holds; ``ct`` and ``mask`` point at the current files.

    Attributes
    ----------
    fold
        The number of the subset folder that the scan came from, as LUNA16 has them.
    ratings
        What readers said of the nodules, where they did.
    problems
        What was given for this scan but could not be used, and why.
    statistics
        Of its HU, where the preparation standardises them.
    chosen
        The reader whose mask a person chose to count; empty: the one that
        preparing made count.
    """

    format_version: int = FORMAT_VERSION
    scan_id: str
    patient_id: str
    source: SourceNote
    geometry: Geometry
    fold: int | None = None
    annotations: tuple[Annotation, ...] = ()
    ratings: tuple[RatedNodule, ...] = ()
    problems: tuple[str, ...] = ()
    statistics: HuStatistics | None = None
    ct: str = ""
    mask: str = ""
    chosen: str = ""
    masks: tuple[MaskRevision, ...] = ()


class DatasetCard(_Card):
    """What ``dataset.json`` holds: scans by folder name, the split by patient and its rule."""

    format_version: int = FORMAT_VERSION
    preparation: Preparation
    scans: tuple[str, ...] = ()
    split: Mapping[str, Split] = Field(default_factory=dict)
    split_rule: SplitRule | None = None
    unmatched: tuple[Unmatched, ...] = ()


@dataclass(frozen=True)
class PreparedScan:
    """One scan of a dataset; its arrays are mapped from disk when asked for."""

    folder: Path
    card: ScanCard
    _measured: dict[tuple[float, float], HuStatistics] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def scan_id(self) -> str:
        """Series UID or file stem."""
        return self.card.scan_id

    @property
    def patient_id(self) -> str:
        """Whose scan it is."""
        return self.card.patient_id

    @property
    def geometry(self) -> Geometry:
        """The prepared grid."""
        return self.card.geometry

    @property
    def revision(self) -> MaskRevision:
        """The current mask's revision."""
        return next(r for r in self.card.masks if r.name == self.card.mask)

    @property
    def corrected(self) -> bool:
        """Whether its current mask is the work of a person who corrected it."""
        return self.revision.origin == "hand"

    @property
    def nodules(self) -> tuple[Nodule, ...]:
        """The nodules of the current mask."""
        return self.revision.nodules

    def hu(self) -> npt.NDArray[np.int16]:
        """Return the CT, HU (z, y, x), memory-mapped and read-only.

        Raises
        ------
        DatasetError
            If the file is missing or damaged.
        """
        return self._mapped(self.card.ct)

    def mask(self, revision: str | None = None) -> npt.NDArray[Any]:
        """Return a mask, uint8 or uint16 (z, y, x), memory-mapped and read-only.

        Parameters
        ----------
        revision
            The name of one of the scan's; None: the current one.

        Raises
        ------
        DatasetError
            If the file is missing or damaged.
        """
        return self._mapped(f"masks/{revision or self.card.mask}.npy")

    def statistics(self, preparation: Preparation) -> HuStatistics:
        """Return mean and deviation of the clipped HU: those kept on disk, else measured once.

        Raises
        ------
        DatasetError
            If they have to be measured and the CT is missing or damaged.
        """
        kept, wanted = self.card.statistics, preparation.clip_hu
        if kept is not None and (kept.low, kept.high) == wanted:
            return kept
        if wanted not in self._measured:
            self._measured[wanted] = hu_statistics(preparation, self.hu())
        return self._measured[wanted]

    def volume(self) -> Volume:
        """Return the CT with its grid and ids."""
        source = Source(
            path=self.card.source.path,
            format=self.card.source.format,
            series_uid=self.card.source.series or "",
            warnings=self.card.source.warnings,
        )
        return Volume(self.hu(), self.geometry, "ct", self.scan_id, self.patient_id, source)

    def truth(self) -> Volume:
        """Return the current mask with its grid and ids."""
        return self.volume().mask(self.mask())

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        path = self.folder / name
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f"{path} is missing or damaged; prepare the dataset anew") from error
        if array.shape != self.geometry.shape:
            raise DatasetError(f"{path} does not fit its {SCAN_CARD}; prepare the dataset anew")
        return array


@dataclass(frozen=True)
class Dataset:
    """A folder of prepared scans."""

    path: Path
    card: DatasetCard

    @property
    def preparation(self) -> Preparation:
        """How its scans were prepared."""
        return self.card.preparation

    def scans(self, split: Split | None = None) -> list[PreparedScan]:
        """Return the scans of a split, or all, sorted by folder.

        Raises
        ------
        DatasetError
            If a scan's card is missing or damaged.
        """
        found = [read_scan_folder(self.path / name) for name in self.card.scans]
        return [s for s in found if split is None or self.card.split.get(s.patient_id) == split]


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a dataset folder.

    Raises
    ------
    DatasetError
        If it is no dataset, is damaged, or was made by a newer version.
    """
    path = Path(path)
    if not (path / DATASET_CARD).is_file():
        raise DatasetError(f"{path} is not a dataset; make one with `ctlns prepare`")
    return Dataset(path, _read(path / DATASET_CARD, DatasetCard))


def read_scan_folder(folder: Path) -> PreparedScan:
    """Return the prepared scan in ``folder``.

    Raises
    ------
    DatasetError
        If its card is missing or damaged, or points at no revision it knows.
    """
    card = _read(folder / SCAN_CARD, ScanCard)
    if card.mask not in {revision.name for revision in card.masks}:
        raise DatasetError(f"{folder / SCAN_CARD} is damaged; prepare the dataset anew")
    return PreparedScan(folder, card)


def write_card(path: Path, card: BaseModel) -> None:
    """Write a card as indented JSON, atomically."""
    write_text(path, card.model_dump_json(indent=1) + "\n")


def nodules_of(mask: npt.NDArray[Any]) -> tuple[Nodule, ...]:
    """Return the labels of a mask (z, y, x) with their centroids and voxel counts."""
    parts = parts_of(mask)
    nodules = []
    for label, voxels, centroid in zip(parts.labels, parts.voxels, parts.centroids, strict=True):
        z, y, x = (int(n) for n in np.rint(centroid))
        nodules.append(Nodule(label=int(label), centre=(z, y, x), voxels=int(voxels)))
    return tuple(nodules)


def smallest_labels(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels as uint8, or as uint16 if there are more than 255."""
    return mask.astype(smallest_dtype(int(mask.max(initial=0))), copy=False)


def next_name(prefix: str, taken: Sequence[str]) -> str:
    """Return ``prefix`` followed by the first number from 1 on that is not ``taken``."""
    number = 1
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


_AnyCard = TypeVar("_AnyCard", ScanCard, DatasetCard)


def _read(path: Path, kind: type[_AnyCard]) -> _AnyCard:
    try:
        card = kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DatasetError(f"{path} is missing or damaged; prepare the dataset anew") from error
    if card.format_version > FORMAT_VERSION:
        raise DatasetError(f"{path} is of a newer version; update napari-ctlns")
    return card
