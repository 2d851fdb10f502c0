"""What comes before a training, one thing after the other, and its start."""

import contextlib
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, Started, ThreadControl
from napari_ctlns.jobs import control_run, start_training
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.training import LayerData, Plan, pair_up, write_copies
from napari_ctlns.plugin.work import ThreadWork, Work, one_step


class TrainingStart(Work):
    """Writes open layers to files, prepares the dataset, and starts the detached run.

    It belongs to the session, so that a panel may come and go meanwhile. Its end
    is told first; then the session gets to know of the run.
    """

    def __init__(self, plan: Plan, session: Session) -> None:
        super().__init__(session)
        self._plan = plan
        self._now: Work | None = None
        self._writing: ThreadWork | None = None
        self._starting: ThreadWork | None = None
        self._steps: list[Callable[[], Work]] = []
        if plan.copies is not None:
            self._steps.append(self._write)
        if plan.prepare is not None:
            self._steps.append(partial(session.child.start, "prepare", plan.prepare))
        self._steps.append(self._start)
        session.closed.connect(self._leave)

    def begin(self) -> None:
        """Do the first thing; called when whoever listens is ready."""
        self.say(Started(title="Starting"))
        self._next()

    def pause(self) -> None:
        """Let it wait before its next step."""
        if self._now is not None:
            self._now.pause()

    def go(self) -> None:
        """Let it go on after a pause."""
        if self._now is not None:
            self._now.go()

    def stop(self) -> None:
        """End it before the training has begun; asked again, the child is ended at once."""
        if self._now is not None:
            self._now.stop()

    def _write(self) -> Work:
        assert self._plan.copies is not None
        control = ThreadControl()
        self._writing = ThreadWork(write_copies(self._plan.copies, control), control, self)
        return self._writing

    def _start(self) -> Work:
        job = one_step("Start the training", start_training, self._plan.train)
        self._starting = ThreadWork(job, parent=self)
        return self._starting

    def _next(self) -> None:
        self._now = self._steps.pop(0)()
        self._now.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if self.over:
            return
        if isinstance(event, Failed):
            self._end(event)
        elif not isinstance(event, Finished):
            self.say(event)
        elif self._steps and event.stopped:
            self._end(event)
        elif event.result.get("nodules") == 0:
            scans = event.result.get("scans")
            self._end(Failed(message=f"none of {scans} scans has a nodule; annotate some first"))
        elif self._steps:
            self._next()
        else:
            self._end(Finished(result={"run": str(self._plan.train.out)}))
            session: Session = self.parent()
            session.started_training(self._plan.train.out)

    def _end(self, event: Finished | Failed) -> None:
        if self._plan.copies is not None:  # the dataset holds all of it, or it is of no use
            args = (self._plan.copies.folder, self._writing)
            threading.Thread(target=_remove_copies, args=args).start()
        self.say(event)
        self.deleteLater()

    def _leave(self) -> None:
        """End with the window; nobody was asked whether to keep a training that just starts."""
        if self.over:
            return
        self.stop()
        if self._starting is not None:
            args = (self._plan.train.out, self._starting)
            threading.Thread(target=_stop_training, args=args).start()
        if not self.over:
            self._end(Finished(stopped=True))


def _stop_training(run: Path, starting: ThreadWork) -> None:
    starting.join()
    with contextlib.suppress(CtlnsError):  # it was not started, or has ended
        control_run(run, "stop")


def _remove_copies(folder: Path, writing: ThreadWork | None) -> None:
    if writing is not None:
        writing.join()  # it ends the file that it is at
    shutil.rmtree(folder, ignore_errors=True)


def open_layers(session: Session) -> LayerData:
    """Return every open scan with its mask: of several the one worked on, else the topmost."""
    scans = [of.scan_of(layer) for layer in session.layers_for("scan")]
    masks = session.layers_for("mask")
    masks.sort(key=lambda layer: layer is session.mask)
    return pair_up(
        [scan for scan in scans if scan is not None],
        [of.mask_of(layer, session.volume_under(layer)) for layer in reversed(masks)],
    )
