"""The U-Net, in 2 and 3 dimensions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_ctlns.networks.output import start_with
from napari_ctlns.recipe import Network

_INTERPOLATION = {2: "bilinear", 3: "trilinear"}


class UNet(nn.Module):
    """Two convolutions a level, skips, transposed convolutions or interpolation upwards.

    After Ronneberger et al. 2015, "U-Net: convolutional networks for biomedical image
    segmentation", and Cicek et al. 2016, "3D U-Net: learning dense volumetric
    segmentation from sparse annotation". In training, with deep supervision, every level
    of the way up but the deepest answers (Dou et al. 2017, "3D deeply supervised network
    for automated segmentation of volumetric medical images").
    """

    def __init__(self, recipe: Network, in_channels: int, share: float) -> None:
        super().__init__()
        widths = recipe.channels
        self.down = nn.ModuleList(
            _double_convolution(before, width, recipe)
            for before, width in zip((in_channels, *widths), widths, strict=False)
        )
        self.pool = _layer("MaxPool", recipe)(2)
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.widen = nn.ModuleList(_widening(low, high, recipe) for low, high in upwards)
        self.up = nn.ModuleList(_double_convolution(2 * high, high, recipe) for _, high in upwards)
        self.head = _head(widths[0], recipe, share)
        supervised = widths[1:-1] if recipe.deep_supervision else ()
        self.coarser_heads = nn.ModuleList(_head(width, recipe, share) for width in supervised)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits of the size of ``x``; in training also those of coarser levels."""
        skips: list[Tensor] = []
        for level, convolve in enumerate(self.down):
            x = convolve(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        levels: list[Tensor] = []
        for widen, convolve in zip(self.widen, self.up, strict=True):
            x = convolve(torch.cat([skips.pop(), widen(x)], dim=1))
            levels.insert(0, x)
        logits = self.head(x)
        if not (self.training and len(self.coarser_heads)):
            return logits
        coarser = zip(self.coarser_heads, levels[1:], strict=True)
        return [logits, *(head(level) for head, level in coarser)]


def _layer(kind: str, recipe: Network) -> Callable[..., nn.Module]:
    """Return torch's layer of a kind for as many dimensions as the recipe has."""
    layer: Callable[..., nn.Module] = getattr(nn, f"{kind}{recipe.dimensions}d")
    return layer


def _double_convolution(before: int, after: int, recipe: Network) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [
            _layer("Conv", recipe)(width, after, 3, padding=1, bias=False),
            _norm(recipe, after),
            nn.ReLU(inplace=True),
        ]
        if recipe.dropout:
            layers.append(_layer("Dropout", recipe)(recipe.dropout))
    return nn.Sequential(*layers)


def _norm(recipe: Network, width: int) -> nn.Module:
    if recipe.norm == "batch":
        return _layer("BatchNorm", recipe)(width)
    return _layer("InstanceNorm", recipe)(width, affine=True)


def _widening(low: int, high: int, recipe: Network) -> nn.Module:
    """Return what doubles the resolution of ``low`` maps and leaves ``high`` of them."""
    if recipe.upsampling == "transposed":
        return _layer("ConvTranspose", recipe)(low, high, 2, 2)
    # a convolution of single voxels and an interpolation may change places: this way
    # round there is an eighth (a quarter in 2 dimensions) of the work
    return nn.Sequential(
        _layer("Conv", recipe)(low, high, 1),
        nn.Upsample(scale_factor=2, mode=_INTERPOLATION[recipe.dimensions]),
    )


def _head(width: int, recipe: Network, share: float) -> nn.Module:
    head = _layer("Conv", recipe)(width, 1, 1)
    start_with(head, share)
    return head
