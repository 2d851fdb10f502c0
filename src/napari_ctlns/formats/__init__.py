"""Files as volumes, masks and annotations, and back.

Nothing here knows what a scan is used for. Reading reorients to LPS by flips
and permutations; writing goes back onto the source's own grid.
"""

import SimpleITK as sitk

from napari_ctlns.formats.annotations import (
    BadRows,
    annotations_of,
    read_annotations,
    readable_annotations,
    write_annotations,
)
from napari_ctlns.formats.boxes import box_annotations, list_boxes, read_boxes
from napari_ctlns.formats.candidates import Candidate, read_candidates, write_candidates
from napari_ctlns.formats.describing import describe
from napari_ctlns.formats.lidc import (
    find_lidc,
    lidc_annotations,
    lidc_consensus,
    list_lidc,
    read_lidc,
    reader_mask,
)
from napari_ctlns.formats.mask_files import is_mask_file, referenced_series
from napari_ctlns.formats.masks import mask_onto, read_mask, read_mask_onto
from napari_ctlns.formats.probabilities import read_probability
from napari_ctlns.formats.rtstruct import is_rtstruct, read_rtstruct, structure_mask
from napari_ctlns.formats.scans import ScanFile, find_scans, read_scan
from napari_ctlns.formats.writing import write_volume

__all__ = [
    "BadRows",
    "Candidate",
    "ScanFile",
    "annotations_of",
    "box_annotations",
    "describe",
    "find_lidc",
    "find_scans",
    "is_mask_file",
    "is_rtstruct",
    "lidc_annotations",
    "lidc_consensus",
    "list_boxes",
    "list_lidc",
    "mask_onto",
    "read_annotations",
    "read_boxes",
    "read_candidates",
    "read_lidc",
    "read_mask",
    "read_mask_onto",
    "read_probability",
    "read_rtstruct",
    "read_scan",
    "readable_annotations",
    "reader_mask",
    "referenced_series",
    "structure_mask",
    "write_annotations",
    "write_candidates",
    "write_volume",
]

# ITK writes its warnings to standard error, from other threads too; what a person
# should know is told in ScanError and Source.warnings.
sitk.ProcessObject.SetGlobalWarningDisplay(False)
