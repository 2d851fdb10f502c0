"""The Train panel: starting, watching and going on with trainings."""

import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFileDialog,
    QPushButton,
    QScrollArea,
    QWidget,
)

from napari_ctlns.atomic import write_text
from napari_ctlns.events import (
    Event,
    Failed,
    Finished,
    Log,
    Metric,
    Progress,
    Started,
    event_to_json,
)
from napari_ctlns.jobs.run_folder import State, write_state
from napari_ctlns.plugin import training_start
from napari_ctlns.plugin.panels import train_panel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.views.data_choice import DataChoice
from napari_ctlns.plugin.views.epoch_pictures import EpochPictures
from napari_ctlns.plugin.views.loss_plot import LossPlot
from napari_ctlns.plugin.views.recipe_choice import RecipeChoice
from napari_ctlns.plugin.views.recipe_form import RecipeForm
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.plugin.views.train_settings import TrainSettings
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import TrainSpec
from napari_ctlns.volume import Volume

T = TypeVar("T", bound=QWidget)
LONG = 150_000
STAND_IN = "no nodules to validate on: the training scans stand in"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the person chose in Preferences."""
    chosen = Settings("cpu", "fp32", "lung", tmp_path / "work")
    monkeypatch.setattr(train_panel, "read_settings", lambda: chosen)
    return chosen


@pytest.fixture
def open_panel(
    model_viewer: ViewerModel, model_session: Session, settings: Settings, qtbot: QtBot
) -> Iterator[Callable[[], "Hand"]]:
    """Open a Train panel; the session's child ends with the test."""
    held = []  # else it may be collected while it is drawn for the last time, after the test

    def open_() -> Hand:
        panel = TrainPanel(model_viewer)
        held.append(panel)
        qtbot.addWidget(panel)
        panel.show()
        return Hand(panel, qtbot)

    yield open_
    model_session.close()


@pytest.fixture
def hand(open_panel: Callable[[], "Hand"]) -> "Hand":
    return open_panel()


class Hand:
    """A person's eyes and hand on the panel."""

    def __init__(self, panel: TrainPanel, qtbot: QtBot) -> None:
        self.panel = panel
        self._qtbot = qtbot
        self.bar = self.find(RunBar)
        self.form = self.find(RecipeForm)
        self.data = self.find(DataChoice)
        self.settings = self.find(TrainSettings)

    def find(self, kind: type[T]) -> T:
        (found,) = self.panel.findChildren(kind)
        return found

    @property
    def plot(self) -> LossPlot:
        self._qtbot.waitUntil(lambda: bool(self.panel.findChildren(LossPlot)))
        return self.find(LossPlot)

    @property
    def pictures(self) -> EpochPictures:
        self._qtbot.waitUntil(lambda: bool(self.panel.findChildren(EpochPictures)))
        return self.find(EpochPictures)

    @property
    def status(self) -> str:
        return self.bar.said

    def button(self, words: str) -> QAbstractButton:
        (found,) = [b for b in self.panel.findChildren(QAbstractButton) if b.text() == words]
        return found

    def click(self, words: str) -> None:
        button = self.button(words)
        assert button.isEnabled(), button.toolTip()
        self._qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def unfold_all(self) -> None:
        for fold in (self.form.more, *self.form.sections.values()):
            fold.expand()

    def wait_for(self, words: str) -> None:
        self._qtbot.waitUntil(lambda: words in self.status, timeout=LONG)

    def write(self, key: str, text: str) -> None:
        widget = self.form.field(key).native
        widget.setFocus()
        widget.selectAll()
        self._qtbot.keyClicks(widget, text)
        self._qtbot.keyClick(widget, Qt.Key.Key_Tab)


# -- runs by hand -------------------------------------------------------------------


