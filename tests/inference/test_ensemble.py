"""Several models and mirror images: their mean and their spread, against plain numpy."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_ctlns.cli import main
from napari_ctlns.errors import ModelError
from napari_ctlns.events import Finished, Progress, Uncontrolled
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.ensemble import Agreement, Member, with_mirror_images
from napari_ctlns.inference.model import ModelCard, read_card, save_model
from napari_ctlns.inference.predict import predict
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Inference, Network, Patches, Preparation, Recipe
from napari_ctlns.specs import PredictSpec

from .models import slice_model

WINDOW = (8, 8, 8)


def lopsided_model(folder, seed, **preparation):
    """A network of random weights, which no mirror leaves as it is."""
    recipe = Recipe(
        name="lopsided",
        preparation=Preparation(**{"spacing_mm": "native", **preparation}),
        patches=Patches(size=WINDOW),
        network=Network(channels=(4, 8)),
        inference=Inference(min_diameter_mm=0, threshold=0.5),
    )
    torch.manual_seed(seed)
    network = build_network(recipe)
    with torch.no_grad():
        network.head.weight *= 300
        network.head.bias[:] = 0
    save_model(folder, network.eval(), ModelCard(recipe=recipe))
    return folder


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    rng = np.random.default_rng(0)
    image = sitk.GetImageFromArray(rng.integers(-1000, 400, (12, 16, 20)).astype(np.int16))
    path = tmp_path_factory.mktemp("scan") / "scan.mha"
    sitk.WriteImage(image, str(path))
    return path


def answers(scan, out, *models, **changes):
    spec = PredictSpec(
        scan=scan,
        model=models[0],
        more_models=models[1:],
        mask=out / "mask.mha",
        probability=out / "probability.mha",
        whole=True,
        device="cpu",
        **changes,
    )
    events = list(predict(spec, Uncontrolled()))
    assert isinstance(events[-1], Finished)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(spec.probability))), events


def test_models_are_averaged_and_their_spread_is_told(scan, tmp_path):
    models = [lopsided_model(tmp_path / f"m{k}", k) for k in range(3)]
    models.append(lopsided_model(tmp_path / "coarse", 3, spacing_mm=1.5))
    alone = np.stack([answers(scan, tmp_path, model)[0] for model in models])
    path = tmp_path / "uncertainty.nii.gz"
    mean, events = answers(scan, tmp_path, *models, uncertainty=path)
    np.testing.assert_allclose(mean, alone.mean(axis=0), atol=2e-3)
    spread = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_allclose(spread, alone.std(axis=0), atol=2e-3)
    assert spread.max() > 0.1
    shares = [e.done / e.total for e in events if isinstance(e, Progress)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_mirror_images_are_those_of_every_axis(tmp_path):
    model = lopsided_model(tmp_path / "model", 0)
    member = Member(prepare_engine(model, device="cpu"), read_card(model).recipe)
    members = with_mirror_images(member)
    assert len(members) == 8
    window = np.random.default_rng(1).normal(size=(1, 1, *WINDOW)).astype(np.float32)
    found = [m.engine.run(window) for m in members]
    expected = [
        np.flip(member.engine.run(np.flip(window, axes).copy()), axes)
        for axes in [(), (2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4)]
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert len({one.tobytes() for one in found}) == 8


def test_slices_are_mirrored_in_their_plane(tmp_path):
    model = slice_model(tmp_path / "model", slices=3)
    member = Member(prepare_engine(model, device="cpu"), read_card(model).recipe)
    window = np.random.default_rng(1).random((2, 1, 3, 16, 16), np.float32)
    members = with_mirror_images(member)
    assert len(members) == 4
    for one in members:  # it answers voxel by voxel for the middle slice
        np.testing.assert_allclose(one.engine.run(window), members[0].engine.run(window), atol=1e-5)


def test_a_mirrored_scan_gets_the_mirrored_answer(scan, tmp_path):
    model = lopsided_model(tmp_path / "model", 0)
    image = sitk.ReadImage(str(scan))
    cropped = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[:8, :8, :8])
    flipped = sitk.GetImageFromArray(sitk.GetArrayFromImage(cropped)[::-1, :, ::-1])
    for name, one in {"a.mha": cropped, "b.mha": flipped}.items():
        sitk.WriteImage(one, str(tmp_path / name))
    there, _ = answers(tmp_path / "a.mha", tmp_path, model, mirrored=True)
    back, _ = answers(tmp_path / "b.mha", tmp_path, model, mirrored=True)
    np.testing.assert_allclose(back[::-1, :, ::-1], there, atol=2e-3)
    plain, _ = answers(tmp_path / "a.mha", tmp_path, model)
    assert np.abs(plain - there).max() > 0.05


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 6), *[st.integers(1, 4)] * 3),
        elements=st.floats(0, 1, width=32),
    )
)  # fmt: skip
def test_agreement_is_mean_and_standard_deviation(members):
    agreement = Agreement(members.shape[1:])
    for member in members:
        agreement.add(member)
    wide = members.astype(float)
    np.testing.assert_allclose(agreement.mean, wide.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(agreement.spread(), wide.std(axis=0), atol=1e-5)


def test_models_of_lungs_and_of_nodules_have_no_mean(scan, tmp_path):
    lungs = slice_model(tmp_path / "lungs", structure="lung")
    nodules = slice_model(tmp_path / "nodules")
    with pytest.raises(ModelError, match="different things"):
        answers(scan, tmp_path, nodules, lungs)


def test_from_the_command_line(scan, tmp_path, capsys):
    models = [str(lopsided_model(tmp_path / f"m{k}", k)) for k in range(2)]
    words = ["predict", str(scan), "--model", models[0], "--out", str(tmp_path / "mask.nrrd")]
    words += ["--uncertainty", str(tmp_path / "u.nrrd")]
    assert main(words) == 2
    assert "no uncertainty of one answer" in capsys.readouterr().err
    assert main([*words, "--model", models[1], "--whole", "--seed-threshold", "0.6"]) == 0
    assert (tmp_path / "u.nrrd").is_file()
    assert (tmp_path / "mask.nrrd").is_file()
