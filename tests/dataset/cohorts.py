"""Tiny synthetic scans with known nodules, as files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm"


@dataclass(frozen=True)
class TinyScan:
    """A box of lung in a body in air; nodules are (z, y, x) index and diameter in mm."""

    name: str
    nodules: tuple[tuple[tuple[int, int, int], float], ...] = (((16, 20, 24), 9.0),)
    shape: tuple[int, int, int] = (32, 40, 48)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    seed: int = 0


def image_of(scan: TinyScan) -> sitk.Image:
    random = np.random.default_rng(scan.seed)
    hu = np.full(scan.shape, -1000.0)
    hu[:, 3:-3, 3:-3] = 40
    hu[2:-2, 6:-6, 6:-6] = -850
    grid = np.stack(np.meshgrid(*map(np.arange, scan.shape), indexing="ij"), -1)
    for centre, diameter in scan.nodules:
        distance = np.linalg.norm((grid - centre) * scan.spacing, axis=-1)
        hu[distance <= diameter / 2] = 50
    hu += random.normal(0, 20, scan.shape)
    image = sitk.GetImageFromArray(np.clip(hu, -1024, 3071).astype(np.int16))
    image.SetSpacing(scan.spacing[::-1])
    image.SetOrigin((-50.0, -60.0, 100.0))
    return image


def write_tiny_cohort(folder: Path, scans: list[TinyScan]) -> Path:
    """Write each scan as .mhd, and annotations.csv; return the CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [HEADER]
    for scan in scans:
        image = image_of(scan)
        sitk.WriteImage(image, str(folder / f"{scan.name}.mhd"))
        for (z, y, x), diameter in scan.nodules:
            point = image.TransformIndexToPhysicalPoint((x, y, z))
            rows.append(",".join([scan.name, *(str(p) for p in point), str(diameter)]))
    csv = folder / "annotations.csv"
    csv.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return csv
