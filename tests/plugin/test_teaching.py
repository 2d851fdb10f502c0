"""Adding corrections to the training set, learning from them, and consent to the new model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_ctlns.dataset import open_dataset
from napari_ctlns.events import Event, Failed, Finished, Progress, Started, event_to_json
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.jobs.run_folder import State, write_state
from napari_ctlns.plugin import exports, training_set, training_start
from napari_ctlns.plugin.panels import train_panel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.runs import recent_models
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.teaching import (
    TaughtScans,
    is_learning,
    known_in_words,
    learn_spec,
    learned_in_words,
    read_training_set,
    recipe_of,
    resume_learning,
    training_set_of,
    why_not_learn,
)
from napari_ctlns.plugin.training_set import TrainingSet
from napari_ctlns.plugin.views.teaching_view import ModelOffer, TeachingView
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import LearnSpec, TrainSpec
from napari_ctlns.volume import Volume

LEFT = Qt.MouseButton.LeftButton
LONG = 60_000
RESULT = {
    "epochs": 4,
    "corrected": {"scans": 2, "old": {"scan_dice": 0.41}, "new": {"scan_dice": 0.634}},
    "earlier": {"scans": 1, "old": {"scan_dice": 0.71}, "new": {"scan_dice": 0.699}},
}


def model_at(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True)
    recipe = load_recipe("ct-lns").with_changes(changes)
    (folder / CARD).write_text(ModelCard(recipe=recipe).model_dump_json(), "utf-8")
    return folder


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    chosen = Settings("cpu", "fp32", "lung", tmp_path / "work")
    for module in (training_set, train_panel, exports):
        monkeypatch.setattr(module, "read_settings", lambda: chosen)
    return chosen


# -- without a window -----------------------------------------------------------------


def test_corrections_go_to_what_the_model_was_trained_on(tmp_path: Path) -> None:
    model, dataset = model_at(tmp_path / "runs" / "one" / "best"), tmp_path / "data"
    spec = TrainSpec(dataset=dataset, out=model.parent, recipe=load_recipe("ct-lns"))
    (model.parent / "spec.json").write_text(spec.model_dump_json(), "utf-8")
    apart = training_set_of(model, tmp_path)
    assert apart.parent == tmp_path / "datasets"  # that dataset is not here
    dataset.mkdir()
    (dataset / "dataset.json").write_text("{}", "utf-8")
    assert training_set_of(model, tmp_path) == dataset


def test_models_that_prepare_alike_share_a_training_set(tmp_path: Path) -> None:
    one = model_at(tmp_path / "one")
    same = model_at(tmp_path / "same", **{"optimisation.epochs": 3})
    other = model_at(tmp_path / "other", **{"preparation.spacing_mm": 2.0})
    places = [training_set_of(model, tmp_path) for model in (None, one, same, other)]
    assert places[0] == places[1] == places[2] != places[3]


def test_why_nothing_can_be_learned(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model")
    two = frozenset({"a", "b"})
    assert "Predict panel" in why_not_learn(None, TaughtScans(2, two))
    assert "Nodules panel" in why_not_learn(model, TaughtScans())
    assert "held out" in why_not_learn(model, TaughtScans(2, two, held_out=2))
    assert why_not_learn(model, TaughtScans(2, two, held_out=1)) == ""
    (model / CARD).write_text("{", "utf-8")
    assert "damaged" in why_not_learn(model, TaughtScans(2, two))


def test_what_is_known_in_words() -> None:
    words = known_in_words(TaughtScans(12, frozenset("abcde"), held_out=1))
    assert words == ("5 corrected scans: 4 to learn from, 1 held out to judge by; 7 earlier scans")


def test_what_learning_brought_in_words() -> None:
    assert learned_in_words(RESULT) == (
        "Held-out Dice of 2 corrected cases 0.41 \u2192 0.63, of 1 earlier case 0.71 \u2192 0.70"
    )
    assert "No case is held out" in learned_in_words(
        {"corrected": {"scans": 0}, "earlier": {"scans": 0}}
    )


def test_a_round_gets_a_new_folder_and_can_be_resumed(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model")
    spec = learn_spec(model, tmp_path / "data", "cpu", tmp_path)
    assert spec.out.parent == tmp_path / "runs"
    assert not is_learning(spec.out)
    spec.out.mkdir(parents=True)
    (spec.out / "learn.json").write_text(spec.model_dump_json(), "utf-8")
    assert is_learning(spec.out)
    again = resume_learning(spec.out, "cpu")
    assert again == spec.model_copy(update={"resume": True})


# -- adding, in the panel of the nodules ------------------------------------------------


@pytest.fixture
def nodules(
    model_viewer: ViewerModel, model_session: Session, settings: Settings, qtbot: QtBot
) -> NodulesPanel:
    panel = NodulesPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def click_add(panel: NodulesPanel, qtbot: QtBot) -> str:
    with qtbot.waitSignal(panel.teach.ended, timeout=LONG):
        qtbot.mouseClick(panel.teach.button, LEFT)
    return panel.teach.said


def test_a_mask_is_added_with_its_scan_and_reader(
    nodules: NodulesPanel,
    model_session: Session,
    volume: Volume,
    settings: Settings,
    qtbot: QtBot,
) -> None:
    assert "no labels layer" in nodules.teach.button.toolTip()
    model_session.add_scan(volume)
    layer = model_session.add_mask(volume.mask((volume.array == 60).astype(np.uint8)), "mine")
    model_session.part(TrainingSet).reader = "Dr. Ada"
    assert "added to" in click_add(nodules, qtbot)
    folder = training_set_of(None, settings.working_folder)
    (there,) = open_dataset(folder).scans()
    assert (there.scan_id, there.patient_id) == (volume.scan_id, volume.patient_id)
    assert there.revision.reader == "Dr. Ada"
    assert there.geometry.spacing == (1.0, 1.0, 1.0)
    assert "already" in click_add(nodules, qtbot)
    layer.data_setitem((np.array([2]), np.array([20]), np.array([20])), 2)
    assert nodules.teach.said == ""
    assert "changed mask" in click_add(nodules, qtbot)
    assert len(open_dataset(folder).scans()[0].card.masks) == 2
    known = model_session.part(TrainingSet)
    qtbot.waitUntil(lambda: known.known.scans == 1, timeout=LONG)


def test_what_cannot_be_added_says_why(
    nodules: NodulesPanel,
    model_session: Session,
    volume: Volume,
    settings: Settings,
    qtbot: QtBot,
) -> None:
    place = training_set_of(None, settings.working_folder)
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("mine", "utf-8")
    model_session.add_scan(volume)
    model_session.add_mask(volume.mask(np.ones(volume.geometry.shape, np.uint8)), "mine")
    assert "holds something else" in click_add(nodules, qtbot)
    assert [path.name for path in place.iterdir()] == ["thesis.txt"]


# -- learning, in the Train panel -------------------------------------------------------


@pytest.fixture
def old_model(settings: Settings, model_session: Session) -> Path:
    model = model_at(settings.working_folder / "runs" / "first" / "best")
    model_session.choose_model(model)
    return model


@pytest.fixture
def train(
    model_viewer: ViewerModel,
    model_session: Session,
    old_model: Path,
    settings: Settings,
    qtbot: QtBot,
) -> Iterator[TrainPanel]:
    panel = TrainPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    model_session.close()


def say(run: Path, events: list[Event], state: State) -> None:
    run.mkdir(parents=True, exist_ok=True)
    with (run / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(event_to_json(event) + "\n" for event in events)
    write_state(run, state)


def begin_round(run: Path, model: Path) -> None:
    say(run, [Started(title="Learn"), Progress(done=1, total=8, unit="step")], "running")
    spec = LearnSpec(dataset=run / "data", model=model, out=run)
    (run / "learn.json").write_text(spec.model_dump_json(), "utf-8")
    model_at(run / "best")


@pytest.fixture
def watched(train: TrainPanel, old_model: Path, model_session: Session, settings: Settings) -> Path:
    """A round that the panel watches."""
    run = settings.working_folder / "runs" / "round"
    begin_round(run, old_model)
    model_session.watch_run(run)
    return run


def offer_of(panel: TrainPanel) -> ModelOffer:
    return panel.findChild(ModelOffer)


def end_round(panel: TrainPanel, run: Path, event: Finished | Failed, qtbot: QtBot) -> None:
    with qtbot.waitSignal(panel._bar.ended, timeout=LONG):
        say(run, [event], "finished" if isinstance(event, Finished) else "failed")


def test_a_click_begins_a_detached_round(
    train: TrainPanel,
    model_session: Session,
    old_model: Path,
    volume: Volume,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    begun: list[LearnSpec] = []

    def start(spec: LearnSpec) -> int:
        begun.append(spec)
        begin_round(spec.out, spec.model)
        return 1

    monkeypatch.setattr(training_start, "start_training", start)
    view = train.findChild(TeachingView)
    assert not view.learn.isEnabled()
    assert "Nodules panel" in view.learn.toolTip()
    from napari_ctlns.dataset import add_correction

    known = model_session.part(TrainingSet)
    assert known.folder is not None
    mask = volume.mask((volume.array == 60).astype(np.uint8))
    add_correction(known.folder, volume, mask, "ann", recipe_of(old_model).preparation)
    known.look()
    qtbot.waitUntil(view.learn.isEnabled, timeout=LONG)
    assert "1 corrected scan: 1 to learn from" in view.known.text()
    with qtbot.waitSignal(model_session.run_changed, timeout=LONG):
        view.learn.click()
    (spec,) = begun
    assert (spec.model, spec.dataset) == (old_model, known.folder)
    assert model_session.run == spec.out
    assert not view.learn.isEnabled()
    say(spec.out, [Finished(stopped=True)], "stopped")


@pytest.mark.parametrize("answer", ["use", "keep"])
def test_the_model_changes_only_with_consent(
    train: TrainPanel,
    watched: Path,
    old_model: Path,
    model_session: Session,
    settings: Settings,
    qtbot: QtBot,
    answer: str,
) -> None:
    offer = offer_of(train)
    end_round(train, watched, Finished(result=RESULT), qtbot)
    assert "0.41 \u2192 0.63, of 1 earlier case 0.71 \u2192 0.70" in train._bar.said
    assert model_session.model == old_model
    assert offer.isVisible()
    getattr(offer, answer).click()
    new = watched / "best"
    assert model_session.model == (new if answer == "use" else old_model)
    assert not offer.isVisible()
    assert {old_model, new} <= set(recent_models(settings.working_folder))


@pytest.mark.parametrize(
    "end", [Finished(stopped=True), Failed(message="the loss is nan at step 3")]
)
def test_a_round_that_did_not_come_to_its_end_offers_nothing(
    train: TrainPanel,
    watched: Path,
    old_model: Path,
    model_session: Session,
    qtbot: QtBot,
    end: Finished | Failed,
) -> None:
    end_round(train, watched, end, qtbot)
    assert not offer_of(train).isVisible()
    assert model_session.model == old_model


def test_another_run_takes_the_offer_away(
    train: TrainPanel, watched: Path, model_session: Session, qtbot: QtBot
) -> None:
    end_round(train, watched, Finished(result=RESULT), qtbot)
    assert "finished" in train._resume.toolTip() or "checkpoint" in train._resume.toolTip()
    model_session.watch_run(None)
    assert not offer_of(train).isVisible()


def test_a_damaged_training_set_says_so(
    train: TrainPanel, model_session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "dataset.json").write_text("{", "utf-8")
    view = train.findChild(TeachingView)
    view.folder.set_path(folder)
    qtbot.waitUntil(lambda: "damaged" in view.problem.text(), timeout=LONG)
    assert read_training_set(tmp_path / "nowhere") == TaughtScans()
    view.folder.set_path(None)
    qtbot.waitUntil(lambda: not view.problem.text(), timeout=LONG)


def test_the_reader_is_kept(train: TrainPanel, model_session: Session, qtbot: QtBot) -> None:
    view = train.findChild(TeachingView)
    view.reader.clear()
    qtbot.keyClicks(view.reader, "Dr. Bo ")
    assert model_session.part(TrainingSet).reader == "Dr. Bo"
