"""What becomes of work when the window closes."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from napari import Viewer
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QMessageBox

from napari_ctlns.jobs import detached, start_training
from napari_ctlns.jobs.run_folder import is_live
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import TrainSpec

FAKES = Path(__file__).parents[1] / "jobs" / "fake_jobs.py"


@pytest.fixture
def window(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    return make_napari_viewer(show=True)


@pytest.fixture
def run(window: Viewer, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training that the window started and that goes on."""

    def command(spec: TrainSpec, run: Path) -> list[str]:
        return [sys.executable, str(FAKES), "train", spec.model_dump_json()]

    monkeypatch.setattr(detached, "_command", command)
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    (dataset / "dataset.json").write_text("{}")
    run = tmp_path / "run"
    recipe = load_recipe("ct-lns").with_changes({"optimisation.epochs": 2000})
    start_training(TrainSpec(dataset=dataset, out=run, recipe=recipe))
    session_of(window).started_training(run)
    qtbot.waitUntil(lambda: '"progress"' in read(run), timeout=20_000)
    return run


def read(run: Path) -> str:
    path = run / "events.jsonl"
    return path.read_text("utf-8") if path.exists() else ""


def answer(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the question be answered by the button with these words; return what was asked."""
    asked: list[str] = []

    def exec_(question: QMessageBox) -> int:
        asked.append(question.text())
        (button,) = [b for b in question.buttons() if b.text().replace("&", "") == words]
        button.click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", exec_)
    return asked


def test_a_training_can_be_kept(
    window: Viewer, run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer("Keep training", monkeypatch)
    before = read(run)
    window.close()
    assert asked == ["run is still training."]
    qtbot.waitUntil(lambda: len(read(run)) > len(before))
    assert is_live(run)
    detached.kill_run(run)


def test_a_training_can_be_stopped(
    window: Viewer, run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("Stop it", monkeypatch)
    window.close()
    qtbot.waitUntil(lambda: not is_live(run), timeout=20_000)
    assert '"stopped":true' in read(run)


def test_closing_can_be_called_off(
    window: Viewer, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("Cancel", monkeypatch)
    window.window._qt_window.close()
    assert window.window._qt_window.isVisible()
    assert is_live(run)
    answer("Keep training", monkeypatch)
    detached.kill_run(run)


def test_nothing_is_asked_when_nothing_goes_on(
    window: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer("Cancel", monkeypatch)
    assert isinstance(session_of(window), Session)
    window.close()
    assert asked == []
