"""Ways round what bf16 does wrong, or slowly, on CPUs.

With oneDNN 3.12 (torch 2.13) the weight gradients of a 3x3x3 convolution of bf16 are
garbage, even infinite, where its input has exactly two slices. Every other size, kernel
and stride that the networks here use was compared with fp32 and is right.

Transposed convolutions of 2 dimensions learn ten times slower in bf16 than in fp32: they
took four fifths of a step of recipe ``luna-2.5d``.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

_FAULTY_SLICES = 2

_Network = TypeVar("_Network", bound=nn.Module)


def guarded(network: _Network) -> _Network:
    """Let those convolutions of a network work in fp32 that bf16 does not suit."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = _Convolution3d
        elif type(module) is nn.ConvTranspose2d:
            module.__class__ = _TransposedConvolution2d
    return network


class _Convolution3d(nn.Conv3d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Convolve; in fp32 where a CPU learns from two slices in bf16."""
        if not (_learns_on_cpu(input) and input.shape[2] == _FAULTY_SLICES):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


class _TransposedConvolution2d(nn.ConvTranspose2d):
    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002
        """Convolve; in fp32 where a CPU learns in bf16."""
        if not _learns_on_cpu(input):
            return super().forward(input, output_size)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float(), output_size)


def _learns_on_cpu(given: Tensor) -> bool:
    return (
        given.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")
    )
