"""MONAI bundles answer here as MONAI's own transforms and inferer do."""

import copy
import json
import os
import warnings

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from monai.transforms import Invertd

from napari_ctlns.errors import ModelError
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.torch_engine import TorchEngine
from napari_ctlns.volume import Geometry, Volume

from .foreign_models import UNET, bundle_config, bundle_network, scan_array, write_bundle
from .importing import imported, predicted, said, volume

TOLERANCE = 2e-3  # probabilities are kept in half precision


def monais_own(config, network, path):
    """The probability of a file's voxels (x, y, z), by what MONAI makes of the configuration."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _monais_own(copy.deepcopy(config), network, path)


def _monais_own(literal, network, path):
    literal["device"] = "cpu"
    parser = ConfigParser(literal)
    prepare = parser.get_parsed_content("preprocessing")
    data = prepare({"image": str(path)})
    with torch.inference_mode():
        logits = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
    data["pred"] = torch.softmax(logits, 0)
    back = Invertd(
        "pred", transform=prepare, orig_keys="image", nearest_interp=False, to_tensor=True
    )
    return back(data)["pred"][1].numpy()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def model(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "model"
    imported(bundle, folder)
    return folder


def file_of(path, shape, spacing, direction=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    """Write a scan, and return it as read."""
    geometry = Geometry(shape, spacing, (-20.0, 30.0, -40.0), direction)
    write_volume(Volume(scan_array(shape), geometry, "ct", "scan", "scan"), path)
    return read_scan(path)


def test_the_recipe_is_what_the_bundle_says(model):
    recipe = read_card(model).recipe
    assert recipe.name == "Tiny-nodules"
    assert recipe.preparation.clip_hu == (-900, 300)
    assert recipe.window == (8, 16, 12), "roi_size is x, y, z"
    assert recipe.inference.overlap == 0.5
    assert recipe.network.imported.label == "lung nodule"
    assert recipe.network.imported.axes == "RAS"
    assert not recipe.network.depends_on_window, "it has batch norm"
    assert recipe.network.steps == (2, 2, 2)


@pytest.mark.parametrize(
    "direction",
    [
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),  # LPS, as DICOM
        ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),  # RAS, as much NIfTI
        ((0, 0, 1), (-1, 0, 0), (0, -1, 0)),  # sagittal slices
    ],
)
def test_a_whole_scan_gets_monais_answer(tmp_path, direction):
    path = tmp_path / "scan.nii.gz"
    # voxels as the bundle wants them, so that nothing is resampled
    spacing = dict(zip("zyx", (2.0, 0.75, 0.5), strict=True))
    lps = read_scan_spacing(direction, spacing)
    scan = file_of(path, (16, 24, 18), tuple(spacing.values()), direction)
    config = bundle_config(pixdim=lps[::-1])
    expected = monais_own(config, bundle_network(), path).transpose(2, 1, 0)
    imported(write_bundle(tmp_path / "bundle", config), tmp_path / "model")
    probability, _ = predicted(tmp_path / "model", scan)
    assert np.ptp(expected) > 0.5, "a test that could not fail"
    ours = scan.geometry.to_source(probability)
    # MONAI gives the borders of a window no less than a thousandth of its middle's weight
    assert np.abs(ours - expected).mean() < 0.03
    assert correlation(ours, expected) > 0.95
    assert correlation(ours[:, ::-1], expected) < 0.5, "neither could a flip be seen"


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def read_scan_spacing(direction, spacing):
    """Millimetres along the patient's (z, y, x) of a grid with these along its own."""
    own = [spacing[k] for k in "xyz"]
    along = np.abs(np.asarray(direction)) @ own
    return [float(mm) for mm in along[::-1]]


def test_one_window_gets_exactly_monais_answer(tmp_path, bundle, model):
    path = tmp_path / "scan.nii.gz"
    scan = file_of(path, (8, 16, 12), (1.0, 1.0, 1.0))
    expected = monais_own(bundle_config(), bundle_network(), path).transpose(2, 1, 0)
    probability, mask = predicted(model, scan)
    np.testing.assert_allclose(scan.geometry.to_source(probability), expected, atol=TOLERANCE)
    np.testing.assert_array_equal(mask > 0, probability >= 0.5)


