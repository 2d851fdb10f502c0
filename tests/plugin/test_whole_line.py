"""The whole line in a real window: from a dropped DICOM folder to a project that reopens.

``CTLNS_PICTURES=docs/images`` in the environment takes the pictures of the docs.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from napari import Viewer
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QDir, QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QFileDialog,
    QLineEdit,
    QWidget,
)

from napari_ctlns.jobs.run_folder import is_live
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.panels.annotations_panel import AnnotationsPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.views.data_choice import DataChoice
from napari_ctlns.plugin.views.loss_plot import LossPlot
from napari_ctlns.plugin.views.recipe_form import RecipeForm
from napari_ctlns.plugin.views.run_bar import RunBar

LONG = 120_000
SERIES = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
SMALL = {
    "optimisation.epochs": "50",
    "optimisation.batch_size": "2",
    "patches.size": "[32, 32, 32]",
    "patches.per_scan": "40",
    "network.channels": "[8, 16, 32]",
    "inference.window": "[64, 64, 64]",
}
"""So that two epochs take seconds."""
LEFT = Qt.MouseButton.LeftButton
PANELS = {
    "Scan": ScanPanel,
    "Annotations": AnnotationsPanel,
    "Train": TrainPanel,
    "Predict": PredictPanel,
    "Nodules": NodulesPanel,
}


def draw_icons(viewer: Viewer) -> None:
    """Let napari's buttons have their icons, which its own tests do without."""
    from napari.resources._icons import _theme_path, build_theme_svgs

    QDir.addSearchPath("theme_dark", str(_theme_path("dark")))
    build_theme_svgs("dark", source="builtin")
    viewer.theme = "light"
    viewer.theme = "dark"


class Person:
    """Somebody at a window: drops, clicks, chooses files, drags, looks."""

    def __init__(self, viewer: Viewer, qtbot: QtBot, patch: pytest.MonkeyPatch) -> None:
        self.viewer = viewer
        self.session: Session = session_of(viewer)
        self._qtbot = qtbot
        self._patch = patch
        self._pictures = os.environ.get("CTLNS_PICTURES")
        if self._pictures:
            draw_icons(viewer)
        self._docks = {
            name: viewer.window.add_plugin_dock_widget("napari-ctlns", name, tabify=name != "Scan")
            for name in PANELS
        }

    def panel(self, name: str) -> QWidget:
        """Bring a panel to the front."""
        dock, panel = self._docks[name]
        dock.raise_()
        assert isinstance(panel, PANELS[name])
        QApplication.processEvents()
        return panel

    def waits(self, until: Callable[[], object]) -> None:
        self._qtbot.waitUntil(lambda: bool(until()), timeout=LONG)

    def clicks(self, where: QWidget, words: str | None = None) -> None:
        """Click a button, or the one with these words."""
        button = where
        if words is not None:
            (button,) = [
                b
                for b in where.findChildren(QAbstractButton)
                if b.text() == words and b.isVisible()
            ]
        assert button.isEnabled(), button.toolTip()
        self._qtbot.mouseClick(button, LEFT, pos=QPoint(8, button.height() // 2))

    def chooses(self, path: Path) -> None:
        """Answer the next file dialogs."""
        for name in ("getOpenFileName", "getSaveFileName"):
            self._patch.setattr(QFileDialog, name, staticmethod(lambda *_: (str(path), "")))
        self._patch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_: str(path)))

    def drops(self, path: Path, target: QWidget) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        middle = target.rect().center()
        copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(target, QDragEnterEvent(middle, copy, data, LEFT, none))
        QApplication.sendEvent(target, QDropEvent(QPointF(middle), copy, data, LEFT, none))

    def types(self, box: QAbstractSpinBox, text: str) -> None:
        box.setFocus()
        box.selectAll()
        self._qtbot.keyClicks(box, text)
        self._qtbot.keyClick(box, Qt.Key.Key_Return)

    def writes(self, line: QLineEdit, text: str) -> None:
        line.setFocus()
        line.selectAll()
        self._qtbot.keyClicks(line, text)
        self._qtbot.keyClick(line, Qt.Key.Key_Tab)

    def drags(self, *places: tuple[float, float, float], button: Qt.MouseButton = LEFT) -> None:
        """Drag in the canvas through places, canvas mm (z, y, x), in the slice on show."""
        canvas = self.viewer.window._qt_viewer.canvas
        transform = canvas.view.scene.transform
        points = [QPointF(*transform.map((x, y, 0))[:2]) for _, y, x in places]
        none = Qt.MouseButton.NoButton
        self._send(canvas.native, QEvent.Type.MouseMove, points[0], none, none)
        self._send(canvas.native, QEvent.Type.MouseButtonPress, points[0], button, button)
        for point in points[1:]:
            self._send(canvas.native, QEvent.Type.MouseMove, point, none, button)
        self._send(canvas.native, QEvent.Type.MouseButtonRelease, points[-1], button, none)

    def _send(
        self,
        canvas: QWidget,
        kind: QEvent.Type,
        at: QPointF,
        button: Qt.MouseButton,
        held: Qt.MouseButton,
    ) -> None:
        everywhere = QPointF(canvas.mapToGlobal(at.toPoint()))
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, everywhere, button, held, none))
        QApplication.processEvents()

    def looks(self, name: str) -> None:
        """Take a picture of the window, where pictures are wanted."""
        if self._pictures:
            self._qtbot.wait(700)
            path = Path(self._pictures) / f"{name}.png"
            self.viewer.window.screenshot(str(path), canvas_only=False, flash=False)


