"""A scan and a model become a mask, a probability and a nodule table."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import OutputError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.findings import Lookalike
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.formats.images import EXTENSIONS, extension
from napari_ctlns.formats.seg import SEG_EXTENSION, Structure, series_plane
from napari_ctlns.inference.engines import Engine, Window, prepare_engine
from napari_ctlns.inference.ensemble import (
    Agreement,
    Member,
    shared_structure,
    with_mirror_images,
)
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.tiling import predict_array
from napari_ctlns.masks.components import label_components
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.masks.lookalikes import lookalikes_of
from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.masks.near_lungs import near_lungs
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.recipe import Inference, Recipe
from napari_ctlns.resampling import from_prepared, prepared_hu
from napari_ctlns.specs import Device, PredictSpec
from napari_ctlns.volume import Volume

Answer = npt.NDArray[np.float16] | None
EngineSource = Callable[[Path, Window | None, Device], Engine]
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
    uncertainty
        Standard deviation of the probabilities of several members; None with one.
    seconds
        How long each stage took.
    """

    probability: Volume
    mask: Volume
    uncertainty: Volume | None = None
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
        `Finished` has ``nodules``, ``lookalikes`` (what labels resemble that may be no
        nodules), ``engine``, ``seconds`` (by stage) and the paths
        ``mask``, ``probability``, ``uncertainty``, ``table``. When stopped nothing is written.

    Raises
    ------
    CtlnsError
        ModelError, ScanError or OutputError, all before the long work starts.
    """
    models = (spec.model, *spec.more_models)
    names = " and ".join(model.name for model in models)
    yield Started(title=f"Find what {names} looks for in {spec.scan.name}")
    _check_outputs(spec)
    recipes = [read_card(model).recipe for model in models]
    structure = shared_structure(recipes)
    rules = _rules(recipes[0].inference, spec)
    seconds = Seconds()
    with seconds.measure("read"):
        scan = read_scan(spec.scan, series=spec.series, strict=spec.strict)
    if _is_seg(spec.mask):
        series_plane(scan.source, spec.mask)  # refuses what has none before the long work
    for warning in scan.source.warnings:
        yield Log(message=warning, level="warning")
    with seconds.measure("load"):
        members = [
            Member(engine_for(model, spec.window, spec.device), recipe, spec.window)
            for model, recipe in zip(models, recipes, strict=True)
        ]
    for note in dict.fromkeys(note for member in members for note in member.engine.notes):
        yield Log(message=note, level="warning")
    engines = ", ".join(dict.fromkeys(member.engine.name for member in members))
    yield Log(message=f"runs on {engines}")
    if spec.mirrored:
        members = [image for member in members for image in with_mirror_images(member)]
    found = yield from predict_volume(scan, members, rules, whole=spec.whole, control=control)
    if found is None:
        yield Finished(stopped=True)
        return
    seconds.update(found.seconds)
    result = yield from _written(spec, structure, scan, found, seconds)
    lookalikes = {} if structure == "lung" else lookalikes_of(found.mask)
    if lookalikes:
        yield Log(message=_doubts(lookalikes))
    facts = {"lookalikes": lookalikes, "engine": engines, "seconds": dict(seconds)}
    yield Finished(result={**result, **facts})


def predict_volume(
    scan: Volume,
    members: Sequence[Member],
    rules: Inference,
    *,
    whole: bool = False,
    control: Control | None = None,
) -> Generator[Log | Progress, None, Prediction | None]:
    """Find the nodules, or the lungs, of a scan in memory.

    Parameters
    ----------
    scan
        A CT of any spacing.
    members
        Whose answers are averaged, one or more.
    rules
        How the probability becomes a mask.
    whole
        Look at the whole scan, not only where the lungs are.

    Returns
    -------
    Prediction or None
        On the scan's grid; None when stopped.
    """
    seconds = Seconds()
    agreement = None if len(members) == 1 else Agreement(scan.geometry.shape)
    prepared: Volume | None = None
    for k, member in enumerate(members):
        preparation = member.recipe.preparation
        if prepared is None or preparation != members[k - 1].recipe.preparation:
            with seconds.measure("prepare"):
                hu, grid = prepared_hu(scan, preparation)
            prepared = Volume(hu, grid, scan_id=scan.scan_id, patient_id=scan.patient_id)
            inside = yield from _where_to_look(prepared, member.recipe, whole, seconds)
        windows = _looked_at(prepared, member, inside, control, seconds)
        found = yield from _counted_on(windows, k, len(members))
        if found is None:
            return None
        with seconds.measure("mask"):
            answer = from_prepared(found.astype(np.float32), scan.geometry, preparation)
            del found
            if agreement is not None:
                agreement.add(answer)
    with seconds.measure("mask"):
        probability = scan.probability(answer if agreement is None else agreement.mean)
        spread = None if agreement is None else scan.probability(agreement.spread())
        mask = mask_from_probability(probability, rules)
    return Prediction(probability, mask, spread, seconds)


def predict_prepared(
    scan: Volume,
    engine: Engine,
    recipe: Recipe,
    *,
    control: Control | None = None,
    seconds: Seconds | None = None,
) -> Generator[Log | Progress, None, npt.NDArray[np.float16] | None]:
    """Return the probability of a scan that is on the recipe's grid already.

    Unless the lungs are what is looked for, only windows that touch the lungs are looked
    at, and what the network finds there is kept if it reaches the lungs or their margin.

    Parameters
    ----------
    scan
        HU, int16, on the recipe's grid.
    engine
        Prepared for the recipe's window.
    seconds
        Where to note how long the stages took.

    Returns
    -------
    float16 array or None
        Probability (z, y, x); None when stopped.
    """
    seconds = Seconds() if seconds is None else seconds
    inside = yield from _where_to_look(scan, recipe, False, seconds)
    return (yield from _looked_at(scan, Member(engine, recipe), inside, control, seconds))


def _where_to_look(
    scan: Volume, recipe: Recipe, whole: bool, seconds: Seconds
) -> Generator[Log, None, npt.NDArray[np.bool_] | None]:
    """Return the lungs and what is near; None: everywhere."""
    if whole or recipe.structure == "lung":
        return None
    with seconds.measure("lungs"):
        inside = lungs_with_margin(scan)
    if inside is None:
        yield Log(message="no lungs found: looks at the whole scan", level="warning")
    return inside


def _looked_at(
    scan: Volume,
    member: Member,
    inside: npt.NDArray[np.bool_] | None,
    control: Control | None,
    seconds: Seconds,
) -> Generator[Progress, None, npt.NDArray[np.float16] | None]:
    """Return what one member thinks of a prepared scan; None when stopped."""
    recipe = member.recipe
    with seconds.measure("network"):
        probability = yield from predict_array(
            scan.array, member.engine, recipe, member.window, inside, control
        )
    if probability is not None and inside is not None:
        _drop_what_is_outside(probability, recipe.inference.threshold, inside)
    return probability


def _counted_on(
    windows: Generator[Progress, None, Answer], member: int, members: int
) -> Generator[Progress, None, Answer]:
    """Let the windows of all members count together, as if each had as many as this one."""
    while True:
        try:
            event = next(windows)
        except StopIteration as end:
            return cast(Answer, end.value)
        if event.total is None:
            yield event
        else:
            done, total = member * event.total + event.done, members * event.total
            yield event.model_copy(update={"done": done, "total": total})


def lungs_with_margin(scan: Volume) -> npt.NDArray[np.bool_] | None:
    """Return where nodules are looked for: lungs and what is near; None without lungs."""
    lungs = lung_mask(scan)
    return near_lungs(scan, lungs, LUNG_MARGIN_MM) if lungs.array.any() else None


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


def _rules(own: Inference, spec: PredictSpec) -> Inference:
    """Return a model's rules with what the spec wants otherwise."""
    wanted = {
        "threshold": spec.threshold,
        "seed_threshold": spec.seed_threshold,
        "min_diameter_mm": spec.min_diameter_mm,
        "fill_holes": spec.fill_holes,
        "split_touching": spec.split_touching,
    }
    return own.model_copy(update={k: v for k, v in wanted.items() if v is not None})


