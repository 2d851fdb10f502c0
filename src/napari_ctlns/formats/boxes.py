"""Boxes around tumours, slice by slice: Pascal-VOC files as Lung-PET-CT-Dx has them.

Each file is named by the SOP instance UID of its slice. Pixels are counted from 1, both
ends included, as Pascal VOC does (http://host.robots.ox.ac.uk/pascal/VOC/).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats.contours import Planes, planes_of
from napari_ctlns.formats.xml_tree import read_xml, text_of
from napari_ctlns.volume import FloatArray, Triple, Volume

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class SliceBox:
    """A box on one slice: pixel edges from (left, top) to (right, bottom), from 0."""

    slice: int
    name: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """In pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def meets(self, other: "SliceBox") -> bool:
        """Whether two boxes have more than an edge in common, slices aside."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 0 and down > 0


@dataclass(frozen=True)
class Box3d:
    """Boxes of one class that follow each other from slice to slice: one finding.

    Attributes
    ----------
    name
        Its class: in Lung-PET-CT-Dx A, B, E or G for the kind of tumour.
    slices
        Its slices' places in the series, ascending.
    centre
        Middle of the box around all of it, LPS millimetres (x, y, z).
    size_mm
        Of that box, along slices, rows and columns.
    diameter_mm
        Mean of width and height on the slice where the box is largest.
    """

    name: str
    slices: tuple[int, ...]
    centre: Triple
    size_mm: Triple
    diameter_mm: float


def read_boxes(path: str | os.PathLike[str], volume: Volume) -> tuple[Box3d, ...]:
    """Read the boxes of a scan; those of neighbouring slices that overlap are one.

    Parameters
    ----------
    path
        A folder with the XML files of a scan (of other scans too), or one file.
    volume
        The scan, read from DICOM.

    Returns
    -------
    tuple of Box3d
        In the order of their first slices.

    Raises
    ------
    AnnotationError
        If a file cannot be read, or none is of a slice of this scan.
    """
    return list_boxes(path, volume)[0]


def list_boxes(
    path: str | os.PathLike[str], volume: Volume
) -> tuple[tuple[Box3d, ...], tuple[str, ...]]:
    """Return what `read_boxes` does, and which files are of no slice of the scan, in words.

    Raises
    ------
    AnnotationError
        As `read_boxes` does.
    """
    place = Path(path)
    planes = planes_of(volume)
    of_uid = {uid: k for k, uid in enumerate(planes.uids)}
    if not of_uid:
        message = "boxes need a scan read from DICOM: they are named by its slices"
        raise AnnotationError(f"{message}; open the DICOM series instead")
    files = _files(place)
    mine = [file for file in files if file.stem in of_uid]
    if not mine:
        message = f"boxes of other slices only: none of {len(files)} files in {place}"
        raise AnnotationError(f"{message} is named by a slice of {volume.scan_id}")
    boxes = [box for file in mine for box in _slice_boxes(file, of_uid[file.stem], planes)]
    left = len(files) - len(mine)
    words = (f"{left} of {len(files)} box files are of slices the scan does not have",)
    return tuple(_box3d(chain, planes) for chain in _chains(boxes)), words if left else ()


def box_annotations(boxes: tuple[Box3d, ...], volume: Volume) -> tuple[Annotation, ...]:
    """Return a row for each box: its centre and its in-plane diameter."""
    return tuple(Annotation(volume.scan_id, *box.centre, box.diameter_mm) for box in boxes)


def _files(place: Path) -> list[Path]:
    if not place.exists():
        raise AnnotationError(f"no such file or folder: {place}; check the name")
    if place.is_file():
        return [place]
    files = sorted(
        Path(folder, name)
        for folder, _, names in os.walk(place)
        for name in names
        if name.lower().endswith(".xml") and not name.startswith(".")
    )
    if not files:
        raise AnnotationError(f"no boxes in {place}; give the folder of a scan's .xml files")
    return files


def _slice_boxes(file: Path, number: int, planes: Planes) -> list[SliceBox]:
    root = read_xml(file)
    if root.tag != "annotation":
        message = f"not Pascal-VOC boxes: {file} holds {root.tag}"
        raise AnnotationError(f"{message}; give a file of boxes")
    _, rows, columns = planes.shape
    size = (text_of(root, "size/width"), text_of(root, "size/height"))
    if size not in (("", ""), (str(columns), str(rows))):
        message = f"boxes of another picture: {file} is {size[0]} x {size[1]}"
        raise AnnotationError(f"{message}, the slice {columns} x {rows}; give this scan's boxes")
    return [_slice_box(element, file, number, planes) for element in root.findall("object")]


def _slice_box(element: Element, file: Path, number: int, planes: Planes) -> SliceBox:
    texts = [text_of(element, f"bndbox/{name}") for name in _CORNERS]
    try:
        left, top, right, bottom = (float(text) for text in texts)
    except ValueError:
        left = top = right = bottom = float("nan")
    _, rows, columns = planes.shape
    # some tools count from 0
    if not (0 <= left <= right <= columns and 0 <= top <= bottom <= rows):
        message = f"impossible box in {file}: {', '.join(texts)} in {columns} x {rows}"
        raise AnnotationError(f"{message}; correct or remove it")
    name = text_of(element, "name")
    return SliceBox(number, name, max(left - 1, 0), max(top - 1, 0), right, bottom)


def _chains(boxes: list[SliceBox]) -> list[list[SliceBox]]:
    """Group boxes of one class that overlap from slice to slice."""
    chains: list[list[SliceBox]] = []
    for box in sorted(boxes, key=lambda b: b.slice):
        met = [c for c in chains if any(_follows(box, other) for other in c)]
        chains = [c for c in chains if all(c is not m for m in met)]
        chains.append([*(b for c in met for b in c), box])
    ordered = [sorted(chain, key=lambda b: b.slice) for chain in chains]
    return sorted(ordered, key=lambda c: (c[0].slice, c[0].top, c[0].left))


def _follows(box: SliceBox, other: SliceBox) -> bool:
    return box.name == other.name and 0 <= box.slice - other.slice <= 1 and box.meets(other)


def _box3d(chain: list[SliceBox], planes: Planes) -> Box3d:
    left, top = (min(getattr(b, side) for b in chain) for side in ("left", "top"))
    right, bottom = (max(getattr(b, side) for b in chain) for side in ("right", "bottom"))
    first, last = chain[0].slice, chain[-1].slice
    # edges to centres of pixels: the first pixel reaches from -0.5 to 0.5
    middle = ((left + right - 1) / 2, (top + bottom - 1) / 2)
    x, y, z = (float(v) for v in _between(planes, first, last, middle))
    row, column = planes.plane.spacing[1:]
    deep = float(planes.heights[last] - planes.heights[first]) + planes.step
    largest = max(chain, key=lambda b: b.area)
    width, height = (largest.right - largest.left) * column, (largest.bottom - largest.top) * row
    return Box3d(
        name=chain[0].name,
        slices=tuple(sorted({b.slice for b in chain})),
        centre=(x, y, z),
        size_mm=(deep, (bottom - top) * row, (right - left) * column),
        diameter_mm=(width + height) / 2,
    )


def _between(planes: Planes, first: int, last: int, pixel: tuple[float, float]) -> FloatArray:
    ends = [planes.to_world(number, np.array(pixel)) for number in (first, last)]
    return np.asarray(np.mean(ends, axis=0), float)
