"""Rows that are folded away under a title."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """A title that shows and hides what is under it.

    What is folded away is hidden, not only flat: Tab does not go there.

    Attributes
    ----------
    toggled
        It was folded (False) or unfolded (True).
    """

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self._content = content
        self._title = QToolButton()
        self._title.setText(title)
        self._title.setToolTip(f"Show or hide: {title}")
        self._title.setCheckable(True)
        self._title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._title.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._title.setAutoRaise(True)
        self._title.toggled.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._title)
        layout.addWidget(content)
        self._show(False)

    def isExpanded(self) -> bool:  # noqa: N802 - as superqt's
        """Whether the content shows."""
        return self._title.isChecked()

    def expand(self) -> None:
        """Show the content."""
        self._title.setChecked(True)

    def collapse(self) -> None:
        """Hide the content."""
        self._title.setChecked(False)

    def _show(self, unfolded: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow
        self._title.setArrowType(arrow)
        self._content.setVisible(unfolded)
        self.toggled.emit(unfolded)
