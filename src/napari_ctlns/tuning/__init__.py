"""Which values of a recipe suit a dataset: many short trainings, compared."""

from napari_ctlns.tuning.tune import tune

__all__ = ["tune"]
