"""What runs a network on windows: torch on any device, OpenVINO on CPUs."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.memory import DeviceMemoryError, at_once, too_small
from napari_ctlns.inference.model import is_onnx, read_card
from napari_ctlns.inference.openvino_engine import OpenVinoEngine
from napari_ctlns.inference.torch_engine import TorchEngine
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import Device

FloatArray = npt.NDArray[np.float32]
Window = tuple[int, int, int]
Backend = Callable[[Path, Window], "Engine"]


class Engine(Protocol):
    """A network made ready for windows of one size; others make it ready anew.

    Attributes
    ----------
    name
        What it is, for people: "OpenVINO bf16", "torch cpu".
    reason
        Why it was taken, in words; nothing if nobody chose.
    notes
        What went otherwise than asked while it was prepared, in words.
    batch_size
        Windows that it likes to be given at once.
    """

    name: str
    reason: str
    notes: tuple[str, ...]
    batch_size: int

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows (N, C, z, y, x), `Recipe.image_channels`.

        They have the windows' size, (N, 1, z, y, x); those of a network of 2 dimensions
        (N, 1, 1, y, x) are of the middle slice.

        Raises
        ------
        DeviceMemoryError
            If a GPU has too little memory for so many or so large ones.
        """
        ...


EngineSource = Callable[[Path, Window | None, Device], Engine]
"""`prepare_engine`, or what remembers the engines that it made."""


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
        the CPU. What fails is passed over for the next (`Engine.notes` says so), a GPU
        that was asked for too.

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
    onnx = is_onnx(recipe)
    gpus = set() if device == "cpu" else _available_devices() - {"cpu"}
    if device in ("cuda", "mps") and device not in gpus:
        raise ModelError(f"there is no {device} device here; use auto or cpu")
    notes: list[str] = []
    if onnx and device != "cpu" and gpus:
        notes.append("an ONNX model runs in OpenVINO on the CPU, not on the GPU")
    *preferred, (surest_name, surest) = _backends(device, gpus, onnx)
    for name, backend in preferred:
        try:
            engine = _tried(backend(folder, window), (recipe.image_channels, *window))
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - a driver's failure can be of any type
            notes.append(f"{name} does not work here and is not used: {_first_line(error)}")
        else:
            break
    else:
        name, engine = surest_name, surest(folder, window)
    engine.notes = (*notes, *engine.notes)
    engine.reason = _reason(name, device, gpus, onnx)
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


def _backends(device: Device, gpus: set[str], onnx: bool) -> list[tuple[str, Backend]]:
    """Return what to try for a device, the last one being sure to work."""
    cpu: list[tuple[str, Backend]] = [("OpenVINO", OpenVinoEngine), ("torch cpu", TorchEngine)]
    if onnx:
        return cpu[:1]
    wanted = ("cuda", "mps") if device == "auto" else (device,)
    return [(gpu, _on(gpu)) for gpu in wanted if gpu in gpus] + cpu


def _on(device: str) -> Backend:
    return lambda folder, window: TorchEngine(folder, window, device)


def _available_devices() -> set[str]:
    """Return where torch can run; where no GPU has a driver it need not be loaded to know."""
    if "torch" not in sys.modules and not _has_gpu_driver():
        return {"cpu"}
    import torch

    devices = {"cpu"}
    if torch.cuda.is_available():
        devices.add("cuda")
    if torch.backends.mps.is_available():
        devices.add("mps")
    return devices


def _has_gpu_driver() -> bool:
    """Whether there is what CUDA, ROCm or MPS cannot do without."""
    if sys.platform == "darwin" or Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _reason(name: str, device: Device, gpus: set[str], onnx: bool) -> str:
    """Say why the engine of this name was taken."""
    if name in gpus:
        return ("the fastest here" if device == "auto" else "as asked for") + _hardware(name)
    if device == "cpu":
        return "as asked for"
    if not gpus:
        return "there is no GPU here"
    return "ONNX models run on no GPU" if onnx else "the GPU does not work"


def _hardware(device: str) -> str:
    """Return in brackets what a device is, if it tells."""
    import torch

    return f" ({torch.cuda.get_device_name()})" if device == "cuda" else ""


def _tried(engine: Engine, image: tuple[int, ...]) -> Engine:
    """Run once: some drivers fail only then, and the first run is the slowest.

    A GPU is given as many windows at once as its memory takes. One alone may be too large;
    who has a scan to show can do with smaller windows, or without the GPU (`predict_array`).
    """
    asked = engine.batch_size
    while not _runs(engine, image) and engine.batch_size > 1:
        engine.batch_size //= 2
    if engine.batch_size < asked:
        engine.notes = (*engine.notes, too_small(at_once(engine.batch_size)))
    return engine


def _runs(engine: Engine, image: tuple[int, ...]) -> bool:
    """Whether the memory suffices for as many windows as the engine likes."""
    try:
        found = engine.run(np.zeros((engine.batch_size, *image), np.float32))
    except DeviceMemoryError:
        return False
    if not np.isfinite(found).all():
        raise ArithmeticError("it computes values that are not finite")
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
