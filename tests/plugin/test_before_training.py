"""What the Train panel tells before a training: the memory it needs, the patches it will see."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from napari.components import ViewerModel
from pydantic import BaseModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton

from napari_ctlns.plugin import estimating
from napari_ctlns.plugin.child_process import ChildProcess, ChildWork
from napari_ctlns.plugin.panels import train_panel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.views.data_choice import DataChoice
from napari_ctlns.plugin.views.patches_window import PatchesWindow
from napari_ctlns.plugin.views.recipe_form import RecipeForm
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.plugin.views.trouble import TROUBLE_COLOUR
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import PrepareSpec

LONG = 60_000
HERE = Path(__file__).parent
Asked = list[tuple[BaseModel, ChildWork]]
SOURCE = HERE.parents[1] / "src"


@pytest.fixture
def panel(
    model_viewer: ViewerModel,
    model_session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[TrainPanel]:
    """A panel whose child makes estimates and pictures up."""
    settings = Settings("cpu", "fp32", "lung", tmp_path / "work")
    monkeypatch.setattr(estimating, "MS_BEFORE_ASKING", 50)
    monkeypatch.setattr(train_panel, "read_settings", lambda: settings)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    command = (sys.executable, str(HERE / "fake_learning.py"))
    model_session._child = ChildProcess(model_session, command)
    panel = TrainPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    model_session.close()


@pytest.fixture
def asked(model_session: Session, panel: TrainPanel, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the child is asked for, and its work on that."""
    child, asked = model_session.child, []

    def start(job: str, spec: BaseModel) -> ChildWork:
        asked.append((spec, ChildProcess.start(child, job, spec)))
        return asked[-1][1]

    monkeypatch.setattr(child, "start", start)
    return asked


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "dataset.json").touch()
    return folder


def choose(panel: TrainPanel, dataset: Path) -> None:
    (data,) = panel.findChildren(DataChoice)
    data.way.setCurrentText("Prepared dataset")
    data.dataset.set_path(dataset)


def write(panel: TrainPanel, qtbot: QtBot, key: str, text: str) -> None:
    (form,) = panel.findChildren(RecipeForm)
    for fold in (form.more, *form.sections.values()):
        fold.expand()
    native = form.field(key).native
    native.setFocus()
    native.selectAll()
    qtbot.keyClicks(native, text)
    qtbot.keyClick(native, Qt.Key.Key_Tab)


def need(panel: TrainPanel) -> QLabel | None:
    """Return the line about memory, if it is there."""
    lines = [line for line in panel.findChildren(QLabel) if line.text().startswith("Needs about")]
    return next((line for line in lines if line.isVisible()), None)


def said(panel: TrainPanel) -> str:
    line = need(panel)
    return "" if line is None else line.text().replace("\u200b", "")


