"""Pictures of what a network makes of the same patches, epoch after epoch."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from napari_ctlns.errors import OutputError
from napari_ctlns.learning.curves import Curves
from napari_ctlns.learning.previews import CURVES_PX, MOST_IN_CURVES, Previews

SHAPES = {"3D": ((32, 64, 64), 32), "2.5D": ((3, 128, 128), 1), "2D": ((1, 128, 128), 1)}
"""Of the patches, and how many slices the answer is for."""


class Patches:
    """Patches of air with a bright ball in the middle, and an answer to them."""

    def __init__(self, shape: tuple[int, int, int], slices: int, count: int = 5) -> None:
        z, y, x = np.indices(shape) - np.reshape([s // 2 for s in shape], (3, 1, 1, 1))
        self.ball = z**2 + y**2 + x**2 <= 8**2
        hu = np.where(self.ball, 150, -1350).astype(np.int16)
        self.batch = SimpleNamespace(hu=torch.from_numpy(np.stack([hu] * count)[:, None].copy()))
        first = (shape[0] - slices) // 2
        true = self.ball[first : first + slices].astype(np.float32)
        self.target = torch.from_numpy(np.stack([true] * count)[:, None].copy())
        self.found = self.target

    def probability(self, batch: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        assert batch is self.batch
        return self.target, self.target, self.found


@pytest.fixture(params=SHAPES)
def patches(request: pytest.FixtureRequest) -> Patches:
    return Patches(*SHAPES[request.param])


def drawn(folder: Path, patches: Patches, epoch: int = 3, threshold: float = 0.5) -> np.ndarray:
    with Curves(folder, 0) as curves:
        previews = Previews(folder, curves, patches.batch, threshold)
        (event,) = previews.draw(patches.probability, epoch, step=30)
    assert event.step == 30
    assert event.path == folder / "previews" / f"epoch-{epoch:04d}.png"
    assert [path.name for path in event.path.parent.iterdir()] == [event.path.name]
    return np.asarray(Image.open(event.path).convert("RGB"))


def thirds(picture: np.ndarray) -> list[np.ndarray]:
    """CT, truth and prediction, without their titles and the gaps between them."""
    side, gap = 224, 4
    assert picture.shape[1] == 3 * side + 2 * gap
    lefts = (0, side + gap, 2 * (side + gap))
    return [picture[-side:, left : left + side].astype(int) for left in lefts]


def test_a_right_answer_looks_like_the_truth(tmp_path: Path, patches: Patches) -> None:
    ct, truth, found = thirds(drawn(tmp_path, patches))
    middle = tuple(n // 2 for n in ct.shape[:2])
    # bone of matplotlib: black air, white ball
    assert ct[middle].tolist() == [255, 255, 255]
    assert ct[0, 0].tolist() == [0, 0, 0]
    # the truth is coloured, and nothing else is
    assert np.array_equal(truth[0, 0], ct[0, 0])
    assert truth[middle][2] < 120 < truth[middle][0]
    # hot: white is 1, black is (nearly) 0
    assert found[middle].tolist() == [255, 255, 255]
    assert found[0, 0].max() < 30
    coloured = np.ptp(truth, axis=2) > 60
    seen = found.sum(axis=2) > 380
    assert (coloured & seen).sum() / (coloured | seen).sum() > 0.9


def test_what_is_not_found_is_black(tmp_path: Path, patches: Patches) -> None:
    patches.found = torch.zeros_like(patches.target)
    _, truth, found = thirds(drawn(tmp_path, patches))
    assert found.max() < 30
    assert np.ptp(truth, axis=2).max() > 60


def test_a_small_nodule_in_a_whole_slice_is_drawn_large(tmp_path: Path) -> None:
    patches = Patches((1, 512, 512), 1)
    ct, _, _ = thirds(drawn(tmp_path, patches))
    assert 0.05 < (ct.sum(axis=2) > 380).mean() < 0.3


def test_a_nodule_at_the_edge_stays_in_sight(tmp_path: Path) -> None:
    patches = Patches((1, 128, 128), 1)
    rolled = torch.roll(patches.target, (52, -52), dims=(3, 4))
    patches.target = patches.found = rolled
    _, truth, found = thirds(drawn(tmp_path, patches))
    assert (found.sum(axis=2) > 380).mean() > 0.02
    assert (np.ptp(truth, axis=2) > 60).any()


def test_the_title_tells_epoch_and_dice(tmp_path: Path, patches: Patches) -> None:
    """Pixels of words are compared, since a picture tells nothing else."""

    def title(name: str, epoch: int, threshold: float = 0.5) -> np.ndarray:
        return drawn(tmp_path / name, patches, epoch, threshold)[:24]

    patches.found = patches.target * 0.6
    right, later = title("a", 3), title("b", 4)
    width = right.shape[1] // 3
    assert not np.array_equal(right[:, :width], later[:, :width])
    assert np.array_equal(right[:, -width:], later[:, -width:])
    strict = title("c", 3, threshold=0.7)  # nothing reaches it: Dice 0
    assert np.array_equal(right[:, :width], strict[:, :width])
    assert not np.array_equal(right[:, -width:], strict[:, -width:])


def test_tensorboard_shows_a_few_small_patches(tmp_path: Path, patches: Patches) -> None:
    drawn(tmp_path, patches)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (image,) = events.Images("val/patches")
    assert image.step == 30
    assert image.height == MOST_IN_CURVES * CURVES_PX
    assert image.width == 3 * CURVES_PX
    assert len(image.encoded_image_string) < 50_000


def test_fewer_patches_than_it_could_show(tmp_path: Path) -> None:
    patches = Patches((8, 64, 48), 8, count=1)
    drawn(tmp_path, patches)


def test_a_patch_without_a_nodule_is_drawn_whole(tmp_path: Path) -> None:
    patches = Patches((1, 64, 64), 1)
    patches.target = patches.found = torch.zeros_like(patches.target)
    ct, truth, found = thirds(drawn(tmp_path, patches))
    assert np.array_equal(ct, truth)
    assert found.max() < 30


def test_no_half_picture_is_left(tmp_path: Path, patches: Patches) -> None:
    (tmp_path / "previews").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="previews"):
        drawn(tmp_path, patches)
