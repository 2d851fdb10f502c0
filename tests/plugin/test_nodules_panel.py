"""The Nodules panel: a table that follows the labels layer, and files that others read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_ctlns.errors import OutputError
from napari_ctlns.measurement import measure
from napari_ctlns.plugin import measuring
from napari_ctlns.plugin.exports import MASK_FILES
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.views.file_dialogs import with_extension
from napari_ctlns.plugin.views.nodule_columns import COLUMNS as SHOWN_COLUMNS
from napari_ctlns.volume import Volume

LONG = 60_000


@pytest.fixture
def mask(volume: Volume) -> Volume:
    """The balls of `volume`, labels 1 and 2."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return volume.mask(labels)


@pytest.fixture
def panel(model_viewer: ViewerModel, qtbot: QtBot) -> NodulesPanel:
    panel = NodulesPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def layer(
    panel: NodulesPanel, model_session: Session, volume: Volume, mask: Volume, qtbot: QtBot
) -> Labels:
    """A layer that the panel has measured by itself."""
    model_session.add_scan(volume)
    layer = model_session.add_mask(mask, "mask")
    rest(panel, qtbot)
    return layer


def rest(panel: NodulesPanel, qtbot: QtBot) -> None:
    """Wait until what was started, also by itself, is over."""
    qtbot.wait(1)
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)


def measure_again(panel: NodulesPanel, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.job_bar.button, Qt.MouseButton.LeftButton)
    rest(panel, qtbot)


def rows(panel: NodulesPanel) -> int:
    return int(panel.table.model().rowCount())


def selected(panel: NodulesPanel) -> list[str]:
    model = panel.table.model()
    return [model.data(index) for index in panel.table.selectionModel().selectedRows()]


def dialog(monkeypatch: pytest.MonkeyPatch, path: Path | str, kind: str = "") -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), kind))


# -- what is missing --------------------------------------------------------------------


def test_it_says_what_is_missing(
    panel: NodulesPanel, model_session: Session, volume: Volume, mask: Volume, qtbot: QtBot
) -> None:
    assert panel.empty.isVisible()
    assert panel.empty.text().startswith("No labels layer yet")
    assert panel.job_bar.button.toolTip() == "There is no labels layer"
    for button in (panel.job_bar.button, panel.save):
        assert not button.isEnabled()
    model_session.add_mask(mask, "mask")
    qtbot.wait(1)
    assert "Open the scan first" in panel.empty.text()
    assert not panel.job_bar.button.isEnabled()
    model_session.add_scan(volume)
    assert panel.job_bar.button.isEnabled()


