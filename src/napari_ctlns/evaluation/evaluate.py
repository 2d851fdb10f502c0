"""A model against the true masks of a dataset."""

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import atomic_path, write_text
from napari_ctlns.dataset import Dataset, PreparedScan, open_dataset, same_preparation
from napari_ctlns.errors import DatasetError
from napari_ctlns.evaluation.overlays import CLOSE_UP_MM, Place, close_ups_png, planes_png
from napari_ctlns.evaluation.scan_loss import scan_loss
from napari_ctlns.evaluation.scores import ScanScores, score_scan
from napari_ctlns.evaluation.summary import (
    Summary,
    false_positive_table,
    nodule_table,
    scan_table,
    summary,
)
from napari_ctlns.evaluation.text import report_text
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.findings import now
from napari_ctlns.inference.ensemble import Member, prepared_member
from napari_ctlns.inference.model import ModelCard, read_card
from napari_ctlns.inference.searching import Seconds, predict_prepared
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.metrics import NoduleMatch, match_nodules
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import EvaluateSpec, Split
from napari_ctlns.volume import Volume

_NODULES_SHOWN = 4
_FALSE_SHOWN = 2


@dataclass(frozen=True, eq=False)
class Predicted:
    """A scan with the mask and the probability that a model gave it, on its grid."""

    scan: PreparedScan
    mask: Volume
    probability: npt.NDArray[np.float32]
    scores: ScanScores


def evaluate(spec: EvaluateSpec, control: Control) -> Iterator[Event]:
    """Compare what a model finds with what is true, for every scan of a split.

    Writes ``evaluation-<time>.txt``, ``summary.json``, ``scans.csv`` and
    ``overlays/<scan>.png`` into ``spec.out``, or else into a new folder
    ``evaluation-<time>`` beside the model; and, unless the model looks for lungs,
    ``nodules.csv`` and ``false_positives.csv``, in the columns of LUNA16's candidates.
    Lungs are looked for in whole scans and compared without matching nodules.

    Yields
    ------
    Event
        `Finished` has the summary (`summary.summary`), ``engine`` and ``out``. When
        stopped only overlays are written.

    Raises
    ------
    CtlnsError
        ModelError, DatasetError or OutputError.
    """
    yield Started(title=f"Evaluate {spec.model.name} on {spec.dataset.name}, {spec.split}")
    card = read_card(spec.model)
    scans = _scans(open_dataset(spec.dataset), spec.split, card.recipe)
    time = f"{now().astimezone():%Y%m%d-%H%M%S}"
    out = spec.out or spec.model.absolute().parent / f"evaluation-{time}"
    member = prepared_member(spec.model, card.recipe, device=spec.device)
    for note in member.engine.notes:
        yield Log(message=note, level="warning")
    scores: list[ScanScores] = []
    for done, scan in enumerate(scans):
        yield Progress(done=done, total=len(scans), unit="scan")
        found = yield from predict_scan(scan, member, control)
        if found is None:
            yield Finished(stopped=True)
            return
        scores.append(found.scores)
        if picture := overlay_of(found):
            path = out / "overlays" / f"{scan.folder.name}.png"
            with atomic_path(path) as temporary:
                temporary.write_bytes(picture)
            yield Saved(path=path, kind="picture")
    yield Progress(done=len(scans), total=len(scans), unit="scan")
    result: Summary = {**summary(scores), "engine": member.engine.name}
    for path in _write(out, time, spec, card, scores, result):
        yield Saved(path=path, kind="report")
    yield Finished(result={**result, "out": str(out)})


def scans_of_split(dataset: Dataset, split: Split) -> list[PreparedScan]:
    """Return the scans of a split.

    Raises
    ------
    DatasetError
        If there are none.
    """
    scans = dataset.scans(split)
    if not scans:
        raise DatasetError(f"{dataset.path} has no {split} scans; choose another split")
    return scans


