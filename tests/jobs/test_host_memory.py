"""Memory that is freed and needed again; in a process of its own, where no thread has begun."""

import subprocess
import sys
from pathlib import Path

import pytest

import napari_ctlns

COUNTING = """
import contextlib, resource, sys, threading
import numpy as np
from napari_ctlns.jobs.host_memory import freed_memory_kept

def pages(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.empty(32 * 2**20, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def count():
    pages(3)
    print(pages(4))

with freed_memory_kept() if sys.argv[1] == "kept" else contextlib.nullcontext():
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
pages(1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_thread_takes_memory_once() -> None:
    taken = {}
    for which in ("kept", "usual"):
        done = subprocess.run(
            [sys.executable, "-c", COUNTING, which],
            env={"PYTHONPATH": str(Path(napari_ctlns.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        )
        taken[which] = int(done.stdout)
    # 4 x 32 MiB are 32768 pages, or 64 huge ones
    assert taken["kept"] < taken["usual"] / 4
