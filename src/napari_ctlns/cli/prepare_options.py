"""What `prepare` may be told of what marks nodules, for one folder or a cohort."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ctlns.cli.splitting import SPLIT_FORMS, split_fields

ANNOTATIONS = Annotated[Path | None, typer.Option(help="A CSV like LUNA16's.")]
MASKS = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Masks named like their scans, DICOM SEG or RTSTRUCT."),
]
STRUCTURE = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A structure wanted of the masks; repeatable."),
]
LIDC_XML = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The readers' contours of LIDC-IDRI.")
]
LIDC_SHARE = Annotated[
    float, typer.Option(min=0.01, max=1, help="Share of readers who must agree.")
]
SPLITS = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|RULE",
        help="Which patients are for what, a file or: " + ", ".join(SPLIT_FORMS),
    ),
]
PATIENTS = Annotated[Path | None, typer.Option(help="CSV: scan_id, patient_id.")]
SKIP_BAD_ROWS = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave out annotations that make no sense.")
]


def prepare_options(
    annotations: Path | None,
    masks: Path | None,
    structure: list[str] | None,
    lidc_xml: Path | None,
    lidc_share: float,
    splits: str | None,
    patients: Path | None,
    skip_bad_rows: bool,
) -> dict[str, Any]:
    """Return these options as fields of a spec, paths made absolute."""
    return {
        "annotations": absolute(annotations),
        "masks": absolute(masks),
        "structures": tuple(structure or ()),
        "lidc_xml": absolute(lidc_xml),
        "lidc_share": lidc_share,
        **split_fields(splits),
        "patients": absolute(patients),
        "skip_bad_rows": skip_bad_rows,
    }


def absolute(path: Path | None) -> Path | None:
    """Return a path that another process can use wherever it works."""
    return None if path is None else path.absolute()
