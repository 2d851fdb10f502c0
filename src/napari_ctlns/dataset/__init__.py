"""Scans become a dataset, and a dataset becomes patches."""

from napari_ctlns.dataset.corrections import add_correction, held_out_scans
from napari_ctlns.dataset.folder import Dataset, PreparedScan, open_dataset
from napari_ctlns.dataset.prepare import prepare
from napari_ctlns.dataset.revisions import choose_mask
from napari_ctlns.dataset.serving import dataset_fingerprint, same_preparation, scan_scaling

__all__ = [
    "Dataset",
    "PreparedScan",
    "add_correction",
    "choose_mask",
    "dataset_fingerprint",
    "held_out_scans",
    "open_dataset",
    "prepare",
    "same_preparation",
    "scan_scaling",
]