def predict_scan(
    scan: PreparedScan, member: Member, control: Control
) -> Generator[Log | Progress, None, Predicted | None]:
    """Predict a prepared scan and compare it with its true mask.

    Windows are not reported: scans are what an evaluation counts.

    Returns
    -------
    Predicted or None
        None when stopped.
    """
    seconds, recipe = Seconds(), member.recipe
    volume = scan.volume()
    of_lungs = recipe.structure == "lung"
    windows = predict_prepared(volume, member, control=control, seconds=seconds)
    probability = yield from _without_progress(windows)
    if probability is None:
        return None
    with seconds.measure("mask"):
        mask = mask_from_probability(volume.probability(probability), recipe.inference)
    true = scan.mask()
    scores = score_scan(
        mask,
        true,
        None if of_lungs else match_nodules(mask.array, true, scan.geometry, probability),
        loss=scan_loss(recipe.loss, probability, true),
        seconds=round(sum(seconds.values()), 3),
    )
    return Predicted(scan, mask, probability, scores)


def overlay_of(predicted: Predicted) -> bytes | None:
    """Draw a scan's largest nodules and likeliest false alarms, or its lungs; PNG.

    None where there is nothing to show.
    """
    scan, matches = predicted.scan, predicted.scores.matches
    true, found, geometry = scan.mask(), predicted.mask.array, scan.geometry
    title = f"{scan.scan_id}: Dice {predicted.scores.voxels.dice:.2f}"
    if matches is None:
        return planes_png(scan.hu(), geometry, true, found, _fullest_planes(true), title)
    centres = {nodule.label: nodule.centre for nodule in scan.nodules}
    largest = sorted(matches.nodules, key=lambda n: -n.diameter_mm)[:_NODULES_SHOWN]
    likeliest = sorted(matches.false_positives, key=lambda f: -f.score)[:_FALSE_SHOWN]
    places = [Place(centres[n.label], _title(n)) for n in largest]
    for false in likeliest:
        z, y, x = (int(n) for n in np.rint(geometry.world_to_index(false.centre)))
        places.append(Place((z, y, x), f"false, score {false.score:.2f}"))
    if not places:
        return None
    title = f"{title}; pieces {CLOSE_UP_MM:.0f} mm wide"
    return close_ups_png(scan.hu(), geometry, true, found, places, title)


def _title(nodule: NoduleMatch) -> str:
    found = f"Dice {nodule.dice:.2f}" if nodule.found else "missed"
    return f"{nodule.diameter_mm:.1f} mm, {found}"


def _fullest_planes(mask: npt.NDArray[Any]) -> tuple[int, int, int]:
    """Return the plane along (z, y, x) in which most voxels are marked; the middle in none."""
    inside = mask != 0
    counts = [np.count_nonzero(inside, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    z, y, x = (int(c.argmax()) if c.any() else len(c) // 2 for c in counts)
    return z, y, x


def _scans(dataset: Dataset, split: Split, recipe: Recipe) -> list[PreparedScan]:
    """Return the scans to look at, having checked that the model fits them."""
    if differs := same_preparation(dataset.preparation, recipe.preparation):
        raise DatasetError(
            f"{dataset.path} does not serve this model: {differs}; "
            "prepare it with the model's recipe"
        )
    return scans_of_split(dataset, split)


def _without_progress(
    events: Generator[Log | Progress, None, npt.NDArray[np.float32] | None],
) -> Generator[Log, None, npt.NDArray[np.float32] | None]:
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
    result: Summary,
) -> list[Path]:
    """Write the tables and the text; return their paths."""
    heading = [
        f"{spec.model} (recipe {card.recipe.name}, made {card.created:%Y-%m-%d %H:%M})",
        f"against {spec.dataset}, split {spec.split}, at {time}",
    ]
    tables = {"scans.csv": scan_table(scores)}
    if card.recipe.structure == "nodule":
        tables["nodules.csv"] = nodule_table(scores)
        tables["false_positives.csv"] = false_positive_table(scores)
    texts = {
        **{name: t.to_csv(index=False, lineterminator="\n") for name, t in tables.items()},
        "summary.json": json.dumps(result, indent=1) + "\n",
        f"evaluation-{time}.txt": report_text(heading, scores, result),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]
