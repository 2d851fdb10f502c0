"""How far one comes on a dataset without learning, to tell how hard it is."""

import json
from collections.abc import Iterator
from pathlib import Path

from napari_ctlns.atomic import write_text
from napari_ctlns.dataset import PreparedScan, open_dataset
from napari_ctlns.evaluation.evaluate import scans_of_split
from napari_ctlns.evaluation.scores import ScanScores, score_scan
from napari_ctlns.evaluation.summary import nodule_table, summary
from napari_ctlns.events import Control, Event, Finished, Progress, Saved, Started
from napari_ctlns.masks.baseline import round_components
from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.metrics import match_nodules
from napari_ctlns.specs import Split


def evaluate_baseline(dataset: Path, split: Split, out: Path, control: Control) -> Iterator[Event]:
    """Threshold the lungs at -400 HU, keep what is round, and compare with the truth.

    Writes ``baseline.json`` and ``baseline-nodules.csv`` into ``out``, with the same
    numbers as `evaluate.evaluate`.

    Yields
    ------
    Event
        `Finished` has the summary.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or has no such scans.
    """
    yield Started(title="Find nodules by threshold and roundness, for comparison")
    scans = scans_of_split(open_dataset(dataset), split)
    scores: list[ScanScores] = []
    for done, scan in enumerate(scans):
        yield Progress(done=done, total=len(scans), unit="scan")
        control.wait_while_paused()
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        scores.append(_scored(scan))
    yield Progress(done=len(scans), total=len(scans), unit="scan")
    result = summary(scores)
    write_text(out / "baseline.json", json.dumps(result, indent=1) + "\n")
    yield Saved(path=out / "baseline.json", kind="report")
    table = nodule_table(scores)
    write_text(out / "baseline-nodules.csv", table.to_csv(index=False, lineterminator="\n"))
    yield Saved(path=out / "baseline-nodules.csv", kind="report")
    yield Finished(result=result)


def _scored(scan: PreparedScan) -> ScanScores:
    volume = scan.volume()
    labels, roundness = round_components(volume, lung_mask(volume))
    matches = match_nodules(labels, scan.mask(), scan.geometry, scores=roundness)
    return score_scan(volume.mask(labels), scan.mask(), matches)
