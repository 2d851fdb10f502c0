"""The foot of a panel: its primary button, progress with time left, and one line of words."""

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.events import Event, Failed, Finished, Log, Progress, Started
from napari_ctlns.plugin.views.controls import set_ready
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import breakable, duration
from napari_ctlns.plugin.work import Work

Then = Callable[[dict[str, Any]], None]
"""What is done with the result of work."""

_STEPS = 1000
_MS_BEFORE_BAR = 300
_MS_BETWEEN_TIMES = 1000


class JobBar(QWidget):
    """Starts work, shows how far it is and how it ended, and can cancel it.

    Parameters
    ----------
    start
        The words on the primary button.
    tooltip
        What the button does.

    Attributes
    ----------
    said
        The line of words that is shown.
    start_clicked
        The primary button was clicked.
    ended
        The work followed is over (its last event).
    """

    start_clicked = Signal()
    ended = Signal(object)

    def __init__(self, start: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work: Work | None = None
        self._then: Then | None = None
        self._why_not = ""
        self._tooltip = tooltip
        self.said = ""
        self._pace = Pace()
        self.button = QPushButton(start)
        self.button.setToolTip(tooltip)
        self.button.clicked.connect(self.start_clicked)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("End the work after its current step; click again to end it at once")
        self.cancel.clicked.connect(self._cancel)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setMaximumHeight(8)
        # never "busy": where the canvas is drawn by software, that animation takes a whole core
        self._bar.setRange(0, _STEPS)
        self._bar.setMinimumWidth(24)  # the words beside it need the room
        self._left = QLabel()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        self._lay_out()
        self._show_working(False)
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._show_time)
        self._patience = QTimer(self)  # what takes no time should not flicker
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self._show_if_working)

    # -- what panels do ---------------------------------------------------------------

    def follow(self, work: Work, then: Then | None = None) -> None:
        """Show this work until it is over, and ``then`` use its result if it came to its end."""
        self._work, self._then = work, then
        self._pace = Pace()
        self._bar.setValue(0)
        self._left.setText("")
        self.say("")
        self.cancel.setText("Cancel")
        self.button.setEnabled(False)
        work.came.connect(self._hear)
        self._patience.start(_MS_BEFORE_BAR)
        self._clock.start(_MS_BETWEEN_TIMES)

    def say(self, words: str, trouble: bool = False) -> None:
        """Show one line of words; ``trouble`` draws it as a warning."""
        self.said = words
        self.status.setText(breakable(words))
        self.status.setToolTip(words)
        self.status.setProperty("trouble", trouble)
        draw_trouble(self.status, trouble)

    def set_ready(self, why_not: str = "") -> None:
        """Let the primary button be clicked, or say in its tooltip why it cannot be."""
        self._why_not = why_not
        self._settle_button()

    @property
    def working(self) -> bool:
        """Whether work is followed that is not over."""
        return self._work is not None

    # -- inside -------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._progress = QWidget()
        row = QHBoxLayout(self._progress)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar, 1)
        row.addWidget(self._left)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self._progress, self.status):
            layout.addWidget(widget)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._pace = self._pace.at(event)
            self._draw_bar(event)
            self._show_time()
        elif isinstance(event, Started):
            self.say(event.title)
        elif isinstance(event, Log):
            self.say(event.message, trouble=event.level == "warning")
        elif isinstance(event, Finished | Failed):
            self._end(event)

    def _draw_bar(self, event: Progress) -> None:
        share = min(event.done / event.total, 1) if event.total else 0
        self._bar.setValue(round(_STEPS * share))

    def _show_time(self) -> None:
        self._left.setText(self._pace.in_words())

    def _end(self, event: Finished | Failed) -> None:
        self._clock.stop()
        then, self._then = self._then, None
        self._work = None
        self._show_working(False)
        self._settle_button()
        if isinstance(event, Failed):
            self.say(event.message, trouble=True)
        else:
            self.say("Cancelled" if event.stopped else "Done")
            if then is not None and not event.stopped:
                then(event.result)
        self.ended.emit(event)

    def _cancel(self) -> None:
        if self._work is not None:
            self.say("Stopping after this step")
            self.cancel.setText("End now")
            self._work.stop()

    def _show_if_working(self) -> None:
        self._show_working(self.working)

    def _show_working(self, working: bool) -> None:
        self._progress.setVisible(working)

    def _settle_button(self) -> None:
        set_ready(self.button, self._why_not, self._tooltip)
        if self.working:
            self.button.setEnabled(False)


class Pace:
    """How fast work goes, from its progress, and how long it will take yet."""

    def __init__(self) -> None:
        self._newest: Progress | None = None
        self._first = 0.0
        self._began = self._heard = time.monotonic()

    def at(self, event: Progress) -> "Pace":
        """Return the pace after this event; other units, or going back, begin a new one."""
        newest = self._newest
        if newest is None or event.unit != newest.unit or event.done < newest.done:
            fresh = Pace()
            fresh._newest, fresh._first = event, event.done
            return fresh
        self._newest, self._heard = event, time.monotonic()
        return self

    def seconds_left(self) -> float | None:
        """Return the seconds left, None while nothing is known."""
        newest = self._newest
        if newest is None or not newest.total or newest.done <= self._first:
            return None
        each = (self._heard - self._began) / (newest.done - self._first)
        return max(each * (newest.total - newest.done) - (time.monotonic() - self._heard), 0)

    def in_words(self) -> str:
        """Say how far it is and how long it takes yet."""
        newest = self._newest
        if newest is None:
            so_far = time.monotonic() - self._began
            return "" if so_far < 1 else f"{duration(so_far)} so far"
        total = f" of {newest.total:g}" if newest.total else ""
        left = self.seconds_left()
        units = newest.unit if newest.unit.endswith("s") else f"{newest.unit}s"
        return f"{newest.done:g}{total} {units}" + (f", {duration(left)} left" if left else "")
