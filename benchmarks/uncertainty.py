"""How well the uncertainty of a scan tells how wrong its mask is.

    python benchmarks/uncertainty.py --model MODEL [--scans N] [--seed N]

Predicts phantom slabs whose nodules are of all kinds, in another mixture, number and noise each,
and prints Spearman's rank correlation of the true error (1 - Dice of the scan) with the
uncertainty that orders the work list, and with others that were tried.
"""

import argparse
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from napari_ctlns.demo import DemoPlan
from napari_ctlns.inference.ensemble import prepared_member
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.searching import predict_prepared
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.masks.uncertainty import scan_uncertainty
from napari_ctlns.metrics import count_voxels
from napari_ctlns.phantom import PhantomSpec, make_phantom
from napari_ctlns.resampling import prepared_hu, resample_array
from napari_ctlns.volume import Volume

FLOORS = (0.01, 0.05, 0.1, 0.2)


def main() -> None:
    """Predict, and print the correlations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7000)
    options = parser.parse_args()
    recipe = read_card(options.model).recipe
    member = prepared_member(options.model, recipe, device="cpu")
    errors: list[float] = []
    said: dict[str, list[float]] = {}
    for spec in mixtures(options.scans, options.seed):
        phantom = make_phantom(spec)
        hu, grid = prepared_hu(phantom.volume, recipe.preparation)
        scan = Volume(hu, grid)
        probability = scan.probability(result_of(predict_prepared(scan, member)))
        mask = mask_from_probability(probability, recipe.inference)
        true = resample_array(phantom.mask.array, phantom.volume.geometry, grid, "nearest")
        errors.append(1 - count_voxels(mask.array, true).dice)
        for name, value in measures(probability, mask).items():
            said.setdefault(name, []).append(value)
        print(
            f"{spec.name}: error {errors[-1]:.3f}, {said['scan_uncertainty'][-1]:.3f}", flush=True
        )
    print(f"\n{'rank correlation with the error':40}")
    for name, values in said.items():
        print(f"{name:40}{spearmanr(values, errors).statistic:7.3f}")


def mixtures(count: int, seed: int) -> Generator[PhantomSpec, None, None]:
    """Give phantoms that differ in kinds, number and noise."""
    random = np.random.default_rng(seed)
    for spec in DemoPlan(train=count, val=0, test=0).specs(seed):
        shares = random.dirichlet((0.6, 0.6, 0.6))
        changes = {
            "densities": dict(
                zip(("solid", "part-solid", "ground-glass"), shares.tolist(), strict=True)
            ),
            "n_nodules": int(random.integers(2, 9)),
            "noise_hu": float(random.uniform(15, 80)),
        }
        yield PhantomSpec(**{**spec.model_dump(), **changes})


def measures(probability: Volume, mask: Volume) -> dict[str, float]:
    """Return what may tell the error: what is used, and others."""
    found = {"scan_uncertainty": scan_uncertainty(probability)}
    for floor in FLOORS:
        looked_at = probability.array >= floor
        p = np.clip(probability.array[looked_at].astype(float), 1e-6, 1 - 1e-6)
        inside = mask.array[looked_at] > 0
        entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
        found |= {
            f"mean entropy from {floor}": entropy.mean() if p.size else 0.0,
            f"mean margin from {floor}": (1 - abs(2 * p - 1)).mean() if p.size else 0.0,
            f"expected Dice loss from {floor}": 1 - 2 * p[inside].sum() / (p.sum() + inside.sum())
            if p.size
            else 0.0,
            f"summed entropy from {floor}": entropy.sum(),
        }
    return found


def result_of(job: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


if __name__ == "__main__":
    main()
