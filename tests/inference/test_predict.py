import json

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import CtlnsError, ModelError, OutputError
from napari_ctlns.events import Finished, Log, Progress, Saved, Started, ThreadControl, Uncontrolled
from napari_ctlns.formats import read_candidates
from napari_ctlns.inference import predict as predict_module
from napari_ctlns.inference import searching
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.ensemble import Member
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.predict import predict
from napari_ctlns.inference.searching import predict_volume
from napari_ctlns.recipe import Preparation
from napari_ctlns.specs import PredictSpec
from napari_ctlns.volume import Geometry, Volume

from .models import brightness_model, slice_model

SPACING = (1.1, 0.9, 1.5)  # x, y, z
DIRECTIONS = {
    "straight": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "flipped": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    "coronal": (1, 0, 0, 0, 0, 1, 0, -1, 0),
}


def _balls(shape=(30, 52, 44)):
    """Two balls, radius 7 and 5 mm, in the source's own grid."""
    z, y, x = np.indices(shape) * np.array(SPACING[::-1])[:, None, None, None]
    big = (z - 15) ** 2 + (y - 14) ** 2 + (x - 15) ** 2 < 49
    small = (z - 30) ** 2 + (y - 34) ** 2 + (x - 36) ** 2 < 25
    return big, small


def _write_scan(path, direction):
    big, small = _balls()
    hu = np.where(big | small, 60, -850) + np.random.default_rng(0).normal(0, 20, big.shape)
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin((12.5, -7.25, 101.0))
    image.SetDirection(DIRECTIONS[direction])
    sitk.WriteImage(image, str(path))
    return path


def _spec(tmp_path, model, direction="straight", **changes):
    scan = _write_scan(tmp_path / "scan.mha", direction)
    return PredictSpec(
        **{"scan": scan, "model": model, "mask": tmp_path / "out" / "mask.nii.gz", "whole": True}
        | changes
    )


def _result(events):
    assert isinstance(events[-1], Finished)
    return events[-1].result


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_mask_lies_where_its_scan_does(tmp_path, model, direction):
    spec = _spec(
        tmp_path,
        model,
        direction,
        probability=tmp_path / "out" / "probability.mha",
        table=tmp_path / "out" / "table.csv",
        candidates=tmp_path / "out" / "candidates.csv",
    )
    events = list(predict(spec, Uncontrolled()))

    scan, mask = sitk.ReadImage(str(spec.scan)), sitk.ReadImage(str(spec.mask))
    assert mask.GetSize() == scan.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(mask, name)(), getattr(scan, name)(), atol=1e-5)
    labels = sitk.GetArrayFromImage(mask)
    for label, ball in enumerate(_balls(), start=1):
        common = np.count_nonzero((labels == label) & ball)
        assert 2 * common / (np.count_nonzero(labels == label) + ball.sum()) > 0.85

    probability = sitk.GetArrayFromImage(sitk.ReadImage(str(spec.probability)))
    assert probability.dtype == np.float32
    np.testing.assert_array_equal(probability >= 0.5, labels > 0)
    table = pd.read_csv(spec.table)
    assert list(table["label"]) == [1, 2]
    expected = scan.TransformContinuousIndexToPhysicalPoint((15 / 1.1, 14 / 0.9, 15 / 1.5))
    columns = ["centroid_x_mm", "centroid_y_mm", "centroid_z_mm"]
    np.testing.assert_allclose(table.loc[0, columns].astype(float), expected, atol=0.4)

    assert isinstance(events[0], Started)
    assert [e.path for e in events if isinstance(e, Saved)] == [
        spec.mask,
        spec.probability,
        spec.table,
        spec.candidates,
    ]
    candidates = read_candidates(spec.candidates)
    assert [c.probability for c in candidates] == table["mean_probability"].tolist()
    assert [c.centre for c in candidates] == list(table[columns].itertuples(index=False, name=None))
    assert {c.scan_id for c in candidates} == {"scan"}
    result = _result(events)
    assert result["nodules"] == 2
    assert {"read", "prepare", "network", "mask", "write", "measure"} <= set(result["seconds"])
    said = f"runs on {result['engine']}: {result['engine_reason']}"
    assert said in [e.message for e in events if isinstance(e, Log)]
    assert json.loads(json.dumps(result)) == result


