"""What guidelines advise for nodules: Lung-RADS v2022 and Fleischner 2017."""

from napari_ctlns.measurement.guidelines.advice import (
    ADVICE_COLUMNS,
    NOTICE,
    UNKNOWN,
    Advice,
    Circumstances,
)
from napari_ctlns.measurement.guidelines.advising import advise, advise_scan, with_advice

__all__ = [
    "ADVICE_COLUMNS",
    "NOTICE",
    "UNKNOWN",
    "Advice",
    "Circumstances",
    "advise",
    "advise_scan",
    "with_advice",
]
