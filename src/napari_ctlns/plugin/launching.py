"""Starting napari with scans, projects, a training and a model already there."""

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ctlns.errors import CtlnsError, ScanError

if TYPE_CHECKING:
    from napari import Viewer

_TOOLKITS = ("PyQt6", "PySide6")
_NEED_A_DISPLAY = ("", "xcb", "wayland", "wayland-egl")


@dataclass(frozen=True)
class Wanted:
    """What paths on the command line mean."""

    files: tuple[Path, ...] = ()
    projects: tuple[Path, ...] = ()
    run: Path | None = None
    model: Path | None = None


def run(paths: Iterable[Path], series: str | None = None, strict: bool = False) -> None:
    """Open a window with everything in it, and stay until it is closed.

    Raises
    ------
    CtlnsError
        If a path cannot be opened, or there can be no window; none was opened then.
    """
    open_window(paths, series, strict)
    import napari

    napari.run()


def open_window(paths: Iterable[Path], series: str | None = None, strict: bool = False) -> "Viewer":
    """Open a window with everything in it, but don't run its event loop.

    All files are read before there is a window, so that what is wrong with them
    is told where the command was typed.

    Parameters
    ----------
    paths
        Scans, masks, tables of annotations, folders of these, projects, a run, a model.
    series, strict
        As for `formats.read_scan`.

    Raises
    ------
    CtlnsError
        If a path cannot be opened, or there can be no window.
    """
    wanted = sort_paths(paths)
    refuse_without_window()
    from napari_ctlns.plugin.project_file import read_project_file
    from napari_ctlns.plugin.reading import read_files
    from napari_ctlns.plugin.settings import read_settings

    projects = [read_project_file(path) for path in wanted.projects]
    found = read_files(
        wanted.files,
        open_scans=[scan for project in projects for scan in project.scans.values()],
        window=read_settings().window,
        series=series,
        strict=strict,
    )
    import napari
    from napari.layers import Layer
    from napari.utils.notifications import show_warning

    from napari_ctlns.plugin.project import restore
    from napari_ctlns.plugin.session import session_of

    viewer = napari.Viewer()
    session = session_of(viewer)
    for data in found.layers:
        viewer.add_layer(Layer.create(*data))
    for project in projects:
        restore(session, project)
    if wanted.run is not None:
        session.watch_run(wanted.run)
    if wanted.model is not None:
        session.choose_model(wanted.model)
    _open_panels(viewer, wanted)
    for words in (*found.warnings, *(w for project in projects for w in project.warnings)):
        show_warning(words)
    return viewer


def sort_paths(paths: Iterable[Path]) -> Wanted:
    """Tell files, projects, runs and models apart.

    Raises
    ------
    CtlnsError
        If a path does not exist, or there are several runs or models.
    """
    from napari_ctlns.inference.model import CARD
    from napari_ctlns.plugin.project_file import PROJECT_SUFFIX

    files, projects, runs, models = [], [], [], []
    for path in paths:
        if not path.exists():
            raise ScanError(f"no such file or folder: {path}; check the name")
        if (path / "events.jsonl").is_file():
            runs.append(path.absolute())
        elif (path / CARD).is_file():
            models.append(path.absolute())
        elif path.suffix.lower() == PROJECT_SUFFIX:
            projects.append(path)
        else:
            files.append(path)
    for several, what in ((runs, "runs"), (models, "models")):
        if len(several) > 1:
            named = ", ".join(path.name for path in several)
            raise CtlnsError(f"several {what}: {named}; a window shows one, open one at a time")
    return Wanted(
        files=tuple(files),
        projects=tuple(projects),
        run=runs[0] if runs else None,
        model=models[0] if models else None,
    )


def refuse_without_window(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> None:
    """Say in words why there can be no window; Qt would end the process without any.

    Raises
    ------
    CtlnsError
        If no window toolkit is installed, or Linux has no display.
    """
    if not any(importlib.util.find_spec(name) for name in _TOOLKITS):
        raise CtlnsError('no window toolkit: pip install "napari-ctlns[all]"')
    wanted = environment.get("QT_QPA_PLATFORM", "").split(";")[0].split(":")[0]
    there = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if platform.startswith("linux") and wanted in _NEED_A_DISPLAY and not there:
        raise CtlnsError(
            "no display to open a window on: log in to a desktop, use ssh -X, or xvfb-run"
        )


def _open_panels(viewer: "Viewer", wanted: Wanted) -> None:
    """Dock the panels that what was opened is for, one behind the other, the fittest in front."""
    from napari_ctlns.plugin.settings import PLUGIN

    names = ["Scan"]
    if wanted.model is not None:
        names.append("Predict")
    if wanted.run is not None:
        names.append("Train")
    for place, name in enumerate(names):
        dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=place > 0)
    dock.raise_()
