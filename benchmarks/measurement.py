"""How soon nodules are measured: the table, its details, one row anew; and scikit-image beside it.

    python benchmarks/measurement.py [--nodules 50] [--slices 300] [--repeats 5]

A scan of 512x512 pixels holds ellipsoids of 4 to 25 mm with one label each. The table of all of
them is made as ``ctlns measure`` and the Nodules panel make it, with and without details, and
these without and with a mask of two lungs, which hold nearly all nodules. Then one stroke is
painted and its row measured as the panel does. Beside it `skimage.measure.regionprops_table` has
the same labels: first for what both tell cheaply (label, voxels, centroid, box, mean, least and
greatest HU), then with the maximum 3D diameter (its ``feret_diameter_max``, which it takes from
the mesh of the convex hull's voxels).

Times are medians. The last line is the peer's time by ours, with the maximum diameter.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation
from skimage.measure import regionprops_table

from napari_ctlns.measurement import (
    max_diameter_mm,
    measure,
    measure_details,
    quick_table,
)
from napari_ctlns.plugin.measuring import table_after
from napari_ctlns.volume import Geometry, Volume

SPACING = (1.0, 0.7, 0.7)
CHEAP = ("label", "area", "centroid", "bbox", "intensity_mean", "intensity_min", "intensity_max")


def main() -> None:
    """Measure, check that both agree, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodules", type=int, default=50)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    mask, scan = scene(given.nodules, (given.slices, 512, 512))
    lungs = two_lungs(scan)
    table = measure(mask, scan)
    where = stroke(mask, table)

    def peer(*more: str) -> dict[str, Any]:
        return regionprops_table(
            mask.array, scan.array, properties=(*CHEAP, *more), spacing=SPACING
        )

    jobs: dict[str, Callable[[], Any]] = {
        "nodule table": lambda: measure(mask, scan),
        "details, without lungs": lambda: measure_details(mask, scan),
        "details with lungs": lambda: measure_details(mask, scan, lungs=lungs),
        "one row after a stroke": lambda: table_after(mask, scan, table, where),
        "cheap features, ours": lambda: quick_table(mask, scan),
        "cheap features, scikit-image": peer,
        "with maximum diameter, ours": lambda: with_diameters(mask, scan),
        "with maximum diameter, scikit-image": lambda: peer("feret_diameter_max"),
    }
    check(with_diameters(mask, scan), peer("feret_diameter_max"))
    times = {name: median(job, given.repeats) for name, job in jobs.items()}
    for name, seconds in times.items():
        print(f"{name:38s}{1000 * seconds:9.0f} ms")
    cheap = times["cheap features, scikit-image"] / times["cheap features, ours"]
    print(f"cheap features: {cheap:.1f}")
    ratio = times["with maximum diameter, scikit-image"] / times["with maximum diameter, ours"]
    print(f"ratio: {ratio:.1f}")


def scene(count: int, shape: tuple[int, int, int]) -> tuple[Volume, Volume]:
    """Return a mask of ellipsoids that do not touch, and their scan."""
    random = np.random.default_rng(0)
    geometry = Geometry(shape, SPACING)
    hu = random.normal(-850, 30, shape).astype(np.int16)
    labels = np.zeros(shape, np.uint16)
    label = 0
    while label < count:
        semi_axes = random.uniform(2, 12.5) * random.uniform(0.7, 1, 3)
        reach = np.ceil(max(semi_axes) / np.asarray(SPACING)).astype(int) + 1
        low = random.integers(0, np.asarray(shape) - 2 * reach - 1)
        box = tuple(slice(a, a + 2 * r + 1) for a, r in zip(low, reach, strict=True))
        if labels[box].any():
            continue
        label += 1
        grid = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
        place = (np.stack(grid, axis=-1) * SPACING) @ Rotation.random(rng=random).as_matrix()
        inside = (place**2 / semi_axes**2).sum(-1) <= 1
        labels[box][inside] = label
        hu[box][inside] += 880
    scan = Volume(hu, geometry)
    return scan.mask(labels), scan


def two_lungs(scan: Volume) -> Volume:
    """Return two boxes of lung, some mm of chest wall around them and 14 mm between them."""
    lungs = np.zeros(scan.geometry.shape, np.uint8)
    lungs[10:-10, 20:-20, 20:246] = lungs[10:-10, 20:-20, 266:-20] = 1
    return scan.mask(lungs)


def stroke(mask: Volume, table: pd.DataFrame) -> dict[int, tuple[slice, slice, slice]]:
    """Paint a disk over the largest nodule's border; return its label and where."""
    label = int(table["label"].to_numpy()[table["voxels"].argmax()])
    z, y, x = (int(k) for k in np.argwhere(mask.array == label)[0])
    box = (slice(z, z + 1), slice(max(y - 4, 0), y + 5), slice(max(x - 4, 0), x + 5))
    mask.array[box] = label
    return {label: box}


def with_diameters(mask: Volume, scan: Volume) -> pd.DataFrame:
    """Return the cheap features and the maximum diameter of every nodule."""
    table = quick_table(mask, scan)
    lows = table[["first_z", "first_y", "first_x"]].to_numpy()
    highs = table[["last_z", "last_y", "last_x"]].to_numpy() + 1
    diameters = [
        max_diameter_mm(mask.array[tuple(map(slice, low, high))] == label, mask.geometry.spacing)
        for label, low, high in zip(table["label"], lows, highs, strict=True)
    ]
    return table.assign(max_3d_diameter_mm=diameters)


def check(ours: pd.DataFrame, theirs: dict[str, Any]) -> None:
    """See that both found the same; the diameter of the hull's voxels is up to a voxel larger."""
    pairs = {
        "volume_mm3": "area",
        "first_z": "bbox-0",
        "mean_hu": "intensity_mean",
        "max_hu": "intensity_max",
    }
    for own, other in pairs.items():
        np.testing.assert_allclose(ours[own], theirs[other], rtol=1e-5, err_msg=own)
    larger = theirs["feret_diameter_max"] - ours["max_3d_diameter_mm"]
    assert 0 <= larger.min() <= larger.max() <= np.linalg.norm(SPACING)


def median(job: Callable[[], Any], repeats: int) -> float:
    """Return the median of some runs, seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
