"""Corrections of the nodule worked on: one step of napari's each, told in words."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot

from napari_ctlns.plugin.correction_keys import KEYS, bind_keys
from napari_ctlns.plugin.correction_tools import LINE_LAYER, correction_tools_of
from napari_ctlns.plugin.corrections import Corrections, corrections_of
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

SHAPE, SPACING = (20, 40, 40), (1.25, 0.7, 0.7)
GEOMETRY = Geometry(SHAPE, SPACING, (-14.0, 20.0, 100.0))


@pytest.fixture
def corrections(model_session: Session, qtbot: QtBot) -> Corrections:
    """A scan with nodule 3, a hollow box on some slices and a speck, and nodule 5 beside it."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:14, 10:24, 10:24] = 3
    labels[8:10, 15:18, 15:18] = 0
    labels[4:6, 32:35, 32:35] = 3
    labels[4:14, 10:24, 26:34] = 5
    scan = Volume(np.zeros(SHAPE, np.int16), GEOMETRY, scan_id="a")
    model_session.add_scan(scan)
    layer = model_session.add_mask(scan.mask(labels), "mask")
    layer.selected_label = 3
    return corrections_of(model_session)


@pytest.fixture
def heard(corrections: Corrections) -> list[tuple[str, bool]]:
    told: list[tuple[str, bool]] = []
    corrections.said.connect(lambda words, trouble: told.append((words, trouble)))
    return told


def layer_of(session: Session) -> Labels:
    assert session.mask is not None
    return session.mask


def canvas(*index: float) -> np.ndarray:
    return np.array(index) * SPACING + GEOMETRY.origin[::-1]


ALL = {
    "grown by 1 mm": lambda c: c.grow(),
    "shrunk by 1 mm": lambda c: c.shrink(),
    "smoothed": lambda c: c.smooth(),
    "holes filled": lambda c: c.fill_holes(),
    "split, its smaller part is nodule 6": lambda c: c.split([canvas(5, 9, 14), canvas(5, 25, 14)]),
    "merged with nodule 5": lambda c: c.merge(5),
    "piece deleted": lambda c: c.delete_piece((4, 33, 33)),
    "kept one piece": lambda c: c.keep_piece((4, 12, 12)),
}


@pytest.mark.parametrize("done", ALL)
@pytest.mark.parametrize("mode", ["pan_zoom", "paint", "polygon"])
def test_each_is_one_step_in_any_mode(
    corrections: Corrections,
    model_session: Session,
    heard: list[tuple[str, bool]],
    done: str,
    mode: str,
) -> None:
    layer = layer_of(model_session)
    layer.mode = mode
    before = layer.data.copy()
    findings = {f.label: f.uid for f in findings_of(layer).items}
    ALL[done](corrections)
    ((words, trouble),) = heard
    assert words.startswith(f"nodule 3: {done}, ")
    assert not trouble
    assert model_session.viewer.status == words
    first, second = words.rpartition(", ")[2].removesuffix(" mm³").split(" → ")
    voxel = float(np.prod(SPACING))
    assert float(first) == pytest.approx(np.count_nonzero(before == 3) * voxel, abs=0.5)
    assert float(second) == pytest.approx(np.count_nonzero(layer.data == 3) * voxel, abs=0.5)
    after = layer.data.copy()
    assert not np.array_equal(after, before)
    layer.undo()
    assert np.array_equal(layer.data, before)
    assert {f.label: f.uid for f in findings_of(layer).items if f.label} == findings
    layer.redo()
    assert np.array_equal(layer.data, after)
    assert findings_of(layer).of_label(3).uid == findings[3]


def test_slices_between_painted_ones_are_filled_across_the_slice_on_show(
    corrections: Corrections, model_session: Session, heard: list[tuple[str, bool]]
) -> None:
    layer = layer_of(model_session)
    layer.brush_size = 1
    for x in (2, 5, 8):
        for y in range(2, 7):
            layer.paint((2, y, x), 9)
    layer.selected_label = 9
    corrections.fill_between()
    assert heard[-1][0].startswith("nodule 9: no axial slice lies between painted ones")
    model_session.viewer.dims.order = (2, 0, 1)
    corrections.fill_between()
    assert heard[-1][0].startswith("nodule 9: filled between slices")
    assert (layer.data[2, 2:7, 2:9] == 9).all()


def test_only_pieces_that_strokes_touched_stay(
    corrections: Corrections, model_session: Session, heard: list[tuple[str, bool]]
) -> None:
    layer = layer_of(model_session)
    corrections.grow()  # touches all its pieces, but not by hand
    corrections.keep_touched()
    assert heard[-1] == (
        "nodule 3: none of its pieces was touched; dab on those to keep, then ask again",
        True,
    )
    layer.paint((4, 36, 33), 3)
    corrections.keep_touched()
    assert heard[-1][0].startswith("nodule 3: kept only what was touched")
    assert not (layer.data[:, :25] == 3).any()
    layer.undo()
    layer.undo()  # the dab: it was not touched after all
    corrections.keep_touched()
    assert heard[-1][1]
    assert (layer.data[:, :25] == 3).any()


