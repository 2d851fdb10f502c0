"""A prediction without a network, for tests of what stands around it; run by a child process."""

import os
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_ctlns.events import Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.recipe import Inference
from napari_ctlns.specs import PredictSpec

NOTE = "takes whatever is about as dense as a ball"
ENGINE = "a fake"
WEAK = (slice(11, 14), slice(32, 38), slice(10, 16))
"""Where something is that only a low threshold finds."""
FAINT = (slice(18, 21), slice(10, 16), slice(30, 36))
"""Where something is that only a very low threshold finds."""


def probability_of(hu):
    """Return 0.75 in balls of 60 HU, 0.3 around them, 0.2 and 0.02 in two boxes."""
    balls = hu == 60
    probability = 0.3 * ndimage.binary_dilation(balls)
    probability[WEAK], probability[FAINT] = 0.2, 0.02
    probability[balls] = 0.75
    return probability.astype(np.float32)


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
    probability = scan.probability(probability_of(scan.array))
    rules = Inference(
        threshold=spec.threshold,
        seed_threshold=spec.seed_threshold,
        min_diameter_mm=spec.min_diameter_mm,
        fill_holes=spec.fill_holes,
        split_touching=spec.split_touching,
    )
    mask = mask_from_probability(probability, rules)
    write_volume(mask, spec.mask)
    write_volume(probability, spec.probability)
    if spec.uncertainty is not None:
        write_volume(scan.probability(probability.array / 10), spec.uncertainty)
    yield Saved(path=spec.mask, kind="mask")
    write_table(measure(mask, scan, probability), Path(spec.table))
    told = {"engine": ENGINE, "engine_reason": "the fastest here"}
    yield Finished(result={"nodules": int(mask.array.max()), **told})


if __name__ == "__main__":
    serve({"predict": JobKind("fake_predict", "predict", PredictSpec)})
