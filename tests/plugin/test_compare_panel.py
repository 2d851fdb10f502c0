"""The Compare panel: two masks nodule by nodule, and findings against annotations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_ctlns.findings import Annotation, Findings, Opinion
from napari_ctlns.formats import write_annotations, write_volume
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.panels.compare_panel import FINDINGS, ComparePanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.place_table import PlaceTable
from napari_ctlns.volume import Volume

LONG = 60_000
HEAD = "seriesuid,coordX,coordY,coordZ"


@pytest.fixture
def panel(model_viewer: ViewerModel, qtbot: QtBot) -> ComparePanel:
    panel = ComparePanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def mine(volume: Volume) -> Volume:
    """The balls of `volume`, labels 1 and 2."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return volume.mask(labels)


@pytest.fixture
def others(volume: Volume, mine: Volume) -> Volume:
    """The first ball one voxel aside, and something else; not the second ball."""
    labels = np.zeros_like(mine.array)
    labels[:, :, 1:] = 4 * (mine.array == 1)[:, :, :-1]
    labels[20:22, 10:13, 10:13] = 7
    return volume.mask(labels)


@pytest.fixture
def pair(
    panel: ComparePanel, model_session: Session, volume: Volume, mine: Volume, others: Volume
) -> tuple[Labels, Labels]:
    """Two layers; the second one is worked on, and so is A."""
    model_session.add_scan(volume)
    b = model_session.add_mask(others, "theirs")
    return model_session.add_mask(mine, "mine"), b


def click_compare(panel: ComparePanel, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.job_bar.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)


