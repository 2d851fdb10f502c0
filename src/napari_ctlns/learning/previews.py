"""What the network makes of the same validation patches, epoch after epoch, as pictures."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from napari_ctlns.atomic import atomic_path
from napari_ctlns.dataset.blocks import middle
from napari_ctlns.drawing import LUNG_WINDOW_HU
from napari_ctlns.events import Preview
from napari_ctlns.learning.curves import Curves
from napari_ctlns.learning.loader import Batch

MOST_IN_CURVES = 3
"""Patches that TensorBoard shows, `CURVES_PX` high: its files keep those of every epoch."""
CURVES_PX = 64
_LEAST_VIEW = 48
_VIEW = 2.5
"""How much wider than the nodule the view is: it is small in patches that are whole slices."""
_TRUTH_ALPHA = 0.6
_TILE_PX, _GAP_PX, _TITLE_PX, _FONT_PX = 224, 4, 34, 23

_Plane = npt.NDArray[np.float32]
_Picture = npt.NDArray[np.uint8]
Probability = Callable[[Batch], tuple[Tensor, Tensor, Tensor]]
"""From patches to image, target and probability, each (n, 1, z, y, x) on the CPU."""


class Previews:
    """Draws the first of some validation patches for people, and the first few for TensorBoard.

    Parameters
    ----------
    run
        The run folder; pictures go to ``previews``.
    curves
        Where TensorBoard's go.
    batch
        Validation patches with a nodule, the same every epoch.
    threshold
        Probability from which a voxel counts as found in the Dice that is written there.
    """

    def __init__(self, run: Path, curves: Curves, batch: Batch, threshold: float = 0.5) -> None:
        self._run = run
        self._curves = curves
        self._batch = batch
        self._threshold = threshold

    def draw(self, probability: Probability, epoch: int, step: int) -> Iterator[Preview]:
        """Write the pictures of an epoch and tell of the one for people.

        Parameters
        ----------
        probability
            What the network makes of patches.
        epoch
            Epochs done.
        step
            Steps done.

        Raises
        ------
        OutputError
            If the picture cannot be written.
        """
        _, target, found = probability(self._batch)
        hu, true, given = (part[:, 0].numpy() for part in (self._batch.hu, target, found))
        titles = (f"CT, epoch {epoch}", "Truth", f"Found, Dice {self._dice(true[0], given[0]):.2f}")
        path = self._run / "previews" / f"epoch-{epoch:04d}.png"
        with atomic_path(path) as temporary:
            _sheet(_tiles(hu[0], true[0], given[0]), titles).save(temporary)
        rows = [
            np.concatenate([_resized(tile, CURVES_PX) for tile in _tiles(*patch)], axis=1)
            for patch in list(zip(hu, true, given, strict=True))[:MOST_IN_CURVES]
        ]
        self._curves.picture("val/patches", step, np.concatenate(rows))
        yield Preview(path=path, step=step)

    def _dice(self, true: npt.NDArray[Any], probability: npt.NDArray[Any]) -> float:
        """Return the overlap in the whole patch (Dice 1945); 1 where nothing is and nothing was."""
        there, found = true > 0.5, probability >= self._threshold
        sizes = int(there.sum()) + int(found.sum())
        return 2 * int((there & found).sum()) / sizes if sizes else 1.0


def _tiles(
    hu: npt.NDArray[np.int16], true: _Plane, probability: _Plane
) -> tuple[_Picture, _Picture, _Picture]:
    """Draw the slice of a patch in which most is true: CT, truth on the CT, probability.

    Parameters
    ----------
    hu
        (z, y, x); may be larger than the answer, which is for its middle.
    true, probability
        (z, y, x), the same size.
    """
    answered = hu[middle(hu.shape, true.shape)]
    z = int(true.sum((1, 2)).argmax())
    rows, columns = _view(true[z])
    low, high = LUNG_WINDOW_HU
    grey = (answered[z, rows, columns].astype(np.float32) - low) / (high - low)
    ct = _coloured(grey, "bone")
    truth = ct.copy()
    inside = true[z, rows, columns] > 0.5
    mixed = (1 - _TRUTH_ALPHA) * ct + _TRUTH_ALPHA * _coloured(grey, "autumn")
    truth[inside] = mixed[inside].round()
    return ct, truth, _coloured(probability[z, rows, columns], "hot")


def _view(true: _Plane) -> tuple[slice, slice]:
    """Return a square of rows and columns around what is true in a slice, within the slice."""
    inside = np.nonzero(true > 0.5)
    extent = max((int(np.ptp(i)) + 1 for i in inside if i.size), default=max(true.shape))
    side = max(_LEAST_VIEW, round(_VIEW * extent))
    parts = []
    for indices, length in zip(inside, true.shape, strict=True):
        count = min(side, length)
        centre = int(indices.min() + indices.max() + 1) // 2 if indices.size else length // 2
        start = min(max(centre - count // 2, 0), length - count)
        parts.append(slice(start, start + count))
    return parts[0], parts[1]


def _coloured(values: _Plane, colours: str) -> _Picture:
    """Return numbers (y, x) from 0 to 1 as red, green and blue (y, x, 3)."""
    picture: _Picture = mpl.colormaps[colours](np.clip(values, 0, 1), bytes=True)[..., :3]
    return picture


def _resized(tile: _Picture, height: int) -> Image.Image:
    size = (round(height * tile.shape[1] / tile.shape[0]), height)
    return Image.fromarray(tile).resize(size, Image.Resampling.BILINEAR)


def _sheet(tiles: tuple[_Picture, ...], titles: tuple[str, ...]) -> Image.Image:
    """Lay out pictures side by side, with words that can be read at half the size."""
    path = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(str(path), _FONT_PX)
    parts = [_resized(tile, _TILE_PX) for tile in tiles]
    width = sum(part.width for part in parts) + _GAP_PX * (len(parts) - 1)
    sheet = Image.new("RGB", (width, _TITLE_PX + _TILE_PX))
    draw, left = ImageDraw.Draw(sheet), 0
    for part, title in zip(parts, titles, strict=True):
        sheet.paste(part, (left, _TITLE_PX))
        centre = (left + part.width / 2, _TITLE_PX / 2)
        draw.text(centre, title, fill="white", font=font, anchor="mm")
        left += part.width + _GAP_PX
    return sheet
