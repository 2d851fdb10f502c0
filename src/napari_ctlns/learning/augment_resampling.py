"""Taking the voxels of moved patches from where they lie."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from napari_ctlns.dataset.blocks import middle
from napari_ctlns.learning.augment_space import Move
from napari_ctlns.recipe import Size

_Array = npt.NDArray[np.float64]


def moved(
    image: Tensor, mask: Tensor, moves: Sequence[Move | None], size: Size
) -> tuple[Tensor, Tensor]:
    """Take every patch from where its move says; those without one from the middle.

    Parameters
    ----------
    image, mask
        (n, 1, z, y, x) with the margin, of any type.
    moves
        One for each patch, or none at all.
    size
        Voxels (z, y, x) of the patches.

    Returns
    -------
    Tensor, Tensor
        Image, float32, interpolated linearly, and mask, its nearest voxels, of the type
        that it had; both (n, 1, z, y, x).
    """
    inner = (slice(None), slice(None), *middle(image.shape[2:], size))
    new_image = image[inner].to(torch.float32, copy=True)
    new_mask = mask[inner].clone()
    chosen = {n: move for n, move in enumerate(moves) if move is not None}
    if not chosen:
        return new_image, new_mask
    places = _places(list(chosen.values()), size, image.shape[2:], image.device)
    # one patch after the other: memory that fits the caches is twice as fast on a CPU
    for n, there in zip(chosen, places, strict=True):
        interpolated = _linear_in_plane if chosen[n].in_plane else _linear
        new_image[n, 0] = interpolated(image[n, 0], there)
        new_mask[n, 0] = _nearest(mask[n, 0], there)
    return new_image, new_mask


def _spline(length: int, points: int, step: int) -> _Array:
    """Return what each point counts at each voxel of a side, (length, points)."""
    if points == 1:
        return np.ones((length, 1))
    voxels = (np.arange(length) - (length - 1) / 2) / step
    distance = np.abs(voxels[:, None] - (np.arange(points) - (points - 1) / 2))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far)


def _places(
    moves: Sequence[Move], size: Size, block: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Yield for each move where its voxels lie in a block, as `grid_sample` wants it.

    That is (z, y, x, 3): along (x, y, z), -1 to 1 from face to face. A spline goes
    through straight lines as they are, so that it carries rotation and scaling too.
    """
    # on CUDA float32 may be multiplied with 10 bits only, as somebody has set (TF32)
    exact = torch.float64 if device.type == "cuda" else torch.float32
    shape = moves[0].bend.shape[:3]
    wanted = np.stack([(2 * _knots(move) / block)[..., ::-1] for move in moves])
    knots = torch.from_numpy(wanted).to(device, exact)
    weights = [_spline(n, g, moves[0].step) for n, g in zip(size, shape, strict=True)]
    along_z, along_y = (torch.from_numpy(w).to(device, exact) for w in weights[:2])
    # along x for all three coordinates at once: the result lies in memory as it is wanted
    along_x = torch.from_numpy(np.kron(weights[2].T, np.eye(3))).to(device, exact)
    for each in knots:
        rows = torch.einsum("zi,yj,ijkc->zykc", along_z, along_y, each).flatten(2)
        yield (rows @ along_x).float().view(*size, 3)


def _knots(move: Move) -> _Array:
    """Return where the points of a move lie, as offsets from the middle (gz, gy, gx, 3)."""
    axes = [(np.arange(n) - (n - 1) / 2) * move.step for n in move.bend.shape[:3]]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    places: Any = (offsets - move.shift) @ move.matrix.T + move.bend
    return np.asarray(places, np.float64)


def _linear(image: Tensor, places: Tensor) -> Tensor:
    """Interpolate an image (z, y, x); slices stand for a batch, which threads share."""
    block = image.float().expand(len(places), 1, *image.shape)
    taken = grid_sample(block, places[:, None], padding_mode="border", align_corners=False)
    return taken[:, 0, 0]


def _linear_in_plane(image: Tensor, places: Tensor) -> Tensor:
    """Interpolate likewise, in less than half the time: between slices first, then in them."""
    depth = len(image)
    height = ((places[:, 0, 0, 2] + 1) * (depth / 2) - 0.5).clamp(0, depth - 1)
    below = height.long()
    above = (below + 1).clamp(max=depth - 1)
    share = (height - below)[:, None, None]
    slices = torch.lerp(image[below].float(), image[above].float(), share)
    within = places[:1, ..., :2]
    return grid_sample(slices[None], within, padding_mode="border", align_corners=False)[0]


def _nearest(mask: Tensor, places: Tensor) -> Tensor:
    """Take the nearest voxels of a mask (z, y, x): a fifth of the time `grid_sample` needs."""
    depth, height, width = mask.shape
    x, y, z = (
        (places[..., n] + 1).mul_(side / 2).clamp_(0, side - 1).int()
        for n, side in enumerate((width, height, depth))
    )
    flat = z.mul_(height).add_(y).mul_(width).add_(x)
    return mask.flatten().index_select(0, flat.flatten()).view(flat.shape)
