"""Train the recipe ``click`` on phantoms, whose nodules have the shapes that readers drew.

``python tools/train_click.py OUT`` makes phantoms in ``OUT/scans``, a dataset in
``OUT/dataset`` and the model in ``OUT/run/best``; what is there already is not made again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_ctlns.phantom import PhantomSpec, write_cohort

EXTENT_MM = (110.0, 230.0, 320.0)
NODULES = 8


def varied(seed: int) -> PhantomSpec:
    """Return a phantom as scanners vary: slices of 0.6 to 3 mm, noise of 8 to 45 HU."""
    rng = np.random.default_rng(seed)
    z = round(float(np.exp(rng.uniform(np.log(0.6), np.log(3.0)))), 2)
    yx = round(float(rng.uniform(0.55, 0.9)), 2)
    return PhantomSpec(
        seed=seed,
        spacing=(z, yx, yx),
        extent_mm=EXTENT_MM,
        n_nodules=NODULES,
        diameter_mm=(max(4.0, 2 * z), 30.0),
        noise_hu=float(rng.uniform(8, 45)),
        kernel="sharp" if rng.random() < 0.4 else "soft",
    )


def main() -> None:
    """Make what is missing of phantoms, dataset and model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7_000_000)
    parser.add_argument("--epochs", type=int, default=30)
    asked = parser.parse_args()
    scans, dataset, run = (asked.out / name for name in ("scans", "dataset", "run"))
    if not (scans / "annotations.csv").exists():
        specs = [varied(asked.seed + number) for number in range(asked.scans)]
        for event in write_cohort(scans, specs):
            print(event, flush=True)
    ctlns = [sys.executable, "-m", "napari_ctlns"]
    if not (dataset / "dataset.json").exists():
        masks = ["--masks", str(scans / "masks"), "--out", str(dataset)]
        subprocess.run([*ctlns, "prepare", str(scans), "--recipe", "click", *masks], check=True)
    learned = ["--out", str(run), "--epochs", str(asked.epochs)]
    again = ["--resume"] if run.exists() else []
    subprocess.run(
        [*ctlns, "train", str(dataset), "--recipe", "click", *learned, *again], check=True
    )


if __name__ == "__main__":
    main()
