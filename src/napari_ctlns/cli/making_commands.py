"""Commands that make something to work with: the demo, phantoms, recipes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from napari_ctlns.cli.options import run_job
from napari_ctlns.events import Control, Event
from napari_ctlns.recipe import builtin_recipes, load_recipe


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("ctlns-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Where randomness is counted from.")] = 0,
) -> None:
    """Show the main job on phantoms, in minutes."""

    def work(control: Control) -> Iterator[Event]:
        from napari_ctlns.demo import demo as run_demo

        yield from run_demo(out.absolute(), seed, control)

    run_job(work)
    typer.echo(f"report: {out / 'report.html'}")


def phantom(
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    scans: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Where randomness is counted from.")] = 0,
    spacing: Annotated[
        tuple[float, float, float],
        typer.Option(metavar="Z Y X", help="Millimetres between voxels."),
    ] = (1.25, 0.75, 0.75),
) -> None:
    """Write synthetic chest scans with their truth."""
    from napari_ctlns.phantom import cohort_specs, write_cohort

    specs = cohort_specs(scans, seed, spacing)
    run_job(lambda control: write_cohort(out.absolute(), specs, control))


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The recipe to print as TOML.")
    ] = None,
) -> None:
    """List the recipes, or print one."""
    if name is not None:
        typer.echo(load_recipe(name).to_toml(), nl=False)
        return
    for known in builtin_recipes():
        typer.echo(f"{known}: {load_recipe(known).description}")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (demo, phantom, recipes):
        app.command()(command)
