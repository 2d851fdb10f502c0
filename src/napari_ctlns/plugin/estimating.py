"""How much memory a training would need, asked of the child before it starts."""

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Finished
from napari_ctlns.plugin.session import Session
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import Device, EstimateSpec

MS_BEFORE_ASKING = 500


class MemoryEstimate(QObject):
    """Asks some time after the last change, and only while the child has nothing to do.

    Attributes
    ----------
    said
        What is needed, in words, and whether that is too much; no words while nothing is
        known, and where the child cannot tell.
    """

    said = Signal(str, bool)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._wanted: EstimateSpec | None = None
        self._asked: EstimateSpec | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(MS_BEFORE_ASKING)
        self._timer.timeout.connect(self._ask)
        session.closed.connect(self._timer.stop)

    def ask(self, recipe: Recipe | None, device: Device) -> None:
        """Find out what this would need; None: nothing is asked for."""
        wanted = None if recipe is None else EstimateSpec(recipe=recipe, device=device)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self.said.emit("", False)
        if wanted is not None:
            self._timer.start()
        else:
            self._timer.stop()

    def _ask(self) -> None:
        if self._session.gone or self._wanted is None:
            return
        child = self._session.child
        if child.now is not None:
            self._timer.start()
            return
        self._asked = self._wanted
        child.start("estimate", self._asked).came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Finished) and event.result and self._asked == self._wanted:
            self.said.emit(*_in_words(event.result))


def _in_words(result: dict[str, Any]) -> tuple[str, bool]:
    """Return the words of an estimate, and whether it is of too much."""
    words, suggestion = str(result.get("words", "")), str(result.get("suggestion", ""))
    too_much = not result.get("fits", True)
    if too_much and suggestion and suggestion not in words:
        words = f"{words.rstrip('.')}; {suggestion}"
    return words, too_much
