"""What the last layers of all networks have in common."""

import math
from typing import cast

from torch import Tensor, nn

USUAL_SHARE = {"nodule": 0.01, "lung": 0.3}
"""About the share of voxels of each structure in training patches."""


def start_with(layer: nn.Module, share: float) -> None:
    """Let an output layer begin with the probability that a voxel has before one has looked.

    Else the first steps learn only that (Lin et al. 2017, "Focal loss for dense object
    detection").
    """
    nn.init.constant_(cast(Tensor, layer.bias), math.log(share / (1 - share)))
