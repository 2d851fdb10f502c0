"""Nodules in numbers: mask and scan become the nodule table, its details, and advice."""

from napari_ctlns.measurement.details import DETAILS, measure_details, with_details
from napari_ctlns.measurement.distances import max_diameter_mm
from napari_ctlns.measurement.quick import QUICK_COLUMNS, quick_table
from napari_ctlns.measurement.table import (
    COLUMNS,
    measure,
    measure_nodules,
    read_table,
    write_table,
)

__all__ = [
    "COLUMNS",
    "DETAILS",
    "QUICK_COLUMNS",
    "max_diameter_mm",
    "measure",
    "measure_details",
    "measure_nodules",
    "quick_table",
    "read_table",
    "with_details",
    "write_table",
]