def test_a_mask_of_a_real_series_lies_where_the_series_does(tmp_path, model, shared_data):
    folder = shared_data / "lidc-idri-0001" / "dicom"
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    series = reader.Execute()
    spec = PredictSpec(scan=folder, model=model, mask=tmp_path / "mask.nrrd")
    assert _result(list(predict(spec, Uncontrolled())))["nodules"] > 0
    mask = sitk.ReadImage(str(spec.mask))
    assert mask.GetSize() == series.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(mask, name)(), getattr(series, name)(), atol=1e-4)


def test_a_dicom_seg_is_written_of_a_series_only(tmp_path, model, shared_data):
    folder = shared_data / "lidc-idri-0001" / "dicom"
    spec = PredictSpec(scan=folder, model=model, mask=tmp_path / "mask.dcm")
    found = _result(list(predict(spec, Uncontrolled())))["nodules"]
    assert len(pydicom.dcmread(spec.mask).SegmentSequence) == found > 0
    with pytest.raises(OutputError, match="needs a mask of a DICOM series"):
        # refused before the model is asked for anything
        next(
            e
            for e in predict(_spec(tmp_path, model, mask=spec.mask), Uncontrolled())
            if isinstance(e, Log)
        )
    with pytest.raises(OutputError, match="unknown extension"):
        list(predict(_spec(tmp_path, model, probability=tmp_path / "p.dcm"), Uncontrolled()))


def test_threshold_and_smallest_diameter_count(tmp_path, model):
    spec = _spec(tmp_path, model, min_diameter_mm=12)
    assert _result(list(predict(spec, Uncontrolled())))["nodules"] == 1
    # a mask grows when the threshold falls
    sizes = []
    for threshold in (0.9, 0.1):
        changed = spec.model_copy(update={"threshold": threshold})
        list(predict(changed, Uncontrolled()))
        sizes.append(np.count_nonzero(sitk.GetArrayFromImage(sitk.ReadImage(str(spec.mask)))))
    assert sizes[0] < sizes[1]


def test_without_lungs_the_whole_scan_is_searched_and_that_is_said(tmp_path, model, monkeypatch):
    monkeypatch.setattr(searching, "lung_mask", lambda v: v.mask(np.zeros(v.array.shape, "u1")))
    events = list(predict(_spec(tmp_path, model, whole=False), Uncontrolled()))
    warnings = [e.message for e in events if isinstance(e, Log) and e.level == "warning"]
    assert any("no lungs" in w for w in warnings)
    assert _result(events)["nodules"] == 2


def _scan_with_rods():
    """A rod that reaches from the lungs far out, and a ball outside."""
    hu = np.full((40, 40, 96), -850, np.int16)
    hu[18:24, 18:24, 30:60] = 60
    hu[18:24, 18:24, 70:78] = 60
    return Volume(hu, Geometry(hu.shape))


def _predicted(scan, model, **keywords):
    recipe = read_card(model).recipe
    member = Member(prepare_engine(model, device="cpu"), recipe)
    generator = predict_volume(scan, [member], recipe.inference, **keywords)
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def test_what_reaches_the_lungs_is_kept_whole_and_what_lies_outside_dropped(model, monkeypatch):
    def left_side(volume):
        lungs = np.zeros(volume.array.shape, np.uint8)
        lungs[:, :, :34] = 1
        return volume.mask(lungs)

    monkeypatch.setattr(searching, "lung_mask", left_side)
    scan = _scan_with_rods()
    gated, whole = _predicted(scan, model), _predicted(scan, model, whole=True)
    assert whole.mask.array.max() == 2
    assert gated.mask.array.max() == 1
    # the rod's windows all overlap the lungs or a window that does
    assert gated.mask.array[20, 20, 32:50].all()
    assert not gated.mask.array[:, :, 66:].any()
    assert gated.probability.array[:, :, 66:].max() < 0.5