def _doubts(lookalikes: Mapping[int, Lookalike]) -> str:
    """Say which labels may be no nodules."""
    kinds = sorted(set(lookalikes.values()))
    labels = {
        kind: ", ".join(str(k) for k in lookalikes if lookalikes[k] == kind) for kind in kinds
    }
    return "; ".join(f"shaped like a {kind}: label {labels[kind]}" for kind in kinds)


def _written(
    spec: PredictSpec, structure: Structure, scan: Volume, found: Prediction, seconds: Seconds
) -> Generator[Saved, None, dict[str, Any]]:
    """Write what the spec wants; return the number of components and the paths."""
    with seconds.measure("write"):
        write_volume(found.mask, spec.mask, structure=structure)
    yield Saved(path=spec.mask, kind="mask")
    maps = {"probability": found.probability, "uncertainty": found.uncertainty}
    for kind, volume in maps.items():
        path: Path | None = getattr(spec, kind)
        if path is not None and volume is not None:
            with seconds.measure("write"):
                write_volume(volume, path)
            yield Saved(path=path, kind=kind)
    if spec.table is not None:
        with seconds.measure("measure"):
            write_table(measure(found.mask, scan, found.probability), spec.table)
        yield Saved(path=spec.table, kind="table")
    paths = {
        "mask": spec.mask,
        "probability": spec.probability,
        "uncertainty": spec.uncertainty,
        "table": spec.table,
    }
    return {
        "nodules": int(found.mask.array.max(initial=0)),
        **{name: None if path is None else str(path) for name, path in paths.items()},
    }


def _check_outputs(spec: PredictSpec) -> None:
    """Say at once what would only go wrong after the long work."""
    for path in (spec.mask, spec.probability, spec.uncertainty):
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
