"""Whether all that is open is saved, in words, and when it was kept against a crash last."""

from napari.layers import Layer
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QLabel

from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import breakable, named


class SavedSign(QObject):
    """Shows in a label how all that is open stands to its files.

    Parameters
    ----------
    session
        Whose layers they are.
    label
        Where it is shown; hidden while there is nothing that could be saved.
    """

    def __init__(self, session: Session, label: QLabel) -> None:
        super().__init__(label)
        self._session = session
        self._label = label
        self._autosave = session.part(Autosave)
        label.setWordWrap(True)
        label.setToolTip("What is not saved is kept against a crash; a file is written by saving")
        session.unsaved_changed.connect(self._show)
        session.layers_changed.connect(self._show)
        self._autosave.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        if self._session.gone:
            return
        unsaved = self._session.unsaved_layers
        self._label.setText(breakable(words_for(unsaved, self._autosave)))
        draw_trouble(self._label, bool(unsaved) and bool(self._autosave.trouble))
        drawn = self._session.layers_for("mask") + self._session.layers_for("annotations")
        self._label.setVisible(bool(drawn))


def words_for(unsaved: list[Layer], autosave: Autosave) -> str:
    """Say which layers are not saved, and since when they are safe from a crash."""
    if not unsaved:
        return "Saved."
    return f"● Not saved: {named([layer.name for layer in unsaved])}.{kept_words(autosave)}"


def kept_words(autosave: Autosave) -> str:
    """Say when unsaved work was kept against a crash last."""
    if autosave.trouble:
        return f" Nor kept against a crash: {autosave.trouble}."
    if autosave.kept_at is None:
        return ""
    return f" Kept against a crash at {autosave.kept_at:%H:%M:%S}."
