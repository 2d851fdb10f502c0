"""A model against the true masks of a dataset."""

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import atomic_path, write_text
from napari_ctlns.dataset import Dataset, PreparedScan, open_dataset
from napari_ctlns.errors import DatasetError
from napari_ctlns.evaluation.pictures import Place, overlay_png
from napari_ctlns.evaluation.scores import (
    ScanScores,
    nodule_table,
    scan_table,
    score_scan,
    summary,
)
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.findings import now
from napari_ctlns.inference.engines import Engine, prepare_engine
from napari_ctlns.inference.model import ModelCard, read_card
from napari_ctlns.inference.predict import Seconds, predict_prepared
from napari_ctlns.masks.components import mask_from_probability
from napari_ctlns.metrics import NoduleMatch
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import EvaluateSpec
from napari_ctlns.volume import Volume

_NODULES_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Predicted:
    """A scan with the mask and the probability that a model gave it, on its grid."""

    scan: PreparedScan
    mask: Volume
    probability: npt.NDArray[np.float16]
    scores: ScanScores


def evaluate(spec: EvaluateSpec, control: Control) -> Iterator[Event]:
    """Compare what a model finds with what is true, for every scan of a split.

    Writes ``evaluation-<time>.txt``, ``summary.json``, ``scans.csv``,
    ``nodules.csv`` and ``overlays/<scan>.png`` into ``spec.out``, or else into a new
    folder ``evaluation-<time>`` beside the model.

    Yields
    ------
    Event
        `Finished` has the summary (`scores.summary`), ``engine`` and ``out``. When
        stopped only overlays are written.

    Raises
    ------
    CtlnsError
        ModelError, DatasetError or OutputError.
    """
    yield Started(title=f"Evaluate {spec.model.name} on {spec.dataset.name}, {spec.split}")
    card = read_card(spec.model)
    scans = _scans(open_dataset(spec.dataset), spec, card.recipe)
    time = f"{now().astimezone():%Y%m%d-%H%M%S}"
    out = spec.out or spec.model.absolute().parent / f"evaluation-{time}"
    engine = prepare_engine(spec.model, device=spec.device)
    for note in engine.notes:
        yield Log(message=note, level="warning")
    scores: list[ScanScores] = []
    for done, scan in enumerate(scans):
        yield Progress(done=done, total=len(scans), unit="scan")
        found = yield from predict_scan(scan, engine, card.recipe, control)
        if found is None:
            yield Finished(stopped=True)
            return
        scores.append(found.scores)
        if found.scores.matches.nodules:
            path = out / "overlays" / f"{scan.folder.name}.png"
            with atomic_path(path) as temporary:
                temporary.write_bytes(overlay_of(found))
            yield Saved(path=path, kind="picture")
    yield Progress(done=len(scans), total=len(scans), unit="scan")
    result: dict[str, Any] = {**summary(scores), "engine": engine.name}
    for path in _write(out, time, spec, card, scores, result):
        yield Saved(path=path, kind="report")
    yield Finished(result={**result, "out": str(out)})


def predict_scan(
    scan: PreparedScan, engine: Engine, recipe: Recipe, control: Control
) -> Generator[Log | Progress, None, Predicted | None]:
    """Predict a prepared scan and compare it with its true mask.

    Windows are not reported: scans are what an evaluation counts.

    Returns
    -------
    Predicted or None
        None when stopped.
    """
    seconds = Seconds()
    volume = scan.volume()
    windows = predict_prepared(volume, engine, recipe, control=control, seconds=seconds)
    probability = yield from _without_progress(windows)
    if probability is None:
        return None
    with seconds.measure("mask"):
        inference = recipe.inference
        mask = mask_from_probability(
            volume.probability(probability), inference.threshold, inference.min_diameter_mm
        )
    scores = score_scan(mask, scan.mask(), probability, round(sum(seconds.values()), 3))
    return Predicted(scan, mask, probability, scores)


def overlay_of(predicted: Predicted) -> bytes:
    """Draw a scan's largest nodules with both outlines; PNG."""
    scan = predicted.scan
    centres = {nodule.label: nodule.centre for nodule in scan.nodules}
    largest = sorted(predicted.scores.matches.nodules, key=lambda n: -n.diameter_mm)
    places = [Place(centres[n.label], _title(n)) for n in largest[:_NODULES_SHOWN]]
    return overlay_png(scan.hu(), scan.geometry, scan.mask(), predicted.mask.array, places)


def _title(nodule: NoduleMatch) -> str:
    found = f"Dice {nodule.dice:.2f}" if nodule.found else "missed"
    return f"{nodule.diameter_mm:.1f} mm, {found}"


def _scans(dataset: Dataset, spec: EvaluateSpec, recipe: Recipe) -> list[PreparedScan]:
    """Return the scans to look at, having checked that the model fits them."""
    if dataset.preparation.spacing_mm != recipe.preparation.spacing_mm:
        raise DatasetError(
            f"{spec.dataset} has spacing {dataset.preparation.spacing_mm} mm, the model wants "
            f"{recipe.preparation.spacing_mm} mm; prepare it with the model's recipe"
        )
    scans = dataset.scans(spec.split)
    if not scans:
        raise DatasetError(f"{spec.dataset} has no {spec.split} scans; choose another split")
    return scans


def _without_progress(
    events: Generator[Log | Progress, None, npt.NDArray[np.float16] | None],
) -> Generator[Log, None, npt.NDArray[np.float16] | None]:
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value
        if isinstance(event, Log):
            yield event


def _write(
    out: Path,
    time: str,
    spec: EvaluateSpec,
    card: ModelCard,
    scores: Sequence[ScanScores],
    result: dict[str, Any],
) -> list[Path]:
    """Write the tables and the text; return their paths."""
    scans, nodules = scan_table(scores), nodule_table(scores)
    lines = [
        f"{spec.model} (recipe {card.recipe.name}, made {card.created:%Y-%m-%d %H:%M})",
        f"against {spec.dataset}, split {spec.split}, at {time}",
        "",
        *(f"{name:32} {'-' if value is None else value}" for name, value in result.items()),
        "",
        scans.drop(columns="patient_id").to_string(index=False, float_format="%.3f"),
        "",
    ]
    texts = {
        "scans.csv": scans.to_csv(index=False, lineterminator="\n"),
        "nodules.csv": nodules.to_csv(index=False, lineterminator="\n"),
        "summary.json": json.dumps(result, indent=1) + "\n",
        f"evaluation-{time}.txt": "\n".join(lines),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]
