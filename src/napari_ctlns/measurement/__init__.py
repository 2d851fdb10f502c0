"""Nodules in numbers: mask and scan become the nodule table."""

from napari_ctlns.measurement.table import (
    COLUMNS,
    measure,
    measure_nodules,
    read_table,
    write_table,
)

__all__ = ["COLUMNS", "measure", "measure_nodules", "read_table", "write_table"]
