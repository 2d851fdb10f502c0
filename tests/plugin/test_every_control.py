"""Every control of every panel is explained, reached by keyboard and wholly in sight."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari._qt.qt_resources import get_stylesheet
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QScrollBar,
    QWidget,
)
from superqt import QElidingLabel

from napari_ctlns.cohort.manifest import Row
from napari_ctlns.events import Log, Metric, Progress, Started, event_to_json
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import ScanFile
from napari_ctlns.inference.foreign import Foreign
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.jobs.run_folder import write_state
from napari_ctlns.plugin.annotation_tools import annotation_tools_of
from napari_ctlns.plugin.importing import Importable
from napari_ctlns.plugin.panels.annotations_panel import AnnotationsPanel
from napari_ctlns.plugin.panels.click_panel import ClickPanel
from napari_ctlns.plugin.panels.compare_panel import FINDINGS, ComparePanel
from napari_ctlns.plugin.panels.correct_panel import CorrectPanel
from napari_ctlns.plugin.panels.growth_panel import GrowthPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.panels.planes_panel import PlanesPanel
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.panels.rulers_panel import RulersPanel
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.live_text import LiveText
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.work import Work
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Volume

LONG = 60_000


class FindingsPanel(ComparePanel):
    """The Compare panel where findings are compared with annotations."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.what.setCurrentIndex(FINDINGS)


PANELS = (
    *(ScanPanel, ClickPanel, AnnotationsPanel, TrainPanel, PredictPanel),
    *(CorrectPanel, NodulesPanel, PlanesPanel, RulersPanel),
    *(GrowthPanel, ComparePanel, FindingsPanel),
)
CONTROLS = (
    QAbstractButton,
    QComboBox,
    QAbstractSpinBox,
    QLineEdit,
    QAbstractSlider,
    QAbstractItemView,
)
LONG_WORDS = (
    "truncated .raw: /a/rather/long/path/to/where/scans/of/patients/lie/1.3.6.1.4.1.14519.5.2.1."
    "6279.6001.179049373636438705059720603192.raw holds half of its voxels; copy it again"
)


class EndlessWork(Work):
    """Work that a person watches."""

    def pause(self) -> None:
        """Nothing pauses."""

    def stop(self) -> None:
        """Nothing stops."""


@pytest.fixture(params=PANELS, ids=lambda kind: kind.__name__)
def make(
    request: pytest.FixtureRequest,
    qtbot: QtBot,
    model_viewer: ViewerModel,
    model_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[[int], Panel]]:
    """Open one of the panels, so wide and drawn as in napari's window."""
    held = []  # else it may be collected while it is drawn for the last time, after the test

    def make_(width: int = 340) -> Panel:
        panel: Panel = request.param(model_viewer)
        held.append(panel)
        qtbot.addWidget(panel)
        panel.setStyleSheet(get_stylesheet("dark"))
        panel.resize(max(width, panel.minimumWidth()), 700)
        panel.show()
        settle(panel, qtbot)
        return panel

    yield make_
    model_session.close()


def settle(panel: Panel, qtbot: QtBot) -> None:
    """Let everything that was started by itself come to its end."""
    rounds()
    for bar in panel.findChildren(JobBar):
        if not isinstance(panel, TrainPanel):
            qtbot.waitUntil(lambda bar=bar: not bar.working, timeout=LONG)
    rounds()


def rounds() -> None:
    """Let layouts in layouts find their sizes, which takes some rounds."""
    for _ in range(10):
        QApplication.processEvents()


