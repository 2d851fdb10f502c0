"""The lung mask, beside what tutorials do at full resolution.

    python benchmarks/lungs.py [--phantoms 6] [--runs 3] [--reference SCAN MASK]...

Both find the lungs of one phantom of 512 x 512 x 300 voxels (0.7 x 0.7 x 1 mm), in memory,
in turns; the figures are medians. Then both are judged by the true lungs of phantoms of many
spacings, whole chests and slabs, with nodules on the pleura; and by reference masks, of which
only the lungs inside the scan count. Last, how long it takes to say where nodules are looked
for, and how many of their voxels would be missed.

The peer: threshold, clear what touches the sides, label, keep the two largest, close with a
ball, fill holes; SimpleITK and scikit-image on every voxel.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from skimage.segmentation import clear_border

from napari_ctlns.formats import read_mask_onto, read_scan
from napari_ctlns.inference.searching import lungs_with_margin
from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.metrics import dice
from napari_ctlns.phantom import SLAB_MM, Phantom, PhantomSpec, make_phantom
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import Geometry, Volume

LARGE = (300, 512, 512)
LARGE_MM = (1.0, 0.7, 0.7)
SPACINGS = ((1.25, 0.75, 0.75), (5.0, 0.8, 0.8), (1.0, 1.0, 1.0), (3.0, 0.7, 0.7))
PEER_HU = -320
PEER_BALL_MM = 7


def main() -> None:
    """Measure, print tables and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=6, help="how many are judged")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--reference", type=Path, nargs=2, action="append", default=[], metavar=("SCAN", "MASK")
    )
    options = parser.parse_args()
    ratio = compare_times(options.runs)
    print(f"\n{'Dice':44} {'ours':>8} {'peer':>8} {'nodule voxels missed':>21}")
    for spec in specs(options.phantoms):
        judge_phantom(spec)
    for scan, mask in options.reference:
        judge_reference(scan, mask)
    print(f"ratio: {ratio:.2f}")


def compare_times(runs: int) -> float:
    """Print what both take for a large scan; return the peer's time over ours."""
    scan = large_scan()
    ours, theirs, near = [], [], []
    lung_mask(scan)
    for _ in range(runs):
        ours.append(seconds(lambda: lung_mask(scan)))
        theirs.append(seconds(lambda: peer_mask(scan)))
        near.append(seconds(lambda: lungs_with_margin(scan)))
    print(f"{'512 x 512 x 300 voxels':44} {'seconds':>8}")
    for name, times in (("ours", ours), ("ours, with the margin", near), ("peer", theirs)):
        print(f"{name:44} {statistics.median(times):8.2f}")
    return statistics.median(theirs) / statistics.median(ours)


def large_scan() -> Volume:
    """Return a phantom on a large grid; air fills what is beyond its whole chest."""
    phantom = make_phantom(PhantomSpec(seed=1, spacing=LARGE_MM)).volume.array
    array = np.full(LARGE, -1000, np.int16)
    rows, columns = (min(a, b) for a, b in zip(phantom.shape[1:], LARGE[1:], strict=True))
    array[:, :rows, :columns] = phantom[: LARGE[0], :rows, :columns]
    return Volume(array, Geometry(LARGE, LARGE_MM))


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def specs(count: int) -> Iterator[PhantomSpec]:
    """Yield phantoms of many spacings, one in three a slab, most nodules on the pleura."""
    for k in range(count):
        yield PhantomSpec(
            seed=2000 + k,
            spacing=SPACINGS[k % len(SPACINGS)],
            extent_mm=SLAB_MM if k % 3 == 2 else None,
            kernel="sharp" if k % 2 else "soft",
            attachments={"pleura": 0.8, "isolated": 0.2},
        )


def judge_phantom(spec: PhantomSpec) -> None:
    """Print how both agree with the true lungs, and what of the nodules is not looked at."""
    phantom: Phantom = make_phantom(spec)
    inside = lungs_with_margin(phantom.volume)
    nodules = phantom.mask.array > 0
    missed = nodules.sum() if inside is None else (nodules & ~inside).sum()
    name = f"{spec.name}, {'slab' if spec.extent_mm else 'whole'}, {spec.spacing} mm"
    print_row(name, phantom.volume, phantom.lungs.array, f"{missed:12d} of {nodules.sum()}")


def judge_reference(scan: Path, mask: Path) -> None:
    """Print how both agree with a mask that others drew."""
    volume = read_scan(scan)
    print_row(scan.name, volume, read_mask_onto(mask, volume).array)


def print_row(name: str, scan: Volume, truth: np.ndarray, more: str = "") -> None:
    """Print how both agree with the truth."""
    ours, theirs = lung_mask(scan).array > 0, peer_mask(scan)
    print(f"{name:44} {dice(ours, truth > 0):8.4f} {dice(theirs, truth > 0):8.4f} {more}")


def peer_mask(scan: Volume) -> np.ndarray:
    """Return the lungs as tutorials find them, at full resolution."""
    array = np.maximum(scan.array, -1024)
    air = np.stack([clear_border(plane) for plane in array < PEER_HU])
    labels = sitk.ConnectedComponent(to_sitk(air.astype(np.uint8), scan.geometry))
    largest = sitk.RelabelComponent(labels, sortByObjectSize=True)
    lungs = sitk.Cast((largest >= 1) & (largest <= 2), sitk.sitkUInt8)
    radius = [max(1, round(PEER_BALL_MM / s)) for s in scan.geometry.spacing[::-1]]
    closed = sitk.BinaryMorphologicalClosing(lungs, radius, sitk.sitkBall)
    return sitk.GetArrayFromImage(sitk.BinaryFillhole(closed)) > 0


if __name__ == "__main__":
    main()
