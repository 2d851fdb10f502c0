"""What a model thought of each voxel, read again from the file that `predict` wrote."""

import os

import numpy as np

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.scans import read_scan
from napari_ctlns.volume import Volume


def read_probability(path: str | os.PathLike[str], scan: Volume) -> Volume:
    """Read a probability that lies on the grid of a scan.

    Raises
    ------
    ScanError
        If the file cannot be read.
    MaskError
        If it lies on another grid, or holds values that are no probabilities.
    """
    volume = read_scan(path)
    if not volume.geometry.same_grid(scan.geometry, 0.05):
        message = f"the probability {path} lies on another grid than the scan"
        raise MaskError(f"{message}; give the one that was predicted for this scan")
    low, high = float(np.min(volume.array)), float(np.max(volume.array))
    if not (low >= 0 and high <= 1):
        message = f"no probability: {path} holds values from {low:g} to {high:g}"
        raise MaskError(f"{message}; give what `ctlns predict --probability` wrote")
    return scan.probability(volume.array)