def click_row(table: PlaceTable, row: int, qtbot: QtBot) -> None:
    where = table.visualRect(table.model().index(row, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)


def differences(viewer: ViewerModel) -> Labels | None:
    return next((layer for layer in viewer.layers if layer.name == "differences"), None)


# -- two masks --------------------------------------------------------------------------


def test_nodules_are_paired_and_measured(
    panel: ComparePanel, pair: tuple[Labels, Labels], mine: Volume, others: Volume, qtbot: QtBot
) -> None:
    assert [choice.currentText() for choice in panel.masks.choices] == ["mine", "theirs"]
    click_compare(panel, qtbot)
    first, second = (mine.array == 1), (others.array == 4)
    dice = 2 * (first & second).sum() / (first.sum() + second.sum())
    volume_mm3 = first.sum() * 2.5
    rows = panel.masks.table.texts()
    assert rows[0] == ["1", "4", f"{dice:.3f}", *[f"{volume_mm3:.0f}"] * 2, "1.0", "1.0"]
    assert [row[:3] for row in rows[1:]] == [["2", "–", "0.000"], ["–", "7", "0.000"]]  # noqa: RUF001
    assert panel.job_bar.said.endswith("1 nodule in both, 1 only in A, 1 only in B")


def test_a_row_goes_to_its_nodule_and_picks_its_labels(
    panel: ComparePanel, pair: tuple[Labels, Labels], volume: Volume, qtbot: QtBot
) -> None:
    click_compare(panel, qtbot)
    click_row(panel.masks.table, 2, qtbot)
    viewer = panel._session.viewer
    middle = volume.geometry.index_to_world((20.5, 11, 11))
    there = lps_to_canvas(volume.geometry, middle)
    assert np.abs(np.array(viewer.dims.point) - there).max() <= 1.25  # of its two slices one
    click_row(panel.masks.table, 0, qtbot)
    assert [layer.selected_label for layer in pair] == [1, 4]


def test_the_same_layer_twice_or_one_alone_cannot_be_compared(
    panel: ComparePanel, model_session: Session, volume: Volume, mine: Volume
) -> None:
    button = panel.job_bar.button
    assert (button.isEnabled(), button.toolTip()) == (False, "Open a scan first")
    model_session.add_scan(volume)
    model_session.add_mask(mine, "mine")
    assert not button.isEnabled()
    assert "two labels layers" in button.toolTip()
    model_session.add_mask(mine, "a copy")
    assert button.isEnabled()
    panel.masks.choices[1].activated.emit(panel.masks.choices[0].currentIndex())
    assert not button.isEnabled()
    assert "same layer" in button.toolTip()
    panel.masks.choices[0].activated.emit(1 - panel.masks.choices[0].currentIndex())
    assert button.isEnabled()


def test_differences_lie_over_the_scan_and_are_nobodys_mask(
    panel: ComparePanel,
    model_session: Session,
    pair: tuple[Labels, Labels],
    mine: Volume,
    others: Volume,
    qtbot: QtBot,
) -> None:
    assert not panel.masks.differences.isEnabled()
    click_compare(panel, qtbot)
    unsaved = model_session.unsaved_layers
    qtbot.mouseClick(panel.masks.differences, Qt.MouseButton.LeftButton)
    viewer = model_session.viewer
    qtbot.waitUntil(lambda: differences(viewer) is not None, timeout=LONG)
    layer = differences(viewer)
    wanted = (mine.array > 0) * 1 + (others.array > 0) * 2
    assert np.array_equal(layer.data, wanted)
    assert layer not in model_session.layers_for("mask")
    assert all(viewer.layers.index(layer) > viewer.layers.index(mask) for mask in pair)
    assert model_session.mask is pair[0]
    assert model_session.unsaved_layers == unsaved
    colours = layer.colormap.map(np.array([0, 1, 2, 3]))
    assert colours[0][3] == 0
    assert colours[3][3] < colours[1][3]  # what both have is pale
    viewer.layers.remove(layer)
    assert not panel.masks.differences.isChecked()


def test_differences_of_a_panel_that_was_closed_do_not_stay(
    panel: ComparePanel,
    model_session: Session,
    pair: tuple[Labels, Labels],
    qtbot: QtBot,
    held: list[object],
) -> None:
    click_compare(panel, qtbot)
    qtbot.mouseClick(panel.masks.differences, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: differences(model_session.viewer) is not None, timeout=LONG)
    other = ComparePanel(model_session.viewer)
    held.append(other)
    qtbot.addWidget(other)
    assert differences(model_session.viewer) is None
    assert not panel.masks.differences.isChecked()


def test_an_edit_is_followed_also_in_the_differences(
    panel: ComparePanel, model_session: Session, pair: tuple[Labels, Labels], qtbot: QtBot
) -> None:
    click_compare(panel, qtbot)
    qtbot.mouseClick(panel.masks.differences, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: differences(model_session.viewer) is not None, timeout=LONG)
    assert not panel.signs.isVisible()
    pair[0].data_setitem((np.array([2]), np.array([3]), np.array([4])), 9)
    assert panel.signs.isVisible()
    qtbot.waitUntil(lambda: not panel.signs.isVisible(), timeout=LONG)
    assert "9" in [row[0] for row in panel.masks.table.texts()]
    layer = differences(model_session.viewer)
    qtbot.waitUntil(lambda: layer.data[2, 3, 4] == 1, timeout=LONG)


def test_other_layers_put_a_comparison_away(
    panel: ComparePanel, model_session: Session, pair: tuple[Labels, Labels], qtbot: QtBot
) -> None:
    click_compare(panel, qtbot)
    model_session.viewer.layers.remove(pair[1])
    assert panel.masks.table.texts() == []
    assert "Choose two labels layers" in panel.masks.empty.text()
    assert not panel.masks.differences.isEnabled()


def test_a_mask_is_opened_as_b_and_work_goes_on(
    panel: ComparePanel,
    model_session: Session,
    volume: Volume,
    mine: Volume,
    others: Volume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_mask(mine, "mine")
    write_volume(others, tmp_path / "theirs.nii.gz")
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "theirs.nii.gz"), "")
    )
    qtbot.mouseClick(panel.masks.open, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)
    assert [choice.currentText() for choice in panel.masks.choices] == ["mine", "theirs"]
    assert model_session.mask is layer
    assert model_session.viewer.layers.selection.active is layer
    assert panel.job_bar.said == "Opened theirs"
    click_compare(panel, qtbot)
    assert len(panel.masks.table.texts()) == 3


