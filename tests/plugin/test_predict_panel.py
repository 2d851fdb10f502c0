"""The Predict panel: from a scan and a model to a labels layer, and all that can go wrong."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel

import napari_ctlns
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.jobs.run_folder import pid_alive
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.prediction import Prediction
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.work import under_way
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Volume

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
LONG = 120_000
TOY = """
import sys
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
    folder = tmp_path / "runs" / "first" / "best"
    folder.mkdir(parents=True)
    recipe = load_recipe("ct-lns").with_changes(
        {"inference.threshold": 0.375, "inference.min_diameter_mm": 4.0}
    )
    (folder / CARD).write_text(ModelCard(recipe=recipe).model_dump_json(), encoding="utf-8")
    return folder


def with_fake_child(session: Session, monkeypatch: pytest.MonkeyPatch, steps: int = 3) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    monkeypatch.setenv("CTLNS_FAKE_STEPS", str(steps))
    session._child = ChildProcess(session, (sys.executable, str(HERE / "fake_predict.py")))


@pytest.fixture
def panel(
    model_viewer: ViewerModel, qtbot: QtBot, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PredictPanel]:
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
    qtbot.mouseClick(panel.job_bar.button, Qt.MouseButton.LeftButton)
    assert panel.job_bar.working


def over(panel: PredictPanel, qtbot: QtBot) -> str:
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
    assert not panel.threshold.isEnabled()
    model_session.choose_model(model)
    assert button.isEnabled()
    assert panel.threshold.isEnabled()


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
    assert panel.model.currentText() == str(model)
    assert panel.threshold.value() == pytest.approx(0.38)
    assert panel.smallest.value() == 4.0
    choice = panel.choice()
    assert choice is not None
    assert (choice.threshold, choice.min_diameter_mm) == (None, None)  # 0.375, not 0.38
    panel.threshold.setValue(0.6)
    panel.smallest.setValue(5.0)
    panel.whole.setChecked(True)
    panel.device.setCurrentText("cpu")
    choice = panel.choice()
    assert choice is not None
    assert (choice.threshold, choice.min_diameter_mm) == (0.6, 5.0)
    assert (choice.whole, choice.device) == (True, "cpu")


def test_a_model_is_typed_or_browsed_for(
    panel: PredictPanel,
    model_session: Session,
    model: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = panel.model.lineEdit()
    line.clear()
    qtbot.keyClicks(line, str(model))
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert model_session.model == model
    for said, then in (("", model), (str(model.parent), model.parent)):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_a, s=said: s)
        qtbot.mouseClick(panel.browse, Qt.MouseButton.LeftButton)
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
    qtbot.waitUntil(lambda: panel.model.count() == 1, timeout=LONG)
    assert panel.model.currentText() == ""
    panel.model.setCurrentIndex(0)
    panel.model.activated.emit(0)
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
    ready.threshold.setValue(0.95)
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
