"""Commands that teach a model, judge it and use it."""

import contextlib
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ctlns.cli.options import (
    CHANGES,
    DEVICE,
    JSON,
    RECIPE,
    SERIES,
    STRICT,
    DeviceName,
    changed_recipe,
    print_json,
    print_table,
    recipe_of,
    run_job,
)
from napari_ctlns.cli.predict_options import (
    MIN_DIAMETER,
    MODELS,
    SEED_THRESHOLD,
    SPLIT_TOUCHING,
    THRESHOLD,
    TTA,
    WHOLE,
    WINDOW,
    which_models,
)
from napari_ctlns.cli.prepare_options import (
    ANNOTATIONS,
    LIDC_SHARE,
    LIDC_XML,
    MASKS,
    PATIENTS,
    SKIP_BAD_ROWS,
    SPLITS,
    STRUCTURE,
    absolute,
    prepare_options,
)
from napari_ctlns.errors import CtlnsError, OutputError, RunError
from napari_ctlns.jobs.registry import JOBS, start_job
from napari_ctlns.recipe import Recipe, load_recipe, parse_changes
from napari_ctlns.specs import EvaluateSpec, LearnSpec, PredictSpec, PrepareSpec, TrainSpec

RUN = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that a training writes.")]


class SplitName(StrEnum):
    """Which scans of a dataset."""

    train = "train"
    val = "val"
    test = "test"


class VerbName(StrEnum):
    """What a training may be asked."""

    pause = "pause"
    go = "go"
    stop = "stop"


def prepare(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A folder of scans, or one scan.")
    ],
    out: Annotated[Path, typer.Option(help="The dataset to make, or to add to.")],
    recipe: RECIPE = "ct-lns",
    annotations: ANNOTATIONS = None,
    masks: MASKS = None,
    structure: STRUCTURE = None,
    lidc_xml: LIDC_XML = None,
    lidc_share: LIDC_SHARE = 0.5,
    splits: SPLITS = None,
    patients: PATIENTS = None,
    skip_bad_rows: SKIP_BAD_ROWS = False,
    changes: CHANGES = None,
    strict: STRICT = False,
) -> None:
    """Make a dataset of scans and what marks their nodules."""
    options = prepare_options(
        annotations, masks, structure, lidc_xml, lidc_share, splits, patients, skip_bad_rows
    )
    spec = PrepareSpec(
        source=source.absolute(),
        out=out.absolute(),
        recipe=recipe_of(recipe, changes),
        strict=strict,
        **options,
    )
    run_job(lambda control: start_job(JOBS["prepare"], spec, control))


def train(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="What `ctlns prepare` made.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|TOML",
            help="A built-in recipe or a file; else the model's, the run's, or ct-lns.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the scans.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Patches a step.")] = None,
    num_workers: Annotated[int | None, typer.Option(min=0, help="Threads for patches.")] = None,
    augmented: Annotated[
        bool | None, typer.Option("--augmented/--no-augmented", help="Change patches at random.")
    ] = None,
    changes: CHANGES = None,
    start_from: Annotated[
        Path | None, typer.Option("--from", metavar="MODEL", help="Start with its weights.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    device: DEVICE = DeviceName.auto,
) -> None:
    """Train a model in a run folder."""
    from napari_ctlns.jobs.training import run_training

    chosen = _recipe_to_train(recipe, out if resume else None, start_from)
    numbers = {"epochs": epochs, "batch_size": batch_size, "num_workers": num_workers}
    flags: dict[str, Any] = {
        f"optimisation.{name}": value for name, value in numbers.items() if value is not None
    }
    if augmented is not None:
        flags["augmentation.enabled"] = augmented
    spec = TrainSpec(
        dataset=dataset.absolute(),
        out=out.absolute(),
        recipe=changed_recipe(chosen, changes, flags),
        start_from=absolute(start_from),
        resume=resume,
        device=device.value,
    )
    with contextlib.redirect_stdout(sys.stderr):
        run_training(spec)


def learn(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A dataset with corrected scans.")
    ],
    start_from: Annotated[
        Path, typer.Option("--from", metavar="MODEL", help="The model that is to learn; it stays.")
    ],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    steps: Annotated[int, typer.Option(min=1, help="How long is learned, about.")] = 600,
    corrected_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Of the patches, those of corrected scans.")
    ] = 0.35,
    most_earlier: Annotated[
        int, typer.Option(min=0, help="Earlier held-out scans to look at, at most.")
    ] = 10,
    changes: CHANGES = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    device: DEVICE = DeviceName.auto,
) -> None:
    """Let a model learn from corrected scans, and compare it with what it was."""
    from napari_ctlns.jobs.training import run_training

    spec = LearnSpec(
        dataset=dataset.absolute(),
        model=start_from.absolute(),
        out=out.absolute(),
        steps=steps,
        corrected_share=corrected_share,
        most_earlier=most_earlier,
        changes=parse_changes(changes or ()),
        resume=resume,
        device=device.value,
    )
    with contextlib.redirect_stdout(sys.stderr):
        finished = run_training(spec, JOBS["learn"])
    if not finished.stopped:
        typer.echo((spec.out / "comparison.txt").read_text("utf-8"), nl=False)