def test_a_stop_leaves_no_file(tmp_path, model):
    control = ThreadControl()
    spec = _spec(tmp_path, model, window=(32, 32, 32))
    events = []
    for event in predict(spec, control):
        events.append(event)
        if isinstance(event, Progress):
            control.stop()
    assert events[-1].stopped
    assert sum(isinstance(e, Progress) for e in events) == 1
    assert not spec.mask.exists()


def test_results_replace_older_ones_only_after_success(tmp_path, model, monkeypatch):
    spec = _spec(tmp_path, model)
    list(predict(spec, Uncontrolled()))
    before = spec.mask.read_bytes()

    def broken(*_, **__):
        raise ModelError("broken")

    monkeypatch.setattr(predict_module, "write_volume", broken)
    with pytest.raises(ModelError):
        list(predict(spec, Uncontrolled()))
    assert spec.mask.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mask": "mask.png"}, "unknown extension"),
        ({"probability": "p"}, "unknown extension"),
        ({"table": "table.xlsx"}, r"\.csv or \.json"),
        ({"candidates": "c.json"}, r"use \.csv"),
        ({"mask": "in_the_way/mask.nrrd"}, "cannot write"),
        ({"table": "in_the_way/table.csv"}, "cannot write"),
        ({"mask": "folder.mha"}, "folder of that name"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_the_work(tmp_path, model, change, words):
    (tmp_path / "in_the_way").write_text("a file", "utf-8")
    (tmp_path / "folder.mha").mkdir()
    spec = _spec(tmp_path, model, **{k: tmp_path / v for k, v in change.items()})
    spec.scan.unlink()  # it is not even read
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=words):
        list(predict(spec, Uncontrolled()))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_window_that_changes_the_answer_is_refused_in_words(tmp_path):
    instance = brightness_model(tmp_path / "model", norm="instance")
    with pytest.raises(ModelError, match="only works at its own window"):
        list(predict(_spec(tmp_path, instance, window=(48, 48, 48)), Uncontrolled()))


def test_two_windows_of_one_model_agree(tmp_path, model):
    masks = []
    for window in (None, (48, 64, 48)):
        spec = _spec(tmp_path, model, window=window)
        list(predict(spec, Uncontrolled()))
        masks.append(sitk.GetArrayFromImage(sitk.ReadImage(str(spec.mask))) > 0)
    common = np.count_nonzero(masks[0] & masks[1])
    assert 2 * common / (masks[0].sum() + masks[1].sum()) >= 0.99


def test_missing_scans_and_models_are_said(tmp_path, model):
    spec = _spec(tmp_path, model)
    with pytest.raises(ModelError, match="no model"):
        list(predict(spec.model_copy(update={"model": tmp_path / "none"}), Uncontrolled()))
    with pytest.raises(CtlnsError):
        list(predict(spec.model_copy(update={"scan": tmp_path / "none.mha"}), Uncontrolled()))
    assert not spec.mask.exists()


