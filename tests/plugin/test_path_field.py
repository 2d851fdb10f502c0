"""A file or folder: written, chosen in a dialog, or dropped."""

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_ctlns.plugin.views.path_field import PathField


@pytest.fixture
def field(qtbot: QtBot) -> PathField:
    field = PathField("file", "Choose a table", "The table", "Tables (*.csv)")
    qtbot.addWidget(field)
    field.show()
    return field


def test_a_path_is_written(field: PathField, qtbot: QtBot) -> None:
    assert field.path is None
    qtbot.keyClicks(field.line, ' "~/a b.csv" ')
    assert field.path == Path.home() / "a b.csv"
    field.set_path(None)
    qtbot.keyClicks(field.line, "~nobody-of-that-name/x")
    assert field.path == Path("~nobody-of-that-name/x")


def test_a_path_is_chosen_in_a_dialog(
    field: PathField, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = [str(tmp_path / "a.csv"), ""]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answers.pop(0), ""))
    with qtbot.waitSignal(field.changed):
        field.browse.click()
    field.browse.click()  # and changed one's mind
    assert field.path == tmp_path / "a.csv"


def drop(field: PathField, *paths: Path) -> bool:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    usual = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton)
    enter = QDragEnterEvent(QPoint(5, 5), *usual, Qt.KeyboardModifier.NoModifier)
    enter.ignore()
    QApplication.sendEvent(field, enter)
    if not enter.isAccepted():
        return False
    QApplication.sendEvent(field, QDropEvent(QPointF(5, 5), *usual, Qt.KeyboardModifier.NoModifier))
    return True


def test_one_file_is_dropped(field: PathField, tmp_path: Path) -> None:
    assert not drop(field, tmp_path / "a.csv", tmp_path / "b.csv")
    assert field.path is None
    assert drop(field, tmp_path / "a.csv")
    assert field.path == tmp_path / "a.csv"
