"""All that is chosen before a training: data, recipe, device, run folder."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.errors import RecipeError
from napari_ctlns.plugin.runs import runs_folder
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.training import (
    LayerData,
    Plan,
    plan_training,
    prepared_dataset,
    run_why_not,
)
from napari_ctlns.plugin.views.data_choice import DataChoice
from napari_ctlns.plugin.views.device_choice import DeviceChoice
from napari_ctlns.plugin.views.panel import align_labels, form_layout
from napari_ctlns.plugin.views.path_field import PathField
from napari_ctlns.plugin.views.recipe_choice import RecipeChoice
from napari_ctlns.plugin.views.recipe_form import RecipeForm
from napari_ctlns.plugin.views.trouble import TroubleLabel, draw_trouble
from napari_ctlns.plugin.words import breakable, capitalised
from napari_ctlns.recipe import Optimisation
from napari_ctlns.specs import Device


class TrainSettings(QWidget):
    """Asks what to train on, how and where.

    Parameters
    ----------
    settings
        What the person chose in Preferences; a recipe that leaves the precision
        open takes it from there.

    Attributes
    ----------
    changed
        Something else is chosen.
    patches
        The button that asks for the patches a training will see.
    """

    changed = Signal()

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._problem = ""
        self.data = DataChoice()
        self.recipes = RecipeChoice()
        self.form = RecipeForm()
        self.folder = PathField(
            "folder", "Choose a folder for the run", "What the training writes; a new folder"
        )
        self._device = DeviceChoice(settings.device)
        self._words = TroubleLabel()
        where = QWidget()
        form_layout(where, {"Device": self._device, "Run folder": self.folder})
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.patches = QPushButton("Show patches…")
        self._need = QLabel()
        self._need.setWordWrap(True)
        self.show_need("", too_much=False)
        parts = (self.data, self.recipes, self._words, self.form, where, self._need, self.patches)
        for widget in parts:
            layout.addWidget(widget)
        for part in (self.data, self.form, self.folder):
            part.changed.connect(self.changed)
        self._device.currentIndexChanged.connect(self.changed)
        self.recipes.changed.connect(self._show_recipe)
        self._show_recipe()

    @property
    def device(self) -> Device:
        """Where the network is to run."""
        return self._device.device

    @property
    def optimisation(self) -> Optimisation | None:
        """How long is to be learned, and so on; None while the recipe is not allowed."""
        return None if self.form.problem else self.form.recipe().optimisation

    def why_not(self) -> str:
        """Say what lacks before a training can start; nothing if it can."""
        folder = self.folder.path
        return capitalised(
            self.data.data().why_not()
            or self._problem
            or self.form.problem
            or (run_why_not(folder) if folder is not None else "")
        )

    def why_no_patches(self) -> str:
        """Say why the patches a training will see cannot be shown; nothing if they can."""
        why_not = self.data.data().why_not() or self._problem or self.form.problem
        if not why_not and self.dataset() is None:
            why_not = "these data are not prepared yet; their first training does that"
        return capitalised(why_not)

    def dataset(self) -> Path | None:
        """Return the prepared dataset that is chosen; None where there is none yet."""
        folder = self._settings.working_folder
        return prepared_dataset(self.data.data(), self.form.recipe(), folder)

    def show_need(self, words: str, too_much: bool) -> None:
        """Say what memory a training would need; too much is drawn as trouble."""
        self._need.setText(breakable(words))
        self._need.setVisible(bool(words))
        draw_trouble(self._need, too_much)

    def plan(self) -> Plan:
        """Return what a click on Start begins.

        Raises
        ------
        CtlnsError
            If something lacks.
        """
        return plan_training(
            self.data.data(),
            self.form.recipe(),
            self.device,
            self._settings.working_folder,
            self.folder.path,
        )

    def show_open(self, layers: LayerData) -> None:
        """Show which open layers could be learned from."""
        self.data.show_open(layers)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Align the labels, whose font is known only now."""
        align_labels(self, but_not_in=self.form.more)
        super().showEvent(event)

    def _show_recipe(self) -> None:
        try:
            recipe = self.recipes.recipe()
        except RecipeError as error:
            recipe, self._problem = None, str(error)
        else:
            self._problem = "" if recipe is not None else "choose a recipe file"
        self._words.say(self._problem)
        self.form.setEnabled(recipe is not None)
        if recipe is None:
            self.changed.emit()
            return
        if recipe.optimisation.precision == "auto":
            recipe = recipe.with_changes({"optimisation.precision": self._settings.precision})
        self.form.show_recipe(recipe)
        self.folder.set_hint(str(runs_folder(self._settings.working_folder) / f"{recipe.name}-…"))
