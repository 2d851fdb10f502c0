"""A model learns from what a person corrected, and is judged against what it was before."""

from napari_ctlns.teaching.learn import learn

__all__ = ["learn"]
