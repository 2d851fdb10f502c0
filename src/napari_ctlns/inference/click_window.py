"""What of a scan a model looks at for a click; without torch, for the window's process too."""

import os
from collections.abc import Sequence

import numpy as np

from napari_ctlns.dataset.blocks import Index, as_index, moved_in
from napari_ctlns.errors import ModelError
from napari_ctlns.inference.model import read_card
from napari_ctlns.recipe import Preparation, Recipe
from napari_ctlns.resampling import prepared_geometry
from napari_ctlns.volume import Triple, Volume

_MARGIN = 3
"""Voxels more on each side, so that the faces of the window are interpolated."""


def clicking_recipe(model: str | os.PathLike[str]) -> Recipe:
    """Return the recipe of a model that takes clicks.

    Raises
    ------
    ModelError
        If the folder is no model, or one that takes none.
    """
    recipe = read_card(model).recipe
    if not recipe.network.clicks:
        raise ModelError(
            f"{model} takes no clicks; train one with the recipe click, or leave the model out"
        )
    return recipe


def clicked_preparation(recipe: Recipe) -> Preparation:
    """Return how a part of a scan is prepared: whoever clicks on a slice wants it looked at."""
    return recipe.preparation.model_copy(update={"drop_first_slices": 0})


def surroundings(scan: Volume, recipe: Recipe, places: Sequence[Triple]) -> tuple[Volume, Index]:
    """Return the part of a scan that holds a model's window about some places.

    Parameters
    ----------
    scan
        A CT of any spacing.
    recipe
        Of the model.
    places
        LPS millimetres (x, y, z); the window is about their mean, or moved into the scan.

    Returns
    -------
    Volume, Index
        The part, on the scan's own grid, and the voxel (z, y, x) where it begins.
    """
    spacing = prepared_geometry(scan.geometry, clicked_preparation(recipe)).spacing
    wide = np.asarray(recipe.window) * spacing / np.asarray(scan.geometry.spacing)
    shape = np.minimum(np.ceil(wide).astype(int) + 2 * _MARGIN, scan.geometry.shape)
    middle = scan.geometry.world_to_index(np.mean(np.asarray(places, float), axis=0))
    start = moved_in(np.rint(middle - shape / 2).astype(int), shape, scan.geometry.shape)
    z, y, x = (slice(s, s + int(n)) for s, n in zip(start, shape, strict=True))
    geometry = scan.geometry.cropped(start, as_index(shape))
    return Volume(scan.array[z, y, x], geometry, "ct", scan.scan_id, scan.patient_id), start
