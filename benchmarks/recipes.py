"""Every built-in recipe, made small, trained on phantoms like the demo's and judged on others.

    python benchmarks/recipes.py [--work FOLDER] [--only RECIPE ...] [--page PAGE.md]

Each recipe is prepared, trained and evaluated by the commands that anyone would use; the
`--set` lines below are all that is changed. What is in FOLDER already is used again: phantoms,
datasets, finished runs. CPU minutes are those of `ctlns train`, all threads together.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from napari_ctlns.demo import DemoPlan
from napari_ctlns.phantom import write_cohort

PLAN = DemoPlan(train=40, test=10)
"""More phantoms than the demo takes the time to make; of each fewer patches are drawn."""
SEED = 0
CPU_MINUTES = 10
Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """A recipe made small.

    Attributes
    ----------
    recipe
        A built-in one.
    changes
        What `--set` changes.
    figures, floor
        What it reached in words, what it was to reach.
    meets
        Whether it did.
    """

    recipe: str
    changes: tuple[str, ...]
    figures: Callable[[Summary], str]
    floor: str
    meets: Callable[[Summary], bool]

    @property
    def structure(self) -> str:
        """Which masks of the phantoms it learns from."""
        return "lungs" if self.recipe.startswith("lung-region") else "masks"


def nodule_trial(recipe: str, *changes: str) -> Trial:
    """Return one that is judged by the Dice of nodules, missed ones counting 0."""
    return Trial(
        recipe,
        changes,
        lambda s: f"mean Dice {s['nodule_dice']:.3f}",
        "mean Dice 0.65",
        lambda s: s["nodule_dice"] >= 0.65,
    )


def lung_trial(recipe: str, *changes: str) -> Trial:
    """Return one that is judged by the Dice of the lungs."""
    return Trial(
        recipe,
        changes,
        lambda s: f"Dice {s['scan_dice']:.3f}",
        "Dice 0.97",
        lambda s: s["scan_dice"] >= 0.97,
    )


PATCHES_3D = (
    "network.channels=[8,16,32]",
    "patches.size=[40,40,40]",
    "patches.per_scan=16",
    "loss.ce_weight=5",
    "optimisation.epochs=7",
    "optimisation.learning_rate=3e-3",
    "optimisation.schedule=cosine",
    "optimisation.warmup_steps=20",
)
LUNGS = (
    "patches.size=[48,48,48]",
    "patches.per_scan=10",
    "network.channels=[8,16,32,64]",
    "optimisation.epochs=5",
    "optimisation.learning_rate=3e-3",
    "optimisation.schedule=cosine",
)
TRIALS = (
    nodule_trial("ct-lns", *PATCHES_3D),
    nodule_trial("lidc-unet3d", *PATCHES_3D),
    Trial(
        "luna-2.5d",
        (
            "preparation.spacing_mm=[2.5,1,1]",
            "patches.around=[15,96,96]",
            "patches.validation_size=[7,256,256]",
            "patches.nodule_fraction=0.4",
            "patches.per_scan=76",
            "optimisation.epochs=14",
            "optimisation.ema_decay=0.98",
            "loss.false_negative_weight=0.95",
            "inference.threshold=0.1",
            "inference.min_diameter_mm=8",
            "optimisation.learning_rate=2e-3",
            "optimisation.schedule=cosine",
            "optimisation.warmup_steps=100",
        ),
        lambda s: (
            f"recall {s['nodule_voxel_accuracy']:.3f}, precision {s['scan_precision']:.3f}, "
            f"{s['false_positives_per_scan']:.1f} false components a scan"
        ),
        "recall 0.9, precision 0.3, 8 false components a scan",
        lambda s: (
            s["nodule_voxel_accuracy"] >= 0.9
            and s["scan_precision"] >= 0.3
            and s["false_positives_per_scan"] <= 8
        ),
    ),
    nodule_trial(
        "lungnet-2d",
        "network.channels=[8,16,32,64]",
        "patches.per_scan=14",
        "optimisation.epochs=16",
        "inference.threshold=0.2",
        "optimisation.learning_rate=3e-3",
        "optimisation.schedule=cosine",
        "optimisation.warmup_steps=50",
    ),
    lung_trial("lung-region", *LUNGS),
    lung_trial("lung-region-attention", *LUNGS, "optimisation.epochs=4"),
    lung_trial(
        "lung-region-transformer",
        "preparation.spacing_mm=3",
        "patches.size=[64,64,64]",
        "patches.per_scan=1",
        "network.channels=[12]",
        "optimisation.batch_size=2",
        "optimisation.epochs=6",
        "optimisation.learning_rate=2e-3",
        "optimisation.schedule=cosine",
    ),
)


def main() -> None:
    """Run what is not there yet; print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("recipes-on-phantoms"))
    parser.add_argument("--only", nargs="*", help="these recipes alone")
    parser.add_argument("--page", type=Path, help="a Markdown page to write the table to")
    options = parser.parse_args()
    work = options.work.absolute()
    if not (work / "phantoms" / "nodules.csv").is_file():
        for _ in write_cohort(work / "phantoms", PLAN.specs(SEED)):
            pass
    (work / "splits.json").write_text(json.dumps(PLAN.splits(SEED)), "utf-8")
    trials = [t for t in TRIALS if not options.only or t.recipe in options.only]
    page = "\n".join(table([(trial, *judged(trial, work)) for trial in trials]))
    print(page)
    if options.page:
        options.page.write_text(page + "\n", "utf-8")


