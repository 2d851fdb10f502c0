"""Tiny synthetic scans with known nodules, as files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.recipe import Recipe, load_recipe

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm"


@dataclass(frozen=True)
class TinyScan:
    """A box of lung in a body in air; nodules are (z, y, x) index and diameter in mm."""

    name: str
    nodules: tuple[tuple[tuple[int, int, int], float], ...] = (((16, 20, 24), 9.0),)
    shape: tuple[int, int, int] = (32, 40, 48)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    seed: int = 0

    def labels(self) -> np.ndarray:
        grid = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), -1)
        labels = np.zeros(self.shape, np.uint8)
        for label, (centre, diameter) in enumerate(self.nodules, 1):
            distance = np.linalg.norm((grid - centre) * self.spacing, axis=-1)
            labels[distance <= diameter / 2] = label
        return labels

    def image(self) -> sitk.Image:
        hu = np.full(self.shape, -1000.0)
        hu[:, 3:-3, 3:-3] = 40
        hu[2:-2, 6:-6, 6:-6] = -850
        hu[self.labels() > 0] = 50
        hu += np.random.default_rng(self.seed).normal(0, 20, self.shape)
        return self.on_grid(np.clip(hu, -1024, 3071).astype(np.int16))

    def on_grid(self, array: np.ndarray) -> sitk.Image:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing[::-1])
        image.SetOrigin((-50.0, -60.0, 100.0))
        return image


@dataclass(frozen=True)
class TinyCohort:
    """Scans as .mhd in ``scans``, their nodules in ``annotations`` and ``masks``."""

    folder: Path

    @property
    def scans(self) -> Path:
        return self.folder / "scans"

    @property
    def annotations(self) -> Path:
        return self.folder / "annotations.csv"

    @property
    def masks(self) -> Path:
        return self.folder / "true"


@pytest.fixture
def tiny_cohort(tmp_path: Path) -> Callable[..., TinyCohort]:
    """Write scans (by default: three) and return where they are."""

    def write(*scans: TinyScan) -> TinyCohort:
        scans = scans or tuple(
            TinyScan(name, nodules=(((14, 20, 16 + 4 * i), 8.0),), seed=i)
            for i, name in enumerate("abc")
        )
        cohort = TinyCohort(tmp_path / "cohort")
        cohort.scans.mkdir(parents=True)
        cohort.masks.mkdir()
        rows = [HEADER]
        for scan in scans:
            image = scan.image()
            sitk.WriteImage(image, str(cohort.scans / f"{scan.name}.mhd"))
            mask = scan.on_grid(scan.labels())
            sitk.WriteImage(mask, str(cohort.masks / f"{scan.name}.nii.gz"))
            for (z, y, x), diameter in scan.nodules:
                point = image.TransformIndexToPhysicalPoint((x, y, z))
                rows.append(",".join([scan.name, *(f"{p:g}" for p in point), str(diameter)]))
        cohort.annotations.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return cohort

    return write


@pytest.fixture
def tiny_scan() -> type[TinyScan]:
    """The class, because modules of tests cannot import one another."""
    return TinyScan


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("ct-lns").with_changes({"patches.size": (16, 16, 16)})
