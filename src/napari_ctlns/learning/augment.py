"""Random changes of training patches: drawn here, sample by sample; made on the device.

What is drawn depends on nothing but the generator it is drawn from, and what is
made of it on nothing but what was drawn: any batch, order or number of workers
gives the same patches.
"""

from dataclasses import dataclass

import numpy as np

from napari_ctlns.learning.augment_space import Move, Spacing, draw_move
from napari_ctlns.learning.augment_values import Tone, draw_tone
from napari_ctlns.recipe import Augmentation, Size

Flips = tuple[slice, slice, slice]
NO_FLIPS: Flips = (slice(None), slice(None), slice(None))
NO_TONE = Tone()


@dataclass(frozen=True, eq=False)
class Change:
    """Everything that is changed of one patch.

    Attributes
    ----------
    flips
        Along which of (z, y, x) it is mirrored, as slices for image and mask alike:
        a view costs nothing, because the patch is copied into its batch anyway.
    move
        Where its voxels then come from; None: they stay.
    tone
        How its values are changed in the end.
    """

    flips: Flips = NO_FLIPS
    move: Move | None = None
    tone: Tone = NO_TONE


def draw_change(
    recipe: Augmentation,
    size: Size,
    random: np.random.Generator,
    spacing: Spacing = (1.0, 1.0, 1.0),
) -> Change:
    """Draw how one patch is changed.

    Parameters
    ----------
    recipe
        How much at most, and how often.
    size
        Voxels (z, y, x) of the patch.
    random
        What decides.
    spacing
        Millimetres (z, y, x) between its voxels.
    """
    if not recipe.enabled:
        return Change()
    flips = _draw_flips(recipe, random)
    move = draw_move(recipe, size, spacing, random)
    return Change(flips, move, draw_tone(recipe, random))


def _draw_flips(recipe: Augmentation, random: np.random.Generator) -> Flips:
    chances = random.random(3) < recipe.flip_probability
    z, y, x = (
        slice(None, None, -1 if axis in recipe.flip_axes and chance else 1)
        for axis, chance in zip("zyx", chances, strict=True)
    )
    return z, y, x
