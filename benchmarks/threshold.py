"""How soon another threshold is drawn: islands beside the whole scan done anew.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/threshold.py [--slices 300]

A scan of 512x512 pixels and a probability with 30 nodules, some of them touching, are open in
napari with the Predict panel. Its slider is moved; the time runs until the preview is drawn on the
canvas. Beside it the same mask is made as peers make it: threshold, components, sizes and holes of
the whole scan, with cc3d and with scipy, before anything is drawn.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import cc3d
import numpy as np
from napari import Viewer
from scipy import ndimage

from event_loop import wait, wait_until
from napari_ctlns.findings import Findings
from napari_ctlns.plugin.layers import is_preview
from napari_ctlns.plugin.maps import halved, map_tuple
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.refinement import refinement_of
from napari_ctlns.plugin.refining import predicted
from napari_ctlns.plugin.session import session_of
from napari_ctlns.recipe import Inference
from napari_ctlns.volume import Geometry, Volume

SPACING = (1.0, 0.7, 0.7)
NODULES = 30
RULES = Inference(threshold=0.5, min_diameter_mm=3.0, fill_holes=True)
THRESHOLDS = (0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.3, 0.55, 0.6, 0.7, 0.8)
EVERYWHERE = np.ones((3, 3, 3))


def main() -> None:
    """Measure, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    shape = (parser.parse_args().slices, 512, 512)
    probability = make_probability(shape)
    viewer = Viewer()
    viewer.window.resize(1500, 900)
    panel = PredictPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Predict", area="right")
    made = open_prediction(viewer, probability)
    print(f"{'islands, once':34} {made:8.0f} ms")
    ours = {}
    for split in (False, True):
        panel.rules.split.setChecked(split)
        wait(0.5)
        took = [slide(viewer, panel, threshold) for threshold in THRESHOLDS]
        name = "slider to drawn" + (", touching ones split" if split else "")
        ours[split] = statistics.median(took)
        print(f"{name:34} {ours[split]:8.0f} ms, first {took[0]:.0f}, most {max(took):.0f}")
    peers = {
        "whole scan, cc3d, not drawn": with_cc3d,
        "whole scan, scipy, not drawn": with_scipy,
    }
    theirs = {}
    for name, function in peers.items():
        theirs[name] = statistics.median(timed(function, probability.array, t) for t in (0.4, 0.2))
        print(f"{name:34} {theirs[name]:8.0f} ms")
    start = time.perf_counter()
    panel.proposal.apply.click()
    wait_until(lambda: refinement_of(session_of(viewer)).work is None, 120, 0.002)
    print(f"{'Apply, with the table':34} {(time.perf_counter() - start) * 1000:8.0f} ms")
    print(f"ratio: {min(theirs.values()) / ours[False]:.2f}")
    viewer.close()


def make_probability(shape: tuple[int, int, int]) -> Volume:
    """Return balls of 6 to 30 mm whose probability falls off from the centre, and faint noise."""
    random = np.random.default_rng(0)
    array = random.random(shape, np.float32) * np.float32(0.04)
    for _ in range(NODULES // 2):
        radius, centre = random.uniform(3, 15), place(random, shape)
        draw(array, centre, radius)
        # each has a neighbour that touches it
        draw(array, centre + np.array([0, 0, 1.8 * radius / SPACING[2]]), radius)
    return Volume(array, Geometry(shape, SPACING), "probability", "made")


def place(random: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a place in the middle of the scan."""
    return np.array([random.uniform(0.15, 0.85) * n for n in shape])


def draw(array: np.ndarray, centre: np.ndarray, radius: float) -> None:
    """Draw a ball: 1 in the centre, 0.5 at its radius."""
    reach = np.ceil(2 * radius / np.array(SPACING)).astype(int)
    low = np.maximum(np.round(centre).astype(int) - reach, 0)
    high = np.minimum(np.round(centre).astype(int) + reach + 1, array.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    axes = np.ogrid[box]
    squares = [((i - c) * s) ** 2 for i, c, s in zip(axes, centre, SPACING, strict=True)]
    distance = np.sqrt(sum(squares))
    array[box] = np.maximum(array[box], 1 / (1 + np.exp(4 * (distance / radius - 1))))


def open_prediction(viewer: Viewer, probability: Volume) -> float:
    """Open a scan, and what a model found in it; return how long the islands took, ms."""
    session = session_of(viewer)
    hu = np.random.default_rng(0).integers(-1000, 400, probability.array.shape, dtype=np.int16)
    session.add_scan(Volume(hu, probability.geometry, scan_id="made"))
    mask = probability.mask(with_cc3d(probability.array, RULES.threshold).astype(np.uint16))
    start = time.perf_counter()
    known = predicted(mask, probability, RULES, has_lookalikes=True)
    took = (time.perf_counter() - start) * 1000
    findings = Findings(scan_id="made").follow_labels(known.nodules, "model")
    known = replace(known, probability=halved(probability))
    session.add(map_tuple(known.probability, "probability", "probability"))
    layer = session.add_mask(mask, "nodules", findings)
    refinement_of(session).begin(layer, known)
    viewer.dims.set_current_step(0, probability.array.shape[0] // 2)
    wait(2)
    return took


def slide(viewer: Viewer, panel: PredictPanel, threshold: float) -> float:
    """Move the slider; return the time until the canvas shows what that would give, ms."""
    refinement = refinement_of(session_of(viewer))
    before = refinement.proposal
    start = time.perf_counter()
    panel.rules.threshold.slider.setValue(round(100 * threshold))
    wait_until(
        lambda: refinement.proposal is not before and drawn(viewer, threshold, panel), 60, 0.002
    )
    viewer.window._qt_viewer.canvas.native.repaint()
    took = (time.perf_counter() - start) * 1000
    wait(0.3)
    return took


def drawn(viewer: Viewer, threshold: float, panel: PredictPanel) -> bool:
    """Whether the preview shows a threshold."""
    said = f"at {threshold:.2f} (" in panel.proposal.words.text()
    return said and any(map(is_preview, viewer.layers))


def with_cc3d(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Make the mask of the whole scan with cc3d, its holes filled."""
    inside = probability >= threshold
    outside = cc3d.connected_components(~inside, connectivity=6)
    inside |= (outside != outside[0, 0, 0]) & ~inside
    labels = cc3d.dust(inside, threshold=least(), connectivity=26)
    return np.asarray(cc3d.connected_components(labels, connectivity=26))


def with_scipy(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Make the mask of the whole scan with scipy."""
    inside = ndimage.binary_fill_holes(probability >= threshold)
    labels, _ = ndimage.label(inside, EVERYWHERE)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(np.where(sizes[labels] >= least(), labels, 0))


def least() -> int:
    """Return how many voxels the smallest nodule has."""
    return int(np.ceil(np.pi / 6 * RULES.min_diameter_mm**3 / np.prod(SPACING)))


def timed(function: Callable[..., object], *args: object) -> float:
    """Return how long a call takes, ms."""
    start = time.perf_counter()
    function(*args)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
