"""One click on a nodule becomes its mask, without a model."""

from napari_ctlns.masks.click.clicks import (
    RULES,
    Clicks,
    check_clicks,
    click_mask,
    mask_of,
    part_in_scan,
)
from napari_ctlns.masks.click.rules import ClickRules

__all__ = [
    "RULES",
    "ClickRules",
    "Clicks",
    "check_clicks",
    "click_mask",
    "mask_of",
    "part_in_scan",
]
