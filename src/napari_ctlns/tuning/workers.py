"""Processes of this machine that work on the same search.

Each is a child as `napari_ctlns.jobs.child` has it: asked by a line on its
standard input to tune, alone, in the same folder; when that input closes, even
because this process was killed, it ends after its step.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO

from napari_ctlns.events import Failed, Finished, event_from_json
from napari_ctlns.specs import TuneSpec

_SECONDS_TO_END = 15.0


class Workers:
    """The other processes; empty unless more than one is wanted."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []

    def add(self, worker: "_Worker") -> None:
        """Count another process in."""
        self._workers.append(worker)

    def busy(self) -> bool:
        """Whether one of them still works."""
        return any(worker.busy() for worker in self._workers)

    def problems(self) -> list[str]:
        """Return what went wrong with them, in words."""
        return [worker.problem for worker in self._workers if worker.problem]

    def end(self) -> None:
        """Let them end after their step, and wait for it."""
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.wait()


@contextlib.contextmanager
def started_workers(spec: TuneSpec) -> Iterator[Workers]:
    """Start the workers beside this one; they end with the context."""
    workers = Workers()
    if spec.workers > 1:
        _share_processors(spec.workers)
    try:
        for number in range(1, spec.workers):
            workers.add(_Worker(spec, number))
        yield workers
    finally:
        workers.end()


class _Worker:
    """A child that tunes."""

    def __init__(self, spec: TuneSpec, number: int) -> None:
        self.problem = ""
        self._over = threading.Event()
        self._log = spec.out / f"worker-{number + 1}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_ctlns.jobs.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=worker_environment(os.environ, number, spec.workers, _devices(spec)),
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        alone = spec.model_copy(update={"workers": 1})
        request = {"id": number, "job": "tune", "spec": alone.model_dump(mode="json")}
        with contextlib.suppress(OSError):  # it died already: busy() says so
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        self._listener = threading.Thread(
            target=self._listen, args=(self._process.stdout,), daemon=True
        )
        self._listener.start()

    def busy(self) -> bool:
        """Whether it still works."""
        return not self._over.is_set()

    def close(self) -> None:
        """Tell it to end after its step."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait for its end, which is not far."""
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        with contextlib.suppress(OSError):  # what a process said nothing to is no log
            if not self._log.stat().st_size:
                self._log.unlink()

    def _listen(self, answers: IO[bytes]) -> None:
        """Read to the end, so that the child never waits for its reader."""
        self.problem = f"a worker died; see {self._log}"
        with answers:
            for line in answers:
                event = event_from_json(line)
                if isinstance(event, Finished):
                    self.problem = ""
                elif isinstance(event, Failed):
                    self.problem = f"a worker failed: {event.message}"
                if isinstance(event, Finished | Failed):
                    self._over.set()
        self._over.set()


def worker_environment(
    environment: Mapping[str, str], number: int, workers: int, devices: int
) -> dict[str, str]:
    """Return what a worker sees of the machine: its share of processors, one CUDA device.

    Parameters
    ----------
    environment
        What this process sees.
    number, workers
        Which worker of how many; this process is 0.
    devices
        CUDA devices that this process sees.
    """
    own = dict(environment)
    own.setdefault("OMP_NUM_THREADS", str(_share(workers)))
    if devices > 1:
        visible = own.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(devices)))
        names = visible.split(",")
        own["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]
    return own


def _share(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // workers)


def _share_processors(workers: int) -> None:
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), _share(workers)))


def _devices(spec: TuneSpec) -> int:
    import torch

    return torch.cuda.device_count() if spec.device in ("auto", "cuda") else 0
