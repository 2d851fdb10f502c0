"""The workers: processes of this machine, or a Dask cluster that is there already."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, SpecCluster
from distributed.system import MEMORY_LIMIT

from napari_ctlns.errors import RunError
from napari_ctlns.specs import CohortSpec

_BYTES_A_WORKER = 4 * 2**30
"""What the largest scans take, with their probability, and some room."""
_SECONDS_TO_CONNECT = 20
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


_HERE = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""Nobody on other machines is answered."""
_CONFIG = {
    # else workers hand freed memory back at once, which only makes them slower
    "distributed.nanny.pre-spawn-environ": {},
    # else a worker that takes longer than this to start again is given up for good
    "distributed.deploy.lost-worker-timeout": "1 day",
}


@dataclass(frozen=True)
class Pool:
    """Whom to ask.

    Attributes
    ----------
    client
        Connected.
    words
        What the workers are, for people.
    local
        The number of workers of this machine; 0 for a cluster.
    """

    client: Client
    words: str
    local: int = 0


@contextlib.contextmanager
def opened_pool(spec: CohortSpec, scans: int, gpus: int) -> Iterator[Pool]:
    """Start or find the workers; those started end with the context.

    Parameters
    ----------
    scans
        How many there are to work on.
    gpus
        CUDA devices that will be used; a worker for each is enough.

    Raises
    ------
    RunError
        If no scheduler answers.
    """
    if spec.scheduler is not None:
        with contextlib.closing(_connected(spec.scheduler)) as client:
            yield Pool(client, f"works on the cluster at {spec.scheduler}")
        return
    workers = min(scans, spec.workers or gpus or sensible_workers(CPU_COUNT, MEMORY_LIMIT))
    threads = threads_each(CPU_COUNT, workers)
    with (
        _environment(threads),
        SpecCluster(
            scheduler={"cls": Scheduler, "options": _HERE},
            workers={
                number: {
                    "cls": Nanny,
                    "options": {
                        **_HERE,
                        "nthreads": 1,
                        "memory_limit": MEMORY_LIMIT // workers,
                        "silence_logs": logging.CRITICAL,
                        "env": _device_of(number, gpus),
                    },
                }
                for number in range(workers)
            },
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield Pool(client, f"workers: {workers}, threads each: {threads}", workers)


def sensible_workers(cores: int, memory: int) -> int:
    """Return how many workers a machine takes: one a core, if it has 4 GiB for each."""
    return max(1, min(cores, memory // _BYTES_A_WORKER))


def threads_each(cores: int, workers: int) -> int:
    """Return the threads of each worker: its share of the cores, or what was asked for.

    ``OMP_NUM_THREADS`` is how every other program is asked.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) else max(1, cores // workers)


def _device_of(number: int, gpus: int) -> dict[str, str]:
    """Return what shows a worker its own CUDA device, where there are several."""
    if gpus < 2:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
    names = visible.split(",")
    return {"CUDA_VISIBLE_DEVICES": names[number % len(names)]}


def _connected(address: str) -> Client:
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"no scheduler answers at {address}; check the address") from error


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Let the processes that are started meanwhile have so many threads."""
    before = dict(os.environ)
    os.environ.update({name: str(threads) for name in _THREADS})
    try:
        with dask.config.set(_CONFIG):
            yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
