"""The Click panel: one click on a nodule makes its mask."""

from functools import partial
from typing import TYPE_CHECKING

from napari import Viewer
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_ctlns.plugin.click_plans import Doing
from napari_ctlns.plugin.click_tool import KEY, Outline, click_tool_of
from napari_ctlns.plugin.clicking import clicking_of
from napari_ctlns.plugin.corrections import NO_LAYER
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.canvas_marks import CanvasMarks
from napari_ctlns.plugin.views.controls import in_a_row, no_scan, set_ready
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import breakable, capitalised

if TYPE_CHECKING:
    import napari

_TENTHS = 10
_SWITCH = f"Click on a nodule in any slice: it becomes a label of its own (key {KEY})"
_NEW = "Add an empty labels layer on the scan's grid, and draw into it"
_TIGHTNESS = (
    "How close the mask lies to the nodule: of the one worked on, and of the next ones; "
    "in the canvas, Shift+wheel"
)
_WITH_MODEL = "Let the model make the masks; else the border is found from the HU"
_NO_MODEL = "No model takes clicks yet: train one with the recipe click"
_DOING: dict[Doing, tuple[str, str]] = {
    "new": ("New nodule", "A plain click begins a new nodule"),
    "add": ("Add", "A plain click adds what it is on to the nodule worked on (Shift+click)"),
    "take": ("Take away", "A plain click takes that place away from the nodule (Ctrl+click)"),
}
_GESTURES = (
    ("Drag", "a new nodule, about as large as the circle"),
    ("Shift+drag", "a new nodule, in the box"),
    ("Shift+click", "add to the nodule"),
    ("Ctrl+click", "take away from it"),
    ("Shift+wheel", "looser or tighter"),
    ("Space+drag", "move the picture, as the middle button does"),
    ("Ctrl+Z", "take the last step back"),
)