class Run:
    """A run folder that is written as a training writes it."""

    def __init__(self, folder: Path, epochs: int = 3) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.state("running")
        recipe = load_recipe("ct-lns").with_changes({"optimisation.epochs": epochs})
        (folder / "recipe.toml").write_text(recipe.to_toml(), "utf-8")
        spec = TrainSpec(dataset=folder.parent / "dataset", out=folder, recipe=recipe)
        (folder / "spec.json").write_text(spec.model_dump_json(), "utf-8")
        self._total = 10 * epochs
        self.tell(Started(title="Train ct-lns on dataset"))

    def state(self, state: State, alive: bool = True, host: str = "") -> None:
        said = write_state(self.folder, state)
        if not alive or host:
            there = {"host": host} if host else {"pid": 2**22 + 1}
            worker = said.worker.model_copy(update=there)
            text = said.model_copy(update={"worker": worker}).model_dump_json()
            write_text(self.folder / "state.json", text)

    def tell(self, *events: Event) -> None:
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(event_to_json(event) + "\n" for event in events)

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.tell(Metric(name="train/loss", step=step, value=1 / step))
            self.tell(Metric(name="train/learning_rate", step=step, value=1e-3))
            self.tell(Progress(done=step, total=self._total, unit="step"))
            if step % 10 == 0:
                for name in ("epoch/train_loss", "val/loss", "val/dice"):
                    self.tell(Metric(name=name, step=step, value=0.5))

    def preview(self, epoch: int, folder: str = "/elsewhere/previews") -> None:
        path = self.folder / "previews" / f"epoch-{epoch:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (60, 20), (10 * epoch, 0, 0)).save(path)
        line = {"event": "preview", "path": f"{folder}/{path.name}", "step": 10 * epoch}
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def checkpoint(self) -> None:
        (self.folder / "checkpoints").mkdir()
        (self.folder / "checkpoints" / "last.pt").touch()

    def finish(self) -> None:
        self.checkpoint()
        (self.folder / "best").mkdir()
        (self.folder / "best" / "model.json").write_text("{}")
        best = {"epoch": 2, "val_dice": 0.5}
        self.tell(Finished(result={"epochs": 3, "best": best}))
        self.state("finished")

    @property
    def asked(self) -> str:
        path = self.folder / "control.json"
        return json.loads(path.read_text())["command"] if path.exists() else ""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "work" / "runs" / "mine")


# -- a real one ---------------------------------------------------------------------


@pytest.fixture
def open_scan(model_session: Session, volume: Volume) -> Volume:
    """A scan and its mask, open."""
    model_session.add_scan(volume)
    model_session.add_mask(volume.mask((volume.array == 60).astype(np.uint8)), "nodules")
    return volume


