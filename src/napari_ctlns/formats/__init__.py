"""Files as volumes, masks and annotations, and back.

Nothing here knows what a scan is used for. Reading reorients to LPS by flips
and permutations; writing goes back onto the source's own grid.
"""

import SimpleITK as sitk

from napari_ctlns.formats.annotations import annotations_of, read_annotations, write_annotations
from napari_ctlns.formats.describing import describe
from napari_ctlns.formats.mask_files import is_mask_file, referenced_series
from napari_ctlns.formats.masks import mask_onto, read_mask, read_mask_onto
from napari_ctlns.formats.scans import ScanFile, find_scans, read_scan
from napari_ctlns.formats.writing import write_volume

__all__ = [
    "ScanFile",
    "annotations_of",
    "describe",
    "find_scans",
    "is_mask_file",
    "mask_onto",
    "read_annotations",
    "read_mask",
    "read_mask_onto",
    "read_scan",
    "referenced_series",
    "write_annotations",
    "write_volume",
]

# ITK writes its warnings to standard error, from other threads too; what a person
# should know is told in ScanError and Source.warnings.
sitk.ProcessObject.SetGlobalWarningDisplay(False)