def watch(run: RUN) -> None:
    """Follow a training; Ctrl-C does not end it."""
    from napari_ctlns.jobs import watch as events_of
    from napari_ctlns.jobs.console import UnexpectedError, show

    events = events_of(run)
    try:
        show(events)
    except (CtlnsError, UnexpectedError) as error:  # how it ended is no fault of this command
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("the training goes on; `ctlns control RUN stop` stops it", err=True)
        raise


def control(
    run: RUN, verb: Annotated[VerbName, typer.Argument(metavar="pause|go|stop", help="What to do.")]
) -> None:
    """Pause a training, let it go on, or stop it."""
    from napari_ctlns.jobs import control_run

    control_run(run, verb.value)


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder.")],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="What `ctlns prepare` made.")],
    split: Annotated[SplitName, typer.Option(help="Which scans.")] = SplitName.test,
    out: Annotated[Path | None, typer.Option(help="Where the report goes.")] = None,
    device: DEVICE = DeviceName.auto,
    json: JSON = False,
) -> None:
    """Compare what a model finds with what is true."""
    spec = EvaluateSpec(
        model=model.absolute(),
        dataset=dataset.absolute(),
        split=split.value,
        out=absolute(out),
        device=device.value,
    )
    result = run_job(lambda control: start_job(JOBS["evaluate"], spec, control))
    if json:
        print_json(result)
    else:
        from napari_ctlns.evaluation.text import with_intervals

        print_table(with_intervals(result))


def predict(
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="A readable file or DICOM folder.")],
    model: MODELS,
    out: Annotated[
        str,
        typer.Option(
            metavar="MASK|FOLDER/",
            help="The mask to write; its extension says how. In a folder: SCAN_pred.nii.gz.",
        ),
    ],
    probability: Annotated[Path | None, typer.Option(help="Also write the probability.")] = None,
    uncertainty: Annotated[
        Path | None, typer.Option(help="Also write how far models or mirror images disagree.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Also write the nodule table.")] = None,
    candidates: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Also write candidates like LUNA16's.")
    ] = None,
    threshold: THRESHOLD = None,
    seed_threshold: SEED_THRESHOLD = None,
    min_diameter: MIN_DIAMETER = None,
    split_touching: SPLIT_TOUCHING = None,
    tta: TTA = False,
    window: WINDOW = None,
    whole: WHOLE = False,
    device: DEVICE = DeviceName.auto,
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Find the nodules of a scan, or its lungs."""
    if uncertainty is not None and len(model) == 1 and not tta:
        raise OutputError("no uncertainty of one answer; give --model again, or --tta")
    spec = PredictSpec(
        scan=scan.absolute(),
        **which_models(model),
        mask=_mask_path(out, scan),
        probability=absolute(probability),
        uncertainty=absolute(uncertainty),
        table=absolute(table),
        candidates=absolute(candidates),
        threshold=threshold,
        seed_threshold=seed_threshold,
        min_diameter_mm=min_diameter,
        split_touching=split_touching,
        mirrored=tta,
        window=window,
        whole=whole,
        device=device.value,
        series=series,
        strict=strict,
    )
    run_job(lambda control: start_job(JOBS["predict"], spec, control))


def _mask_path(out: str, scan: Path) -> Path:
    """Return the mask that is meant: in a folder, one named after its scan."""
    if not (out.endswith(("/", os.sep)) or Path(out).is_dir()):
        return Path(out).absolute()
    from napari_ctlns.formats.images import file_stem

    return Path(out).absolute() / f"{file_stem(scan.absolute())}_pred.nii.gz"


def _recipe_to_train(name: str | None, run: Path | None, start_from: Path | None) -> Recipe:
    """Return the recipe that is meant: the one named, the run's, the model's, the default."""
    if name is not None:
        return load_recipe(name)
    if run is not None:
        if not (run / "recipe.toml").is_file():
            raise RunError(f"{run} holds no run to resume; leave out --resume to start one")
        return load_recipe(run / "recipe.toml")
    if start_from is not None:
        from napari_ctlns.inference.model import read_card

        return read_card(start_from).recipe
    return load_recipe("ct-lns")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (prepare, train, learn, watch, control, evaluate, predict):
        app.command()(command)
