"""Inference on a scan: napari-ctlns beside MONAI's sliding window, same weights.

    python benchmarks/inference.py --scan SCAN [--model MODEL] [--crop MM]

Both look at the whole prepared scan (no lung gate) with windows of 96^3, a quarter
overlap and Gaussian blending; MONAI in eager PyTorch, fp32, ours on the engine that
``ctlns predict`` would take. Reading, preparation and loading count for neither.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from napari_ctlns.formats import read_scan
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.model import ModelCard, load_network, read_card, save_model
from napari_ctlns.inference.tiling import predict_array
from napari_ctlns.networks import build_network
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import load_recipe
from napari_ctlns.resampling import prepared_hu

WINDOW = (96, 96, 96)
OVERLAP = 0.25


def main() -> None:
    """Measure, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", type=Path, required=True, help="file or DICOM folder")
    parser.add_argument("--model", type=Path, help="model folder; else random weights")
    parser.add_argument("--crop", type=float, help="only the middle so many mm of each axis")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options.scan, options.model or random_model(Path(folder) / "model"), options.crop)


def random_model(folder: Path) -> Path:
    """Write an untrained model of the default recipe."""
    recipe = load_recipe("ct-lns")
    torch.manual_seed(0)
    save_model(folder, build_network(recipe), ModelCard(recipe=recipe))
    return folder


def compare(scan: Path, model: Path, crop_mm: float | None) -> None:
    """Run both on a scan and print how long they took."""
    recipe = read_card(model).recipe.with_changes({"inference.overlap": OVERLAP})
    hu, grid = prepared_hu(read_scan(scan), recipe.preparation)
    if crop_mm:
        hu = middle(hu, [round(crop_mm / s) for s in grid.spacing])
    engine = prepare_engine(model, WINDOW)
    print(f"{scan.name}: {hu.shape} voxels of {grid.spacing} mm, {torch.get_num_threads()} threads")
    ours, our_seconds = run_ours(hu, engine, recipe)
    theirs, their_seconds = run_monai(hu, model, recipe)
    print(f"{'':28} {'seconds':>8}")
    print(f"{'napari-ctlns, ' + engine.name:28} {our_seconds:8.2f}")
    print(f"{'MONAI, torch fp32':28} {their_seconds:8.2f}")
    print(f"largest difference of probabilities: {np.abs(ours - theirs).max():.4f}")
    print(f"ratio: {their_seconds / our_seconds:.2f}")


def middle(hu: np.ndarray, size: list[int]) -> np.ndarray:
    """Return the middle ``size`` voxels of each axis, as far as there are so many."""
    return hu[
        tuple(
            slice(max(n - s, 0) // 2, max(n - s, 0) // 2 + s)
            for n, s in zip(hu.shape, size, strict=True)
        )
    ]


def run_ours(hu, engine, recipe):
    """Return our probability and the seconds it took."""
    start = time.perf_counter()
    events = predict_array(hu, engine, recipe, WINDOW)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value.astype(np.float32), time.perf_counter() - start


def run_monai(hu, model, recipe):
    """Return MONAI's probability and the seconds it took."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = load_network(model).to(device)
    start = time.perf_counter()
    with torch.inference_mode():
        logits = sliding_window_inference(
            torch.from_numpy(scaling_of(recipe.preparation, hu).applied(hu))[None, None].to(device),
            WINDOW,
            sw_batch_size=1,
            predictor=network,
            overlap=OVERLAP,
            mode="gaussian",
        )
        probability = torch.sigmoid(logits)[0, 0].cpu().numpy()
    return probability, time.perf_counter() - start


if __name__ == "__main__":
    main()
