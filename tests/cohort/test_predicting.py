"""Cohorts of predictions; the network only says how bright a slice is."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from napari_ctlns.cohort.predicting import predictor
from napari_ctlns.errors import ModelError, RunError
from napari_ctlns.events import Uncontrolled
from napari_ctlns.formats import read_scan
from napari_ctlns.inference import engines
from napari_ctlns.inference.model import ModelCard, save_model
from napari_ctlns.inference.predict import predict
from napari_ctlns.masks.uncertainty import scan_uncertainty
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Inference, Network, Patches, Preparation, Recipe
from napari_ctlns.specs import PredictMany, PredictSpec


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    recipe = Recipe(
        name="tiny-2d",
        preparation=Preparation(spacing_mm="native"),
        patches=Patches(size=(1, 16, 16)),
        network=Network(dimensions=2, channels=(4, 8)),
        inference=Inference(min_diameter_mm=0),
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "best"
    network = build_network(recipe).eval()
    with torch.no_grad():  # else all would be improbable, as in a network that begins to learn
        list(network.parameters())[-1].zero_()
    save_model(folder, network, ModelCard(recipe=recipe))
    return folder


def voxels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_each_scan_is_predicted_as_alone(scans, run, rows, model, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder, out = scans("a", "b"), tmp_path / "out"
    work = PredictMany(model=model, probability=True, whole=True, device="cpu")
    run(folder, out, work)
    for name in "ab":
        alone = PredictSpec(
            model=model,
            whole=True,
            device="cpu",
            scan=folder / f"{name}.mha",
            mask=tmp_path / "mask.nii.gz",
            probability=tmp_path / "probability.nii.gz",
            table=tmp_path / "table.csv",
        )
        list(predict(alone, Uncontrolled()))
        np.testing.assert_array_equal(voxels(alone.mask), voxels(out / f"{name}_pred.nii.gz"))
        probability = voxels(out / f"{name}_probability.nii.gz")
        np.testing.assert_array_equal(voxels(alone.probability), probability)
        assert 0 < probability.max() <= 1
        assert alone.table.read_text() == (out / f"{name}_nodules.csv").read_text()
        unsure = scan_uncertainty(read_scan(out / f"{name}_probability.nii.gz"))
        assert float(rows(out)[name]["uncertainty"]) == pytest.approx(unsure, abs=1e-3)
        assert 0 < unsure <= 1
    with pytest.raises(RunError, match=r"threshold was the default, now 0\.9"):
        run(folder, out, work.model_copy(update={"threshold": 0.9}))


def test_an_engine_stays_warm_from_scan_to_scan(scans, model, tmp_path, monkeypatch):
    prepared = []
    real = engines.prepare_engine
    monkeypatch.setattr(
        engines, "prepare_engine", lambda *given: prepared.append(given) or real(*given)
    )
    do = predictor()
    folder = scans("a", "b")
    for name in "ab":
        mask = tmp_path / f"{name}.nii.gz"
        spec = PredictSpec(model=model, scan=folder / f"{name}.mha", mask=mask, whole=True)
        assert not do(spec, Uncontrolled()).stopped
        assert mask.exists()
    assert len(prepared) == 1


def test_a_model_that_is_none_is_refused_and_nothing_is_left(scans, run, tmp_path):
    with pytest.raises(ModelError):
        run(scans("a"), tmp_path / "out", PredictMany(model=tmp_path / "none"))
    assert not (tmp_path / "out").exists()
