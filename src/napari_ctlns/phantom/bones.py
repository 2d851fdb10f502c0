"""Ribs, spine, sternum, clavicles and shoulder blades as depth fields."""

import numpy as np
import numpy.typing as npt

from napari_ctlns.phantom.body import Body
from napari_ctlns.phantom.lattice import (
    FAR,
    Array,
    Axes,
    add_tube,
    ellipsoid,
    smooth_max,
    to_depth,
)

VERTEBRA_MM = 25.0
RIBS = 11


def _rib(body: Body, number: int, side: int) -> npt.NDArray[np.float64]:
    """Return points (n, zyx) along one rib: from the spine around the chest, sinking forwards."""
    start = body.apex + 2 - 22.5 * (number - 1)
    sink = 30.0 + 30.0 * min(number, 6) / 6
    reach = 0.86 if number <= 7 else 0.86 - 0.13 * (number - 7)
    progress = np.linspace(0.0, reach, 22)
    # 0: straight back at the spine, pi: straight front
    angle = np.pi * (0.13 + 0.87 * progress)
    z = start + 6 * np.sin(np.pi * np.minimum(progress * 5, 1)) - sink * progress**0.85
    wide, deep = body.inner_widths(z.astype(np.float32))
    shoulder = body.apex - 62.0
    cap = np.clip((z - shoulder) / (body.apex - shoulder), 0, 0.95)
    shrink = (1 - (0.9 * cap) ** 4) ** (1 / 2.35) * (1 - 0.3 * cap**2)
    power = 2 / 2.35
    x = side * (wide * shrink + 5.0) * np.abs(np.sin(angle)) ** power
    y = (
        body.back(z.astype(np.float32))
        + (deep * shrink + 5.0) * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    )
    return np.stack([z, y, x], axis=1)


def rib_depth(body: Body, axes: Axes) -> Array:
    """Return the depth inside the bony ribs."""
    depth = np.full(np.broadcast_shapes(*(a.shape for a in axes)), -FAR, np.float32)
    for number in range(1, RIBS + 1):
        for side in (-1, 1):
            points = _rib(body, number, side)
            bony = points[: int(len(points) * 0.86)] if number <= 7 else points
            add_tube(depth, axes, bony, np.full(len(bony), 3.9), flatten=(1.5, 1.0, 1.0))
    return depth


def _cartilage(body: Body, axes: Axes, depth: Array) -> None:
    """Add the cartilage that joins the upper seven ribs to the sternum."""
    for number in range(1, 8):
        for side in (-1, 1):
            end = _rib(body, number, side)[-5:]
            rise = max(0.0, 6.0 * (number - 3))
            joint = np.array([[end[-1, 0] + rise, end[-1, 1] - 1.0, side * 17.0]])
            line = np.concatenate([end, joint])
            add_tube(depth, axes, line, np.full(len(line), 3.8), flatten=(1.5, 1.0, 1.0))


def _spine(body: Body, axes: Axes) -> tuple[Array, Array, Array]:
    """Return the depths inside vertebrae, discs and (to carve out) the canal."""
    z, y, x = axes
    s = body.spine
    level = np.abs(((z - 4.0) / VERTEBRA_MM) % 1.0 - 0.5) * VERTEBRA_MM  # 0 mid-body
    waist = 1.6 * np.cos(np.pi * np.clip(level / 10, 0, 1))
    column = to_depth(
        np.asarray(
            1 - np.sqrt((x / (16.5 - waist)) ** 2 + ((y - s) / (14.0 - waist)) ** 2), np.float32
        ),
        float(axes[0].ravel()[1] - axes[0].ravel()[0]),
    )
    body_depth = np.minimum(column, np.asarray(10.2 - level, np.float32))
    disc = np.minimum(column - 1.0, np.asarray(level - 10.0, np.float32))
    arch = np.asarray(5.2 - np.abs(np.sqrt((x / 1.05) ** 2 + (y - s - 22) ** 2) - 12.0), np.float32)
    arch = np.minimum(arch, np.asarray(8.5 - level, np.float32))
    arch = np.minimum(arch, np.asarray(y - s - 8, np.float32) + 0 * x)
    canal = np.asarray(8.6 - np.sqrt((x / 1.1) ** 2 + (y - s - 22) ** 2), np.float32)
    canal = np.broadcast_to(canal, body_depth.shape)
    return np.maximum(body_depth, arch), disc, canal


def _processes(body: Body, axes: Axes, depth: Array) -> None:
    """Add spinous and transverse processes to each vertebra."""
    s = body.spine
    for k in range(-8, 8):
        z = 4.0 + VERTEBRA_MM * (k + 0.5)
        add_tube(
            depth, axes, [(z, s + 34, 0), (z - 8, s + 41, 0), (z - 17, s + 48, 0)], [4, 3.4, 2.8]
        )
        for side in (-1, 1):
            line = [(z, s + 18, side * 12), (z + 3, s + 24, side * 24), (z + 3, s + 26, side * 31)]
            add_tube(depth, axes, line, [4.5, 4, 4.5])


def _shoulders(body: Body, axes: Axes, depth: Array) -> None:
    """Add clavicles and shoulder blades."""
    front = -body.half_depth
    for side in (-1, 1):
        clavicle = [
            (body.apex - 44, front + 16, side * 24),
            (body.apex - 26, front + 8, side * 62),
            (body.apex - 8, front + 36, side * 112),
            (body.apex + 6, front + 60, side * 150),
        ]
        add_tube(depth, axes, clavicle, [7, 5.5, 5.5, 6])
        w = body.half_width
        for k in range(8):
            z = body.apex - 8 - 14.0 * k
            narrow = 1 - 0.085 * k
            blade = [
                (z, 62.0 - 3 * k, side * (w + 18.0)),
                (z, 80.0 - 2 * k, side * (w + 4.0 - 18 * narrow)),
                (z, 86.0 - 2 * k, side * (w - 8.0 - 42 * narrow)),
            ]
            add_tube(depth, axes, blade, [4.2, 2.6, 3.2], flatten=(3.0, 1.0, 1.0))


def bones(body: Body, axes: Axes, ribs: Array) -> tuple[Array, Array, Array]:
    """Return the depths inside all bone, inside the spine, and inside cartilage and discs."""
    vertebrae, disc, canal = _spine(body, axes)
    vertebrae = np.ascontiguousarray(vertebrae)
    _processes(body, axes, vertebrae)
    vertebrae = np.minimum(vertebrae, -canal)
    spine = np.maximum(vertebrae, disc)
    front = -body.half_depth
    sternum = ellipsoid(axes, (18, front - 1, 0), (62, 6.5, 16))
    manubrium = ellipsoid(axes, (64, front + 9, 0), (24, 8, 27))
    bone = np.maximum(np.maximum(ribs, vertebrae), smooth_max(sternum, manubrium, 4.0))
    _shoulders(body, axes, bone)
    soft = np.maximum(disc, canal - 1.5)
    soft = np.ascontiguousarray(soft)
    _cartilage(body, axes, soft)
    return bone, spine, soft
