"""How soon two scans of a patient lie on each other, and how exactly.

    python benchmarks/growth.py [--slices 300] [--seed 0]

A phantom patient is scanned twice, at 512x512 pixels: he lies 20 mm off and turned by 4 degrees,
and breathes in by 12 mm. Nodules of 6 to 20 mm grow by known factors, one is gone and one is new.
The peer is a rigid registration of the bodies with SimpleITK (mutual information on the whole
pictures, as its own examples have it), with the same sizes and threads.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_ctlns.measurement.growth import align, compare_scans
from napari_ctlns.phantom import PhantomSpec
from napari_ctlns.phantom.pair import Motion, ScanPair, make_pair
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import Volume

DIAMETERS = (
    (6.0, 8.0),
    (8.0, 8.0),
    (10.0, 13.0),
    (14.0, 16.0),
    (20.0, 20.0),
    (9.0, 0.0),
    (0.0, 9.0),
)
MOTION = Motion(shift_mm=(12.0, -10.0, 12.0), turn_degrees=4.0, breath_mm=12.0)
DAYS = 180.0
Points = npt.NDArray[np.float64]
ToLater = Callable[[Points], Points]


def main() -> None:
    """Measure both, and what comes of ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pair = _pair(given.slices, given.seed)
    begin = time.perf_counter()
    to_later = align(pair.scan, pair.later_scan).to_later
    ours = time.perf_counter() - begin
    begin = time.perf_counter()
    peers = _bodies_laid_on_each_other(pair.scan, pair.later_scan)
    peer = time.perf_counter() - begin
    print(f"{'':40s}{'s':>8s}{'mean error, mm':>16s}{'most':>8s}")
    _print("napari-ctlns, lungs, bent", ours, to_later, pair)
    _print("SimpleITK, bodies, rigid", peer, peers, pair)
    _print_growth(pair)
    print(f"ratio: {peer / ours:.2f}")


def _pair(slices: int, seed: int) -> ScanPair:
    spec = PhantomSpec(seed=seed, spacing=(1.0, 0.7, 0.7), extent_mm=(slices, 358, 358))
    return make_pair(spec, MOTION, DIAMETERS)


def _print(name: str, seconds: float, to_later: ToLater, pair: ScanPair) -> None:
    centres = np.array([nodule.centre for nodule in pair.nodules])
    truth = np.array([nodule.later_centre for nodule in pair.nodules])
    errors = np.linalg.norm(to_later(centres) - truth, axis=1)
    print(f"{name:40s}{seconds:8.1f}{errors.mean():16.2f}{errors.max():8.2f}")


def _print_growth(pair: ScanPair) -> None:
    """Print how many pairs are right, and how many changes lie in their intervals."""
    begin = time.perf_counter()
    table = compare_scans(pair.scan, pair.mask, pair.later_scan, pair.later_mask, DAYS).table
    seconds = time.perf_counter() - begin
    found = {
        (int(row.label or 0), int(row.later_label or 0))
        for row in table[["label", "later_label"]].fillna(0).itertuples()
    }
    true = {(nodule.label, nodule.later_label) for nodule in pair.nodules}
    print(
        f"pairs, gone and new: {len(found & true)} of {len(true)} right; all in all {seconds:.1f} s"
    )


def _bodies_laid_on_each_other(scan: Volume, later: Volume) -> ToLater:
    fixed, moving = (
        sitk.Cast(to_sitk(volume.array, volume.geometry), sitk.sitkFloat32)
        for volume in (scan, later)
    )
    first = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, 100, 1e-6, 10)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(first, inPlace=False)
    found = method.Execute(fixed, moving)
    return lambda points: np.array([found.TransformPoint(point) for point in points.tolist()])


if __name__ == "__main__":
    main()