def test_a_thick_sliced_scan_is_resampled_nearly_as_monai_does(tmp_path):
    # it shrinks nothing and blurs: MONAI's grid begins up to a voxel beside ours
    described = {**UNET, "spatial_dims": 3, "strides": [1]}
    network = bundle_network("UNet", **{k: v for k, v in described.items() if k != "_target_"})
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.abs() / weight[0].numel() * 4 if weight.ndim > 1 else 0.25)
        next(reversed(list(network.parameters())[:-1]))[0] = 0  # background
    config = bundle_config(network_def=described)
    imported(write_bundle(tmp_path / "bundle", config, network), tmp_path / "model")
    path = tmp_path / "scan.nii.gz"
    z, y, x = np.indices((10, 40, 36)) * np.array([2.5, 0.7, 0.7]).reshape(3, 1, 1, 1)
    waves = 350 * np.sin(z / 5 + y / 9) + 20 * x - 15 * y + 200 * np.cos(x * y / 60)
    geometry = Geometry(z.shape, (2.5, 0.7, 0.7), (-20.0, 30.0, -40.0))
    write_volume(Volume(np.rint(waves - 300).astype(np.int16), geometry, "ct", "scan"), path)
    scan = read_scan(path)
    expected = monais_own(config, network, path).transpose(2, 1, 0)
    ours = scan.geometry.to_source(predicted(tmp_path / "model", scan)[0])
    assert correlation(ours, expected) > 0.9
    assert correlation(ours[:, ::-1, ::-1], expected) < 0.5, "a test that could not fail"


def test_engines_agree_at_any_window(model):
    scan = volume(scan_array((12, 24, 18), seed=1))
    slow, _ = predicted(model, scan)
    fast, _ = predicted(model, scan, prepare_engine(model, device="cpu"))
    assert np.abs(fast - slow).mean() < 0.02
    block = np.random.default_rng(0).standard_normal((1, 1, 12, 24, 18)).astype(np.float32)
    window = (12, 24, 18)
    ours = prepare_engine(model, window, "cpu").run(block)
    assert np.abs(ours - TorchEngine(model, window).run(block)).mean() < 0.02


def test_yaml_and_old_separators(tmp_path):
    config = bundle_config(pixdim={"lung": [1.0, 2.0, 3.0]})
    config["preprocessing"]["transforms"][3]["pixdim"] = "@pixdim#lung"
    folder = write_bundle(tmp_path / "bundle", config)
    (folder / "configs/inference.json").unlink()
    (folder / "configs/inference.yaml").write_text(yaml.safe_dump(config), "utf-8")
    imported(folder, tmp_path / "model")
    assert read_card(tmp_path / "model").recipe.preparation.spacing_mm == (3.0, 2.0, 1.0)


def test_weights_may_lie_under_a_key_and_have_prefixes(tmp_path, bundle, model):
    folder = write_bundle(tmp_path / "bundle", weights=False)
    weights = {f"module.{k}": v for k, v in bundle_network().state_dict().items()}
    torch.save({"model": weights, "epoch": 3}, folder / "models/model.pt")
    imported(folder, tmp_path / "model")
    same = [(f / "weights.safetensors").read_bytes() for f in (model, tmp_path / "model")]
    assert same[0] == same[1]


def _transforms(*transforms):
    first = bundle_config()["preprocessing"]["transforms"][:3]
    return bundle_config(preprocessing={"_target_": "Compose", "transforms": [*first, *transforms]})


@pytest.mark.parametrize(
    "transforms",
    [
        [{"_target_": "NormalizeIntensityd", "keys": "image"}],
        [{"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": -200, "divisor": 350}],
        [
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "image",
                "a_min": -500,
                "a_max": 100,
                "b_min": 0,
                "b_max": 1,
                "clip": False,
            },
            {"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 0.3, "divisor": 0.2},
        ],
        [
            {
                "_target_": "monai.transforms.ScaleIntensityRanged",
                "keys": "image",
                "a_min": -500,
                "a_max": 100,
                "b_min": 0,
                "b_max": 1,
                "clip": True,
            },
            {"_target_": "NormalizeIntensityd", "keys": "image"},
        ],
    ],
)
def test_values_are_scaled_as_the_bundle_does(tmp_path, transforms):
    config = _transforms(*transforms)
    path = tmp_path / "scan.nii.gz"
    scan = file_of(path, (8, 16, 12), (1.0, 1.0, 1.0))
    expected = monais_own(config, bundle_network(), path).transpose(2, 1, 0)
    imported(write_bundle(tmp_path / "bundle", config), tmp_path / "model")
    probability, _ = predicted(tmp_path / "model", scan)
    np.testing.assert_allclose(scan.geometry.to_source(probability), expected, atol=5e-3)