def _write_noise(path, direction, shape=(9, 21, 30)):
    """Write a scan of single bright voxels; return which they are, on its own grid."""
    bright = np.random.default_rng(4).random(shape) < 0.1
    image = sitk.GetImageFromArray(np.where(bright, 300, -900).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin((12.5, -7.25, 101.0))
    image.SetDirection(DIRECTIONS[direction])
    sitk.WriteImage(image, str(path))
    return bright


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("slices", [1, 7])
def test_two_dimensions_find_every_voxel_where_it_is(tmp_path, direction, slices):
    bright = _write_noise(tmp_path / "noise.nrrd", direction)
    spec = PredictSpec(
        scan=tmp_path / "noise.nrrd",
        model=slice_model(tmp_path / "model", slices),
        mask=tmp_path / "mask.nrrd",
        probability=tmp_path / "probability.nrrd",
        whole=True,
    )
    assert _result(list(predict(spec, Uncontrolled())))["engine"].startswith("OpenVINO")
    mask, scan = sitk.ReadImage(str(spec.mask)), sitk.ReadImage(str(spec.scan))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask) > 0, bright)
    np.testing.assert_allclose(mask.GetDirection(), scan.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(mask.GetOrigin(), scan.GetOrigin(), atol=1e-5)


def test_slices_left_out_have_no_probability_and_resized_ones_lie_where_they_did(tmp_path):
    hu = np.full((12, 20, 24), 300, np.int16)
    hu[:, :, 12:] = -900
    scan = Volume(hu, Geometry(hu.shape, (2.0, 0.8, 0.8)))
    preparation = Preparation(spacing_mm="native", drop_first_slices=5, slice_size=(40, 48))
    model = slice_model(tmp_path / "model", 3, preparation, sides=(16, 32))
    found = _predicted(scan, model, whole=True)
    assert found.probability.array[:5].max() == 0
    assert found.probability.array[5:, :, :11].min() > 0.99
    expected = hu > 0
    expected[:5] = False
    np.testing.assert_array_equal(found.mask.array > 0, expected)


def test_lungs_are_looked_for_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "lung_mask", lambda _: pytest.fail("lungs are not known"))
    hu = np.full((4, 16, 48), 300, np.int16)
    hu[:, :, 24:] = -1000
    found = _predicted(
        Volume(hu, Geometry(hu.shape)), slice_model(tmp_path / "model", structure="lung")
    )
    np.testing.assert_array_equal(found.mask.array, hu > 0)


def test_a_mask_written_as_seg_is_of_the_structure_named(tmp_path, monkeypatch):
    """Without a DICOM series at hand: what is handed on to the writer."""
    written = []
    monkeypatch.setattr(predict_module, "write_volume", lambda *_, **k: written.append(k))
    spec = _spec(tmp_path, slice_model(tmp_path / "model", structure="lung"))
    list(predict(spec, Uncontrolled()))
    assert written == [{"structure": "lung"}]


@pytest.mark.parametrize("name", ["case7.nii.gz", "case7.mha"])
@pytest.mark.parametrize("there", [True, False])
def test_in_a_folder_a_mask_is_named_after_its_scan(tmp_path, name, there):
    from napari_ctlns.cli import main

    scan = tmp_path / name
    bright = _write_noise(scan, "straight")
    model, out = slice_model(tmp_path / "model"), tmp_path / "out"
    if there:
        out.mkdir()
    folder = str(out) if there else f"{out}/"
    assert main(["predict", str(scan), "--model", str(model), "--out", folder, "--whole"]) == 0
    assert [path.name for path in out.iterdir()] == ["case7_pred.nii.gz"]
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "case7_pred.nii.gz")))
    np.testing.assert_array_equal(mask > 0, bright)


def test_what_is_shaped_like_a_vessel_is_told(tmp_path, model):
    hu = np.full((32, 32, 64), -850, np.int16)
    hu[14:18, 14:18, 4:60] = 60
    hu[4:10, 20:26, 20:26] = 60
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(tmp_path / "scan.nrrd"))
    spec = PredictSpec(
        scan=tmp_path / "scan.nrrd", model=model, mask=tmp_path / "mask.nrrd", whole=True
    )
    events = list(predict(spec, Uncontrolled()))
    assert _result(events)["lookalikes"] == {1: "vessel"}
    assert "shaped like a vessel: label 1" in [e.message for e in events if isinstance(e, Log)]
