"""Two scans of one patient laid on each other by their lungs.

Coarse to fine: the shift is searched everywhere at once (masked normalised correlation,
Padfield 2012, doi:10.1109/TIP.2011.2181402), so that neither the place on the table nor a
partial coverage matters; then the turn, the affine part and the breathing (a B-spline with
few control points, Rueckert et al. 1999, doi:10.1109/42.796284) are refined by
intensities in and around the lungs.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from napari_ctlns.errors import ScanError
from napari_ctlns.events import Progress
from napari_ctlns.masks.coarse import Bools, CoarseGrid, coarse_hu
from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.measurement.growth.alignment import Alignment
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import FloatArray, Geometry, Volume

DARKEST_HU, BRIGHTEST_HU = -1000, 0
"""Beyond these, HU say nothing of the lungs; contrast medium and bone look like muscle."""
SEARCH_MM = 8.0
"""How finely the shift is searched."""
AROUND_LUNGS_MM = 12.0
"""So far outside the lungs their walls still count."""
CELL_MM = 70.0
"""Between the control points of the breathing; finer ones follow noise and growing nodules."""
FIELD_MM = 12.0
"""How finely the breathing is kept."""
SAMPLES = 20_000
"""Voxels that one round of an optimiser looks at, whatever the size of the scan."""
BROAD_MM = 8.0
"""What is broader than this is no vessel: the sigma that is taken off before comparing."""
_STEPS = 6


@dataclass(frozen=True, eq=False)
class _Chest:
    """A scan on cells of some 2.5 mm, with the lungs in it."""

    hu: npt.NDArray[np.float32]
    lungs: Bools
    geometry: Geometry

    @property
    def image(self) -> sitk.Image:
        return to_sitk(self.hu, self.geometry)

    def near_lungs(self, mm: float) -> sitk.Image:
        image = to_sitk(self.lungs.view(np.uint8), self.geometry)
        return sitk.BinaryDilate(image, [round(mm / s) for s in image.GetSpacing()])


def align(scan: Volume, later_scan: Volume) -> Alignment:
    """Lay two scans of one patient on each other by their lungs.

    Parameters
    ----------
    scan, later_scan
        CTs in HU, of any spacing, place and coverage; both must show some of the lungs.

    Returns
    -------
    Alignment
        With a warning if the lungs agree so little that this may be two patients.

    Raises
    ------
    ScanError
        If one of them shows no lungs, or they show different parts of them.
    """
    steps = aligning(scan, later_scan)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def aligning(scan: Volume, later_scan: Volume) -> Generator[Progress, None, Alignment]:
    """Do what `align` does in steps, and say after each how far it is."""
    chests: list[_Chest] = []
    for which, volume in (("earlier", scan), ("later", later_scan)):
        yield _at(len(chests))
        chests.append(_chest(volume, which))
    earlier, later = chests
    fixed, moving = earlier.image, later.image
    around = earlier.near_lungs(AROUND_LUNGS_MM)
    yield _at(2)
    shift = _best_shift(earlier, later)
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(_middle(earlier))
    rigid.SetTranslation(shift.tolist())
    kept = _judged(rigid, earlier, later)
    yield _at(3)
    _optimise(rigid, fixed, moving, around)
    kept = _better(kept, _judged(rigid, earlier, later))
    yield _at(4)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    _optimise(affine, fixed, moving, around)
    kept = _better(kept, _judged(affine, earlier, later))
    yield _at(5)
    kept = _better(kept, _breathed(kept, earlier, later, fixed, moving, around))
    yield _at(6)
    return _warned(kept)


def _at(done: int) -> Progress:
    return Progress(done=done, total=_STEPS, unit="step")


def _chest(volume: Volume, which: str) -> _Chest:
    grid = CoarseGrid.over(volume.geometry)
    hu, _ = coarse_hu(volume, grid)
    lungs = grid.sampled(lung_mask(volume).array) > 0
    if not lungs.any():
        message = f"no lungs in the {which} scan; both must be chest CTs in HU that show lung"
        raise ScanError(message)
    hu = np.clip(hu, DARKEST_HU, BRIGHTEST_HU)
    return _Chest(hu, lungs, volume.geometry.resampled(grid.spacing))


def _middle(chest: _Chest) -> list[float]:
    inside: list[float] = chest.geometry.index_to_world(
        np.argwhere(chest.lungs).mean(axis=0)
    ).tolist()
    return inside


# -- the shift ----------------------------------------------------------------------------


def _best_shift(earlier: _Chest, later: _Chest) -> FloatArray:
    """Return the millimetres (x, y, z) by which the later lungs lie best on the earlier ones."""
    fixed, fixed_mask = _small(earlier, earlier.geometry)
    moving, moving_mask = _small(later, earlier.geometry)
    later_origin = np.asarray(moving.GetOrigin())
    for image in (fixed_mask, moving, moving_mask):  # ITK wants all of them in one place
        image.SetOrigin(fixed.GetOrigin())
    found = sitk.MaskedFFTNormalizedCorrelation(fixed, moving, fixed_mask, moving_mask, 0, 0.5)
    values = sitk.GetArrayViewFromImage(found)
    best = np.unravel_index(int(np.nanargmax(values)), values.shape)
    # the result holds every way to lay one array over the other, the first by one voxel
    index = np.asarray(best) - (np.asarray(moving.GetSize())[::-1] - 1)
    lies_at = fixed.TransformContinuousIndexToPhysicalPoint([float(i) for i in index[::-1]])
    return later_origin - np.asarray(lies_at)


def _small(chest: _Chest, like: Geometry) -> tuple[sitk.Image, sitk.Image]:
    """Return a chest, and where its lungs are, on coarse cells turned as another scan."""
    own = chest.geometry
    corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    world = own.index_to_world(corners * (np.asarray(own.shape) - 1))
    steps = replace(like, spacing=(SEARCH_MM,) * 3, origin=(0.0, 0.0, 0.0))
    index = steps.world_to_index(world)
    low, high = np.floor(index.min(axis=0)), np.ceil(index.max(axis=0))
    z, y, x = (int(n) for n in high - low + 1)
    target = steps.cropped(low, (z, y, x))
    plain = to_sitk(np.zeros(target.shape, np.uint8), target)
    smooth = sitk.SmoothingRecursiveGaussian(chest.image, SEARCH_MM / 3)
    here = sitk.Cast(chest.near_lungs(AROUND_LUNGS_MM), sitk.sitkFloat32)
    place = sitk.Transform()
    return (
        sitk.Resample(smooth, plain, place, sitk.sitkLinear, DARKEST_HU, sitk.sitkFloat32),
        sitk.Resample(here, plain, place, sitk.sitkNearestNeighbor, 0.0, sitk.sitkFloat32),
    )


# -- turning, stretching, breathing ---------------------------------------------------------


def _method(shrink: list[int], around: sitk.Image) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricFixedMask(around)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricSamplingStrategy(method.REGULAR)
    voxels = [around.GetNumberOfPixels() / n**3 for n in shrink]
    method.SetMetricSamplingPercentagePerLevel([min(SAMPLES / n, 1.0) for n in voxels], seed=1)
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([float(n) for n in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def _optimise(
    transform: sitk.Transform, fixed: sitk.Image, moving: sitk.Image, around: sitk.Image
) -> None:
    """Improve a rigid or affine transform, in place, as far as that is possible."""
    method = _method([4, 2], around)
    method.SetMetricAsCorrelation()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.02, numberOfIterations=100, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    _run(method, transform, fixed, moving)


def _run(
    method: sitk.ImageRegistrationMethod,
    transform: sitk.Transform,
    fixed: sitk.Image,
    moving: sitk.Image,
) -> None:
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:  # all samples lie outside the other scan
        raise ScanError(
            "the scans show different parts of the lungs; choose two that overlap"
        ) from error


def _breathed(
    straight: Alignment,
    earlier: _Chest,
    later: _Chest,
    fixed: sitk.Image,
    moving: sitk.Image,
    around: sitk.Image,
) -> Alignment:
    """Return the alignment with what the lungs moved in themselves."""
    cells = [max(round(mm / CELL_MM), 1) for mm in earlier.geometry.size_mm[::-1]]
    spline = sitk.BSplineTransformInitializer(fixed, cells)
    method = _method([2], around)
    method.SetMetricAsMeanSquares()
    method.SetOptimizerAsLBFGSB(numberOfIterations=20)
    placed = sitk.AffineTransform(3)
    placed.SetMatrix(straight.matrix.ravel().tolist())
    placed.SetTranslation(straight.offset.tolist())
    method.SetMovingInitialTransform(placed)
    _run(method, spline, fixed, moving)
    grid = earlier.geometry.resampled((FIELD_MM,) * 3)
    like = to_sitk(np.zeros(grid.shape, np.uint8), grid)
    field = sitk.TransformToDisplacementField(
        spline,
        sitk.sitkVectorFloat32,
        like.GetSize(),
        like.GetOrigin(),
        like.GetSpacing(),
        like.GetDirection(),
    )
    moved = replace(straight, steps=sitk.GetArrayFromImage(field), grid=grid)
    return _measured(moved, earlier, later)


# -- how good -------------------------------------------------------------------------------


def _judged(transform: sitk.Transform, earlier: _Chest, later: _Chest) -> Alignment:
    """Return a linear transform as an alignment, with how well both lungs agree."""
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    offset = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    nothing = np.zeros((1, 1, 1, 3), np.float32)
    grid = earlier.geometry.cropped((0, 0, 0), (1, 1, 1))
    return _measured(Alignment(matrix, offset, nothing, grid), earlier, later)


def _measured(alignment: Alignment, earlier: _Chest, later: _Chest) -> Alignment:
    """Return an alignment with how well the lungs agree under it."""
    index = np.argwhere(earlier.lungs)
    index = index[:: max(len(index) // (4 * SAMPLES), 1)]
    world = alignment.to_later(earlier.geometry.index_to_world(index))
    there = later.geometry.world_to_index(world)
    both = later.geometry.contains(world)
    in_later = _read(later.lungs.astype(np.float32), there[both]) >= 0.5
    of_earlier = float(in_later.mean()) if both.any() else 0.0
    # the other way round, for the part of the later lungs that the earlier scan shows
    back = np.argwhere(later.lungs)
    back = back[:: max(len(back) // SAMPLES, 1)]
    before = alignment.to_earlier(later.geometry.index_to_world(back))
    shown = earlier.geometry.contains(before)
    at = earlier.geometry.world_to_index(before[shown])
    of_later = float((_read(earlier.lungs.astype(np.float32), at) >= 0.5).mean()) if len(at) else 0
    # the harmonic mean of both shares is Dice
    overlap = 2 * of_earlier * of_later / max(of_earlier + of_later, 1e-9)
    here, other = index[both][in_later], there[both][in_later]
    agreement = _correlation(_fine(earlier)[tuple(here.T)], _read(_fine(later), other))
    return replace(alignment, agreement=agreement, overlap=overlap)


def _fine(chest: _Chest) -> npt.NDArray[np.float32]:
    """Return what is left of HU without what is broad: vessels, fissures, nodules.

    Only lung counts for what is broad, else walls would shine into it.
    """
    sigma = [BROAD_MM / mm for mm in chest.geometry.spacing]
    inside = chest.lungs.astype(np.float32)
    weight = ndimage.gaussian_filter(inside, sigma)
    broad = ndimage.gaussian_filter(chest.hu * inside, sigma) / np.maximum(weight, 1e-3)
    return np.asarray((chest.hu - broad) * inside, np.float32)


def _read(array: npt.NDArray[np.float32], index: FloatArray) -> npt.NDArray[np.float32]:
    return np.asarray(ndimage.map_coordinates(array, index.T, order=1, mode="nearest"))


def _correlation(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    if len(one) < 2 or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _better(known: Alignment, new: Alignment) -> Alignment:
    """Return the one under which more of the lungs agrees: a step that harms is left out."""
    return new if new.agreement > known.agreement else known


def _warned(alignment: Alignment) -> Alignment:
    if not alignment.is_doubtful:
        return alignment
    words = (
        f"the lungs of both scans agree poorly (vessels {alignment.agreement:.2f}, overlap "
        f"{alignment.overlap:.2f}); check that they are of one patient before using the growth"
    )
    return replace(alignment, warnings=(words,))
