"""Going through findings and judging them: buttons, type, note, and how far the review is."""

from collections.abc import Mapping
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.findings import NoduleType
from napari_ctlns.plugin.views.controls import in_a_row, set_ready

_STEPS: Mapping[str, tuple[str, str]] = {
    "previous": ("Previous", "Go to the row above"),
    "next": ("Next", "Go to the row below"),
    "accept": ("Accept", "It is a nodule; goes to the next one nobody has judged"),
    "reject": (
        "Reject",
        "No nodule: it stays here and is left out of files; goes to the next nobody has judged",
    ),
    "reopen": ("Reopen", "Neither accepted nor rejected: to be reviewed again"),
    "undo": ("Undo", "Take back what was said last; Ctrl+Z in the scan takes back strokes too"),
}
TYPES: Mapping[str, NoduleType] = {
    "As measured": "unknown",
    "Solid": "solid",
    "Part-solid": "part-solid",
    "Ground-glass": "ground-glass",
}

_SET = frozenset(TYPES.values())


class ReviewBar(QWidget):
    """Two rows of controls for the finding at hand, or for all that are selected.

    Parameters
    ----------
    keys
        The key of each step, which its tooltip says.

    Attributes
    ----------
    stepped
        A button was clicked (its name, as in ``keys``, or "reopen").
    typed
        A type was chosen (`NoduleType`).
    noted
        A note was written (the text).
    """

    stepped = Signal(str)
    typed = Signal(str)
    noted = Signal(str)

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._keys = keys
        self.buttons = {name: self._button(name, *words) for name, words in _STEPS.items()}
        self.type = QComboBox()
        self.type.addItems(list(TYPES))
        self.type.setAccessibleName("Type of the nodule")
        self.type.activated.connect(self._tell_type)
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note on the nodule")
        self.note.setAccessibleName("Note on the nodule")
        self.note.editingFinished.connect(self._tell_note)
        self.overview = QLabel()
        self.overview.setWordWrap(True)
        self._said = ""
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(in_a_row(*self.buttons.values()))
        rows.addWidget(in_a_row(self.type, self.note))
        rows.addWidget(self.overview)

    def _button(self, name: str, words: str, tooltip: str) -> QPushButton:
        button = QPushButton(words)
        key = f" (key {self._keys[name].replace('-', '+')})" if name in self._keys else ""
        button.setProperty("tooltip", f"{tooltip}{key}")
        button.clicked.connect(partial(self._tell_step, name))
        return button

    def show_finding(self, kind: NoduleType | None, note: str, why_not: str, more: int) -> None:
        """Show what is said of the finding at hand, with which ``more`` are judged.

        ``why_not`` tells why nothing can be said.
        """
        for name in ("accept", "reject", "reopen"):
            all_of_them = f"All {more + 1} that are selected. " if more > 0 else ""
            words = all_of_them + self.buttons[name].property("tooltip")
            set_ready(self.buttons[name], why_not, words)
        set_ready(self.type, why_not, f"Its type ({self._type_keys()})")
        set_ready(self.note, why_not, "A note on it; Enter keeps it")
        self.type.setCurrentIndex(list(TYPES.values()).index(kind or "unknown"))
        if note != self._said or not self.note.hasFocus():  # what is being typed stays
            self._said = note
            self.note.setText(note)

    def show_progress(self, overview: str, can_go: bool, can_undo: bool) -> None:
        """Show how far the review is, and whether one can go on or back."""
        self.overview.setText(overview)
        nothing = "" if can_go else "No nodule is shown"
        for name in ("previous", "next"):
            set_ready(self.buttons[name], nothing, self.buttons[name].property("tooltip"))
        undo = self.buttons["undo"]
        set_ready(undo, "" if can_undo else "Nothing was said yet", undo.property("tooltip"))

    def _tell_step(self, name: str, _checked: bool = False) -> None:
        self.stepped.emit(name)

    def _type_keys(self) -> str:
        return ", ".join(f"{kind}: key {self._keys[kind]}" for kind in self._keys if kind in _SET)

    def _tell_type(self, index: int) -> None:
        self.typed.emit(list(TYPES.values())[index])

    def _tell_note(self) -> None:
        if self.note.text() != self._said:
            self._said = self.note.text()
            self.noted.emit(self._said)
