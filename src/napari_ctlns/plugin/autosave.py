"""Keeps all that is not saved in files of its own, so that a crash takes some seconds at most.

What is open is looked at in the thread of the window, voxels are read and written in
another one while a person paints on: a voxel is as it was before a stroke or after it,
and what changed meanwhile is kept the next time.
"""

import weakref
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer, Points
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished, Saved, ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.moments import MomentTaker, is_other
from napari_ctlns.plugin.recovery_file import RecoveryWriter
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.work import ThreadWork, one_step

_MS_AFTER_EDIT = 1000
_MS_AFTER_MOVE = 4000
_MS_AFTER_TROUBLE = 3000


class Autosave(QObject):
    """Keeps the unsaved work of a session against a crash; idle until it is begun.

    Attributes
    ----------
    changed
        Something was kept, or could not be.
    kept_at
        When all that is unsaved was kept last; None: nothing is.
    trouble
        Why nothing can be kept just now; "" if it can.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._taker = MomentTaker(session)
        self._writer: RecoveryWriter | None = None
        self._work: ThreadWork | None = None
        self._control = ThreadControl()
        self._again = self._forgotten = False
        self._others: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._asked: list[Callable[[], None]] = []
        self._due: list[Callable[[], None]] = []
        self.kept_at: datetime | None = None
        self.trouble = ""
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._take)

    def begin(self, folder: Path) -> None:
        """Keep what is unsaved from now on in a folder, which nobody else has."""
        self._writer = RecoveryWriter(folder)
        session, viewer = self._session, self._session.viewer
        for signal in (session.edited, session.measured):
            signal.connect(self._edited)
        for signal in (session.unsaved_changed, session.layers_changed):
            signal.connect(self._changed)
        session.closed.connect(self._close)
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)
        for place, names in (
            (viewer.dims, ("point", "order", "ndisplay")),
            (viewer.scene.camera, ("center", "zoom", "angles")),
        ):
            for name in names:
                getattr(place.events, name).connect(self._moved)
        for layer in viewer.layers:
            self._follow(layer)
        self._changed()

    def when_kept(self, then: Callable[[], None]) -> None:
        """Call something once as soon as what is open now is kept whole, or saved."""
        self._asked.append(then)
        self._changed()

    def forget(self) -> None:
        """Leave nothing when the window closes, which it does now: a person was asked."""
        self._forgotten = True

    # -- when -------------------------------------------------------------------------

    def _edited(self, _layer: object) -> None:
        self._after(_MS_AFTER_EDIT)

    def _changed(self) -> None:
        self._after(_MS_AFTER_EDIT)

    def _moved(self, _event: Any) -> None:
        if self.kept_at is not None:
            self._after(_MS_AFTER_MOVE)

    def _stroke(self, event: Any) -> None:
        """Keep a stroke that goes on and on: napari tells of it only when it ends."""
        if _is_in_a_stroke(event.source):
            self._after(_MS_AFTER_EDIT)

    def _other_edited(self, event: Any) -> None:
        if is_other(event.source):
            self._others.add(event.source)
            self._after(_MS_AFTER_EDIT)

    def _after(self, ms: int) -> None:
        """Look after some time: no later because of what comes until then."""
        if self._writer is None:
            return
        if self._work is not None:
            self._again = True
            self._control.stop()  # what is large can wait
        elif not self._soon.isActive() or self._soon.remainingTime() > ms:
            self._soon.start(ms)

    # -- keeping ------------------------------------------------------------------------

    def _unsaved(self) -> list[Layer]:
        """Return the layers of which something would be lost."""
        layers = self._session.viewer.layers
        unsaved = {*self._session.unsaved_layers, *self._others}
        return [layer for layer in layers if layer in unsaved or _is_in_a_stroke(layer)]

    def _take(self) -> None:
        if self._writer is None or self._session.gone:
            return
        unsaved = self._unsaved()
        self._due, self._asked, self._again = [*self._due, *self._asked], [], False
        self._control = ThreadControl()
        if unsaved:
            job = self._writer.keep(self._taker.take(unsaved), self._control)
        elif self.kept_at is not None or self.trouble:
            self.kept_at = None
            job = one_step("Everything is saved", self._writer.clear)
        else:
            self._call_due()
            return
        self._work = ThreadWork(job, self._control, self)
        self._work.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Saved):
            self.kept_at, self.trouble = datetime.now().astimezone(), ""
            self.changed.emit()
        elif isinstance(event, Failed):
            self._over()
            self._tell(event.message)
            self._after(_MS_AFTER_TROUBLE)
        elif isinstance(event, Finished):
            self._over()
            if event.stopped:
                self._again = True
            else:
                self._call_due()
                self.trouble = ""
                self.changed.emit()
            if self._again:
                self._after(_MS_AFTER_EDIT)

    def _over(self) -> None:
        if self._work is not None:
            self._work.deleteLater()  # it holds what it wrote
            self._work = None

    def _call_due(self) -> None:
        due, self._due = self._due, []
        for then in due:
            then()

    def _tell(self, message: str) -> None:
        """Say once that nothing can be kept; that it can again is said by the sign."""
        from napari.utils.notifications import show_warning

        if not self.trouble:
            show_warning(f"Save your edits: they cannot be kept against a crash. {message}")
        self.trouble = message
        self.changed.emit()

    def _close(self) -> None:
        """Leave what is unsaved to the next window, and nothing where all is saved."""
        writer, self._writer = self._writer, None
        self._soon.stop()
        if self._work is not None:
            self._work.came.disconnect(self._hear)
            self._control.stop()
            self._work.join()
            self._over()
        if writer is not None and self._unsaved() and not self._forgotten:
            writer.let_go()
        elif writer is not None:
            writer.clear()

    # -- layers ---------------------------------------------------------------------------

    def _inserted(self, event: Any) -> None:
        self._follow(event.value)

    def _removed(self, event: Any) -> None:
        disconnect_events(event.value.events, self)

    def _follow(self, layer: Layer) -> None:
        if isinstance(layer, Labels):
            for name in ("labels_update", "set_data"):
                getattr(layer.events, name).connect(self._stroke)
            layer.events.paint.connect(self._other_edited)
        if isinstance(layer, Labels | Points):
            layer.events.data.connect(self._other_edited)


def _is_in_a_stroke(layer: Layer) -> bool:
    return not of.is_preview(layer) and bool(getattr(layer, "_staged_history", ()))
