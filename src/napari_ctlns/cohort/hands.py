"""A cohort on a Dask worker: one scan after the other, what is warm stays warm."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from distributed import Worker, WorkerPlugin, get_worker

from napari_ctlns.cohort.tasks import Answer, Do
from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import ThreadControl


class Hands(WorkerPlugin):
    """What a worker does for a cohort.

    Dask gives it to every worker there is, or comes, or comes back after it was killed.

    Parameters
    ----------
    topic
        Names the cohort; where workers say what they have begun.
    begin
        Makes what does the tasks.
    local
        Whether the worker is this machine's own: Ctrl-C is then for who started it.
    """

    def __init__(self, topic: str, begin: Callable[[], Do], local: bool) -> None:
        self.name = topic
        self._begin = begin
        self._local = local

    def setup(self, worker: Worker) -> None:
        """Be ready on a worker; nothing heavy, it has others to answer."""
        self.control = ThreadControl()
        self._alone = threading.Lock()
        self._do = self._begin()
        self._say: Callable[[Any], None] = lambda words: worker.log_event(self.name, words)
        if self._local and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def work(self, number: int, task: Any) -> Answer:
        """Do a task, alone on this worker however many threads it has."""
        me = f"{socket.gethostname()}:{os.getpid()}"
        with self._alone:
            self._say((number, me))
            start = time.perf_counter()
            try:
                outcome = self._do(task, self.control)
            except Exception as error:  # noqa: BLE001 - one scan's failure stops no other
                return Answer(time.perf_counter() - start, me, problem=_words(error))
            seconds = time.perf_counter() - start
            return Answer(
                seconds,
                me,
                stopped=outcome.stopped,
                warnings=outcome.warnings,
                product=outcome.product,
            )


def do_on_worker(topic: str, number: int, task: Any) -> Answer:
    """Do a task; what Dask calls."""
    return _hands(get_worker(), topic).work(number, task)


def stop_on_worker(topic: str, dask_worker: Worker) -> None:
    """Tell a worker to stop after its step."""
    if topic in dask_worker.plugins:
        _hands(dask_worker, topic).control.stop()


def _hands(worker: Worker, topic: str) -> Hands:
    return cast(Hands, worker.plugins[topic])


def _words(error: Exception) -> str:
    if isinstance(error, CtlnsError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory for this scan; use fewer --workers, or a machine with more"
    kind = type(error).__name__
    return f"unexpected {kind}: {error}; run the command on this scan alone to see more"
