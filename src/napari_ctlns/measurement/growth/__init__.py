"""Growth: two scans of a patient are laid on each other, their nodules paired and compared."""

from napari_ctlns.measurement.growth.alignment import Alignment
from napari_ctlns.measurement.growth.change import Change, Size, change, doubling_in_words
from napari_ctlns.measurement.growth.interval import interval_days
from napari_ctlns.measurement.growth.job import growth_job
from napari_ctlns.measurement.growth.pairing import Pairs, pair
from napari_ctlns.measurement.growth.registering import align
from napari_ctlns.measurement.growth.table import (
    GROWTH_COLUMNS,
    Growth,
    compare_scans,
    growth_table,
)

__all__ = [
    "GROWTH_COLUMNS",
    "Alignment",
    "Change",
    "Growth",
    "Pairs",
    "Size",
    "align",
    "change",
    "compare_scans",
    "doubling_in_words",
    "growth_job",
    "growth_table",
    "interval_days",
    "pair",
]
