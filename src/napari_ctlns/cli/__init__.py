"""``ctlns``: each command is a few lines that call one function of a room.

Nothing heavy is imported before the command that needs it runs.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import ValidationError

from napari_ctlns import __version__
from napari_ctlns.cli import (
    click_command,
    cohort_command,
    froc_command,
    growth_command,
    importing_command,
    learning_commands,
    making_commands,
    report_commands,
    scan_commands,
    tuning_command,
    window_command,
)
from napari_ctlns.errors import CtlnsError
from napari_ctlns.jobs.console import INTERRUPTED, UnexpectedError
from napari_ctlns.recipe import first_problem

BAD_INPUT = 2
BUG = 1

# typer brings its own copy of click in some versions and click itself in others
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-ctlns {__version__}")
        raise typer.Exit


@app.callback()
def _ctlns(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Lung nodules in CT: from a scan to measured, exported masks. Not a medical device."""


for _commands in (
    making_commands,
    scan_commands,
    report_commands,
    froc_command,
    click_command,
    growth_command,
    learning_commands,
    importing_command,
    tuning_command,
    cohort_command,
    window_command,
):
    _commands.add_to(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        The words after ``ctlns``; None: those of this process.

    Returns
    -------
    int
        0; 2 for bad input and 1 for a bug, after one line on standard error; 3 if some
        scans of a cohort failed; 130 after Ctrl-C. With ``CTLNS_DEBUG=1`` the traceback
        comes before that line.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may lack characters
            stream.reconfigure(errors="replace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = typer.main.get_command(app).main(
            args=click_command.with_places_joined(words) or ["--help"],
            prog_name="ctlns",
            standalone_mode=False,
        )
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _UsageError as error:
        return _fail(error, _usage_words(error), BAD_INPUT)
    except ValidationError as error:  # a value that a spec does not allow
        return _fail(error, first_problem(error), BAD_INPUT)
    except CtlnsError as error:
        return _fail(error, str(error), BAD_INPUT)
    except UnexpectedError as error:
        return _fail(error, str(error), BUG)
    except Exception as error:  # noqa: BLE001 - no person should see a traceback unasked
        unexpected = f"unexpected {type(error).__name__}: {error}; please report it"
        return _fail(error, unexpected, BUG)
    return status if isinstance(status, int) else 0


def _usage_words(error: Exception) -> str:
    words = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return f"{words.rstrip('.')}; see `{context.command_path if context else 'ctlns'} --help`"


def _fail(error: Exception, words: str, status: int) -> int:
    if os.environ.get("CTLNS_DEBUG") == "1":
        traceback.print_exception(error)
        typer.echo(getattr(error, "detail", ""), err=True)
    typer.echo(f"error: {' '.join(words.split())}", err=True)
    return status


__all__ = ["app", "main"]
