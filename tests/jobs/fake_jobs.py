"""Small jobs for the tests of how jobs run; also imported by child processes.

``python fake_jobs.py JOB SPEC`` works in a run folder as `ctlns train` does, with such a job.
"""

import os
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from napari_ctlns.errors import DatasetError
from napari_ctlns.events import Finished, Metric, Progress, Saved, Started
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.jobs.training import run_training
from napari_ctlns.specs import TrainSpec


class CountSpec(BaseModel):
    steps: int = 5
    seconds: float = 0.0


def count(spec, control):
    """Count, with a metric each step."""
    yield Started(title="count")
    for step in range(spec.steps):
        control.wait_while_paused()
        if control.stop_requested():
            yield Finished(result={"steps": step}, stopped=True)
            return
        time.sleep(spec.seconds)
        yield Metric(name="loss", step=step, value=1 / (step + 1))
        yield Progress(done=step + 1, total=spec.steps, unit="steps")
    yield Finished(result={"steps": spec.steps})


def noisy(spec, control):
    """Print to standard output in every way that a library can."""
    yield Started(title="noisy")
    sys.stdout.write("a print\n")
    os.write(1, b"bytes from a native library\n")
    yield from count(spec, control)


def broken(spec, control):
    yield Started(title="broken")
    raise ZeroDivisionError("by nothing")


def train(spec, control):
    """Stand in for training: its run lasts 200 steps of 0.05 s, or what stops it."""
    if not (spec.dataset / "dataset.json").is_file():
        raise DatasetError(f"{spec.dataset} is no dataset; make one by `ctlns prepare`")
    steps = spec.recipe.optimisation.epochs
    yield Started(title="train")
    (spec.out / "recipe.toml").write_text(spec.recipe.to_toml(), encoding="utf-8")
    for event in count(CountSpec(steps=steps, seconds=0.05), control):
        if isinstance(event, Finished):
            yield Saved(path=Path(spec.out) / "last.pt", kind="checkpoint")
        if not isinstance(event, Started):
            yield event


def die(spec, control):
    """End like a process that the system killed."""
    yield Started(title="die")
    yield Metric(name="loss", step=0, value=1.0)
    time.sleep(0.5)
    os._exit(9)


if __name__ == "__main__":
    kind = JobKind("fake_jobs", sys.argv[1], TrainSpec)
    run_training(TrainSpec.model_validate_json(sys.argv[2]), kind)
