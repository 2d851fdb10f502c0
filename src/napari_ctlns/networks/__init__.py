"""Recipe -> network.

Every network takes images (N, 1, z, y, x). In 3 dimensions its logits have the same
size; in 2 dimensions it answers for the middle slice, with logits (N, 1, 1, y, x).
"""

from napari_ctlns.networks.building import build_network

__all__ = ["build_network"]