class ClickPanel(Panel):
    """Switches the click tool and says what became of each click."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._clicking = clicking_of(self._session)
        self._tool = click_tool_of(self._session)
        self._tool.bind_key()
        self.layer = LayerChoice(self._session, "mask", "The labels layer that nodules go into")
        self.new_layer = QPushButton("New")
        self.switch = QPushButton("Click nodules")
        self.doing = {name: QPushButton(words) for name, (words, _) in _DOING.items()}
        self.tightness = QSlider(Qt.Orientation.Horizontal)
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.with_model = QCheckBox("With the model")
        self.method = QLabel()
        self.status = QLabel()
        self.marks = _marks_on(self._session.viewer)
        self._group = QButtonGroup(self)
        self._outcome = "", False
        self._lay_out()
        self._connect()
        self._settle()

    def _lay_out(self) -> None:
        self.switch.setCheckable(True)
        for button in self.doing.values():
            button.setCheckable(True)
            self._group.addButton(button)
        self.tightness.setRange(-_TENTHS, _TENTHS)
        self.tightness.setPageStep(2)
        self.tightness.setTracking(True)
        self.method.setWordWrap(True)
        self.status.setWordWrap(True)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        self.add_form({"Labels": _beside(self.layer, self.new_layer)})
        self.add(self.switch)
        self.add(in_a_row(*self.doing.values()))
        self.add_form({"Border": in_a_row(QLabel("loose"), self.tightness, QLabel("tight"))})
        self.add(in_a_row(self.undo, self.redo))
        self.add(_gestures())
        self.add(self.with_model)
        self.add(self.method)
        self.add_foot(self.status)

    def _connect(self) -> None:
        session, clicking, tool = self._session, self._clicking, self._tool
        for signal in (session.scan_changed, session.mask_changed, session.layers_changed):
            signal.connect(self._settle)
        clicking.changed.connect(self._settle)
        clicking.said.connect(self._say)
        tool.switched.connect(self._settle)
        self.switch.clicked.connect(self._switch)
        self.new_layer.clicked.connect(self._add_layer)
        for name, button in self.doing.items():
            button.clicked.connect(partial(self._choose, name))
        self.tightness.valueChanged.connect(self._tighten)
        self.with_model.clicked.connect(clicking.model.want)
        self.undo.clicked.connect(self._undo)
        self.redo.clicked.connect(self._redo)
        self.destroyed.connect(tool.release)
        if self.marks is not None:
            clicking.missed.connect(self._missed)
            tool.dragging.connect(self._draw)

    # -- what is shown --------------------------------------------------------------------

    def _settle(self) -> None:
        """Say what can be done, and show how things stand."""
        scan = self._session.scan
        none = no_scan(self._session.coming) if scan is None else ""
        why_not = none or self._tool.why_not()
        set_ready(self.switch, why_not, _SWITCH)
        self.switch.setChecked(self._tool.on)
        set_ready(self.new_layer, none, _NEW)
        for name, button in self.doing.items():
            set_ready(button, why_not, _DOING[name][1])
            button.setChecked(name == self._tool.doing)
        set_ready(self.tightness, why_not, _TIGHTNESS)
        with signals_blocked(self.tightness):
            self.tightness.setValue(round(self._clicking.tightness * _TENTHS))
        no_layer = NO_LAYER if self._session.mask is None else ""
        set_ready(self.undo, no_layer, "Take the last step back, strokes too (Ctrl+Z)")
        set_ready(self.redo, no_layer, "Make the step again that was undone (Ctrl+Shift+Z)")
        why_none = "" if self._clicking.model.found else _NO_MODEL
        set_ready(self.with_model, why_none, _WITH_MODEL)
        self.with_model.setChecked(self._clicking.model.used is not None)
        self.method.setText(f"Masks are made {self._clicking.method}.")
        self._show_words(why_not)

    def _show_words(self, why_not: str) -> None:
        words, trouble = (f"{why_not}.", False) if why_not else self._outcome
        if not words and self._tool.on:
            words = "Click on a nodule."
        self.status.setText(breakable(capitalised(words)))
        draw_trouble(self.status, trouble)

    def _say(self, words: str, trouble: bool) -> None:
        self._outcome = words, trouble
        self._show_words("")

    def _missed(self, pixel: tuple[float, float] | None) -> None:
        if self.marks is not None and pixel is not None:
            self.marks.show_missed(pixel)

    def _draw(self, outline: Outline | None) -> None:
        if self.marks is None:
            return
        if outline is None:
            self.marks.clear()
        elif outline.is_box:
            self.marks.show_box(outline.start, outline.end)
        else:
            self.marks.show_circle(outline.start, outline.end)

    # -- what is done ---------------------------------------------------------------------

    def _switch(self, on: bool) -> None:
        self._tool.switch(on)

    def _choose(self, doing: Doing, _checked: bool = False) -> None:
        self._tool.doing = doing
        self._tool.switch(True)

    def _add_layer(self) -> None:
        self._clicking.new_layer()

    def _tighten(self, tenths: int) -> None:
        self._clicking.set_tightness(tenths / _TENTHS)

    def _undo(self) -> None:
        if self._session.mask is not None:
            self._session.mask.undo()

    def _redo(self) -> None:
        if self._session.mask is not None:
            self._session.mask.redo()


def _beside(field: QWidget, button: QPushButton) -> QWidget:
    """Lay out a field and a button that is no wider than its word."""
    box = in_a_row(field, button)
    row = box.layout()
    if isinstance(row, QHBoxLayout):
        row.setStretch(0, 1)
    return box


def _gestures() -> QLabel:
    """Say what the mouse does, a line each."""
    rows = "".join(
        f"<tr><td><b>{keys}</b>&nbsp;&nbsp;</td><td>{does}</td></tr>" for keys, does in _GESTURES
    )
    label = QLabel(f"<table>{rows}</table>")
    label.setWordWrap(True)
    return label


def _marks_on(viewer: ViewerModel) -> CanvasMarks | None:
    """Return marks over the canvas of a viewer, None where it has no window."""
    if not isinstance(viewer, Viewer):
        return None
    return CanvasMarks(viewer.window._qt_viewer.canvas.native)  # noqa: SLF001 - no other door
