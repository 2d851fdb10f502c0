"""The patches that a training will see, drawn by the child, in a window beside the panel."""

from pathlib import Path

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_ctlns.plugin.predicting import TemporaryFolder
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.patches_window import PatchesWindow
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PatchesSpec


class PatchSheets(QObject):
    """Shows the sheets of one dataset and recipe after the other in one window.

    Parameters
    ----------
    session
        Whose child draws.
    parent
        What the window belongs to.

    Attributes
    ----------
    window
        None until it is first shown.
    """

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self._folder: TemporaryFolder | None = None
        self._spec: PatchesSpec | None = None
        self._panel = parent
        self.window: PatchesWindow | None = None

    def show(self, dataset: Path, recipe: Recipe) -> None:
        """Show the patches of the first epoch.

        Raises
        ------
        OutputError
            If there is no room for temporary files.
        """
        if self._folder is None:
            self._folder = TemporaryFolder()
        if self.window is None:
            self.window = PatchesWindow(self._panel)
            self.window.bar.start_clicked.connect(self._next)
        self.window.show()
        self.window.raise_()
        if not self.window.bar.working:
            out = self._folder.path / "patches.png"
            spec = PatchesSpec(dataset=dataset.absolute(), recipe=recipe, out=out, epoch=0)
            self._draw(self.window, spec)

    def _next(self) -> None:
        if self.window is not None and self._spec is not None:
            spec = self._spec.model_copy(update={"epoch": self._spec.epoch + 1})
            self._draw(self.window, spec)

    def _draw(self, window: PatchesWindow, spec: PatchesSpec) -> None:
        self._spec = spec
        work = self._session.child.start("patches", spec)
        window.follow(work, f"Patches of {spec.recipe.name}, epoch {spec.epoch + 1}", spec.out)