def test_what_is_no_mask_is_told(
    panel: ComparePanel,
    model_session: Session,
    volume: Volume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    (tmp_path / "some.csv").write_text("a,b\n", "utf-8")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "some.csv"), ""))
    qtbot.mouseClick(panel.masks.open, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)
    assert panel.job_bar.said.startswith("no mask: some.csv")
    assert len(model_session.viewer.layers) == 1


def test_the_readers_of_lidc_are_layers_each(
    panel: ComparePanel, model_session: Session, volume: Volume, tmp_path: Path, qtbot: QtBot
) -> None:
    def reader(low: int, high: int) -> str:
        corners = [(low, low), (high, low), (high, high), (low, high), (low, low)]
        edges = "".join(
            f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in corners
        )
        roi = (
            "<roi><imageZposition>120</imageZposition><imageSOP_UID></imageSOP_UID>"
            f"<inclusion>TRUE</inclusion>{edges}</roi>"
        )
        return (
            "<readingSession><unblindedReadNodule><noduleID>1</noduleID>"
            f"{roi}</unblindedReadNodule></readingSession>"
        )

    (tmp_path / "readers.xml").write_text(
        '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>'
        f"{volume.scan_id}</SeriesInstanceUid></ResponseHeader>{reader(10, 20)}{reader(10, 22)}"
        "</LidcReadMessage>",
        "utf-8",
    )
    model_session.add_scan(volume)
    panel.pairing.open(tmp_path / "readers.xml")
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)
    assert [choice.currentText() for choice in panel.masks.choices] == [
        "readers reader 1",
        "readers reader 2",
    ]
    click_compare(panel, qtbot)
    # the pixels within the outlines: 9 x 9 and 11 x 11
    assert panel.masks.table.texts()[0][2] == f"{2 * 81 / (81 + 121):.3f}"


# -- findings against annotations ---------------------------------------------------------


@pytest.fixture
def findings(
    panel: ComparePanel,
    model_session: Session,
    volume: Volume,
    mine: Volume,
    annotations: tuple[Annotation, ...],
) -> Labels:
    """Both balls with probabilities, of which only the first one is annotated, and a third."""
    model_session.add_scan(volume)
    known = Findings(scan_id=volume.scan_id).follow(mine.array, "model")
    opinions = {1: Opinion(0.9), 2: Opinion(0.6)}
    known = Findings(
        scan_id=known.scan_id,
        items=tuple(
            f.model_copy(update={"probability": opinions[f.label].probability}) for f in known.items
        ),
    )
    elsewhere = replace(annotations[1], x_mm=annotations[1].x_mm - 20)
    model_session.add_annotations((annotations[0], elsewhere), volume)
    panel.what.setCurrentIndex(FINDINGS)
    return model_session.add_mask(mine, "mine", known)


def test_findings_are_found_missed_and_false(
    panel: ComparePanel, findings: Labels, qtbot: QtBot
) -> None:
    click_compare(panel, qtbot)
    rows = panel.froc.table.texts()
    assert [row[:3] for row in rows] == [
        ["missed", "–", "8.0"],  # noqa: RUF001
        ["false", "0.60", "–"],  # noqa: RUF001
        ["found", "0.90", "12.0"],
    ]
    assert panel.job_bar.said == "1 of 2 nodules found, 1 missed, 1 false positive in 1 scan"
    assert panel.froc.cpm.text() == "CPM 0.500"
    assert [point.y() for point in panel.froc.make_plot().points()] == [0.5] * 7


def test_a_row_goes_to_what_was_missed(
    panel: ComparePanel, findings: Labels, annotations: tuple[Annotation, ...], qtbot: QtBot
) -> None:
    click_compare(panel, qtbot)
    click_row(panel.froc.table, 0, qtbot)
    x, y, z = annotations[1].centre
    assert panel._session.viewer.dims.point == pytest.approx((z, y, x - 20), abs=1.25)


