"""The main job on phantoms: from scans to a model, its evaluation and a report."""

import json
import os
import platform
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from napari_ctlns import __version__
from napari_ctlns.atomic import write_text
from napari_ctlns.dataset import prepare
from napari_ctlns.errors import OutputError
from napari_ctlns.evaluation.baseline import evaluate_baseline
from napari_ctlns.evaluation.evaluate import evaluate
from napari_ctlns.evaluation.pictures import curves_png
from napari_ctlns.evaluation.report import DemoReport, Picture, SummaryRow, write_report
from napari_ctlns.events import Control, Event, Finished, Saved, Started
from napari_ctlns.inference.predict import predict
from napari_ctlns.learning import train
from napari_ctlns.phantom import PhantomSpec, cohort_specs, write_cohort
from napari_ctlns.phantom.spec import Attachment, Density
from napari_ctlns.recipe import Recipe, load_recipe
from napari_ctlns.specs import EvaluateSpec, PredictSpec, PrepareSpec, TrainSpec

Results = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class DemoPlan:
    """How large a demo is: by default what two CPU cores do in a few minutes.

    Attributes
    ----------
    train, val, test
        Phantoms of each split.
    extent_mm, spacing_mm
        Size of a phantom and millimetres between its voxels, both (z, y, x): slabs
        of a chest, because whole ones would take most of the minutes.
    nodules, diameter_mm, densities, attachments
        How many in each phantom, how large, and of which kinds, by relative frequency.
    changes
        What is changed in recipe ``ct-lns``: a slimmer network and small patches, so
        that minutes are enough for some thousand of them; a cosine, because the end is
        known beforehand.
    """

    train: int = 16
    val: int = 2
    test: int = 5
    extent_mm: tuple[float, float, float] = (96.0, 220.0, 300.0)
    spacing_mm: tuple[float, float, float] = (1.25, 1.0, 1.0)
    nodules: int = 14
    diameter_mm: tuple[float, float] = (5.0, 25.0)
    densities: Mapping[Density, float] = field(
        default_factory=lambda: {"solid": 0.3, "part-solid": 0.25, "ground-glass": 0.45}
    )
    attachments: Mapping[Attachment, float] = field(
        default_factory=lambda: {"isolated": 0.6, "vessel": 0.2, "pleura": 0.2}
    )
    changes: Mapping[str, Any] = field(
        default_factory=lambda: {
            "network.channels": (8, 16, 32),
            "patches.size": (40, 40, 40),
            "patches.per_scan": 40,
            "patches.nodule_fraction": 0.6,
            "loss.ce_weight": 5.0,
            "optimisation.epochs": 9,
            "optimisation.learning_rate": 3e-3,
            "optimisation.schedule": "cosine",
            "optimisation.warmup_steps": 20,
        }
    )

    def specs(self, seed: int) -> tuple[PhantomSpec, ...]:
        """Return the phantoms: those to train on first, then validation, then test."""
        scans = self.train + self.val + self.test
        kinds = {
            "diameter_mm": self.diameter_mm,
            "densities": self.densities,
            "attachments": self.attachments,
        }
        return tuple(
            PhantomSpec.model_validate({**spec.model_dump(), **kinds})
            for spec in cohort_specs(scans, seed, self.spacing_mm, self.extent_mm, self.nodules)
        )

    def splits(self, seed: int) -> dict[str, list[str]]:
        """Return the scan ids of each split."""
        names = [spec.name for spec in self.specs(seed)]
        seen = self.train + self.val
        return {"train": names[: self.train], "val": names[self.train : seen], "test": names[seen:]}

    def recipe(self, seed: int) -> Recipe:
        """Return the recipe with its changes."""
        return load_recipe("ct-lns").with_changes({**self.changes, "optimisation.seed": seed})


def demo(out: Path, seed: int, control: Control, plan: DemoPlan | None = None) -> Iterator[Event]:
    """Make phantoms, learn from some, find the nodules of others, and report.

    Writes ``scans``, ``dataset``, ``run``, ``evaluation``, ``prediction`` and
    ``report.html`` into ``out``.

    Yields
    ------
    Event
        Those of every stage; one `Finished` with the evaluation's summary, the
        baseline's, the seconds of each stage and the path of the report.

    Raises
    ------
    OutputError
        If ``out`` holds something already or cannot be written.
    """
    plan = plan or DemoPlan()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not empty; remove it or choose another folder with --out")
    yield Started(title=f"Demo: from phantoms to a report, in {out}")
    write_text(out / "splits.json", json.dumps(plan.splits(seed), indent=1) + "\n")
    seconds: dict[str, float] = {}
    results: Results = {}
    for name, job in _stages(out, plan, seed, control).items():
        start = time.perf_counter()
        result = yield from _result_of(job)
        if result is None:
            yield Finished(stopped=True)
            return
        seconds[name] = round(time.perf_counter() - start, 1)
        results[name] = result
    report = out / "report.html"
    write_report(report, _report(out, plan, seed, results, seconds))
    yield Saved(path=report, kind="report")
    scores = {"model": results["evaluate"], "baseline": results["baseline"]}
    yield Finished(result={**scores, "seconds": seconds, "report": str(report)})


