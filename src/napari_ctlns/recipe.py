"""One typed description of a whole pipeline.

The built-in recipes are TOML files in ``recipes/``; a person's own TOML file
works the same. Unknown keys and impossible values are refused by name.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_ctlns.errors import RecipeError

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(ge=1)]
Size = tuple[PositiveInt, PositiveInt, PositiveInt]
Axis = Literal["z", "y", "x"]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class Preparation(_Section):
    """From a scan to the array that a network sees."""

    spacing_mm: (
        PositiveFloat | tuple[PositiveFloat, PositiveFloat, PositiveFloat] | Literal["native"]
    ) = 1.0
    """Millimetres between voxels: one number, three (z, y, x), or "native"."""
    clip_hu: tuple[float, float] = (-1000.0, 400.0)
    """Values are clipped to this range, HU, and scaled to 0 to 1."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.clip_hu[0] >= self.clip_hu[1]:
            raise ValueError("clip_hu must be (lower, higher)")
        return self


class Patches(_Section):
    """How patches are drawn from prepared scans."""

    size: Size = (64, 64, 64)
    """Voxels (z, y, x) of a training patch."""
    nodule_fraction: Fraction = 0.6
    """Share of the patches that hold a nodule; the others are drawn anywhere in the body."""
    per_scan: PositiveInt = 16
    """Patches an epoch takes from each scan, on average."""


class Network(_Section):
    """The network."""

    name: Literal["unet"] = "unet"
    """Which network."""
    channels: tuple[PositiveInt, ...] = Field((16, 32, 64, 128), min_length=2)
    """Feature maps of each level, from the finest to the coarsest."""
    norm: Literal["batch", "instance"] = "batch"
    """Normalisation; only "batch" models may be run at another window (docs)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of feature maps dropped in training."""

    @property
    def step(self) -> int:
        """What each side of a patch or window must be a multiple of: it is halved that often."""
        return int(2 ** (len(self.channels) - 1))


class Loss(_Section):
    """What training makes small."""

    name: Literal["dice-ce"] = "dice-ce"
    """Which loss."""
    dice_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the Dice part."""
    ce_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the cross-entropy part."""


class Augmentation(_Section):
    """Random changes of training patches."""

    flip_axes: tuple[Axis, ...] = ("z", "y", "x")
    """Axes that may be mirrored."""
    flip_probability: Fraction = 0.5
    """Chance to mirror along each of them."""


class Optimisation(_Section):
    """How weights are learned."""

    optimiser: Literal["adam", "adamw"] = "adam"
    """Which optimiser."""
    learning_rate: PositiveFloat = 1e-3
    """First learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of the optimiser."""
    schedule: Literal["plateau", "constant", "cosine"] = "plateau"
    """How the learning rate falls."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """"plateau": what the rate is multiplied with."""
    plateau_patience: Annotated[int, Field(ge=0)] = 5
    """"plateau": epochs without a better validation loss before it falls."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the rate rises to its first value."""
    epochs: PositiveInt = 100
    """Passes over the training scans."""
    batch_size: PositiveInt = 4
    """Patches a step."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; "auto" takes the fastest that the device does well."""
    shuffle: bool = True
    """Whether patches come in a new order each epoch."""
    num_workers: Annotated[int, Field(ge=0)] = 0
    """Threads that prepare patches beside the training one."""
    seed: int = 0
    """Where all randomness is counted from."""
    deterministic: bool = False
    """Whether equal runs must give equal weights, bit for bit."""


class Inference(_Section):
    """From a model to a mask."""

    window: Size | None = None
    """Voxels (z, y, x) of a window; left out: the size of the training patches."""
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of a window that neighbours cover too."""
    threshold: Fraction = 0.5
    """Probability from which a voxel is nodule."""
    min_diameter_mm: Annotated[float, Field(ge=0)] = 3.0
    """Components smaller than a sphere of this diameter are dropped."""


class Recipe(_Section):
    """A whole pipeline: preparation, patches, network, loss and so on."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    """What it is called."""
    description: str = ""
    """What it is, in a sentence."""
    preparation: Preparation = Preparation()
    patches: Patches = Patches()
    network: Network = Network()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    optimisation: Optimisation = Optimisation()
    inference: Inference = Inference()

    @property
    def window(self) -> Size:
        """Voxels (z, y, x) of the window that inference uses unless told otherwise."""
        return self.inference.window or self.patches.size

    @model_validator(mode="after")
    def _patch_fits_network(self) -> Self:
        step = self.network.step
        for name, size in (("patches.size", self.patches.size), ("inference.window", self.window)):
            if any(n % step for n in size):
                raise ValueError(
                    f"{name} {size} must be multiples of {step}: "
                    f"the network halves {len(self.network.channels) - 1} times"
                )
        return self

    def to_toml(self) -> str:
        """Return the recipe as TOML; what is left out there has its default."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def with_changes(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return a recipe in which some dotted keys have other values.

        Parameters
        ----------
        changes
            For example ``{"optimisation.epochs": 3}``.

        Raises
        ------
        RecipeError
            If a key is unknown or a value not allowed.
        """
        values = self.model_dump(mode="python")
        for dotted, value in changes.items():
            section = values
            *parents, key = dotted.split(".")
            for parent in parents:
                section = section.get(parent) if isinstance(section, dict) else None  # type: ignore[assignment]
            if not isinstance(section, dict) or key not in section:
                raise RecipeError(f"{dotted}: no such key; see `ctlns recipes {self.name}`")
            section[key] = value
        return _validated(values, "the changed recipe")


def builtin_recipes() -> tuple[str, ...]:
    """Return the names of the built-in recipes, the default first."""
    names = (f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml"))
    return tuple(sorted(names, key=lambda name: (name != "ct-lns", name)))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a built-in recipe by name, or one from a TOML file.

    Raises
    ------
    RecipeError
        If there is none of that name, the file is no TOML, a key is unknown or a
        value not allowed.
    """
    if str(name_or_path) in builtin_recipes():
        return _parsed((_folder() / f"{name_or_path}.toml").read_text("utf-8"), str(name_or_path))
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        known = ", ".join(builtin_recipes())
        raise RecipeError(f"no recipe {name_or_path}; take one of {known}, or a .toml file")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read recipe {path}; give an existing .toml file") from error
    return _parsed(text, str(path))


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``section.key=value`` texts into dotted keys and typed values.

    A value is read as TOML (numbers, true, [1, 2, 3]); what is not TOML is a word.

    Raises
    ------
    RecipeError
        If a text has no ``=``.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"{assignment}: write it as section.key=value")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key.strip()] = text.strip()
    return changes


def _folder() -> Any:
    return files("napari_ctlns") / "recipes"


def _parsed(text: str, where: str) -> Recipe:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not TOML: {error}") from error
    return _validated(values, where)


def _validated(values: Mapping[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        words = first_problem(error)
        if error.errors()[0]["type"] == "extra_forbidden":
            key = words.partition(":")[0]
            words = f"{key}: no such key; see `ctlns recipes ct-lns` for those there are"
        raise RecipeError(f"{words} (in {where})") from error


def first_problem(error: ValidationError) -> str:
    """Say in words what pydantic found first: the path of the field and what is allowed."""
    problem = error.errors()[0]
    # union members ("float", "tuple[...]") are no part of the path
    path = ".".join(
        str(part) for part in problem["loc"] if not isinstance(part, str) or part.isidentifier()
    )
    words = problem["msg"].removeprefix("Value error, ")
    return f"{path}: {words}" if path else words
