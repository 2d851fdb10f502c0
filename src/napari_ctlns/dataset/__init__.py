"""Scans become a dataset, and a dataset becomes patches."""

from napari_ctlns.dataset.folder import Dataset, PreparedScan, open_dataset
from napari_ctlns.dataset.prepare import prepare

__all__ = ["Dataset", "PreparedScan", "open_dataset", "prepare"]
