"""The scanner: its kernel's blur and noise, and its field of view."""

import numpy as np
from scipy import ndimage

from napari_ctlns.phantom.grid import Grid
from napari_ctlns.phantom.lattice import Array

OUTSIDE_HU = -2048
"""What many scanners write outside their circular field of view."""


def add_noise(
    hu: Array, grid: Grid, noise_hu: float, kernel: str, rng: np.random.Generator
) -> Array:
    """Blur a picture as its kernel does and add noise, in place.

    Parameters
    ----------
    hu
        (z, y, x), float32.
    grid
        Its grid; kernels are sized in millimetres.
    noise_hu
        Standard deviation of the noise.
    kernel
        "soft" blurs by 0.5 mm and has coarse noise; "sharp" has fine noise.
    rng
        Where randomness comes from.
    """
    if kernel == "soft":
        ndimage.gaussian_filter(hu, [0.0, *(0.5 / s for s in grid.spacing[1:])], output=hu)
    if noise_hu == 0:
        return hu
    sigma = [0.45 / grid.spacing[0], *(0.65 / s for s in grid.spacing[1:])]
    # slices in blocks with a few to spare: noise is correlated over a few millimetres
    spare = int(np.ceil(3 * sigma[0])) + 1
    for first in range(0, len(hu), 32):
        block = hu[first : first + 32]
        white = rng.standard_normal((len(block) + 2 * spare, *hu.shape[1:]), dtype=np.float32)
        coarse = ndimage.gaussian_filter(white, sigma, mode="wrap")
        noise = coarse if kernel == "soft" else white - 0.85 * coarse
        noise = noise[spare : spare + len(block)]
        block += noise * np.float32(noise_hu / _spread(sigma, kernel))
    return hu


def _spread(sigma: list[float], kernel: str) -> float:
    """Return the standard deviation that the filter leaves of white noise of 1."""
    probe = np.zeros((33, 33, 33), np.float32)
    probe[16, 16, 16] = 1
    coarse = ndimage.gaussian_filter(probe, sigma, mode="wrap")
    response = coarse if kernel == "soft" else probe - 0.85 * coarse
    return float(np.sqrt((response.astype(np.float64) ** 2).sum()))


def cut_field_of_view(hu: Array, grid: Grid) -> None:
    """Write -2048 outside the circle as wide as the picture, in place."""
    y = grid.y - grid.y.mean()
    x = grid.x - grid.x.mean()
    radius = max(abs(float(y[0])), abs(float(x[0])))
    outside = y[:, None] ** 2 + x[None, :] ** 2 > radius**2
    hu[:, outside] = OUTSIDE_HU