@pytest.fixture
def open_all(
    model_session: Session,
    volume: Volume,
    annotations: tuple[Annotation, ...],
    run: Path,
    model: Path,
) -> Callable[[], None]:
    """Open one of everything."""

    def open_() -> None:
        model_session.add_scan(volume)
        model_session.add_annotations(annotations, volume)
        model_session.add_mask(volume.mask((volume.array == 60).astype(np.uint8)), "nodules")
        model_session.choose_model(model)
        model_session.watch_run(run)

    return open_


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "best"
    folder.mkdir(parents=True)
    card = ModelCard(recipe=load_recipe("ct-lns"), metrics={"val_dice": 0.8, "val_loss": 0.2})
    (folder / CARD).write_text(card.model_dump_json(), "utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that goes on: this very process works in it."""
    folder = tmp_path / "runs" / "ct-lns-2026-11-20-153000"
    folder.mkdir(parents=True)
    write_state(folder, "running")
    (folder / "recipe.toml").write_text(load_recipe("ct-lns").to_toml(), "utf-8")
    events = (
        Started(title="Train ct-lns on dataset"),
        Log(message="no nodules to validate on: the training scans stand in", level="warning"),
        Metric(name="train/loss", step=1, value=0.5),
        Progress(done=1, total=100, unit="step"),
    )
    lines = "".join(f"{event_to_json(event)}\n" for event in events)
    (folder / "events.jsonl").write_text(lines, "utf-8")
    return folder


def fill(panel: Panel, qtbot: QtBot) -> None:
    """Bring everything into sight that a panel can show at a time."""
    for fold in panel.findChildren(Fold):
        fold.expand()
    if isinstance(panel, ScanPanel):
        qtbot.waitUntil(lambda: panel.facts.shown()["Size"] != "", timeout=LONG)
        panel.scan_choice.offer([ScanFile(Path("a.mha")), ScanFile(Path("b.mha"))])
    if isinstance(panel, FindingsPanel):
        qtbot.mouseClick(panel.job_bar.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(panel.froc.table.isVisible, timeout=LONG)
    if isinstance(panel, AnnotationsPanel):
        tools = annotation_tools_of(session_of(panel._session.viewer))
        tools.select([0])
        tools.set_diameter(7.0)
    if isinstance(panel, PredictPanel):
        panel.queue.show_rows(
            [
                Row("a.mha", "", "a" * 60, "done", "12.3"),
                Row("b.mha", "", "b", "failed", "1.2", error=LONG_WORDS),
            ]
        )
        panel.import_offer.offer(
            Importable(Foreign(Path("a.onnx"), "onnx"), ("b",) * 2, ("0",) * 2)
        )
        for fold in panel.import_offer.findChildren(Fold):
            fold.expand()
    if isinstance(panel, TrainPanel):
        (bar,) = panel.findChildren(JobBar)
        qtbot.waitUntil(bar.cancel.isVisible, timeout=LONG)
    settle(panel, qtbot)


def work(panel: Panel, qtbot: QtBot) -> None:
    """Let the panel show work that goes on."""
    for bar in panel.findChildren(JobBar):
        if not bar.working:
            going = EndlessWork(panel)
            bar.follow(going)
            going.say(Progress(done=12, total=345, unit="windows"))
        qtbot.waitUntil(lambda bar=bar: not bar._progress.isHidden(), timeout=LONG)
    rounds()


def controls(panel: Panel) -> list[QWidget]:
    """Return what a person can use now; parts of a control belong to it."""
    found = [
        widget
        for widget in panel.findChildren(QWidget)
        if isinstance(widget, CONTROLS)
        and not isinstance(widget, QScrollBar | QHeaderView)
        and widget.isVisible()
    ]
    return [widget for widget in found if whole(widget, panel) is widget]


def whole(widget: QWidget, panel: Panel) -> QWidget:
    """Return the control that a widget is part of, or the widget itself."""
    above, control = widget.parentWidget(), widget
    while above is not None and above is not panel:
        control = above if isinstance(above, CONTROLS) else control
        above = above.parentWidget()
    return control


def unexplained(panel: Panel) -> list[str]:
    return [named(control) for control in controls(panel) if not control.toolTip().strip()]


def beyond_tab(panel: Panel, qtbot: QtBot) -> list[str]:
    """Press Tab until it goes round; return what it did not come by."""
    wanted = [control for control in controls(panel) if control.isEnabled()]
    if not wanted:
        return []
    came_by: list[QWidget] = []
    wanted[0].setFocus()
    for _ in range(3 * len(wanted) + 10):
        now = panel.focusWidget()
        came_by.append(whole(now, panel))
        qtbot.keyClick(now, Qt.Key.Key_Tab)
    return [named(control) for control in wanted if control not in came_by]


def without_buddy(panel: Panel) -> list[str]:
    role = QFormLayout.ItemRole.LabelRole
    labels = [
        item.widget()
        for form in panel.findChildren(QFormLayout)
        for row in range(form.rowCount())
        if (item := form.itemAt(row, role)) is not None
    ]
    return [label.text() for label in labels if label.text() and label.buddy() is None]


def cut_off(panel: Panel) -> list[str]:
    """Return the words that have less room than they need."""
    found = []
    for widget in panel.findChildren(QWidget):
        if not isinstance(widget, QLabel | QAbstractButton) or not widget.isVisible():
            continue
        if isinstance(widget, QElidingLabel | LiveText) or not widget.text():
            continue
        wraps = isinstance(widget, QLabel) and widget.wordWrap()
        wide = wraps or widget.sizeHint().width() <= widget.width()
        needed = widget.heightForWidth(widget.width()) if wraps else widget.sizeHint().height()
        inside = panel.width() >= widget.mapTo(panel, widget.rect().topRight()).x()
        if not (wide and inside and widget.height() >= needed):
            found.append(
                f"{named(widget)} {widget.size()} needs {widget.sizeHint()}, {needed} high"
            )
    return found


def named(widget: QWidget) -> str:
    words = widget.text() if isinstance(widget, QAbstractButton | QLabel) else ""
    return f"{type(widget).__name__} {words or widget.objectName() or widget.toolTip()}"


def judge(panel: Panel, qtbot: QtBot) -> None:
    assert len(controls(panel)) >= 1
    assert unexplained(panel) == []
    assert without_buddy(panel) == []
    assert beyond_tab(panel, qtbot) == []


def test_an_empty_panel(make: Callable[..., Panel], qtbot: QtBot) -> None:
    panel = make()
    judge(panel, qtbot)
    for fold in panel.findChildren(Fold):
        fold.expand()
    judge(panel, qtbot)


def test_a_panel_with_everything(
    open_all: Callable[[], None], make: Callable[..., Panel], qtbot: QtBot
) -> None:
    open_all()
    panel = make()
    fill(panel, qtbot)
    judge(panel, qtbot)


def test_a_panel_that_works(
    open_all: Callable[[], None], make: Callable[..., Panel], qtbot: QtBot
) -> None:
    open_all()
    panel = make()
    work(panel, qtbot)
    judge(panel, qtbot)


@pytest.mark.parametrize("width", [324, 390])
def test_words_are_not_cut_off(
    open_all: Callable[[], None], make: Callable[..., Panel], qtbot: QtBot, width: int
) -> None:
    panel = make(width)
    assert cut_off(panel) == []
    for fold in panel.findChildren(Fold):
        fold.expand()
    settle(panel, qtbot)
    assert cut_off(panel) == []
    for bar in panel.findChildren(JobBar):
        bar.say(LONG_WORDS, trouble=True)
    settle(panel, qtbot)
    assert cut_off(panel) == []
    open_all()
    fill(panel, qtbot)
    assert cut_off(panel) == []
    work(panel, qtbot)
    assert cut_off(panel) == []
