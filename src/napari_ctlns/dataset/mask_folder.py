"""Masks in files of any kind, matched with scans by name or by the series they speak of."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_ctlns.dataset.carrying import carried, numbered
from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.dataset.layouts import LUNG_MASKS
from napari_ctlns.dataset.match import Names, file_signature, mask_name
from napari_ctlns.dataset.revisions import ReadersMask
from napari_ctlns.dataset.truths import TrueMasks
from napari_ctlns.errors import CtlnsError, DatasetError
from napari_ctlns.formats import (
    ScanFile,
    is_mask_file,
    is_rtstruct,
    read_mask,
    read_mask_onto,
    read_rtstruct,
    referenced_series,
    structure_mask,
)
from napari_ctlns.formats.dicom.series import visible_files
from napari_ctlns.formats.images import extension, file_stem
from napari_ctlns.volume import Volume


@dataclass(frozen=True)
class MaskFile:
    """A file with a mask, and whose work it is; no ``reader``: it says nothing of that."""

    path: Path
    reader: str = ""


class MaskFolder:
    """Masks in the files of a folder, of any kind that can be read.

    DICOM SEG and RTSTRUCT belong to the series they reference; files of images to
    the scan they are named after. A scan may have several masks: the one named as
    the scan alone counts, else the first by path, and the others are kept beside it.

    Parameters
    ----------
    folder
        Searched with all below it. It may hold the scans too.
    scans
        All scans there are.
    structures
        Names of the structures wanted, of files that name theirs; label k is the k-th.
    marks
        What the masks mark. Folders of lung masks, ``lungs`` and LUNA16's
        ``seg-lungs...``, are for lungs alone, and where there are any, lungs are in no others.
    """

    def __init__(
        self,
        folder: Path,
        scans: Iterable[ScanFile],
        structures: Sequence[str] = (),
        marks: Literal["nodule", "lung"] = "nodule",
    ) -> None:
        if not folder.is_dir():
            raise DatasetError(f"no folder {folder}; give the folder that holds the masks")
        scans = tuple(scans)
        self._folder = folder
        self._structures = tuple(structures)
        self._marks = marks
        names = Names(scans)
        taken = {file.path for file in scans}
        found: dict[ScanFile, list[MaskFile]] = {}
        strangers = []
        for path in _candidates(folder, marks):
            if path in taken:
                continue
            try:
                series = "" if extension(path) else referenced_series(path)
            except CtlnsError as error:
                strangers.append(Unmatched(what=f"mask {path}", why=str(error)))
                continue
            named = (series, "") if series else mask_name(file_stem(path), names)
            bearers = names.bearers(named[0]) if named else ()
            for file in bearers:
                found.setdefault(file, []).append(MaskFile(path, named[1] if named else ""))
            if not bearers:
                strangers.append(_stranger(path, series, names))
        if not found:
            raise DatasetError(
                f"{folder} has no mask of these scans; "
                "a mask's name must be its scan's series UID or file name"
            )
        self._found = {file: self._in_order(masks) for file, masks in found.items()}
        self.strangers = tuple(strangers)
        self.remarks = self._on_several()

    def _in_order(self, masks: list[MaskFile]) -> tuple[MaskFile, ...]:
        """Return masks with the one that counts first, each with another reader's name."""
        masks = sorted(masks, key=lambda mask: (mask.reader != "", mask.path))
        shared = Counter(mask.reader for mask in masks)
        return tuple(
            mask if shared[mask.reader] == 1 else MaskFile(mask.path, self._place(mask))
            for mask in masks
        )

    def _place(self, mask: MaskFile) -> str:
        """Return where a mask lies in the folder, without its extension."""
        below = mask.path.relative_to(self._folder)
        return (below.parent / file_stem(below)).as_posix()

    def _on_several(self) -> tuple[str, ...]:
        several = [masks for masks in self._found.values() if len(masks) > 1]
        if not several:
            return ()
        first, *others = (mask.path.relative_to(self._folder).as_posix() for mask in several[0])
        words = f"{first} counts, and {', '.join(others)} is kept beside it"
        return (f"{len(several)} scans have several masks: of the first {words}",)

    def why_not(self, file: ScanFile) -> str:
        """Say that a scan has no mask."""
        return "" if file in self._found else f"no mask of this scan in {self._folder}"

    def first(self, file: ScanFile) -> Path:
        """Return the file of the mask that counts, of a scan that has one."""
        return self._found[file][0].path

    def signature(self, file: ScanFile) -> str:
        """Return name, size and time of the scan's masks, and the structures wanted."""
        masks = [(mask.reader, file_signature(mask.path)) for mask in self._found[file]]
        return json.dumps([masks, self._structures, *(["lung"] if self._marks == "lung" else [])])

    def of(self, file: ScanFile, volume: Volume, prepared: Volume) -> TrueMasks:
        """Return the scan's masks, one label per nodule or structure.

        A mask of nodules that has one label only is taken to say nodule or not: its
        connected components are numbered, before any are lost on a coarser grid.
        """
        masks: list[ReadersMask] = []
        problems: list[str] = []
        remarks: list[str] = []
        for found in self._found[file]:
            try:
                mask, words = self._read(found.path, volume)
                if self._marks == "nodule":
                    mask = replace(mask, array=numbered(mask.array))
                array, lost = carried(mask, volume, prepared.geometry, str(found.path))
            except CtlnsError as error:
                problems.append(str(error))
                continue
            masks.append(ReadersMask(array, found.reader))
            problems += lost
            remarks += words
        if not masks:
            raise DatasetError("; ".join(problems))
        return TrueMasks(tuple(masks), problems=tuple(problems), remarks=tuple(remarks))

    def _read(self, path: Path, volume: Volume) -> tuple[Volume, tuple[str, ...]]:
        """Return a mask on its own grid or the scan's, and what to remark on it."""
        if extension(path):
            return read_mask(path, structures=self._structures), ()
        # what DICOM draws on slices is drawn on those of the scan
        if is_rtstruct(path):
            drawn = read_rtstruct(path)
            mask = structure_mask(drawn, volume, self._structures)
            words = mask.source.warnings
            if len(drawn.names) > 1 and not self._structures:
                named = ", ".join(drawn.names)
                words = (*words, f"all its structures count, {named}; choose with --structure")
        else:
            mask = read_mask_onto(path, volume, structures=self._structures)
            words = mask.source.warnings
        return mask, words


def _candidates(folder: Path, marks: Literal["nodule", "lung"]) -> list[Path]:
    """Return the files of a folder that may be masks of what is wanted."""
    files = [path for path in visible_files(folder) if extension(path) or is_mask_file(path)]
    of_lungs = [path for path in files if _in_lung_folder(path.relative_to(folder))]
    if marks == "lung":
        return of_lungs or files
    return [path for path in files if path not in set(of_lungs)]


def _in_lung_folder(path: Path) -> bool:
    return any(
        name.lower() == "lungs" or name.lower().startswith(LUNG_MASKS) for name in path.parts[:-1]
    )


def _stranger(path: Path, series: str, names: Names) -> Unmatched:
    if series:
        return Unmatched(what=f"mask {path}", why=f"{names.why_none(series)}: it is of {series}")
    return Unmatched(what=f"mask {path}", why=names.why_none(file_stem(path)))
