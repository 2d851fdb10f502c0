"""A way round a fault in bf16 on CPUs.

With oneDNN 3.12 (torch 2.13) the weight gradients of a 3x3x3 convolution of bf16 are
garbage, even infinite, where its input has exactly two slices. Every other size, kernel
and stride that the networks here use was compared with fp32 and is right.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

_FAULTY_SLICES = 2

_Network = TypeVar("_Network", bound=nn.Module)


def guarded(network: _Network) -> _Network:
    """Let a network's 3D convolutions work in fp32 where bf16 would go wrong.

    That is at its deepest level at most, where it costs next to nothing.
    """
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = _GuardedConvolution
    return network


class _GuardedConvolution(nn.Conv3d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Convolve; in fp32 where a CPU learns from two slices in bf16."""
        learns = torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")
        if not (learns and input.device.type == "cpu" and input.shape[2] == _FAULTY_SLICES):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())
