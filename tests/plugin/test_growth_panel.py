"""The Growth panel: two visits chosen, compared, looked at side by side, and left as they were."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_ctlns.errors import ScanError
from napari_ctlns.events import Progress
from napari_ctlns.measurement.growth import GROWTH_COLUMNS, Alignment
from napari_ctlns.measurement.growth import table as table_module
from napari_ctlns.plugin.growing import growth_of, proposed, visits_of
from napari_ctlns.plugin.growth_rows import growth_rows, summary
from napari_ctlns.plugin.layers import is_preview
from napari_ctlns.plugin.panels.growth_panel import GrowthPanel
from napari_ctlns.plugin.project import snapshot
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume

LONG = 30_000
LEFT = Qt.MouseButton.LeftButton
SHIFT = np.array([5.0, -3.0, 12.5])


def balls(volume: Volume) -> np.ndarray:
    """Label the balls of `volume`, 1 and 2."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return labels


@pytest.fixture
def later(volume: Volume) -> Volume:
    """The same patient, shifted by `SHIFT`: another scan."""
    x, y, z = np.asarray(volume.geometry.origin) + SHIFT
    grid = replace(volume.geometry, origin=(float(x), float(y), float(z)))
    return replace(volume, geometry=grid, scan_id="later", array=volume.array.copy())


