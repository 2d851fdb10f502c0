"""Which values of a recipe are worth a search, and where."""

from typing import Any, Self

from pydantic import model_validator

from napari_ctlns.recipe.sections import Section


class SearchRange(Section):
    """Where the value of one key is searched: between two numbers, or among choices."""

    low: int | float | None = None
    """The least; whole numbers if both are whole."""
    high: int | float | None = None
    """The most."""
    log: bool = False
    """Whether factors matter rather than differences."""
    choices: tuple[Any, ...] | None = None
    """Instead of two numbers: the values to choose from."""

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or not self.choices:
                raise ValueError("give choices, or low and high")
            return self
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError("give low and a greater high, or choices")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 with log")
        return self
