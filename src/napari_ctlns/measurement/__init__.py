"""Nodules in numbers: mask and scan become the nodule table, its details, and advice."""

from napari_ctlns.measurement.details import DETAILS, measure_details
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
    "measure",
    "measure_details",
    "measure_nodules",
    "read_table",
    "write_table",
]
