"""Volumes and annotations as napari layers, and back.

Every layer of ours carries units and axis names, because napari stops using
units when layers differ, and a `Volume` or the scan it belongs to in
``layer.metadata["ctlns"]``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer, Points

from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.plugin.canvas import COMMON, canvas_to_lps, lps_to_canvas, placed
from napari_ctlns.plugin.windowing import PRESETS, Window, display_range
from napari_ctlns.volume import AIR_HU, FloatArray, Geometry, Volume

if TYPE_CHECKING:
    from napari_ctlns.formats import Candidate

KEY = "ctlns"
NEW_DIAMETER_MM = 10.0
"""Of a nodule that was marked in a scan without any, unless told otherwise."""
ANNOTATION_COLOUR = "#e69f00"
"""Orange of the Okabe-Ito palette, which colour-blind people tell from the labels' own."""

CANDIDATE_MM = 3.0
"""Of the disc that marks a candidate, which has a place but no size."""
_SEEN = "ctlns-seen"
_NODULE_COLOUR = np.array([0.9, 0.62, 0.0])
_NO_NODULE_COLOUR = np.array([0.34, 0.71, 0.91])
_BORDER_MM = 0.6
_DECIMALS = 9

Box = tuple[slice, ...]
Colour = tuple[float, float, float, float]
LayerTuple = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True, eq=False)
class ScanLayer:
    """What the layer of a CT remembers: the scan it shows, and the HU that it spans."""

    volume: Volume
    hu_range: tuple[float, float]


@dataclass(frozen=True, eq=False)
class ComingScan:
    """Marks the layer of a CT that is still being read: it is shown, but nobody works on it."""


@dataclass(frozen=True, eq=False)
class MaskLayer:
    """What a labels layer remembers: its grid, whose mask it is, and its findings."""

    geometry: Geometry
    scan_id: str = ""
    patient_id: str = ""
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, eq=False)
class AnnotationLayer:
    """What a points layer of annotations remembers: the scan that they belong to."""

    geometry: Geometry
    scan_id: str = ""


@dataclass(frozen=True, eq=False)
class CandidateLayer:
    """Marks points that may be nodules: they are only looked at."""

    geometry: Geometry


@dataclass(frozen=True, eq=False)
class PreviewLayer:
    """Marks a layer that only shows what something would be, or was: nobody works on it.

    Attributes
    ----------
    kind
        What it is a preview of, and its name at first.
    boxes
        Where it holds something.
    """

    geometry: Geometry
    kind: str
    boxes: tuple[Box, ...] = ()


# -- to layers --------------------------------------------------------------------


def scan_tuple(volume: Volume, window: Window = PRESETS["lung"]) -> LayerTuple:
    """Return a CT as layer data: HU from -1024 up, drawn through ``window``.

    For a large scan it takes a moment and is for a thread.
    """
    return (
        displayed(volume),
        {
            **_drawn(volume, window),
            "metadata": {KEY: ScanLayer(volume, display_range(volume))},
        },
        "image",
    )


def coming_tuple(volume: Volume, read: npt.NDArray[np.bool_], window: Window) -> LayerTuple:
    """Return a CT of which only some voxels are ``read`` yet as layer data."""
    return (
        Filling(volume.array, read),
        {**_drawn(volume, window), "metadata": {KEY: ComingScan()}},
        "image",
    )


def _drawn(volume: Volume, window: Window) -> dict[str, Any]:
    return {
        **placed(volume.geometry),
        "name": volume.title,
        "rgb": False,  # napari takes a last axis of 3 or 4 for colours
        "colormap": "gray",
        "contrast_limits": (window.low, window.high),
        # the thick slices by which annotations shrink must not blur the CT
        "projection_mode": "none",
    }


def mask_tuple(mask: Volume, name: str, findings: Findings | None = None) -> LayerTuple:
    """Return a mask as layer data; its array becomes the layer's and is edited in place."""
    if findings is None:
        findings = Findings(scan_id=mask.scan_id).follow(mask.array)
    known = MaskLayer(mask.geometry, mask.scan_id, mask.patient_id, findings)
    return (
        mask.array,
        {**placed(mask.geometry), "name": name, "opacity": 0.5, "metadata": {KEY: known}},
        "labels",
    )