def judged(trial: Trial, work: Path) -> tuple[float, Summary]:
    """Return the CPU minutes that a recipe trained, and what it reached on the test phantoms."""
    out = work / trial.recipe
    dataset, run, note = out / "dataset", out / "run", out / "trained.json"
    sets = [word for change in trial.changes for word in ("--set", change)]
    prepared = [*sets_of_preparation(trial.changes)]
    if not (dataset / "dataset.json").is_file():
        masks = work / "phantoms" / trial.structure
        ctlns("prepare", work / "phantoms", "--masks", masks, "--out", dataset,
              "--splits", work / "splits.json", "--recipe", trial.recipe, *prepared)  # fmt: skip
    if not note.is_file() or json.loads(note.read_text("utf-8"))["changes"] != list(trial.changes):
        shutil.rmtree(run, ignore_errors=True)
        minutes = ctlns("train", dataset, "--recipe", trial.recipe, *sets, "--out", run)
        ctlns("evaluate", run / "best", dataset, "--out", out / "evaluation")
        values = {"changes": trial.changes, "cpu_minutes": minutes}
        note.write_text(json.dumps(values), "utf-8")
    summary = json.loads((out / "evaluation" / "summary.json").read_text("utf-8"))
    return json.loads(note.read_text("utf-8"))["cpu_minutes"], summary


def sets_of_preparation(changes: Sequence[str]) -> list[str]:
    """Return the `--set` words that decide how scans are prepared."""
    return [w for c in changes if c.startswith("preparation.") for w in ("--set", c)]


def ctlns(*words: object) -> float:
    """Run a command; return the CPU minutes it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "napari_ctlns", *map(str, words)]
    print("$ ctlns", *map(str, words), file=sys.stderr, flush=True)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60


def table(rows: Sequence[tuple[Trial, float, Summary]]) -> list[str]:
    """Return Markdown: a row for each recipe, then its `--set` line."""
    parts = f"{PLAN.train} to learn from, {PLAN.val} to validate, {PLAN.test} held out"
    machine = f"{platform.machine()}, {os.cpu_count()} processors, {date.today()}"
    lines = [
        f"Phantoms like those of `ctlns demo`: {parts}; {machine}.",
        "",
        "| recipe | CPU minutes | held-out phantoms | floor | |",
        "|---|---|---|---|---|",
    ]
    for trial, minutes, summary in rows:
        met = trial.meets(summary) and minutes <= CPU_MINUTES
        lines.append(
            f"| `{trial.recipe}` | {minutes:.1f} | {trial.figures(summary)} | {trial.floor} | "
            f"{'met' if met else 'not met'} |"
        )
    for trial, _, _ in rows:
        sets = " ".join(f"--set {change}" for change in trial.changes)
        lines += ["", f"`{trial.recipe}`:", "", "```text", sets, "```"]
    return lines


if __name__ == "__main__":
    main()