@pytest.fixture
def dicom(shared_data: Path) -> Path:
    return shared_data / "lidc-idri-0001" / "dicom"


@pytest.fixture
def table(shared_data: Path) -> Path:
    return shared_data / "luna16" / "annotations.csv"


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs go, as chosen in Preferences."""
    from napari.settings import get_plugin_settings

    monkeypatch.setattr(get_plugin_settings("napari-ctlns").files, "working_folder", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # on a busy machine two threads wait for each other
    return tmp_path


@pytest.fixture
def person(
    viewer: Viewer, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, working_folder: Path
) -> Person:
    viewer.window.resize(1366, 768)
    return Person(viewer, qtbot, monkeypatch)


def test_the_whole_line(
    person: Person,
    dicom: Path,
    table: Path,
    tmp_path: Path,
    make_napari_viewer: Callable[..., Viewer],
) -> None:
    open_and_window(person, dicom)
    annotate(person, table)
    run = train(person, tmp_path)
    predict(person)
    correct_and_measure(person)
    export(person, dicom, tmp_path)
    save_and_reopen(person, tmp_path, make_napari_viewer)
    assert not is_live(run)


def open_and_window(person: Person, dicom: Path) -> None:
    panel = person.panel("Scan")
    person.looks("scan-empty")
    person.drops(dicom, panel.open_controls.drop)
    person.waits(lambda: person.session.scan)
    volume = person.session.volume
    assert volume.scan_id == SERIES
    assert person.session.scan.contrast_limits == [-1350, 150]
    person.clicks(panel, "Mediastinum")
    assert person.session.scan.contrast_limits == [-160, 240]
    person.clicks(panel, "Lung")
    zoom = person.viewer.scene.camera.zoom
    person.clicks(panel, "Right-drag changes the window")
    z, y, x = np.asarray(volume.geometry.origin[::-1]) + 120
    person.drags((z, y, x), (z, y, x + 30), button=Qt.MouseButton.RightButton)
    low, high = person.session.scan.contrast_limits
    assert high - low > 1500
    assert person.viewer.scene.camera.zoom == zoom
    person.clicks(panel, "Right-drag changes the window")
    person.clicks(panel, "Lung")
    person.looks("scan")


def annotate(person: Person, table: Path) -> None:
    panel = person.panel("Annotations")
    person.chooses(table)
    person.clicks(panel, "Load…")
    person.waits(lambda: person.session.annotations)
    assert len(person.session.annotations.data) == 1
    place = panel.table.visualRect(panel.table.model().index(0, 0)).center()
    person._qtbot.mouseClick(panel.table.viewport(), LEFT, pos=place)
    person.viewer.scene.camera.zoom *= 2
    person.clicks(panel.preview)
    person.waits(lambda: len(person.viewer.layers) == 3)
    assert person.session.mask is None  # a preview is nothing to work on
    person.looks("annotations")
    person.clicks(panel, "Make mask")
    person.waits(lambda: person.session.mask)
    assert np.unique(person.session.mask.data).tolist() == [0, 1]
    (finding,) = findings_of(person.session.mask).items
    assert finding.origin == "annotation"


def train(person: Person, folder: Path) -> Path:
    panel = person.panel("Train")
    (data,) = panel.findChildren(DataChoice)
    assert data.way.currentText() == "Open layers"  # chosen, because a scan and its mask are open
    (form,) = panel.findChildren(RecipeForm)
    for fold in ("More", "Patches", "Network", "Inference"):
        person.clicks(panel, fold)
    for key, text in SMALL.items():
        person.writes(form.field(key).native, text)
    person.clicks(panel, "More")
    person.clicks(panel, "Start training")
    person.waits(lambda: person.session.run)
    run = person.session.run
    assert folder in run.parents
    person.waits(lambda: panel.findChildren(LossPlot))
    (plot,) = panel.findChildren(LossPlot)
    person.waits(lambda: plot.points("train/loss") > 0)
    seen = plot.points("train/loss")
    person.waits(lambda: plot.points("train/loss") > seen)  # it grows
    person.waits(lambda: plot.points("val/loss") >= 2)
    person.looks("train")
    person.clicks(panel, "Stop")
    (bar,) = panel.findChildren(RunBar)
    assert "topping" in bar.said
    person.waits(lambda: not bar.working)
    assert bar.said.startswith("Stopped after")
    assert person.session.model == run / "best"
    return run


def predict(person: Person) -> None:
    panel = person.panel("Predict")
    by_hand = person.session.mask
    person.waits(lambda: panel.job_bar.button.isEnabled())
    person.types(panel.rules.threshold.field, "0.3")
    person.clicks(panel, "Find nodules")
    person.waits(lambda: not panel.job_bar.working)
    layer = person.session.mask
    assert layer is not by_hand, panel.job_bar.said
    assert layer.data.shape == person.session.scan.data.shape
    assert {f.origin for f in findings_of(layer).items} <= {"model"}
    person.looks("predict")


def correct_and_measure(person: Person) -> None:
    panel = person.panel("Nodules")
    layer: Labels = person.session.mask
    person.waits(lambda: not panel.job_bar.working)
    layer.selected_label = 1
    layer.mode = "paint"
    layer.brush_size = 12
    z, y, x = person.session.annotations.data[0] * person.session.annotations.scale
    corners = ((-3, -5), (-4, 4), (3, 5), (4, -4), (-3, -5))
    person.drags(*((z, y + down, x + right) for down, right in corners))
    layer.mode = "pan_zoom"
    assert person.session.edits(layer) > 0
    person.waits(lambda: not person.session.is_stale(layer))  # its row follows by itself
    findings = findings_of(layer)
    corrected = findings.of_label(1)
    assert corrected.edited or corrected.origin == "hand"
    rows = panel.table.model().rowCount()
    assert rows == len(findings.labels)
    last = panel.table.visualRect(panel.table.model().index(rows - 1, 0)).center()
    person._qtbot.mouseClick(panel.table.viewport(), LEFT, pos=last)
    person.looks("nodules")


def export(person: Person, dicom: Path, folder: Path) -> None:
    panel = person.panel("Nodules")
    layer = person.session.mask
    for key, path in (("mask", "nodules.nii.gz"), ("table", "nodules.csv")):
        person.chooses(folder / path)
        panel.save.actions_by_key[key].trigger()
        person.waits(lambda: not panel.job_bar.working)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(dicom)))
    source, mask = reader.Execute(), sitk.ReadImage(str(folder / "nodules.nii.gz"))
    assert mask.GetSize() == source.GetSize()
    for one, other in (
        (mask.GetSpacing(), source.GetSpacing()),
        (mask.GetOrigin(), source.GetOrigin()),
        (mask.GetDirection(), source.GetDirection()),
    ):
        assert np.allclose(one, other, atol=1e-4)
    geometry = person.session.volume.geometry
    assert np.array_equal(sitk.GetArrayFromImage(mask), geometry.to_source(layer.data))
    table = pd.read_csv(folder / "nodules.csv")
    assert set(table["label"]) == set(np.unique(layer.data)) - {0}


def save_and_reopen(
    person: Person, folder: Path, make_napari_viewer: Callable[..., Viewer]
) -> None:
    scan = person.panel("Scan")
    path = folder / "patient.ctlns"
    person.chooses(path)
    person.clicks(scan, "Save project...")
    person.waits(lambda: path.exists() and not scan.job_bar.working)
    other = make_napari_viewer(show=True)
    other.open(path, plugin="napari-ctlns")
    again = session_of(other)
    assert again.volume.scan_id == SERIES
    assert [layer.name for layer in other.layers] == [layer.name for layer in person.viewer.layers]
    assert np.array_equal(again.mask.data, person.session.mask.data)
    assert findings_of(again.mask) == findings_of(person.session.mask)
    assert other.dims.current_step[0] == person.viewer.dims.current_step[0]
    assert other.scene.camera.zoom == pytest.approx(person.viewer.scene.camera.zoom)
    assert again.scan.contrast_limits == person.session.scan.contrast_limits
    assert not any(again.is_unsaved(layer) for layer in other.layers)
