"""A dataset and a recipe become a model."""

from napari_ctlns.learning.train import train

__all__ = ["train"]
