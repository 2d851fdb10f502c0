"""Networks of others, built from their names: only classes that are listed here.

A model folder may come from anywhere; what its recipe names is looked up, never imported
by name or called with anything but JSON.
"""

import json
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn

from napari_ctlns.errors import ModelError
from napari_ctlns.recipe import ImportedNetwork, Network

NNUNET_CLASSES = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
"""Those that nnU-Net's planners choose; all lie in one module of its own package."""
MONAI_CLASSES = (
    "AttentionUnet",
    "BasicUNet",
    "BasicUNetPlusPlus",
    "BasicUnet",
    "DynUNet",
    "DynUnet",
    "HighResNet",
    "SegResNet",
    "SegResNetDS",
    "SwinUNETR",
    "UNETR",
    "UNet",
    "Unet",
    "VNet",
)
"""Those that segment and neither load nor fetch anything themselves."""
LAYER_ARGUMENTS = ("conv_op", "norm_op", "dropout_op", "nonlin")
"""nnU-Net's arguments that name layers of torch."""
_LAYERS = (
    "Conv2d",
    "Conv3d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Dropout2d",
    "Dropout3d",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "SiLU",
    "GELU",
)


def imported_network(recipe: Network) -> "OneLabel":
    """Return an untrained network of others as one of ours.

    Raises
    ------
    ModelError
        If its class is not listed here, its package is missing, or it cannot be built so.
    """
    imported = cast(ImportedNetwork, recipe.imported)
    arguments = json.loads(imported.arguments)
    build = {"nnunet": _nnunet, "monai": _monai, "onnx": _no_torch}[imported.format]
    return OneLabel(build(imported.architecture, arguments), imported, recipe.dimensions)


class OneLabel(nn.Module):
    """A network of others that takes our windows and answers for one of its labels.

    Parameters
    ----------
    network
        Takes arrays on its own axes, with slices as channels in 2 dimensions; it answers
        with a channel for each label, or with a list of answers, the finest first.
    imported
        Which axes, which label.
    dimensions
        2 or 3.
    """

    def __init__(self, network: nn.Module, imported: ImportedNetwork, dimensions: int) -> None:
        super().__init__()
        self.network = network
        self.flat = dimensions == 2
        self._channel = imported.channel
        self._activation = imported.activation
        self._turning = imported.turning(dimensions)

    def forward(self, image: Tensor) -> Tensor:
        """Return the label's logits of images (N, 1, z, y, x), see `build_network`."""
        return self.logits(self.answer(image))

    def answer(self, image: Tensor) -> Tensor:
        """Return what the network of others says, a channel a label, on its own axes."""
        given = image[:, 0] if self.flat else image
        given = given.permute(self._turning.permutation)
        answer = self.network(_mirrored(given, self._turning.flips))
        return answer[0] if isinstance(answer, list | tuple) else answer

    def logits(self, answer: Tensor) -> Tensor:
        """Return of such an answer what the sigmoid turns into the label's probability."""
        logits = _mirrored(self._of_label(answer), self._turning.answer_flips)
        logits = logits.permute(self._turning.back)
        return logits.unsqueeze(2) if self.flat else logits

    def _of_label(self, answer: Tensor) -> Tensor:
        chosen = answer[:, self._channel : self._channel + 1]
        if self._activation == "sigmoid":
            return chosen
        if self._activation == "none":
            return torch.logit(chosen, eps=1e-6)
        # p / (1 - p) of a softmax is exp(chosen) over the sum of the others' exp
        others = [answer[:, : self._channel], answer[:, self._channel + 1 :]]
        return chosen - torch.logsumexp(torch.cat(others, 1), 1, keepdim=True)


def _mirrored(array: Tensor, dimensions: tuple[int, ...]) -> Tensor:
    return array.flip(dimensions) if dimensions else array


def _nnunet(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    _must_be_listed(architecture, NNUNET_CLASSES, "nnU-Net")
    try:
        module = import_module("dynamic_network_architectures.architectures.unet")
    except ImportError as error:
        raise ModelError(
            "nnU-Net's networks are not installed; pip install 'napari-ctlns[nnunet]'"
        ) from error
    for name in LAYER_ARGUMENTS:
        if arguments.get(name) is not None:
            _must_be_listed(arguments[name], _LAYERS, "torch")
            arguments[name] = getattr(nn, arguments[name])
    return _built(getattr(module, architecture), arguments)


def _monai(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    _must_be_listed(architecture, MONAI_CLASSES, "MONAI")
    return _built(getattr(import_module("monai.networks.nets"), architecture), arguments)


def _no_torch(_architecture: str, _arguments: dict[str, Any]) -> nn.Module:
    raise ModelError("an ONNX model runs on OpenVINO alone; leave the device at auto or cpu")


def _must_be_listed(name: str, known: tuple[str, ...], whose: str) -> None:
    if name not in known:
        raise ModelError(f"{whose}'s {name} is not supported; there are {', '.join(known)}")


def _built(kind: type[nn.Module], arguments: dict[str, Any]) -> nn.Module:
    try:
        return kind(**arguments)
    except Exception as error:  # its own checks raise whatever they like
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{kind.__name__} cannot be built as described: {first}") from error
