"""Tasks on Dask: given out, done again where a worker died, stopped when asked."""

import contextlib
import itertools
import queue
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from napari_ctlns.cohort.hands import Hands, do_on_worker, stop_on_worker
from napari_ctlns.cohort.pool import Pool
from napari_ctlns.cohort.tasks import Answer, Kind
from napari_ctlns.errors import RunError
from napari_ctlns.events import Control

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_STOP = 60.0
_SECONDS_BETWEEN_COUNTS = 60.0
_MOST_STARTS = 3
_LOST = "the scheduler is gone; run the same command to go on"


@dataclass(frozen=True)
class Began:
    """A worker has begun a task; ``again``: another one had it before."""

    number: int
    worker: str
    again: bool


@dataclass(frozen=True)
class Ended:
    """A task has ended, well or not."""

    number: int
    answer: Answer


class TasksOnDask:
    """The tasks of a cohort.

    Parameters
    ----------
    pool
        Who does them.
    kind
        What is done.
    tasks
        What the workers are given, by number.
    """

    def __init__(self, pool: Pool, kind: Kind, tasks: Sequence[Any]) -> None:
        self._client: Client = pool.client
        self._tasks = tasks
        # One each on this machine, so that a pause holds, and no scan waits with a worker
        # that dies; a cluster grows by what waits.
        self._local = pool.local > 0
        self._at_once = pool.local or len(tasks)
        self._seen = time.monotonic()
        self._there = True
        self._topic = f"ctlns-cohort-{uuid.uuid4().hex[:12]}"
        self._news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._flying: dict[int, Future[Answer]] = {}
        self._workers: dict[int, list[str]] = {}
        """Who began each task."""
        self._killed: Counter[int] = Counter()
        self._hands = Hands(self._topic, kind.beginner(), self._local)

    def run(self, control: Control) -> Iterator[Began | Ended | None]:
        """Do the tasks; yield what is new, and None now and then.

        When told to stop, tasks that nobody has begun are forgotten, and the others asked
        to end early.

        Raises
        ------
        RunError
            If the workers lack this package, or the scheduler is gone.
        """
        self._register()
        try:
            waiting = iter(range(len(self._tasks)))
            while True:
                control.wait_while_paused()
                if control.stop_requested():
                    yield from self._stop()
                    return
                for number in itertools.islice(waiting, self._at_once - len(self._flying)):
                    self._submit(number)
                if not self._flying:
                    return
                yield self._look()
        finally:
            self._unregister()

    def _register(self) -> None:
        self._client.subscribe_topic(self._topic, self._hear)
        try:
            self._client.register_plugin(self._hands, name=self._topic)
        except (ImportError, AttributeError) as error:
            raise RunError(
                f"a worker cannot work for cohorts ({error}); install the same napari-ctlns there"
            ) from error

    def _unregister(self) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone, and the hands with it
            self._client.cancel(list(self._flying.values()), force=True)
            self._client.unsubscribe_topic(self._topic)
            self._client.unregister_worker_plugin(self._topic)

    def _hear(self, event: tuple[float, Any]) -> None:
        self._news.put(("began", event[1]))

    def _submit(self, number: int) -> None:
        future = self._client.submit(
            do_on_worker,
            self._topic,
            number,
            self._tasks[number],
            key=(self._topic, uuid.uuid4().hex),
            pure=False,
        )
        self._flying[number] = future
        future.add_done_callback(partial(self._ended, number))

    def _ended(self, number: int, future: Future[Answer]) -> None:
        """Put what a task gave among the news; called in a thread of Dask."""
        try:
            answer: Any = future.result()
        except BaseException as error:  # noqa: BLE001 - told to the thread that asked
            answer = error
        self._news.put(("ended", (number, future, answer)))

    def _look(self) -> Began | Ended | None:
        """Return the next news, if any came."""
        try:
            what, news = self._news.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            self._refuse_if_lost()
            return None
        self._seen = time.monotonic()
        return self._began(*news) if what == "began" else self._finished(*news)

    def _refuse_if_lost(self) -> None:
        """Wait for nobody who will not come: a cluster may get workers later, this machine not."""
        if self._client.status not in ("running", "connecting"):
            raise RunError(_LOST)
        waited = time.monotonic() - self._seen
        if not self._local or waited < _SECONDS_BETWEEN_COUNTS:
            return
        there = bool(self._client.nthreads())
        if not there and not self._there:
            raise RunError(
                "the workers died and cannot be started again; run the same command to go on"
            )
        self._there, self._seen = there, time.monotonic()

    def _began(self, number: int, worker: str) -> Began | None:
        if number not in self._flying:
            return None
        before = self._workers.setdefault(number, [])
        before.append(worker)
        return Began(number, worker, again=len(before) > 1)

    def _finished(self, number: int, future: Future[Answer], answer: Any) -> Ended | None:
        if self._flying.get(number) is not future:
            return None
        workers = self._workers.get(number, [])
        if isinstance(answer, KilledWorker):
            self._killed[number] += 1
            # a worker that dies at once may not have told that it began
            if max(len(workers), self._killed[number]) < _MOST_STARTS:
                self._submit(number)  # it may only have waited beside one that kills
                return None
        del self._flying[number]
        if isinstance(answer, Answer):
            return Ended(number, answer)
        if isinstance(answer, FutureCancelledError):
            raise RunError(_LOST) from answer
        last = workers[-1] if workers else ""
        if isinstance(answer, KilledWorker):
            problem = (
                f"its worker died, {_MOST_STARTS} times or more; it may take more memory than "
                "there is: use fewer --workers, or a machine with more"
            )
        else:
            problem = f"unexpected {type(answer).__name__} on the cluster: {answer}"
        return Ended(number, Answer(0.0, last, problem=problem))

    def _stop(self) -> Iterator[Began | Ended | None]:
        for number in [n for n in self._flying if n not in self._workers]:
            self._client.cancel([self._flying.pop(number)], force=True)
        self._client.run(stop_on_worker, self._topic, on_error="ignore")
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while self._flying and time.monotonic() < deadline:
            yield self._look()