def _stages(out: Path, plan: DemoPlan, seed: int, control: Control) -> dict[str, Iterator[Event]]:
    """Return the jobs in their order; each begins when its first event is asked for."""
    scans, dataset, run, recipe = out / "scans", out / "dataset", out / "run", plan.recipe(seed)
    model, first = run / "best", plan.splits(seed)["test"][0]
    preparing = PrepareSpec(
        source=scans,
        out=dataset,
        recipe=recipe,
        masks=scans / "masks",
        splits=out / "splits.json",
    )
    evaluating = EvaluateSpec(model=model, dataset=dataset, out=out / "evaluation")
    predicting = PredictSpec(
        scan=scans / f"{first}.mhd",
        model=model,
        mask=out / "prediction" / f"{first}.nii.gz",
        table=out / "prediction" / f"{first}.csv",
    )
    return {
        "phantoms": write_cohort(scans, plan.specs(seed), control),
        "prepare": prepare(preparing, control),
        "train": train(TrainSpec(dataset=dataset, out=run, recipe=recipe), control),
        "evaluate": evaluate(evaluating, control),
        "baseline": evaluate_baseline(dataset, "test", out / "evaluation", control),
        "predict": predict(predicting, control),
    }


def _result_of(job: Iterator[Event]) -> Generator[Event, None, dict[str, Any] | None]:
    """Pass a stage's events on; return its result, None if it was stopped."""
    result: dict[str, Any] | None = None
    for event in job:
        if isinstance(event, Finished):
            result = None if event.stopped else event.result
        else:
            yield event
    return result


# -- the report -----------------------------------------------------------------------


def _report(
    out: Path, plan: DemoPlan, seed: int, results: Results, seconds: Mapping[str, float]
) -> DemoReport:
    evaluation = out / "evaluation"
    first = plan.splits(seed)["test"][0]
    pictures = [
        Picture(f"{path.stem}: its largest nodules, 64 mm wide, lung window", path.read_bytes())
        for path in sorted((evaluation / "overlays").glob("*.png"))
    ]
    return DemoReport(
        title="From phantoms to measured nodules",
        lead=(
            f"A 3D U-Net learned from {plan.train} synthetic chest CTs on this machine, "
            f"then looked for the nodules of {plan.test} that it had never seen."
        ),
        summary=_summary(results),
        ours="U-Net",
        baseline="threshold -400 HU, round",
        curves=curves_png(pd.read_csv(out / "run" / "history.csv")),
        overlays=pictures,
        tables=[
            ("Every nodule of the unseen scans", _nodules(out)),
            ("The unseen scans", pd.read_csv(evaluation / "scans.csv").drop(columns="patient_id")),
            (f"Nodule table of {first}, as ctlns predict writes it", _measured(out, first)),
        ],
        facts=_facts(plan, seed, results, seconds),
    )


def _summary(results: Results) -> list[SummaryRow]:
    model, baseline = results["evaluate"], results["baseline"]
    rows = (
        ("Mean Dice of nodules of 5 to 25 mm, missed ones counting 0", "nodule_dice_5_to_25_mm",
         "at least 0.70"),
        ("Share of them found at 2 false positives a scan", "sensitivity_at_2_fp_5_to_25_mm",
         "at least 0.85; baseline below 0.50"),
        ("Share of all nodules found at the model's own threshold", "found_fraction", ""),
        ("False positives a scan at that threshold", "false_positives_per_scan", ""),
        ("Nodule voxels found", "nodule_voxel_accuracy", ""),
    )  # fmt: skip
    return [SummaryRow(name, model[key], baseline[key], aim) for name, key, aim in rows]


def _nodules(out: Path) -> pd.DataFrame:
    """Return a row per true nodule: what it is, and who found it."""
    key = ["scan_id", "label"]
    ours = pd.read_csv(out / "evaluation" / "nodules.csv")
    baseline = pd.read_csv(out / "evaluation" / "baseline-nodules.csv")
    truth = pd.read_csv(out / "scans" / "nodules.csv")[[*key, "shape", "density", "attachment"]]
    table = ours.merge(truth, on=key).merge(
        baseline[[*key, "found"]].rename(columns={"found": "baseline_found"}), on=key
    )
    columns = ["diameter_mm", "shape", "density", "attachment", "found", "dice", "baseline_found"]
    return table[[*key, *columns]]


def _measured(out: Path, scan_id: str) -> pd.DataFrame:
    table = pd.read_csv(out / "prediction" / f"{scan_id}.csv")
    places = [f"centroid_{axis}_mm" for axis in "xyz"]
    columns = ["volume_mm3", "long_axis_mm", "short_axis_mm", "mean_hu", "mean_probability"]
    return table[["label", *places, *columns]].round(2)


def _facts(
    plan: DemoPlan, seed: int, results: Results, seconds: Mapping[str, float]
) -> dict[str, object]:
    return {
        "recipe": "ct-lns with " + ", ".join(f"{k} = {v}" for k, v in plan.changes.items()),
        "phantoms": f"seed {seed}; {plan.train} train, {plan.val} val, {plan.test} test",
        "nodules to test": results["evaluate"]["nodules"],
        "prediction": results["evaluate"]["engine"],
        "seconds": ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "version": f"napari-ctlns {__version__}, Python {platform.python_version()}",
    }
