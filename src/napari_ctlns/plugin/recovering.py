"""The work of windows that crashed: looked for, offered, put back, discarded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.current import current_session
from napari_ctlns.plugin.project import restore
from napari_ctlns.plugin.recovery_contents import SavedOther
from napari_ctlns.plugin.recovery_file import Recovered, read_recovery
from napari_ctlns.plugin.recovery_folder import (
    Found,
    discard,
    find_work,
    recovery_root,
    remove,
    take_back,
)
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import PLUGIN
from napari_ctlns.plugin.words import capitalised
from napari_ctlns.plugin.work import ThreadWork, one_step


class Recoveries(QObject):
    """Offers to a window what was kept of others that crashed.

    Attributes
    ----------
    asks
        Something else is `found` or `discarded`, or nothing any more.
    began
        Work is being read again (a `Work`).
    found
        The work that is offered, the newest first.
    discarded
        What a person has just discarded and may want after all.
    """

    asks = Signal()
    began = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._panels = 0
        self._aloud = False
        self.found: list[Found] = []
        self.discarded: Found | None = None
        self.work: ThreadWork | None = None
        session.closed.connect(self._close)

    def look(self, root: Path, aloud: bool = False) -> None:
        """Look in the folder of all windows; ``aloud`` also tells that there is nothing."""
        if self.work is not None:
            return
        self._aloud = aloud
        if root.is_dir():
            self.work = ThreadWork(one_step("Looking", find_work, root), parent=self)
            self.work.came.connect(self._looked)
        else:
            self._show([])

    def show_in(self, panel: QObject) -> None:
        """Leave the offers to a panel as long as there is one."""
        self._panels += 1
        panel.destroyed.connect(self._panel_went)

    def recover(self) -> None:
        """Open the newest work that is offered."""
        if self.work is None and self.found:
            first = self.found[0]
            job = one_step(f"Recovering {first.words}", read_recovery, first.folder)
            self.work = ThreadWork(job, parent=self)
            self.work.came.connect(self._recovered)
            self.began.emit(self.work)

    def discard(self) -> None:
        """Do without the newest work that is offered."""
        if self.work is None and self.found:
            self.discarded = self.found.pop(0)
            discard(self.discarded)
            self.asks.emit()

    def take_back(self) -> None:
        """Offer again what was discarded last."""
        if self.discarded is not None:
            take_back(self.discarded)
            self.found.insert(0, self.discarded)
            self.discarded = None
            self.asks.emit()

    def remove_discarded(self) -> None:
        """Remove for good what was discarded last."""
        if self.discarded is not None:
            remove(self.discarded.folder, self.discarded.lock)
            self.discarded = None
            self.asks.emit()

    def later(self) -> None:
        """Leave all of it to the next window."""
        if self.work is None:
            self._let_go()
            self.asks.emit()

    # -- inside -----------------------------------------------------------------------

    def _panel_went(self) -> None:
        self._panels -= 1

    def _looked(self, event: Event) -> None:
        if isinstance(event, Finished | Failed):
            self._over()
            self._show(event.result["value"] if isinstance(event, Finished) else [])

    def _show(self, found: list[Found]) -> None:
        from napari.utils.notifications import show_info

        self.found += found
        if self.found and not self._panels:
            window = getattr(self._session.viewer, "window", None)
            if window is not None:
                window.add_plugin_dock_widget(PLUGIN, "Scan")
        if self._aloud and not self.found:
            show_info("There is no unsaved work of a napari that crashed.")
        self.asks.emit()

    def _recovered(self, event: Event) -> None:
        from napari.utils.notifications import show_warning

        if not isinstance(event, Finished | Failed):
            return
        self._over()
        first = self.found[0]
        if isinstance(event, Failed):
            self.found[0] = replace(first, trouble=event.message)
        else:
            recovered: Recovered = event.result["value"]
            problems = put_back(self._session, recovered)
            self.found.pop(0)
            # only now: until it is kept anew the old files are all there is of it
            self._session.part(Autosave).when_kept(lambda: remove(first.folder, first.lock))
            for words in problems:
                show_warning(capitalised(words))
        self.asks.emit()

    def _over(self) -> None:
        if self.work is not None:
            self.work.deleteLater()
            self.work = None

    def _let_go(self) -> None:
        for one in self.found:
            one.lock.release()
        self.found = []

    def _close(self) -> None:
        if self.work is not None:
            self.work.came.disconnect()
        self.remove_discarded()
        self._let_go()


def put_back(session: Session, recovered: Recovered) -> tuple[str, ...]:
    """Open recovered work in the viewer of a session; what was unsaved is so again.

    Returns
    -------
    tuple of str
        What was not found or cannot be opened, in words.
    """
    state, project = recovered.state, recovered.project
    there = session.open_scans
    scans = {
        place: scan
        for place, scan in project.scans.items()
        if not any(
            one.scan_id == scan.scan_id and one.geometry.same_grid(scan.geometry) for one in there
        )
    }
    added = restore(session, replace(project, scans=scans))
    for place, table in recovered.tables.items():
        layer = added.get(place)
        if isinstance(layer, Labels):
            fresh = state.tables[place].fresh
            session.put_findings(layer, of.findings_of(layer), table, fresh)
    problems = list(project.warnings)
    for other in state.others:
        try:
            session.viewer.add_layer(_layer_of(other, recovered.arrays[other.array]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{other.name} cannot be opened again: {error}")
    session.not_saved(*(added[place] for place in state.unsaved if place in added))
    if state.active in added:
        session.viewer.layers.selection.active = added[state.active]
    if state.project is not None:
        session.project = next(state.project.candidates(Path()), None)
    return tuple(problems)


def _layer_of(other: SavedOther, array: Any) -> Layer:
    look = other.model_dump(exclude={"kind", "array"})
    if other.kind == "points":
        return Layer.create(array[:, :-1], {**look, "size": array[:, -1]}, "points")
    return Layer.create(array, look, "labels")


def offer_recovery() -> None:
    """Offer the work of windows that crashed in the one in front: a command of the manifest."""
    session = current_session()
    if session is not None:
        session.part(Recoveries).look(recovery_root(), aloud=True)
