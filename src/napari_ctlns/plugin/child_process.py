"""The child process as the window sees it: jobs go in, their events come out as signals."""

import json
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from pydantic import BaseModel, ValidationError
from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer

from napari_ctlns.events import Event, Failed, Finished, Log, Started, event_from_json
from napari_ctlns.jobs.control_file import Verb
from napari_ctlns.plugin.work import Work

# -P: a file in the working directory must not stand in for a module of that name
COMMAND = (sys.executable, "-P", "-m", "napari_ctlns.jobs.child")
_MS_TO_END = 700
_LAST_WORDS = 4000


class ChildWork(Work):
    """One job that the child does, or will do when those before it are done.

    Attributes
    ----------
    request
        The line that asks the child for it.
    began
        Whether the child has said that it works on it.
    stopping
        Whether it was asked to stop.
    """

    def __init__(self, child: "ChildProcess", number: int, request: bytes) -> None:
        super().__init__()
        self._child = child
        self._number = number
        self.request = request
        self.began = False
        self.stopping = False

    def say(self, event: Event) -> None:
        """Tell of an event; nothing is told after the last one."""
        self.began = self.began or isinstance(event, Started)
        super().say(event)

    def say_it_waits(self) -> None:
        """Tell that other work comes first."""
        if not self.began:
            self.say(Log(message="Waits for work that was started before"))

    def pause(self) -> None:
        """Let the job wait before its next step."""
        self._child.tell(self._number, "pause")

    def go(self) -> None:
        """Let a paused job go on."""
        self._child.tell(self._number, "go")

    def stop(self) -> None:
        """Let the job end after its current step; asked again, the child is killed.

        A job that waits for others ends at once, and theirs goes on.
        """
        if self.over:
            return
        its_turn = self._child.now is self
        if self.stopping and its_turn:
            self._child.kill()
            return
        self.stopping = True
        self._child.tell(self._number, "stop")
        if not its_turn:
            self.say(Finished(stopped=True))


class ChildProcess(QObject):
    """Holds one warm ``python -m napari_ctlns.jobs.child``, started when first needed.

    It ends when this object goes, or this process, however that happens: the
    child's standard input closes then. If the child itself ends, however that
    happens, only the job it worked on fails: those that waited get a new one.

    Parameters
    ----------
    command
        What to run as the child.
    """

    def __init__(self, parent: QObject | None = None, command: Sequence[str] = COMMAND) -> None:
        super().__init__(parent)
        self._command = tuple(command)
        self._numbers = count(1)
        # in the order of their turns; one that ended early stays until the child knows it
        self._works: dict[int, ChildWork] = {}
        self._rest = b""
        self._errors = b""
        self._process = QProcess(self)
        self._process.setProcessEnvironment(QProcessEnvironment.systemEnvironment())
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._broke)

    @property
    def now(self) -> ChildWork | None:
        """The job whose turn it is."""
        return next(iter(self._works.values()), None)

    @property
    def pid(self) -> int:
        """The process id of the child, 0 while there is none."""
        return int(self._process.processId())

    def start(self, job: str, spec: BaseModel) -> ChildWork:
        """Ask for a job by its name in `jobs.registry.JOBS`; jobs are done one after the other."""
        number = next(self._numbers)
        message = {"id": number, "job": job, "spec": spec.model_dump(mode="json")}
        work = ChildWork(self, number, _line(message))
        if self._works:
            QTimer.singleShot(0, work.say_it_waits)
        self._works[number] = work
        if self._process.state() == QProcess.ProcessState.NotRunning:
            self._launch()
        else:
            self._process.write(work.request)
        return work

    def tell(self, number: int, verb: Verb) -> None:
        """Pass a verb on to a job."""
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.write(_line({"id": number, "control": verb}))

    def kill(self) -> None:
        """End the child at once, and with it the job whose turn it is."""
        self._process.kill()

    def close(self) -> None:
        """Let the child end, and wait for it a moment; kill it if it does not.

        Ended at once, it would leave what it just writes half-written.
        """
        works, self._works = self._works, {}
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.closeWriteChannel()  # which stops its job after the current step
            for end in (self._process.terminate, self._process.kill):
                if self._process.waitForFinished(_MS_TO_END):
                    break
                end()
            self._process.waitForFinished(_MS_TO_END)
        for work in works.values():
            work.say(Finished(stopped=True))

    # -- inside -------------------------------------------------------------------

    def _launch(self) -> None:
        """Start a child and ask it for all that waits."""
        self._rest = self._errors = b""
        program, *arguments = self._command
        self._process.start(program, arguments)
        if self._process.state() != QProcess.ProcessState.NotRunning:
            for work in self._works.values():
                self._process.write(work.request)

    def _read(self) -> None:
        *lines, self._rest = (
            self._rest + bytes(self._process.readAllStandardOutput().data())
        ).split(b"\n")
        for line in lines:
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            number = json.loads(line).get("id")
            event = event_from_json(line)
        except (ValueError, AttributeError, ValidationError):
            return  # not of ours: a library printed it
        work = self._works.get(number)
        if work is None:
            return
        if isinstance(event, Finished | Failed):
            del self._works[number]
        work.say(event)

    def _read_errors(self) -> None:
        fresh = bytes(self._process.readAllStandardError().data())
        self._errors = (self._errors + fresh)[-_LAST_WORDS:]

    def _ended(self) -> None:
        self._read()
        self._read_errors()
        works = tuple(self._works.items())
        if not works:
            return
        _, work = works[0]
        # a child that does not even begin would do no better the next time
        lost = works[:1] if work.began or work.stopping else works
        for number, _ in lost:
            del self._works[number]
        self._works = {number: other for number, other in self._works.items() if not other.over}
        if self._works:
            self._launch()
        for _, other in lost:
            other.say(Finished(stopped=True) if other.stopping else self._failed(_DIED))

    def _broke(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            # it may be told within `start`, before anybody can listen to the work
            QTimer.singleShot(0, self._cannot_start)

    def _cannot_start(self) -> None:
        works, self._works = self._works, {}
        name = Path(self._command[0]).name
        for work in works.values():
            work.say(self._failed(f"cannot start {name}; reinstall napari-ctlns"))

    def _failed(self, words: str) -> Failed:
        return Failed(message=words, detail=self._errors.decode("utf-8", errors="replace"))


_DIED = "the process that does the work ended, perhaps for want of memory; start it again"


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
