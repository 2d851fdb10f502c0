"""Opens files in the viewer of a session: one reading after the other, beside the window.

Everything that a person opens comes by here, from the panels and from napari's own
drops and menus. What napari hands over file by file is gathered first, so that files
that were dropped together are read together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.activity import show_in_activity_dock
from napari_ctlns.plugin.coming import Coming, ComingLayer, show_whole
from napari_ctlns.plugin.current import session_of_person
from napari_ctlns.plugin.file_kinds import Kind
from napari_ctlns.plugin.opened import Opened
from napari_ctlns.plugin.opening import reading, reading_series
from napari_ctlns.plugin.project import restore
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import PLUGIN, read_settings
from napari_ctlns.plugin.warming import Warming
from napari_ctlns.plugin.words import capitalised
from napari_ctlns.plugin.work import ThreadWork

if TYPE_CHECKING:
    from napari_ctlns.formats import ScanFile


_MS_BETWEEN_LOOKS = 10


@dataclass
class _Request:
    """What is to be read next.

    ``aloud`` if napari's own drop or menu asks: it hands over files one by one, and is to
    tell how it ended.
    """

    paths: list[Path] = field(default_factory=list)
    kind: Kind | None = None
    scan: "ScanFile | None" = None
    aloud: bool = False
    leave_out: bool = False

    def joins(self, other: "_Request") -> bool:
        """Whether two requests can be one."""
        alike = (self.kind, self.leave_out) == (other.kind, other.leave_out)
        return self.scan is None is other.scan and alike


@dataclass(frozen=True)
class Outcome:
    """How a reading ended: what was opened, and what is wrong, in words."""

    words: str = ""
    problems: tuple[str, ...] = ()

    @property
    def sentences(self) -> str:
        """All of it."""
        return ". ".join(capitalised(one) for one in (self.words, *self.problems) if one)


class Opener(QObject):
    """Reads files and shows what they hold.

    Attributes
    ----------
    began
        A reading has begun (its `Work`).
    asks
        There are other `choices` or `bad_tables`, or none any more.
    work
        The reading that goes on.
    outcome
        How the last one ended.
    choices
        The scans of a folder of which one is to be chosen.
    warming
        Prepares for the first reading when a person is about to ask for it.
    bad_tables
        Tables of which some rows cannot be used, and what is wrong, line by line.
    """

    began = Signal(object)
    asks = Signal()
    _comes = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._asked: list[_Request] = []
        self._now = _Request()
        self._control = ThreadControl()
        self._told: SimpleQueue[Coming] = SimpleQueue()
        self._coming: dict[Coming, ComingLayer] = {}
        self._panels = 0
        self._tried: set[str] = set()
        self.work: ThreadWork | None = None
        self.outcome = Outcome()
        self.choices: list[ScanFile] = []
        self.bad_tables: dict[Path, tuple[str, ...]] = {}
        self._gathering = QTimer(self)  # until napari has handed over all files of a drop
        self._gathering.setSingleShot(True)
        self._gathering.timeout.connect(self._begin)
        self._comes.connect(self._show_what_comes, Qt.ConnectionType.QueuedConnection)
        session.scan_changed.connect(self._scan_changed)
        session.closed.connect(self._close)
        self.warming = Warming(self)
        window = getattr(session.viewer, "window", None)
        if window is not None:
            self.warming.watch(window._qt_viewer)  # noqa: SLF001 - which takes napari's drops

    # -- what panels and readers do -----------------------------------------------------

    def open(self, paths: Sequence[Path], kind: Kind | None = None, aloud: bool = False) -> None:
        """Open files and folders, all of one ``kind`` or each as what it is."""
        being_read = self._now.paths if self.work is not None else []
        new = [path for path in paths if path not in being_read]
        if new:
            self._ask(_Request(new, kind, aloud=aloud))

    def open_scan(self, scan: "ScanFile") -> None:
        """Open one of the `choices`."""
        self.put_choices_away()
        self._ask(_Request(scan=scan))

    def put_choices_away(self) -> None:
        """Choose none."""
        self._ask_back([], self.bad_tables)

    def leave_bad_rows_out(self) -> None:
        """Open the other rows of the `bad_tables`."""
        tables = list(self.bad_tables)
        self.put_bad_tables_away()
        self._ask(_Request(tables, leave_out=True))

    def put_bad_tables_away(self) -> None:
        """Open none of them."""
        self._ask_back(self.choices, {})

    def show_in(self, panel: QObject) -> None:
        """Leave choices, and telling how a reading goes, to a panel as long as there is one."""
        self._panels += 1
        panel.destroyed.connect(self._panel_went)

    def _panel_went(self) -> None:
        self._panels -= 1

    # -- reading --------------------------------------------------------------------------

    def _ask(self, request: _Request) -> None:
        if self._asked and self._asked[-1].joins(request):
            last = self._asked[-1]
            last.paths = list(dict.fromkeys([*last.paths, *request.paths]))
            last.aloud |= request.aloud
        else:
            self._asked.append(request)
        if request.aloud:
            self._gathering.start(0)
        else:
            self._begin()

    def _begin(self) -> None:
        if self.work is not None or not self._asked:
            return
        if self._asked[0].aloud and session_of_person() is not None:
            self._gathering.start(_MS_BETWEEN_LOOKS)  # napari is still at it, or asks which reader
            return
        request = self._now = self._asked.pop(0)
        session, window = self._session, read_settings().window
        self._control = ThreadControl()
        self._tried = {volume.scan_id for volume in session.open_scans}
        also = (window, self._control, tuple(session.waiting), self._it_comes)
        if request.scan is not None:
            job = reading_series(request.scan, session.open_scans, *also)
        else:
            paths, kind = request.paths, request.kind
            job = reading(paths, session.open_scans, kind, *also, request.leave_out)
        self.work = ThreadWork(job, self._control, self)
        self.work.came.connect(self._hear)
        if request.aloud and not self._panels:
            show_in_activity_dock(self.work, session.viewer)
        self.began.emit(self.work)

    def _it_comes(self, coming: Coming) -> None:
        """Take what the reading thread tells, in that thread."""
        self._told.put(coming)
        self._comes.emit()

    def _show_what_comes(self) -> None:
        while not self._told.empty():
            coming = self._told.get()
            self._coming[coming] = ComingLayer(self._session, coming)

    def _hear(self, event: Event) -> None:
        self._show_what_comes()
        for layer in self._coming.values():
            layer.look()
            if not layer.is_there:
                self._control.stop()
        if isinstance(event, Finished | Failed):
            self._end(event)

    def _end(self, event: Finished | Failed) -> None:
        if self.work is not None:
            self.work.deleteLater()  # it holds what it read
            self.work = None
        if isinstance(event, Failed):
            self.outcome = Outcome(problems=(event.message,))
        elif event.stopped:
            self.outcome = Outcome("cancelled")
        else:
            self._show(event.result["value"])
        for layer in self._coming.values():
            layer.give_up()
        self._coming.clear()
        if self._now.aloud:
            self._tell_napari(failed=isinstance(event, Failed))
        self._gathering.start(0)

    def _show(self, opened: Opened) -> None:
        session = self._session
        self._tried |= {volume.scan_id for volume in opened.scans}
        session.waiting = [*opened.still_waiting, *opened.waiting]
        problems = list(opened.problems)
        gone = [coming for coming, layer in self._coming.items() if not layer.is_there]
        opened.leave_out(volume for volume, coming in opened.coming.items() if coming in gone)
        try:
            show(session, opened, self._coming)
        except CtlnsError as error:
            problems.append(str(error))
        self.outcome = Outcome(opened.in_words() or "cancelled" * bool(gone), tuple(problems))
        self._ask_back(opened.choices, opened.bad_tables)

    def _scan_changed(self) -> None:
        """Place tables that wait when a scan came some other way, with a project for example."""
        there = {volume.scan_id for volume in self._session.open_scans}
        if self._session.waiting and not there <= self._tried:
            self._ask(_Request(aloud=True))

    # -- what a person is told --------------------------------------------------------------

    def _ask_back(self, choices: "list[ScanFile]", bad_tables: dict[Path, tuple[str, ...]]) -> None:
        self.choices, self.bad_tables = choices, bad_tables
        if (choices or bad_tables) and not self._panels:
            window = getattr(self._session.viewer, "window", None)
            if window is not None:
                window.add_plugin_dock_widget(PLUGIN, "Scan")
        self.asks.emit()

    def _tell_napari(self, failed: bool) -> None:
        from napari.utils.notifications import show_error, show_info, show_warning

        if failed:
            show_error(capitalised(self.outcome.problems[0]))
            return
        for words in self.outcome.problems:
            show_warning(capitalised(words))
        if not self._panels and self.outcome.words:
            show_info(self.outcome.words)

    def _close(self) -> None:
        """End what goes on: nobody sees it any more."""
        self._asked.clear()
        self._gathering.stop()
        self._control.stop()
        self._comes.disconnect(self._show_what_comes)
        if self.work is not None:
            self.work.came.disconnect(self._hear)


def show(
    session: Session, opened: Opened, coming: Mapping[Coming, ComingLayer] | None = None
) -> None:
    """Add what was read as layers; a scan that is shown already takes over its layer."""
    shown_as = {v: coming[c] for v, c in opened.coming.items() if coming and c in coming}
    for project in opened.projects:
        restore(session, project)
    for data in opened.layers:
        volume = getattr(data[1]["metadata"][of.KEY], "volume", None)
        shown = None if volume is None else shown_as.get(volume)
        if shown is not None:
            shown.finish(data)
            continue
        layer = session.add(data)
        session.saved(layer)  # its file has it
        if volume is not None:
            show_whole(session, layer)
    if opened.scans:  # after the first slice: drawing its words takes as long as that
        session.viewer.canvas.overlays.scale_bar.visible = True
    for layer in session.layers_for("scan"):
        if of.scan_of(layer) in opened.again:
            session.choose(layer)


def opener_of(session: Session) -> Opener:
    """Return the opener of a session; the first call makes it."""
    return session.part(Opener)
