"""One typed description of a whole pipeline.

The built-in recipes are TOML files in ``recipes/``; a person's own TOML file
works the same. Unknown keys and impossible values are refused by name.
"""

from napari_ctlns.recipe.data import Augmentation, Inference, Patches, Preparation
from napari_ctlns.recipe.files import builtin_recipes, load_recipe, parse_changes
from napari_ctlns.recipe.imported import Activation, Axes, ImportedNetwork
from napari_ctlns.recipe.learning import Loss, Network, Optimisation
from napari_ctlns.recipe.problems import first_problem
from napari_ctlns.recipe.search import SearchRange
from napari_ctlns.recipe.sections import Axis, Fraction, Size
from napari_ctlns.recipe.whole import Recipe, dotted_keys

__all__ = [
    "Activation",
    "Augmentation",
    "Axes",
    "Axis",
    "Fraction",
    "ImportedNetwork",
    "Inference",
    "Loss",
    "Network",
    "Optimisation",
    "Patches",
    "Preparation",
    "Recipe",
    "SearchRange",
    "Size",
    "builtin_recipes",
    "dotted_keys",
    "first_problem",
    "load_recipe",
    "parse_changes",
]
