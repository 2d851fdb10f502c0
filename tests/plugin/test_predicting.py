"""What a prediction needs and what its files tell, without a window."""

import gc
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ctlns.errors import CtlnsError, ScanError
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.plugin.predicting import (
    Choice,
    TemporaryFolder,
    describe_model,
    engine_in_words,
    file_name,
    prepare_files,
    read_files,
    time_in_words,
)
from napari_ctlns.plugin.runs import recent_models
from napari_ctlns.recipe import Inference, load_recipe
from napari_ctlns.specs import PredictSpec
from napari_ctlns.volume import Geometry, Source, Volume

RULES = Inference(threshold=0.4, seed_threshold=0.6, min_diameter_mm=0.0, split_touching=True)
CHOICE = Choice(Path("model"), RULES)


def test_a_scan_that_has_a_file_is_predicted_from_it(volume: Volume, tmp_path: Path) -> None:
    write_volume(volume, tmp_path / "scan.mhd")
    spec = prepare_files(read_scan(tmp_path / "scan.mhd"), CHOICE, tmp_path / "here")
    assert spec.scan == tmp_path / "scan.mhd"
    assert spec.series is None
    assert spec.model == Path("model").absolute()
    assert (spec.threshold, spec.seed_threshold, spec.min_diameter_mm) == (0.4, 0.6, 0.0)
    assert (spec.fill_holes, spec.split_touching, spec.whole) == (True, True, False)
    assert (spec.mirrored, spec.more_models, spec.uncertainty) == (False, (), None)
    several = replace(CHOICE, more_models=(Path("other"),), mirrored=True)
    spec = prepare_files(read_scan(tmp_path / "scan.mhd"), several, tmp_path / "here")
    assert (spec.mirrored, spec.more_models) == (True, (Path("other").absolute(),))
    assert spec.uncertainty is not None
    assert spec.mask.parent == tmp_path / "here"
    assert not spec.mask.parent.exists()


def test_a_dicom_series_is_asked_for_by_its_uid(volume: Volume, tmp_path: Path) -> None:
    source = Source(path=tmp_path, format="dicom", series_uid="1.2.3")
    spec = prepare_files(replace(volume, source=source), CHOICE, tmp_path / "here")
    assert (spec.scan, spec.series) == (tmp_path, "1.2.3")


@pytest.mark.parametrize("gone", [True, False])
def test_a_scan_without_a_file_gets_one(volume: Volume, tmp_path: Path, gone: bool) -> None:
    turned = Geometry(
        volume.geometry.shape, (2.5, 1, 1), (7, 8, 9), ((-1, 0, 0), (0, -1, 0), (0, 0, 1))
    )
    scan = replace(volume, geometry=turned.oriented())
    if gone:
        scan = replace(scan, source=Source(tmp_path / "gone", "dicom", series_uid="1.2"))
    spec = prepare_files(scan, CHOICE, tmp_path)
    assert spec.series is None
    written = read_scan(spec.scan)
    assert written.scan_id == volume.scan_id
    assert np.array_equal(written.array, scan.array)
    assert written.geometry.same_grid(scan.geometry)


def test_an_id_becomes_a_file_name_on_any_system() -> None:
    assert file_name("1.3.6.1.4") == "1.3.6.1.4"
    assert file_name("../a:b\\c d") == "a_b_c_d"
    assert file_name("") == file_name("...") == "scan"
    assert len(file_name("x" * 300)) == 100


def predicted(volume: Volume, scan: Volume, folder: Path) -> PredictSpec:
    """Write what a prediction of ``scan`` writes."""
    spec = prepare_files(volume, CHOICE, folder)
    mask = scan.mask((scan.array == 60).astype(np.uint8))
    probability = scan.probability((0.75 * (scan.array == 60)).astype(np.float32))
    write_volume(mask, spec.mask)
    assert spec.probability is not None
    write_volume(probability, spec.probability)
    assert spec.table is not None
    write_table(measure(mask, scan, probability), spec.table)
    return spec


