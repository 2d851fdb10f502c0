"""Other rules for a prediction that is there, without a window."""

import numpy as np
import pytest

from napari_ctlns.findings import Findings
from napari_ctlns.plugin import refining
from napari_ctlns.plugin.refining import (
    FLOOR,
    Change,
    Predicted,
    State,
    change,
    predicted,
    same_rules,
)
from napari_ctlns.recipe import Inference
from napari_ctlns.volume import Geometry, Volume

SHAPE = (40, 50, 60)
RULES = Inference(threshold=0.5, min_diameter_mm=0.0)
LOWER = RULES.model_copy(update={"threshold": 0.2})


def probability_with(background: float = 0.0) -> Volume:
    """A ball that is sure, and a rod that is not."""
    z, y, x = np.indices(SHAPE)
    array = np.full(SHAPE, background, np.float32)
    array[(z - 10) ** 2 + (y - 15) ** 2 + (x - 15) ** 2 <= 25] = 0.9
    array[30:33, 30:33, 10:40] = 0.3
    return Volume(array, Geometry(SHAPE), "probability", scan_id="a")


def begun(probability: Volume, finds_nodules: bool = True) -> tuple[Volume, State]:
    mask = probability.mask((probability.array >= 0.5).astype(np.uint16))
    known = predicted(mask, probability, RULES, finds_nodules)
    findings = Findings(scan_id="a").follow_labels((1,), "model")
    return mask, State(known, findings, None, fresh=False)


def applied(finds_nodules: bool = True) -> tuple[Volume, Change]:
    mask, state = begun(probability_with(), finds_nodules)
    return mask, change(mask, state, LOWER, scan=None)


def test_what_is_drawn_is_judged_by_probability_and_shape() -> None:
    mask, done = applied()
    assert mask.array.max() == 1  # nothing is written yet
    assert (len(done.values), set(done.values.tolist())) == (270, {2})
    ball, rod = (done.after.findings.of_label(label) for label in (1, 2))
    assert (ball.lookalike, rod.lookalike) == ("", "vessel")
    assert np.allclose([ball.probability, rod.probability], [0.9, 0.3])
    assert (rod.origin, rod.status) == ("model", "new")
    assert (done.new, done.gone, done.kept) == (1, 0, 0)


def test_lungs_resemble_nothing() -> None:
    _, done = applied(finds_nodules=False)
    assert done.after.findings.of_label(2).lookalike == ""


def test_without_its_scan_a_mask_is_not_measured() -> None:
    _, done = applied()
    assert done.after.table is None
    assert not done.after.fresh


def test_back_at_the_old_rules_it_is_the_old_mask() -> None:
    mask, done = applied()
    array = mask.array.copy()
    array[done.where] = done.values
    back = change(mask.mask(array), done.after, RULES, scan=None)
    array[back.where] = back.values
    assert np.array_equal(array, mask.array)
    assert back.after.findings.labels == {1}
    assert back.gone == 1


def test_islands_begin_low_unless_they_were_most_of_the_scan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refining, "LIGHT", 10_000)

    def floor(background: float) -> float:
        _, state = begun(probability_with(background))
        return state.known.islands.floor

    assert floor(0.0) == FLOOR
    assert floor(0.1) == 0.25
    assert floor(0.4) == 0.5


def test_lower_islands_are_looked_for_only_where_needed() -> None:
    _, state = begun(probability_with())
    known: Predicted = state.known
    assert known.reaching(0.2) is known
    lower = known.reaching(0.01)
    assert lower.islands.floor == 0.01
    assert lower.nodules is known.nodules


def test_rules_are_the_same_if_they_give_the_same_mask() -> None:
    assert same_rules(RULES, RULES.model_copy(update={"overlap": 0.5}))
    assert not same_rules(RULES, LOWER)
