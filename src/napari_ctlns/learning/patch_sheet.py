"""The job that draws patches as training will see them."""

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_ctlns.atomic import atomic_path
from napari_ctlns.dataset.patches import PatchSampler, training_sampler
from napari_ctlns.drawing import TRUE_COLOUR, draw_outline, png_of
from napari_ctlns.events import Control, Event, Finished, Saved, Started
from napari_ctlns.learning.data import fitting_dataset
from napari_ctlns.learning.loader import training_batch
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PatchesSpec

MOST = 12
"""Patches on a sheet."""
_COLUMNS = 4
_TILE_INCHES, _CAPTION_INCHES, _HEAD_INCHES, _GAP_INCHES = 2.3, 0.22, 0.38, 0.06
_DPI = 110
_CAPTION_LETTERS = 38
_GROUND = "#1c1c1c"
"""Dark, but not as air, whose patches would have no border."""

_Array = npt.NDArray[Any]


def patches(spec: PatchesSpec, control: Control) -> Iterator[Event]:
    """Draw the first patches of an epoch into a PNG, changed as training changes them.

    Of each the slice with the most of the mask is shown, with its outline; where a
    network of 2 dimensions is trained, the middle one, the only one with a target.

    Yields
    ------
    Event
        Finished tells ``path``.

    Raises
    ------
    DatasetError
        If the dataset has no training scans or was prepared otherwise than the recipe wants.
    OutputError
        If the picture cannot be written.
    """
    yield Started(title=f"Draw patches of {spec.recipe.name}")
    sampler = _sampler(spec)
    control.wait_while_paused()
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    figure = _sheet(sampler, spec.recipe, spec.epoch)
    with atomic_path(spec.out) as temporary:
        temporary.write_bytes(png_of(figure))
    yield Saved(path=spec.out, kind="picture")
    yield Finished(result={"path": str(spec.out)})


def _sampler(spec: PatchesSpec) -> PatchSampler:
    dataset = fitting_dataset(spec.dataset, spec.recipe)
    return training_sampler(dataset.scans("train"), spec.recipe)


def _sheet(sampler: PatchSampler, recipe: Recipe, epoch: int) -> Figure:
    count = min(MOST, sampler.epoch_length)
    batch = training_batch(sampler, recipe, epoch, range(count))
    images, targets = (part[:, 0].numpy() for part in batch.on(torch.device("cpu")))
    figure, axes = _grid(count)
    words = f"{recipe.name}, epoch {epoch + 1}: the first {count} patches as training sees them"
    figure.suptitle(words, color="white", fontsize=9, y=1 - 0.1 / figure.get_figheight(), va="top")
    for n, ax in enumerate(axes):
        low, high, factor, offset = batch.scaling[n].tolist()
        shown, outlined = _slice(images[n], targets[n])
        limits = (low * factor + offset, high * factor + offset)
        ax.imshow(shown, cmap="gray", vmin=limits[0], vmax=limits[1])
        draw_outline(ax, outlined, TRUE_COLOUR)
        what = recipe.structure if targets[n].any() else f"no {recipe.structure}"
        scan = sampler.scans[batch.samples[n].scan].scan_id
        ax.set_title(_short(f"{what}, {scan}"), color="white", fontsize=7.5, pad=3)
    return figure


def _slice(image: _Array, target: _Array) -> tuple[_Array, _Array]:
    """Return image and target (y, x) where most is marked; (z, y, x) are their middles."""
    marked = target.sum((1, 2))
    z = int(marked.argmax()) if marked.any() else len(target) // 2
    return image[z + (len(image) - len(target)) // 2], target[z]


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """Return a dark figure with places for square pictures, a caption above each."""
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    width = max(columns, 2) * (_TILE_INCHES + _GAP_INCHES) + _GAP_INCHES
    height = _HEAD_INCHES + rows * (_TILE_INCHES + _CAPTION_INCHES) + _GAP_INCHES
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_GROUND)
    axes = []
    for n in range(count):
        row, column = divmod(n, columns)
        left = _GAP_INCHES + column * (_TILE_INCHES + _GAP_INCHES)
        top = _HEAD_INCHES + row * (_TILE_INCHES + _CAPTION_INCHES) + _CAPTION_INCHES
        bottom = height - top - _TILE_INCHES
        place = (left / width, bottom / height, _TILE_INCHES / width, _TILE_INCHES / height)
        axes.append(figure.add_axes(place))
        axes[-1].set_axis_off()
    return figure, axes


def _short(words: str) -> str:
    """Leave out the middle of words that are too long, such as series UIDs."""
    if len(words) <= _CAPTION_LETTERS:
        return words
    half = (_CAPTION_LETTERS - 1) // 2
    return f"{words[:half]}…{words[-half:]}"
