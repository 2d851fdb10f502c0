"""What all panels look like: one column of rows that scrolls when the screen is small."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QFormLayout,
    QFrame,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.plugin.views.fold import Fold


class Panel(QWidget):
    """A dock widget: rows from the top, a foot that stays in sight at the bottom."""

    def __init__(self) -> None:
        super().__init__()
        inside = QWidget()
        self._rows = QVBoxLayout(inside)
        self._rows.setContentsMargins(8, 8, 8, 8)
        self._rows.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(inside)
        self._whole = QVBoxLayout(self)
        self._whole.setContentsMargins(0, 0, 0, 0)
        self._whole.addWidget(self._area, 1)
        self.setMinimumWidth(300)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Name the tab of the dock after the panel alone; with the plugin's name it is cut off."""
        super().showEvent(event)
        dock = self._dock()
        if dock is not None:
            dock.setWindowTitle(dock.windowTitle().partition(" (")[0])

    def come_to_front(self) -> None:
        """Be in sight, before other panels, because a person is asked something here."""
        dock = self._dock()
        if dock is not None:
            dock.show()
            dock.raise_()

    def _dock(self) -> QDockWidget | None:
        above = self.parentWidget()
        while above is not None and not isinstance(above, QDockWidget):
            above = above.parentWidget()
        return above

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        """Add a widget as wide as the panel."""
        self._rows.addWidget(widget, stretch)

    def add_body(self, widget: QWidget) -> None:
        """Add a widget that takes all the room between the rows and the foot.

        It scrolls itself, so the rows do not: two of them, one in the other, are a nuisance.
        """
        self._whole.replaceWidget(self._area, self._area.takeWidget())
        self._area.deleteLater()
        self._whole.setStretch(0, 0)
        # else napari fills the dock up with nothing below the foot
        widget.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._whole.addWidget(widget, 1)

    def add_form(self, rows: dict[str, QWidget]) -> QFormLayout:
        """Add widgets with their names before them."""
        box = QWidget()
        form = form_layout(box, rows)
        self.add(box)
        return form

    def add_foot(self, widget: QWidget) -> None:
        """Add a widget below the rows, which stays in sight."""
        self._whole.addWidget(widget)
        widget.setContentsMargins(8, 0, 8, 8)

    def add_fold(self, title: str, widget: QWidget) -> Fold:
        """Add a widget that is folded away under a title."""
        fold = Fold(title, widget)
        self.add(fold)
        return fold


def form_layout(box: QWidget, rows: dict[str, QWidget]) -> QFormLayout:
    """Lay out widgets with their names before them."""
    form = QFormLayout(box)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for name, widget in rows.items():
        add_row(form, name, widget)
    return form


def add_row(form: QFormLayout, name: str, widget: QWidget) -> None:
    """Add a widget with its name before it."""
    label = QLabel(name)
    label.setBuddy(widget)
    label.setToolTip(widget.toolTip())
    form.addRow(label, widget)


def align_labels(box: QWidget, but_not_in: QWidget) -> None:
    """Let the forms below a widget start their fields at one place, some others left alone."""
    labels = [
        label
        for label in box.findChildren(QLabel)
        if label.buddy() is not None and not but_not_in.isAncestorOf(label)
    ]
    for label in labels:
        label.ensurePolished()
    width = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(width)
