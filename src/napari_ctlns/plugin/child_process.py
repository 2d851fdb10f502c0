"""The child process as the window sees it: jobs go in, their events come out as signals."""

import json
import sys
from itertools import count
from pathlib import Path

from pydantic import BaseModel, ValidationError
from qtpy.QtCore import QObject, QProcess, QProcessEnvironment

from napari_ctlns.events import Failed, event_from_json
from napari_ctlns.jobs.control_file import Verb
from napari_ctlns.plugin.work import Work

_MS_TO_END = 2000
_LAST_WORDS = 4000


class ChildWork(Work):
    """One job that the child does."""

    def __init__(self, child: "ChildProcess", number: int) -> None:
        super().__init__(child)
        self._child = child
        self._number = number
        self._stopping = False

    def pause(self) -> None:
        """Let the job wait before its next step."""
        self._child.tell(self._number, "pause")

    def go(self) -> None:
        """Let a paused job go on."""
        self._child.tell(self._number, "go")

    def stop(self) -> None:
        """Let the job end after its current step; asked again, the child is killed."""
        if self._stopping:
            self._child.kill()
            return
        self._stopping = True
        self._child.tell(self._number, "stop")


class ChildProcess(QObject):
    """Holds one warm ``python -m napari_ctlns.jobs.child``, started when first needed.

    It ends when this object goes, or this process, however that happens: the
    child's standard input closes then.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = count(1)
        self._works: dict[int, ChildWork] = {}
        self._rest = b""
        self._errors = b""
        self._process = QProcess(self)
        self._process.setProcessEnvironment(QProcessEnvironment.systemEnvironment())
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._broke)

    def start(self, job: str, spec: BaseModel) -> ChildWork:
        """Ask for a job by its name in `jobs.registry.JOBS`; jobs are done one after the other."""
        if self._process.state() == QProcess.ProcessState.NotRunning:
            self._rest = self._errors = b""
            # -P: a file in the working directory must not stand in for a module of that name
            self._process.start(sys.executable, ["-P", "-m", "napari_ctlns.jobs.child"])
        number = next(self._numbers)
        work = self._works[number] = ChildWork(self, number)
        self._send({"id": number, "job": job, "spec": spec.model_dump(mode="json")})
        return work

    def tell(self, number: int, verb: Verb) -> None:
        """Pass a verb on to a job."""
        self._send({"id": number, "control": verb})

    def kill(self) -> None:
        """End the child at once; the jobs it had fail, and the next one starts a new child."""
        self._process.kill()

    def close(self) -> None:
        """Let the child end, and wait for it a moment; kill it if it does not."""
        for work in tuple(self._works.values()):
            work.over = True  # nobody is there any more to be told
        if self._process.state() == QProcess.ProcessState.NotRunning:
            return
        self._process.closeWriteChannel()
        self._process.terminate()
        if not self._process.waitForFinished(_MS_TO_END):
            self._process.kill()
            self._process.waitForFinished(_MS_TO_END)

    def _send(self, message: dict[str, object]) -> None:
        self._process.write(json.dumps(message).encode() + b"\n")

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
        work.say(event)
        if work.over:
            del self._works[number]

    def _read_errors(self) -> None:
        fresh = bytes(self._process.readAllStandardError().data())
        self._errors = (self._errors + fresh)[-_LAST_WORDS:]

    def _ended(self) -> None:
        self._read()
        self._fail("the process that does the work ended; start it again")

    def _broke(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._fail(f"cannot start {Path(sys.executable).name}; reinstall napari-ctlns")

    def _fail(self, words: str) -> None:
        works, self._works = self._works, {}
        detail = self._errors.decode("utf-8", errors="replace")
        for work in works.values():
            work.say(Failed(message=words, detail=detail))
