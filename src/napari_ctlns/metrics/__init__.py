"""How well a mask agrees with the truth: overlap, surfaces, nodules found."""

from napari_ctlns.metrics.bootstrap import bootstrap_intervals
from napari_ctlns.metrics.nodules import (
    FalsePositive,
    FrocCurve,
    NoduleMatch,
    NoduleMatches,
    froc_curve,
    match_nodules,
    sensitivity_at,
)
from napari_ctlns.metrics.overlap import VoxelCounts, compare_masks, count_voxels, dice, iou
from napari_ctlns.metrics.surface import (
    SurfaceAgreement,
    average_surface_distance_mm,
    hausdorff95_mm,
    surface_agreement,
    surface_dice,
)

__all__ = [
    "FalsePositive",
    "FrocCurve",
    "NoduleMatch",
    "NoduleMatches",
    "SurfaceAgreement",
    "VoxelCounts",
    "average_surface_distance_mm",
    "bootstrap_intervals",
    "compare_masks",
    "count_voxels",
    "dice",
    "froc_curve",
    "hausdorff95_mm",
    "iou",
    "match_nodules",
    "sensitivity_at",
    "surface_agreement",
    "surface_dice",
]
