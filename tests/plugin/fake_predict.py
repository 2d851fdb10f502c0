"""A prediction without a network, for tests of what stands around it; run by a child process."""

import os
import time
from pathlib import Path

import numpy as np

from napari_ctlns.events import Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.masks.components import label_components
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.specs import PredictSpec

NOTE = "takes whatever is about as dense as a ball"


def predict(spec, control):
    """Call nodule what is of 60 HU; as slow as CTLNS_FAKE_STEPS wants it."""
    yield Started(title="Find nodules")
    scan = read_scan(spec.scan, series=spec.series)
    yield Log(message=NOTE, level="warning")
    steps = int(os.environ.get("CTLNS_FAKE_STEPS", "3"))
    for step in range(steps):
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        time.sleep(0.02)
        yield Progress(done=step + 1, total=steps, unit="window")
    high = 60 if spec.threshold is None or spec.threshold < 0.9 else 1000
    mask = scan.mask(label_components(scan.array == high))
    write_volume(mask, spec.mask)
    yield Saved(path=spec.mask, kind="mask")
    probability = scan.probability(np.full(mask.array.shape, 0.75, np.float32))
    write_table(measure(mask, scan, probability), Path(spec.table))
    yield Finished(result={"nodules": int(mask.array.max())})


if __name__ == "__main__":
    serve({"predict": JobKind("fake_predict", "predict", PredictSpec)})
