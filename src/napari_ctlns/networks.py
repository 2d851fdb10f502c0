"""Recipe -> network."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from napari_ctlns.recipe import Network, Recipe

_PRIOR = 0.01
"""About the share of nodule voxels in training patches."""


def build_network(recipe: Recipe) -> nn.Module:
    """Return an untrained network.

    Parameters
    ----------
    recipe
        Sections network and patches decide.

    Returns
    -------
    nn.Module
        Maps (batch, 1, z, y, x) to logits of the same size, which must be multiples of
        `Network.steps`.
    """
    return UNet(recipe.network, recipe.in_channels, 1)


class UNet(nn.Module):
    """3D U-Net: two convolutions a level, skips, transposed convolutions upwards.

    After Cicek et al. 2016, "3D U-Net: learning dense volumetric segmentation
    from sparse annotation".
    """

    def __init__(self, recipe: Network, in_channels: int, out_channels: int) -> None:
        super().__init__()
        widths = recipe.channels
        self.down = nn.ModuleList(
            _double_convolution(before, width, recipe)
            for before, width in zip((in_channels, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool3d(2)
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.widen = nn.ModuleList(nn.ConvTranspose3d(low, high, 2, 2) for low, high in upwards)
        self.up = nn.ModuleList(_double_convolution(2 * high, high, recipe) for _, high in upwards)
        self.head = nn.Conv3d(widths[0], out_channels, 1)
        # start out sure that a voxel is background, as nearly all are (Lin et al. 2017,
        # "Focal loss for dense object detection"): else the first steps learn only that
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the size of ``x``."""
        skips: list[Tensor] = []
        for level, convolve in enumerate(self.down):
            x = convolve(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for widen, convolve in zip(self.widen, self.up, strict=True):
            x = convolve(torch.cat([skips.pop(), widen(x)], dim=1))
        return cast(Tensor, self.head(x))


def _double_convolution(before: int, after: int, recipe: Network) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [
            nn.Conv3d(width, after, 3, padding=1, bias=False),
            _norm(recipe, after),
            nn.ReLU(inplace=True),
        ]
        if recipe.dropout:
            layers.append(nn.Dropout3d(recipe.dropout))
    return nn.Sequential(*layers)


def _norm(recipe: Network, width: int) -> nn.Module:
    if recipe.norm == "batch":
        return nn.BatchNorm3d(width)
    return nn.InstanceNorm3d(width, affine=True)
