"""ONNX files answer here as ONNX's own reference evaluator does."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from napari_ctlns.errors import ModelError, RecipeError
from napari_ctlns.inference import engines
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.model import load_network, read_card
from napari_ctlns.recipe import load_recipe

from .foreign_models import onnx_model, scan_array
from .importing import imported, predicted, said, softmax, volume

WINDOW = (8, 16, 12)
NATIVE = {"preparation.spacing_mm": "native", "inference.window": list(WINDOW)}
BF16 = 0.03
"""What half precision may cost where the machine has it."""


def written(path, model):
    onnx.save(model, path)
    return path


def answered(model, values):
    given = np.ascontiguousarray(values, np.float32)
    return ReferenceEvaluator(model).run(None, {"image": given})[0][0]


def scaled(hu):
    return (np.clip(hu.astype(np.float64), -1000, 400) + 1000) / 1400


def probability_of(folder, scan):
    return predicted(folder, scan, prepare_engine(folder, device="cpu"))[0]


TURNS = {
    "SPL": (lambda a: a, lambda a: a),
    "RAS": (
        lambda a: a.transpose(2, 1, 0)[::-1, ::-1],
        lambda a: a[::-1, ::-1].transpose(2, 1, 0),
    ),
    "ILA": (
        lambda a: a.transpose(0, 2, 1)[::-1, :, ::-1],
        lambda a: a[::-1, :, ::-1].transpose(0, 2, 1),
    ),
}


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("axes", TURNS)
def test_a_window_gets_the_answer_of_the_network_itself(tmp_path, axes, dynamic):
    turn, back = TURNS[axes]
    sides = turn(np.zeros(WINDOW)).shape
    model = onnx_model((1, 1, *sides), outputs=2, dynamic=dynamic)
    choices = {"axes": axes, "label": "1", "changes": NATIVE}
    result = imported(written(tmp_path / "net.onnx", model), tmp_path / "model", **choices)
    assert result["activation"] == "softmax"
    assert result["window"] == list(WINDOW)
    assert result["other_windows"] is dynamic
    hu = scan_array(WINDOW)
    expected = back(softmax(answered(model, turn(scaled(hu))[None, None]))[1])
    assert np.ptp(expected) > 0.1, "a test that could not fail"
    ours = probability_of(tmp_path / "model", volume(hu))
    np.testing.assert_allclose(ours, expected, atol=BF16)


@pytest.mark.parametrize("last", ["Sigmoid", None])
def test_one_channel_has_a_sigmoid_of_its_own_or_gets_one(tmp_path, last):
    model = onnx_model((1, 1, *WINDOW), last=last)
    path = written(tmp_path / "net.onnx", model)
    result = imported(path, tmp_path / "model", changes=NATIVE)
    assert result["activation"] == ("none" if last else "sigmoid")
    hu = scan_array(WINDOW)
    logits = answered(model, scaled(hu)[None, None])[0]
    expected = logits if last else 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(probability_of(tmp_path / "model", volume(hu)), expected, atol=BF16)


@pytest.mark.parametrize(("slices", "axes"), [(1, "SPL"), (3, "SPL"), (3, "ILP")])
def test_a_2d_network_sees_slices_as_channels(tmp_path, slices, axes):
    plane = (16, 12) if axes == "SPL" else (12, 16)
    model = onnx_model((1, slices, *plane))
    path = written(tmp_path / "net.onnx", model)
    changes = {**NATIVE, "inference.window": [slices, 16, 12]}
    imported(path, tmp_path / "model", axes=axes, changes=changes)
    assert read_card(tmp_path / "model").recipe.in_channels == slices
    hu = scan_array((6, 16, 12))
    around = np.pad(scaled(hu), ((slices // 2,) * 2, (0, 0), (0, 0)), mode="symmetric")
    planes = []
    for z in range(len(hu)):
        seen = around[z : z + slices]
        turned = seen if axes == "SPL" else seen[::-1].transpose(0, 2, 1)
        logits = answered(model, turned[None])[0]
        planes.append(logits if axes == "SPL" else logits.T)
    expected = 1 / (1 + np.exp(-np.stack(planes)))
    np.testing.assert_allclose(probability_of(tmp_path / "model", volume(hu)), expected, atol=BF16)


def test_recipe_and_changes_say_how_scans_are_prepared(tmp_path):
    path = written(tmp_path / "net.onnx", onnx_model((1, 1, *WINDOW), dynamic=False))
    recipe = load_recipe("lung-region")
    changes = {"preparation.spacing_mm": [2.0, 1.0, "native"], "inference.threshold": 0.3}
    imported(path, tmp_path / "model", recipe=recipe, changes=changes)
    ours = read_card(tmp_path / "model").recipe
    assert ours.structure == "lung"
    assert ours.preparation.normalisation == "standardise"
    assert ours.preparation.spacing_mm == (2.0, 1.0, "native")
    assert ours.inference.threshold == 0.3
    with pytest.raises(RecipeError, match=r"preparation\.space"):
        imported(path, tmp_path / "other", changes={"preparation.space": 1})
    assert not (tmp_path / "other").exists()


def test_instance_norm_keeps_a_dynamic_network_to_its_window(tmp_path):
    model = onnx_model((1, 1, *WINDOW))
    scale = onnx.numpy_helper.from_array(np.ones(4, np.float32), "scale")
    shift = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "shift")
    model.graph.initializer.extend([scale, shift])
    norm = onnx.helper.make_node("InstanceNormalization", ["a", "scale", "shift"], ["n"])
    model.graph.node.insert(1, norm)
    model.graph.node[2].input[0] = "n"
    path = written(tmp_path / "net.onnx", model)
    assert imported(path, tmp_path / "model", changes=NATIVE)["other_windows"] is False
    hu = scan_array(WINDOW)
    expected = 1 / (1 + np.exp(-answered(model, scaled(hu)[None, None])[0]))
    np.testing.assert_allclose(probability_of(tmp_path / "model", volume(hu)), expected, atol=0.05)


def test_on_a_gpu_it_runs_on_the_cpu_with_a_word(tmp_path, monkeypatch):
    path = written(tmp_path / "net.onnx", onnx_model((1, 1, *WINDOW), dynamic=False))
    imported(path, tmp_path / "model")
    monkeypatch.setattr(engines, "_available_devices", lambda: {"cpu", "cuda"})
    for device in ("auto", "cuda"):
        engine = prepare_engine(tmp_path / "model", device=device)
        assert "OpenVINO" in engine.name
        assert "not on the GPU" in engine.notes[0]
        assert engine.reason == "ONNX models run on no GPU"
    assert prepare_engine(tmp_path / "model", device="cpu").notes == ()
    with pytest.raises(ModelError, match="runs on OpenVINO alone"):
        load_network(tmp_path / "model")


def test_it_says_what_it_takes_for_granted(tmp_path):
    path = written(tmp_path / "net.onnx", onnx_model((1, 1, *WINDOW), dynamic=False))
    assert "as recipe ct-lns says" in " ".join(said(path, tmp_path / "model"))
    files = {f.name for f in (tmp_path / "model").iterdir()}
    assert files == {"model.json", "network.onnx"}
    assert (tmp_path / "model/network.onnx").read_bytes() == path.read_bytes()


def test_weights_in_other_files_are_refused(tmp_path):
    model = onnx_model((1, 1, *WINDOW))
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    with pytest.raises(ModelError, match="weights in other files"):
        imported(path, tmp_path / "model", changes=NATIVE)


def test_weights_in_other_files_are_found_inside_branches(tmp_path):
    model = onnx_model((1, 1, *WINDOW))
    outside = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "secret")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    constant = onnx.helper.make_node("Constant", [], ["secret"], value=outside)
    branch = onnx.helper.make_graph([constant], "branch", [], [])
    model.graph.node.append(
        onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="weights in other files"):
        imported(path, tmp_path / "model", changes=NATIVE)


def _unknown_operation(path):
    model = onnx_model((1, 1, *WINDOW))
    model.graph.node[1].op_type = "ReadFile"
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    path.write_bytes(model.SerializeToString())


def _two_inputs(path):
    model = onnx_model((1, 1, *WINDOW))
    second = onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [1])
    model.graph.input.append(second)
    model.graph.node[1].op_type = "Mul"
    model.graph.node[1].input.append("other")
    path.write_bytes(model.SerializeToString())


def _nan(path):
    model = onnx_model((1, 1, *WINDOW))
    bias = onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "bias")
    model.graph.initializer[2].CopyFrom(bias)
    path.write_bytes(model.SerializeToString())


def _of(*shape, **choices):
    return lambda path: written(path, onnx_model(shape, **choices))


PROBLEMS = {
    "empty": (lambda path: path.write_bytes(b""), "cannot read|takes|inputs"),
    "words": (lambda path: path.write_text("this is no network"), "damaged, or not ONNX"),
    "unknown operation": (_unknown_operation, "cannot read the ONNX file"),
    "two inputs": (_two_inputs, "wants 2 inputs"),
    "PET and CT": (_of(1, 2, *WINDOW), "wants 2 images"),
    "two windows": (_of(2, 1, *WINDOW), "2 windows at once"),
    "even slices": (_of(1, 4, 16, 12), "4 channels"),
    "several labels": (_of(1, 1, *WINDOW, outputs=3), "3|2 labels, choose by --label: 1 .1., 2"),
    "not finite": (_nan, "not finite"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_is_said_and_nothing_written(tmp_path, name):
    make, words = PROBLEMS[name]
    path = tmp_path / "net.onnx"
    make(path)
    with pytest.raises(ModelError, match=words):
        imported(path, tmp_path / "model", changes=NATIVE)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_numbers_that_are_no_probabilities_are_refused(tmp_path):
    path = written(tmp_path / "net.onnx", onnx_model((1, 1, *WINDOW), outputs=1))
    model = onnx.load(path)
    model.graph.initializer[2].CopyFrom(
        onnx.numpy_helper.from_array(np.array([7.0], np.float32), "bias")
    )
    onnx.save(model, path)
    with pytest.raises(ModelError, match="no probability"):
        imported(path, tmp_path / "model", activation="none", changes=NATIVE)


def test_a_fixed_window_is_not_changed(tmp_path):
    path = written(tmp_path / "net.onnx", onnx_model((1, 1, *WINDOW), dynamic=False))
    with pytest.raises(ModelError, match="only works at its own window"):
        imported(path, tmp_path / "model", changes={"inference.window": [16, 16, 16]})
