"""`ctlns open`: everything is loaded and docked, or nothing is opened and words say why."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari import Viewer
from napari._qt.qt_main_window import Window
from qtpy.QtWidgets import QLabel

from napari_ctlns.cli import main
from napari_ctlns.errors import CtlnsError, ScanError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import write_annotations, write_volume
from napari_ctlns.plugin.launching import open_window, refuse_without_window, sort_paths
from napari_ctlns.plugin.project import save_project
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Volume


@pytest.fixture
def docked(
    make_napari_viewer: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, bool]]:
    """Windows of the tests, with words instead of panels: names of panels, and if tabified."""
    names: list[tuple[str, bool]] = []

    def dock(window: Window, plugin: str, name: str, tabify: bool = False) -> tuple[Any, Any]:
        assert plugin == "napari-ctlns"
        names.append((name, tabify))
        label = QLabel(name)
        return window.add_dock_widget(label, name=name, tabify=tabify), label

    monkeypatch.setattr(Window, "add_plugin_dock_widget", dock)
    monkeypatch.setattr(napari, "Viewer", make_napari_viewer)
    return names


@pytest.fixture
def folder(tmp_path: Path, volume: Volume, annotations: tuple[Annotation, ...]) -> Path:
    """One of everything that can be opened."""
    write_volume(volume, tmp_path / f"{volume.scan_id}.mha")
    write_volume(volume.mask((volume.array == 60).astype(np.uint8)), tmp_path / "mask.nrrd")
    write_annotations(tmp_path / "annotations.csv", annotations)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.jsonl").write_text("")
    (tmp_path / "run" / "best").mkdir()
    (tmp_path / "run" / "best" / "model.json").write_text("{}")
    return tmp_path


def test_a_window_opens_with_everything_in_it(
    docked: list[tuple[str, bool]], folder: Path, volume: Volume
) -> None:
    names = ["annotations.csv", "mask.nrrd", f"{volume.scan_id}.mha", "run", "run/best"]
    viewer = open_window(folder / name for name in names)
    session = session_of(viewer)
    assert session.volume.scan_id == volume.scan_id
    assert session.mask.name == "mask"
    assert session.annotations.name == "annotations"
    assert not any(session.is_unsaved(layer) for layer in viewer.layers)
    assert session.run == folder / "run"
    assert session.model == folder / "run" / "best"
    assert docked == [("Scan", False), ("Predict", True), ("Train", True)]


def test_a_project_is_restored(
    docked: list[tuple[str, bool]], folder: Path, model_session: Session, volume: Volume
) -> None:
    model_session.add_scan(volume)
    model_session.add_mask(volume.mask(np.zeros(volume.geometry.shape, np.uint8)), "drawn")
    save_project(model_session, folder / "a.ctlns")
    viewer = open_window([folder / "a.ctlns", folder / "annotations.csv"])
    assert {layer.name for layer in viewer.layers} == {volume.scan_id, "drawn", "annotations"}
    assert docked == [("Scan", False)]


def test_nothing_to_open_is_a_window_with_the_scan_panel(docked: list[tuple[str, bool]]) -> None:
    viewer = open_window([])
    assert len(viewer.layers) == 0
    assert docked == [("Scan", False)]


def test_it_runs_until_the_window_is_closed(
    docked: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    monkeypatch.setattr(napari, "run", lambda: ran.append(len(docked)))
    assert main(["open"]) == 0
    assert ran == [1]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["none.mha"], "no such file or folder"),
        (["mask.nrrd", "annotations.csv"], "open the scan first"),
        (["bad.mha"], "bad.mha"),
        (["bad.ctlns"], "damaged project"),
        (["run", "other"], "several runs: run, other"),
    ],
)
def test_bad_input_opens_no_window(
    folder: Path,
    names: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(napari, "Viewer", lambda: pytest.fail("a window opened"))
    (folder / "bad.mha").write_text("nothing")
    (folder / "bad.ctlns").write_text("nothing")
    (folder / "other").mkdir()
    (folder / "other" / "events.jsonl").write_text("")
    assert main(["open", *(str(folder / name) for name in names)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1


def test_a_folder_of_many_scans_is_refused(
    folder: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(napari, "Viewer", lambda: pytest.fail("a window opened"))
    for number in range(4):
        write_volume(volume, folder / f"scan{number}.mha")
    with pytest.raises(ScanError, match=r"^5 scans in .*--series"):
        open_window([folder])


def test_one_series_of_many_can_be_chosen(
    docked: list[tuple[str, bool]], shared_data: Path
) -> None:
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
    viewer = open_window([shared_data], series=uid)
    assert len(viewer.layers) == 1
    assert session_of(viewer).volume.scan_id == uid


def test_paths_are_told_apart(folder: Path) -> None:
    wanted = sort_paths([folder, folder / "run", folder / "run" / "best", folder / "mask.nrrd"])
    assert wanted.files == (folder, folder / "mask.nrrd")
    assert wanted.run == folder / "run"
    assert wanted.model == folder / "run" / "best"


# -- where there can be no window --------------------------------------------------------------


def test_a_missing_toolkit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CtlnsError, match=r'^no window toolkit: pip install "napari-ctlns\[all\]"$'):
        refuse_without_window()


@pytest.mark.parametrize(
    ("platform", "environment", "refused"),
    [
        ("linux", {}, True),
        ("linux", {"QT_QPA_PLATFORM": "xcb"}, True),
        ("linux", {"QT_QPA_PLATFORM": "wayland;xcb"}, True),
        ("linux", {"DISPLAY": ":0"}, False),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, False),
        ("linux", {"QT_QPA_PLATFORM": "offscreen"}, False),
        ("linux", {"QT_QPA_PLATFORM": "vnc:size=800x600"}, False),
        ("win32", {}, False),
        ("darwin", {}, False),
    ],
)
def test_a_missing_display_is_told(
    platform: str, environment: dict[str, str], refused: bool
) -> None:
    if not refused:
        refuse_without_window(platform, environment)
        return
    with pytest.raises(CtlnsError, match=r"^no display"):
        refuse_without_window(platform, environment)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux may have no display")
def test_the_command_says_so_instead_of_aborting() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment.pop("QT_QPA_PLATFORM", None)
    done = subprocess.run(
        [sys.executable, "-m", "napari_ctlns", "open"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no display")
    assert done.stderr.count("\n") == 1


def test_looking_at_the_paths_imports_no_napari(tmp_path: Path) -> None:
    words = (
        "import sys; from napari_ctlns.cli import main; "
        f"status = main(['open', {str(tmp_path / 'none.mha')!r}]); "
        "print(status, 'napari' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False", "False"]
