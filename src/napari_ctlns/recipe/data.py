"""From scans to what a network is given."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ctlns.recipe.sections import (
    Axis,
    Count,
    Fraction,
    NotNegative,
    PositiveFloat,
    PositiveInt,
    Section,
    Size,
)

_Spacing = PositiveFloat | Literal["native"]


class Preparation(Section):
    """From a scan to the array that a network sees."""

    spacing_mm: PositiveFloat | tuple[_Spacing, _Spacing, _Spacing] | Literal["native"] = 1.0
    """Millimetres between voxels: one number, three (z, y, x), or "native", the scan's own;
    that may also stand for one of the three."""
    drop_first_slices: Count = 0
    """Slices left out at the feet's end of the prepared scan, where other organs lie."""
    slice_size: tuple[PositiveInt, PositiveInt] | None = None
    """Pixels (y, x) that each slice is resized to; left out: as many as the spacing gives."""
    clip_hu: tuple[float, float] = (-1000.0, 400.0)
    """Values are clipped to this range, HU, before they are normalised."""
    smoothing_mm: NotNegative = 0.0
    """Standard deviation of a Gaussian that smooths the scan, millimetres."""
    normalisation: Literal["range", "divide", "standardise"] = "range"
    """"range" scales the clipped range to 0 to 1, "divide" takes ``subtrahend`` from HU and
    divides by ``divisor``, "standardise" gives each scan mean 0 and standard deviation 1."""
    subtrahend: float = 0.0
    """"divide": what is taken from HU before they are divided."""
    divisor: PositiveFloat = 3071.0
    """"divide": what HU are divided by."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.clip_hu[0] >= self.clip_hu[1]:
            raise ValueError("clip_hu must be (lower, higher)")
        return self


class Patches(Section):
    """How patches are drawn from prepared scans."""

    size: Size = (64, 64, 64)
    """Voxels (z, y, x) of a training patch; a network of 2 dimensions takes its slices as
    channels and answers for the middle one."""
    around: Size | None = None
    """Voxels (z, y, x) centred on a nodule from which its patch is cropped at random; left
    out: the nodule may lie anywhere in the patch."""
    sampling: Literal["balanced", "slices"] = "balanced"
    """"balanced": patches with a nodule and others by ``nodule_fraction``; "slices": whole
    slices, weighted by the inverse frequency of those with and without a nodule."""
    nodule_fraction: Fraction = 0.6
    """Share of the patches that hold a nodule; the others are drawn anywhere in the body."""
    hard_negatives: str = ""
    """A table of earlier false positives (``false_positives.csv`` of `ctlns evaluate`)."""
    hard_fraction: Fraction = 0.5
    """Share of the patches without a nodule that are drawn around those false positives."""
    corrected_fraction: Fraction = 0.0
    """Share of the patches drawn from scans that a person corrected; 0: each scan counts alike."""
    per_scan: PositiveInt = 16
    """Patches an epoch takes from each scan, on average."""
    correcting_clicks: Count = 0
    """For networks that take clicks: clicks after the first one that correct an answer, at
    most; in validation there is the first one alone."""
    validation_size: Size | None = None
    """Voxels (z, y, x) of a validation patch; left out: those of a training patch."""

    @model_validator(mode="after")
    def _one_preference(self) -> Self:
        if self.corrected_fraction and self.hard_negatives:
            raise ValueError("corrected_fraction and hard_negatives exclude each other")
        return self


class Augmentation(Section):
    """Random changes of training patches; each has a chance of its own."""

    enabled: bool = True
    """Whether patches are changed at all."""
    flip_axes: tuple[Axis, ...] = ("z", "y", "x")
    """Axes that may be mirrored."""
    flip_probability: Fraction = 0.5
    """Chance to mirror along each of them."""
    rotation_deg: tuple[NotNegative, NotNegative, NotNegative] = (0.0, 0.0, 0.0)
    """Largest angles about the axes (z, y, x), degrees."""
    scaling: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of size: 0.2 is 0.8 to 1.2 times."""
    translation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest shift, as a share of the patch's sides."""
    affine_probability: Fraction = 0.5
    """Chance of rotation, scaling and translation together."""
    elastic_voxels: NotNegative = 0.0
    """Standard deviation of an elastic displacement, voxels."""
    elastic_grid: Annotated[int, Field(ge=4)] = 16
    """Voxels between the points that are displaced."""
    elastic_probability: Fraction = 0.5
    """Chance of an elastic displacement."""
    brightness: NotNegative = 0.0
    """Largest number added to the normalised values."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of contrast: 0.2 is 0.8 to 1.2 times, about the patch's mean."""
    intensity_probability: Fraction = 0.5
    """Chance of brightness and contrast together."""
    noise: NotNegative = 0.0
    """Largest standard deviation of noise added to the normalised values."""
    noise_probability: Fraction = 0.5
    """Chance of noise."""
    blur_voxels: NotNegative = 0.0
    """Largest standard deviation of a Gaussian blur, voxels."""
    blur_probability: Fraction = 0.5
    """Chance of a blur."""


class Inference(Section):
    """From a model to a mask."""

    window: Size | None = None
    """Voxels (z, y, x) of a window; left out, and for networks whose answer depends on the
    window (instance norm, attention): the size of the training patches."""
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of a window that neighbours cover too."""
    threshold: Fraction = 0.5
    """Probability from which a voxel is inside."""
    seed_threshold: Fraction = 0.0
    """Probability that an object must reach somewhere; the threshold then says how far it goes."""
    min_diameter_mm: NotNegative = 3.0
    """Objects smaller than a sphere of this diameter are dropped."""
    fill_holes: bool = True
    """Whether what an object encloses belongs to it, as a cavity does to its nodule."""
    split_touching: bool = False
    """Whether objects joined by a neck are two."""
