"""An ONNX file, which says what it computes but not of what."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.importing.found import Found, axis_of, in_our_order, the_imported
from napari_ctlns.inference.importing.probing import Shapes
from napari_ctlns.inference.onnx_network import network_of_onnx, read_onnx_graph
from napari_ctlns.inference.openvino import import_openvino
from napari_ctlns.recipe import Recipe, Size

_LOCAL_OPERATIONS = {
    "Parameter",
    "Result",
    "Constant",
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "GroupConvolutionBackpropData",
    "BatchNormInference",
    "MaxPool",
    "AvgPool",
    "Interpolate",
    "Concat",
    "Add",
    "Multiply",
    "Subtract",
    "Divide",
    "Relu",
    "PRelu",
    "Elu",
    "Clamp",
    "Sigmoid",
    "Softmax",
    "Swish",
    "Gelu",
    "Convert",
    "Identity",
    # what shapes are worked out and changed with
    "ShapeOf",
    "Reshape",
    "Broadcast",
    "Gather",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "StridedSlice",
    "Pad",
}
"""OpenVINO's operations whose answer for a voxel does not depend on how far a window goes."""
_HALVINGS = 8
_ODD = 5
"""Windows of this many times a multiple show that half of it would not do."""
_PROBABILITIES = ("Sigmoid", "Softmax")
_TOLERANCE = 1e-3


def read_onnx_file(source: Path, base: Recipe) -> tuple[Found, Shapes, bytes]:
    """Return what an ONNX file holds, as a recipe describes the rest.

    Parameters
    ----------
    source
        The file. Its network takes (N, 1, D, H, W), or (N, slices, H, W).
    base
        Says how scans are prepared, how the network's axes run, the window where the file
        leaves it open, and what is made of probabilities.

    Returns
    -------
    tuple
        The model, what is to be known of its windows, and the file.

    Raises
    ------
    ModelError
        If the file is none, or its network takes or answers with something else.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {source}: {error.strerror}") from error
    network = read_onnx_graph(content)
    imported = the_imported(base)
    sides = _sides(network)
    flat = len(sides) == 2
    slices = sides[:0] if not flat else (_slices(network),)
    order = imported.axes if not flat else _slices_first(imported.axes)
    own = in_our_order((*slices, *sides), order)
    z, y, x = (side or wanted for side, wanted in zip(own, base.window, strict=True))
    shapes = _probed(network, (z, y, x), order, fixed=all(own))
    found = Found(
        name=source.stem,
        description=f"{source.name}, an ONNX network.",
        network=imported,
        dimensions=len(sides),
        window=(z, y, x),
        preparation=base.preparation,
        inference=base.inference,
        activation="none" if _last_operation(network) in _PROBABILITIES else None,
        structure=base.structure,
        notes=(f"scans are prepared as recipe {base.name} says; see --recipe and --set",),
    )
    return found, shapes, content


def must_run(content: bytes, recipe: Recipe) -> None:
    """Run an ONNX model once, on a window of zeros.

    Raises
    ------
    ModelError
        If it fails, or its answer is no probability.
    """
    openvino = import_openvino()
    network = network_of_onnx(content, the_imported(recipe))
    try:
        network.reshape([1, 1, *recipe.window])
        run = openvino.Core().compile_model(network, "CPU")
        answer: npt.NDArray[Any] = run(np.zeros((1, 1, *recipe.window), np.float32))[0]
    except RuntimeError as error:
        raise ModelError(f"the ONNX network does not run: {_first(error)}") from error
    if not np.isfinite(answer).all():
        raise ModelError("the ONNX network answers with numbers that are not finite")
    if answer.min() < -_TOLERANCE or answer.max() > 1 + _TOLERANCE:
        raise ModelError("what the network answers is no probability; give --activation")


def _sides(network: Any) -> tuple[int, ...]:
    """Return the sides of what a network is given, 0 where any will do."""
    given = network.inputs[0]
    shape = given.partial_shape
    if shape.rank.is_dynamic or shape.rank.get_length() not in (4, 5):
        raise ModelError(f"the ONNX network takes {shape}, not (N, 1, D, H, W) or (N, C, H, W)")
    if given.element_type.get_type_name() not in ("f32", "f16"):
        raise ModelError("the ONNX network takes no floating-point numbers; export it anew")
    if _length(shape[0]) not in (0, 1):
        raise ModelError(f"the ONNX network takes {_length(shape[0])} windows at once, not 1")
    if shape.rank.get_length() == 5 and _length(shape[1]) not in (0, 1):
        raise ModelError(f"the model wants {_length(shape[1])} images at once; a CT is one")
    return tuple(_length(side) for side in list(shape)[2:])


def _slices(network: Any) -> int:
    slices = _length(network.inputs[0].partial_shape[1]) or 1
    if slices % 2 == 0:
        raise ModelError(
            f"the network takes {slices} channels; of slices an odd number is wanted, because "
            "it answers for the middle one"
        )
    return slices


def _length(dimension: Any) -> int:
    return dimension.get_length() if dimension.is_static else 0


def _slices_first(axes: str) -> str:
    return "".join(sorted(axes, key=lambda letter: letter not in "SI"))


def _probed(network: Any, window: Size, order: str, fixed: bool) -> Shapes:
    """Return what a network does with windows (z, y, x), see `probing.probed`."""
    answer = _answer(network, window, order)
    flat = network.inputs[0].partial_shape.rank.get_length() == 4
    sides = _of_network(window, order)[1:] if flat else _of_network(window, order)
    if answer is None or answer[2:] != sides:
        said = "does not take" if answer is None else f"answers {answer} for"
        raise ModelError(
            f"the ONNX network {said} windows of {window} voxels; set inference.window"
        )
    operations = {operation.get_type_name() for operation in network.get_ops()}
    if fixed or not operations <= _LOCAL_OPERATIONS:
        return Shapes(answer[1], True, (1, 1, 1))
    multiples = [1 if flat and not k else _multiple(network, window, order, k) for k in range(3)]
    z, y, x = multiples
    fits = all(m and not n % m for n, m in zip(window, multiples, strict=True))
    return Shapes(answer[1], not fits, (z, y, x) if fits else (1, 1, 1))


def _multiple(network: Any, window: Size, order: str, axis: int) -> int:
    """Return the least power of two whose odd multiples a network takes along an axis; 0: none."""
    for multiple in (2**k for k in range(_HALVINGS)):
        tried = [_ODD * multiple if k == axis else side for k, side in enumerate(window)]
        z, y, x = tried
        answer = _answer(network, (z, y, x), order)
        sides = _of_network((z, y, x), order)
        if answer is not None and answer[2:] == sides[-len(answer[2:]) :]:
            return int(multiple)
    return 0


def _answer(network: Any, window: Size, order: str) -> tuple[int, ...] | None:
    """Return the shape of the answer for a window (z, y, x); None: it is not taken."""
    sides = _of_network(window, order)
    flat = network.inputs[0].partial_shape.rank.get_length() == 4
    try:
        network.reshape([1, *sides] if flat else [1, 1, *sides])
        return tuple(network.outputs[0].shape)
    except RuntimeError:
        return None


def _of_network(window: Size, order: str) -> tuple[int, ...]:
    """Return the sides of a window (z, y, x) in the order of a network's axes."""
    return tuple(window[axis_of(letter)] for letter in order)


def _last_operation(network: Any) -> str:
    return str(network.outputs[0].get_node().input_value(0).get_node().get_type_name())


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:120]
