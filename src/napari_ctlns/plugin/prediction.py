"""One prediction, from an open scan to an editable labels layer."""

from collections.abc import Callable
from typing import Any

from napari.layers import Labels

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, Log, Progress, Started
from napari_ctlns.plugin.maps import map_tuple
from napari_ctlns.plugin.predicting import (
    Choice,
    Found,
    TemporaryFolder,
    prepare_files,
    read_files,
)
from napari_ctlns.plugin.project_contents import MapKind
from napari_ctlns.plugin.refinement import refinement_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.work import ThreadWork, Work, one_step
from napari_ctlns.specs import PredictSpec
from napari_ctlns.volume import Volume

Then = Callable[[Any], None]


class Prediction(Work):
    """Files in a thread, the network in the child, results in a thread, then a layer.

    It belongs to the session: the panel that started it may be closed. Its
    `Finished` has ``nodules`` (how many), ``layer``, ``engine``,
    ``engine_reason`` (why that one), and ``warnings``.
    Stopped or failed, it leaves neither a layer nor a file.

    Parameters
    ----------
    session
        Gets the layers, findings and table.
    volume
        The scan.
    choice
        What the person chose.
    name
        What looks; the layers are called after it.

    Raises
    ------
    OutputError
        If there is no room for temporary files.
    """

    def __init__(self, session: Session, volume: Volume, choice: Choice, name: str) -> None:
        super().__init__(session)
        self._session = session
        self._volume = volume
        self._choice = choice
        self._engine = self._engine_reason = ""
        self._name = name
        self._folder = TemporaryFolder()
        self._warnings: list[str] = []
        self._stopping = self._announced = False
        session.closed.connect(self._leave)
        self._step: Work
        self._then: Then
        files = one_step("Prepare", prepare_files, volume, choice, self._folder.path)
        self._follow(ThreadWork(files), self._ask_child)

    def stop(self) -> None:
        """Let it end after its current step; asked again, the child is killed."""
        self._stopping = True
        self._step.stop()

    def say(self, event: Event) -> None:
        """Tell of an event; after the last one nothing is left of this but what it tells."""
        super().say(event)
        if self.over:
            self._folder.remove()
            self.setParent(None)

    # -- the steps ----------------------------------------------------------------

    def _follow(self, work: Work, then: Then) -> None:
        self._step, self._then = work, then
        work.came.connect(self._hear)

    def _ask_child(self, result: dict[str, Any]) -> None:
        self._spec: PredictSpec = result["value"]
        self._follow(self._session.child.start("predict", self._spec), self._read)

    def _read(self, result: dict[str, Any]) -> None:
        self._engine = result.get("engine", "")
        self._engine_reason = result.get("engine_reason", "")
        self.say(Log(message="Read the result"))
        files = one_step("Read", read_files, self._spec, self._volume, self._choice)
        self._follow(ThreadWork(files), self._show)

    def _show(self, result: dict[str, Any]) -> None:
        found: Found = result["value"]
        layer = show_found(self._session, found, self._name)
        told = {
            "nodules": len(found.table),
            "layer": layer,
            "engine": self._engine,
            "engine_reason": self._engine_reason,
            "warnings": self._warnings,
        }
        self.say(Finished(result=told))

    # -- what the steps tell --------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if self.over:
            return
        if isinstance(event, Failed):
            self.say(event)
        elif isinstance(event, Finished):
            self._go_on(event)
        elif isinstance(event, Progress):
            self.say(event)
        elif isinstance(event, Log):
            self._note(event)
            self.say(event)
        elif isinstance(event, Started) and not self._announced:
            self._announced = True
            self.say(Started(title="Find nodules"))

    def _note(self, event: Log) -> None:
        """Keep the warnings that are news: those of the scan were told when it was opened."""
        if event.level == "warning" and event.message not in self._volume.source.warnings:
            self._warnings.append(event.message)

    def _go_on(self, event: Finished) -> None:
        if event.stopped or self._stopping:
            self.say(Finished(stopped=True))
            return
        try:
            self._then(event.result)
        except CtlnsError as error:
            self.say(Failed(message=str(error)))

    def _leave(self) -> None:
        self.say(Finished(stopped=True))


def show_found(session: Session, found: Found, name: str) -> Labels:
    """Add what a prediction found as layers called after what looked; return the mask's."""
    maps: dict[MapKind, Volume | None] = {
        "uncertainty": found.uncertainty,
        "probability": found.known.probability,
    }
    for kind, volume in maps.items():
        if volume is not None:
            session.add(map_tuple(volume, kind, f"{kind}, {name}"))
    layer = session.add_mask(found.mask, f"nodules, {name}", found.findings)
    session.keep_table(layer, found.table)
    refinement_of(session).begin(layer, found.known)
    return layer
