"""One click against nodules whose truth is known, readers, and what is no nodule."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_ctlns.errors import ClickError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_scan
from napari_ctlns.formats.lidc import lidc_consensus, read_lidc
from napari_ctlns.masks.click import RULES, Clicks, click_mask, mask_of
from napari_ctlns.masks.fitted import LARGEST, fitted_mask
from napari_ctlns.metrics import dice
from napari_ctlns.volume import Geometry, Volume

from .scenes import GLASS, Lump, lump

LIDC = Path(__file__).parents[3] / "shared" / "data" / "lidc-idri-0001"
TURNED = tuple(
    tuple(float(v) for v in row)
    for row in Rotation.from_euler("xyz", (9, -6, 12), degrees=True).as_matrix()
)


def clicked(case: Lump, *inside, **wishes):
    """Return what clicks give, on the whole grid; without any, one a little off the centre."""
    places = inside or (case.place(0.5, -0.8, 0.7),)
    return mask_of(click_mask(case.scan, Clicks(tuple(places), **wishes)), case.scan).array > 0


CASES = {
    "solid": {"diameter": 10},
    "small": {"diameter": 5},
    "large": {"diameter": 28, "half_mm": 34.0},
    "thick slices": {"diameter": 12, "spacing": (3.0, 0.7, 0.7)},
    "oblique": {"diameter": 10, "direction": TURNED},
    "ground glass": {"diameter": 12, "hu": GLASS},
    "part-solid": {"diameter": 16, "hu": GLASS, "core_mm": 7},
    "vessel": {"diameter": 10, "vessel_mm": 4},
    "pleura": {"diameter": 14, "wall_mm": 3.5},
    "glass on the pleura": {"diameter": 14, "hu": GLASS, "wall_mm": 4.0},
    "noise": {"diameter": 9, "noise": 50.0},
}


@pytest.mark.parametrize("name", CASES)
def test_a_click_finds_the_nodule_and_nothing_that_is_attached(name):
    case = lump(**CASES[name])
    found = clicked(case)
    assert dice(found, case.truth) >= 0.85
    assert 0.8 <= found.sum() / case.truth.sum() <= 1.25


def test_where_in_the_nodule_one_clicks_hardly_matters():
    case = lump(12, vessel_mm=3.0)
    places = [case.place(*p) for p in ((0, 0, 0), (2.5, 0, 0), (0, -2.5, 1), (-1, 1, -2.5))]
    found = [clicked(case, place) for place in places]
    assert min(dice(one, found[0]) for one in found) >= 0.95


def test_a_nodule_of_two_lobes_is_found_whole():
    case = lump(14, lobe_mm=15, spacing=(1.25, 0.8, 0.8), half_mm=32.0)
    assert dice(clicked(case), case.truth) >= 0.85
    assert dice(clicked(case, diameter_mm=14), case.truth) < 0.75


@pytest.mark.parametrize("thick_mm", [9, 10])
def test_a_vessel_nearly_as_thick_as_a_nodule_is_no_lobe_of_it(thick_mm):
    case = lump(12, vessel_mm=thick_mm)
    assert clicked(case).sum() / case.truth.sum() <= 1.25


def test_voxels_are_connected_and_without_holes():
    found = clicked(lump(10, noise=45.0))
    assert ndimage.label(found, np.ones((3, 3, 3)))[1] == 1
    assert np.array_equal(ndimage.binary_fill_holes(found), found)


def test_the_scan_is_left_as_it_is_and_padding_may_be_anything():
    case = lump(10)
    padded = case.scan.array.copy()
    padded[:, :, :8] = -2048
    before = padded.copy()
    part = click_mask(replace(case.scan, array=padded), Clicks((case.centre,)))
    assert np.array_equal(padded, before)
    assert part.voxels == np.count_nonzero(clicked(case, case.centre))


def test_numbers_that_are_none_are_no_nodule():
    case = lump(10)
    hu = case.scan.array.astype(np.float32)
    hu[:, :, -10:] = np.nan
    part = click_mask(replace(case.scan, array=hu), Clicks((case.centre,)))
    assert part.voxels == np.count_nonzero(clicked(case, case.centre))


def test_a_nodule_may_be_cut_by_the_edge_of_the_scan():
    case = lump(14)
    middle = case.scan.geometry.shape[0] // 2
    shape = (middle + 1, *case.scan.geometry.shape[1:])
    cut = Volume(case.scan.array[: middle + 1], case.scan.geometry.cropped((0, 0, 0), shape))
    part = click_mask(cut, Clicks((case.place(-2.0),)))
    assert part.box[0].stop == middle + 1
    assert dice(mask_of(part, cut).array > 0, case.truth[: middle + 1]) >= 0.8


# -- more than one click ----------------------------------------------------------------


def two_lumps():
    """Two nodules, 16 mm apart."""
    one = lump(8)
    away = round(16 / one.scan.geometry.spacing[2])
    both = np.maximum(one.scan.array, np.roll(one.scan.array, away, axis=2))
    return replace(one, scan=replace(one.scan, array=both)), (0.0, 0.0, 16.0)


def test_another_click_inside_adds_and_takes_nothing_away():
    case, other = two_lumps()
    one = clicked(case, case.centre)
    both = clicked(case, case.centre, case.place(*other))
    assert both[one].all()
    assert both.sum() >= 1.7 * one.sum()


def test_a_click_outside_takes_away_what_lies_there():
    case = lump(12, vessel_mm=5.0)
    place = case.place(0, 7.0, 0)
    index = tuple(np.rint(case.scan.geometry.world_to_index(place)).astype(int))
    loose = clicked(case, case.centre, place)
    assert loose[index]
    assert not clicked(case, case.centre, outside=(place,))[index]


def test_tightness_is_monotonous():
    case = lump(12, noise=10.0)
    sizes = [clicked(case, tightness=t).sum() for t in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.1 * sizes[-1]


def test_a_diameter_holds_back_what_would_run_on():
    case = lump(8, wall_mm=3.0, vessel_mm=7.0)
    assert clicked(case, diameter_mm=8.0).sum() <= 1.5**3 * np.pi / 6 * 8**3 / (0.7 * 0.7)


# -- what is no nodule -------------------------------------------------------------------


def plain(hu, noise=15.0):
    values = np.random.default_rng(1).normal(hu, noise, (60, 70, 70)).astype(np.int16)
    return Volume(values, Geometry(values.shape, (1.0, 0.8, 0.8)))


@pytest.mark.parametrize(
    ("hu", "words"),
    [(-860, "nothing denser than lung"), (50, "no lung around"), (-1000, "air, not lung")],
)
def test_what_is_no_nodule_is_refused_in_words(hu, words):
    with pytest.raises(ClickError, match=words):
        click_mask(plain(hu), Clicks(((28.0, 28.0, 30.0),)))


@pytest.mark.parametrize("deep_mm", [6.0, 12.0, 20.0])
def test_the_chest_wall_is_no_nodule(deep_mm):
    case = lump(3, wall_mm=8.0)
    with pytest.raises(ClickError, match="no lung around"):
        clicked(case, case.place(5.0, 5.0, 8.0 + deep_mm))


@pytest.mark.parametrize(
    ("clicks", "words"),
    [
        (Clicks(()), "no click"),
        (Clicks(((1e4, 0, 0),)), "outside the scan"),
        (Clicks(((np.nan, 0, 0),)), "outside the scan"),
        (Clicks(((0, 0, 0),), ((0, 0, 1e4),)), "outside the scan"),
        (Clicks(((0, 0, 0),), diameter_mm=0.0), "impossible diameter"),
        (Clicks(((0, 0, 0),), tightness=1.5), "impossible tightness"),
    ],
)
def test_impossible_clicks_are_refused_in_words(clicks, words):
    with pytest.raises(ClickError, match=words):
        click_mask(plain(-860), clicks)


# -- readers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read():
    """A real nodule that four readers outlined, and their consensus."""
    if not LIDC.is_dir():
        pytest.skip("shared/data is not here")
    scan = read_scan(LIDC / "dicom")
    truth = lidc_consensus(read_lidc(LIDC / "annotations.xml"), scan, 0.5)
    return scan, truth.mask.array == 1


def on_readers(read, rules, count, seed=3):
    """Return the Dice of clicks in the inner half of the real nodule."""
    scan, truth = read
    (box,) = ndimage.find_objects(truth.astype(np.uint8))
    depth = ndimage.distance_transform_edt(truth[box], sampling=scan.geometry.spacing)
    places = np.argwhere(depth >= depth.max() / 2) + [s.start for s in box]
    chosen = np.random.default_rng(seed).choice(len(places), count, replace=False)
    return [
        dice(
            mask_of(
                click_mask(scan, Clicks((tuple(scan.geometry.index_to_world(p)),)), rules), scan
            ).array
            > 0,
            truth,
        )
        for p in places[chosen]
    ]


def test_a_click_is_as_good_as_a_reader(read):
    assert min(on_readers(read, RULES, 6)) >= 0.88


def constants():
    for entry in fields(RULES):
        value = getattr(RULES, entry.name)
        if is_dataclass(value):
            yield from ((entry.name, part.name) for part in fields(value))
        else:
            yield (entry.name,)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(constants()), ids=".".join)
@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_no_constant_is_fitted_to_a_nodule(read, name, factor):
    def moved(rules, path):
        value = getattr(rules, path[0])
        if len(path) > 1:
            return replace(rules, **{path[0]: moved(value, path[1:])})
        other = value * factor
        return replace(rules, **{path[0]: round(other) if isinstance(value, int) else other})

    assert np.percentile(on_readers(read, moved(RULES, name), 10), 5) >= 0.85


# -- annotations -------------------------------------------------------------------------


def annotated(case, diameter=None):
    return Annotation("lump", *case.centre, diameter or case.diameter_mm)


def test_fitted_masks_have_the_nodules_own_border():
    case = lump(12, hu=GLASS, spacing=(2.0, 0.7, 0.7))
    fitted = fitted_mask(case.scan, [annotated(case, 14.0)])
    assert not fitted.spheres
    assert dice(fitted.mask == 1, case.truth) >= 0.88


@pytest.mark.parametrize("diameter", [3.0, 6.0, 9.0])
def test_a_fitted_nodule_is_never_much_larger_than_annotated(diameter):
    case = lump(18)
    found = np.argwhere(fitted_mask(case.scan, [annotated(case, diameter)]).mask)
    away = (case.scan.geometry.index_to_world(found) - case.centre) ** 2
    assert 2 * np.sqrt(away.sum(axis=1)).max() <= LARGEST * diameter + 1e-6


def test_what_cannot_be_fitted_is_a_sphere_and_said():
    fitted = fitted_mask(plain(-860), [Annotation("s", 28.0, 28.0, 30.0, 8.0)])
    assert list(fitted.spheres) == [0]
    volume = np.count_nonzero(fitted.mask) * 0.64
    assert volume == pytest.approx(np.pi / 6 * 512, rel=0.05)


def test_nodules_that_touch_share_no_voxel_and_keep_their_rows():
    case, other = two_lumps()
    x, y, z = case.place(*other)
    fitted = fitted_mask(case.scan, [annotated(case), Annotation("lump", x, y, z, 8.0)])
    assert set(np.unique(fitted.mask)) == {0, 1, 2}
    first, second = np.count_nonzero(fitted.mask == 1), np.count_nonzero(fitted.mask == 2)
    assert 0.7 <= first / second <= 1.4
