"""Rows that are folded away."""

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QToolButton

from napari_ctlns.plugin.views.panel import Panel


@pytest.fixture
def panel(qtbot: QtBot) -> Panel:
    panel = Panel()
    qtbot.addWidget(panel)
    return panel


def test_what_is_folded_away_takes_no_room_and_no_keys(panel: Panel, qtbot: QtBot) -> None:
    line = QLineEdit()
    fold = panel.add_fold("More", line)
    panel.show()
    assert not fold.isExpanded()
    assert not line.isVisible()
    (title,) = fold.findChildren(QToolButton)
    title.setFocus()
    with qtbot.waitSignal(fold.toggled):
        qtbot.keyClick(title, Qt.Key.Key_Space)
    assert line.isVisible()
    fold.collapse()
    assert not line.isVisible()
    fold.expand()
    assert fold.isExpanded()
