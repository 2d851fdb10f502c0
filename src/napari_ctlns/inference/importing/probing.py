"""What a network of others does with windows: found out by its shapes, computing nothing."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from napari_ctlns.errors import ModelError
from napari_ctlns.networks.imported import OneLabel
from napari_ctlns.recipe import Size

_LOCAL_LAYERS = (
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.Upsample,
    nn.PixelShuffle,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SiLU,
    nn.GELU,
    nn.Sigmoid,
)
"""Layers whose answer for a voxel does not depend on how far the window goes."""
_HALVINGS = 8
_ODD = 5
"""Windows of this many times a multiple show that half of it would not do."""


@dataclass(frozen=True)
class Shapes:
    """What is to be known of a network's windows.

    Attributes
    ----------
    channels
        Of its answer.
    own_window_only
        Whether its answer depends on the size of the window.
    multiples
        Voxels (z, y, x) that the sides of a window must be multiples of.
    """

    channels: int
    own_window_only: bool
    multiples: Size


def probed(network: OneLabel, window: Size) -> Shapes:
    """Return what a network does with windows of its own size and of others.

    Raises
    ------
    ModelError
        If it cannot be given windows of one channel, or answers for anything but each
        of their voxels.
    """
    hollow = copy.deepcopy(network).to("meta").eval()
    try:
        answer = hollow.answer(torch.empty(1, 1, *window, device="meta"))
        sides = hollow.logits(answer).shape[2:]
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ModelError(
            f"the network does not take windows of {window} voxels: {first}"
        ) from error
    wanted = (1, *window[1:]) if hollow.flat else window
    if tuple(sides) != wanted:
        raise ModelError(
            f"the network answers {tuple(sides)} voxels for a window of {wanted}; only networks "
            "that segment can be imported"
        )
    channels = int(answer.shape[1])
    if not _is_local(hollow):
        return Shapes(channels, True, (1, 1, 1))
    z, y, x = (1 if hollow.flat and not k else _multiple(hollow, window, k) for k in range(3))
    fits = all(m and not n % m for n, m in zip(window, (z, y, x), strict=True))
    return Shapes(channels, not fits, (z, y, x) if fits else (1, 1, 1))


def _is_local(network: nn.Module) -> bool:
    """Whether nothing in a network looks at a whole window: no statistics, no attention."""
    leaves = [module for module in network.modules() if not list(module.children())]
    return all(type(leaf) in _LOCAL_LAYERS for leaf in leaves)


def _multiple(hollow: OneLabel, window: Size, axis: int) -> int:
    """Return the least power of two whose odd multiples a network takes along an axis; 0: none."""
    for multiple in (2**k for k in range(_HALVINGS)):
        tried = list(window)
        tried[axis] = _ODD * multiple
        try:
            if hollow(torch.empty(1, 1, *tried, device="meta")).shape[2 + axis] == tried[axis]:
                return int(multiple)
        except Exception:  # noqa: BLE001, S112 - that size does not fit
            continue
    return 0
