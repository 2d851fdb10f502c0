"""What keeps the work in a window safe: autosave, recovery, the sign in its title, the question."""

import uuid
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.closing import CloseGuard
from napari_ctlns.plugin.recovering import Recoveries
from napari_ctlns.plugin.recovery_folder import recovery_root

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session

_PLACE_OF_SIGN = "[*]"


def protect(window: QWidget, session: "Session") -> None:
    """Keep the work of a session safe for as long as its window is open.

    Parameters
    ----------
    window
        The main window of the viewer.
    session
        Whose work it is.
    """
    root = recovery_root()
    CloseGuard(window, session)
    TitleSign(window, session)
    session.part(Autosave).begin(root / uuid.uuid4().hex)
    session.part(Recoveries).look(root)


class TitleSign(QObject):
    """Marks the title of a window, as the system does it, while something is not saved."""

    def __init__(self, window: QWidget, session: "Session") -> None:
        super().__init__(window)
        self._window = window
        self._session = session
        self._make_room()
        window.installEventFilter(self)
        session.unsaved_changed.connect(self._show)
        session.layers_changed.connect(self._show)
        self._show()

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Keep the sign in titles that napari gives the window."""
        if event.type() == QEvent.Type.WindowTitleChange:
            self._make_room()
        return False

    def _make_room(self) -> None:
        title = self._window.windowTitle()
        if _PLACE_OF_SIGN not in title:
            self._window.setWindowTitle(title + _PLACE_OF_SIGN)

    def _show(self) -> None:
        if not self._session.gone:
            self._window.setWindowModified(bool(self._session.unsaved_layers))
