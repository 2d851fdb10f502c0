"""A cohort on one worker and on two, with one thread each; and with a worker killed.

    python benchmarks/cohort.py [--scans N] [--model MODEL] [--kill]

Predicts phantom slabs as ``ctlns cohort predict`` does, starting the workers included, and
prints how much faster two are. With ``--kill`` it predicts them undisturbed and again while a
worker is killed at random, and compares all voxels of masks and probabilities.
"""

import argparse
import csv
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from napari_ctlns.cohort import cohort
from napari_ctlns.events import Finished, Log, Uncontrolled
from napari_ctlns.formats import read_scan
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.ensemble import Member
from napari_ctlns.inference.model import ModelCard, read_card, save_model
from napari_ctlns.inference.searching import predict_volume
from napari_ctlns.networks import build_network
from napari_ctlns.phantom import PhantomSpec, write_cohort
from napari_ctlns.phantom.spec import SLAB_MM
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import CohortSpec, PredictMany

SHARE_FOUND = 1e-3
"""Of the voxels, so that an untrained model leaves masks of a sensible size."""


def main() -> None:
    """Measure or kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--model", type=Path, help="model folder; else random weights")
    parser.add_argument("--kill", action="store_true", help="kill a worker, compare the results")
    parser.add_argument("--seed", type=int, help="when, and which worker; else random")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        specs = [
            PhantomSpec(seed=seed, extent_mm=SLAB_MM, spacing=(2.0, 1.0, 1.0), n_nodules=4)
            for seed in range(options.scans)
        ]
        list(write_cohort(work / "scans", specs))
        model = options.model or random_model(work / "model")
        threshold = warmed_up(model, work / "scans" / f"{specs[0].name}.mhd")
        asked = PredictMany(model=model, threshold=threshold, probability=True, device="cpu")
        if options.kill:
            compare_killed(work, asked, options.seed)
        else:
            compare_workers(work, asked)


def random_model(folder: Path) -> Path:
    """Write an untrained model of the default recipe."""
    recipe = load_recipe("ct-lns")
    torch.manual_seed(0)
    save_model(folder, build_network(recipe).eval(), ModelCard(recipe=recipe))
    return folder


def warmed_up(model: Path, scan: Path) -> float:
    """Convert the network into the cache; return the threshold that few voxels pass."""
    engine, recipe = prepare_engine(model, device="cpu"), read_card(model).recipe
    prediction = predict_volume(read_scan(scan), [Member(engine, recipe)], recipe.inference)
    try:
        while True:
            next(prediction)
    except StopIteration as finished:
        return float(np.quantile(finished.value.probability.array, 1 - SHARE_FOUND))


def compare_workers(work: Path, asked: PredictMany) -> None:
    """Print the seconds of one and of two workers, and their ratio."""
    seconds = {n: run(work / "scans", work / f"out{n}", asked, n) for n in (1, 2)}
    print(f"{'':28} {'seconds':>8}")
    for workers, taken in seconds.items():
        print(f"{f'workers: {workers}':28} {taken:8.2f}")
    print(f"ratio: {seconds[1] / seconds[2]:.2f}")


def compare_killed(work: Path, asked: PredictMany, seed: int | None) -> None:
    """Print in how many scans a run with a killed worker gives the same voxels."""
    calm, killed = work / "calm", work / "killed"
    taken = run(work / "scans", calm, asked, 2)
    chance = random.Random(seed)
    killer = threading.Thread(
        target=kill_one, args=(killed, chance, taken * chance.uniform(0.2, 0.8)), daemon=True
    )
    killer.start()
    again = run(work / "scans", killed, asked, 2)
    killer.join()
    rows = manifest(calm)
    same = sum(
        row["status"] == "done" and all(same_voxels(calm / n, killed / n) for n in volumes(row))
        for row in rows
    )
    print(f"undisturbed {taken:.1f} s, with a worker killed {again:.1f} s")
    print(f"identical: {same} of {len(rows)}")


def run(scans: Path, out: Path, asked: PredictMany, workers: int) -> float:
    """Predict all scans; return the seconds it took."""
    spec = CohortSpec(scans=(str(scans),), out=out, work=asked, workers=workers)
    start = time.perf_counter()
    for event in cohort(spec, Uncontrolled()):
        if isinstance(event, Log):
            print(event.message)
        if isinstance(event, Finished):
            assert not event.result["failed"], event.result
    return time.perf_counter() - start


def kill_one(out: Path, chance: random.Random, after: float) -> None:
    """Kill the worker of a scan that is worked on, when some time has passed."""
    time.sleep(after)
    while not (running := [r for r in manifest(out) if r["status"] == "running"]):
        time.sleep(0.1)
    row = chance.choice(running)
    os.kill(int(row["worker"].rpartition(":")[2]), signal.SIGKILL)
    print(f"killed {row['worker']} after {after:.1f} s, over {row['scan_id']}")


def manifest(out: Path) -> list[dict[str, str]]:
    """Return the rows of a manifest."""
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def volumes(row: dict[str, str]) -> list[str]:
    """Return the names of the masks and probabilities of a scan."""
    return [name for name in row["outputs"].split("; ") if name.endswith(".nii.gz")]


def same_voxels(one: Path, other: Path) -> bool:
    """Whether two volumes have the same voxels, byte for byte."""
    if not other.exists():
        return False
    a, b = read_scan(one).array, read_scan(other).array
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


if __name__ == "__main__":
    main()
