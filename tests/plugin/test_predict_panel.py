"""The Predict panel: from a scan and a model to a labels layer, and all that can go wrong."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel

import napari_ctlns
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.jobs.run_folder import pid_alive
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.measurement import measure
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.maps import map_of
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.predicting import found_in
from napari_ctlns.plugin.prediction import Prediction, show_found
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.views.mask_rules import MaskRules
from napari_ctlns.plugin.work import under_way
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Volume

from . import fake_predict

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
LONG = 120_000
TOY = """
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from models import brightness_model
brightness_model(Path(sys.argv[1]), min_diameter_mm=4.0)
"""


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The system's temporary folder, for this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A card without weights: what the panel itself reads."""
    return card(tmp_path / "runs" / "first" / "best")


def card(folder: Path) -> Path:
    """Write a card of a model without weights."""
    folder.mkdir(parents=True)
    recipe = load_recipe("ct-lns").with_changes(
        {"inference.threshold": 0.375, "inference.min_diameter_mm": 4.0}
    )
    (folder / CARD).write_text(ModelCard(recipe=recipe).model_dump_json(), encoding="utf-8")
    return folder


def with_fake_child(session: Session, monkeypatch: pytest.MonkeyPatch, steps: int = 3) -> None:
    """Let a session predict without a network."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    monkeypatch.setenv("CTLNS_FAKE_STEPS", str(steps))
    session._child = ChildProcess(session, (sys.executable, str(HERE / "fake_predict.py")))


@pytest.fixture
def panel(
    model_viewer: ViewerModel, qtbot: QtBot, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PredictPanel]:
    """A panel whose predictions leave nothing in the temporary folder."""
    with_fake_child(session_of(model_viewer), monkeypatch)
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    session_of(model_viewer).close()
    assert list(folders.iterdir()) == []


@pytest.fixture
def ready(panel: PredictPanel, model_session: Session, volume: Volume, model: Path) -> PredictPanel:
    """A panel with a scan that has no file, and a model."""
    model_session.add_scan(volume)
    model_session.choose_model(model)
    return panel


def run(panel: PredictPanel, qtbot: QtBot) -> None:
    """Click the primary button."""
    qtbot.mouseClick(panel.job_bar.button, Qt.MouseButton.LeftButton)
    assert panel.job_bar.working


def over(panel: PredictPanel, qtbot: QtBot) -> str:
    """Wait until the work is over; return what is said then."""
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)
    return str(panel.job_bar.said)


def seen(label: QLabel) -> str:
    """Return what a label shows, without the places where long words may be broken."""
    return str(label.text()).replace("\u200b", "")


def until_windows(panel: PredictPanel, qtbot: QtBot) -> None:
    """Wait until the child works, not only starts."""
    qtbot.waitUntil(lambda: "windows" in panel.job_bar._left.text(), timeout=LONG)


# -- what is missing ------------------------------------------------------------------


def test_it_says_what_is_missing(
    panel: PredictPanel, model_session: Session, volume: Volume, model: Path
) -> None:
    button = panel.job_bar.button
    assert (button.isEnabled(), button.toolTip()) == (False, "Open a scan first")
    model_session.add_scan(volume)
    assert (button.isEnabled(), button.toolTip()) == (False, "Choose a model first")
    assert not panel.rules.threshold.isEnabled()
    assert not panel.proposal.apply.isEnabled()
    assert panel.proposal.apply.toolTip().startswith("Find nodules first")
    model_session.choose_model(model)
    assert button.isEnabled()
    assert panel.rules.threshold.isEnabled()


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "is not a whole model"), ("{}", "is damaged"), ('{"format_version": 99}', "newer")],
)
def test_a_folder_that_is_no_model_is_told_in_words(
    panel: PredictPanel, model_session: Session, tmp_path: Path, text: str | None, words: str
) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    if text is not None:
        (folder / CARD).write_text(text, encoding="utf-8")
    model_session.choose_model(folder)
    assert words in seen(panel.facts)
    assert panel.choice() is None
    assert panel.facts.minimumSizeHint().width() < 280  # however long the path


# -- the model --------------------------------------------------------------------------


def test_a_model_brings_its_own_threshold_and_size(
    panel: PredictPanel, model_session: Session, model: Path
) -> None:
    model_session.choose_model(model)
    assert panel.facts.text().startswith("ct-lns, trained")
    assert panel.models.first.folder.currentText() == str(model)
    assert panel.rules.threshold.value() == pytest.approx(0.38)
    assert panel.rules.smallest.value() == 4.0
    choice = panel.choice()
    assert choice is not None
    own = load_recipe("ct-lns").inference
    assert choice.rules == own.model_copy(
        update={"threshold": 0.375, "min_diameter_mm": 4.0}
    )  # not 0.38
    panel.rules.threshold.slider.setValue(60)
    panel.rules.smallest.setValue(5.0)
    panel.rules.peak.field.setValue(0.7)
    panel.rules.split.setChecked(not own.split_touching)
    panel.rules.fill.setChecked(not own.fill_holes)
    panel.whole.setChecked(True)
    panel.device.setCurrentText("cpu")
    choice = panel.choice()
    assert choice is not None
    assert (choice.rules.threshold, choice.rules.min_diameter_mm) == (0.6, 5.0)
    assert choice.rules.seed_threshold == 0.7
    assert choice.rules.split_touching != own.split_touching
    assert choice.rules.fill_holes != own.fill_holes
    assert (choice.whole, choice.device) == (True, "cpu")


def test_a_model_is_typed_or_browsed_for(
    panel: PredictPanel,
    model_session: Session,
    model: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = panel.models.first.folder.lineEdit()
    line.clear()
    qtbot.keyClicks(line, str(model))
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert model_session.model == model
    for said, then in (("", model), (str(model.parent), model.parent)):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_a, s=said: s)
        qtbot.mouseClick(panel.models.first.browse, Qt.MouseButton.LeftButton)
        assert model_session.model == then


def test_recent_models_are_offered(
    model_viewer: ViewerModel,
    model: Path,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_ctlns.plugin.panels import predict_panel
    from napari_ctlns.plugin.settings import Settings

    settings = Settings(device="cpu", precision="auto", window="lung", working_folder=tmp_path)
    monkeypatch.setattr(predict_panel, "read_settings", lambda: settings)
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    assert panel.device.currentText() == "cpu"
    folder = panel.models.first.folder
    qtbot.waitUntil(lambda: folder.count() == 1, timeout=LONG)
    assert folder.currentText() == ""
    folder.setCurrentIndex(0)
    folder.activated.emit(0)
    assert session_of(model_viewer).model == model


# -- the prediction -----------------------------------------------------------------------


def test_nodules_become_an_editable_layer_with_findings_and_a_table(
    ready: PredictPanel, model_session: Session, volume: Volume, qtbot: QtBot, folders: Path
) -> None:
    run(ready, qtbot)
    until_windows(ready, qtbot)
    assert not ready.job_bar.button.isEnabled()
    assert over(ready, qtbot).splitlines() == [
        "2 nodules found",
        "Ran on a fake: the fastest here",
        "takes whatever is about as dense as a ball",
    ]
    layer = model_session.mask
    assert layer is not None
    assert layer.name == "nodules, ct-lns"
    assert np.array_equal(np.asarray(layer.data) > 0, volume.array == 60)
    assert model_session.is_unsaved(layer)
    findings = findings_of(layer)
    assert [(f.label, f.origin, f.probability) for f in findings.items] == [
        (1, "model", 0.75),
        (2, "model", 0.75),
    ]
    assert layer.data.dtype == np.uint16  # room for the labels that a lower threshold needs
    table = model_session.table(layer)
    assert table is not None
    assert len(table) == 2
    assert not model_session.is_stale(layer)
    layer.paint((5, 10, 10), 3)
    assert layer.data[5, 10, 10] == 3
    assert list(folders.iterdir()) == []


def test_no_nodules_is_said_and_leaves_a_layer_to_paint_in(
    ready: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    ready.rules.threshold.field.setValue(0.95)
    run(ready, qtbot)
    assert over(ready, qtbot).startswith("No nodules found. There is an empty labels layer")
    assert model_session.mask is not None
    model_session.mask.paint((5, 10, 10), 1)


def test_cancel_leaves_nothing_behind(
    ready: PredictPanel,
    model_session: Session,
    qtbot: QtBot,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_fake_child(model_session, monkeypatch, steps=10_000)
    run(ready, qtbot)
    until_windows(ready, qtbot)
    assert len(list(folders.iterdir())) == 1
    qtbot.mouseClick(ready.job_bar.cancel, Qt.MouseButton.LeftButton)
    assert over(ready, qtbot) == "Cancelled"
    assert model_session.mask is None
    assert list(folders.iterdir()) == []


def test_cancel_before_the_child_begins(
    ready: PredictPanel, model_session: Session, qtbot: QtBot, folders: Path
) -> None:
    run(ready, qtbot)
    prediction = under_way(model_session, Prediction)
    assert prediction is not None
    prediction.stop()
    assert over(ready, qtbot) == "Cancelled"
    assert model_session.child.pid == 0
    assert list(folders.iterdir()) == []


def test_a_child_that_is_killed_is_told_and_the_next_run_starts_another(
    ready: PredictPanel,
    model_session: Session,
    qtbot: QtBot,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_fake_child(model_session, monkeypatch, steps=10_000)
    run(ready, qtbot)
    until_windows(ready, qtbot)
    os.kill(model_session.child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert "the process that does the work ended" in over(ready, qtbot)
    assert ready.job_bar.status.property("trouble")
    assert list(folders.iterdir()) == []
    with_fake_child(model_session, monkeypatch)
    run(ready, qtbot)
    assert over(ready, qtbot).startswith("2 nodules found")


def test_a_scan_whose_file_is_damaged_by_now_is_told(
    panel: PredictPanel,
    model_session: Session,
    volume: Volume,
    model: Path,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    path = tmp_path / "scan.mha"
    write_volume(volume, path)
    model_session.add_scan(read_scan(path))
    model_session.choose_model(model)
    path.write_bytes(b"no scan any more")
    run(panel, qtbot)
    assert "scan.mha" in over(panel, qtbot)
    assert panel.job_bar.status.property("trouble")
    assert model_session.mask is None


def test_a_prediction_outlives_its_panel_and_is_taken_up_by_the_next(
    ready: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    first = PredictPanel(model_session.viewer)
    run(first, qtbot)
    with qtbot.waitSignal(first.destroyed):
        first.deleteLater()
    second = PredictPanel(model_session.viewer)
    qtbot.addWidget(second)
    assert second.job_bar.working
    assert over(second, qtbot).startswith("2 nodules found")
    assert len(model_session.layers_for("mask")) == 1
    assert under_way(model_session, Prediction) is None


def test_closing_the_window_while_predicting_leaves_no_process(
    viewer: Viewer,
    volume: Volume,
    model: Path,
    qtbot: QtBot,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = session_of(viewer)
    with_fake_child(session, monkeypatch, steps=10_000)
    panel = PredictPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Predict", area="right")
    session.add_scan(volume)
    session.choose_model(model)
    run(panel, qtbot)
    until_windows(panel, qtbot)
    pid = session.child.pid
    assert pid_alive(pid)
    viewer.close()
    assert not pid_alive(pid)
    assert list(folders.iterdir()) == []


def test_a_real_model_finds_the_balls(
    model_viewer: ViewerModel,
    volume: Volume,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = os.pathsep.join((str(SOURCE), str(HERE.parent / "inference")))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path / "cache"))
    toy = tmp_path / "toy"
    subprocess.run([sys.executable, "-c", TOY, str(toy)], check=True)
    session = session_of(model_viewer)
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    session.add_scan(volume)
    session.choose_model(toy)
    panel.whole.setChecked(True)
    panel.device.setCurrentText("cpu")
    run(panel, qtbot)
    assert "found" in over(panel, qtbot)
    assert session.mask is not None
    for z, y, x in ((8, 16, 18), (15, 30, 28)):
        assert session.mask.data[z, y, x] > 0
    session.close()


# -- after the network ----------------------------------------------------------------------


@pytest.fixture
def found(ready: PredictPanel, qtbot: QtBot) -> PredictPanel:
    """A panel after a prediction: two balls of 0.75, 0.3 around them, something of 0.2."""
    show_prediction(ready)
    return ready


def show_prediction(panel: PredictPanel) -> None:
    """Add what a fake prediction finds, without a process that takes its time to start."""
    session, choice = panel._session, panel.choice()
    scan = session.volume
    assert scan is not None
    assert choice is not None
    probability = scan.probability(fake_predict.probability_of(scan.array))
    mask = mask_from_probability(probability, choice.rules)
    mask = mask.mask(mask.array.astype(np.uint16))
    table = measure(mask, scan, probability)
    show_found(session, found_in(mask, probability, table, choice), "ct-lns")


def preview_of(session: Session) -> Labels | None:
    return next((layer for layer in session.viewer.layers if of.is_preview(layer)), None)


def slide(panel: PredictPanel, threshold: float, qtbot: QtBot) -> str:
    """Move the slider and wait until that is drawn; return what is said."""
    panel.rules.threshold.slider.setValue(round(100 * threshold))
    words = f"at {threshold:.2f} ("
    qtbot.waitUntil(lambda: words in panel.proposal.words.text(), timeout=LONG)
    return str(panel.proposal.words.text())


def apply(panel: PredictPanel, qtbot: QtBot) -> str:
    qtbot.mouseClick(panel.proposal.apply, Qt.MouseButton.LeftButton)
    return over(panel, qtbot)


def whole(volume: Volume, threshold: float) -> np.ndarray:
    """Return what a fake prediction at a threshold holds."""
    return np.asarray(fake_predict.probability_of(volume.array) >= threshold)


def labels_in(layer: Labels) -> list[int]:
    return [int(label) for label in np.unique(layer.data) if label]


def test_the_probability_is_kept_as_a_calm_layer(
    found: PredictPanel, model_session: Session, volume: Volume
) -> None:
    layer = model_session.viewer.layers["probability, ct-lns"]
    known = map_of(layer)
    assert known is not None
    assert (known.kind, known.scan_id) == ("probability", volume.scan_id)
    assert not layer.visible
    assert layer.data.dtype == np.float16
    assert tuple(layer.contrast_limits) == (0, 1)
    assert layer.blending == "additive"
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert np.allclose(layer.scale, volume.geometry.spacing)
    assert np.allclose(layer.data, fake_predict.probability_of(volume.array), atol=1e-3)
    assert layer not in model_session.layers_for("scan")
    assert model_session.volume is volume
    assert "uncertainty, ct-lns" not in model_session.viewer.layers


def test_a_slider_draws_at_once_and_changes_nothing(
    found: PredictPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    assert found.proposal.words.text() == "2 nodules at 0.38"
    assert not found.proposal.apply.isEnabled()
    layer = model_session.mask
    assert layer is not None
    before = layer.data.copy()
    assert slide(found, 0.25, qtbot) == "2 nodules at 0.25 (2 now)"
    preview = preview_of(model_session)
    assert preview is not None
    assert np.array_equal(preview.data > 0, whole(volume, 0.25))
    assert preview.data[8, 16, 18] == layer.data[8, 16, 18]  # the same colour
    assert preview.contour == 1
    assert slide(found, 0.15, qtbot) == "3 nodules at 0.15 (2 now)"
    assert np.array_equal(preview.data > 0, whole(volume, 0.15))
    assert slide(found, 0.25, qtbot) == "2 nodules at 0.25 (2 now)"
    assert np.array_equal(preview.data > 0, whole(volume, 0.25))
    assert found.proposal.apply.isEnabled()
    found.rules.threshold.slider.setValue(38)  # which is how 0.375 is shown
    assert preview_of(model_session) is None
    assert not found.proposal.apply.isEnabled()
    assert np.array_equal(layer.data, before)
    assert model_session.mask is layer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rules: rules.smallest.setValue(10.0), "1 nodule at 0.38 (2 now)"),
        (lambda rules: rules.peak.field.setValue(0.8), "0 nodules at 0.38 (2 now)"),
        (lambda rules: rules.fill.setChecked(False), "2 nodules at 0.38 (2 now)"),
        (lambda rules: rules.split.setChecked(True), "2 nodules at 0.38 (2 now)"),
    ],
    ids=["smallest", "reaches", "fill", "split"],
)
def test_every_rule_is_previewed(
    found: PredictPanel, change: Callable[[MaskRules], None], words: str, qtbot: QtBot
) -> None:
    change(found.rules)
    qtbot.waitUntil(lambda: found.proposal.words.text() == words, timeout=LONG)


def test_discarded_the_rules_are_again_those_of_the_mask(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    slide(found, 0.15, qtbot)
    qtbot.mouseClick(found.proposal.discard, Qt.MouseButton.LeftButton)
    assert preview_of(model_session) is None
    assert found.rules.threshold.value() == 0.38
    slide(found, 0.15, qtbot)
    model_session.viewer.layers.remove(preview_of(model_session))
    assert found.rules.threshold.value() == 0.38
    assert not found.proposal.discard.isEnabled()


def test_applied_in_one_step_and_undone_in_one(
    found: PredictPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    before, findings, table = layer.data.copy(), findings_of(layer), model_session.table(layer)
    slide(found, 0.15, qtbot)
    assert apply(found, qtbot) == "3 nodules now: 1 new. Ctrl+Z takes it back"
    assert preview_of(model_session) is None
    assert np.array_equal(layer.data > 0, whole(volume, 0.15))
    after, then = layer.data.copy(), findings_of(layer)
    assert [f.uid for f in then.items[:2]] == [f.uid for f in findings.items]
    added = then.of_label(3)
    assert (added.origin, added.status) == ("model", "new")
    assert added.probability == pytest.approx(0.2, abs=1e-3)
    assert then.of_label(1).probability < 0.75
    table_then = model_session.table(layer)
    assert table_then is not None
    assert table_then["label"].tolist() == [1, 2, 3]
    assert table_then["mean_probability"].tolist() == [f.probability for f in then.items]
    assert not model_session.is_stale(layer)
    assert model_session.viewer.layers.selection.active is layer
    assert found.proposal.words.text() == "3 nodules at 0.15"

    layer.undo()
    assert np.array_equal(layer.data, before)
    assert findings_of(layer) == findings
    assert model_session.table(layer) is table
    assert not model_session.is_stale(layer)
    assert found.proposal.words.text() == "2 nodules at 0.38"
    assert found.rules.threshold.value() == 0.38

    layer.redo()
    assert np.array_equal(layer.data, after)
    assert findings_of(layer).labels == {1, 2, 3}
    assert findings_of(layer).of_label(3).uid == added.uid
    assert model_session.table(layer) is table_then
    assert found.rules.threshold.value() == 0.15


def test_undo_works_by_keyboard_in_the_panel(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    slide(found, 0.15, qtbot)
    apply(found, qtbot)
    control = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(found, Qt.Key.Key_Z, control)
    assert labels_in(layer) == [1, 2]
    qtbot.keyClick(found, Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier)
    assert labels_in(layer) == [1, 2, 3]


def test_what_was_edited_by_hand_stays(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    painted = tuple(np.array([at]) for at in (15, 30, 28))
    layer.data_setitem(painted, 0)
    layer.data_setitem(tuple(np.arange(4) + at for at in (2, 20, 20)), 9)
    edited, drawn = layer.data == 2, layer.data == 9
    assert slide(found, 0.15, qtbot) == "4 nodules at 0.15 (3 now)"
    words = apply(found, qtbot)
    assert words == "4 nodules now: 1 new, 2 kept as edited. Ctrl+Z takes it back"
    assert np.array_equal(layer.data == 2, edited)
    assert np.array_equal(layer.data == 9, drawn)
    findings = findings_of(layer)
    assert [(label, findings.of_label(label).status) for label in (1, 2, 9)] == [
        (1, "new"),
        (2, "edited"),
        (9, "new"),
    ]
    assert findings.of_label(9).origin == "hand"
    table = model_session.table(layer)
    assert table is not None
    assert table["label"].tolist() == [1, 2, 3, 9]
    layer.undo()
    assert findings_of(layer).labels == {1, 2, 9}
    assert findings_of(layer).of_label(9).uid == findings.of_label(9).uid


def test_a_judged_finding_stays_as_it_is(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    findings = findings_of(layer)
    findings = findings.change(findings.of_label(1).uid, status="rejected")
    of.keep_findings(layer, findings, of.mask_of(layer))
    before = layer.data == 1
    slide(found, 0.25, qtbot)
    apply(found, qtbot)
    assert np.array_equal(layer.data == 1, before)
    assert findings_of(layer).of_label(1).status == "rejected"


def test_what_was_erased_does_not_come_back(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    layer.data_setitem(np.nonzero(layer.data == 2), 0)
    assert slide(found, 0.15, qtbot) == "2 nodules at 0.15 (1 now)"
    apply(found, qtbot)
    slide(found, 0.1, qtbot)
    apply(found, qtbot)
    assert layer.data[15, 30, 28] == 0
    assert len(labels_in(layer)) == 2


def test_an_edit_while_it_is_previewed_is_kept_too(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    slide(found, 0.15, qtbot)
    layer.data_setitem(tuple(np.array([at]) for at in (2, 40, 40)), 7)
    qtbot.waitUntil(lambda: found.proposal.words.text().startswith("4 nodules"), timeout=LONG)
    apply(found, qtbot)
    assert labels_in(layer) == [1, 2, 3, 7]


def test_an_edit_while_it_is_applied_is_kept_too(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    slide(found, 0.15, qtbot)
    qtbot.mouseClick(found.proposal.apply, Qt.MouseButton.LeftButton)
    assert not found.rules.threshold.isEnabled()
    layer.data_setitem(tuple(np.array([at]) for at in (2, 40, 40)), 7)
    over(found, qtbot)
    assert labels_in(layer) == [1, 2, 3, 7]
    layer.undo()
    assert labels_in(layer) == [1, 2, 7]


def test_it_goes_on_in_a_panel_that_is_opened_later(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    first = PredictPanel(model_session.viewer)
    slide(first, 0.15, qtbot)
    with qtbot.waitSignal(first.destroyed):
        first.deleteLater()
    found.close()
    assert preview_of(model_session) is not None
    second = PredictPanel(model_session.viewer)
    qtbot.addWidget(second)
    assert second.rules.threshold.value() == 0.15
    assert second.proposal.words.text() == "3 nodules at 0.15 (2 now)"
    apply(second, qtbot)
    assert model_session.mask is not None
    assert labels_in(model_session.mask) == [1, 2, 3]


def test_below_the_floor_it_looks_again(
    found: PredictPanel, model_session: Session, qtbot: QtBot
) -> None:
    found.rules.threshold.slider.setValue(3)
    assert slide(found, 0.02, qtbot) == "4 nodules at 0.02 (2 now)"
    over(found, qtbot)
    apply(found, qtbot)
    assert model_session.mask is not None
    assert len(labels_in(model_session.mask)) == 4


def test_a_mask_that_no_model_drew_has_nothing_to_refine(
    found: PredictPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    predicted = model_session.mask
    assert predicted is not None
    slide(found, 0.15, qtbot)
    model_session.add_mask(volume.mask(np.zeros(volume.array.shape, np.uint8)), "drawn")
    assert preview_of(model_session) is None
    assert found.proposal.words.text() == ""
    assert not found.proposal.apply.isEnabled()
    found.rules.threshold.slider.setValue(20)  # for the next prediction
    assert preview_of(model_session) is None
    model_session.choose(predicted)
    assert found.rules.threshold.value() == 0.38


def test_several_models_and_mirror_images_tell_how_far_they_disagree(
    ready: PredictPanel, model_session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    second = card(tmp_path / "runs" / "second" / "best")
    assert ready.models.others == []
    qtbot.mouseClick(ready.models.more, Qt.MouseButton.LeftButton)
    (row,) = ready.models.others
    qtbot.keyClicks(row.folder.lineEdit(), str(second))
    qtbot.keyClick(row.folder.lineEdit(), Qt.Key.Key_Return)
    assert model_session.more_models == (second,)
    assert "With ct-lns, trained" in seen(ready.facts)
    assert "2 models: takes about 2 times as long" in seen(ready.facts)
    ready.mirrored.setChecked(True)
    assert "2 models, 8 images each: takes about 16 times as long" in seen(ready.facts)
    choice = ready.choice()
    assert choice is not None
    assert (choice.more_models, choice.mirrored) == ((second,), True)
    run(ready, qtbot)
    assert over(ready, qtbot).startswith("2 nodules found")
    layer = model_session.viewer.layers["uncertainty, ct-lns"]
    assert tuple(layer.contrast_limits) == (0, 0.5)
    assert layer.data.max() == pytest.approx(0.075, abs=1e-3)
    qtbot.mouseClick(row.remove, Qt.MouseButton.LeftButton)
    assert model_session.more_models == ()
    assert "With" not in seen(ready.facts)


def test_another_model_that_is_none_is_told(
    ready: PredictPanel, model_session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    qtbot.mouseClick(ready.models.more, Qt.MouseButton.LeftButton)
    (row,) = ready.models.others
    row.folder.setEditText(str(tmp_path))
    row.folder.lineEdit().editingFinished.emit()
    assert "is not a whole model" in seen(ready.facts)
    assert not ready.job_bar.button.isEnabled()
    again = PredictPanel(model_session.viewer)
    qtbot.addWidget(again)
    assert len(again.models.others) == 1


def test_ctrl_z_of_napari_takes_back_what_was_applied(
    viewer: Viewer, volume: Volume, model: Path, qtbot: QtBot
) -> None:
    session = session_of(viewer)
    panel = PredictPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Predict", area="right")
    session.add_scan(volume)
    session.choose_model(model)
    show_prediction(panel)
    layer = session.mask
    assert layer is not None
    before = layer.data.copy()
    slide(panel, 0.15, qtbot)
    apply(panel, qtbot)
    assert labels_in(layer) == [1, 2, 3]
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    assert findings_of(layer).labels == {1, 2}
    table = session.table(layer)
    assert table is not None
    assert table["label"].tolist() == [1, 2]
