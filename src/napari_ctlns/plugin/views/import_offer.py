"""Offers to import a model that others made, and asks what its files do not say."""

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.importing import Importable, Said
from napari_ctlns.plugin.views.controls import let_be_narrow, set_ready
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.recipe_field import RecipeField
from napari_ctlns.plugin.words import breakable
from napari_ctlns.recipe import Inference, Preparation, builtin_recipes, load_recipe

_IMPORT = "Make a model of it in the working folder; nothing there is replaced"
_LEAVE = "Put the offer away"
_ALL = "all, averaged"
_AS_IT_SAYS = "as its files say"
_USUAL_AXES = "SPL, as usual"
_AXES = ("SPL", "SAR", "RAS", "LPS")
_PROBABILITY = (_AS_IT_SAYS, "softmax", "sigmoid", "none")
_ASKED = {
    "preparation.spacing_mm": Preparation.model_fields["spacing_mm"],
    "preparation.clip_hu": Preparation.model_fields["clip_hu"],
    "preparation.normalisation": Preparation.model_fields["normalisation"],
    "inference.window": Inference.model_fields["window"],
}
"""What an ONNX file does not say."""


class ImportOffer(QWidget):
    """One sentence, the few rows that a model of its kind needs, Import and Not now.

    Attributes
    ----------
    taken, put_away
        One of the buttons was clicked.
    """

    taken = Signal()
    put_away = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._model: Importable | None = None
        self._words = QLabel()
        self._words.setWordWrap(True)
        self.label = _choice("What masks are to show: a label's name, or its channel")
        self.label.setEditable(True)
        self.folds = _choice("Train runs of nnU-Net on different parts of its data")
        self.recipe = _choice("The built-in recipe by which scans are prepared for it")
        self.recipe.addItems(builtin_recipes())
        self.fields = {key: RecipeField(key, info, self) for key, info in _ASKED.items()}
        self.axes = _choice(
            "Towards which side of the patient the axes of its arrays run, the first one first: "
            "SPL as in DICOM, RAS as MONAI turns them, SAR for nnU-Net trained on NIfTI in RAS"
        )
        self.axes.setEditable(True)
        self.activation = _choice("What makes its answer a probability; none: it is one")
        self.activation.addItems(_PROBABILITY)
        self.take = QPushButton("Import")
        self.leave = QPushButton("Not now")
        self._lay_out()
        self.set_ready()
        self.leave.setToolTip(_LEAVE)
        self.recipe.currentTextChanged.connect(self._show_recipe)
        self.take.clicked.connect(self.taken)
        self.leave.clicked.connect(self.put_away)
        self._show_recipe()
        self.hide()

    def _lay_out(self) -> None:
        few, more = QWidget(), QWidget()
        rows = {"Label": self.label, "Folds": self.folds, "Prepared as": self.recipe}
        asked = {field.name: field.native for field in self.fields.values()}
        self._few = form_layout(few, {**rows, **asked})
        form_layout(more, {"Axes": self.axes, "Probability": self.activation})
        self._more = Fold("More about this model", more)
        buttons = QHBoxLayout()
        buttons.addWidget(self.take)
        buttons.addWidget(self.leave)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._words, few, self._more):
            layout.addWidget(widget)
        layout.addLayout(buttons)

    @property
    def offered(self) -> Importable | None:
        """What is offered now."""
        return self._model

    def offer(self, model: Importable | None) -> None:
        """Offer to import this; None: nothing. What stands there for the same model stays."""
        if model != self._model:
            self._model = model
            if model is not None:
                self._show(model)
        self.setVisible(model is not None)

    def set_ready(self, why_not: str = "") -> None:
        """Let it be imported, or say in the tooltip why it cannot be."""
        set_ready(self.take, why_not, _IMPORT)

    def said(self) -> Said:
        """Return what a person said of the model."""
        folds = self.folds.currentText()
        axes, activation = self.axes.currentText(), self.activation.currentText()
        onnx = self._model is not None and self._model.model.maker == "onnx"
        return Said(
            label=self.label.currentText(),
            fold="" if folds == _ALL else folds,
            axes="" if axes in (_AS_IT_SAYS, _USUAL_AXES) else axes,
            activation="" if activation == _AS_IT_SAYS else activation,
            recipe=self.recipe.currentText() if onnx else "",
            changes=self._changes() if onnx else {},
        )

    # -- inside -------------------------------------------------------------------

    def _changes(self) -> dict[str, Any]:
        return {key: field.value() for key, field in self.fields.items() if field.is_changed()}

    def _show(self, model: Importable) -> None:
        onnx = model.model.maker == "onnx"
        self._words.setText(breakable(model.words))
        self.setToolTip(str(model.model.source))
        _fill(self.label, model.labels)
        self.label.setEditText(model.likeliest_label if len(model.labels) > 1 else "")
        self.label.lineEdit().setPlaceholderText("the only one")
        _fill(self.folds, (_ALL, *model.folds))
        _fill(self.axes, (_AS_IT_SAYS if model.model.maker == "monai" else _USUAL_AXES, *_AXES))
        self.activation.setCurrentIndex(0)
        self._more.collapse()
        self._show_row(self.label, len(model.labels) != 1)
        self._show_row(self.folds, len(model.folds) > 1)
        for widget in (self.recipe, *(field.native for field in self.fields.values())):
            self._show_row(widget, onnx)
        self._show_recipe()

    def _show_row(self, widget: QWidget, there: bool) -> None:
        widget.setVisible(there)
        self._few.labelForField(widget).setVisible(there)

    def _show_recipe(self) -> None:
        recipe = load_recipe(self.recipe.currentText())
        for key, field in self.fields.items():
            section, name = key.split(".")
            field.show_value(getattr(getattr(recipe, section), name))
        self.recipe.setToolTip(recipe.description)


def _choice(tooltip: str) -> QComboBox:
    choice = QComboBox()
    let_be_narrow(choice, letters=8)
    choice.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    choice.setToolTip(tooltip)
    return choice


def _fill(choice: QComboBox, words: Sequence[str]) -> None:
    choice.clear()
    choice.addItems(list(words))
