"""Two labels layers compared, and masks read from files for it; without Qt.

The jobs here are for threads. They copy the labels first, so that painting can go on;
whoever starts them notes `Session.edits` before, to tell whether the result is old.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ctlns.errors import MaskError
from napari_ctlns.events import Control, Event, Finished, Progress, Started
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.belongings import place
from napari_ctlns.plugin.file_kinds import kind_of
from napari_ctlns.plugin.mask_preview import Drawing, Patch, PreviewKind
from napari_ctlns.plugin.saving import mask_on_scan
from napari_ctlns.plugin.views.place_table import Column, Value
from napari_ctlns.plugin.words import counted
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.metrics.pairs import MaskPairs, NodulePair

DIFFERENCE_COLOURS: Mapping[int | None, str] = {1: "#0072b2d9", 2: "#e69f00d9", 3: "#bbbbbb55"}
"""Only A, only B, both: blue and orange of the Okabe-Ito palette, and a pale grey; with alpha."""
OF_DIFFERENCES = PreviewKind(
    "differences", ms_of_calm=0, contour=0, opacity=1.0, colours=DIFFERENCE_COLOURS
)
PAIR_COLUMNS = (
    Column("In A", "Its labels in A; a dash: it is only in B"),
    Column("In B", "Its labels in B; a dash: it is only in A"),
    Column("Dice", "Overlap of both: 1 where they agree, 0 where it is only in one", 3),
    Column("A\nmm³", "Its volume in A: voxels times the volume of one", 0),
    Column("B\nmm³", "Its volume in B: voxels times the volume of one", 0),
    Column("Surfaces\nmm", "95th percentile of the distances between both surfaces", 1),
    Column("Centres\nmm", "Between its centre in A and its centre in B", 1),
)


@dataclass(frozen=True, eq=False)
class MaskComparison:
    """Two masks on the grid of their scan: their nodules, and what is drawn of both."""

    pairs: "MaskPairs"
    drawing: Drawing


def compare_job(a: Volume, b: Volume, scan: Volume, control: Control) -> Iterator[Event]:
    """Compare what two labels layers show; `Finished` has ``comparison`` and ``warnings``.

    Parameters
    ----------
    a, b
        What the layers show, not copied.
    scan
        The scan they are drawn on.

    Raises
    ------
    MaskError
        If one of them cannot be a mask of this scan.
    """
    from napari_ctlns.metrics.pairs import differences, pair_masks

    yield Started(title="Compare two masks")
    masks = []
    for done, mask in enumerate((a, b), start=1):
        masks.append(mask_on_scan(mask, scan))
        yield Progress(done=done, total=4, unit="steps")
        if control.stop_requested():
            yield Finished(stopped=True)
            return
    own_a, own_b = masks
    pairs = pair_masks(own_a, own_b)
    yield Progress(done=3, total=4, unit="steps")
    patches = tuple(
        Patch(n.box, differences(own_a.array[n.box], own_b.array[n.box])) for n in pairs.nodules
    )
    warnings = dict.fromkeys((*own_a.source.warnings, *own_b.source.warnings))
    comparison = MaskComparison(pairs, Drawing(patches))
    yield Finished(result={"comparison": comparison, "warnings": tuple(warnings)})


def pair_row(nodule: "NodulePair") -> tuple[Value, ...]:
    """Return what `PAIR_COLUMNS` show of a nodule."""
    return (
        ", ".join(map(str, nodule.labels_a)) or None,
        ", ".join(map(str, nodule.labels_b)) or None,
        nodule.dice,
        nodule.volume_a_mm3 if nodule.labels_a else None,
        nodule.volume_b_mm3 if nodule.labels_b else None,
        nodule.hausdorff95_mm,
        nodule.centre_distance_mm,
    )


def pairs_in_words(pairs: "MaskPairs") -> str:
    """Say how two masks agree."""
    both = sum(bool(n.labels_a and n.labels_b) for n in pairs.nodules)
    only_a = sum(not n.labels_b for n in pairs.nodules)
    only_b = len(pairs.nodules) - both - only_a
    if not pairs.nodules:
        return "Both masks are empty"
    return (
        f"Dice {pairs.dice:.3f} over all voxels. {counted(both, 'nodule')} in both, "
        f"{only_a} only in A, {only_b} only in B"
    )


def open_masks_job(path: Path, scan: Volume) -> Iterator[Event]:
    """Read a mask, or what each of LIDC's readers drew, onto a scan; `Finished` has ``layers``.

    Raises
    ------
    CtlnsError
        If it cannot be read, or holds no mask of this scan.
    """
    yield Started(title=f"Open {path.name}")
    kind = kind_of(path)
    if kind == "lidc":
        layers, warnings = _readers(path, scan)
    elif kind == "mask" or (path.is_file() and kind == "scan"):
        # an image of labels need not be named a mask
        placed = place("mask", path, [[scan]])
        layers, warnings = placed.layers, placed.warnings
    else:
        raise MaskError(f"no mask: {path.name}; open a mask, or the XML of LIDC's readers")
    yield Finished(result={"layers": layers, "warnings": warnings})


def _readers(path: Path, scan: Volume) -> tuple[tuple[of.LayerTuple, ...], tuple[str, ...]]:
    from napari_ctlns.formats import find_lidc, read_lidc, reader_mask

    files = find_lidc(path)
    file = files.get(scan.source.series_uid) or files.get(scan.scan_id)
    reading = read_lidc(path if file is None else file)
    if file is None:
        raise MaskError(f"another scan: {path.name} is no reading of {scan.title}; open its scan")
    layers: list[of.LayerTuple] = []
    warnings: list[str] = []
    for index in range(len(reading.readers)):
        mask = reader_mask(reading, index, scan)
        findings = Findings(scan_id=scan.scan_id).follow(mask.array, "annotation")
        layers.append(of.mask_tuple(mask, f"{file.stem} reader {index + 1}", findings))
        warnings += mask.source.warnings
    return tuple(layers), tuple(dict.fromkeys(warnings))
