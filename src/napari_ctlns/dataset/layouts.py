"""Folders as the collections of the field are downloaded: LUNA16, Medical Segmentation Decathlon.

LUNA16: scans in ``subset0`` to ``subset9``, ``annotations.csv`` beside these
folders or in ``CSVFILES``, masks of lungs in ``seg-lungs-LUNA16``
(https://luna16.grand-challenge.org/Download/). Decathlon and nnU-Net: scans in
``imagesTr`` with masks of the same names in ``labelsTr``, scans without masks in
``imagesTs`` (http://medicaldecathlon.com).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.dataset.match import case_and_channel, named_as_mask
from napari_ctlns.errors import DatasetError
from napari_ctlns.formats import ScanFile, find_scans
from napari_ctlns.formats.images import file_stem
from napari_ctlns.specs import PrepareSpec

MASK_FOLDERS = ("masks", "mask", "labels", "labelstr", "labelsts")
"""Folders of such a name hold no scans, even below a folder of scans."""
LUNG_MASKS = "seg-lungs"
"""So do folders whose names begin like this."""
ASK_FOR_MARKS = "give --annotations CSV, --masks DIR or --lidc-xml DIR"
_SUBSET = re.compile(r"subset(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """What a preparation starts from.

    Attributes
    ----------
    spec
        The spec, with what marks the nodules where only the layout said so.
    scans
        At least one.
    unused
        Scans that cannot be used, and why.
    remarks
        What was concluded from the layout, in words.
    """

    spec: PrepareSpec
    scans: tuple[ScanFile, ...]
    unused: tuple[Unmatched, ...] = ()
    remarks: tuple[str, ...] = ()


def look_into(spec: PrepareSpec) -> Source:
    """Find the scans of a preparation, and what marks their nodules.

    Raises
    ------
    ScanError
        If there is no such folder or file.
    DatasetError
        If there are no scans, or what marks the nodules is given twice, or is
        neither given nor known from the layout.
    """
    given = marks_given(spec)
    labels = spec.source / "labelsTr"
    lies_so = (spec.source / "imagesTr").is_dir() and labels.is_dir()
    meant = spec.masks is not None and spec.masks.resolve() == labels.resolve()
    if lies_so and (meant or not given):
        return _decathlon(spec, labels)
    scans, unused = scans_at(spec.source, spec.masks)
    if given:
        return Source(spec, scans, unused)
    annotations = _annotations_beside_subsets(spec.source, scans)
    return Source(
        spec.model_copy(update={"annotations": annotations}),
        scans,
        unused,
        (f"the subsets of LUNA16, with the annotations in {annotations}",),
    )


def marks_given(spec: PrepareSpec) -> list[Path]:
    """Return what marks the nodules, if that is given.

    Raises
    ------
    DatasetError
        If it is given twice.
    """
    given = [path for path in (spec.annotations, spec.masks, spec.lidc_xml) if path is not None]
    if len(given) > 1:
        raise DatasetError(
            "what marks the nodules is given twice; "
            "choose one of --annotations, --masks and --lidc-xml"
        )
    return given


def scans_at(
    source: Path, masks: Path | None = None
) -> tuple[tuple[ScanFile, ...], tuple[Unmatched, ...]]:
    """Return the scans of a folder, or of one file, without what names or folders call masks.

    Parameters
    ----------
    source
        Searched with all below it.
    masks
        Where masks lie, if that is known; it may be below ``source``.

    Returns
    -------
    tuple
        At least one scan; and those that cannot be used, and why.

    Raises
    ------
    ScanError
        If there is no such folder or file.
    DatasetError
        If there are no scans.
    """
    found = find_scans(source)
    stems = frozenset(file_stem(file.path) for file in found if file.path.is_file())
    scans, unused = [], []
    for file in found:
        if source.is_dir() and _holds_mask(file.path, source, masks, stems):
            continue
        case, channel = case_and_channel(file.path)
        if channel:
            why = f"channel {channel} of {case}; only channel 0 is used"
            unused.append(Unmatched(what=str(file.path), why=why))
        else:
            scans.append(file)
    if not scans:
        raise DatasetError(f"no scans at {source}; give a folder of .mhd, .nii.gz or DICOM")
    return tuple(scans), tuple(unused)


def subset_of(path: Path) -> int | None:
    """Return the number of the subset folder that a scan lies in; None if in none."""
    found = (_SUBSET.fullmatch(part) for part in reversed(path.parts))
    return next((int(match[1]) for match in found if match), None)


def _decathlon(spec: PrepareSpec, labels: Path) -> Source:
    scans, unused = scans_at(spec.source / "imagesTr", spec.masks)
    test = spec.source / "imagesTs"
    without = find_scans(test) if test.is_dir() else []
    why = "scans of imagesTs have no masks"
    remarks = () if spec.masks else (f"a folder like the Decathlon's, with the masks in {labels}",)
    return Source(
        spec.model_copy(update={"masks": labels}),
        scans,
        (*unused, *(Unmatched(what=str(file.path), why=why) for file in without)),
        remarks,
    )


def _holds_mask(path: Path, source: Path, masks: Path | None, stems: frozenset[str]) -> bool:
    """Whether folder or name say that a file below ``source`` holds a mask."""
    folders = [part.lower() for part in path.relative_to(source).parts[:-1]]
    if any(name in MASK_FOLDERS or name.startswith(LUNG_MASKS) for name in folders):
        return True
    if path.is_file() and named_as_mask(file_stem(path), stems):
        return True
    # the masks may lie among the scans: then their folder says nothing
    within = masks is not None and source.resolve() in masks.resolve().parents
    return within and masks is not None and masks.resolve() in path.resolve().parents


def _annotations_beside_subsets(source: Path, scans: Sequence[ScanFile]) -> Path:
    """Return the only annotations.csv beside the subset folders of LUNA16."""
    beside = {
        folder.parent
        for file in scans
        for folder in file.path.parents
        if _SUBSET.fullmatch(folder.name)
    }
    places = sorted(beside | {source}) if beside else []
    names = ("annotations.csv", "CSVFILES/annotations.csv")
    found = [place / name for place in places for name in names if (place / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise DatasetError(f"which marks the nodules, {found[0]} or {found[1]}? {ASK_FOR_MARKS}")
    raise DatasetError(f"what marks the nodules? {ASK_FOR_MARKS}")
