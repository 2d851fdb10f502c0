"""One round of learning from corrections: a model that fails on one kind of nodule.

    python benchmarks/learn.py [--work FOLDER] [--model MODEL] [--seed N] [--steps N]

Trains a small model on phantoms (as those of `ctlns demo`) with solid nodules alone, corrects five
phantoms with ground-glass nodules, which it has never seen, by their true masks, and lets
`ctlns learn` learn from them. Dice on phantoms that neither model has seen, of both kinds, before
and after; CPU minutes are those of `ctlns learn`, all threads and its own comparison included.
What is in FOLDER already is used again: phantoms, the dataset and the first model.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_ctlns.dataset import add_correction, open_dataset
from napari_ctlns.demo import DemoPlan
from napari_ctlns.formats import read_mask, read_scan
from napari_ctlns.phantom import PhantomSpec, write_cohort

SOLID = DemoPlan(train=12, val=2, test=5, densities={"solid": 1.0})
"""What the first model learns."""
GROUND_GLASS = DemoPlan(train=5, val=0, test=5, nodules=6, densities={"ground-glass": 1.0})
"""What it has never seen: those to correct, and those to judge by."""
NEW_KIND = 1000
"""Added to the seed for their phantoms."""
GAIN, LOSS, MINUTES = 0.10, 0.02, 5.0
"""What is to be reached: Dice gained on one kind, lost on the other at most, CPU minutes."""
Summary = Mapping[str, Any]


def main() -> None:
    """Learn once, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder to keep everything in")
    parser.add_argument("--model", type=Path, help="model to start from; else one is trained")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of learning; else as `ctlns learn` has it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = (options.work or Path(folder)).absolute()
        solid = dataset_of(work / "solid", SOLID, options.seed)
        glass = dataset_of(work / "ground-glass", GROUND_GLASS, options.seed + NEW_KIND)
        model = options.model or first_model(work, solid, options.seed)
        taught = corrected(work, solid, options.seed + NEW_KIND)
        minutes = learned(taught, model, work / "learned", options.steps)
        print_table(
            {
                (kind, when): judged(which, dataset, work / f"{when}-{kind}")
                for kind, dataset in (("ground-glass", glass), ("solid", solid))
                for when, which in (("before", model), ("after", work / "learned" / "best"))
            },
            minutes,
        )


def dataset_of(folder: Path, plan: DemoPlan, seed: int) -> Path:
    """Return the dataset of a plan's phantoms; what is there already is not made anew."""
    dataset = folder / "dataset"
    if not (dataset / "dataset.json").is_file():
        specs = [PhantomSpec(**{**s.model_dump(), "scan_id": s.name}) for s in plan.specs(seed)]
        list(write_cohort(folder / "scans", specs))
        (folder / "splits.json").write_text(json.dumps(plan.splits(seed)), "utf-8")
        masks = ["--masks", folder / "scans" / "masks", "--splits", folder / "splits.json"]
        ctlns("prepare", folder / "scans", "--out", dataset, *masks)
    return dataset


def first_model(work: Path, dataset: Path, seed: int) -> Path:
    """Return the model that knows solid nodules alone."""
    run = work / "first"
    if not (run / "finished").is_file():
        shutil.rmtree(run, ignore_errors=True)
        recipe = work / "first.toml"
        recipe.write_text(SOLID.recipe(seed).to_toml(), "utf-8")
        ctlns("train", dataset, "--recipe", recipe, "--out", run, "--device", "cpu")
        (run / "finished").touch()
    return run / "best"


def corrected(work: Path, solid: Path, seed: int) -> Path:
    """Return a copy of the dataset to which the corrected phantoms were added."""
    taught = work / "taught"
    shutil.rmtree(taught, ignore_errors=True)
    shutil.copytree(solid, taught)
    scans = work / "ground-glass" / "scans"
    preparation = open_dataset(solid).preparation
    for name in GROUND_GLASS.splits(seed)["train"]:
        scan, mask = read_scan(scans / f"{name}.mhd"), read_mask(scans / "masks" / f"{name}.nii.gz")
        added = add_correction(taught, scan, scan.mask(mask.array), "benchmark", preparation)
        print(f"corrected {name}: for {added.split}")
    return taught


def learned(dataset: Path, model: Path, run: Path, steps: int | None) -> float:
    """Learn from the corrections; return the CPU minutes it took."""
    shutil.rmtree(run, ignore_errors=True)
    before = cpu_seconds()
    how_long = () if steps is None else ("--steps", steps)
    ctlns("learn", dataset, "--from", model, "--out", run, "--device", "cpu", *how_long)
    return (cpu_seconds() - before) / 60


def judged(model: Path, dataset: Path, out: Path) -> Summary:
    """Return what `ctlns evaluate` says of a model on the phantoms to judge by."""
    shutil.rmtree(out, ignore_errors=True)
    ctlns("evaluate", model, dataset, "--out", out, "--device", "cpu")
    return json.loads((out / "summary.json").read_text("utf-8"))


def print_table(found: Mapping[tuple[str, str], Summary], minutes: float) -> None:
    """Print the numbers of both kinds, and whether they are as they are to be."""
    names = ("nodule_dice", "scan_dice", "found_fraction", "false_positives_per_scan")
    print(f"\n{'held-out phantoms':42}{'before':>9}{'after':>9}{'change':>9}")
    change = {}
    for kind in ("ground-glass", "solid"):
        for name in names:
            before, after = (found[kind, when][name] for when in ("before", "after"))
            change[kind, name] = after - before
            print(f"{kind + ' ' + name:42}{before:9.3f}{after:9.3f}{after - before:+9.3f}")
    print(f"CPU minutes of ctlns learn: {minutes:.2f}")
    for name in ("nodule_dice", "scan_dice"):
        gain, loss = change["ground-glass", name], -change["solid", name]
        met = gain >= GAIN and loss <= LOSS and minutes <= MINUTES
        print(
            f"{name}: gained {gain:.3f} (at least {GAIN}), lost {loss:.3f} (at most {LOSS}), "
            f"in {minutes:.2f} CPU minutes (at most {MINUTES:g}): {'met' if met else 'NOT met'}"
        )


def ctlns(*words: object) -> None:
    """Run a command; its progress goes to standard error."""
    command = [sys.executable, "-P", "-m", "napari_ctlns", *map(str, words)]
    subprocess.run(command, check=True, env=os.environ, stdout=subprocess.DEVNULL)


def cpu_seconds() -> float:
    """Return the CPU seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
