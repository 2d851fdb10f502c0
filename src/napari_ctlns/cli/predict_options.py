"""What says how models look at scans: for one scan and for many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

MODELS = Annotated[
    list[Path], typer.Option(help="A model folder; given again, models are averaged.")
]
THRESHOLD = Annotated[
    float | None, typer.Option(min=0, max=1, help="Probability of a nodule's voxels.")
]
SEED_THRESHOLD = Annotated[
    float | None, typer.Option(min=0, max=1, help="Probability to be reached somewhere.")
]
MIN_DIAMETER = Annotated[
    float | None, typer.Option(min=0, metavar="MM", help="Drop what is smaller.")
]
SPLIT_TOUCHING = Annotated[
    bool | None,
    typer.Option("--split-touching/--no-split-touching", help="Cut nodules at their necks."),
]
TTA = Annotated[bool, typer.Option("--tta", help="Look at mirror images too.")]
WINDOW = Annotated[
    tuple[int, int, int] | None,
    typer.Option(metavar="Z Y X", help="Voxels the network sees at once."),
]
WHOLE = Annotated[bool, typer.Option("--whole", help="Look outside the lungs too.")]


def which_models(models: Sequence[Path]) -> dict[str, Any]:
    """Return the fields of a spec that say which models look."""
    first, *more = (folder.absolute() for folder in models)
    return {"model": first, "more_models": tuple(more)}
