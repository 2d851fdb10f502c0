"""When a panel offers to import a model of others, and what comes of it."""

from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_ctlns.errors import CtlnsError
from napari_ctlns.inference.foreign import Foreign, Maker
from napari_ctlns.inference.model import CARD
from napari_ctlns.plugin.importing import Importable, import_spec, importable_at
from napari_ctlns.plugin.model_import import ModelImport
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.views.import_offer import ImportOffer


class ImportOffers(QObject):
    """Keeps an offer at what a person chose.

    Parameters
    ----------
    session
        Whose child imports.
    view
        The offer.
    parent
        The panel.

    Attributes
    ----------
    began
        An import began (the work).
    changed
        Something else is offered, or nothing any more.
    trouble
        Something cannot be imported, in words.
    """

    began = Signal(object)
    changed = Signal()
    trouble = Signal(str)

    def __init__(self, session: Session, view: ImportOffer, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._view = view
        self._asked: Importable | None = None
        self._left: set[Foreign] = set()
        view.taken.connect(self._begin)
        view.put_away.connect(self._leave)

    def ask(self, path: Path, maker: Maker) -> None:
        """Offer to import what a person chose for that; say so if it is nothing of the kind."""
        try:
            self._asked = importable_at(path, maker)
        except (CtlnsError, OSError) as error:
            self.trouble.emit(str(error))
        self._left.clear()
        self.changed.emit()

    def choose_anew(self) -> None:
        """Forget what was asked for or put away: a person chose models."""
        self._asked = None
        self._left.clear()

    def follow(self, models: Iterable[Path]) -> bool:
        """Offer what was asked for, or the first of the chosen models that must be imported.

        Returns
        -------
        bool
            Whether one of the chosen models waits for that.
        """
        waiting = next(filter(None, map(self._importable, models)), None)
        self._view.offer(self._asked or waiting)
        return waiting is not None

    def end(self) -> None:
        """Put away what was imported."""
        self._asked = None
        self.changed.emit()

    def _importable(self, model: Path) -> Importable | None:
        try:
            found = None if (model / CARD).is_file() else importable_at(model)
        except OSError:  # whoever reads the card says what is wrong
            return None
        return None if found is None or found.model in self._left else found

    def _begin(self) -> None:
        offered = self._view.offered
        if offered is None:
            return
        try:
            folder = read_settings().working_folder
            spec = import_spec(offered.model, self._view.said(), folder)
        except CtlnsError as error:
            self.trouble.emit(str(error))
            return
        self.began.emit(ModelImport(self._session, spec))

    def _leave(self) -> None:
        if self._view.offered is not None:
            self._left.add(self._view.offered.model)
        self._asked = None
        self.changed.emit()
