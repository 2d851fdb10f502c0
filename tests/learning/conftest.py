"""A tiny dataset: bright balls in lung, three patients to learn from and one to validate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_ctlns.dataset.folder import DatasetCard, ScanCard, SourceNote, write_card
from napari_ctlns.dataset.revisions import ReadersMask, add_scan
from napari_ctlns.recipe import Preparation, Recipe, load_recipe
from napari_ctlns.specs import TrainSpec
from napari_ctlns.volume import Geometry

SHAPE = (28, 30, 32)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Networks this tiny are slowed down by a second thread, on a busy machine a lot."""
    torch.set_num_threads(1)


def _add(folder: Path, name: str, seed: int, nodules: int) -> None:
    random = np.random.default_rng(seed)
    hu = random.normal(-850, 30, SHAPE)
    mask = np.zeros(SHAPE, np.uint8)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    for label in range(1, nodules + 1):
        centre = random.integers(6, np.array(SHAPE) - 6)
        ball = np.linalg.norm(grid - centre, axis=-1) <= random.uniform(2.5, 5)
        hu[ball] = 40
        mask[ball] = label
    note = SourceNote(path=Path("none"))
    card = ScanCard(scan_id=name, patient_id=name, source=note, geometry=Geometry(SHAPE))
    add_scan(folder / name, card, hu.astype(np.int16), [ReadersMask(mask)])


def write_dataset(folder: Path, splits: dict[str, str], nodules: int = 2) -> Path:
    for seed, name in enumerate(splits):
        _add(folder, name, seed, nodules)
    card = DatasetCard(preparation=Preparation(), scans=tuple(splits), split=splits)
    write_card(folder / "dataset.json", card)
    return folder


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "balls"
    return write_dataset(folder, {"a": "train", "b": "train", "c": "train", "v": "val"})


@pytest.fixture
def make_dataset(tmp_path: Path):
    """Write a dataset with other splits or numbers of nodules."""
    return lambda splits, nodules=2: write_dataset(tmp_path / "dataset", splits, nodules)


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("ct-lns").with_changes(
        {
            "patches.size": (16, 16, 16),
            "patches.per_scan": 4,
            "network.channels": (4, 8),
            "optimisation.epochs": 2,
            "optimisation.batch_size": 4,
            "optimisation.precision": "fp32",
            "optimisation.learning_rate": 1e-2,
        }
    )


@pytest.fixture
def spec_of(dataset_folder: Path, tmp_path: Path, recipe: Recipe) -> Callable[..., TrainSpec]:
    """Return specs of trainings in folders of their own, with some keys changed."""

    def make(out: str = "run", changes: dict[str, Any] | None = None, **more: Any) -> TrainSpec:
        changed = recipe.with_changes(changes or {})
        values = {"dataset": dataset_folder, "out": tmp_path / out, "recipe": changed, **more}
        return TrainSpec(**values, device="cpu")

    return make
