"""Networks in OpenVINO on the CPU, converted once and kept in the user's cache folder."""

import hashlib
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError
from napari_ctlns.inference.cache import cache_folder, keep_newest
from napari_ctlns.inference.model import is_onnx, load_network, model_hash, read_card, read_onnx
from napari_ctlns.inference.onnx_network import network_of_onnx
from napari_ctlns.inference.openvino import import_openvino
from napari_ctlns.inference.planning import Index
from napari_ctlns.recipe import Recipe

FloatArray = npt.NDArray[np.float32]

_MODELS_KEPT = 8


class OpenVinoEngine:
    """The network in OpenVINO on the CPU: bf16 where the hardware has it, else fp32.

    The converted network is kept in the user's cache folder, so that the next
    time neither torch nor a conversion is needed.
    """

    def __init__(self, model: Path, window: Index) -> None:
        self._core = import_openvino().Core()
        self._network = _converted(self._core, model)
        self._channels = read_card(model).recipe.image_channels
        self._half = _has_bf16(self._core)
        self._compile(window)
        self.name = "OpenVINO bf16" if self._half else "OpenVINO fp32"
        # one window at a time on all cores: as fast as several at once, in less memory
        self.batch_size = 1
        self.notes: tuple[str, ...] = ()
        self.reason = ""

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows, see `Engine`."""
        if batch.shape[2:] != self._window:
            self._compile(batch.shape[2:])
        # copies, for the next answer comes in the same memory
        results = [np.array(self._compiled(part[None])[0], np.float32) for part in batch]
        return results[0] if len(results) == 1 else np.concatenate(results)

    def _compile(self, window: tuple[int, ...]) -> None:
        self._window = window
        self._network.reshape([1, self._channels, *window])
        self._compiled = self._core.compile_model(
            self._network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
                "PERFORMANCE_HINT": "LATENCY",
                # several processes would pin their threads to the same core
                "ENABLE_CPU_PINNING": False,
                **_threads(),
            },
        )


def _threads() -> dict[str, int]:
    """Return how many threads were asked for in the environment, as torch obeys it too."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return {"INFERENCE_NUM_THREADS": int(asked)} if asked.isdecimal() and int(asked) else {}


def _has_bf16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _converted(core: Any, model: Path) -> Any:
    """Return a model as OpenVINO's network, from the cache if it is there.

    It takes any window that the model may be run at.
    """
    version = import_openvino().__version__
    key = hashlib.sha256(f"{model_hash(model)} {version}".encode()).hexdigest()[:16]
    cached = cache_folder() / "openvino" / key
    try:
        return core.read_model(cached / "network.xml")
    except RuntimeError:  # not there, or damaged
        shutil.rmtree(cached, ignore_errors=True)
    network = _convert(model)
    _store(network, cached)
    return network


def _convert(model: Path) -> Any:
    """Convert the network with its sigmoid; an ONNX one has what it needs."""
    recipe = read_card(model).recipe
    if recipe.network.imported is not None and is_onnx(recipe):
        return network_of_onnx(read_onnx(model), recipe.network.imported)
    import torch

    openvino = import_openvino()
    network = torch.nn.Sequential(load_network(model), torch.nn.Sigmoid()).eval()
    traced, declared = _shapes(recipe)
    with warnings.catch_warnings():  # about tracing; no branch depends on the voxels
        warnings.simplefilter("ignore")
        return openvino.convert_model(
            network,
            example_input=torch.zeros(1, recipe.image_channels, *traced),
            input=[1, recipe.image_channels, *declared],
        )


def _shapes(recipe: Recipe) -> tuple[Index, Index]:
    """Return the window to convert a network with, and those it takes then (-1: any side)."""
    if recipe.network.depends_on_window:
        return recipe.window, recipe.window
    side = 2 * recipe.network.step
    if recipe.network.dimensions == 2:
        return (recipe.in_channels, side, side), (recipe.in_channels, -1, -1)
    return (side, side, side), (-1, -1, -1)


def _store(network: Any, folder: Path) -> None:
    """Keep a converted network; without a place for it the next start is slower, no more."""
    openvino = import_openvino()
    try:
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            openvino.save_model(network, temporary / "network.xml", compress_to_fp16=False)
        keep_newest(folder.parent, _MODELS_KEPT)
    except (OutputError, OSError, RuntimeError):
        return
