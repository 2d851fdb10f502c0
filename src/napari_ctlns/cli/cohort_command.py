"""Commands on many scans, on Dask."""

from pathlib import Path
from typing import Annotated

import typer

from napari_ctlns.cli.options import (
    CHANGES,
    DEVICE,
    RECIPE,
    STRICT,
    DeviceName,
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
    prepare_options,
)
from napari_ctlns.jobs.registry import JOBS, start_job
from napari_ctlns.specs import CohortSpec, MeasureMany, PredictMany, PrepareMany

SOME_FAILED = 3

SCANS = Annotated[
    list[str],
    typer.Argument(metavar="SCANS...", help="Scan files, folders with scans, or patterns."),
]
SCHEDULER = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers see the same paths."),
]
WORKERS = Annotated[
    int | None, typer.Option(min=1, help="Processes of this machine that work at once.")
]

cohort = typer.Typer(help="Prepare, predict or measure many scans.", rich_markup_mode=None)


@cohort.command()
def prepare(
    scans: SCANS,
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
    scheduler: SCHEDULER = None,
    workers: WORKERS = None,
) -> None:
    """Make a dataset of many scans and what marks their nodules."""
    options = prepare_options(
        annotations, masks, structure, lidc_xml, lidc_share, splits, patients, skip_bad_rows
    )
    work = PrepareMany(recipe=recipe_of(recipe, changes), strict=strict, **options)
    _run(scans, out, work, scheduler, workers)


@cohort.command()
def predict(
    scans: SCANS,
    model: MODELS,
    out: Annotated[Path, typer.Option(help="The folder for masks, tables and the manifest.")],
    probability: Annotated[
        bool, typer.Option("--probability", help="Also write the probabilities.")
    ] = False,
    threshold: THRESHOLD = None,
    seed_threshold: SEED_THRESHOLD = None,
    min_diameter: MIN_DIAMETER = None,
    split_touching: SPLIT_TOUCHING = None,
    tta: TTA = False,
    window: WINDOW = None,
    whole: WHOLE = False,
    device: DEVICE = DeviceName.auto,
    strict: STRICT = False,
    scheduler: SCHEDULER = None,
    workers: WORKERS = None,
) -> None:
    """Find the nodules of many scans, or their lungs."""
    work = PredictMany(
        **which_models(model),
        probability=probability,
        threshold=threshold,
        seed_threshold=seed_threshold,
        min_diameter_mm=min_diameter,
        split_touching=split_touching,
        mirrored=tta,
        window=window,
        whole=whole,
        device=device.value,
        strict=strict,
    )
    _run(scans, out, work, scheduler, workers)


@cohort.command()
def measure(
    scans: SCANS,
    masks: Annotated[
        Path, typer.Option(metavar="DIR", help="Masks named like their scans, or DICOM SEG.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the tables and the manifest.")],
    strict: STRICT = False,
    scheduler: SCHEDULER = None,
    workers: WORKERS = None,
) -> None:
    """Measure every nodule of many scans and their masks."""
    work = MeasureMany(masks=masks.absolute(), strict=strict)
    _run(scans, out, work, scheduler, workers)


def _run(
    scans: list[str],
    out: Path,
    work: PrepareMany | PredictMany | MeasureMany,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Do a cohort, and say what became of it; the exit status tells whether a scan failed."""
    spec = CohortSpec(
        scans=tuple(str(Path(scan).absolute()) for scan in scans),
        out=out.absolute(),
        work=work,
        scheduler=scheduler,
        workers=workers,
    )
    result = run_job(lambda control: start_job(JOBS["cohort"], spec, control))
    typer.echo(f"{result['done']} done, {result['failed']} failed: {result['manifest']}")
    if result["failed"]:
        raise typer.Exit(SOME_FAILED)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(cohort, name="cohort")
