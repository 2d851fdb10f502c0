"""Where and in which arithmetic a network learns."""

import contextlib
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from napari_ctlns.errors import RunError
from napari_ctlns.learning.distributed import Group, own_cuda_device
from napari_ctlns.recipe import Optimisation
from napari_ctlns.specs import Device

Precision = Literal["fp32", "bf16", "fp16"]
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Arithmetic:
    """A device and the precision of the convolutions; weights and losses stay fp32."""

    device: torch.device
    precision: Precision

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which a network runs in this precision."""
        return torch.autocast(
            self.device.type, dtype=_TYPES[self.precision], enabled=self.precision != "fp32"
        )

    def placed(self, network: nn.Module) -> nn.Module:
        """Move a network here, in the memory layout that its convolutions like.

        Channels last spares CPUs a seventh (bf16) to a third (fp32) of a training
        step, measured with AVX512-BF16; MPS has it for images only.
        """
        network = network.to(self.device)
        if self.device.type == "mps":
            return network
        for weight in network.parameters():
            if (layout := _LAYOUTS.get(weight.dim())) is not None:
                weight.data = weight.data.contiguous(memory_format=layout)
        return network


def choose_arithmetic(device: Device, precision: str, group: Group | None = None) -> Arithmetic:
    """Choose the device, and the fastest precision that it does well.

    Parameters
    ----------
    device
        "auto" takes CUDA, then MPS, then the CPU.
    precision
        "auto": on CUDA bf16, or fp16 (with a gradient scaler) where there is no
        bf16; on CPUs bf16 where they have instructions for it, else fp32; on MPS fp32.
    group
        The processes that learn together: on CUDA each has a device of its own.

    Raises
    ------
    RunError
        If the device is not there, or cannot do the precision.
    """
    kind = _device(device)
    chosen: Any = _fastest(kind) if precision == "auto" else precision
    if chosen == "fp16" and kind != "cuda":
        raise RunError("precision fp16 needs CUDA; take auto, bf16 or fp32")
    if group is not None and group.size > 1:
        if kind == "mps":
            raise RunError("several processes cannot share an mps device; take --device cpu")
        if kind == "cuda":
            return Arithmetic(torch.device(kind, own_cuda_device()), chosen)
    return Arithmetic(torch.device(kind), chosen)


def _device(wanted: Device) -> str:
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return next(kind for kind, available in there.items() if available)
    if not there[wanted]:
        raise RunError(f"no {wanted} device here; take --device auto or cpu")
    return wanted


def _fastest(kind: str) -> Precision:
    if kind == "cuda":
        # emulated bf16 does not count: fp16 is faster there
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if kind == "cpu" and _cpu_has_bf16():
        return "bf16"
    return "fp32"


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 itself (AVX512-BF16 or AMX); elsewhere fp32 is faster."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, test, bool)()) for test in tests)


@contextlib.contextmanager
def arithmetic_settings(recipe: Optimisation) -> Iterator[None]:
    """Set what PyTorch keeps for the whole process, and put it back afterwards.

    Denormal numbers, which late gradients are full of, are flushed to zero: they
    cost a CPU many times a normal operation.
    """
    before = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.set_flush_denormal(True)
    # every patch has one size, so that cuDNN's search pays; it is not repeatable though
    torch.backends.cudnn.benchmark = not recipe.deterministic
    torch.use_deterministic_algorithms(recipe.deterministic or before, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have a deterministic impl.*")
            yield
    finally:
        torch.set_flush_denormal(False)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(before)
