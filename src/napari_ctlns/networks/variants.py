"""Networks that MONAI knows how to build."""

from typing import cast

from monai.networks.blocks.dynunet_block import UnetOutBlock, UnetResBlock, UnetUpBlock
from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.swin_unetr import SwinUNETR
from torch import Tensor, nn

from napari_ctlns.networks.output import start_with
from napari_ctlns.recipe import Network

_NORMS = {"batch": ("batch", {}), "instance": ("instance", {"affine": True})}


def attention_unet(recipe: Network, in_channels: int, share: float) -> nn.Module:
    """Return an attention U-Net: gates decide what of a skip goes on upwards.

    After Oktay et al. 2018, "Attention U-Net: learning where to look for the pancreas".
    """
    network = AttentionUnet(
        recipe.dimensions,
        in_channels,
        1,
        channels=recipe.channels,
        strides=[2] * (len(recipe.channels) - 1),
        dropout=recipe.dropout,
    )
    _only_batch_norm(network, recipe.dimensions)
    start_with(network.model[-1].conv, share)
    return cast(nn.Module, network)


def _only_batch_norm(network: nn.Module, dimensions: int) -> None:
    """Put batch norm where MONAI's attention U-Net has instance norm, after each skip.

    Else its answer would depend on the window, and not on the recipe's norm alone.
    """
    batch_norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions]
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.InstanceNorm2d | nn.InstanceNorm3d):
                setattr(module, name, batch_norm(layer.num_features))


def swin_unetr(recipe: Network, in_channels: int, share: float) -> nn.Module:
    """Return a Swin UNETR: a transformer of shifted windows down, convolutions up.

    After Hatamizadeh et al. 2022, "Swin UNETR: Swin transformers for semantic
    segmentation of brain tumors in MRI images".
    """
    network = SwinUNETR(
        in_channels,
        1,
        feature_size=recipe.channels[0],
        norm_name=_NORMS[recipe.norm],
        drop_rate=recipe.dropout,
        spatial_dims=recipe.dimensions,
    )
    start_with(network.out.conv.conv, share)
    return cast(nn.Module, network)


class ResidualUNet(nn.Module):
    """U-Net whose way down is of residual blocks: the blocks of MONAI's DynUNet.

    After Isensee et al. 2024, "nnU-Net revisited: a call for rigorous validation in 3D
    medical image segmentation". They are put together here because DynUNet enlarges what
    its coarser levels say in training, and saves every weight under two names.
    """

    def __init__(self, recipe: Network, in_channels: int, share: float) -> None:
        super().__init__()
        widths = recipe.channels
        norm, dropout = _NORMS[recipe.norm], recipe.dropout or None
        self.down = nn.ModuleList(
            UnetResBlock(
                recipe.dimensions, before, width, 3, 2 if level else 1, norm, dropout=dropout
            )
            for level, (before, width) in enumerate(
                zip((in_channels, *widths), widths, strict=False)
            )
        )
        self.up = nn.ModuleList(
            UnetUpBlock(recipe.dimensions, low, high, 3, 1, 2, norm, dropout=dropout)
            for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        supervised = widths[1:-1] if recipe.deep_supervision else ()
        self.heads = nn.ModuleList(
            UnetOutBlock(recipe.dimensions, width, 1) for width in (widths[0], *supervised)
        )
        self.apply(DynUNet.initialize_weights)
        for head in self.heads:
            start_with(head.get_submodule("conv.conv"), share)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits of the size of ``x``; in training also those of coarser levels."""
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        levels: list[Tensor] = []
        for block in self.up:
            x = block(x, skips.pop())
            levels.insert(0, x)
        if not (self.training and len(self.heads) > 1):
            return cast(Tensor, self.heads[0](x))
        return [head(level) for head, level in zip(self.heads, levels, strict=False)]
