import torch

from napari_ctlns.inference.model import ModelCard, save_model
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Inference, Network, Patches, Preparation, Recipe


def brightness_model(folder, norm="batch", **inference):
    """Write a model that calls nodule what is denser than about -300 HU.

    Its last layers are told to pass on the brightness of a blurred scan; the
    others keep random weights, so that it is a real network all the same.
    """
    recipe = Recipe(
        name="tiny",
        patches=Patches(size=(32, 32, 32)),
        network=Network(channels=(4, 8), norm=norm),
        inference=Inference(**inference),
    )
    torch.manual_seed(0)
    network = build_network(recipe)
    with torch.no_grad():
        first, second = network.down[0][0], network.down[0][3]
        last = network.up[0]
        first.weight[0] = 0
        first.weight[0, 0, 1, 1, 1] = 1
        second.weight[0] = 0
        second.weight[0, 0] = 0.5 / 26
        second.weight[0, 0, 1, 1, 1] = 0.5
        # channels 0-3 of the upper convolutions' input are the skip
        last[0].weight[0] *= 0.02
        last[0].weight[0, 0, 1, 1, 1] += 1
        last[3].weight[0] *= 0.02
        last[3].weight[0, 0, 1, 1, 1] += 1
        network.head.weight[:] = 0
        network.head.weight[0, 0] = 20
        network.head.bias[:] = -10
    save_model(folder, network.eval(), ModelCard(recipe=recipe))
    return folder


def slice_model(folder, slices=1, preparation=None, structure="nodule", sides=(16, 16)):
    """Write a model of 2 dimensions that says how bright the middle slice is, voxel by voxel.

    Its probability is above 0.5 where the normalised value is.
    """
    recipe = Recipe(
        name="tiny-2d",
        structure=structure,
        preparation=preparation or Preparation(spacing_mm="native"),
        patches=Patches(size=(slices, *sides)),
        network=Network(dimensions=2, channels=(4, 8)),
        inference=Inference(min_diameter_mm=0),
    )
    torch.manual_seed(0)
    network = build_network(recipe)
    with torch.no_grad():
        first, last = network.network.down[0], network.network.up[0]
        for layer, channel in [(first[0], slices // 2), (first[3], 0), (last[0], 0), (last[3], 0)]:
            layer.weight[0] = 0
            layer.weight[0, channel, 1, 1] = 1
        network.network.head.weight[:] = 0
        network.network.head.weight[0, 0] = 20
        network.network.head.bias[:] = -10
    save_model(folder, network.eval(), ModelCard(recipe=recipe))
    return folder


def clicking_model(folder, spacing=1.0, size=(32, 32, 32)):
    """Write a model that takes clicks and marks what is dense, less so at one outside.

    Its probability is above 0.5 from -300 HU, at a click inside from -650, at one outside never.
    """
    recipe = Recipe(
        name="tiny-click",
        preparation=Preparation(spacing_mm=spacing),
        patches=Patches(size=size, nodule_fraction=1),
        network=Network(channels=(4, 8), clicks=True),
    )
    torch.manual_seed(0)
    network = build_network(recipe)
    with torch.no_grad():
        first, last = network.down[0], network.up[0]
        for layer in (first[0], first[3], last[0], last[3]):
            for channel in range(3):
                layer.weight[channel] = 0
                layer.weight[channel, channel, 1, 1, 1] = 1
        network.head.weight[:] = 0
        network.head.weight[0, :3, 0, 0, 0] = torch.tensor([20.0, 5.0, -40.0])
        network.head.bias[:] = -10
    save_model(folder, network.eval(), ModelCard(recipe=recipe))
    return folder