def test_what_cannot_be_done_is_told_and_nothing_changes(
    corrections: Corrections, model_session: Session, heard: list[tuple[str, bool]]
) -> None:
    layer = layer_of(model_session)
    before = layer.data.copy()
    layer.selected_label = 77
    corrections.grow()
    layer.selected_label = 0
    corrections.shrink()
    layer.selected_label = 3
    corrections.merge(3)
    corrections.merge(0)
    corrections.delete_piece((0, 0, 0))
    corrections.keep_piece((-1, 0, 900))
    corrections.split([canvas(5, 1, 1), canvas(5, 2, 1)])
    layer.data[19, 39, 39] = 255
    for label in range(1, 255):
        layer.data[18].flat[label] = label
    before = layer.data.copy()
    corrections.split([canvas(5, 9, 14), canvas(5, 25, 14)])
    assert [trouble for _, trouble in heard] == [True] * 8
    wrong = (
        "77: it has no voxels",
        "Pick a nodule",
        "itself",
        "no nodule",
        "no nodule",
        "no nodule",
    )
    for (words, _), expected in zip(
        heard, (*wrong, "does not cross", "no more labels"), strict=True
    ):
        assert expected in words
    assert np.array_equal(layer.data, before)
    model_session.viewer.layers.clear()
    corrections.grow()
    corrections.split([canvas(5, 9, 14), canvas(5, 25, 14)])
    assert heard[-1] == ("There is no labels layer", True)


def test_a_labels_layer_of_naparis_own_is_corrected_too(
    corrections: Corrections, model_session: Session, heard: list[tuple[str, bool]]
) -> None:
    model_session.viewer._new_labels()
    layer = layer_of(model_session)
    layer.n_edit_dimensions, layer.brush_size = 3, 9
    layer.paint((10, 20, 20), 1)
    layer.selected_label = 1
    corrections.split([canvas(10, 5, 20.5), canvas(10, 30, 20.5)])
    first, second = findings_of(layer).items
    assert second.parents == (first.uid,)


# -- the mouse's tools, without a window ------------------------------------------------


def test_a_tool_goes_off_when_the_mouse_is_given_to_something_else(
    corrections: Corrections, model_session: Session
) -> None:
    viewer, layer = model_session.viewer, layer_of(model_session)
    tools = correction_tools_of(model_session)

    def brush() -> None:
        layer.mode = "paint"

    def turn() -> None:
        viewer.dims.ndisplay = 3

    def other() -> None:
        viewer.layers.selection.active = model_session.scan

    for go_off in (brush, turn, other, lambda: tools.toggle("split"), tools.release):
        viewer.dims.ndisplay = 2
        callbacks = list(viewer.mouse_drag_callbacks)
        tools.use("split")
        assert tools.tool == "split"
        assert viewer.layers.selection.active is layer
        assert LINE_LAYER in viewer.layers
        go_off()
        assert tools.tool == ""
        assert LINE_LAYER not in viewer.layers
        assert viewer.mouse_drag_callbacks == callbacks
    tools.use("delete")
    assert LINE_LAYER not in viewer.layers
    viewer.layers.remove(layer)
    assert tools.tool == ""
    assert tools.why_not() == "There is no labels layer"
    tools.use("keep")
    assert tools.tool == ""


def test_the_line_does_not_change_the_slices(
    corrections: Corrections, model_session: Session
) -> None:
    viewer = model_session.viewer
    before = viewer.dims.range
    tools = correction_tools_of(model_session)
    tools.use("split")
    assert viewer.dims.range == before
    viewer.layers.remove(LINE_LAYER)  # by a person
    tools.use("")
    assert tools.tool == ""


# -- keys ------------------------------------------------------------------------------


def test_keys_are_none_of_naparis() -> None:
    from napari.utils.key_bindings import coerce_keybinding
    from napari.utils.shortcuts import default_shortcuts

    taken = {str(coerce_keybinding(key)) for keys in default_shortcuts.values() for key in keys}
    ours = {str(coerce_keybinding(key)) for key in KEYS.values()}
    assert len(ours) == len(KEYS)
    assert not ours & taken


def test_a_key_that_a_person_uses_stays_theirs(
    model_viewer: ViewerModel, corrections: Corrections, model_session: Session
) -> None:
    pressed = []
    model_viewer.bind_key("G", pressed.append)
    bind_keys(model_session)
    bind_keys(model_session)  # for a second panel
    (mine,) = [does for key, does in model_viewer.keymap.items() if str(key) == "G"]
    mine(model_viewer)
    assert pressed == [model_viewer]
    keys = {str(key): does for key, does in model_viewer.keymap.items()}
    before = layer_of(model_session).data.copy()
    keys["Shift+G"](model_viewer)
    assert (layer_of(model_session).data == 3).sum() < (before == 3).sum()
    keys["K"](model_viewer)
    assert correction_tools_of(model_session).tool == "split"
