"""Rows of `formats.py` for image files: merge `image_makers` into its `makers`.

python benchmarks/zraw_rows.py [--runs 5]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from napari_ctlns.formats import read_scan

SHAPE = (250, 512, 512)
NAMES = {
    "scan.mhd": (".mhd + .zraw", True),
    "scan.nii.gz": (".nii.gz", True),
    "scan.nrrd": (".nrrd, gzip", True),
    "raw.mhd": (".mhd + .raw", False),
}

Row = tuple[str, Callable[[], object], Callable[[], object]]


def image_makers(folder: Path) -> Iterator[Callable[[], Row]]:
    """Yield what makes the rows of image files, one after another."""
    yield from (partial(made_image, folder, name) for name in NAMES)


def made_image(folder: Path, name: str) -> Row:
    """Write a CT of 250 slices with SimpleITK in one format."""
    words, packed = NAMES[name]
    path = folder / name
    if not path.exists():
        sitk.WriteImage(chest_image(), str(path), packed)
    return f"{words}, {SHAPE[0]} slices", partial(read_scan, path), partial(sitk.ReadImage, path)


def chest_image() -> sitk.Image:
    """Return a CT as scanners make it: smooth organs, noise of 20 HU, padding outside."""
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE)
    y, x = y[:, None], x[None, :]
    array = np.empty(SHAPE, np.int16)
    for k, at in enumerate(z):
        hu = np.full(SHAPE[1:], -1000, np.float32)
        hu[(x / 0.9) ** 2 + (y / 0.66) ** 2 < 1] = 40
        for side in (-1, 1):
            hu[((x - side * 0.4) / 0.3) ** 2 + (y / 0.45) ** 2 + (at / 0.95) ** 2 < 1] = -850
        hu = ndimage.gaussian_filter(hu, 1)
        hu += ndimage.gaussian_filter(rng.normal(0, 60, hu.shape), 0.8)
        hu[x**2 + y**2 > 1] = -1024
        array[k] = np.clip(np.rint(hu), -1024, 3071)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.7, 1.25))
    return image


def main() -> None:
    """Print a row for each format, and the worst ratio of the peer's time to ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for make in image_makers(Path(folder)):
            name, ours, peer = make()
            ours(), peer()
            rows = [(seconds(ours), seconds(peer)) for _ in range(options.runs)]
            one, other = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name:32} {one:7.3f} s {other:7.3f} s {one / other:10.2f}", flush=True)


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
