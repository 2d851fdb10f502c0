"""The foot of the Train panel: start, pause, stop, and how far a training is."""

from collections.abc import Callable

from qtpy.QtWidgets import QPushButton, QSizePolicy, QWidget

from napari_ctlns.events import Event, Log, Progress
from napari_ctlns.plugin.views.job_bar import JobBar, Pace, Then
from napari_ctlns.plugin.views.live_text import LiveText
from napari_ctlns.plugin.views.trouble import TroubleLabel
from napari_ctlns.plugin.words import duration, plain_place
from napari_ctlns.plugin.work import Work

_MOST_REMARKS = 2
_PAUSE = "Let it wait before its next step"
_GO_ON = "Let it go on"


class RunBar(JobBar):
    """A `JobBar` that can also pause, keeps warnings in sight and says the place in full.

    Progress is drawn once a second, or when `refresh` asks for it, not when it
    comes: each drawing lets a window with a canvas in it draw as a whole.

    Attributes
    ----------
    place
        Says how far the work is, from its newest progress.
    facts
        Says how fast it goes and what it takes.
    """

    def __init__(self, start: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(start, tooltip, parent)
        self.place: Callable[[Progress], str] = plain_place
        self.facts: Callable[[], str] = str  # nothing
        self._paused = False
        self._newest: Progress | None = None
        self._warnings: list[str] = []
        self.pause = QPushButton("Pause")
        self.pause.setToolTip(_PAUSE)
        self.pause.clicked.connect(self._toggle_pause)
        self.remarks = TroubleLabel()
        self.remarks.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        row, column = self._progress.layout(), self.layout()
        row.insertWidget(row.indexOf(self.cancel), self.pause)
        row.removeWidget(self._left)
        self._left.deleteLater()
        self._left = LiveText(2)
        self._left.setToolTip("How far it is; time left, speed, and memory taken of the device")
        column.insertWidget(column.indexOf(self.status), self._left)
        column.addWidget(self.remarks)
        self._left.hide()

    def follow(self, work: Work, then: Then | None = None) -> None:
        """Show this work until it is over, and ``then`` use its result if it came to its end."""
        self._newest = None
        self._warnings = []
        self._show_warnings()
        super().follow(work, then)
        self.cancel.setText("Stop")
        self.show_state("running")

    def unfollow(self) -> None:
        """Show no work any more; it may go on."""
        if self._work is not None:
            self._work.came.disconnect(self._hear)
        self._work = self._then = None
        self._newest = None
        self._warnings = []
        self._show_warnings()
        self._clock.stop()
        self._show_working(False)
        self._settle_button()
        self.say("")

    def show_state(self, state: str) -> None:
        """Show what the process of a run does, whoever told it to."""
        if self._paused and state == "running":
            self._pace = Pace()  # the pause is no part of it
        self._paused = state == "paused"
        self.pause.setText("Go on" if self._paused else "Pause")
        self.pause.setToolTip(_GO_ON if self._paused else _PAUSE)
        self.pause.setEnabled(state != "stopping")
        if state == "starting":
            self.say("Starting; loading the libraries takes some seconds")
        if state == "stopping":
            self.cancel.setText("End now")
        self._show_time()

    def place_shown(self) -> str:
        """Return how far the work is, as it is shown."""
        return str(self._left.text())

    def refresh(self) -> None:
        """Draw the newest progress now, and not again within a second."""
        if self.working:
            self._clock.start()
            self._show_time()

    # -- inside -------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            first, self._newest = self._newest is None, event
            self._pace = self._pace.at(event)
            if first:
                self._show_time()
        elif isinstance(event, Log) and event.level == "warning":
            self._warnings.append(event.message)
            self._show_warnings()
        else:
            super()._hear(event)

    def _show_time(self) -> None:
        if self._newest is None:
            self._left.setText(self._pace.in_words())
            return
        self._draw_bar(self._newest)
        left = self._pace.seconds_left()
        time = "paused" if self._paused else f"{duration(left)} left" if left else ""
        facts = ", ".join(filter(None, (time, self.facts())))
        self._left.setText("\n".join(filter(None, (self.place(self._newest), facts))))

    def _show_working(self, working: bool) -> None:
        super()._show_working(working)
        self._left.setVisible(working)

    def _show_warnings(self) -> None:
        shown = self._warnings[-_MOST_REMARKS:]
        hidden = len(self._warnings) - len(shown)
        more = [f"and {hidden} more warnings (see the tooltip)"] if hidden else []
        self.remarks.setToolTip("\n".join(self._warnings))
        self.remarks.say("\n".join([*shown, *more]))

    def _toggle_pause(self) -> None:
        if self._work is None:
            return
        if self._paused:
            self._work.go()
        else:
            self._work.pause()
            self.say("Pausing after this step")
        self.show_state("running" if self._paused else "paused")

    def _cancel(self) -> None:
        super()._cancel()
        self.pause.setEnabled(False)
