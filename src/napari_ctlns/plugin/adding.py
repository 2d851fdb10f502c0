"""The button that adds a corrected mask to the training set, in the panel of the nodules."""

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject

from napari_ctlns.errors import CtlnsError
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.teaching import added_in_words, why_not_add
from napari_ctlns.plugin.training_set import TrainingSet
from napari_ctlns.plugin.views.job_bar import JobBar


class Adding(QObject):
    """Lets a bar add the mask that is worked on.

    Parameters
    ----------
    session
        Whose mask it is.
    bar
        The button, and what came of it.
    parent
        The panel.
    """

    def __init__(self, session: Session, bar: JobBar, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._bar = bar
        self._set = session.part(TrainingSet)
        bar.start_clicked.connect(self._add)
        bar.ended.connect(self._set.look)
        session.mask_changed.connect(self._settle)
        session.scan_changed.connect(self._settle)
        session.edited.connect(self._forget)
        self._settle()

    def _settle(self) -> None:
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        self._bar.set_ready(why_not_add(layer, scan))
        self._forget()

    def _forget(self) -> None:
        """Say no longer that a mask was added which is another now."""
        if not self._bar.working:
            self._bar.say("")

    def _add(self) -> None:
        layer, folder = self._session.mask, self._set.folder
        if layer is None:
            return
        try:
            work = self._set.add(layer)
        except CtlnsError as error:
            self._bar.say(str(error), trouble=True)
            return
        assert folder is not None  # else there was an error
        self._bar.follow(work, partial(self._say, folder))

    def _say(self, folder: Path, result: dict[str, Any]) -> None:
        self._bar.say(added_in_words(result["added"], folder))
