"""One patient: sizes, densities, and where the large tubes of the chest run.

Sizes follow an adult in deep breath, lying on the back: an inner chest some
250 mm wide, 175 mm deep and 230 mm high.
"""

from dataclasses import dataclass

import numpy as np

from napari_ctlns.phantom.lattice import Array, smooth_step


@dataclass(frozen=True)
class Body:
    """What differs from one patient to the next; millimetres and HU."""

    half_width: float
    half_depth: float
    apex: float
    base: float
    fat: float
    muscle: float
    heart: float
    dome: float
    aorta: float
    blood_hu: float
    lung_hu: float
    bone_hu: float
    gas: bool
    phase: float

    @property
    def spine(self) -> float:
        """How far back the middle of the vertebral bodies lies."""
        return self.half_depth - 25.0

    def back(self, z: Array) -> Array:
        """Return how far the chest's middle lies back at a height: the apex leans back."""
        return np.asarray(14.0 * smooth_step(z, 20.0, self.apex), np.float32)

    def inner_widths(self, z: Array) -> tuple[Array, Array]:
        """Return inner half width and half depth of the chest at a height, apex not yet rounded."""
        taper = smooth_step(z, -20.0, self.apex + 25)
        flare = smooth_step(z, 20.0, self.base)
        wide = self.half_width * (1 - 0.32 * taper + 0.03 * flare)
        deep = self.half_depth * (1 - 0.34 * taper)
        return np.asarray(wide, np.float32), np.asarray(deep, np.float32)


def draw_body(rng: np.random.Generator) -> Body:
    """Return a patient."""
    contrast = rng.random() < 0.45
    return Body(
        half_width=rng.uniform(116, 132),
        half_depth=rng.uniform(82, 96),
        apex=rng.uniform(104, 116),
        base=rng.uniform(-128, -116),
        fat=rng.uniform(6, 20),
        muscle=rng.uniform(18, 25),
        heart=rng.uniform(0.9, 1.12),
        dome=rng.uniform(52, 68),
        aorta=rng.uniform(11.5, 14.5),
        blood_hu=rng.uniform(110, 220) if contrast else rng.uniform(38, 52),
        lung_hu=rng.uniform(-900, -850),
        bone_hu=rng.uniform(450, 800),
        gas=bool(rng.random() < 0.7),
        phase=rng.uniform(0, 2 * np.pi),
    )


def great_vessels(body: Body) -> list[tuple[list[tuple[float, float, float]], list[float]]]:
    """Return centre lines (zyx) and radii of aorta, pulmonary arteries, veins and cava."""
    s, r = body.spine, body.aorta
    arch, top = 46.0, body.apex + 8
    return [
        # aorta: up in front, arch to the left and back, down beside the spine
        (
            [
                (-28, -12, -4),
                (-5, -20, -14),
                (22, -18, -16),
                (arch - 6, -6, -10),
                (arch, 12, 4),
                (arch - 5, s - 26, 18),
                (arch - 22, s - 16, 24),
                (-30, s - 17, 20),
                (-85, s - 19, 11),
                (-180, s - 22, 3),
            ],
            [r * 1.25, r * 1.25, r * 1.2, r * 1.1, r * 1.05, r, r, r * 0.92, r * 0.88, r * 0.85],
        ),
        # pulmonary trunk and the two pulmonary arteries
        (
            [(-25, -30, 14), (2, -24, 18), (20, -8, 20), (24, 12, 34), (14, 22, 46)],
            [14, 14, 13, 11, 8],
        ),
        ([(14, -10, 16), (10, 0, -8), (6, 4, -28), (2, 8, -44)], [11, 10.5, 10, 7.5]),
        # pulmonary veins into the left atrium
        ([(-22, 16, -6), (-14, 10, -28), (-6, 2, -44)], [12, 9, 6]),
        ([(-28, 18, 8), (-14, 12, 32), (-4, 4, 44)], [12, 9, 6]),
        ([(-26, 22, -10), (-34, 26, -34)], [12, 6]),
        ([(-26, 22, 8), (-34, 28, 36)], [12, 6]),
        # superior vena cava, brachiocephalic and neck vessels
        ([(-20, -10, -28), (30, -12, -27), (66, -14, -22)], [10, 9, 8]),
        ([(66, -14, -22), (78, -22, 2), (top, -26, 22), (top + 8, -16, 60)], [8, 7, 7, 6]),
        ([(66, -14, -22), (88, -16, -24), (top, -14, -26), (top + 8, -10, -60)], [8, 7, 7, 6]),
        ([(arch + 4, 0, -6), (84, 2, -18), (top, 6, -22), (top + 12, 8, -60)], [6, 5.5, 5, 5]),
        ([(arch + 4, 12, 8), (84, 12, 17), (top, 10, 20), (top + 12, 12, 60)], [5, 4.5, 4.5, 4.5]),
        # inferior vena cava
        ([(-45, 2, -20), (-80, 8, -22), (-180, 14, -20)], [12, 12, 11]),
    ]


CARINA = (24.0, 14.0, 2.0)
RIGHT_HILUM = (2.0, 14.0, -38.0)
LEFT_HILUM = (0.0, 19.0, 42.0)


def central_airways(body: Body) -> list[tuple[list[tuple[float, float, float]], list[float]]]:
    """Return centre lines (zyx) and inner radii of the trachea and main bronchi."""
    return [
        ([(body.apex + 70, 2, 0), (60, 4, -1), (34, 11, 1), CARINA], [8.5, 8.2, 8.2, 8.6]),
        ([CARINA, (15, 15, -14), RIGHT_HILUM], [7.5, 6.6, 5.6]),
        ([CARINA, (13, 17, 17), LEFT_HILUM], [7.0, 6.0, 5.0]),
    ]
