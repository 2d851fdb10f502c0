"""Models of nnU-Net v2 answer here as they do at home."""

import json

import numpy as np
import pytest
import torch

from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.model import read_card

from .foreign_models import (
    CT_PROPERTIES,
    nnunet_network,
    nnunet_plans,
    older_plans,
    scan_array,
    write_nnunet,
)
from .importing import dice, imported, predicted, said, softmax, volume

pytest.importorskip("dynamic_network_architectures")

WINDOW = (8, 16, 12)
TOLERANCE = 1e-3  # probabilities are kept in half precision


def normalised(hu):
    low, high = CT_PROPERTIES["percentile_00_5"], CT_PROPERTIES["percentile_99_5"]
    return (np.clip(hu.astype(np.float64), low, high) - CT_PROPERTIES["mean"]) / CT_PROPERTIES[
        "std"
    ]


def answered(plans, heads, values):
    """What the network itself says of normalised values on its own axes, (labels, ...)."""
    with torch.inference_mode():
        given = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]
        return nnunet_network(plans, heads, deep=False)(given)[0].numpy()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_nnunet(
        tmp_path_factory.mktemp("nnunet") / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    )


@pytest.fixture(scope="module")
def model(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "model"
    imported(source, folder)
    return folder


def test_the_recipe_is_what_the_plans_say(model):
    recipe = read_card(model).recipe
    preparation = recipe.preparation
    assert preparation.spacing_mm == (1.0, 1.0, 1.0)
    assert preparation.clip_hu == (-960, 240)
    assert (preparation.subtrahend, preparation.divisor) == (-180, 310)
    assert recipe.window == WINDOW
    assert recipe.inference.overlap == 0.5
    assert recipe.network.depends_on_window, "it has instance norm"
    assert recipe.network.imported.label == "nodule"
    assert {f.name for f in model.iterdir()} == {"model.json", "weights.safetensors"}


def test_a_window_gets_the_answer_of_the_network_itself(model):
    hu = scan_array(WINDOW)
    expected = softmax(answered(nnunet_plans(), 2, normalised(hu)))[1]
    probability, mask = predicted(model, volume(hu))
    assert np.ptp(expected) > 0.5, "a test that could not fail"
    np.testing.assert_allclose(probability, expected, atol=TOLERANCE)
    np.testing.assert_array_equal(mask > 0, probability >= 0.5)


def test_openvino_agrees_with_torch(model):
    hu = scan_array((12, 24, 18), seed=1)
    engine = prepare_engine(model, device="cpu")
    assert "OpenVINO" in engine.name
    fast, _ = predicted(model, volume(hu), engine)
    slow, _ = predicted(model, volume(hu))
    assert np.abs(fast - slow).mean() < 0.02
    assert dice(fast >= 0.5, slow >= 0.5) > 0.97


@pytest.mark.parametrize("forward", [(1, 0, 2), (2, 0, 1)])
def test_axes_are_turned_as_the_plans_want(tmp_path, forward):
    turned = {"transpose_forward": list(forward)}
    window = [WINDOW[axis] for axis in forward]
    spacing = [(2.0, 0.8, 0.9)[axis] for axis in forward]
    plans = nnunet_plans(patch_size=window, spacing=spacing) | turned
    imported(write_nnunet(tmp_path / "source", plans), tmp_path / "model")
    hu = scan_array(WINDOW)
    own = answered(plans, 2, normalised(hu).transpose(forward))
    expected = softmax(own)[1].transpose(np.argsort(forward))
    probability, _ = predicted(tmp_path / "model", volume(hu, (2.0, 0.8, 0.9)))
    np.testing.assert_allclose(probability, expected, atol=TOLERANCE)


def test_training_files_may_have_lain_otherwise(tmp_path, source):
    imported(source, tmp_path / "model", axes="SAR")
    hu = scan_array(WINDOW)
    own = answered(nnunet_plans(), 2, normalised(hu)[:, ::-1, ::-1])
    probability, _ = predicted(tmp_path / "model", volume(hu))
    np.testing.assert_allclose(probability, softmax(own)[1][:, ::-1, ::-1], atol=TOLERANCE)


def test_a_2d_model_goes_slice_by_slice_at_the_scans_own_distance(tmp_path):
    plans = nnunet_plans(dimensions=2)
    imported(write_nnunet(tmp_path / "source", plans), tmp_path / "model")
    hu = scan_array((5, *WINDOW[1:]))
    slices = [softmax(answered(plans, 2, plane))[1] for plane in normalised(hu)]
    probability, _ = predicted(tmp_path / "model", volume(hu, (2.5, 1.0, 1.0)))
    assert read_card(tmp_path / "model").recipe.preparation.spacing_mm == ("native", 1.0, 1.0)
    np.testing.assert_allclose(probability, np.stack(slices), atol=TOLERANCE)
    engine = prepare_engine(tmp_path / "model", device="cpu")
    fast, _ = predicted(tmp_path / "model", volume(hu, (2.5, 1.0, 1.0)), engine)
    assert np.abs(fast - probability).mean() < 0.02


def test_regions_have_a_sigmoid_each_and_must_be_chosen(tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    source = write_nnunet(tmp_path / "source", labels=labels, heads=2, regions_class_order=[1, 2])
    with pytest.raises(ModelError, match=r"choose by --label: whole .0., core .1."):
        imported(source, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    imported(source, tmp_path / "model", label="core")
    hu = scan_array(WINDOW)
    expected = 1 / (1 + np.exp(-answered(nnunet_plans(), 2, normalised(hu))[1]))
    probability, _ = predicted(tmp_path / "model", volume(hu))
    np.testing.assert_allclose(probability, expected, atol=TOLERANCE)


def test_one_of_several_labels_is_chosen_by_name_or_number(tmp_path):
    labels = {"background": 0, "lung": 1, "Nodule": 2}
    source = write_nnunet(tmp_path / "source", labels=labels)
    assert imported(source, tmp_path / "one", label="nodule")["label"] == "Nodule"
    assert imported(source, tmp_path / "two", label="1")["label"] == "lung"
    with pytest.raises(ModelError, match=r"no label liver; there are lung .1., Nodule .2."):
        imported(source, tmp_path / "three", label="liver")
    hu = scan_array(WINDOW)
    expected = softmax(answered(nnunet_plans(), 3, normalised(hu)))
    for name, channel in (("one", 2), ("two", 1)):
        probability, _ = predicted(tmp_path / name, volume(hu))
        np.testing.assert_allclose(probability, expected[channel], atol=TOLERANCE)


def test_older_plans_and_z_scores(tmp_path):
    plans = older_plans()
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["ZScoreNormalization"]
    imported(write_nnunet(tmp_path / "source", plans), tmp_path / "model")
    hu = scan_array(WINDOW)
    expected = softmax(answered(plans, 2, (hu - hu.mean()) / hu.std()))[1]
    probability, _ = predicted(tmp_path / "model", volume(hu))
    np.testing.assert_allclose(probability, expected, atol=TOLERANCE)


def test_plans_that_inherit(tmp_path):
    plans = nnunet_plans()
    whole = plans["configurations"]["3d_fullres"]
    plans["configurations"]["3d_small"] = {"inherits_from": "3d_fullres", "spacing": [3, 2, 1]}
    source = write_nnunet(tmp_path / "source", {**plans, "configurations": {"3d_fullres": whole}})
    checkpoint = source / "fold_0/checkpoint_final.pth"
    held = torch.load(checkpoint, weights_only=False)
    held["init_args"]["configuration"] = "3d_small"
    torch.save(held, checkpoint)
    (source / "plans.json").write_text(json.dumps(plans), "utf-8")
    imported(source, tmp_path / "model")
    assert read_card(tmp_path / "model").recipe.preparation.spacing_mm == (3, 2, 1)


def test_batch_norm_may_be_run_at_other_windows(tmp_path):
    plans = nnunet_plans()
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments |= {"norm_op": "torch.nn.modules.batchnorm.BatchNorm3d"}
    source = write_nnunet(tmp_path / "source", plans)
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    kwargs = {**arguments, "conv_op": torch.nn.Conv3d, "norm_op": torch.nn.BatchNorm3d}
    kwargs |= {"nonlin": torch.nn.LeakyReLU, "deep_supervision": True}
    network = PlainConvUNet(1, num_classes=2, **kwargs)
    checkpoint = source / "fold_0/checkpoint_final.pth"
    held = torch.load(checkpoint, weights_only=False)
    held["network_weights"] = {f"module.{k}": v for k, v in network.state_dict().items()}
    torch.save(held, checkpoint)
    assert imported(source, tmp_path / "model")["other_windows"]
    network = read_card(tmp_path / "model").recipe.network
    assert network.steps == (2, 4, 4), "what the strides multiply to"
    engine = prepare_engine(tmp_path / "model", (2, 4, 8), "cpu")
    assert engine.run(np.zeros((1, 1, 2, 4, 8), np.float32)).shape == (1, 1, 2, 4, 8)


def test_several_folds_become_a_model_each(tmp_path):
    source = write_nnunet(tmp_path / "source", folds=(0, 1))
    models = imported(source, tmp_path / "models")["models"]
    assert models == [str(tmp_path / "models" / name) for name in ("fold_0", "fold_1")]
    assert all(read_card(model).recipe.window == WINDOW for model in models)
    imported(source, tmp_path / "one", fold="1")
    assert read_card(tmp_path / "one").recipe.name.endswith("fold_1")
    imported(source / "fold_0", tmp_path / "other")
    assert read_card(tmp_path / "other").recipe.name.endswith("fold_0")
    with pytest.raises(OutputError, match="no folder for several folds"):
        imported(source, tmp_path / "one")
    with pytest.raises(ModelError, match="no fold_7"):
        imported(source, tmp_path / "seven", fold="7")


def test_nothing_is_written_if_one_fold_is_damaged(tmp_path):
    source = write_nnunet(tmp_path / "source", folds=(0, 1))
    checkpoint = source / "fold_1/checkpoint_final.pth"
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    with pytest.raises(ModelError, match="damaged"):
        imported(source, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_best_checkpoint_stands_in_for_the_final_one(tmp_path):
    source = write_nnunet(tmp_path / "source")
    final = source / "fold_0/checkpoint_final.pth"
    final.rename(final.with_name("checkpoint_best.pth"))
    assert "checkpoint_best.pth" in " ".join(said(source, tmp_path / "model"))


def _json(source, name, change):
    held = json.loads((source / name).read_text("utf-8"))
    change(held)
    (source / name).write_text(json.dumps(held), "utf-8")


def _configuration(key, value):
    def change(source):
        def set_value(plans):
            plans["configurations"]["3d_fullres"][key] = value

        _json(source, "plans.json", set_value)

    return change


def _architecture(key, value):
    def change(source):
        def set_value(plans):
            said = plans["configurations"]["3d_fullres"]["architecture"]
            (said if key in said else said["arch_kwargs"])[key] = value

        _json(source, "plans.json", set_value)

    return change


def _two_images(source):
    _json(source, "dataset.json", lambda d: d["channel_names"].update({"1": "PET"}))


def _weights(change):
    def changed(source):
        file = source / "fold_0/checkpoint_final.pth"
        held = torch.load(file, weights_only=False)
        change(held)
        torch.save(held, file)

    return changed


def _not_finite(held):
    next(iter(held["network_weights"].values())).fill_(float("nan"))


PROBLEMS = {
    "PET": (_two_images, "wants 2 images .CT, PET."),
    "no dataset.json": (lambda s: (s / "dataset.json").unlink(), "cannot read .*dataset.json"),
    "no JSON": (lambda s: (s / "plans.json").write_text("{"), "not JSON"),
    "no checkpoint": (
        lambda s: (s / "fold_0/checkpoint_final.pth").unlink(),
        "no checkpoint_final.pth",
    ),
    "no configurations": (
        lambda s: _json(s, "plans.json", lambda p: p.pop("configurations")),
        "not as nnU-Net v2 writes it",
    ),
    "list for dictionary": (
        lambda s: _json(s, "dataset.json", lambda d: d.update(labels=[0, 1])),
        "not as nnU-Net v2 writes it",
    ),
    "cascade": (_configuration("previous_stage", "3d_lowres"), "goes on where another model"),
    "RGB": (_configuration("normalization_schemes", ["RGBTo01Normalization"]), "not for CT"),
    "other class": (_architecture("network_class_name", "os.system"), "system is not supported"),
    "other layer": (_architecture("nonlin", "builtins.eval"), "eval is not supported"),
    "other widths": (_architecture("features_per_stage", [4, 6, 9]), "do not fit"),
    "other arguments": (_architecture("n_stages", 5), "cannot be built"),
    "other window": (_configuration("patch_size", [8, 16, 13]), "does not take windows"),
    "no weights": (_weights(lambda held: held.pop("network_weights")), "holds no weights"),
    "not finite": (_weights(_not_finite), "not finite"),
    "no init_args": (_weights(lambda held: held.pop("init_args")), "init_args"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_is_said_and_nothing_written(tmp_path, name):
    change, words = PROBLEMS[name]
    source = write_nnunet(tmp_path / "source")
    change(source)
    with pytest.raises(ModelError, match=words):
        imported(source, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_nnunets_own_predictor_says_the_same(tmp_path, source, model):
    predictor_module = pytest.importorskip("nnunetv2.inference.predict_from_raw_data")
    predictor = predictor_module.nnUNetPredictor(
        tile_step_size=0.5, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(source), (0,))

    def own(hu, spacing):
        given = hu[None].astype(np.float32)
        _, found = predictor.predict_single_npy_array(
            given, {"spacing": list(spacing)}, None, None, save_or_return_probabilities=True
        )
        return found[1]

    one_window = scan_array(WINDOW)
    probability, _ = predicted(model, volume(one_window))
    # nnU-Net blends in half precision, which says little where its Gaussian is small
    inner = (slice(2, -2), slice(4, -4), slice(3, -3))
    np.testing.assert_allclose(probability[inner], own(one_window, (1, 1, 1))[inner], atol=5e-3)
    # elsewhere its Gaussian lies half a voxel beside the middle of a window
    several = scan_array((16, 24, 18), seed=2)
    probability, _ = predicted(model, volume(several))
    expected = own(several, (1, 1, 1))
    assert np.abs(probability - expected).mean() < 0.02
    assert dice(probability >= 0.5, expected >= 0.5) > 0.97
    # and it resamples by splines
    probability, _ = predicted(model, volume(several, (1.5, 0.8, 0.8)))
    expected = own(several, (1.5, 0.8, 0.8))
    assert dice(probability >= 0.5, expected >= 0.5) > 0.9
