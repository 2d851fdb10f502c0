"""A recipe as a form: the few settings that people change, and the rest folded away."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.errors import RecipeError
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.panel import add_row, form_layout
from napari_ctlns.plugin.views.recipe_field import RecipeField, field_name, fields_named_in
from napari_ctlns.plugin.views.trouble import TroubleLabel
from napari_ctlns.recipe import Recipe

FEW = (
    "optimisation.epochs",
    "optimisation.batch_size",
    "optimisation.learning_rate",
    "patches.size",
    "optimisation.precision",
)
"""What people change most."""
_NAMES = {
    "patches.size": "Patch size, voxels",
    "patches.per_scan": "Patches a scan",
    "loss.ce_weight": "Entropy weight",
    "optimisation.num_workers": "Worker threads",
}


_NOT_SHOWN = {"search"}
"""For `ctlns tune`, not for one training."""


class RecipeForm(QWidget):
    """Shows a recipe and takes changes; every field of it has a row.

    Attributes
    ----------
    changed
        Something else stands in the form.
    more
        The fold with all fields but a few, which are made when it is first unfolded.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._recipe: Recipe | None = None
        self._showing = False
        self._problem = ""
        self._infos = dict(_fields_of(Recipe, ""))
        self._fields: dict[str, RecipeField] = {}
        few = QWidget()
        form_layout(few, dict(self._row(key) for key in FEW))
        self._words = TroubleLabel()
        self._reset = QPushButton("Reset")
        self._reset.setToolTip("Take all values of the recipe again")
        self._reset.clicked.connect(self.reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(few)
        layout.addWidget(self._words)
        self._rest = QWidget()
        self.more = Fold("More", self._rest)
        self.more.toggled.connect(self._make_rest)
        layout.addWidget(self.more)

    def show_recipe(self, recipe: Recipe) -> None:
        """Show all values of a recipe."""
        self._recipe = recipe
        self._showing = True
        for field in self._fields.values():
            field.show_value(self._value_of(field.key))
        self._showing = False
        self._on_change()

    def field(self, key: str) -> RecipeField:
        """Return a field that was made; see `more`."""
        return self._fields[key]

    def reset(self) -> None:
        """Show the values again that the recipe had."""
        if self._recipe is not None:
            self.show_recipe(self._recipe)

    def recipe(self) -> Recipe:
        """Return the recipe with what was changed in the form.

        Raises
        ------
        RecipeError
            If a value is not allowed; the message names the field.
        """
        if self._recipe is None:
            raise RecipeError("choose a recipe")
        changes = {key: f.value() for key, f in self._fields.items() if f.is_changed()}
        try:
            return self._recipe.with_changes(changes)
        except RecipeError as error:
            raise RecipeError(str(error).removesuffix(" (in the changed recipe)")) from error

    @property
    def problem(self) -> str:
        """What is not allowed, in words; empty if all is."""
        return self._problem

    def _on_change(self) -> None:
        if self._showing:
            return
        wrong: list[RecipeField] = []
        self._problem = ""
        try:
            self.recipe()
        except RecipeError as error:
            self._problem = str(error)
            wrong = fields_named_in(error, list(self._fields.values()))
        for field in self._fields.values():
            field.mark(self._problem if field in wrong else "")
        self._words.say(self._problem)
        self._reset.setEnabled(any(field.is_changed() for field in self._fields.values()))
        self.changed.emit()

    def _make_rest(self) -> None:
        if len(self._fields) == len(self._infos):
            return
        form = form_layout(self._rest, {})
        shown = ""
        for key in self._infos:
            section = key.rpartition(".")[0]
            if key not in FEW:
                if section != shown:
                    form.addRow(QLabel(f"<b>{field_name(section)}</b>"))
                    shown = section
                add_row(form, *self._row(key))
        form.addRow(self._reset)

    def _row(self, key: str) -> tuple[str, QWidget]:
        """Make a field and return it with its name."""
        field = self._fields[key] = RecipeField(key, self._infos[key], self)
        if self._recipe is not None:
            field.show_value(self._value_of(key))
        field.changed.connect(self._on_change)
        return _NAMES.get(key, field.name), field.native

    def _value_of(self, key: str) -> Any:
        value: Any = self._recipe
        for name in key.split("."):
            value = getattr(value, name)
        return value


def _fields_of(model: type[BaseModel], before: str) -> Iterator[tuple[str, FieldInfo]]:
    """Yield every value of a recipe by its dotted key."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields_of(kind, f"{before}{name}.")
        elif name not in _NOT_SHOWN:
            yield f"{before}{name}", info
