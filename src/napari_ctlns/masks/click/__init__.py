"""One click on a nodule becomes its mask, without a model."""

from napari_ctlns.masks.click.clicks import RULES, Clicks, click_mask, mask_of
from napari_ctlns.masks.click.rules import ClickRules

__all__ = ["RULES", "ClickRules", "Clicks", "click_mask", "mask_of"]