@pytest.fixture(autouse=True)
def aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay the scans on each other by what is known, not by lungs."""
    nothing = np.zeros((1, 1, 1, 3), np.float32)
    truth = Alignment(np.eye(3), SHIFT, nothing, Geometry((1, 1, 1)))

    def aligning(_scan: Volume, _later: Volume) -> Iterator[Progress]:
        yield Progress(done=1, total=1, unit="step")
        return truth

    monkeypatch.setattr(table_module, "aligning", aligning)


def open_visits(session: Session, volume: Volume, later: Volume) -> tuple[Labels, Labels]:
    """Open both scans; the second ball is gone at the later one, and one is new there."""
    session.add_scan(volume)
    first = session.add_mask(volume.mask(balls(volume)), "nodules")
    session.add_scan(later)
    labels = balls(later)
    labels[labels == 2] = 0
    labels[labels == 1] = 7
    labels[20:22, 20:24, 34:38] = 3
    return first, session.add_mask(later.mask(labels), "nodules later")


@pytest.fixture
def make(qtbot: QtBot) -> Iterator[Callable[[ViewerModel], GrowthPanel]]:
    """Open the panel; it is held until after its last drawing."""
    held = []

    def make_(viewer: ViewerModel) -> GrowthPanel:
        panel = GrowthPanel(viewer)
        held.append(panel)
        qtbot.addWidget(panel)
        panel.show()
        return panel

    yield make_
    held.clear()


def compare(panel: GrowthPanel, qtbot: QtBot, days: float = 100) -> None:
    panel.days.setValue(days)
    with qtbot.waitSignal(panel.job_bar.ended, timeout=LONG):
        qtbot.mouseClick(panel.job_bar.button, LEFT)


def click_row(panel: GrowthPanel, row: int, qtbot: QtBot) -> None:
    place = panel.table.visualItemRect(panel.table.item(row, 0)).center()
    qtbot.mouseClick(panel.table.viewport(), LEFT, pos=place)


def test_it_says_what_is_missing(make, model_viewer, model_session, volume, later) -> None:
    panel = make(model_viewer)
    assert not panel.job_bar.button.isEnabled()
    assert panel.job_bar.button.toolTip().startswith("Open two scans")
    assert panel.leave.toolTip().startswith("Click a nodule")
    open_visits(model_session, volume, later)
    assert panel.job_bar.button.toolTip().startswith("Say how many days")
    panel.days.setValue(90)
    assert panel.job_bar.button.isEnabled()
    panel.later.setCurrentIndex(panel.earlier.currentIndex())
    panel.later.activated.emit(panel.later.currentIndex())
    panel.days.setValue(90)
    assert panel.job_bar.button.toolTip().startswith("Choose the labels of another scan")


def test_dates_decide_which_is_earlier(model_session, volume, later, monkeypatch) -> None:
    open_visits(model_session, volume, later)
    visits = visits_of(model_session)
    assert [visit.layer.name for visit in proposed(visits)] == ["nodules", "nodules later"]
    monkeypatch.setattr("napari_ctlns.plugin.growing.days_of", lambda *_: -30)
    assert [visit.layer.name for visit in proposed(visits)] == ["nodules later", "nodules"]
    assert proposed(visits[:1]) is None


def test_nodules_are_compared_and_others_can_ask(
    make, model_viewer, model_session, volume, later, qtbot
) -> None:
    first, second = open_visits(model_session, volume, later)
    panel = make(model_viewer)
    assert growth_of(model_session, second) is None
    compare(panel, qtbot)
    table = growth_of(model_session, second)
    assert table["status"].tolist() == ["paired", "gone", "new"]
    assert table["later_label"].tolist()[0] == 7
    assert growth_of(model_session, first) is None
    assert panel.job_bar.said == summary(table) == "1 paired, 1 gone, 1 new"
    cells = [row.cells[0] for row in panel.table.rows]
    assert cells == ["1 → 7", "2 gone", "3 new"]
    panel.days.setValue(0)
    assert "days" in panel.signs.text()
    second.data_setitem((np.array([3]), np.array([20]), np.array([20])), 7)
    assert "Edited since" in panel.signs.text()
    model_viewer.layers.remove(first)
    assert growth_of(model_session, second) is None
    assert panel.table.rows == ()


def test_the_table_is_saved(
    make, model_viewer, model_session, volume, later, qtbot, tmp_path: Path, monkeypatch
) -> None:
    open_visits(model_session, volume, later)
    panel = make(model_viewer)
    assert panel.save.toolTip() == "Compare first"
    compare(panel, qtbot)
    path = tmp_path / "growth.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), "CSV (*.csv)"))
    with qtbot.waitSignal(panel.job_bar.ended, timeout=LONG):
        qtbot.mouseClick(panel.save, LEFT)
    assert tuple(pd.read_csv(path).columns) == GROWTH_COLUMNS


def test_trouble_is_said_in_words(
    make, model_viewer, model_session, volume, later, qtbot, monkeypatch
) -> None:
    def aligning(_scan: Volume, _later: Volume) -> Iterator[Progress]:
        yield Progress(done=0, total=1, unit="step")
        raise ScanError("no lungs in the later scan; give a chest CT")

    monkeypatch.setattr(table_module, "aligning", aligning)
    open_visits(model_session, volume, later)
    panel = make(model_viewer)
    compare(panel, qtbot)
    assert panel.job_bar.said.startswith("no lungs in the later scan")
    assert panel.table.rows == ()


def state_of(viewer: ViewerModel) -> object:
    """What is to be as it was."""
    layers = [
        (layer.name, layer.visible, *layer.translate, *layer.scale) for layer in viewer.layers
    ]
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    view = (viewer.dims.point, camera.center, camera.zoom, grid.enabled, grid.stride, grid.shape)
    return layers, viewer.layers.selection.active, view


def test_both_visits_lie_side_by_side_and_all_is_restored(
    make, viewer: Viewer, session: Session, volume, later, qtbot
) -> None:
    _, second = open_visits(session, volume, later)
    panel = make(viewer)
    compare(panel, qtbot)
    before, voxels = state_of(viewer), second.data.copy()
    scan, mask = session.scan, session.mask
    click_row(panel, 0, qtbot)
    grid = viewer.canvas.grid
    copies = [layer for layer in viewer.layers if is_preview(layer)]
    assert len(copies) == 2
    assert grid.actual_shape(viewer.layers) == (1, 2)
    halves = [grid.position(k, viewer.layers) for k in range(len(viewer.layers))]
    assert halves == [(-1, -1), (-1, -1), (0, 0), (0, 0), (0, 1), (0, 1)]
    assert (session.scan, session.mask) == (scan, mask)
    assert second.selected_label == 7
    # the same nodule, in the same colour, at the same place of the canvas
    point = viewer.dims.point
    assert second.get_value(point, world=True) == 7
    assert copies[1].get_value(point, world=True) == 7
    assert copies[0].get_value(point, world=True) == 60
    words = snapshot(session)[0].warnings
    assert not [word for word in words if "earlier" in word]
    # painting goes on, into the later scan's own labels
    index = tuple(int(i) for i in np.rint(second.world_to_data(point)))
    second.data_setitem(tuple(np.array([i]) for i in index), 9)
    assert second.data[index] == 9
    second.undo()
    click_row(panel, 1, qtbot)  # the one that is gone: only on the right
    assert copies[1].get_value(viewer.dims.point, world=True) not in (0, 7)
    assert second.get_value(viewer.dims.point, world=True) == 0
    qtbot.mouseClick(panel.leave, LEFT)
    assert state_of(viewer) == before
    assert np.array_equal(second.data, voxels)


def test_it_is_left_where_layers_come_and_with_its_panel(
    make, model_viewer, model_session, volume, later, qtbot
) -> None:
    open_visits(model_session, volume, later)
    panel = make(model_viewer)
    compare(panel, qtbot)
    click_row(panel, 0, qtbot)
    assert panel.leave.isEnabled()
    model_viewer.add_points(np.zeros((1, 3)))
    assert not model_viewer.canvas.grid.enabled
    assert not [layer for layer in model_viewer.layers if is_preview(layer)]
    assert all(layer.visible for layer in model_viewer.layers)
    assert not panel.leave.isEnabled()


def test_words_of_what_cannot_be_compared() -> None:
    row = dict.fromkeys(GROWTH_COLUMNS, np.nan) | {
        "label": 1,
        "later_label": 2,
        "status": "paired",
        "change": "cut by the scan's edge",
        "days": 30.0,
    }
    (shown,) = growth_rows(pd.DataFrame([row]))
    assert "cut by the scan's edge" in shown.cells
    assert "cannot be compared" in shown.words
    assert not shown.flag


def test_sessions_hold_their_own_comparisons(model_viewer) -> None:
    assert session_of(model_viewer) is session_of(model_viewer)
    assert growth_of(session_of(model_viewer), Labels(np.zeros((2, 2, 2), np.uint8))) is None
