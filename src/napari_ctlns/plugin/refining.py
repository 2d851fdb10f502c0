"""What other rules make of a prediction that is there; without Qt.

The functions here that take time are for a thread. The islands of a probability are
found once; another threshold then costs what the nodules cost, not what the scan does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.findings import Findings, Opinion
from napari_ctlns.masks.islands import Islands, Part, islands_of, parts_of_mask
from napari_ctlns.masks.lookalikes import lookalike
from napari_ctlns.masks.replacing import (
    Redrawn,
    Where,
    changed_voxels,
    nodules_of,
    redrawn,
    same_voxels,
)
from napari_ctlns.recipe import Inference
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

FLOOR = 0.05
"""Islands begin at this probability unless a lower threshold is asked for."""
LIGHT = 10_000_000
"""Islands in boxes of so many voxels in all are gone through in a tenth of a second."""

Nodules = Mapping[int, Part]
_RULES = ("threshold", "seed_threshold", "min_diameter_mm", "fill_holes", "split_touching")


@dataclass(frozen=True, eq=False)
class Predicted:
    """What is known of a mask that a model drew.

    Attributes
    ----------
    probability
        What the model thought, on the mask's grid.
    islands
        Of the probability.
    rules
        How the probability became the mask.
    nodules
        The mask's nodules as they were when the model drew last.
    erased
        What was there then, or earlier, and a person took away.
    has_lookalikes
        Whether it may resemble something else than what was looked for.
    """

    probability: Volume
    islands: Islands
    rules: Inference
    nodules: Nodules = field(default_factory=dict)
    erased: tuple[Part, ...] = ()
    has_lookalikes: bool = True

    def reaching(self, threshold: float) -> "Predicted":
        """Return the same with islands that begin at a threshold or below it."""
        if threshold >= self.islands.floor:
            return self
        return replace(self, islands=islands_of(self.probability, threshold))


def predicted(
    mask: Volume, probability: Volume, rules: Inference, has_lookalikes: bool
) -> Predicted:
    """Return what is known of a mask that a model has just drawn by these rules."""
    islands = _light_islands(probability, rules.threshold)
    return Predicted(
        probability, islands, rules, nodules_of(mask.array), has_lookalikes=has_lookalikes
    )


def _light_islands(probability: Volume, threshold: float) -> Islands:
    """Return islands that begin as low as they can and are no more than gone through at once.

    A network that was hardly trained finds much of the lungs faintly probable.
    """
    for floor in (min(FLOOR, threshold), threshold / 2):
        islands = islands_of(probability, floor)
        if sum(island.probability.size for island in islands.items) <= LIGHT:
            return islands
    return islands_of(probability, threshold)


def same_rules(one: Inference, other: Inference) -> bool:
    """Whether a probability becomes the same mask by both."""
    return all(getattr(one, name) == getattr(other, name) for name in _RULES)


def opinions_of(nodules: Nodules, known: Predicted) -> dict[int, Opinion]:
    """Return what is thought of nodules: their mean probability, and what they resemble."""
    spacing = known.probability.geometry.spacing
    return {
        label: Opinion(
            float(known.probability.array[part.box][part.inside].mean(dtype=float)),
            lookalike(part.inside, spacing) if known.has_lookalikes else "",
        )
        for label, part in nodules.items()
    }


def kept_labels(there: Nodules, known: Predicted, findings: Findings) -> frozenset[int]:
    """Return the labels that a person worked on: painted, judged, or edited since it was drawn."""
    untouched = {finding.label for finding in findings.items if not finding.touched}
    return frozenset(
        label
        for label, part in there.items()
        if label not in untouched
        or label not in known.nodules
        or not same_voxels(part, known.nodules[label])
    )


def _erased(there: Nodules, known: Predicted) -> tuple[Part, ...]:
    gone = (part for label, part in known.nodules.items() if label not in there)
    return (*known.erased, *gone)


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a mask would be by other rules.

    Attributes
    ----------
    rules
        These rules.
    there
        The nodules of the mask as it is.
    kept
        Those of them that a person worked on.
    wanted
        What would be drawn instead of the others.
    """

    rules: Inference
    there: Nodules
    kept: frozenset[int]
    wanted: Redrawn

    @property
    def count(self) -> int:
        """How many nodules there would be."""
        return len(self.kept) + len(self.wanted.nodules)


def propose(
    labels: npt.NDArray[Any],
    there: Nodules | None,
    known: Predicted,
    findings: Findings,
    rules: Inference,
) -> Proposal:
    """Return what a mask would be by other rules.

    Parameters
    ----------
    labels
        The mask as it is now.
    there
        Its nodules, if they are known already.
    known
        Its islands begin at the threshold of ``rules`` or below it.
    findings
        Of the mask.
    """
    there = nodules_of(labels) if there is None else there
    kept = kept_labels(there, known, findings)
    parts = parts_of_mask(known.islands, rules)
    return Proposal(rules, there, kept, redrawn(labels, there, kept, parts, _erased(there, known)))


@dataclass(frozen=True, eq=False)
class State:
    """What goes with the voxels of a mask at one moment.

    Attributes
    ----------
    table
        The newest nodule table; None if it was never measured.
    fresh
        Whether the table was measured on these voxels.
    """

    known: Predicted
    findings: Findings
    table: "pd.DataFrame | None"
    fresh: bool


@dataclass(frozen=True, eq=False)
class Change:
    """What applying other rules does to a mask.

    Attributes
    ----------
    where, values
        The voxels that change, and their new labels.
    before, after
        What goes with the mask as it is, and then.
    new, gone, kept
        How many nodules come and go, and how many stay as a person made them.
    """

    where: Where
    values: npt.NDArray[Any]
    before: State
    after: State
    new: int
    gone: int
    kept: int


def change(mask: Volume, before: State, rules: Inference, scan: Volume | None) -> Change:
    """Work out what applying other rules does to a mask, and measure the nodules anew.

    Parameters
    ----------
    mask
        As it is now; its array is not changed.
    before
        What goes with it.
    rules
        Their threshold is not below the islands' floor.
    scan
        In which the nodules are measured; None: they are not.
    """
    labels = np.array(mask.array)
    proposal = propose(labels, None, before.known, before.findings, rules)
    there, kept, wanted = proposal.there, proposal.kept, proposal.wanted
    where, values = changed_voxels(labels, there, kept, wanted)
    labels[where] = values
    present = nodules_of(labels)
    drawn = {label: present[label] for label in wanted.nodules if label in present}
    known = replace(before.known, rules=rules, nodules=present, erased=_erased(there, before.known))
    opinions = opinions_of(drawn, known)
    followed = _edited(before.findings.follow_labels(there), there, kept, before.known)
    findings = followed.follow_labels(present, "model").judged(opinions)
    table = None
    if scan is not None:
        from napari_ctlns.plugin.measuring import measured

        table = measured(mask.mask(labels), scan, before.table, opinions)
    after = State(known, findings, table, fresh=table is not None)
    new, gone = len(drawn.keys() - there.keys()), len(there.keys() - present.keys())
    before = replace(before, findings=followed)
    return Change(where, values, before, after, new, gone, len(kept))


def _edited(findings: Findings, there: Nodules, kept: frozenset[int], known: Predicted) -> Findings:
    """Mark what a person changed since the model drew as edited."""
    for label in sorted(kept & known.nodules.keys()):
        edited = findings.of_label(label).edited
        if not edited and not same_voxels(there[label], known.nodules[label]):
            findings = findings.mark_edited(label)
    return findings
