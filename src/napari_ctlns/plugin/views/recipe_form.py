"""A recipe as a form: the few settings that people change, and the rest folded away."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_ctlns.errors import RecipeError
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.panel import form_layout
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
_INDENT = 10
_NAMES = {
    "patches.size": "Patch size, voxels",
    "patches.per_scan": "Patches a scan",
    "patches.hard_negatives": "Hard negatives, CSV",
    "loss.ce_weight": "Entropy weight",
    "optimisation.clip_gradient_norm": "Clip gradients",
    "optimisation.early_stopping_patience": "Stop early after",
    "optimisation.ema_decay": "EMA decay",
    "optimisation.num_workers": "Worker threads",
}
_WHOLE = "Recipe"
"""Where values stand that belong to no section."""
_NOT_SHOWN = {"search", "imported"}
"""For `ctlns tune`, and for models that were trained elsewhere: not for one training."""


class RecipeForm(QWidget):
    """Shows a recipe and takes changes; every field of it has a row.

    Attributes
    ----------
    changed
        Something else stands in the form.
    more
        The fold with all fields but a few.
    sections
        The folds in it, by name; the fields of each are made when it is first unfolded.
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
        self.sections: dict[str, Fold] = {}
        self.more = Fold("More", self._all_sections())
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
        """Return a field that was made; see `sections`."""
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

    def _all_sections(self) -> QWidget:
        """Lay out a fold for each section, still empty."""
        rest = QWidget()
        layout = QVBoxLayout(rest)
        layout.setContentsMargins(_INDENT, 0, 0, 0)
        keys: dict[str, list[str]] = {}
        for key in self._infos:
            if key not in FEW:
                section = key.rpartition(".")[0]
                keys.setdefault(field_name(section) or _WHOLE, []).append(key)
        for name, its_keys in keys.items():
            rows = QWidget()
            fold = self.sections[name] = Fold(name, rows)
            fold.toggled.connect(partial(self._make_rows, rows, its_keys))
            layout.addWidget(fold)
        layout.addWidget(self._reset)
        return rest

    def _make_rows(self, rows: QWidget, keys: list[str], _unfolded: bool) -> None:
        if rows.layout() is None:
            form_layout(rows, dict(self._row(key) for key in keys))

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
