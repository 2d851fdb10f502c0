"""One click on a nodule becomes its mask by a model that was taught with clicks."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from napari_ctlns.dataset.blocks import Index, as_index, cut_block, moved_in
from napari_ctlns.dataset.clicking import click_channels
from napari_ctlns.errors import ClickError
from napari_ctlns.events import Control, Event, Finished, Saved, Started
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.inference.click_window import (
    clicked_preparation,
    clicking_recipe,
    surroundings,
)
from napari_ctlns.inference.engines import Engine, prepare_engine
from napari_ctlns.inference.model import model_hash
from napari_ctlns.masks.click import Clicks, check_clicks, mask_of, part_in_scan
from napari_ctlns.masks.components import connected, without_holes
from napari_ctlns.masks.islands import Part
from napari_ctlns.normalising import fixed_scaling
from napari_ctlns.recipe import Recipe
from napari_ctlns.resampling import prepared_hu, resample_array
from napari_ctlns.specs import ClickSpec
from napari_ctlns.volume import Geometry, Volume

Bools = npt.NDArray[np.bool_]
EngineFor = Callable[[Path], Engine]

AIR_ENDS_HU = -950
"""What is darker is air, in the body or around it, and no nodule."""
LOGITS = 2.0
"""By how much a tightness of 1 raises the threshold: 0.5 becomes 0.88."""
NEAR_MM = 3.0
"""A nodule has a voxel as near as this to where it was clicked on."""
LARGEST = 0.75
"""Of the diameter that was told, how far from the first click a nodule may reach."""


def kept_engine(model: Path) -> Engine:
    """Return a model's engine on the CPU; that of the last model is kept."""
    return _engine(model, model_hash(model))


@functools.lru_cache(maxsize=1)
def _engine(model: Path, contents: str) -> Engine:  # noqa: ARG001 - tells a replaced model
    return prepare_engine(model, device="cpu")


def learned_click(
    scan: Volume, clicks: Clicks, model: Path, engine_for: EngineFor = kept_engine
) -> Part:
    """Return the nodule that was clicked on, as a model sees it.

    Parameters
    ----------
    scan
        A CT in HU.
    clicks
        All of them are shown to the model at once. ``diameter_mm`` bounds the nodule, and
        ``tightness`` moves the probability from which a voxel is inside.
    model
        One that takes clicks.
    engine_for
        Where its engine comes from.

    Returns
    -------
    Part
        The nodule's voxels on the scan's own grid, connected, at the first place; none is
        one of air or of a click outside, and there are no holes unless somebody clicked in one.

    Raises
    ------
    ClickError
        If a click lies outside the scan, not on anything like a nodule, or on something
        larger than the model sees at once.
    ModelError
        If the model is none, or takes no clicks.
    """
    recipe = clicking_recipe(model)
    check_clicks(scan, clicks)
    near, start = surroundings(scan, recipe, clicks.inside)
    seen = _seen(near, recipe, clicks, engine_for(model))
    inside = _inside(near, seen, clicks, recipe)
    place = near.geometry.world_to_index(np.asarray(clicks.inside[0], float))
    inside = _component(inside, near.geometry, place)
    _must_end(inside, near.geometry, seen)
    inside = without_holes(inside) & ~_marked(near.geometry, clicks.outside)
    return part_in_scan(inside, np.asarray(start))


