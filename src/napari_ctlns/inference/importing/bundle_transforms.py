"""What a MONAI bundle does to a scan and to an answer, in the words of a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from napari_ctlns.errors import ModelError
from napari_ctlns.recipe import Activation
from napari_ctlns.volume import AIR_HU

_EVERYTHING = (float(AIR_HU), 32767.0)
_HARMLESS = {
    "LoadImage",
    "EnsureChannelFirst",
    "AddChannel",
    "AsChannelFirst",
    "EnsureType",
    "CastToType",
    "ToTensor",
    "ToDevice",
    "SelectItems",
    "Identity",
    "CropForeground",
    "SpatialPad",
    "DivisiblePad",
}
"""They change nothing for us, or only how much around the patient is looked at."""


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a scan before the network sees it.

    Attributes
    ----------
    axes
        Towards which sides the axes of the arrays run; None: nobody says.
    pixdim
        Millimetres along each of these axes, 0 or less: the scan's own; None: the same.
    clip_hu
        Values are clipped to this range.
    standardised
        Whether each scan gets mean 0 and deviation 1; otherwise
    subtrahend, divisor
        this is taken from HU, and they are divided by that.
    """

    axes: str | None = None
    pixdim: tuple[float, float, float] | None = None
    clip_hu: tuple[float, float] = _EVERYTHING
    standardised: bool = False
    subtrahend: float = 0.0
    divisor: float = 1.0


def preprocessing_of(transforms: list[dict[str, Any]]) -> Preprocessing:
    """Return what a bundle's transforms amount to.

    Raises
    ------
    ModelError
        If one of them is not known here, or does what no recipe can say; by its name.
    """
    known: dict[str, _Step] = {
        "Orientation": _orientation,
        "Spacing": _spacing,
        "ScaleIntensityRange": _scale_range,
        "NormalizeIntensity": _normalise,
    }
    done = Preprocessing()
    for transform in transforms:
        if transform.get("_disabled_") is True:
            continue
        name = short_name(transform)
        if name in known:
            done = known[name](done, transform)
        elif name not in _HARMLESS:
            raise ModelError(f"the bundle prepares scans by {name}, which is not supported")
    return done


def activation_of(transforms: list[dict[str, Any]]) -> Activation | None:
    """Return what a bundle makes of the network's answer; None: it does not say."""
    for transform in transforms:
        name = short_name(transform)
        if name == "Activations" and transform.get("sigmoid") is True:
            return "sigmoid"
        if name in ("Activations", "AsDiscrete") and (
            transform.get("softmax") is True or transform.get("argmax") is True
        ):
            return "softmax"
    return None


def short_name(transform: Mapping[str, Any]) -> str:
    """Return the name of a class, without its package and what marks those of dictionaries."""
    name = str(transform.get("_target_", "")).rpartition(".")[2]
    for ending in ("Dict", "d", "D"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


_Step = Callable[[Preprocessing, Mapping[str, Any]], Preprocessing]


def _orientation(done: Preprocessing, transform: Mapping[str, Any]) -> Preprocessing:
    axes = "RAS" if transform.get("as_closest_canonical") else transform.get("axcodes")
    if not isinstance(axes, str):
        raise ModelError("Orientation of the bundle has no axcodes; write them into it")
    return _with(done, axes=axes.upper())


def _spacing(done: Preprocessing, transform: Mapping[str, Any]) -> Preprocessing:
    said = transform["pixdim"]
    numbers = [float(n) for n in said] if isinstance(said, list) else [float(said)] * 3
    if len(numbers) != 3:
        raise ModelError(f"Spacing of the bundle has pixdim {said}; three numbers are wanted")
    return _with(done, pixdim=(numbers[0], numbers[1], numbers[2]))


def _scale_range(done: Preprocessing, transform: Mapping[str, Any]) -> Preprocessing:
    if done.standardised or (done.subtrahend, done.divisor) != (0.0, 1.0):
        raise ModelError("the bundle scales values more than once, which is not supported")
    low, high = float(transform["a_min"]), float(transform["a_max"])
    b_min, b_max = transform.get("b_min"), transform.get("b_max")
    to = (0.0, 1.0) if b_min is None or b_max is None else (float(b_min), float(b_max))
    if low >= high or to[0] >= to[1]:
        raise ModelError("ScaleIntensityRange of the bundle turns values round; not supported")
    divisor = (high - low) / (to[1] - to[0])
    clip = (low, high) if transform.get("clip") else _EVERYTHING
    return _with(done, clip_hu=clip, subtrahend=low - to[0] * divisor, divisor=divisor)


def _normalise(done: Preprocessing, transform: Mapping[str, Any]) -> Preprocessing:
    if transform.get("nonzero"):
        raise ModelError("NormalizeIntensity with nonzero is not for HU and is not supported")
    mean, deviation = (_number(transform.get(name)) for name in ("subtrahend", "divisor"))
    if mean is None and deviation is None:
        return _with(done, standardised=True)
    if done.standardised:
        raise ModelError("the bundle scales values more than once, which is not supported")
    if mean is None or not deviation or deviation < 0:
        raise ModelError("NormalizeIntensity of the bundle needs subtrahend and divisor, or none")
    subtrahend = done.subtrahend + mean * done.divisor
    return _with(done, subtrahend=subtrahend, divisor=done.divisor * deviation)


def _number(said: Any) -> float | None:
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    return None if said is None else float(said)


def _with(done: Preprocessing, **changes: Any) -> Preprocessing:
    return Preprocessing(**{**vars(done), **changes})
