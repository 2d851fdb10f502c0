"""What the last layers of all networks have in common."""

import math
from typing import cast

from torch import Tensor, nn

_PRIOR = 0.01
"""About the share of nodule voxels in training patches."""


def start_as_background(layer: nn.Module) -> None:
    """Let an output layer begin sure that a voxel is background, as nearly all are.

    Else the first steps learn only that (Lin et al. 2017, "Focal loss for dense object
    detection").
    """
    nn.init.constant_(cast(Tensor, layer.bias), math.log(_PRIOR / (1 - _PRIOR)))
