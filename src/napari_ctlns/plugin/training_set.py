"""Where the corrections of a window go, and what is there already: one for all panels."""

from pathlib import Path

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.teaching import (
    TaughtScans,
    add_job,
    read_training_set,
    reader_name,
    recipe_of,
    training_set_of,
)
from napari_ctlns.plugin.work import ThreadWork, one_step


class TrainingSet(QObject):
    """The dataset to which a window adds corrected scans; a part of its session.

    Attributes
    ----------
    changed
        It is another folder, or what is in it changed.
    usual
        Where it is unless a person chose another folder; None: the model is damaged.
    folder
        Where it is; None: the model by which that is decided is damaged.
    known
        What is in it.
    problem
        Why that is not known, in words.
    reader
        Who corrects.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._chosen: Path | None = None
        self._look: ThreadWork | None = None
        self.usual: Path | None = None
        self.folder: Path | None = None
        self.known = TaughtScans()
        self.problem = ""
        self.reader = read_settings().reader or reader_name()
        session.model_changed.connect(self.look)
        self.look()

    def choose(self, folder: Path | None) -> None:
        """Take this folder; None: that of the model."""
        if folder != self._chosen:
            self._chosen = folder
            self.look()

    def look(self) -> None:
        """Find out, in a thread, what is there now."""
        session: Session = self.parent()
        self.usual, self.problem = None, ""
        try:
            self.usual = training_set_of(session.model, read_settings().working_folder)
        except CtlnsError as error:
            self.problem = str(error)
        folder = self._chosen or self.usual
        if folder != self.folder:
            self.folder, self.known = folder, TaughtScans()
        self.changed.emit()
        if folder is not None:
            self._look = ThreadWork(one_step("Look", read_training_set, folder), parent=self)
            self._look.came.connect(self._hear)

    def add(self, layer: Labels) -> ThreadWork:
        """Add what a labels layer shows; `look` when it has ended.

        Raises
        ------
        CtlnsError
            If the model is damaged for which it is prepared.
        """
        session: Session = self.parent()
        scan, folder = session.volume_under(layer), self.folder
        if scan is None or folder is None:
            raise CtlnsError(self.problem or "open the scan first")
        recipe = recipe_of(session.model)
        mask, findings = of.mask_of(layer, scan), of.findings_of(layer)
        return ThreadWork(add_job(mask, scan, folder, self.reader, recipe, findings))

    def _hear(self, event: Event) -> None:
        if not isinstance(event, Finished | Failed) or self.sender() is not self._look:
            return
        if isinstance(event, Finished):
            self.known = event.result["value"]
        else:
            self.known, self.problem = TaughtScans(), event.message
        self._look = None
        self.changed.emit()
