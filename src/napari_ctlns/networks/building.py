"""Which network a recipe means."""

from torch import Tensor, nn

from napari_ctlns.networks.cpu_bf16 import guarded
from napari_ctlns.networks.imported import imported_network
from napari_ctlns.networks.output import USUAL_SHARE
from napari_ctlns.networks.unet import UNet
from napari_ctlns.recipe import Recipe


def build_network(recipe: Recipe) -> nn.Module:
    """Return an untrained network.

    Parameters
    ----------
    recipe
        Sections network and patches decide.

    Returns
    -------
    nn.Module
        Maps images (N, C, z, y, x) of `Recipe.image_channels`, whose sides must be multiples
        of `Network.steps`, to logits (N, 1, z, y, x); in 2 dimensions z is
        `Recipe.in_channels`, and the logits (N, 1, 1, y, x) are those of the middle slice. In
        training, with deep supervision, the logits are a list: the finest, then each coarser
        level at its own resolution.

    Raises
    ------
    ModelError
        If it is an imported one that cannot be built here.
    """
    if recipe.network.imported is not None:
        return imported_network(recipe.network)
    network = guarded(_network(recipe))
    return MiddleSlice(network) if recipe.network.dimensions == 2 else network


def _network(recipe: Recipe) -> nn.Module:
    share = USUAL_SHARE[recipe.structure]
    if recipe.network.name == "unet":
        return UNet(recipe.network, recipe.in_channels, share)
    # MONAI takes seconds to import, and not everyone needs it
    from napari_ctlns.networks import variants

    build = {
        "attention-unet": variants.attention_unet,
        "residual-unet": variants.ResidualUNet,
        "swin-unetr": variants.swin_unetr,
    }[recipe.network.name]
    return build(recipe.network, recipe.in_channels, share)


class MiddleSlice(nn.Module):
    """A network of 2 dimensions that sees slices as channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return the middle slice's logits (N, 1, 1, y, x) of slices (N, 1, z, y, x)."""
        logits = self.network(image[:, 0])
        if isinstance(logits, list):
            return [level.unsqueeze(2) for level in logits]
        return logits.unsqueeze(2)
