"""Nodules in numbers: mask and scan become the nodule table."""

from napari_ctlns.measurement.table import COLUMNS, measure, write_table

__all__ = ["COLUMNS", "measure", "write_table"]
