"""A scan and a model become a mask, a probability and a nodule table."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import OutputError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.formats.images import EXTENSIONS, extension
from napari_ctlns.formats.seg import SEG_EXTENSION, Structure, series_plane
from napari_ctlns.inference.engines import Engine, prepare_engine
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.tiling import Index, predict_array
from napari_ctlns.masks.components import label_components, mask_from_probability
from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.recipe import Recipe
from napari_ctlns.resampling import from_prepared, prepared_hu
from napari_ctlns.specs import Device, PredictSpec
from napari_ctlns.volume import Volume

EngineSource = Callable[[Path, Index | None, Device], Engine]
"""`prepare_engine`, or what remembers the engines that it made."""

LUNG_MARGIN_MM = 5
"""How far beyond the lungs nodules are looked for: those on the pleura lie there."""


class Seconds(dict[str, float]):
    """How long each stage of a job took."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to ``stage``."""
        start = time.perf_counter()
        yield
        self[stage] = round(self.get(stage, 0.0) + time.perf_counter() - start, 3)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model finds in a scan, on the scan's grid.

    Attributes
    ----------
    probability
        float32, 0 to 1; 0 where nobody looked.
    mask
        One label per nodule, by size.
    seconds
        How long each stage took.
    """

    probability: Volume
    mask: Volume
    seconds: Seconds = field(default_factory=Seconds)


def predict(
    spec: PredictSpec, control: Control, engine_for: EngineSource = prepare_engine
) -> Iterator[Event]:
    """Find the nodules of one scan, or its lungs, and write mask, probability and table.

    Parameters
    ----------
    engine_for
        Where the engine comes from.

    Yields
    ------
    Event
        `Finished` has ``nodules``, ``engine``, ``seconds`` (by stage) and the paths
        ``mask``, ``probability``, ``table``. When stopped nothing is written.

    Raises
    ------
    CtlnsError
        ModelError, ScanError or OutputError, all before the long work starts.
    """
    yield Started(title=f"Find what {spec.model.name} looks for in {spec.scan.name}")
    _check_outputs(spec)
    recipe = _changed(read_card(spec.model).recipe, spec)
    seconds = Seconds()
    with seconds.measure("read"):
        scan = read_scan(spec.scan, series=spec.series, strict=spec.strict)
    if _is_seg(spec.mask):
        series_plane(scan.source, spec.mask)  # refuses what has none before the long work
    for warning in scan.source.warnings:
        yield Log(message=warning, level="warning")
    with seconds.measure("load"):
        engine = engine_for(spec.model, spec.window, spec.device)
    for note in engine.notes:
        yield Log(message=note, level="warning")
    yield Log(message=f"runs on {engine.name}")
    found = yield from predict_volume(
        scan, engine, recipe, spec.window, whole=spec.whole, control=control
    )
    if found is None:
        yield Finished(stopped=True)
        return
    seconds.update(found.seconds)
    result = yield from _written(spec, recipe.structure, scan, found, seconds)
    yield Finished(result={**result, "engine": engine.name, "seconds": dict(seconds)})


def predict_volume(
    scan: Volume,
    engine: Engine,
    recipe: Recipe,
    window: Index | None = None,
    *,
    whole: bool = False,
    control: Control | None = None,
) -> Generator[Log | Progress, None, Prediction | None]:
    """Find the nodules, or the lungs, of a scan in memory.

    Parameters
    ----------
    scan
        A CT of any spacing.
    engine
        Prepared for ``window``.
    recipe
        The model's; its inference section gives threshold and smallest diameter.
    window
        Voxels (z, y, x); None: the recipe's.
    whole
        Look at the whole scan, not only where the lungs are.

    Returns
    -------
    Prediction or None
        On the scan's grid; None when stopped.
    """
    seconds = Seconds()
    with seconds.measure("prepare"):
        hu, grid = prepared_hu(scan, recipe.preparation)
    prepared = Volume(hu, grid, scan_id=scan.scan_id, patient_id=scan.patient_id)
    probability = yield from predict_prepared(
        prepared, engine, recipe, window, whole=whole, control=control, seconds=seconds
    )
    if probability is None:
        return None
    with seconds.measure("mask"):
        on_scan = scan.probability(
            from_prepared(probability.astype(np.float32), scan.geometry, recipe.preparation)
        )
        del probability
        inference = recipe.inference
        mask = mask_from_probability(on_scan, inference.threshold, inference.min_diameter_mm)
    return Prediction(on_scan, mask, seconds)


def predict_prepared(
    scan: Volume,
    engine: Engine,
    recipe: Recipe,
    window: Index | None = None,
    *,
    whole: bool = False,
    control: Control | None = None,
    seconds: Seconds | None = None,
) -> Generator[Log | Progress, None, npt.NDArray[np.float16] | None]:
    """Return the probability of a scan that is on the recipe's grid already.

    Unless ``whole``, or where the lungs are what is looked for, only windows that touch
    the lungs are looked at, and what the network finds there is kept if it reaches the
    lungs or their margin.

    Parameters
    ----------
    scan
        HU, int16, on the recipe's grid.
    seconds
        Where to note how long the stages took.

    Returns
    -------
    float16 array or None
        Probability (z, y, x); None when stopped.
    """
    seconds = Seconds() if seconds is None else seconds
    inside = None
    if not whole and recipe.structure != "lung":
        with seconds.measure("lungs"):
            inside = lungs_with_margin(scan)
        if inside is None:
            yield Log(message="no lungs found: looks at the whole scan", level="warning")
    with seconds.measure("network"):
        probability = yield from predict_array(scan.array, engine, recipe, window, inside, control)
    if probability is not None and inside is not None:
        _drop_what_is_outside(probability, recipe.inference.threshold, inside)
    return probability


def lungs_with_margin(scan: Volume) -> npt.NDArray[np.bool_] | None:
    """Return where nodules are looked for: lungs and what is near; None without lungs."""
    lungs = lung_mask(scan).array.astype(np.uint8, copy=False)
    if not lungs.any():
        return None
    sizes = [2 * round(LUNG_MARGIN_MM / s) + 1 for s in scan.geometry.spacing]
    return ndimage.maximum_filter(lungs, size=sizes).astype(bool)


def _drop_what_is_outside(
    probability: npt.NDArray[np.float16], threshold: float, inside: npt.NDArray[np.bool_]
) -> None:
    """Set components that lie wholly outside to 0; cut none, large masses reach far out."""
    labels = label_components(probability >= threshold)
    kept = np.zeros(int(labels.max(initial=0)) + 1, bool)
    kept[labels[inside]] = True
    kept[0] = True
    if not kept.all():
        probability[~kept[labels]] = 0


def _changed(recipe: Recipe, spec: PredictSpec) -> Recipe:
    """Return the recipe with what the spec wants otherwise."""
    changes: dict[str, Any] = {}
    if spec.threshold is not None:
        changes["inference.threshold"] = spec.threshold
    if spec.min_diameter_mm is not None:
        changes["inference.min_diameter_mm"] = spec.min_diameter_mm
    return recipe.with_changes(changes)


def _written(
    spec: PredictSpec, structure: Structure, scan: Volume, found: Prediction, seconds: Seconds
) -> Generator[Saved, None, dict[str, Any]]:
    """Write what the spec wants; return the number of components and the paths."""
    with seconds.measure("write"):
        write_volume(found.mask, spec.mask, structure=structure)
    yield Saved(path=spec.mask, kind="mask")
    if spec.probability is not None:
        with seconds.measure("write"):
            write_volume(found.probability, spec.probability)
        yield Saved(path=spec.probability, kind="probability")
    if spec.table is not None:
        with seconds.measure("measure"):
            write_table(measure(found.mask, scan, found.probability), spec.table)
        yield Saved(path=spec.table, kind="table")
    paths = {"mask": spec.mask, "probability": spec.probability, "table": spec.table}
    return {
        "nodules": int(found.mask.array.max(initial=0)),
        **{name: None if path is None else str(path) for name, path in paths.items()},
    }


def _check_outputs(spec: PredictSpec) -> None:
    """Say at once what would only go wrong after the long work."""
    for path in (spec.mask, spec.probability):
        if path is not None:
            if not extension(path) and not (path == spec.mask and _is_seg(path)):
                known = " ".join(EXTENSIONS)
                raise OutputError(f"cannot write {path.name}: unknown extension; use {known}")
            _check_writable(path)
    if spec.table is not None:
        if spec.table.suffix.lower() not in (".csv", ".json"):
            raise OutputError(f"cannot write {spec.table.name}: use .csv or .json")
        _check_writable(spec.table)


def _is_seg(path: Path) -> bool:
    return path.suffix.lower() == SEG_EXTENSION


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"cannot write {path}: there is a folder of that name; choose another")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}; choose another place") from error
