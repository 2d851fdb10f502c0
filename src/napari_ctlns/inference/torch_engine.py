"""Networks in torch: the reference on a CPU, and what runs them on a GPU."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_ctlns.inference.memory import within_memory
from napari_ctlns.inference.model import load_network, read_card
from napari_ctlns.inference.planning import Index
from napari_ctlns.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

FloatArray = npt.NDArray[np.float32]


class TorchEngine:
    """The network in torch: fp32 on the CPU (the reference) and MPS, autocast on CUDA.

    Neither compiled nor as a CUDA graph: windows fill a GPU, so that starting its kernels
    one by one costs next to nothing, and either would begin anew with every size of window.

    Raises
    ------
    DeviceMemoryError
        If the weights do not fit into the memory of a GPU.
    """

    def __init__(self, model: Path, window: Index, device: str = "cpu") -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device)
        network = load_network(model)
        if device == "cuda":
            with_channels_last(network)
        self._network = within_memory(lambda: network.to(self._device))
        recipe = read_card(model).recipe
        self._half = torch.float16
        if device == "cuda" and torch.cuda.is_bf16_supported():
            self._half = torch.bfloat16
        self.name = f"torch {device}"
        # enough work to fill a GPU; a CPU gains nothing from batches
        self.batch_size = 1 if device == "cpu" else windows_at_once(recipe, window)
        self.notes: tuple[str, ...] = ()
        self.reason = ""

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows, see `Engine`."""
        return within_memory(lambda: self._answer(batch))

    def _answer(self, batch: FloatArray) -> FloatArray:
        torch = self._torch
        on_cuda = self._device.type == "cuda"
        with (
            torch.inference_mode(),
            # what this leaves in fp32 are no matrix products: TF32 would be of no use to it
            torch.autocast(self._device.type, self._half, enabled=on_cuda),
        ):
            logits = self._network(torch.from_numpy(batch).to(self._device))
            return torch.sigmoid(logits.float()).cpu().numpy()


def with_channels_last(network: "nn.Module") -> None:
    """Lay the weights of convolutions out channels last, if all other layers keep that.

    The maps then follow, and cuDNN need not turn them for its kernels in half precision.
    Instance norm and interpolation in 3 dimensions would turn them back each time: with
    them nnU-Net's network takes half as long again (pytorch/pytorch issue 59168).
    """
    import torch
    from torch import nn
    from torch.nn import utils

    turning = (nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm, nn.LayerNorm, nn.Upsample)
    if not any(isinstance(layer, turning) for layer in network.modules()):
        utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
        utils.convert_conv3d_weight_memory_format(network, torch.channels_last_3d)


def windows_at_once(recipe: Recipe, window: Index) -> int:
    """Return how many windows keep a GPU busy; slices as channels are hardly more work."""
    return max(1, 8 * 64**3 // math.prod(window[3 - recipe.network.dimensions :]))
