"""Scans become a dataset, and a dataset becomes patches."""

from napari_ctlns.dataset.folder import Dataset, PreparedScan, open_dataset
from napari_ctlns.dataset.prepare import prepare
from napari_ctlns.dataset.revisions import choose_mask

__all__ = ["Dataset", "PreparedScan", "choose_mask", "open_dataset", "prepare"]