def test_what_has_no_probability_is_told_and_rejected_ones_left_out(
    panel: ComparePanel, findings: Labels, volume: Volume, qtbot: QtBot
) -> None:
    known = findings_of(findings)
    first, second = known.items
    items = (
        first.model_copy(update={"probability": None}),
        second.model_copy(update={"status": "rejected"}),
    )
    of.keep_findings(findings, Findings(scan_id=known.scan_id, items=items), volume)
    click_compare(panel, qtbot)
    assert [row[:2] for row in panel.froc.table.texts()] == [
        ["missed", "–"],  # noqa: RUF001
        ["found", "1.00"],
    ]
    assert panel.job_bar.said.endswith(
        "1 finding without probability count as certain. 1 rejected finding left out"
    )


def test_tables_of_many_scans(
    panel: ComparePanel,
    model_session: Session,
    volume: Volume,
    annotations: tuple[Annotation, ...],
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    panel.what.setCurrentIndex(FINDINGS)
    assert not panel.job_bar.button.isEnabled()
    rows = [*annotations, *(replace(a, scan_id=s) for a in annotations for s in ("b", "c"))]
    write_annotations(tmp_path / "truth.csv", rows)
    marks = [f"{a.scan_id},{a.x_mm},{a.y_mm},{a.z_mm},0.{k}" for k, a in enumerate(rows, 2)]
    marks += [f"{volume.scan_id},0,0,0,0.95", "b,500,0,0,0.1"]
    text = "\n".join([f"{HEAD},probability", *marks])
    (tmp_path / "marks.csv").write_text(text, "utf-8")
    panel.froc.candidates.set_path(tmp_path / "marks.csv")
    panel.froc.annotations.set_path(tmp_path / "truth.csv")
    click_compare(panel, qtbot)
    assert panel.job_bar.said == "6 of 6 nodules found, 0 missed, 2 false positives in 3 scans"
    assert "Open one of the scans" in panel.froc.empty.text()
    assert panel.froc.cpm.text().startswith("CPM 0.")
    model_session.add_scan(volume)
    click_compare(panel, qtbot)
    assert [row[0] for row in panel.froc.table.texts()] == ["false", "found", "found"]
    write_annotations(tmp_path / "truth.csv", [replace(a, scan_id="b") for a in annotations])
    click_compare(panel, qtbot)
    assert panel.job_bar.said.startswith("2 of 2 nodules found")


def test_a_table_with_annotations_that_are_open_is_of_this_scan_alone(
    panel: ComparePanel,
    model_session: Session,
    volume: Volume,
    annotations: tuple[Annotation, ...],
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    model_session.add_annotations(annotations, volume)
    panel.what.setCurrentIndex(FINDINGS)
    x, y, z = annotations[0].centre
    text = f"{HEAD},probability\n{volume.scan_id},{x},{y},{z},0.5\nother,0,0,0,0.4\n"
    (tmp_path / "marks.csv").write_text(text, "utf-8")
    panel.froc.candidates.set_path(tmp_path / "marks.csv")
    click_compare(panel, qtbot)
    assert panel.job_bar.said == "1 of 2 nodules found, 1 missed, 0 false positives in 1 scan"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}\na,1,2,3\n", "missing column probability"),
        (f"{HEAD},probability\nother,1,2,3,0.5\n", "annotations of other series only"),
    ],
)
def test_a_table_that_does_not_serve_is_told(
    panel: ComparePanel, findings: Labels, tmp_path: Path, qtbot: QtBot, text: str, words: str
) -> None:
    (tmp_path / "marks.csv").write_text(text, "utf-8")
    panel.froc.candidates.set_path(tmp_path / "marks.csv")
    click_compare(panel, qtbot)
    assert panel.job_bar.said.startswith(words)
    assert panel.froc.table.texts() == []
