"""What runs a network on windows: torch on any device, OpenVINO on CPUs."""

import hashlib
import math
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.inference.cache import cache_folder, keep_newest
from napari_ctlns.inference.model import is_onnx, load_network, model_hash, read_card, read_onnx
from napari_ctlns.inference.onnx_network import network_of_onnx
from napari_ctlns.inference.openvino import import_openvino
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import Device

FloatArray = npt.NDArray[np.float32]
Window = tuple[int, int, int]
Backend = Callable[[Path, Window], "Engine"]

_MODELS_KEPT = 8


class Engine(Protocol):
    """A network made ready for windows of one size; others make it ready anew.

    Attributes
    ----------
    name
        What it is, for people: "OpenVINO bf16", "torch cpu".
    notes
        What went otherwise than asked while it was prepared, in words.
    """

    name: str
    notes: tuple[str, ...]

    @property
    def batch_size(self) -> int:
        """Windows that it likes to be given at once."""

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows (N, 1, z, y, x).

        They have the windows' size; those of a network of 2 dimensions (N, 1, 1, y, x)
        are of the middle slice.
        """
        ...


def prepare_engine(
    model: str | os.PathLike[str], window: Window | None = None, device: Device = "auto"
) -> Engine:
    """Return the fastest engine of a device for a model and a window.

    Parameters
    ----------
    model
        A model folder.
    window
        Voxels (z, y, x); None: the model's own.
    device
        "auto" takes CUDA, then Apple's MPS, then OpenVINO on the CPU, and torch on
        the CPU where those fail (`Engine.notes` says so).

    Raises
    ------
    ModelError
        If the folder is no good model, it may not be run at ``window``, or there
        is no such device.
    """
    folder = Path(model)
    recipe = read_card(folder).recipe
    window = window or recipe.window
    check_window(recipe, window)
    if device in ("cuda", "mps") and device not in _available_devices():
        raise ModelError(f"there is no {device} device here; use auto or cpu")
    notes: list[str] = []
    if is_onnx(recipe) and device != "cpu" and _available_devices() != {"cpu"}:
        notes.append("an ONNX model runs in OpenVINO on the CPU, not on the GPU")
    *preferred, (_, surest) = _backends(device, is_onnx(recipe))
    for name, backend in preferred:
        try:
            engine = _tried(backend(folder, window), window)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - a driver's failure can be of any type
            notes.append(f"{name} does not work here and is not used: {_first_line(error)}")
        else:
            engine.notes = tuple(notes)
            return engine
    engine = surest(folder, window)
    engine.notes = tuple(notes)
    return engine


def check_window(recipe: Recipe, window: Window) -> None:
    """Refuse a window that would change what a model says, or that it cannot take.

    Raises
    ------
    ModelError
        With instance norm or attention the whole window enters the result; each side
        must be a multiple of what the network halves; and a network of 2 dimensions
        has as many slices as it has channels.
    """
    network = recipe.network
    if any(n < step or n % step for n, step in zip(window, network.steps, strict=True)):
        where = " in y and x" if network.dimensions == 2 else ""
        message = f"window {window} does not fit this model; use multiples of {network.step}"
        raise ModelError(message + where)
    if network.dimensions == 2 and window[0] != recipe.in_channels:
        raise ModelError(
            f"window {window} does not fit this model; it looks at "
            f"{recipe.in_channels} slices at once"
        )
    if window != recipe.window and network.depends_on_window:
        raise ModelError(
            f"this model only works at its own window {recipe.window}, because its "
            f"{_what_depends(recipe)} on it; leave the window out"
        )


def _what_depends(recipe: Recipe) -> str:
    if recipe.network.imported is not None:
        return "answer depends"
    if recipe.network.name == "swin-unetr":
        return "attention depends"
    return f"{recipe.network.norm} norm depends"


def _backends(device: Device, onnx: bool) -> list[tuple[str, Backend]]:
    """Return what to try for a device, the last one being sure to work."""
    cpu: list[tuple[str, Backend]] = [("OpenVINO", OpenVinoEngine), ("torch cpu", TorchEngine)]
    if onnx:
        return cpu[:1]
    if device == "cpu":
        return cpu
    if device != "auto":
        return [(device, _on(device))]
    return [(d, _on(d)) for d in ("cuda", "mps") if d in _available_devices()] + cpu


def _on(device: str) -> Backend:
    return lambda folder, window: TorchEngine(folder, window, device)


def _available_devices() -> set[str]:
    import torch

    devices = {"cpu"}
    if torch.cuda.is_available():
        devices.add("cuda")
    if torch.backends.mps.is_available():
        devices.add("mps")
    return devices


def _tried(engine: Engine, window: Window) -> Engine:
    """Run once: some drivers fail only then, and the first run is the slowest."""
    batch = np.zeros((engine.batch_size, 1, *window), np.float32)
    if not np.isfinite(engine.run(batch)).all():
        raise ArithmeticError("it computes values that are not finite")
    return engine


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


class TorchEngine:
    """The network in torch: fp32 on the CPU (the reference) and MPS, autocast on CUDA."""

    def __init__(self, model: Path, window: Window, device: str = "cpu") -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device)
        self._network = load_network(model).to(self._device)
        recipe = read_card(model).recipe
        self._half = torch.float16
        if device == "cuda" and torch.cuda.is_bf16_supported():
            self._half = torch.bfloat16
        self.name = f"torch {device}"
        # enough work to fill a GPU; a CPU gains nothing from batches
        self.batch_size = 1 if device == "cpu" else _windows_at_once(recipe, window)
        self.notes: tuple[str, ...] = ()

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows, see `Engine`."""
        torch = self._torch
        on_cuda = self._device.type == "cuda"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, self._half, enabled=on_cuda),
        ):
            logits = self._network(torch.from_numpy(batch).to(self._device))
            return torch.sigmoid(logits.float()).cpu().numpy()


def _windows_at_once(recipe: Recipe, window: Window) -> int:
    """Return how many windows keep a GPU busy; slices as channels are hardly more work."""
    return max(1, 8 * 64**3 // math.prod(window[3 - recipe.network.dimensions :]))


class OpenVinoEngine:
    """The network in OpenVINO on the CPU: bf16 where the hardware has it, else fp32.

    The converted network is kept in the user's cache folder, so that the next
    time neither torch nor a conversion is needed.
    """

    def __init__(self, model: Path, window: Window) -> None:
        self._core = import_openvino().Core()
        self._network = _converted(self._core, model)
        self._half = _has_bf16(self._core)
        self._compile(window)
        self.name = "OpenVINO bf16" if self._half else "OpenVINO fp32"
        # one window at a time on all cores: as fast as several at once, in less memory
        self.batch_size = 1
        self.notes: tuple[str, ...] = ()

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows, see `Engine`."""
        if batch.shape[2:] != self._window:
            self._compile(batch.shape[2:])
        results = [self._compiled(part[None])[0].copy() for part in batch]
        return np.asarray(np.concatenate(results), np.float32)

    def _compile(self, window: tuple[int, ...]) -> None:
        self._window = window
        self._network.reshape([1, 1, *window])
        self._compiled = self._core.compile_model(
            self._network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
                "PERFORMANCE_HINT": "LATENCY",
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
            network, example_input=torch.zeros(1, 1, *traced), input=[1, 1, *declared]
        )


def _shapes(recipe: Recipe) -> tuple[Window, Window]:
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
