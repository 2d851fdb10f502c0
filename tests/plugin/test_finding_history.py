"""A finding keeps its uid, status and note, whatever tool changes its voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels

from napari_ctlns.findings import Finding, Findings
from napari_ctlns.measurement import measure
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.steps import StepWatch
from napari_ctlns.volume import Geometry, Volume

SHAPE = (6, 24, 24)
TOOLS = ("fill", "piece", "paint")


@pytest.fixture
def layer(model_session: Session) -> Labels:
    """Nodules 1 and 2, judged, and 4 in two pieces."""
    return judged(model_session)


def judged(session: Session) -> Labels:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 2:8, 2:8] = 1
    labels[1:5, 2:8, 12:18] = 2
    labels[1:3, 14:20, 2:8] = labels[1:3, 14:20, 12:18] = 4
    layer = session.add_mask(Volume(labels, Geometry(SHAPE), "mask", "a"), "mask")
    for label, status, note in ((1, "accepted", "left"), (2, "rejected", "a vessel")):
        findings = findings_of(layer)
        put(session, layer, findings.change(findings.of_label(label).uid, status=status, note=note))
    return layer


def put(session: Session, layer: Labels, findings: Findings) -> None:
    session.put_findings(layer, findings, session.table(layer), fresh=False)


def said(finding: Finding) -> tuple[str, str, str]:
    return finding.uid, finding.status, finding.note


def fill(layer: Labels, at: tuple[int, int, int], label: int, whole: bool = True) -> None:
    """Use napari's bucket: on the whole nodule, or the piece."""
    layer.n_edit_dimensions, layer.contiguous = 3, not whole
    layer.fill(at, label)


def test_a_nodule_that_is_relabelled_by_the_bucket_is_the_same(layer: Labels) -> None:
    before = said(findings_of(layer).of_label(1))
    fill(layer, (2, 4, 4), 9)
    assert said(findings_of(layer).of_label(9)) == before
    assert findings_of(layer).labels == {9, 2, 4}
    layer.undo()
    assert said(findings_of(layer).of_label(1)) == before
    layer.redo()
    assert said(findings_of(layer).of_label(9)) == before


def test_a_nodule_that_is_painted_over_whole_is_merged_and_comes_back(layer: Labels) -> None:
    one, two = (said(findings_of(layer).of_label(label)) for label in (1, 2))
    fill(layer, (2, 4, 14), 1)
    kept = findings_of(layer).of_label(1)
    assert said(kept) == one
    assert kept.parents == (two[0],)
    (gone,) = [f for f in findings_of(layer).items if f.label is None]
    assert said(gone) == two
    layer.undo()
    assert [said(findings_of(layer).of_label(label)) for label in (1, 2)] == [one, two]
    assert findings_of(layer).of_label(1).parents == ()
    layer.redo()
    assert findings_of(layer).of_label(1).parents == (two[0],)


def test_a_piece_with_a_new_label_is_a_child(layer: Labels, model_session: Session) -> None:
    findings = findings_of(layer)
    parent = findings.of_label(4)
    put(model_session, layer, findings.change(parent.uid, note="two of them", status="accepted"))
    fill(layer, (2, 15, 15), 7, whole=False)
    child = findings_of(layer).of_label(7)
    assert child.parents == (parent.uid,)
    assert (child.status, child.note) == ("accepted", "two of them")
    assert findings_of(layer).of_label(4).uid == parent.uid
    put(model_session, layer, findings_of(layer).change(child.uid, note="the second"))
    layer.undo()
    assert [f.uid for f in findings_of(layer).items if f.parents] == []
    layer.redo()
    again = findings_of(layer).of_label(7)
    assert (again.uid, again.note) == (child.uid, "the second")


def test_what_is_painted_beside_is_new_and_what_is_painted_on_is_edited(layer: Labels) -> None:
    layer.paint((5, 22, 22), 11)
    assert findings_of(layer).of_label(11).origin == "hand"
    assert not findings_of(layer).of_label(4).edited
    layer.paint((1, 14, 8), 4)
    assert (findings_of(layer).of_label(4).edited, findings_of(layer).of_label(4).status) == (
        True,
        "edited",
    )
    layer.undo()
    assert (findings_of(layer).of_label(4).edited, findings_of(layer).of_label(4).status) == (
        False,
        "new",
    )


def test_what_is_said_meanwhile_outlives_undo(layer: Labels, model_session: Session) -> None:
    layer.paint((1, 14, 8), 4)
    findings = findings_of(layer)
    uid = findings.of_label(4).uid
    put(model_session, layer, findings.change(uid, note="spiculated", status="accepted"))
    layer.undo()
    finding = findings_of(layer).of_label(4)
    assert said(finding) == (uid, "accepted", "spiculated")


def test_a_nodule_that_is_erased_comes_back_as_itself(
    layer: Labels, model_session: Session, volume: Volume
) -> None:
    two = said(findings_of(layer).of_label(2))
    scan = Volume(np.zeros(SHAPE, np.int16), Geometry(SHAPE), scan_id="a")
    for _ in range(2):
        fill(layer, (2, 4, 14), 0)
        model_session.keep_table(layer, measure(scan.mask(np.array(layer.data)), scan))
        assert 2 not in findings_of(layer).labels
        layer.undo()
        assert said(findings_of(layer).of_label(2)) == two


def test_an_undone_step_brings_its_table_back(layer: Labels, model_session: Session) -> None:
    scan = Volume(np.zeros(SHAPE, np.int16), Geometry(SHAPE), scan_id="a")
    table = measure(scan.mask(np.array(layer.data)), scan)
    model_session.keep_table(layer, table)
    layer.paint((1, 14, 8), 4)
    assert model_session.is_stale(layer)
    layer.undo()
    assert model_session.table(layer) is table
    assert not model_session.is_stale(layer)


def test_another_array_ends_the_history(layer: Labels, model_session: Session) -> None:
    layer.paint((1, 14, 8), 4)
    assert len(model_session.part(StepWatch).done(layer)) == 1
    layer.data = np.zeros(SHAPE, np.uint8)
    assert model_session.part(StepWatch).done(layer) == ()
    layer.undo()  # napari's own record is of the other array; no finding is touched
    assert findings_of(layer).labels == {1, 2, 4}


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(0, 3), st.sampled_from(["fill", "piece", "paint"])
        ),
        max_size=6,
    )
)
def test_all_the_way_back_and_forth(steps: list[tuple[int, int, str]]) -> None:
    viewer = ViewerModel()
    layer = judged(session_of(viewer))
    places = ((2, 4, 4), (2, 4, 14), (2, 15, 4), (2, 15, 15), (5, 22, 22), (2, 4, 7))
    start = {f.label: said(f) for f in findings_of(layer).items}
    for place, label, tool in steps:
        if tool == "paint":
            layer.paint(places[place], label)
        else:
            fill(layer, places[place], label, whole=tool == "fill")
        present = set(np.unique(layer.data).tolist()) - {0}
        assert present <= findings_of(layer).labels
        labels = [f.label for f in findings_of(layer).items if f.label is not None]
        assert len(labels) == len(set(labels))
    end = {f.label: said(f) for f in findings_of(layer).items if f.label is not None}
    made = len(session_of(viewer).part(StepWatch).done(layer))
    for _ in range(made):
        layer.undo()
    back = {f.label: said(f) for f in findings_of(layer).items if f.label is not None}
    assert back == start
    for _ in range(made):
        layer.redo()
    assert {f.label: said(f) for f in findings_of(layer).items if f.label is not None} == end
