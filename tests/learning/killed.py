"""``python killed.py SPEC MOMENT...``: train, be killed at each moment, resume, and come to an end.

A moment is seconds from a start, or ``write-N``: in the middle of the N'th file that is put on
the disk. This process imports once and forks for each part of the run, which is then ended by
SIGKILL like any other process.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from napari_ctlns.events import Uncontrolled
from napari_ctlns.learning import run_folder, train
from napari_ctlns.specs import TrainSpec


def main(spec: TrainSpec, moments: list[str]) -> None:
    for moment in moments:
        child = os.fork()
        if not child:
            part(spec, moment)
            os._exit(0)
        if not moment.startswith("write"):
            time.sleep(float(moment))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{moment} {'killed' if os.WIFSIGNALED(status) else 'ended'}\n")
        sys.stdout.flush()  # or every child would write it once more
        spec = spec.model_copy(update={"resume": (spec.out / "spec.json").exists()})
    part(spec, "never")


def part(spec: TrainSpec, moment: str) -> None:
    torch.set_num_threads(1)
    if moment.startswith("write"):
        die_in_write(int(moment.split("-")[1]))
    for _ in train(spec, Uncontrolled()):
        pass


def die_in_write(last: int) -> None:
    """Leave the file half-written and die, where it would be put on the disk."""
    count = 0

    def fsync(number: int) -> None:
        nonlocal count
        count += 1
        if count == last:
            os.truncate(number, os.fstat(number).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    run_folder.os.fsync = fsync


if __name__ == "__main__":
    main(TrainSpec.model_validate_json(Path(sys.argv[1]).read_bytes()), sys.argv[2:])