def annotations_tuple(
    annotations: Iterable[Annotation], geometry: Geometry, scan_id: str, name: str = "annotations"
) -> LayerTuple:
    """Return annotations as layer data: points as large as the nodules.

    The layer's unit is the scan's widest spacing: napari steps from slice to slice by
    the smallest scale of all layers, and points in millimetres would make it stop
    between slices that lie further apart. It is one unit for all axes, because point
    sizes, and how they shrink away from their slice, know only one.
    """
    rows = tuple(annotations)
    unit = max(geometry.spacing)
    centres = lps_to_canvas(geometry, np.array([a.centre for a in rows]).reshape(-1, 3))
    return (
        centres / unit,
        {
            **COMMON,
            "scale": (unit,) * 3,
            "name": name,
            "size": [a.diameter_mm / unit for a in rows] or NEW_DIAMETER_MM / unit,
            "face_color": "transparent",
            "border_color": ANNOTATION_COLOUR,
            "border_width": _BORDER_MM / unit,
            "border_width_is_relative": False,
            "antialiasing": 0,
            "projection_mode": "rescale_spherical",
            "metadata": {KEY: AnnotationLayer(geometry, scan_id)},
        },
        "points",
    )


def candidates_tuple(
    candidates: Iterable["Candidate"], geometry: Geometry, name: str = "candidates"
) -> LayerTuple:
    """Return candidates as layer data: small discs, coloured by class, else by probability.

    They are there to be seen; nobody works on them as on annotations.
    """
    rows = tuple(candidates)
    unit = max(geometry.spacing)
    centres = lps_to_canvas(geometry, np.array([c.centre for c in rows]).reshape(-1, 3))
    scores = [c.probability for c in rows]
    return (
        centres / unit,
        {
            **COMMON,
            "scale": (unit,) * 3,
            "name": name,
            "size": CANDIDATE_MM / unit,
            "face_color": [_candidate_colour(c) for c in rows],
            "border_width": 0,
            "opacity": 0.8,
            "antialiasing": 0,
            "projection_mode": "rescale_spherical",
            "features": {"class": [c.is_nodule for c in rows], "probability": scores},
            "metadata": {KEY: CandidateLayer(geometry)},
        },
        "points",
    )


def _candidate_colour(candidate: "Candidate") -> Colour:
    """Orange for a nodule, blue for none, and between them by probability."""
    share = candidate.probability if candidate.is_nodule is None else float(candidate.is_nodule)
    share = min(max(share or 0.0, 0.0), 1.0)
    mixed = share * _NODULE_COLOUR + (1 - share) * _NO_NODULE_COLOUR
    return (float(mixed[0]), float(mixed[1]), float(mixed[2]), 1.0)


def preview_tuple(geometry: Geometry, kind: str) -> LayerTuple:
    """Return an empty preview of a mask as layer data."""
    return (
        # of one width however many nodules there come to be
        np.zeros(geometry.shape, np.uint16),
        {
            **placed(geometry),
            "name": kind,
            "metadata": {KEY: PreviewLayer(geometry, kind)},
        },
        "labels",
    )


def displayed(volume: Volume) -> npt.NDArray[Any]:
    """Return the HU to show: the stored array itself where nothing lies below -1024."""
    fine = volume.array.min() >= AIR_HU  # False for NaN
    return volume.array if fine else volume.hu()


class Filling:
    """An array that is being filled, as it is displayed: air where nothing has been read yet.

    What is asked for is copied, so a slice costs a slice and nothing is held twice.

    Parameters
    ----------
    array
        Of HU; what lies below -1024 is displayed as that.
    read
        Which voxels are there already, in a shape that broadcasts against the array.
    """

    def __init__(self, array: npt.NDArray[Any], read: npt.NDArray[np.bool_]) -> None:
        self._array = array
        self._read = np.broadcast_to(read, array.shape)
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        air = np.asarray(AIR_HU, self.dtype)
        # fmax, not maximum: it prefers a number to NaN
        return np.asarray(np.where(self._read[key], np.fmax(self._array[key], air), air))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[...].astype(dtype or self.dtype, copy=False)


# -- from layers ------------------------------------------------------------------


def scan_of(layer: Layer | None) -> Volume | None:
    """Return the CT that a layer shows, or None."""
    known = layer.metadata.get(KEY) if isinstance(layer, Image) else None
    return known.volume if isinstance(known, ScanLayer) else None


