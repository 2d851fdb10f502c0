"""Random changes of a patch's values: blur, contrast, brightness and noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.layers import gaussian_1d, separable_filtering
from torch import Tensor

from napari_ctlns.recipe import Augmentation


@dataclass(frozen=True)
class Tone:
    """How the normalised values of one patch are changed, in the order in which it happens.

    Attributes
    ----------
    blur
        Standard deviation of a Gaussian, voxels.
    contrast
        What differences from the patch's mean are multiplied with.
    brightness
        What is added.
    noise
        Standard deviation of noise that is added.
    seed
        What decides the noise.
    """

    blur: float = 0.0
    contrast: float = 1.0
    brightness: float = 0.0
    noise: float = 0.0
    seed: int = 0


def draw_tone(recipe: Augmentation, random: np.random.Generator) -> Tone:
    """Draw how the values of a patch are changed."""
    blurred, toned, noisy = random.random(3) < (
        recipe.blur_probability,
        recipe.intensity_probability,
        recipe.noise_probability,
    )
    blur, noise = random.uniform(0, 1, 2)
    contrast, brightness = random.uniform(-1, 1, 2)
    return Tone(
        float(blurred * blur * recipe.blur_voxels),
        float(1 + toned * contrast * recipe.contrast),
        float(toned * brightness * recipe.brightness),
        float(noisy * noise * recipe.noise),
        int(random.integers(2**63)),
    )


def toned(image: Tensor, tones: Sequence[Tone]) -> Tensor:
    """Change the values of patches, in place.

    Parameters
    ----------
    image
        (n, 1, z, y, x), float32, normalised.
    tones
        One for each patch.

    Returns
    -------
    Tensor
        The image that was given.
    """
    for patch, tone in zip(image, tones, strict=True):
        if tone.blur:
            patch.copy_(_blurred(patch, tone.blur))
        if tone.contrast != 1:
            mean = patch.mean()
            patch.sub_(mean).mul_(tone.contrast).add_(mean)
        if tone.brightness:
            patch.add_(tone.brightness)
        if tone.noise:
            generator = torch.Generator(patch.device).manual_seed(tone.seed)
            noise = torch.randn(patch.shape, generator=generator, device=patch.device)
            patch.add_(noise, alpha=tone.noise)
    return image


def _blurred(patch: Tensor, deviation: float) -> Tensor:
    """Smooth a patch (1, z, y, x); beyond its faces the outermost voxels go on."""
    kernel = gaussian_1d(torch.tensor(deviation), normalize=True)
    smooth: Tensor = separable_filtering(patch[None], kernel, mode="replicate")
    return smooth[0]
