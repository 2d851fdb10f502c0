"""Which recipe: a built-in one, or one from a file."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.controls import let_be_narrow
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.path_field import PathField
from napari_ctlns.recipe import Recipe, builtin_recipes, load_recipe

_HELP = "A recipe is a whole pipeline: preparation, patches, network, loss and so on"


class RecipeChoice(QWidget):
    """Chooses a recipe.

    Attributes
    ----------
    changed
        Another one is chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.names = QComboBox()
        let_be_narrow(self.names, letters=10)
        for name in builtin_recipes():
            self.names.addItem(name)
            tooltip = load_recipe(name).description
            self.names.setItemData(self.names.count() - 1, tooltip, Qt.ItemDataRole.ToolTipRole)
        self.names.addItem("From a file…")
        self.file = PathField(
            "file", "Choose a recipe", "A recipe of your own, .toml", "Recipes (*.toml)"
        )
        named, filed = QWidget(), QWidget()
        form_layout(named, {"Recipe": self.names})
        form_layout(filed, {"File": self.file})
        self._filed = filed
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(named)
        layout.addWidget(filed)
        filed.hide()
        self.names.currentIndexChanged.connect(self._on_choice)
        self.file.changed.connect(self.changed)
        self._explain()

    def recipe(self) -> Recipe | None:
        """Return the recipe that is chosen; None while no file is.

        Raises
        ------
        RecipeError
            If the file holds no recipe.
        """
        if not self._from_file():
            return load_recipe(self.names.currentText())
        path = self.file.path
        return None if path is None else load_recipe(path)

    def _from_file(self) -> bool:
        return self.names.currentIndex() == self.names.count() - 1

    def _explain(self) -> None:
        about = self.names.currentData(Qt.ItemDataRole.ToolTipRole)
        self.names.setToolTip("\n".join(filter(None, (about, _HELP))))

    def _on_choice(self) -> None:
        self._explain()
        self._filed.setVisible(self._from_file())
        self.changed.emit()