def test_a_click_trains_on_the_layers_now_open(
    open_scan: Volume,
    hand: Hand,
    model_session: Session,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    # two threads wait for each other longer than they work, where others want the cores too
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    hand.write("optimisation.epochs", "2")
    hand.write("patches.size", "[16, 16, 16]")
    hand.unfold_all()
    hand.write("network.channels", "[4, 8]")
    hand.write("patches.per_scan", "8")
    hand.write("name", "small")
    hand.click("Start training")
    assert not hand.button("Start training").isEnabled()
    qtbot.waitUntil(lambda: model_session.run is not None, timeout=60_000)
    run = model_session.run
    assert run is not None
    assert run.parent == settings.working_folder / "runs"
    assert run.name.startswith("small-")
    assert model_session.running_trainings() == [run]
    hand.wait_for("Finished after 2 epochs; best Dice")
    qtbot.waitUntil(lambda: hand.plot.words.text().startswith("Epoch 2: loss"), timeout=10_000)
    assert hand.plot.points("train/loss") == 4
    assert hand.plot.points("val/dice") == 2
    qtbot.waitUntil(lambda: hand.pictures.picture.has_picture, timeout=LONG)
    assert hand.pictures.shown == run / "previews" / "epoch-0002.png"
    assert STAND_IN in hand.bar.remarks.text()
    assert model_session.model == run / "best"
    spec = TrainSpec.model_validate_json((run / "spec.json").read_bytes())
    assert spec.device == "cpu"
    assert spec.recipe.optimisation.precision == "fp32"
    datasets = settings.working_folder / "datasets"
    assert spec.dataset.parent == datasets
    # copies of layers go when the dataset is there
    qtbot.waitUntil(lambda: list(datasets.iterdir()) == [spec.dataset])


def test_what_is_wrong_with_the_data_is_said(
    hand: Hand, tmp_path: Path, volume: Volume, model_session: Session
) -> None:
    from napari_ctlns.formats import write_volume

    header = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    table = tmp_path / "annotations.csv"
    table.write_text(header + "other,0,0,0,5\n")
    scans = tmp_path / "scans"
    scans.mkdir()
    hand.data.scans.set_path(scans)
    hand.data.annotations.set_path(table)
    hand.click("Start training")
    hand.wait_for(f"no scans at {scans}")
    write_volume(volume, scans / "mine.mhd")
    hand.click("Start training")
    hand.wait_for("has annotations of other series only")
    table.write_text(header)
    hand.click("Start training")
    hand.wait_for("none of 1 scans has a nodule; annotate some first")
    assert hand.button("Start training").isEnabled()
    assert model_session.run is None
    assert not (tmp_path / "work" / "runs").exists()


def test_an_empty_mask_is_said(
    model_session: Session, volume: Volume, open_panel: Callable[[], Hand]
) -> None:
    model_session.add_scan(volume)
    model_session.add_mask(volume.mask(np.zeros(volume.array.shape, np.uint8)), "empty")
    hand = open_panel()
    hand.click("Start training")
    hand.wait_for("the masks are empty")


# -- before it starts ---------------------------------------------------------------


def why_not(hand: Hand) -> str:
    button = hand.button("Start training")
    return "" if button.isEnabled() else button.toolTip()


def test_what_lacks_is_in_the_tooltip(hand: Hand, tmp_path: Path, qtbot: QtBot) -> None:
    assert why_not(hand) == "Choose the folder that holds the scans"
    hand.data.way.setCurrentText("Open layers")
    assert "No open scan has a mask" in why_not(hand)
    hand.data.way.setCurrentText("Prepared dataset")
    assert "Choose a dataset" in why_not(hand)
    (tmp_path / "dataset.json").touch()
    hand.data.dataset.set_path(tmp_path)
    assert why_not(hand) == ""
    hand.write("patches.size", "[60, 64, 64]")
    assert "multiples of 8" in why_not(hand)
    hand.form.reset()
    hand.settings.folder.set_path(tmp_path)
    assert "not empty" in why_not(hand)
    hand.settings.folder.set_path(tmp_path / "new")
    assert why_not(hand) == ""


def test_open_layers_are_chosen_and_followed(
    open_scan: Volume, open_panel: Callable[[], Hand], model_session: Session
) -> None:
    hand = open_panel()
    assert hand.data.way.currentText() == "Open layers"
    assert why_not(hand) == ""
    model_session.viewer.layers.remove(model_session.mask)
    assert "No open scan has a mask" in why_not(hand)
    other = replace(open_scan, scan_id="other")
    model_session.add_scan(other)
    model_session.add_mask(other.mask(np.zeros(other.array.shape, np.uint8)), "its mask")
    assert why_not(hand) == ""
    assert [scan.scan_id for scan, _ in hand.data.data().pairs] == ["other"]


def test_a_recipe_may_be_a_file(hand: Hand, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "dataset.json").touch()
    hand.data.way.setCurrentText("Prepared dataset")
    hand.data.dataset.set_path(tmp_path)
    choice = hand.find(RecipeChoice)
    names = choice.names
    names.setCurrentIndex(names.count() - 1)
    assert why_not(hand) == "Choose a recipe file"
    assert not hand.form.isEnabled()
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[optimisation]\nepochs = 7\nprecision = "bf16"\n')
    choice.file.set_path(path)
    assert why_not(hand) == ""
    assert hand.form.recipe().optimisation.epochs == 7
    assert hand.form.recipe().optimisation.precision == "bf16"  # it says so itself
    path.write_text('name = "mine"\n[optimisation]\nepochz = 7\n')
    choice.file.set_path(None)
    choice.file.set_path(path)
    assert "epochz: no such key" in why_not(hand)
    names.setCurrentIndex(0)
    assert why_not(hand) == ""
    assert hand.form.recipe().optimisation.precision == "fp32"  # as in Preferences


def test_a_preparation_can_be_cancelled(
    open_scan: Volume,
    open_panel: Callable[[], Hand],
    model_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    def endless(_copies, control) -> Iterator[Event]:
        yield Started(title="Write the open layers")
        control.pause()
        control.wait_while_paused()
        yield Finished(stopped=control.stop_requested())

    monkeypatch.setattr(training_start, "write_copies", endless)
    hand = open_panel()
    hand.click("Start training")
    hand.wait_for("Write the open layers")
    assert not hand.button("Attach to a run…").isEnabled()
    # another panel takes it up
    hand.panel.close()
    hand = open_panel()
    assert not hand.button("Start training").isEnabled()
    qtbot.waitUntil(hand.bar.cancel.isVisible)
    hand.click("Stop")
    hand.wait_for("Cancelled; no training was started")
    assert model_session.run is None
    assert why_not(hand) == ""


# -- watching -----------------------------------------------------------------------


def test_a_run_that_goes_on_is_watched(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    run.tell(Log(message=STAND_IN, level="warning"), Log(message="2 scans"))
    run.steps(1, 12)
    model_session.watch_run(run.folder)
    place = hand.bar.place_shown
    qtbot.waitUntil(lambda: place() == "epoch 2 of 3, step 2 of 10", timeout=10_000)
    qtbot.waitUntil(lambda: hand.plot.points("train/loss") == 12, timeout=10_000)
    assert hand.plot.words.text().startswith("Epoch 1: loss 0.5")
    assert hand.bar.remarks.text() == STAND_IN
    assert hand.status == "2 scans"
    assert not hand.button("Start training").isEnabled()
    assert not hand.button("Resume").isEnabled()
    run.steps(13, 23)
    qtbot.waitUntil(lambda: hand.plot.points("train/loss") == 23, timeout=10_000)
    qtbot.waitUntil(lambda: place().startswith("epoch 3 of 3, step 3 of 10"), timeout=10_000)


def test_a_run_is_paused_goes_on_and_stops(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    model_session.watch_run(run.folder)
    run.steps(1, 2)
    qtbot.waitUntil(hand.bar.pause.isVisible)
    hand.click("Pause")
    assert run.asked == "pause"
    run.state("paused")
    qtbot.waitUntil(lambda: "paused" in hand.bar.place_shown())
    hand.click("Go on")
    assert run.asked == "go"
    run.state("running")
    hand.click("Stop")
    assert run.asked == "stop"
    assert hand.status == "Stopping after this step"
    assert hand.button("End now").isEnabled()
    assert not hand.bar.pause.isEnabled()
    run.checkpoint()
    run.tell(Finished(result={"epochs": 0}, stopped=True))
    run.state("stopped")
    hand.wait_for("Stopped after 0 epochs; Resume goes on from there")
    assert hand.button("Resume").isEnabled()


def test_a_run_of_another_machine_is_paused_and_stopped_too(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    run.state("running", host="elsewhere")
    model_session.watch_run(run.folder)
    run.steps(1, 2)
    qtbot.waitUntil(hand.bar.pause.isVisible, timeout=LONG)
    hand.click("Pause")
    assert run.asked == "pause"
    run.state("paused", host="elsewhere")
    qtbot.waitUntil(lambda: "paused" in hand.bar.place_shown(), timeout=LONG)
    hand.click("Go on")
    assert run.asked == "go"
    hand.click("Stop")
    assert run.asked == "stop"
    hand.click("End now")  # nobody can from here
    assert "works on elsewhere; end it there" in hand.bar.remarks.text()
    run.tell(Finished(result={"epochs": 1}, stopped=True))
    run.state("stopped", host="elsewhere")
    hand.wait_for("Stopped after 1 epoch")


def test_speed_and_memory_are_shown(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    run.tell(
        Metric(name="train/patches_per_second", step=1, value=41.3),
        Metric(name="train/device_memory_mb", step=1, value=3120),
        Progress(done=1, total=30, unit="step"),
    )
    model_session.watch_run(run.folder)
    facts = "epoch 1 of 3, step 1 of 10\n41 patches/s, 3.1 GB"
    qtbot.waitUntil(lambda: hand.bar.place_shown() == facts, timeout=LONG)


def test_the_picture_of_the_newest_epoch_is_shown(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    model_session.watch_run(run.folder)
    pictures = hand.pictures
    assert not pictures.picture.has_picture
    assert "After each epoch" in pictures.picture.text()
    run.preview(1)
    qtbot.waitUntil(lambda: pictures.picture.has_picture, timeout=LONG)
    assert not pictures.slider.isEnabled()
    run.preview(2)
    run.preview(3, folder=r"D:\runs\mine\previews")  # as another machine calls it
    there = run.folder / "previews"
    qtbot.waitUntil(lambda: pictures.shown == there / "epoch-0003.png", timeout=LONG)
    pictures.slider.setFocus()
    qtbot.keyClick(pictures.slider, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: pictures.picture.accessibleName() == "epoch-0002", timeout=LONG)
    hand.click("Leave")
    model_session.watch_run(run.folder)
    qtbot.waitUntil(lambda: pictures.picture.accessibleName() == "epoch-0003", timeout=LONG)


def test_a_run_that_dies_while_it_is_watched_is_said(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    model_session.watch_run(run.folder)
    run.steps(1, 5)
    qtbot.waitUntil(hand.bar.pause.isVisible, timeout=LONG)
    run.checkpoint()
    run.state("running", alive=False)
    hand.wait_for("ended without a word; Resume goes on from its last checkpoint")
    assert hand.button("Resume").isEnabled()


def test_a_run_that_stopped_early_says_so(
    hand: Hand,
    run: Run,
    model_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    run.steps(1, 20)
    run.checkpoint()
    best = {"epoch": 1, "val_dice": 0.5}
    run.tell(Finished(result={"epochs": 2, "best": best, "early": True}))
    run.state("finished")
    model_session.watch_run(run.folder)
    hand.wait_for("Stopped early after 2 epochs: no better for 1 epoch; best Dice 0.5, epoch 1")
    hand.button("Data and settings").click()
    assert hand.button("Resume").isEnabled()  # the form asks for no early stopping
    hand.unfold_all()
    hand.write("optimisation.early_stopping_patience", "1")
    assert not hand.button("Resume").isEnabled()
    assert "no better for 1 epoch; set a longer" in hand.button("Resume").toolTip()
    hand.write("optimisation.early_stopping_patience", "2")
    started: list[TrainSpec] = []
    monkeypatch.setattr(training_start, "start_training", lambda spec: started.append(spec) or 1)
    hand.click("Resume")
    qtbot.waitUntil(lambda: bool(started), timeout=LONG)
    assert started[0].recipe.optimisation.early_stopping_patience == 2
    assert started[0].recipe.optimisation.epochs == 3


def test_what_another_did_to_a_run_is_shown(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    run.state("paused")
    model_session.watch_run(run.folder)
    qtbot.waitUntil(lambda: hand.bar.pause.text() == "Go on")
    run.state("stopping")
    qtbot.waitUntil(lambda: hand.bar.cancel.text() == "End now")


def test_a_finished_run_shows_its_curves_and_its_end(
    hand: Hand, run: Run, model_session: Session, qtbot: QtBot
) -> None:
    run.steps(1, 30)
    run.finish()
    model_session.watch_run(run.folder)
    hand.wait_for("Finished after 3 epochs; best Dice 0.5, epoch 2")
    qtbot.waitUntil(lambda: hand.plot.points("val/dice") == 3, timeout=10_000)
    assert model_session.model == run.folder / "best"
    assert hand.button("Resume").isEnabled()  # the form asks for 100 epochs
    hand.button("Data and settings").click()
    hand.write("optimisation.epochs", "3")
    assert not hand.button("Resume").isEnabled()
    assert hand.button("Resume").toolTip() == "All 3 epochs are done; set more epochs to go on"


def test_a_model_that_was_chosen_stays_when_an_old_run_is_watched(
    hand: Hand, run: Run, model_session: Session, tmp_path: Path
) -> None:
    run.finish()
    model_session.choose_model(tmp_path)
    model_session.watch_run(run.folder)
    hand.wait_for("Finished")
    assert model_session.model == tmp_path


def test_a_run_that_died_is_resumed_with_its_own_recipe(
    hand: Hand,
    run: Run,
    model_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    started: list[TrainSpec] = []

    def start(spec: TrainSpec) -> int:
        started.append(spec)
        run.state("starting")
        return 1

    monkeypatch.setattr(training_start, "start_training", start)
    run.steps(1, 5)
    run.checkpoint()
    run.state("running", alive=False)
    model_session.watch_run(run.folder)
    hand.wait_for("ended without a word; Resume goes on from its last checkpoint")
    hand.click("Resume")
    hand.wait_for("loading the libraries")
    (spec,) = started
    assert spec.resume
    assert spec.out == run.folder
    assert spec.recipe.optimisation.epochs == 3
    assert model_session.running_trainings() == [run.folder]
    run.tell(Started(title="Train ct-lns on dataset"))
    run.state("running")
    run.steps(4, 8)  # from its checkpoint
    qtbot.waitUntil(lambda: hand.plot.points("train/loss") == 8, timeout=10_000)


def test_a_training_that_does_not_start_says_why(
    hand: Hand, tmp_path: Path, model_session: Session
) -> None:
    run = tmp_path / "broken"
    run.mkdir()
    failed = Failed(message="training did not start: no dataset at /nowhere")
    (run / "events.jsonl").write_text(event_to_json(failed) + "\n")
    write_state(run, "failed")
    model_session.watch_run(run)
    hand.wait_for("training did not start: no dataset at /nowhere")
    assert not hand.button("Resume").isEnabled()


def test_any_run_can_be_attached_to(
    hand: Hand,
    run: Run,
    model_session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [str(tmp_path), "", str(run.folder)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: answers.pop(0))
    hand.click("Attach to a run…")
    assert "is no run" in hand.status
    assert model_session.run is None
    hand.click("Attach to a run…")  # and changed one's mind
    assert model_session.run is None
    hand.click("Attach to a run…")
    assert model_session.run == run.folder
    assert hand.plot.isVisible()
    hand.click("Leave")
    assert model_session.run is None
    assert not hand.plot.isVisible()
    assert run.asked == ""
    assert not hand.button("Leave").isEnabled()
    assert hand.settings.isVisible()


def test_a_reopened_panel_shows_the_run_again(
    open_panel: Callable[[], Hand], run: Run, model_session: Session, qtbot: QtBot
) -> None:
    run.steps(1, 4)
    first = open_panel()
    model_session.watch_run(run.folder)
    qtbot.waitUntil(lambda: first.plot.points("train/loss") == 4, timeout=10_000)
    first.panel.close()
    second = open_panel()
    run.steps(5, 6)
    qtbot.waitUntil(lambda: second.plot.points("train/loss") == 6, timeout=10_000)


def test_what_happens_after_a_panel_is_gone_does_not_reach_it(
    model_viewer: ViewerModel, model_session: Session, run: Run, settings: Settings, qtbot: QtBot
) -> None:
    panel = TrainPanel(model_viewer)
    model_session.watch_run(run.folder)
    with qtbot.waitSignal(panel.destroyed):
        panel.deleteLater()
    run.steps(1, 3)
    model_viewer.theme = "light"
    model_session.watch_run(None)
    model_session.layers_changed.emit()
    qtbot.wait(200)


def test_a_folder_that_is_no_run_is_said(
    hand: Hand, model_session: Session, tmp_path: Path
) -> None:
    model_session.watch_run(tmp_path)
    assert "is no run" in hand.status
    assert hand.settings.isVisible()


def test_the_plot_follows_the_theme(
    hand: Hand, run: Run, model_session: Session, model_viewer: ViewerModel
) -> None:
    model_session.watch_run(run.folder)
    background = {}
    for theme in ("dark", "light"):
        model_viewer.theme = theme
        background[theme] = hand.plot.canvas.backgroundBrush().color().lightness()
    assert background["dark"] < 80
    assert background["light"] > 180


def test_every_control_explains_itself(hand: Hand, run: Run, model_session: Session) -> None:
    model_session.watch_run(run.folder)
    hand.unfold_all()
    for kind in (QPushButton, QComboBox):
        for widget in hand.panel.findChildren(kind):
            assert widget.toolTip(), widget
            assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget


def test_nothing_is_wider_than_a_narrow_panel(
    open_scan: Volume, open_panel: Callable[[], Hand], model_session: Session, tmp_path: Path
) -> None:
    named = replace(open_scan, scan_id="1.2.826.0.1." + "3680043.2.1125." * 4 + "1")
    model_session.add_scan(named)
    model_session.add_mask(named.mask((named.array == 60).astype(np.uint8)), "nodules")
    hand = open_panel()
    hand.unfold_all()
    hand.write("name", "not allowed")
    hand.panel.resize(hand.panel.minimumWidth(), 600)
    area = hand.find(QScrollArea)
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()
    model_session.watch_run(Run(tmp_path / ("ct-lns-" * 12)).folder)
    assert hand.plot.isVisible()
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()


def test_a_panel_that_outlives_its_viewer_draws_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    monkeypatch.setattr(train_panel, "_MS_BEFORE_VIEW", 10)
    viewer = ViewerModel()
    panel = TrainPanel(viewer)
    qtbot.addWidget(panel)
    session = panel._session
    del viewer
    gc.collect()
    assert session.gone
    qtbot.wait(50)  # an exception in a slot would fail the test
    assert panel.findChild(LossPlot) is None
