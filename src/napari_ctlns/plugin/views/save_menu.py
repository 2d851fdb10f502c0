"""A button with a menu of what can be saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_ctlns.plugin.views.controls import set_ready


@dataclass(frozen=True)
class SaveEntry:
    """A line of the menu: by what it is known, its words, and what it does."""

    key: str
    words: str
    tooltip: str


class SaveMenu(QPushButton):
    """Lets a person choose what is to be saved; what cannot be says why in its tooltip.

    Attributes
    ----------
    chosen
        A line was chosen (its key).
    """

    chosen = Signal(str)

    def __init__(
        self, words: str, tooltip: str, entries: Sequence[SaveEntry], parent: QWidget | None = None
    ) -> None:
        super().__init__(words, parent)
        self._tooltip = tooltip
        self._entries = {entry.key: entry for entry in entries}
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.actions_by_key: dict[str, QAction] = {}
        for entry in entries:
            action = menu.addAction(entry.words)
            action.setData(entry.key)
            self.actions_by_key[entry.key] = action
        menu.triggered.connect(self._choose)
        self.setMenu(menu)
        self.set_ready("", {})

    def set_ready(self, why_none: str, why_not: Mapping[str, str]) -> None:
        """Say why nothing can be saved, or which lines cannot be chosen and why."""
        set_ready(self, why_none, self._tooltip)
        for key, action in self.actions_by_key.items():
            set_ready(action, why_not.get(key, ""), self._entries[key].tooltip)

    def _choose(self, action: QAction) -> None:
        self.chosen.emit(action.data())
