"""A recipe: all sections together, and what must fit between them."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field, model_validator

from napari_ctlns.errors import RecipeError
from napari_ctlns.recipe.data import Augmentation, Inference, Patches, Preparation
from napari_ctlns.recipe.learning import Loss, Network, Optimisation
from napari_ctlns.recipe.problems import validated
from napari_ctlns.recipe.search import SearchRange
from napari_ctlns.recipe.sections import Section, Size


class Recipe(Section):
    """A whole pipeline: preparation, patches, network, loss and so on."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    """What it is called."""
    description: str = ""
    """What it is, in a sentence."""
    structure: Literal["nodule", "lung"] = "nodule"
    """What masks mark. Nodules are looked for in and near the lungs, lungs everywhere."""
    preparation: Preparation = Preparation()
    patches: Patches = Patches()
    network: Network = Network()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    optimisation: Optimisation = Optimisation()
    inference: Inference = Inference()
    search: dict[str, SearchRange] = Field(default_factory=dict)
    """What `ctlns tune` tries, by dotted key."""

    @property
    def window(self) -> Size:
        """Voxels (z, y, x) of the window that inference uses unless told otherwise.

        A network whose answer depends on its window gets the one that it learned with.
        """
        chosen = None if self.network.depends_on_window else self.inference.window
        return chosen or self.patches.size

    @property
    def validation_size(self) -> Size:
        """Voxels (z, y, x) of a validation patch."""
        return self.patches.validation_size or self.patches.size

    @property
    def in_channels(self) -> int:
        """Channels that the network is given: slices in 2 dimensions, else those of the image."""
        return self.patches.size[0] if self.network.dimensions == 2 else self.image_channels

    @property
    def image_channels(self) -> int:
        """Channels C of images (N, C, z, y, x): the CT, and clicks inside and outside."""
        return 3 if self.network.clicks else 1

    @model_validator(mode="after")
    def _sizes_fit_network(self) -> Self:
        sizes = {
            "patches.size": self.patches.size,
            "patches.validation_size": self.validation_size,
            "inference.window": self.window,
        }
        for name, size in sizes.items():
            if any(n % step for n, step in zip(size, self.network.steps, strict=True)):
                where = " in y and x" if self.network.dimensions == 2 else ""
                raise ValueError(
                    f"{name} {size} must be multiples of {self.network.step}{where}: "
                    "the network halves its grid again and again"
                )
            if self.network.dimensions == 2 and (size[0] % 2 == 0 or size[0] != self.in_channels):
                raise ValueError(
                    f"{name} {size} must have {self.in_channels | 1} slices, an odd number: "
                    "the network answers for the middle one"
                )
        return self

    @model_validator(mode="after")
    def _patches_can_be_drawn(self) -> Self:
        around, size = self.patches.around, self.patches.size
        if around is not None and any(a < s for a, s in zip(around, size, strict=True)):
            raise ValueError(f"patches.around {around} must be no smaller than patches.size {size}")
        if self.patches.sampling == "slices" and self.network.dimensions == 3:
            raise ValueError('patches.sampling "slices" needs network.dimensions 2')
        if self.optimisation.batch_size % self.optimisation.accumulation:
            raise ValueError(
                "optimisation.accumulation must divide optimisation.batch_size "
                f"{self.optimisation.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _nodules_can_be_clicked(self) -> Self:
        if not self.network.clicks:
            return self
        if self.structure != "nodule" or self.patches.nodule_fraction != 1:
            raise ValueError(
                "network.clicks needs structure nodule and patches.nodule_fraction 1: "
                "each patch is of a nodule that is clicked on"
            )
        if self.preparation.slice_size is not None:
            raise ValueError("network.clicks needs preparation.spacing_mm, not slice_size")
        if self.preparation.normalisation == "standardise":
            raise ValueError(
                'network.clicks needs preparation.normalisation "range" or "divide": '
                "the whole scan is not looked at for a click"
            )
        return self

    @model_validator(mode="after")
    def _search_names_keys(self) -> Self:
        known = set(dotted_keys(self.model_dump(exclude={"search"})))
        for key in self.search:
            if key not in known:
                raise ValueError(f"search.{key}: no such key; name one as optimisation.batch_size")
        return self

    def to_toml(self) -> str:
        """Return the recipe as TOML; what is left out there has its default."""
        empty = set() if self.search else {"search"}
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True, exclude=empty))

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
        return validated(Recipe, values, "the changed recipe")


def dotted_keys(values: Mapping[str, Any], before: str = "") -> list[str]:
    """Return the keys of nested sections, as in ``optimisation.epochs``."""
    keys: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            keys += dotted_keys(value, f"{before}{name}.")
        else:
            keys.append(f"{before}{name}")
    return keys
