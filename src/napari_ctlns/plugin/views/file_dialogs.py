"""Asking where to save: the dialog, and the extension that a name lacks."""

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_ctlns.errors import OutputError

ALL_FILES = "All files (*)"
PROJECT_FILES = "Projects (*.ctlns)"


def ask_save_path(
    parent: QWidget, title: str, start: Path | str, kinds: Sequence[str]
) -> Path | None:
    """Let a person choose where to save; None if they did not.

    Parameters
    ----------
    parent
        Over which the dialog lies.
    title
        Of the dialog.
    start
        The folder and name to begin with.
    kinds
        The file filters of the dialog, the usual one first, like "CSV (*.csv)".

    Raises
    ------
    OutputError
        As `with_extension`.
    """
    said, kind = QFileDialog.getSaveFileName(parent, title, str(start), ";;".join(kinds))
    return with_extension(Path(said), kind or kinds[0], kinds) if said else None


def with_extension(path: Path, kind: str, kinds: Sequence[str]) -> Path:
    """Return a path that ends as one of the kinds; one that does not gets the end of ``kind``.

    Where one of the kinds is `ALL_FILES`, any extension will do.

    Parameters
    ----------
    path
        What the dialog gave.
    kind, kinds
        The file filters of the dialog, the chosen one and all, like "CSV (*.csv)".

    Raises
    ------
    OutputError
        If a file has the longer name: the dialog did not ask whether to replace it.
    """
    known = [end for some in kinds if some != ALL_FILES for end in _ends(some)]
    if path.name.lower().endswith(tuple(known)) or (ALL_FILES in kinds and path.suffix):
        return path
    end = known[0] if kind == ALL_FILES else _ends(kind)[0]
    longer = path.with_name(path.name + end)
    if longer.exists():
        raise OutputError(f"{longer.name} is there already; choose it, or another name")
    return longer


def _ends(kind: str) -> list[str]:
    return [end.removeprefix("*") for end in kind.partition("(")[2].rstrip(")").split()]
