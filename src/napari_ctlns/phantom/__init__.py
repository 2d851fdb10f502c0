"""A synthetic chest CT with nodules that are known exactly."""

from napari_ctlns.phantom.cohort import write_cohort, write_phantom
from napari_ctlns.phantom.making import Phantom, PhantomNodule, make_phantom
from napari_ctlns.phantom.spec import (
    SLAB_MM,
    WHOLE_CHEST_MM,
    Attachment,
    Density,
    Kernel,
    PhantomSpec,
    Shape,
    cohort_specs,
)

__all__ = [
    "SLAB_MM",
    "WHOLE_CHEST_MM",
    "Attachment",
    "Density",
    "Kernel",
    "Phantom",
    "PhantomNodule",
    "PhantomSpec",
    "Shape",
    "cohort_specs",
    "make_phantom",
    "write_cohort",
    "write_phantom",
]
