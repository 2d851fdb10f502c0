"""What a person wants to know of a scan, in words."""

from dataclasses import dataclass

import numpy as np

from napari_ctlns.plugin.windowing import Window, opening_window
from napari_ctlns.volume import Geometry, Volume


@dataclass(frozen=True)
class ScanFacts:
    """What there is to say of a scan.

    Attributes
    ----------
    rows
        Values by their names; those with three axes are in (z, y, x) order.
    place
        Where it was read from, whole.
    notes
        What is particular, but as it should be.
    warnings
        What was mended on reading, and what cannot be trusted.
    full
        The window that shows all its values.
    header
        The window that its DICOM header proposes, if any.
    """

    rows: dict[str, str]
    place: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    full: Window
    header: Window | None


def facts_of(volume: Volume) -> ScanFacts:
    """Look through a scan, all its voxels too; meant for a thread."""
    from napari_ctlns.formats import describe

    geometry, source = volume.geometry, volume.source
    low, high = describe(volume)["hu_range"]
    uid = source.series_uid
    return ScanFacts(
        rows={
            "Name": volume.title,
            "Size": f"{_three(geometry.shape)} voxels",
            "Extent": f"{_three(geometry.size_mm)} mm",
            "Spacing": f"{_three(geometry.spacing)} mm",
            "Values": f"{low:g} to {high:g} HU",
            "Format": f"{_FORMATS.get(source.format, source.format)}, {source.modality or '?'}",
            "Series": uid or "no UID",
        },
        place=str(source.path or "made in memory"),
        notes=_notes(geometry),
        warnings=source.warnings,
        full=opening_window(volume, "full"),
        header=opening_window(volume, "header") if source.window_hu else None,
    )


_FORMATS = {
    "dicom": "DICOM",
    "mhd": "MetaImage (.mhd)",
    "mha": "MetaImage (.mha)",
    "nifti": "NIfTI",
    "nrrd": "NRRD",
    "memory": "in memory",
}


def _three(numbers: tuple[float, float, float]) -> str:
    return ", ".join(f"{n:.0f}" if n >= 100 else f"{n:.3g}" for n in numbers)


def _notes(geometry: Geometry) -> tuple[str, ...]:
    if not geometry.is_oblique:
        return ()
    turned = f"Oblique: turned by {_turned_by(geometry):.1f}° against the patient's axes"
    return (f"{turned}, shown along its own. Millimetres under the cursor are the patient's.",)


def _turned_by(geometry: Geometry) -> float:
    """Return the angle in degrees between the scan's axes and the patient's."""
    rotation = np.asarray(geometry.direction, float)
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
