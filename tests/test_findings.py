"""A finding keeps its identity through the life of its label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_ctlns.findings import Annotation, Finding, Findings, Opinion, new_uid


@pytest.fixture
def findings():
    return Findings(
        scan_id="scan",
        items=(
            Finding(label=1, origin="model", probability=0.9, note="apex"),
            Finding(label=2, origin="click"),
            Finding(label=None, status="rejected"),
        ),
    )


def test_survives_json(findings):
    assert Findings.model_validate_json(findings.model_dump_json()) == findings


def test_uids_are_never_the_same():
    assert len({new_uid() for _ in range(1000)}) == 1000
    assert Finding().uid != Finding().uid


def test_an_annotation_knows_its_centre():
    assert Annotation("s", 1.0, -2.0, 3.5, 8.0).centre == (1.0, -2.0, 3.5)


def test_is_found_by_label(findings):
    assert findings.of_label(2).origin == "click"
    assert findings.labels == {1, 2}
    with pytest.raises(KeyError):
        findings.of_label(3)


def test_adding(findings):
    more = findings.add(Finding(label=7))
    assert more.labels == {1, 2, 7}
    assert findings.labels == {1, 2}  # the old one is as it was
    assert len(findings.add(Finding()).add(Finding()).items) == 5  # many may lack a label


def test_a_taken_label_or_uid_is_refused(findings):
    with pytest.raises(ValueError, match="label 1"):
        findings.add(Finding(label=1))
    with pytest.raises(ValueError, match="is there already"):
        findings.add(findings.items[0].model_copy(update={"label": 9}))


def test_changing_notes_the_time_and_touches_no_other(findings):
    first, second, third = findings.items
    changed = findings.change(first.uid, status="accepted", type="solid")
    assert changed.of_label(1).status == "accepted"
    assert changed.of_label(1).note == "apex"
    assert changed.of_label(1).time >= first.time
    assert changed.items[1:] == (second, third)


def test_an_impossible_change_is_refused(findings):
    with pytest.raises(ValidationError):
        findings.change(findings.items[0].uid, status="perhaps")
    with pytest.raises(ValidationError):
        findings.change(findings.items[0].uid, colour="red")


def test_relabelling_swaps_labels_but_not_identities(findings):
    swapped = findings.relabel({1: 2, 2: 1})
    assert swapped.of_label(2).uid == findings.of_label(1).uid
    assert swapped.of_label(1).uid == findings.of_label(2).uid
    assert swapped.items[2] == findings.items[2]


def test_a_split_remembers_its_parent(findings):
    split = findings.split(1, 5)
    parent, child = split.of_label(1), split.of_label(5)
    assert parent.uid == findings.of_label(1).uid
    assert child.uid != parent.uid
    assert child.parents == (parent.uid,)
    assert (child.note, child.origin) == ("apex", "model")
    assert parent.edited
    assert child.edited


def test_a_merge_remembers_both(findings):
    merged = findings.merge(kept=1, gone=2)
    survivor = merged.of_label(1)
    absorbed = next(f for f in merged.items if f.uid == findings.of_label(2).uid)
    assert survivor.uid == findings.of_label(1).uid
    assert survivor.parents == (absorbed.uid,)
    assert (absorbed.label, absorbed.edited) == (None, True)


def test_splitting_and_merging_back_keeps_the_first_identity(findings):
    uid = findings.of_label(1).uid
    again = findings.split(1, 5).merge(kept=1, gone=5)
    assert again.of_label(1).uid == uid
    assert again.labels == {1, 2}


def test_splitting_what_is_not_there_or_onto_a_taken_label(findings):
    with pytest.raises(KeyError):
        findings.split(8, 9)
    with pytest.raises(ValueError, match="label 2"):
        findings.split(1, 2)


def test_following_a_mask(findings):
    mask = np.zeros((4, 4, 4), np.uint16)
    mask[0], mask[2, 1] = 2, 300
    followed = findings.follow(mask)
    assert followed.labels == {2, 300}
    assert followed.of_label(2) == findings.of_label(2)
    assert followed.of_label(300).origin == "hand"
    gone = next(f for f in followed.items if f.uid == findings.items[0].uid)
    assert (gone.label, gone.note) == (None, "apex")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sets(st.integers(1, 9)), min_size=1, max_size=5))
def test_following_any_masks_loses_no_finding(masks):
    findings = Findings()
    for labels in masks:
        mask = np.array([0, *labels], np.uint8)[:, None, None]
        before = {f.uid for f in findings.items}
        findings = findings.follow(mask)
        assert findings.labels == labels
        assert before <= {f.uid for f in findings.items}
        assert sum(f.label is not None for f in findings.items) == len(labels)
    assert findings.follow(mask) == findings


def test_what_is_thought_of_nodules_survives_json():
    findings = Findings().follow_labels((1, 2), "model")
    findings = findings.judged({1: Opinion(0.8, "vessel"), 5: Opinion(0.1)})
    again = Findings.model_validate_json(findings.model_dump_json())
    assert again == findings
    assert [(f.probability, f.lookalike) for f in again.items] == [(0.8, "vessel"), (None, "")]
    with pytest.raises(ValueError, match="lookalike"):
        findings.change(findings.items[0].uid, lookalike="rib")


def test_undone_labels_come_back_and_what_a_person_said_stays():
    then = Findings().follow_labels((1, 2), "model").judged({1: Opinion(0.9, "vessel")})
    first, second = then.items
    now = then.follow_labels((1, 3, 4), "model").judged({1: Opinion(0.5)})
    now = now.change(first.uid, status="accepted")
    judged = now.of_label(4)
    now = now.change(judged.uid, note="look again", status="rejected")
    again = now.put_back(then)
    assert again.labels == {1, 2}
    assert again.of_label(2) == second
    assert again.of_label(1).status == "accepted"
    assert (again.of_label(1).probability, again.of_label(1).lookalike) == (0.9, "vessel")
    assert [f.uid for f in again.items if f.label is None] == [judged.uid]
    redone = again.put_back(now)
    assert redone.labels == {1, 3, 4}
    assert {f.uid for f in redone.items} == {f.uid for f in now.items}