def mask_of(layer: Labels, scan: Volume | None = None) -> Volume:
    """Return the mask that a labels layer shows, edits included.

    Parameters
    ----------
    layer
        One of ours, or any other in millimetres, for example a new one of napari's.
    scan
        The scan it is drawn on; a layer that is not ours takes ids and direction from it.

    Returns
    -------
    Volume
        Kind "mask", on the layer's own grid; the array is the layer's, not a copy.
    """
    array = np.asarray(layer.data)
    known = layer.metadata.get(KEY)
    if isinstance(known, MaskLayer) and known.geometry.shape == array.shape:
        return Volume(array, known.geometry, "mask", known.scan_id, known.patient_id)
    if scan is None:
        corner = [float(v) for v in layer.translate[::-1]]
        z, y, x = (float(v) for v in layer.scale)
        own = Geometry(array.shape, (z, y, x), (corner[0], corner[1], corner[2]))
        return Volume(array, own, "mask")
    return Volume(array, _grid_beside(layer, scan.geometry), "mask", scan.scan_id, scan.patient_id)


def _grid_beside(layer: Labels, geometry: Geometry) -> Geometry:
    """Return the grid of a foreign layer, turned as the scan it lies over."""
    z, y, x = (float(v) for v in layer.scale)
    ox, oy, oz = (float(v) for v in canvas_to_lps(geometry, layer.translate))
    own = replace(geometry, shape=layer.data.shape, spacing=(z, y, x), origin=(ox, oy, oz))
    return geometry if own.same_grid(geometry) else own


def findings_of(layer: Labels) -> Findings:
    """Return the findings of a labels layer; those of one that is not ours are made up."""
    known = layer.metadata.get(KEY)
    if isinstance(known, MaskLayer):
        return known.findings
    return Findings().follow(np.asarray(layer.data))


def keep_findings(layer: Labels, findings: Findings, mask: Volume) -> None:
    """Let a labels layer remember its findings, and the grid of ``mask``, which it shows."""
    layer.metadata[KEY] = MaskLayer(mask.geometry, mask.scan_id, mask.patient_id, findings)


def colours_of_labels(layer: Labels, labels: Sequence[int]) -> dict[int, Colour]:
    """Return the colours (red, green, blue, alpha; 0 to 1) in which labels are drawn."""
    # also where only the selected label is shown at the moment
    colours = layer.colormap.model_copy(update={"use_selection": False}).map(
        np.asarray(labels, int)
    )
    return {
        label: (float(red), float(green), float(blue), float(alpha))
        for label, (red, green, blue, alpha) in zip(labels, colours, strict=True)
    }


def annotations_of_layer(layer: Points, scan: Volume | None = None) -> tuple[Annotation, ...]:
    """Return the annotations that a points layer shows, moved, added and resized ones included.

    Parameters
    ----------
    layer
        One of ours, or any other in millimetres.
    scan
        The scan that points of a layer which is not ours are meant for.
    """
    known = layer.metadata.get(KEY)
    if isinstance(known, AnnotationLayer):
        geometry, scan_id = known.geometry, known.scan_id
    elif scan is not None:
        geometry, scan_id = scan.geometry, scan.scan_id
    else:
        geometry, scan_id = Geometry((1, 1, 1)), ""
    centres = np.asarray(layer.data) * layer.scale + layer.translate
    diameters = np.asarray(layer.size) * float(layer.scale[-1])
    return _annotations(scan_id, canvas_to_lps(geometry, centres), diameters)


def _annotations(
    scan_id: str, centres: FloatArray, diameters: Sequence[float] | FloatArray
) -> tuple[Annotation, ...]:
    return tuple(
        # a table that was loaded and not changed is saved with the very same numbers
        Annotation(scan_id, *(round(float(value), _DECIMALS) for value in (x, y, z, diameter)))
        for (x, y, z), diameter in zip(centres, diameters, strict=True)
    )


def is_annotations(layer: Layer | None) -> bool:
    """Whether a layer holds annotations of ours."""
    return isinstance(layer, Points) and isinstance(layer.metadata.get(KEY), AnnotationLayer)


def is_coming(layer: Layer | None) -> bool:
    """Whether a layer shows a CT that is still being read."""
    return isinstance(layer, Image) and isinstance(layer.metadata.get(KEY), ComingScan)


def is_preview(layer: Layer | None) -> bool:
    """Whether a layer only shows what something would be, or was."""
    return layer is not None and isinstance(layer.metadata.get(KEY), PreviewLayer)


# -- what is hidden for a while ---------------------------------------------------


def hide_for_now(layer: Layer) -> None:
    """Hide a layer and remember whether it was seen."""
    layer.metadata[_SEEN] = layer.visible
    layer.visible = False


def show_again(layer: Layer) -> None:
    """Show a layer that was hidden for a while, if it was seen before."""
    layer.visible = layer.metadata.pop(_SEEN, layer.visible)


def is_shown(layer: Layer) -> bool:
    """Whether a layer is seen, or will be again."""
    return bool(layer.metadata.get(_SEEN, layer.visible))