def test_results_are_read_onto_the_scan_and_can_be_painted_in(
    volume: Volume, tmp_path: Path
) -> None:
    found = read_files(predicted(volume, volume, tmp_path), volume, CHOICE)
    assert np.array_equal(found.mask.array, volume.array == 60)
    assert found.mask.scan_id == volume.scan_id
    assert found.mask.geometry is volume.geometry
    (finding,) = found.findings.items
    assert (finding.label, finding.origin, finding.probability) == (1, "model", 0.75)
    assert finding.lookalike == "vessel"  # two balls apart, as one label
    assert found.known.probability.array.dtype == np.float16
    assert found.known.rules == RULES
    assert found.uncertainty is None
    found.mask.array[0, 0, 0] = 5
    assert found.mask.array.base is None


def test_a_scan_that_changed_on_disk_is_told(volume: Volume, tmp_path: Path) -> None:
    other = Volume(volume.array[1:], volume.geometry.cropped((1, 0, 0), (23, 48, 48)))
    with pytest.raises(ScanError, match="has changed since it was opened; open it again"):
        read_files(predicted(volume, other, tmp_path), volume, CHOICE)


def test_results_that_are_missing_are_told(volume: Volume, tmp_path: Path) -> None:
    spec = predicted(volume, volume, tmp_path)
    assert spec.table is not None
    spec.table.unlink()
    with pytest.raises(CtlnsError, match="no nodule table"):
        read_files(spec, volume, CHOICE)


def test_a_temporary_folder_goes_when_told_or_with_its_owner() -> None:
    first, second = TemporaryFolder(), TemporaryFolder()
    (first.path / "file").write_text("", encoding="utf-8")
    first.remove()
    assert not first.path.exists()
    path = second.path
    assert path.is_dir()
    del second
    gc.collect()
    assert not path.exists()


def test_models_of_the_working_folder_come_newest_first(tmp_path: Path) -> None:
    for age, run in enumerate(("new", "older", "oldest")):
        best = tmp_path / "runs" / run / "best"
        best.mkdir(parents=True)
        (best / CARD).write_text("{}", encoding="utf-8")
        os.utime(best / CARD, (1000 - age, 1000 - age))
    (tmp_path / "runs" / "nothing yet").mkdir()
    assert [model.parent.name for model in recent_models(tmp_path)] == ["new", "older", "oldest"]
    assert recent_models(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("spacing", "words"),
    [(1.0, "of 1 mm"), ((2.5, 0.7, 0.7), "of 2.5 x 0.7 x 0.7 mm"), ("native", "the scan's own")],
)
def test_a_model_is_described_in_words(spacing: object, words: str) -> None:
    recipe = load_recipe("ct-lns").with_changes({"preparation.spacing_mm": spacing})
    card = ModelCard(recipe=recipe, metrics={"epoch": 3, "val_dice": 0.7123, "val_loss": 0.2})
    said = describe_model(card).replace("\u00d7", "x")
    assert said.startswith("ct-lns, trained 20")
    assert "96 x 96 x 96 voxels" in said
    assert words in said
    assert "Dice 0.71, loss 0.20" in said
    assert "Validation" not in describe_model(ModelCard(recipe=recipe))


def test_what_takes_longer_is_said() -> None:
    assert time_in_words(1, False, 3) == ""
    assert time_in_words(3, False, 3) == "3 models: takes about 3 times as long"
    assert time_in_words(1, True, 3) == "8 images each: takes about 8 times as long"
    words = "2 models, 4 images each: takes about 8 times as long"
    assert time_in_words(2, True, 2) == words


def test_the_engine_and_why_it_was_taken_is_said() -> None:
    words = engine_in_words("torch cuda", "the fastest here (NVIDIA H200)")
    assert words == "Ran on torch cuda: the fastest here (NVIDIA H200)"