class TestMemory:
    def test_it_is_said_once_data_and_recipe_are_chosen(
        self, panel: TrainPanel, dataset: Path, model_session: Session, qtbot: QtBot
    ) -> None:
        assert model_session.child.pid == 0  # nothing is asked before
        choose(panel, dataset)
        qtbot.waitUntil(lambda: said(panel) == "Needs about 400 of 1000 bytes on cpu", timeout=LONG)
        assert TROUBLE_COLOUR not in need(panel).styleSheet()

    def test_too_much_comes_with_advice(
        self, panel: TrainPanel, dataset: Path, qtbot: QtBot
    ) -> None:
        choose(panel, dataset)
        write(panel, qtbot, "optimisation.batch_size", "12")
        qtbot.waitUntil(lambda: "1200 of 1000 bytes" in said(panel), timeout=LONG)
        assert said(panel).endswith("; take a smaller optimisation.batch_size")
        assert TROUBLE_COLOUR in need(panel).styleSheet()
        write(panel, qtbot, "optimisation.batch_size", "10")
        assert said(panel) == ""  # what was said is of another recipe
        qtbot.waitUntil(lambda: "1000 of 1000 bytes" in said(panel), timeout=LONG)
        assert TROUBLE_COLOUR not in need(panel).styleSheet()

    def test_only_the_last_change_is_asked_about(
        self,
        panel: TrainPanel,
        dataset: Path,
        asked: Asked,
        qtbot: QtBot,
    ) -> None:
        panel._before._estimate._timer.setInterval(500)
        choose(panel, dataset)
        for size in ("2", "3", "5"):
            write(panel, qtbot, "optimisation.batch_size", size)
        qtbot.waitUntil(lambda: "500 of 1000 bytes" in said(panel), timeout=LONG)
        assert asked[-1][0].recipe.optimisation.batch_size == 5
        assert len(asked) < 4  # a slow machine may ask about some in between

    def test_a_child_that_works_is_left_alone(
        self, panel: TrainPanel, dataset: Path, model_session: Session, qtbot: QtBot, tmp_path: Path
    ) -> None:
        spec = PrepareSpec(source=tmp_path, out=tmp_path / "out", recipe=load_recipe("ct-lns"))
        work = model_session.child.start("prepare", spec)
        qtbot.waitUntil(lambda: work.began, timeout=LONG)
        choose(panel, dataset)
        qtbot.wait(300)
        assert list(model_session.child._works.values()) == [work]
        assert said(panel) == ""
        work.stop()
        qtbot.waitUntil(lambda: said(panel) != "", timeout=LONG)

    def test_a_child_that_cannot_tell_is_not_heard_of(
        self, panel: TrainPanel, dataset: Path, asked: Asked, qtbot: QtBot
    ) -> None:
        choose(panel, dataset)
        qtbot.waitUntil(lambda: said(panel) != "", timeout=LONG)
        write(panel, qtbot, "name", "fails")
        assert said(panel) == ""
        qtbot.waitUntil(lambda: asked[-1][0].recipe.name == "fails", timeout=LONG)
        qtbot.waitUntil(lambda: asked[-1][1].over, timeout=LONG)
        assert said(panel) == ""
        (bar,) = panel.findChildren(RunBar)
        assert bar.said == ""
        assert bar.button.isEnabled()

    def test_nothing_is_asked_when_the_window_has_closed(
        self, panel: TrainPanel, dataset: Path, model_session: Session, qtbot: QtBot
    ) -> None:
        choose(panel, dataset)
        model_session.close()
        qtbot.wait(300)
        assert model_session.child.pid == 0


class TestPatches:
    @staticmethod
    def button(panel: TrainPanel) -> QPushButton:
        (found,) = [b for b in panel.findChildren(QPushButton) if b.text() == "Show patches…"]
        return found

    def test_a_dataset_is_needed(self, panel: TrainPanel, dataset: Path, tmp_path: Path) -> None:
        button = self.button(panel)
        assert not button.isEnabled()
        assert button.toolTip() == "Choose the folder that holds the scans"
        (data,) = panel.findChildren(DataChoice)
        data.scans.set_path(tmp_path)
        table = tmp_path / "annotations.csv"
        table.touch()
        data.annotations.set_path(table)
        assert not button.isEnabled()
        assert "not prepared yet" in button.toolTip()
        choose(panel, dataset)
        assert button.isEnabled()

    def test_the_sheets_of_one_epoch_after_the_other_are_shown(
        self, panel: TrainPanel, dataset: Path, qtbot: QtBot
    ) -> None:
        choose(panel, dataset)
        qtbot.mouseClick(self.button(panel), Qt.MouseButton.LeftButton)
        (window,) = panel.findChildren(PatchesWindow)
        assert window.isVisible()
        assert not window.isModal()
        qtbot.waitUntil(lambda: window.picture.has_picture, timeout=LONG)
        assert window.windowTitle() == "Patches of ct-lns, epoch 1"
        qtbot.mouseClick(window.bar.button, Qt.MouseButton.LeftButton)
        assert window.windowTitle() == "Patches of ct-lns, epoch 2"
        qtbot.waitUntil(lambda: window.picture.has_picture, timeout=LONG)
        red = window.picture.grab().toImage().pixelColor(window.picture.width() // 2, 5).red()
        assert red == 10
        qtbot.keyClick(window, Qt.Key.Key_Escape)
        assert not window.isVisible()
        qtbot.mouseClick(self.button(panel), Qt.MouseButton.LeftButton)
        assert panel.findChildren(PatchesWindow) == [window]
        assert window.windowTitle() == "Patches of ct-lns, epoch 1"
        qtbot.waitUntil(lambda: window.picture.has_picture, timeout=LONG)

    def test_what_is_wrong_with_the_dataset_is_said_there(
        self, panel: TrainPanel, dataset: Path, qtbot: QtBot
    ) -> None:
        choose(panel, dataset)
        (dataset / "dataset.json").unlink()
        panel._before._sheets.show(dataset, load_recipe("ct-lns"))
        (window,) = panel.findChildren(PatchesWindow)
        qtbot.waitUntil(lambda: "no dataset" in window.bar.said, timeout=LONG)
        assert not window.picture.has_picture
