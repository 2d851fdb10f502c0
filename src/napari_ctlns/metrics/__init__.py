"""How well a mask agrees with the truth: overlap, surfaces, nodules found."""

from napari_ctlns.metrics.nodules import (
    FalsePositive,
    FrocCurve,
    NoduleMatch,
    NoduleMatches,
    froc_curve,
    match_nodules,
    sensitivity_at,
)
from napari_ctlns.metrics.overlap import compare_masks, dice, iou
from napari_ctlns.metrics.surface import (
    average_surface_distance_mm,
    hausdorff95_mm,
    surface_dice,
)

__all__ = [
    "FalsePositive",
    "FrocCurve",
    "NoduleMatch",
    "NoduleMatches",
    "average_surface_distance_mm",
    "compare_masks",
    "dice",
    "froc_curve",
    "hausdorff95_mm",
    "iou",
    "match_nodules",
    "sensitivity_at",
    "surface_dice",
]