def click(
    spec: ClickSpec, control: Control, engine_for: EngineFor = kept_engine
) -> Iterator[Event]:
    """Find the nodule that was clicked on in a scan's file and write its mask.

    Yields
    ------
    Event
        `Finished` has ``mask``, ``voxels`` and ``engine``. When stopped nothing is written.

    Raises
    ------
    CtlnsError
        ClickError, ModelError, ScanError or OutputError.
    """
    yield Started(title=f"Find what was clicked on in {spec.scan.name}")
    scan = read_scan(spec.scan)
    clicks = Clicks(spec.inside, spec.outside, spec.diameter_mm, spec.tightness)
    part = learned_click(scan, clicks, spec.model, engine_for)
    control.wait_while_paused()
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    write_volume(mask_of(part, scan), spec.mask)
    yield Saved(path=spec.mask, kind="mask")
    engine = engine_for(spec.model).name
    yield Finished(result={"mask": str(spec.mask), "voxels": part.voxels, "engine": engine})


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a model says of its window.

    Attributes
    ----------
    probability
        (z, y, x), on the window's grid.
    geometry
        That grid.
    open_low, open_high
        For (z, y, x) whether the scan goes on beyond the first and the last voxel.
    """

    probability: npt.NDArray[np.float32]
    geometry: Geometry
    open_low: Bools
    open_high: Bools


def _seen(near: Volume, recipe: Recipe, clicks: Clicks, engine: Engine) -> _Seen:
    """Show a model its window about the clicks."""
    preparation, size = clicked_preparation(recipe), recipe.window
    hu, grid = prepared_hu(near, preparation)
    inside = grid.world_to_index(np.asarray(clicks.inside, float))
    outside = grid.world_to_index(np.asarray(clicks.outside, float).reshape(-1, 3))
    middle = as_index(np.rint(inside.mean(axis=0)))
    start = _start(middle, size, hu.shape)
    image = fixed_scaling(preparation).applied(cut_block(hu, start, size))
    places = click_channels(size, grid.spacing, inside - start, outside - start)
    found = engine.run(np.concatenate([image[None], places])[None])
    begins, ends = np.asarray(start), np.add(start, size)
    return _Seen(found[0, 0], grid.cropped(start, size), begins > 0, ends < hu.shape)


def _start(middle: Index, size: Index, shape: tuple[int, ...]) -> Index:
    """Return where a window begins that is about a voxel, or moved into the array."""
    return moved_in(np.subtract(middle, np.asarray(size) // 2), size, shape)


def _inside(near: Volume, seen: _Seen, clicks: Clicks, recipe: Recipe) -> Bools:
    """Return on the scan's own grid what is probable, and can be a part of the nodule."""
    geometry = near.geometry
    probability = resample_array(seen.probability, seen.geometry, geometry)
    threshold = expit(logit(recipe.inference.threshold) + LOGITS * clicks.tightness)
    inside = (probability >= threshold) & (near.array > AIR_ENDS_HU)
    inside &= ~_marked(geometry, clicks.outside)
    if clicks.diameter_mm is not None:
        inside &= _within(geometry, clicks.inside[0], LARGEST * clicks.diameter_mm)
    return np.asarray(inside)


def _within(geometry: Geometry, place: tuple[float, float, float], reach_mm: float) -> Bools:
    """Return which voxels have their centre within millimetres of a place."""
    index = geometry.world_to_index(np.asarray(place, float))
    z, y, x = (
        ((np.arange(n) - at) * mm) ** 2
        for n, at, mm in zip(geometry.shape, index, geometry.spacing, strict=True)
    )
    return np.asarray(z[:, None, None] + y[:, None] + x <= reach_mm**2)


def _marked(geometry: Geometry, places: tuple[tuple[float, float, float], ...]) -> Bools:
    """Return the voxels that places lie in."""
    marked = np.zeros(geometry.shape, bool)
    for place in places:
        index = np.rint(geometry.world_to_index(np.asarray(place, float))).astype(int)
        if ((index >= 0) & (index < geometry.shape)).all():
            marked[tuple(index)] = True
    return marked


def _component(inside: Bools, geometry: Geometry, place: npt.NDArray[np.float64]) -> Bools:
    """Return what hangs together at a place (z, y, x), or next to it.

    Raises
    ------
    ClickError
        If there is nothing within `NEAR_MM`, or a slice.
    """
    away = np.linalg.norm((np.argwhere(inside) - place) * geometry.spacing, axis=1)
    if away.min(initial=np.inf) > max(NEAR_MM, *geometry.spacing):
        raise ClickError("nothing like a nodule at the click; click on its middle")
    labels = connected(inside, 26)
    nearest = tuple(np.argwhere(inside)[away.argmin()])
    return np.asarray(labels == labels[nearest])


def _must_end(inside: Bools, geometry: Geometry, seen: _Seen) -> None:
    """Refuse what goes on beyond the window: cut off there it would look whole."""
    index = seen.geometry.world_to_index(geometry.index_to_world(np.argwhere(inside)))
    last = np.asarray(seen.geometry.shape) - 1
    low, high = index.min(axis=0) < 1, index.max(axis=0) > last - 1
    if (low & seen.open_low).any() or (high & seen.open_high).any():
        widest = max(seen.geometry.size_mm)
        raise ClickError(
            f"goes on beyond {widest:.0f} mm, more than this model sees; click without a model"
        )