def test_an_empty_layer_says_what_to_do(
    panel: NodulesPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    model_session.add_scan(volume)
    model_session.viewer._new_labels()
    rest(panel, qtbot)
    assert panel.empty.text() == (
        "No nodules yet: click on one, paint one, predict, or make a mask from annotations."
    )
    assert model_session.mask is not None
    model_session.mask.paint((8, 16, 18), 1)
    measure_again(panel, qtbot)
    assert rows(panel) == 1


# -- the table ---------------------------------------------------------------------------


def test_a_mask_is_measured_the_first_time_it_is_shown(
    panel: NodulesPanel, layer: Labels, model_session: Session, mask: Volume, volume: Volume
) -> None:
    table = model_session.table(layer)
    assert table is not None
    pd.testing.assert_frame_equal(table, measure(mask, volume))
    assert rows(panel) == 2
    assert panel.table.isVisible()
    assert panel.job_bar.said == "2 nodules measured"
    assert panel.job_bar.button.text() == "Measure again"


def test_a_table_that_comes_with_its_layer_is_not_measured_again(
    panel: NodulesPanel, model_session: Session, volume: Volume, mask: Volume, qtbot: QtBot
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_mask(mask, "mask")
    table = measure(mask, volume)
    model_session.keep_table(layer, table)
    rest(panel, qtbot)
    assert model_session.table(layer) is table
    assert rows(panel) == 2


def test_each_layer_has_its_own_table(
    panel: NodulesPanel, layer: Labels, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    second = model_session.add_mask(volume.mask((volume.array == 60).astype(np.uint8)), "one")
    rest(panel, qtbot)
    assert rows(panel) == 1
    model_session.choose(layer)
    assert rows(panel) == 2
    model_session.viewer.layers.remove(layer)
    assert model_session.mask is second
    assert rows(panel) == 1
    model_session.viewer.layers.remove(second)
    assert rows(panel) == 0
    assert panel.empty.isVisible()


def test_a_swatch_has_the_colour_of_the_label_and_follows_it(
    panel: NodulesPanel, layer: Labels
) -> None:
    def swatch() -> list[float]:
        model = panel.table.model()
        colour = model.data(model.index(1, 0), Qt.ItemDataRole.DecorationRole)
        return list(colour.getRgbF())

    for _ in range(2):
        assert swatch() == pytest.approx(layer.colormap.map(2), abs=1 / 255)
        layer.new_colormap()
    layer.show_selected_label = True
    layer.new_colormap()
    assert swatch()[3] == 1


def followed(session: Session, layer: Labels, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not session.is_stale(layer), timeout=LONG)


def test_rows_follow_each_stroke(
    panel: NodulesPanel, layer: Labels, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    strokes = (
        lambda: layer.paint((20, 24, 24), 5),  # a new one
        lambda: layer.paint((8, 16, 18), 2),  # of one to another
        lambda: layer.paint((8, 14, 18), 0),
        lambda: layer.fill((20, 24, 24), 0),  # all of it
        layer.undo,
        layer.redo,
    )
    for stroke in strokes:
        stroke()
        assert "Edited" not in panel.signs.text()
        followed(model_session, layer, qtbot)
        table = model_session.table(layer)
        whole = measure(volume.mask(np.array(layer.data)), volume)
        pd.testing.assert_frame_equal(table, whole)
        assert rows(panel) == len(whole)
        model = panel.table.model()
        volume_column = list(SHOWN_COLUMNS).index("volume_mm3")
        assert model.data(model.index(0, volume_column)) == f"{whole['volume_mm3'][0]:.0f}"


def test_strokes_in_a_row_are_measured_at_last(
    panel: NodulesPanel, layer: Labels, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    for x in range(10, 26):
        layer.paint((20, 24, x), 5)
        qtbot.wait(3)
    followed(model_session, layer, qtbot)
    whole = measure(volume.mask(np.array(layer.data)), volume)
    pd.testing.assert_frame_equal(model_session.table(layer), whole)
    (mine,) = [f for f in findings_of(layer).items if f.label == 5]
    assert (mine.origin, len(findings_of(layer).items)) == ("hand", 3)


def test_rows_stay_where_the_table_was_scrolled_to(
    panel: NodulesPanel, layer: Labels, model_session: Session, qtbot: QtBot
) -> None:
    resets = []
    panel.table.model().modelReset.connect(lambda: resets.append(1))
    layer.selected_label = 2
    layer.paint((8, 14, 18), 0)
    followed(model_session, layer, qtbot)
    assert resets == []
    assert selected(panel) == ["2"]


def test_painting_while_it_is_measured_for_the_first_time(
    panel: NodulesPanel, model_session: Session, volume: Volume, mask: Volume, qtbot: QtBot
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_mask(mask, "mask")
    qtbot.waitUntil(lambda: panel.job_bar.working, timeout=LONG)
    layer.paint((20, 24, 24), 5)
    assert "Edited" not in panel.signs.text()
    followed(model_session, layer, qtbot)
    assert rows(panel) == 3


def test_a_very_large_nodule_is_measured_when_a_person_asks(
    panel: NodulesPanel,
    layer: Labels,
    model_session: Session,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "LARGEST_FOLLOWED", 100)
    layer.paint((8, 14, 18), 0)
    qtbot.waitUntil(lambda: "Edited since it was measured" in panel.signs.text(), timeout=LONG)
    measure_again(panel, qtbot)
    assert "Edited" not in panel.signs.text()


def test_another_array_is_measured_when_a_person_asks(
    panel: NodulesPanel, layer: Labels, model_session: Session, qtbot: QtBot
) -> None:
    layer.data = np.flip(layer.data).copy()
    assert "Edited since it was measured" in panel.signs.text()
    measure_again(panel, qtbot)
    assert "Edited" not in panel.signs.text()
    layer.paint((20, 24, 24), 5)
    followed(model_session, layer, qtbot)
    assert rows(panel) == 3


def test_painting_while_it_measures_is_measured_too(
    panel: NodulesPanel, layer: Labels, model_session: Session, qtbot: QtBot
) -> None:
    qtbot.mouseClick(panel.job_bar.button, Qt.MouseButton.LeftButton)
    assert panel.job_bar.working
    layer.paint((20, 24, 24), 5)
    rest(panel, qtbot)
    followed(model_session, layer, qtbot)
    assert rows(panel) == 3


def test_labels_beside_the_scan_are_refused_in_words(
    panel: NodulesPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    model_session.add_scan(volume)
    far = Labels(np.ones((4, 4, 4), np.uint8), translate=(900, 900, 900), units="mm")
    model_session.viewer.add_layer(far)
    rest(panel, qtbot)
    assert "lies beside the scan" in panel.job_bar.said
    assert panel.job_bar.status.property("trouble")
    assert panel.empty.text() == "Not measured yet."


# -- from row to nodule and back ------------------------------------------------------------


def test_a_row_leads_to_its_nodule_and_a_picked_label_to_its_row(
    panel: NodulesPanel, layer: Labels, model_session: Session, qtbot: QtBot
) -> None:
    viewer = model_session.viewer
    viewer.scene.camera.zoom = 9.0
    place = panel.table.visualRect(panel.table.model().index(1, 1)).center()
    qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert viewer.dims.current_step == (15, 30, 28)
    assert layer.selected_label == 2
    assert viewer.scene.camera.zoom == 9.0
    qtbot.keyClick(panel.table, Qt.Key.Key_Up)
    assert viewer.dims.current_step == (8, 16, 18)
    assert layer.selected_label == 1
    viewer.dims.set_current_step(0, 3)
    layer.selected_label = 2
    assert selected(panel) == ["2"]
    assert viewer.dims.current_step[0] == 3
    layer.selected_label = 77
    assert selected(panel) == []


def test_all_columns_are_a_click_away(panel: NodulesPanel, layer: Labels, qtbot: QtBot) -> None:
    assert panel.table.isColumnHidden(panel.table.model().columnCount() - 1)
    panel.all_columns.click()
    assert not panel.table.isColumnHidden(panel.table.model().columnCount() - 1)


# -- files -------------------------------------------------------------------------------


def test_a_mask_is_saved_and_known_to_be(
    panel: NodulesPanel,
    layer: Labels,
    model_session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "Not saved" in panel.signs.text()
    dialog(monkeypatch, tmp_path / "mask", MASK_FILES[0])
    panel.save.actions_by_key["mask"].trigger()
    rest(panel, qtbot)
    path = tmp_path / "mask.nii.gz"
    assert panel.job_bar.said == f"Saved {path}"
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), layer.data)
    assert not model_session.is_unsaved(layer)
    assert not panel.signs.isVisible()


def test_a_place_that_cannot_be_written_is_told_and_the_session_goes_on(
    panel: NodulesPanel,
    layer: Labels,
    model_session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    dialog(monkeypatch, tmp_path / "file" / "mask.mha")
    panel.save.actions_by_key["mask"].trigger()
    rest(panel, qtbot)
    assert "cannot write" in panel.job_bar.said
    assert model_session.is_unsaved(layer)
    measure_again(panel, qtbot)
    assert panel.job_bar.said == "2 nodules measured"


def test_a_name_gets_the_extension_that_was_chosen(tmp_path: Path) -> None:
    assert with_extension(tmp_path / "a.NII.GZ", MASK_FILES[1], MASK_FILES).name == "a.NII.GZ"
    assert with_extension(tmp_path / "1.2.3", MASK_FILES[2], MASK_FILES).name == "1.2.3.nrrd"
    tables = ("CSV (*.csv)", "JSON (*.json)")
    assert with_extension(tmp_path / "a", tables[1], tables).name == "a.json"
    (tmp_path / "b.csv").write_text("", encoding="utf-8")
    assert with_extension(tmp_path / "b.csv", tables[0], tables).name == "b.csv"
    with pytest.raises(OutputError, match=r"b\.csv is there already"):
        with_extension(tmp_path / "b", tables[0], tables)


# -- a real window ---------------------------------------------------------------------------


def test_a_closed_panel_leaves_layers_that_can_be_edited(
    viewer: Viewer, volume: Volume, mask: Volume, qtbot: QtBot
) -> None:
    panel = NodulesPanel(viewer)
    dock = viewer.window.add_dock_widget(panel, name="Nodules", area="right")
    session = session_of(viewer)
    session.add_scan(volume)
    layer = session.add_mask(mask, "mask")
    rest(panel, qtbot)
    viewer.window.remove_dock_widget(dock)
    panel.deleteLater()
    qtbot.wait(50)
    layer.selected_label = 2
    layer.paint((20, 24, 24), 5)
    layer.new_colormap()
    again = NodulesPanel(viewer)
    viewer.window.add_dock_widget(again, name="Nodules", area="right")
    followed(session, layer, qtbot)  # by the session: the panel may come and go
    assert rows(again) == 3
