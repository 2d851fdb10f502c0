"""An ONNX file becomes an OpenVINO network like those of our own models."""

from collections.abc import Iterator
from typing import Any

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.openvino import import_openvino
from napari_ctlns.recipe import ImportedNetwork

_SLICES_AND_CHANNELS = 4
"""Dimensions of what a network of 2 dimensions is given: (N, slices, y, x)."""

# Where a tensor may be inside an ONNX file: kind of message -> field number -> kind of what is
# in the field, after onnx.proto of ONNX 1.17.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def read_onnx_graph(content: bytes) -> Any:
    """Return the network of an ONNX file as it is.

    Raises
    ------
    ModelError
        If the file is none, holds operations that OpenVINO does not know, keeps weights
        in other files, or does not have one input.
    """
    if _names_other_files(content):
        raise ModelError(
            "the ONNX file keeps its weights in other files; save it as one, with "
            "onnx.save(onnx.load(FILE), NEW)"
        )
    openvino = import_openvino()
    try:
        network = openvino.Core().read_model(model=content, weights=b"")
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot read the ONNX file: {_why(error)}") from error
    if len(network.inputs) != 1:
        names = ", ".join(sorted(port.any_name for port in network.inputs))
        raise ModelError(f"the ONNX network wants {len(network.inputs)} inputs ({names}), not one")
    return network


def network_of_onnx(content: bytes, imported: ImportedNetwork) -> Any:
    """Return a network that maps windows to the probability of one label.

    Parameters
    ----------
    content
        Of the ONNX file. Its network takes (N, 1, ...) on axes of its own, or slices as
        channels, and answers with a channel for each label.
    imported
        Which axes, which label.

    Returns
    -------
    openvino.Model
        Takes normalised windows (1, 1, z, y, x), float32, and answers with their
        probabilities; those of a network of 2 dimensions, (1, 1, 1, y, x), are of the
        middle slice.

    Raises
    ------
    ModelError
        As `read_onnx_graph`.
    """
    openvino, network = import_openvino(), read_onnx_graph(content)
    own = network.inputs[0]
    flat = own.partial_shape.rank.get_length() == _SLICES_AND_CHANNELS
    turning = imported.turning(2 if flat else 3)
    ops = openvino.opset13
    window = ops.parameter(openvino.PartialShape([1, 1, -1, -1, -1]), openvino.Type.f32)
    given = ops.squeeze(window, ops.constant([1])) if flat else window
    given = _turned(ops, given, turning.permutation)
    given = ops.convert(_mirrored(ops, given, turning.flips), own.element_type)
    for target in own.get_target_inputs():
        target.replace_source_output(given.output(0))
    answer = ops.convert(network.outputs[0].get_node().input_value(0), openvino.Type.f32)
    if imported.activation == "softmax":
        answer = ops.softmax(answer, 1)
    elif imported.activation == "sigmoid":
        answer = ops.sigmoid(answer)
    answer = ops.slice(answer, [imported.channel], [imported.channel + 1], [1], [1])
    answer = _turned(ops, _mirrored(ops, answer, turning.answer_flips), turning.back)
    answer = ops.unsqueeze(answer, ops.constant([2])) if flat else answer
    return openvino.Model([answer], [window], "imported")


def _turned(ops: Any, array: Any, permutation: tuple[int, ...]) -> Any:
    return ops.transpose(array, ops.constant(list(permutation)))


def _mirrored(ops: Any, array: Any, dimensions: tuple[int, ...]) -> Any:
    if not dimensions:
        return array
    count = len(dimensions)
    # from the last one backwards to before the first, as Python's [::-1]
    return ops.slice(array, [-1] * count, [-(2**31)] * count, [-1] * count, list(dimensions))


def _why(error: Exception) -> str:
    """Return the last words of what OpenVINO says; the first ones name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no reason given"


def _names_other_files(content: bytes) -> bool:
    """Whether a tensor of an ONNX file lies outside of it.

    Raises
    ------
    ModelError
        If the bytes are no protocol buffer.
    """
    todo = [("model", memoryview(content))]
    try:
        while todo:
            kind, message = todo.pop()
            for field, value in _fields(message):
                if kind == "tensor" and field == _EXTERNAL_DATA:
                    return True
                if kind == "tensor" and field == _DATA_LOCATION and value:
                    return True
                inside = _FIELDS.get(kind, {}).get(field)
                if inside and isinstance(value, memoryview):
                    todo.append((inside, value))
    except (IndexError, ValueError) as error:
        raise ModelError("the file is damaged, or not ONNX; export the network again") from error
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of a protocol buffer's fields, see its "Encoding" page."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(key & 7, 0)
        if key & 7 == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if key & 7 == _LENGTH:
            size, at = _varint(message, at)
        if not size and key & 7 != _LENGTH:
            raise ValueError("unknown wire type")
        if at + size > len(message):
            raise IndexError("cut off")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise ValueError("number too long")
