"""The command that makes a mask of clicks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ctlns.cli.options import SERIES, STRICT
from napari_ctlns.cli.scan_commands import SCAN, read_for_command
from napari_ctlns.volume import Triple

PLACES = ("--at", "--not-at")


def _place(words: str) -> Triple:
    try:
        x, y, z = (float(word) for word in words.split())
    except ValueError:
        raise typer.BadParameter("give three numbers, X Y Z in LPS mm") from None
    return (x, y, z)


def with_places_joined(words: Sequence[str]) -> list[str]:
    """Return the words of a command with the three numbers of a place as one word.

    An option that takes three words and may be repeated is more than typer knows.
    """
    joined: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word in PLACES and left:
            word, left = f"{word}={' '.join(left[:3])}", left[3:]
        joined.append(word)
    return joined


def click(
    scan: SCAN,
    at: Annotated[
        list[Any],
        typer.Option(parser=_place, metavar="X Y Z", help="A place in the nodule, LPS mm."),
    ],
    out: Annotated[Path, typer.Option(help="The mask to write; its extension says how.")],
    not_at: Annotated[
        list[Any] | None,
        typer.Option(parser=_place, metavar="X Y Z", help="Not in the nodule; repeatable."),
    ] = None,
    diameter: Annotated[
        float | None, typer.Option(metavar="MM", help="About how large the nodule is.")
    ] = None,
    tightness: Annotated[
        float, typer.Option(help="From -1, a loose border, to 1, a tight one.")
    ] = 0.0,
    model: Annotated[
        Path | None,
        typer.Option(help="A model that takes clicks, by the recipe click; else without one."),
    ] = None,
    table: Annotated[Path | None, typer.Option(help="The nodule table to write, too.")] = None,
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Find the nodule that lies at a place, without a model or with one, as a mask."""
    from napari_ctlns.formats import write_volume
    from napari_ctlns.masks.click import Clicks, click_mask, mask_of
    from napari_ctlns.measurement import measure, write_table

    volume = read_for_command(scan, series, strict)
    clicks = Clicks(tuple(at), tuple(not_at or ()), diameter, tightness)
    if model is None:
        part = click_mask(volume, clicks)
    else:
        from napari_ctlns.inference.clicked import learned_click

        part = learned_click(volume, clicks, model)
    nodule = mask_of(part, volume)
    rows = None if table is None else measure(nodule, volume)
    write_volume(nodule, out)
    if rows is not None and table is not None:
        write_table(rows, table)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(click)
