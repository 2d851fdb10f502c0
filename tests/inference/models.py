import torch

from napari_ctlns.inference.model import ModelCard, save_model
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Inference, Network, Patches, Recipe


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
