"""The Correct panel: what is done to the nodule that is worked on, and tools for the mouse."""

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_ctlns.plugin.correction_keys import KEYS, bind_keys
from napari_ctlns.plugin.correction_tools import Tool, correction_tools_of
from napari_ctlns.plugin.corrections import NO_LAYER, STEP_MM, corrections_of
from napari_ctlns.plugin.layers import colours_of_labels
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.controls import in_a_row, set_ready
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.nodule_columns import in_words
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import breakable, capitalised

if TYPE_CHECKING:
    import napari

_HINT = "On the whole nodule, in 3D; Ctrl+Z takes each step back"
_SHAPE = {
    "grow": (f"Grow {STEP_MM:g} mm", "Let the nodule grow on all sides where voxels are free"),
    "shrink": (f"Shrink {STEP_MM:g} mm", "Let the nodule shrink on all sides"),
    "smooth": ("Smooth", "Smooth its surface and keep its volume"),
    "fill_holes": ("Fill holes", "Fill what it encloses on all sides"),
    "fill_between": (
        "Fill between slices",
        "Draw it on the slices that lie between those on which you painted it",
    ),
    "keep_touched": (
        "Keep only what I touched",
        "Delete its pieces that none of your strokes reached since the layer was opened",
    ),
}
_TOOLS: dict[Tool, tuple[str, str]] = {
    "split": ("Split", "Drag a line across the nodule: it is cut along it through all slices"),
    "merge": ("Merge", "Click another nodule: it becomes part of the one worked on"),
    "delete": ("Delete piece", "Click a connected piece of any nodule: it goes"),
    "keep": ("Keep piece", "Click a connected piece of any nodule: its other pieces go"),
}


class CorrectPanel(Panel):
    """Corrects the nodule that the brush paints."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._corrections = corrections_of(self._session)
        self._tools = correction_tools_of(self._session)
        bind_keys(self._session)
        self.layer = LayerChoice(self._session, "mask", "The labels layer to correct")
        self.swatch = QLabel()
        self.nodule = QLabel()
        self.shape = {name: self._button(name, *words) for name, words in _SHAPE.items()}
        self.tools = {name: self._button(name, *words) for name, words in _TOOLS.items()}
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.status = QLabel()
        self._lay_out()
        self._connect()
        self._settle()

    def _button(self, name: str, words: str, tooltip: str) -> QPushButton:
        button = QPushButton(words)
        button.setProperty("tooltip", f"{tooltip} (key {KEYS[name].replace('-', '+')})")
        return button

    def _lay_out(self) -> None:
        hint = QLabel(_HINT)
        hint.setWordWrap(True)  # the panel may be narrow
        self.swatch.setFixedSize(12, 12)
        self.nodule.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        for button in self.tools.values():
            button.setCheckable(True)
        self.undo.setProperty("tooltip", "Take the last step back, strokes too (Ctrl+Z)")
        self.redo.setProperty("tooltip", "Make the step again that was undone (Ctrl+Shift+Z)")
        self.status.setWordWrap(True)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        self.add_form({"Labels": self.layer, "Nodule": in_a_row(self.swatch, self.nodule)})
        self.add(hint)
        *pairs, between, touched = self.shape.values()
        self.add(_in_pairs(pairs))
        self.add(between)
        self.add(touched)
        self.add(QLabel("With the left mouse button"))
        self.add(_in_pairs(list(self.tools.values())))
        self.add(in_a_row(self.undo, self.redo))
        self.add_foot(self.status)

    def _connect(self) -> None:
        session, corrections, tools = self._session, self._corrections, self._tools
        for signal in (session.mask_changed, session.layers_changed, tools.switched):
            signal.connect(self._settle)
        for signal in (session.label_picked, session.recoloured, session.edited, session.measured):
            signal.connect(self._changed)
        corrections.said.connect(self._say)
        for name, button in self.shape.items():
            button.clicked.connect(partial(self._correct, name))
        for tool, button in self.tools.items():
            button.clicked.connect(partial(self._use, tool))
        self.undo.clicked.connect(corrections.undo)
        self.redo.clicked.connect(corrections.redo)
        self.destroyed.connect(tools.release)

    # -- what is shown ------------------------------------------------------------------

    def _settle(self) -> None:
        """Say which nodule is worked on, and what can be done."""
        layer, label = self._corrections.layer, self._corrections.label
        self.nodule.setText(self._words(label))
        colour = "transparent"
        if layer is not None and label:
            red, green, blue, _ = colours_of_labels(layer, [label])[label]
            colour = f"rgb({red * 255:.0f}, {green * 255:.0f}, {blue * 255:.0f})"
        self.swatch.setStyleSheet(f"background-color: {colour};")
        why_not = self._corrections.why_not(label)
        for button in self.shape.values():
            set_ready(button, why_not, button.property("tooltip"))
        why_not = self._tools.why_not()
        for tool, button in self.tools.items():
            set_ready(button, why_not, button.property("tooltip"))
            button.setChecked(tool == self._tools.tool)
        for button in (self.undo, self.redo):
            set_ready(button, "" if layer is not None else NO_LAYER, button.property("tooltip"))

    def _words(self, label: int) -> str:
        layer = self._corrections.layer
        if layer is None or not label:
            return "none picked"
        table = self._session.table(layer)
        row = None if table is None else table[table["label"] == label]
        if row is None or row.empty:
            return f"{label}"
        return f"{label}, {in_words('volume_mm3', float(row['volume_mm3'].iloc[0]))} mm³"

    def _changed(self, layer: object) -> None:
        if layer is self._session.mask:
            self._settle()

    def _say(self, words: str, trouble: bool) -> None:
        self.status.setText(breakable(capitalised(words)))
        draw_trouble(self.status, trouble)

    # -- what is done -------------------------------------------------------------------

    def _correct(self, name: str, _checked: bool = False) -> None:
        getattr(self._corrections, name)()

    def _use(self, tool: Tool, _checked: bool = False) -> None:
        self._tools.toggle(tool)
        self._settle()


def _in_pairs(buttons: list[QPushButton]) -> QWidget:
    """Lay out buttons two in a row."""
    box = QWidget()
    grid = QGridLayout(box)
    grid.setContentsMargins(0, 0, 0, 0)
    for k, button in enumerate(buttons):
        grid.addWidget(button, k // 2, k % 2)
    for column in range(2):
        grid.setColumnStretch(column, 1)
    return box
