"""The table as a person sees and uses it."""

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor

from napari_ctlns.measurement import COLUMNS as MEASURED
from napari_ctlns.plugin.views.nodule_columns import COLUMNS, SHOWN, in_words
from napari_ctlns.plugin.views.nodule_table import NoduleTable

NAN = float("nan")
DASH = "\u2013"
NODULES = {
    "uid": ["one", "four", "seven"],
    "label": [1, 4, 7],
    "mean_diameter_mm": [12.345, 4.04, 30.0],
    "volume_mm3": [985.6, 34.5, 14137.2],
    "mean_hu": [-612.4, 35.5, 12.0],
    "touches_border": [False, True, False],
    "probability": [0.913, None, NAN],
    "status": ["new", "edited", "new"],
}
_DISPLAY = Qt.ItemDataRole.DisplayRole
RED = (1.0, 0.0, 0.0, 1.0)


@pytest.fixture
def table(qtbot: QtBot) -> NoduleTable:
    table = NoduleTable()
    qtbot.addWidget(table)
    table.resize(500, 300)
    table.show_nodules(NODULES, {1: RED})
    table.show()
    return table


def column(table: NoduleTable, name: str, role: Qt.ItemDataRole = _DISPLAY) -> list[object]:
    model = table.model()
    section = list(COLUMNS).index(name)
    return [model.data(model.index(row, section), role) for row in range(model.rowCount())]


def click(qtbot: QtBot, table: NoduleTable, row: int) -> None:
    place = table.visualRect(table.model().index(row, 1)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))


def test_every_column_that_is_measured_has_a_title_and_a_meaning() -> None:
    assert set(MEASURED) <= set(COLUMNS)
    assert all(column.title and len(column.meaning) > 10 for column in COLUMNS.values())


def test_numbers_have_sensible_digits_and_stand_to_the_right(table: NoduleTable) -> None:
    assert column(table, "mean_diameter_mm") == ["12.3", "4.0", "30.0"]
    assert column(table, "volume_mm3") == ["986", "34", "14137"]
    assert column(table, "mean_hu") == ["-612", "36", "12"]
    assert column(table, "probability") == ["0.91", DASH, DASH]
    assert column(table, "touches_border") == ["no", "yes", "no"]
    assert column(table, "long_axis_mm") == [DASH, DASH, DASH]
    for alignment in column(table, "volume_mm3", Qt.ItemDataRole.TextAlignmentRole):
        assert alignment & Qt.AlignmentFlag.AlignRight


def test_a_label_has_the_colour_of_its_layer(table: NoduleTable) -> None:
    swatches = column(table, "label", Qt.ItemDataRole.DecorationRole)
    assert swatches == [QColor(255, 0, 0), None, None]


def test_headers_say_what_they_mean(table: NoduleTable) -> None:
    section = list(COLUMNS).index("long_axis_mm")
    said = table.model().headerData(section, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert "RECIST" in said


def test_a_few_columns_or_all(table: NoduleTable) -> None:
    def shown() -> set[str]:
        return {n for i, n in enumerate(COLUMNS) if not table.isColumnHidden(i)}

    assert shown() == {*SHOWN, "note"}
    table.resize(374, 300)
    assert shown() == set(SHOWN)  # a note has no room beside them
    table.show_all(True)
    assert shown() == set(COLUMNS)
    table.show_all(False)
    assert shown() == set(SHOWN)


def test_a_click_and_the_arrows_pick_nodules(qtbot: QtBot, table: NoduleTable) -> None:
    picked: list[str] = []
    table.picked.connect(picked.append)
    click(qtbot, table, 1)
    assert set(picked) == {"four"}
    picked.clear()
    qtbot.keyClick(table, Qt.Key.Key_Down)
    assert picked == ["seven"]
    picked.clear()
    click(qtbot, table, 2)  # the same once more: the person may have gone elsewhere
    assert picked == ["seven"]


def test_what_others_select_is_shown_without_a_word(qtbot: QtBot, table: NoduleTable) -> None:
    picked: list[str] = []
    table.picked.connect(picked.append)
    table.select_label(7)
    assert [index.row() for index in table.selectionModel().selectedRows()] == [2]
    table.select_label(5)
    assert not table.selectionModel().hasSelection()
    table.show_nodules({}, {})
    assert picked == []


def test_sorting_is_by_number_and_picks_the_right_nodule(qtbot: QtBot, table: NoduleTable) -> None:
    table.sortByColumn(list(COLUMNS).index("mean_diameter_mm"), Qt.SortOrder.DescendingOrder)
    assert column(table, "mean_diameter_mm") == ["30.0", "12.3", "4.0"]
    picked: list[str] = []
    table.picked.connect(picked.append)
    click(qtbot, table, 2)
    assert set(picked) == {"four"}
    table.sortByColumn(list(COLUMNS).index("probability"), Qt.SortOrder.DescendingOrder)
    assert column(table, "probability") == ["0.91", DASH, DASH]


def test_sorted_by_status_what_may_be_no_nodule_stands_together(table: NoduleTable) -> None:
    said = ["new, like a vessel", "new", "new, like a vessel"]
    table.show_nodules({**NODULES, "status": said}, {})
    table.sortByColumn(list(COLUMNS).index("status"), Qt.SortOrder.AscendingOrder)
    assert column(table, "status") == sorted(said)
    assert column(table, "label") == ["4", "1", "7"]


def test_tab_leaves_the_table(qtbot: QtBot, table: NoduleTable) -> None:
    assert not table.tabKeyNavigation()
    assert table.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_unknown_values_are_a_dash() -> None:
    assert in_words("mean_hu", None) == in_words("mean_hu", NAN) == DASH
