"""The contact sheet shows what training sees, or says why it cannot."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_ctlns.dataset import open_dataset
from napari_ctlns.dataset.patches import training_sampler
from napari_ctlns.errors import DatasetError, OutputError
from napari_ctlns.events import Finished, Saved, Uncontrolled
from napari_ctlns.jobs.registry import JOBS, start_job
from napari_ctlns.learning.loader import training_batch
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PatchesSpec

CHANGES = {
    "augmentation.rotation_deg": (90, 0, 0),
    "augmentation.affine_probability": 1.0,
    "augmentation.noise": 0.02,
}
FLAT = {"network.dimensions": 2, "patches.size": (3, 16, 16), "inference.window": None}


class Stopped(Uncontrolled):
    """Somebody has asked for an end."""

    def stop_requested(self) -> bool:
        return True


def drawn(dataset: Path, recipe: Recipe, out: Path, epoch: int = 0) -> np.ndarray:
    spec = PatchesSpec(dataset=dataset, recipe=recipe, out=out, epoch=epoch)
    events = list(start_job(JOBS["patches"], spec, Uncontrolled()))
    assert any(isinstance(event, Saved) and event.path == out for event in events)
    assert isinstance(events[-1], Finished)
    assert events[-1].result["path"] == str(out)
    return np.asarray(Image.open(out).convert("RGB")).astype(int)


def coloured(picture: np.ndarray) -> int:
    """Count pixels of an outline."""
    return int((picture.max(-1) - picture.min(-1) > 60).sum())


@pytest.mark.parametrize("flat", [False, True])
def test_tiles_are_the_patches_that_training_sees(
    dataset_folder: Path, recipe: Recipe, tmp_path: Path, flat: bool
) -> None:
    recipe = recipe.with_changes(CHANGES | (FLAT if flat else {}))
    picture = drawn(dataset_folder, recipe, tmp_path / "sheet.png", epoch=1)
    scans = open_dataset(dataset_folder).scans("train")
    sampler = training_sampler(scans, recipe)
    images, targets = training_batch(sampler, recipe, 1, range(12)).on(torch.device("cpu"))
    for n, (image, target) in enumerate(zip(images[:, 0], targets[:, 0], strict=True)):
        most = int(target.sum((1, 2)).argmax()) if target.any() else image.shape[0] // 2
        expected = image[1 if flat else most].numpy()
        row, column = divmod(n, 4)
        # 110 pixels an inch: tiles of 2.3, captions of 0.22, a heading of 0.38, gaps of 0.06
        top, left = round(110 * (0.6 + 2.52 * row)), round(110 * (0.06 + 2.36 * column))
        tile = picture[top : top + 253, left : left + 253]
        middles = np.arange(16) * 253 // 16 + 7
        grey = tile.min(-1)[middles][:, middles]
        assert np.corrcoef(grey.ravel(), expected.ravel())[0, 1] > 0.9
        assert (coloured(tile) > 0) == bool(target[0 if flat else most].any())
    assert picture[2, 2].max() < 50


def test_each_epoch_has_its_own_patches(
    dataset_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = recipe.with_changes({"patches.per_scan": 1})
    first = drawn(dataset_folder, recipe, tmp_path / "new" / "first.png")
    again = drawn(dataset_folder, recipe, tmp_path / "again.png")
    second = drawn(dataset_folder, recipe, tmp_path / "second.png", epoch=1)
    assert (first == again).all()
    assert (first != second).mean() > 0.1


def test_few_patches_make_a_small_sheet(make_dataset, recipe: Recipe, tmp_path: Path) -> None:
    dataset = make_dataset({"a" * 60: "train"})
    recipe = recipe.with_changes({"patches.per_scan": 1})
    assert drawn(dataset, recipe, tmp_path / "one.png").shape[0] < 400


def test_what_cannot_be_drawn_leaves_nothing(
    dataset_folder: Path, make_dataset, recipe: Recipe, tmp_path: Path
) -> None:
    def attempt(dataset: Path, recipe: Recipe, out: Path) -> None:
        spec = PatchesSpec(dataset=dataset, recipe=recipe, out=out)
        list(start_job(JOBS["patches"], spec, Uncontrolled()))

    out = tmp_path / "out" / "sheet.png"
    coarser = recipe.with_changes({"preparation.spacing_mm": 2.0})
    with pytest.raises(DatasetError, match="spacing_mm"):
        attempt(dataset_folder, coarser, out)
    with pytest.raises(DatasetError, match="no training scans"):
        attempt(make_dataset({"v": "val"}), recipe, out)
    assert not out.parent.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        attempt(dataset_folder, recipe, tmp_path / "file" / "sheet.png")


def test_it_can_be_stopped(dataset_folder: Path, recipe: Recipe, tmp_path: Path) -> None:
    spec = PatchesSpec(dataset=dataset_folder, recipe=recipe, out=tmp_path / "sheet.png")
    events = list(start_job(JOBS["patches"], spec, Stopped()))
    assert events[-1] == Finished(stopped=True)
    assert not spec.out.exists()
