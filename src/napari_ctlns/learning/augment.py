"""Random changes of training patches."""

import numpy as np

from napari_ctlns.recipe import Augmentation

Flips = tuple[slice, slice, slice]


def draw_flips(recipe: Augmentation, random: np.random.Generator) -> Flips:
    """Return along which of (z, y, x) to mirror, as slices for image and mask alike.

    Mirroring by a view costs nothing: the patch is copied into its batch anyway.
    """
    chances = recipe.enabled & (random.random(3) < recipe.flip_probability)
    z, y, x = (
        slice(None, None, -1 if axis in recipe.flip_axes and chance else 1)
        for axis, chance in zip("zyx", chances, strict=True)
    )
    return z, y, x
