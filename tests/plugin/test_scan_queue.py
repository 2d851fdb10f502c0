"""A folder of scans in the Predict panel: worked on scan by scan, looked at, gone on with."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

import napari_ctlns
from napari_ctlns.cohort.manifest import COLUMNS, Manifest, Row
from napari_ctlns.formats import ScanFile, write_volume
from napari_ctlns.jobs.run_folder import pid_alive
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.predicting import Choice
from napari_ctlns.plugin.queue_work import ScanQueue
from napari_ctlns.plugin.scan_queue import (
    end_in_words,
    mask_of,
    queue_in_words,
    queue_spec,
    queue_why_not,
    results_folder,
    rows_at_rest,
    rows_now,
    status_in_words,
)
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.queue_table import STATUS
from napari_ctlns.plugin.views.trouble import TROUBLE_COLOUR
from napari_ctlns.plugin.work import under_way
from napari_ctlns.recipe import Inference
from napari_ctlns.specs import PredictMany
from napari_ctlns.volume import Volume

from .test_predict_panel import TOY, card

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
LEFT = Qt.MouseButton.LeftButton
LONG = 60_000


@pytest.fixture
def scans(tmp_path: Path, volume: Volume) -> Path:
    """Two scans and one that is damaged, the second by its name."""
    folder = tmp_path / "scans"
    for name in ("a", "b", "c"):
        write_volume(volume, folder / f"{name}.mha")
    (folder / "b.mha").write_bytes(b"no scan at all")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return card(tmp_path / "runs" / "first" / "best")


def with_fake_child(session: Session, monkeypatch: pytest.MonkeyPatch, steps: int = 1) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    monkeypatch.setenv("CTLNS_FAKE_STEPS", str(steps))
    command = (sys.executable, str(HERE / "fake_many.py"))
    monkeypatch.setattr(session, "new_child", lambda: ChildProcess(session, command))


@pytest.fixture
def panel(
    model_viewer: ViewerModel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PredictPanel]:
    """A panel whose queues find what is of 60 HU."""
    session = session_of(model_viewer)
    with_fake_child(session, monkeypatch)
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    unfold(panel)
    yield panel
    session.close()


@pytest.fixture
def ready(panel: PredictPanel, model_session: Session, model: Path, scans: Path) -> PredictPanel:
    """A panel with all that a queue needs."""
    model_session.choose_model(model)
    panel.queue.scans.set_path(scans)
    panel.queue.results.set_path(scans.parent / "results")
    return panel


def unfold(panel: PredictPanel) -> None:
    (fold,) = [f for f in panel.findChildren(Fold) if f._title.text() == "Many scans"]
    fold.expand()


def start(panel: PredictPanel, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.queue.bar.button, LEFT)
    assert panel.queue.bar.working


def over(panel: PredictPanel, qtbot: QtBot) -> str:
    qtbot.waitUntil(lambda: not panel.queue.bar.working, timeout=LONG)
    return str(panel.queue.bar.said)


def cells(panel: PredictPanel) -> list[tuple[str, ...]]:
    """Return what stands in the table."""
    model = panel.queue.table.model()
    rows, columns = range(model.rowCount()), range(model.columnCount())
    return [tuple(model.index(row, column).data() for column in columns) for row in rows]


# -- without a window -----------------------------------------------------------------------


def row(name: str = "a", **values: object) -> Row:
    return replace(Row(f"/scans/{name}.mha", "", name), **values)


def test_what_lacks_is_said(scans: Path) -> None:
    assert queue_why_not(None, None) == "Choose a folder of scans"
    assert queue_why_not(scans / "nowhere", None).startswith("No such folder")
    assert queue_why_not(scans, scans / "a.mha").endswith("choose a folder for the results")
    assert queue_why_not(scans, scans).startswith("Choose another folder")
    assert queue_why_not(scans, scans.parent / "results") == ""


def test_scans_have_their_own_place_for_results(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "scans", tmp_path / "other" / "scans"
    assert results_folder(one, tmp_path) == results_folder(one, tmp_path)
    assert results_folder(one, tmp_path) != results_folder(other, tmp_path)
    assert results_folder(one, tmp_path).parent == tmp_path / "results"


def test_all_that_is_chosen_for_one_scan_holds_for_many(tmp_path: Path) -> None:
    rules = Inference(
        threshold=0.3,
        seed_threshold=0.6,
        min_diameter_mm=5,
        fill_holes=False,
        split_touching=True,
    )
    choice = Choice(tmp_path, rules, (tmp_path / "b",), mirrored=True, whole=True, device="cpu")
    spec = queue_spec(tmp_path / "scans", tmp_path / "out", choice)
    assert (spec.scans, spec.out) == ((str(tmp_path / "scans"),), tmp_path / "out")
    assert spec.work == PredictMany(
        model=tmp_path,
        more_models=(tmp_path / "b",),
        threshold=0.3,
        seed_threshold=0.6,
        min_diameter_mm=5,
        fill_holes=False,
        split_touching=True,
        mirrored=True,
        whole=True,
        device="cpu",
    )


def test_a_queue_that_was_killed_is_at_rest(tmp_path: Path) -> None:
    assert rows_now(tmp_path) == rows_at_rest(tmp_path) == ()
    manifest = Manifest(tmp_path)
    manifest.add(ScanFile(tmp_path / "a.mha"), "a", status="running")
    manifest.write()
    assert [row.status for row in rows_now(tmp_path)] == ["running"]
    assert [row.status for row in rows_at_rest(tmp_path)] == ["waiting"]


def test_rows_in_words(tmp_path: Path) -> None:
    failed = row("b", status="failed", error="b.mha is damaged")
    rows = [row(), failed, row("c", status="done"), row("d", status="running")]
    assert queue_in_words(rows) == "4 scans: 1 done, 1 failed, 1 worked on, 1 to do"
    assert queue_in_words([]) == ""
    assert [status_in_words(one) for one in rows] == [
        "waits",
        "failed: b.mha is damaged",
        "done",
        "working",
    ]
    assert end_in_words({"done": 1, "failed": 0}, tmp_path).startswith("1 scan done. Masks")
    assert "2 failed" in end_in_words({"done": 1, "failed": 2}, tmp_path)


def test_a_mask_is_found_while_it_is_there(tmp_path: Path) -> None:
    done = row(status="done", outputs="a_pred.nii.gz; a_nodules.csv")
    assert mask_of(row(), tmp_path) is None
    assert mask_of(done, tmp_path) is None
    (tmp_path / "a_pred.nii.gz").write_bytes(b"")
    assert mask_of(done, tmp_path) == tmp_path / "a_pred.nii.gz"


# -- the panel ----------------------------------------------------------------------------


def test_it_says_what_is_missing(
    panel: PredictPanel, model_session: Session, scans: Path, model: Path
) -> None:
    view = panel.queue
    assert not view.bar.button.isEnabled()
    assert view.bar.button.toolTip() == "Choose a folder of scans"
    view.scans.set_path(scans)
    assert view.bar.button.toolTip() == "Choose a model first"
    assert "results" in view.results.line.placeholderText()
    model_session.choose_model(model)
    assert view.bar.button.isEnabled()
    assert not view.table.isVisible()


def test_without_dask_it_says_how_to_get_it(
    model_viewer: ViewerModel, qtbot: QtBot, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name)
    )
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    unfold(panel)
    session_of(model_viewer).choose_model(model)
    words = panel.queue.lacks.text().replace("\u200b", "")
    assert 'pip install "napari-ctlns[cohort]"' in words
    assert not panel.queue.scans.isEnabled()
    assert not panel.queue.bar.button.isEnabled()


def test_scan_by_scan(ready: PredictPanel, scans: Path, qtbot: QtBot) -> None:
    start(ready, qtbot)
    assert not ready.queue.scans.isEnabled()
    words = over(ready, qtbot)
    out = scans.parent / "results"
    assert words.startswith("2 scans done, 1 failed (point at the row to see why)")
    assert words.endswith(str(out))
    qtbot.waitUntil(lambda: ready.queue.counts.text() == "3 scans: 2 done, 1 failed", timeout=LONG)
    (name, took, unsure, status), (*_, failed), _ = cells(ready)
    assert (name, took, unsure, status) == ("a", "2 s", "0.40", "done")
    assert failed.startswith("failed: ")
    index = ready.queue.table.model().index(1, STATUS)
    assert index.data(Qt.ItemDataRole.ToolTipRole) == failed
    assert index.data(Qt.ItemDataRole.ForegroundRole).name() == TROUBLE_COLOUR
    assert str(scans / "b.mha") in ready.queue.table.model().index(1, 0).data(
        Qt.ItemDataRole.ToolTipRole
    )
    assert not ready.queue.bar.remarks.isVisible()  # its row says it
    assert ready.queue.scans.isEnabled()
    assert under_way(ready._session, ScanQueue) is None


def test_a_done_row_opens_with_its_mask(
    ready: PredictPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    start(ready, qtbot)
    over(ready, qtbot)
    table = ready.queue.table
    qtbot.waitUntil(lambda: len(cells(ready)) == 3, timeout=LONG)
    assert ready.queue.open.toolTip() == "Choose a row first"
    table.setFocus()
    table.selectRow(1)
    assert ready.queue.open.toolTip() == "This scan is not done"
    qtbot.keyClick(table, Qt.Key.Key_Return)
    assert model_session.scan is None
    assert ready.queue.bar.said == "Only a scan that is done can be opened"
    table.selectRow(2)
    qtbot.waitUntil(ready.queue.open.isEnabled, timeout=LONG)
    qtbot.keyClick(table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: model_session.mask is not None, timeout=LONG)
    assert model_session.volume is not None
    assert model_session.volume.scan_id == "c"
    assert np.array_equal(np.asarray(model_session.mask.data) > 0, volume.array == 60)
    qtbot.waitUntil(lambda: not ready.job_bar.working, timeout=LONG)
    assert ready.job_bar.said == "Opened a scan and a mask"
    middle = table.visualRect(table.model().index(0, 0)).center()
    qtbot.mouseClick(table.viewport(), LEFT, pos=middle)
    qtbot.mouseDClick(table.viewport(), LEFT, pos=middle)
    qtbot.waitUntil(lambda: len(model_session.layers_for("scan")) == 2, timeout=LONG)


def until_two_are_done(panel: PredictPanel, qtbot: QtBot) -> None:
    """Wait until the table says so: it reads the manifest in a thread, after the work."""

    def done() -> int:
        return [status for *_, status in cells(panel)].count("done")

    qtbot.waitUntil(lambda: done() == 2, timeout=LONG)


def test_a_mask_that_is_gone_is_told(ready: PredictPanel, scans: Path, qtbot: QtBot) -> None:
    start(ready, qtbot)
    over(ready, qtbot)
    until_two_are_done(ready, qtbot)
    (scans.parent / "results" / "a_pred.nii.gz").unlink()
    ready.queue.table.selectRow(0)
    qtbot.mouseClick(ready.queue.open, LEFT)
    assert ready.queue.bar.said == "The mask of a is gone; start again"


def test_it_stops_and_goes_on(
    ready: PredictPanel,
    model_session: Session,
    scans: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_fake_child(model_session, monkeypatch, steps=80)
    start(ready, qtbot)
    qtbot.waitUntil(lambda: ("a", "2 s", "0.40", "done") in cells(ready), timeout=LONG)
    assert any(status in ("working", "waits") for *_, status in cells(ready))
    qtbot.waitUntil(ready.queue.bar.cancel.isVisible, timeout=LONG)
    qtbot.mouseClick(ready.queue.bar.cancel, LEFT)
    assert over(ready, qtbot).startswith("Stopped. What is done stays")
    again = PredictPanel(model_session.viewer)
    qtbot.addWidget(again)
    again.queue.scans.set_path(scans)
    again.queue.results.set_path(scans.parent / "results")
    qtbot.waitUntil(lambda: len(cells(again)) == 3, timeout=LONG)
    assert cells(again)[0] == ("a", "2 s", "0.40", "done")
    with_fake_child(model_session, monkeypatch)
    start(again, qtbot)
    assert over(again, qtbot).startswith("2 scans done, 1 failed")


def test_it_outlives_its_panel(
    ready: PredictPanel,
    model_session: Session,
    scans: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_fake_child(model_session, monkeypatch, steps=30)
    start(ready, qtbot)
    second = PredictPanel(model_session.viewer)
    qtbot.addWidget(second)
    assert second.queue.bar.working
    assert second.queue.scans.path == scans
    assert not second.queue.scans.isEnabled()
    assert second.job_bar.button.toolTip() == "Open a scan first"  # other work goes its own way
    qtbot.waitUntil(lambda: len(cells(second)) == 3, timeout=LONG)
    assert over(second, qtbot).startswith("2 scans done")


def test_trouble_is_told_in_words_of_the_panel(
    ready: PredictPanel, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "empty").mkdir()
    ready.queue.scans.set_path(tmp_path / "empty")
    start(ready, qtbot)
    words = over(ready, qtbot)
    assert words == "no scans to work on; choose another folder for the results"
    assert ready.queue.bar.status.property("trouble")


def test_a_damaged_manifest_is_told(ready: PredictPanel, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.csv").write_text(f"{','.join(COLUMNS)}\na,b\n", "utf-8")
    ready.queue.results.set_path(tmp_path / "other")
    qtbot.waitUntil(lambda: "is no manifest of a cohort" in ready.queue.bar.said, timeout=LONG)
    ready.queue.results.set_path(tmp_path / "new")
    qtbot.waitUntil(lambda: ready.queue.bar.button.isEnabled(), timeout=LONG)


@pytest.mark.parametrize("answer", ["Cancel", "Stop it"])
def test_closing_the_window_asks(
    viewer: Viewer,
    model: Path,
    scans: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
) -> None:
    session = session_of(viewer)
    with_fake_child(session, monkeypatch, steps=10_000)
    panel = PredictPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Predict", area="right")
    session.choose_model(model)
    panel.queue.scans.set_path(scans)
    panel.queue.results.set_path(scans.parent / "results")
    unfold(panel)
    start(panel, qtbot)
    qtbot.waitUntil(lambda: len(cells(panel)) == 3, timeout=LONG)
    queue = under_way(session, ScanQueue)
    assert queue is not None
    pid = queue._child.pid
    asked: list[str] = []

    def exec_(question: QMessageBox) -> int:
        asked.append(question.text())
        (button,) = [b for b in question.buttons() if b.text().replace("&", "") == answer]
        button.click()
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(QMessageBox, "exec", exec_)
        (viewer if answer == "Stop it" else viewer.window._qt_window).close()
    assert asked == ["The scans of scans are still worked on."]
    assert pid_alive(pid) == (answer == "Cancel")
    if answer == "Cancel":
        assert viewer.window._qt_window.isVisible()
        queue.stop()
        over(panel, qtbot)


@pytest.mark.slow
def test_a_real_queue(
    model_viewer: ViewerModel,
    scans: Path,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = os.pathsep.join((str(SOURCE), str(HERE.parent / "inference")))
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    toy = tmp_path / "toy"
    subprocess.run([sys.executable, "-c", TOY, str(toy)], check=True)
    session = session_of(model_viewer)
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    unfold(panel)
    session.choose_model(toy)
    panel.whole.setChecked(True)
    panel.device.setCurrentText("cpu")
    panel.queue.scans.set_path(scans)
    panel.queue.results.set_path(tmp_path / "results")
    start(panel, qtbot)
    assert over(panel, qtbot).startswith("2 scans done, 1 failed")
    until_two_are_done(panel, qtbot)
    panel.queue.table.selectRow(0)
    qtbot.mouseClick(panel.queue.open, LEFT)
    qtbot.waitUntil(lambda: session.mask is not None, timeout=LONG)
    for z, y, x in ((8, 16, 18), (15, 30, 28)):
        assert session.mask.data[z, y, x] > 0
    panel.rules.threshold.slider.setValue(77)
    start(panel, qtbot)
    assert "choose another folder for the results" in over(panel, qtbot)
    session.close()
