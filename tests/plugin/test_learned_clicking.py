"""A click that a model in the child answers."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from scipy import ndimage

import napari_ctlns
from napari_ctlns.errors import ClickError
from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.masks.click import Clicks
from napari_ctlns.masks.islands import Part
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.clicking import Clicking, clicking_of
from napari_ctlns.plugin.learned_clicking import (
    LearnedClick,
    files_for,
    method_in_words,
    model_for_clicks,
)
from napari_ctlns.plugin.panels.click_panel import ClickPanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Geometry, Volume

from .conftest import BALLS

SOURCE = Path(napari_ctlns.__file__).parents[1]
HERE = Path(__file__).parent
LONG = 60_000


def write_card_of(folder: Path, recipe: str) -> Path:
    """A model without weights: what runs it here is made up."""
    folder.mkdir(parents=True)
    card = ModelCard(recipe=load_recipe(recipe))
    (folder / CARD).write_text(card.model_dump_json(), "utf-8")
    return folder


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    return write_card_of(tmp_path / "run-7" / "best", "click")


@pytest.fixture
def child(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    child = ChildProcess(command=(sys.executable, str(HERE / "fake_click.py")))
    yield child
    child.close()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def last_of(qtbot: QtBot, work: LearnedClick) -> Event:
    events: list[Event] = []
    work.came.connect(events.append)
    qtbot.waitUntil(lambda: work.over, timeout=LONG)
    return events[-1]


def place_of(volume: Volume, ball: int) -> tuple[float, float, float]:
    x, y, z = volume.geometry.index_to_world(BALLS[ball][0]).tolist()
    return x, y, z


def test_the_nodule_comes_back_where_it_lies_in_the_scan(
    qtbot: QtBot, child: ChildProcess, volume: Volume, taught: Path, temporary: Path
) -> None:
    for ball in range(len(BALLS)):
        clicks = Clicks((place_of(volume, ball),))
        end = last_of(qtbot, LearnedClick(child, volume, clicks, taught))
        assert isinstance(end, Finished)
        part = end.result["value"]
        mask = np.zeros(volume.geometry.shape, bool)
        mask[part.box] = part.inside
        assert mask[BALLS[ball][0]]
        assert (volume.array[mask] == 60).all()
        assert np.count_nonzero(mask) == part.voxels > 10
    assert not list(temporary.iterdir())


def test_only_what_the_model_looks_at_is_sent(volume: Volume, taught: Path, tmp_path: Path) -> None:
    wide = Volume(np.tile(volume.array, (1, 4, 4)), Geometry((24, 192, 192)))
    spec, start = files_for(wide, Clicks(((150.0, 20.0, 10.0),)), taught, tmp_path)
    voxels = sum(path.stat().st_size for path in tmp_path.glob("part*"))
    assert voxels < 24 * 60 * 60 * 2
    assert start[2] > 100
    assert spec.model.is_absolute()


def test_what_goes_wrong_comes_as_words_and_leaves_no_file(
    qtbot: QtBot,
    child: ChildProcess,
    volume: Volume,
    taught: Path,
    temporary: Path,
    tmp_path: Path,
) -> None:
    lung = tuple(volume.geometry.index_to_world((2, 24, 24)).tolist())
    plain = write_card_of(tmp_path / "plain", "ct-lns")
    for at, model, words in (
        (lung, taught, "nothing like a nodule"),
        ((900.0, 0.0, 0.0), taught, "outside the scan"),
        (lung, plain, "takes no clicks"),
        (lung, tmp_path / "gone", "no model"),
    ):
        end = last_of(qtbot, LearnedClick(child, volume, Clicks((at,)), model))
        assert isinstance(end, Failed)
        assert words in end.message
    assert not list(temporary.iterdir())


def test_a_click_can_be_stopped(
    qtbot: QtBot, child: ChildProcess, volume: Volume, taught: Path, temporary: Path
) -> None:
    work = LearnedClick(child, volume, Clicks((place_of(volume, 0),)), taught)
    work.stop()
    end = last_of(qtbot, work)
    assert isinstance(end, Finished)
    assert end.stopped
    assert not list(temporary.iterdir())


def test_the_first_model_that_takes_clicks_is_used_and_named(taught: Path, tmp_path: Path) -> None:
    plain = write_card_of(tmp_path / "plain", "ct-lns")
    assert model_for_clicks([tmp_path / "gone", plain, taught]) == taught
    assert model_for_clicks([plain]) is None
    assert method_in_words(taught) == "with the model run-7/best (click)"
    assert "without a model" in method_in_words(None)
    assert "takes no clicks" in method_in_words(plain)


@pytest.fixture
def clicking(
    model_session: Session, volume: Volume, child: ChildProcess, monkeypatch: pytest.MonkeyPatch
) -> Clicking:
    """Clicks on the scan with its two balls, in a session whose children are made up."""
    monkeypatch.setattr(model_session, "new_child", lambda: child)
    model_session.add_scan(volume)
    return clicking_of(model_session)


def canvas_place(volume: Volume, ball: int) -> np.ndarray:
    geometry = volume.geometry
    return np.array(BALLS[ball][0]) * geometry.spacing + geometry.origin[::-1]


def test_a_chosen_model_that_takes_clicks_is_used(
    qtbot: QtBot, clicking: Clicking, model_session: Session, volume: Volume, taught: Path
) -> None:
    assert "without a model" in clicking.method
    model_session.choose_model(taught)
    clicking.get_ready()
    qtbot.waitUntil(lambda: clicking.model.used == taught, timeout=LONG)
    assert clicking.method == "with the model run-7/best (click)"
    clicking.click("new", canvas_place(volume, 0))
    qtbot.waitUntil(lambda: not clicking.busy, timeout=LONG)
    assert model_session.mask is not None
    drawn = model_session.mask.data > 0
    assert np.array_equal(drawn, labels_of(volume) == labels_of(volume)[BALLS[0][0]])


def test_a_person_may_go_without_it(
    qtbot: QtBot, clicking: Clicking, model_session: Session, volume: Volume, taught: Path
) -> None:
    model_session.choose_model(taught)
    clicking.get_ready()
    qtbot.waitUntil(lambda: clicking.model.found == taught, timeout=LONG)
    clicking.model.want(False)
    assert "without a model" in clicking.method
    asked: list[Clicks] = []

    def none(_scan: Volume, clicks: Clicks) -> Part:
        asked.append(clicks)
        raise ClickError("nothing here")

    clicking.segmenter = none
    clicking.click("new", canvas_place(volume, 0))
    qtbot.waitUntil(lambda: not clicking.busy, timeout=LONG)
    assert len(asked) == 1


def test_what_the_model_refuses_is_said(
    qtbot: QtBot, clicking: Clicking, model_session: Session, volume: Volume, taught: Path
) -> None:
    said: list[tuple[str, bool]] = []
    clicking.said.connect(lambda words, trouble: said.append((words, trouble)))
    model_session.choose_model(taught)
    clicking.get_ready()
    qtbot.waitUntil(lambda: clicking.model.used == taught, timeout=LONG)
    clicking.click("new", np.add(canvas_place(volume, 0), [0, 0, 12]))
    qtbot.waitUntil(lambda: bool(said), timeout=LONG)
    assert said == [("nothing like a nodule at the click; click on its middle", True)]
    assert model_session.mask is None


def test_the_panel_says_what_is_in_use_and_lets_one_choose(
    qtbot: QtBot, clicking: Clicking, model_viewer: ViewerModel, taught: Path
) -> None:
    panel = ClickPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.with_model.isEnabled()
    assert "recipe click" in panel.with_model.toolTip()
    clicking.model._session.choose_model(taught)
    clicking.get_ready()
    qtbot.waitUntil(panel.with_model.isEnabled, timeout=LONG)
    assert panel.with_model.isChecked()
    assert "with the model run-7/best (click)" in panel.method.text()
    panel.with_model.click()
    assert "without a model" in panel.method.text()
    assert not panel.with_model.isChecked()


def labels_of(volume: Volume) -> np.ndarray:
    labels, _ = ndimage.label(volume.array == 60)
    return np.asarray(labels)
