"""From what the Train panel says to jobs, and what there is to say of runs."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ctlns.errors import DatasetError, RunError
from napari_ctlns.events import (
    Failed,
    Finished,
    Preview,
    Progress,
    ThreadControl,
    Uncontrolled,
    event_from_json,
)
from napari_ctlns.plugin.runs import (
    best_model_of,
    ending_in_words,
    has_checkpoint,
    picture_of,
    recipe_of_run,
    resume_spec,
)
from napari_ctlns.plugin.training import (
    Copies,
    FolderData,
    LayerData,
    PreparedData,
    pair_up,
    plan_training,
    prepared_dataset,
    write_copies,
)
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import TrainSpec
from napari_ctlns.volume import Volume

RECIPE = load_recipe("ct-lns")


def mask_of(volume: Volume) -> Volume:
    return volume.mask((volume.array == 60).astype(np.uint8))


def file(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


class TestData:
    def test_a_folder_needs_scans_and_a_table(self, tmp_path: Path) -> None:
        table = file(tmp_path / "annotations.csv")
        assert "holds the scans" in FolderData(None, table).why_not()
        assert "no such folder" in FolderData(tmp_path / "none", table).why_not()
        assert "choose the annotations" in FolderData(tmp_path, None).why_not()
        assert "no such file" in FolderData(tmp_path, tmp_path / "none.csv").why_not()
        assert FolderData(tmp_path, table).why_not() == ""

    def test_a_dataset_has_its_card(self, tmp_path: Path) -> None:
        assert "choose a dataset" in PreparedData(None).why_not()
        assert "no dataset" in PreparedData(tmp_path).why_not()
        file(tmp_path / "dataset.json")
        assert PreparedData(tmp_path).why_not() == ""

    def test_a_scan_has_the_first_mask_that_is_its_own(self, volume: Volume) -> None:
        other = replace(volume, scan_id="other")
        alone = replace(volume, scan_id="alone")
        first, second, foreign = mask_of(volume), mask_of(volume), mask_of(other)
        pairs = pair_up([volume, other, alone, volume], [foreign, first, second]).pairs
        assert pairs == ((volume, first), (other, foreign))
        assert LayerData(pairs).in_words() == "2 scans with a mask"
        assert LayerData(pairs[:1]).in_words() == "1 scan with a mask"
        assert LayerData(pairs).names == (volume.scan_id, "other")

    def test_without_a_mask_there_is_nothing_to_learn(self, volume: Volume) -> None:
        assert "no open scan has a mask" in pair_up([volume], []).why_not()
        assert pair_up([volume], [mask_of(volume)]).why_not() == ""


class TestPlan:
    def test_a_dataset_is_only_trained_on(self, tmp_path: Path) -> None:
        file(tmp_path / "data" / "dataset.json")
        plan = plan_training(PreparedData(tmp_path / "data"), RECIPE, "cpu", tmp_path)
        assert plan.prepare is None
        assert plan.copies is None
        assert plan.train.dataset == tmp_path / "data"
        assert plan.train.device == "cpu"
        assert plan.train.out.parent == tmp_path / "runs"
        assert plan.train.out.name.startswith("ct-lns-20")
        assert not plan.train.resume

    def test_a_run_never_takes_a_folder_that_is_there(self, tmp_path: Path) -> None:
        file(tmp_path / "data" / "dataset.json")
        data = PreparedData(tmp_path / "data")
        with pytest.raises(RunError, match="not empty"):
            plan_training(data, RECIPE, "cpu", tmp_path, tmp_path / "data")
        with pytest.raises(RunError, match="is a file"):
            plan_training(data, RECIPE, "cpu", tmp_path, file(tmp_path / "file"))
        # two within a second
        one = plan_training(data, RECIPE, "cpu", tmp_path).train.out
        one.mkdir(parents=True)
        assert plan_training(data, RECIPE, "cpu", tmp_path).train.out != one

    def test_the_same_files_are_prepared_into_the_same_dataset(self, tmp_path: Path) -> None:
        table, other = file(tmp_path / "a.csv"), file(tmp_path / "b.csv")
        scans = tmp_path / "scans"
        scans.mkdir()

        def dataset(table: Path, **changes: object) -> Path:
            recipe = RECIPE.with_changes({k.replace("__", "."): v for k, v in changes.items()})
            plan = plan_training(FolderData(scans, table), recipe, "auto", tmp_path / "work")
            assert plan.prepare is not None
            assert plan.prepare.source == scans
            assert plan.prepare.annotations == table
            assert plan.prepare.out == plan.train.dataset
            return plan.train.dataset

        first = dataset(table)
        assert first.parent == tmp_path / "work" / "datasets"
        assert dataset(table, optimisation__epochs=3) == first
        assert dataset(other) != first
        others = {
            dataset(table, preparation__spacing_mm=2.0),
            dataset(table, preparation__drop_first_slices=3),
            dataset(table, preparation__slice_size=(64, 64)),
            dataset(table, preparation__smoothing_mm=1.0),
            dataset(table, preparation__normalisation="standardise"),
            dataset(table, structure="lung"),
        }
        assert len(others - {first}) == 6
        # normalised when it is learned from
        assert dataset(table, preparation__normalisation="divide") == first
        assert dataset(table, preparation__clip_hu=(-900, 300)) == first

    def test_a_dataset_is_known_once_it_is_prepared(self, volume: Volume, tmp_path: Path) -> None:
        table, scans, work = file(tmp_path / "a.csv"), tmp_path / "scans", tmp_path / "work"
        scans.mkdir()
        data = FolderData(scans, table)
        assert prepared_dataset(data, RECIPE, work) is None
        plan = plan_training(data, RECIPE, "cpu", work)
        file(plan.train.dataset / "dataset.json")
        assert prepared_dataset(data, RECIPE, work) == plan.train.dataset
        other = RECIPE.with_changes({"preparation.spacing_mm": 2.0})
        assert prepared_dataset(data, other, work) is None
        assert prepared_dataset(PreparedData(plan.train.dataset), other, work) == plan.train.dataset
        assert prepared_dataset(PreparedData(None), RECIPE, work) is None
        layers = pair_up([volume], [mask_of(volume)])
        assert prepared_dataset(layers, RECIPE, work) is None

    def test_what_lacks_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="no open scan"):
            plan_training(LayerData(()), RECIPE, "cpu", tmp_path)


class TestCopies:
    def test_open_layers_can_be_prepared(self, volume: Volume, tmp_path: Path) -> None:
        from napari_ctlns.dataset import prepare
        from napari_ctlns.dataset.folder import open_dataset

        unsigned = replace(
            volume, array=np.zeros(volume.array.shape, np.uint16), scan_id="no/CT", patient_id=""
        )
        data = pair_up([volume, unsigned], [mask_of(volume), mask_of(unsigned)])
        plan = plan_training(data, RECIPE, "cpu", tmp_path)
        assert plan.copies is not None
        assert plan.prepare is not None
        events = list(write_copies(plan.copies, Uncontrolled()))
        assert isinstance(events[-1], Finished)
        assert [e.done for e in events if isinstance(e, Progress)] == [0, 1]
        words = [getattr(e, "message", "") for e in prepare(plan.prepare, Uncontrolled())]
        assert any("this is no chest CT" in line for line in words)
        (scan,) = open_dataset(plan.train.dataset).scans("train")
        assert scan.scan_id == volume.scan_id
        assert scan.patient_id == "somebody"
        assert len(scan.nodules) == 2
        with (plan.copies.folder / "patients.csv").open(newline="") as table:
            rows = {row["patient_id"] for row in csv.DictReader(table)}
        assert rows == {"somebody", "no/CT"}

    def test_empty_masks_are_refused_before_anything_is_written(
        self, volume: Volume, tmp_path: Path
    ) -> None:
        empty = volume.mask(np.zeros(volume.array.shape, np.uint8))
        with pytest.raises(DatasetError, match="masks are empty"):
            list(write_copies(Copies(((volume, empty),), tmp_path / "files"), Uncontrolled()))
        assert not (tmp_path / "files").exists()

    def test_writing_can_be_stopped(self, volume: Volume, tmp_path: Path) -> None:
        control = ThreadControl()
        control.stop()
        copies = Copies(((volume, mask_of(volume)),), tmp_path / "files")
        last = list(write_copies(copies, control))[-1]
        assert last == Finished(stopped=True)
        assert not (tmp_path / "files").exists()


class TestRuns:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        run = tmp_path / "run"
        spec = TrainSpec(dataset=tmp_path / "data", out=tmp_path / "elsewhere", recipe=RECIPE)
        file(run / "spec.json", spec.model_dump_json())
        file(run / "recipe.toml", RECIPE.with_changes({"optimisation.epochs": 7}).to_toml())
        file(run / "checkpoints" / "last.pt")
        return run

    def test_a_run_goes_on_with_its_own_recipe_and_data(self, run: Path, tmp_path: Path) -> None:
        spec = resume_spec(run, "cuda")
        assert spec.resume
        assert spec.dataset == tmp_path / "data"
        assert spec.out == run
        assert spec.device == "cuda"
        assert spec.recipe.optimisation.epochs == 7
        assert resume_spec(run, "cpu", {"optimisation.epochs": 20}).recipe.optimisation.epochs == 20

    def test_a_run_without_a_checkpoint_cannot_go_on(self, run: Path) -> None:
        (run / "checkpoints" / "last.pt").unlink()
        assert not has_checkpoint(run)
        with pytest.raises(RunError, match="no checkpoint"):
            resume_spec(run, "cpu")

    @pytest.mark.parametrize("name", ["spec.json", "recipe.toml"])
    def test_a_run_that_does_not_tell_what_it_did_cannot_go_on(self, run: Path, name: str) -> None:
        file(run / name, "{")
        with pytest.raises(RunError, match="start a new run"):
            resume_spec(run, "cpu")

    def test_a_run_that_is_starting_has_the_recipe_it_was_asked_for(self, run: Path) -> None:
        (run / "recipe.toml").rename(run / "asked.toml")
        recipe = recipe_of_run(run)
        assert recipe is not None
        assert recipe.optimisation.epochs == 7
        assert recipe_of_run(run.parent) is None

    def test_a_model_is_whole_or_none(self, run: Path) -> None:
        (run / "best").mkdir()
        assert best_model_of(run) is None
        file(run / "best" / "model.json")
        assert best_model_of(run) == run / "best"


@pytest.mark.parametrize(
    "elsewhere", ["/mnt/there/run/previews/epoch-0003.png", r"D:\there\previews\epoch-0003.png"]
)
def test_a_picture_is_found_though_its_run_has_another_path(tmp_path: Path, elsewhere: str) -> None:
    line = json.dumps({"event": "preview", "path": elsewhere, "step": 3})
    preview = event_from_json(line)
    assert isinstance(preview, Preview)
    assert picture_of(tmp_path, preview) == tmp_path / "previews" / "epoch-0003.png"


def test_an_end_is_said_with_what_can_be_done() -> None:
    result = {"epochs": 8, "best": {"epoch": 5, "val_dice": 0.61234}}
    assert ending_in_words(Finished(result=result)) == (
        "Finished after 8 epochs; best Dice 0.612, epoch 5"
    )
    early = {"epochs": 8, "best": {"epoch": 5, "val_dice": 0.61234}, "early": True}
    assert ending_in_words(Finished(result=early)) == (
        "Stopped early after 8 epochs: no better for 3 epochs; best Dice 0.612, epoch 5"
    )
    assert ending_in_words(Finished()) == "Finished"
    stopped = Finished(result={"epochs": 1, "best": {}}, stopped=True)
    assert ending_in_words(stopped) == "Stopped after 1 epoch; Resume goes on from there"
    failed = Failed(message="training did not start: no dataset")
    assert ending_in_words(failed) == failed.message
    assert ending_in_words(failed, died=True, checkpoint=True) == (
        "The training process ended without a word; Resume goes on from its last checkpoint"
    )
    assert ending_in_words(failed, died=True, killed=True) == (
        "Ended at once; nothing was saved yet"
    )
