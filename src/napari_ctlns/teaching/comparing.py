"""Two models on scans that neither learned from: corrected ones, and earlier ones apart."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from napari_ctlns.dataset import Dataset, PreparedScan, held_out_scans
from napari_ctlns.evaluation.evaluate import predict_scan
from napari_ctlns.evaluation.scores import ScanScores
from napari_ctlns.evaluation.summary import summary
from napari_ctlns.events import Control, Event, Log, Progress
from napari_ctlns.inference.ensemble import prepared_member
from napari_ctlns.inference.model import read_card
from napari_ctlns.specs import Device

Group = Literal["corrected", "earlier"]
GROUPS: tuple[Group, ...] = get_args(Group)
NUMBERS = ("scan_dice", "nodule_dice", "found_fraction", "false_positives_per_scan")
"""By which models are compared; the first one in one sentence. Of lungs there is only that."""
Cases = Mapping[Group, Sequence[PreparedScan]]
Comparison = dict[str, dict[str, Any]]


def held_out_cases(dataset: Dataset, most_earlier: int) -> Cases:
    """Return the held-out scans of each group, of the earlier ones a few, the same ones always.

    Raises
    ------
    DatasetError
        If a scan's card is missing or damaged.
    """
    scans = held_out_scans(dataset)
    earlier = sorted((s for s in scans if not s.corrected), key=_any_order)
    return {"corrected": [s for s in scans if s.corrected], "earlier": earlier[:most_earlier]}


def compared(
    cases: Cases, models: Mapping[str, Path], device: Device, control: Control
) -> Generator[Event, None, Comparison | None]:
    """Look at scans with several models, one after the other, and compare the numbers.

    Parameters
    ----------
    cases
        The scans of each group.
    models
        Folders by what the models are called in the result.

    Returns
    -------
    dict or None
        For each group ``scans``, how many there are, and for each model its `NUMBERS`, as
        `summary` has them; nothing of models where there are no scans. None when stopped.

    Raises
    ------
    CtlnsError
        If a model or a scan is damaged.
    """
    total = len(models) * sum(map(len, cases.values()))
    comparison: Comparison = {group: {"scans": len(cases[group])} for group in GROUPS}
    done = 0
    for name, model in models.items():
        member = prepared_member(model, read_card(model).recipe, device=device)
        for note in member.engine.notes:
            yield Log(message=note, level="warning")
        for group in GROUPS:
            scores: list[ScanScores] = []
            for scan in cases[group]:
                yield Progress(done=done, total=total, unit="scan")
                found = yield from predict_scan(scan, member, control)
                if found is None:
                    return None
                scores.append(found.scores)
                done += 1
            if scores:
                numbers = summary(scores)
                comparison[group][name] = {key: numbers.get(key) for key in NUMBERS}
    yield Progress(done=done, total=total, unit="scan")
    return comparison


def comparison_text(comparison: Comparison, names: Sequence[str]) -> str:
    """Return a table of a comparison, a line for each number of each group."""
    lines = [f"{'held-out scans':42}" + "".join(f"{name:>8}" for name in names)]
    for group in GROUPS:
        numbers = comparison[group]
        lines.append(f"{group}: {numbers['scans']}")
        if numbers["scans"]:
            lines += [
                f"  {key:40}" + "".join(f"{_words(numbers[name][key]):>8}" for name in names)
                for key in NUMBERS
            ]
    return "\n".join(lines) + "\n"


def _words(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _any_order(scan: PreparedScan) -> str:
    return hashlib.sha256(scan.scan_id.encode()).hexdigest()