NETWORKS = {
    "SegResNet": {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 2},
    "DynUNet": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 8],
        "deep_supervision": True,
        "deep_supr_num": 1,
    },
    "BasicUNet": {"spatial_dims": 3, "out_channels": 2, "features": [4, 4, 4, 4, 4, 4]},
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_other_networks_depend_on_their_window(tmp_path, kind):
    arguments = NETWORKS[kind]
    network = bundle_network(kind, **arguments)
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32]}
    config = bundle_config(network_def={"_target_": kind, **arguments}, inferer=inferer)
    imported(write_bundle(tmp_path / "bundle", config, network), tmp_path / "model")
    recipe = read_card(tmp_path / "model").recipe
    assert recipe.network.depends_on_window, "it has instance or group norm"
    block = np.random.default_rng(0).standard_normal((1, 1, 32, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        turned = torch.from_numpy(block[0, 0].transpose(2, 1, 0)[::-1, ::-1].copy())[None, None]
        said = torch.softmax(network(turned), 1)[0, 1].numpy()
    ours = TorchEngine(tmp_path / "model", (32, 32, 32)).run(block)[0, 0]
    np.testing.assert_allclose(ours, said[::-1, ::-1].transpose(2, 1, 0), atol=1e-5)
    with pytest.raises(ModelError, match="only works at its own window"):
        prepare_engine(tmp_path / "model", (64, 64, 64), "cpu")


def test_a_bundle_that_does_not_turn_scans_is_told_how_they_lie(tmp_path):
    config = bundle_config()
    del config["preprocessing"]["transforms"][2]
    bundle = write_bundle(tmp_path / "bundle", config)
    assert "takes its axes as LPS" in " ".join(said(bundle, tmp_path / "model"))
    assert read_card(tmp_path / "model").recipe.network.imported.axes == "LPS"
    assert said(bundle, tmp_path / "other", axes="RAS") == []


class _Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _malicious(folder):
    torch.save({"model": _Malicious(folder / "hacked")}, folder / "models/model.pt")


def _torchscript(folder):
    script = torch.jit.trace(bundle_network(), torch.zeros(1, 1, 8, 8, 8))
    torch.jit.save(script, folder / "models/model.pt")


def _only_torchscript(folder):
    (folder / "models/model.pt").rename(folder / "models/model.ts")


def _damaged(folder):
    file = folder / "models/model.pt"
    file.write_bytes(file.read_bytes()[:3000])


def _config(**changes):
    def change(folder):
        text = json.dumps(bundle_config(**changes))
        (folder / "configs/inference.json").write_text(text, "utf-8")

    return change


def _prepared_by(transform):
    def change(folder):
        (folder / "configs/inference.json").write_text(json.dumps(_transforms(transform)), "utf-8")

    return change


PROBLEMS = {
    "malicious": (_malicious, "could run code"),
    "TorchScript": (_torchscript, "TorchScript, which is code"),
    "only TorchScript": (_only_torchscript, "only model.ts"),
    "damaged": (_damaged, "damaged"),
    "no checkpoint": (lambda f: (f / "models/model.pt").unlink(), "cannot read"),
    "no metadata": (lambda f: (f / "configs/metadata.json").unlink(), "cannot read"),
    "no config": (lambda f: (f / "configs/inference.json").unlink(), "no configs/inference.json"),
    "other width": (_config(network_def={**UNET, "channels": [4, 9]}), "do not fit"),
    "own class": (_config(network_def={"_target_": "my.Network"}), "my.Network is not supported"),
    "function": (
        _config(network_def={"_target_": "os.UNet"}),
        "os.UNet is not supported; there are",
    ),
    "expression": (
        _config(network_def={**UNET, "channels": "$[4, 8]"}),
        "channels of the bundle is .\\[4, 8\\], which only running",
    ),
    "expression for a network": (_config(network_def="$UNet()"), "network_def is no _target_"),
    "circle": (
        _config(network_def={**UNET, "channels": "@a"}, a="@b::x", b="@a::x"),
        "which only running",
    ),
    "refers to itself": (
        _config(network_def={**UNET, "channels": "@network_def"}),
        "refers to itself",
    ),
    "CT and PET": (_config(network_def={**UNET, "in_channels": 4}), "wants 4 images"),
    "arguments": (_config(network_def={**UNET, "spice": 1}), "cannot be built"),
    "unknown transform": (_prepared_by({"_target_": "ScaleIntensityd"}), "by ScaleIntensity,"),
    "lambda": (_prepared_by({"_target_": "Lambdad", "func": "$lambda x: x"}), "by Lambda,"),
    "no transforms": (_config(preprocessing="$@a + @b"), "only running it could tell"),
    "whole scans": (_config(inferer={"_target_": "SimpleInferer"}), "inferer is SimpleInferer"),
    "no window": (
        _config(inferer={"_target_": "SlidingWindowInferer", "roi_size": [96, 96, -1]}),
        "is no window",
    ),
    "a number for words": (_config(inferer={"_target_": "SlidingWindowInferer"}), "roi_size"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_is_said_and_nothing_written(tmp_path, name):
    change, words = PROBLEMS[name]
    folder = write_bundle(tmp_path / "bundle")
    change(folder)
    with pytest.raises(ModelError, match=words):
        imported(folder, tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert not (folder / "hacked").exists()
