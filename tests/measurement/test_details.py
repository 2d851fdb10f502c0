"""The details: axes in the patient, types, the lung around, edges, pleura and side."""

from dataclasses import replace

import numpy as np
import pytest

from napari_ctlns.errors import MaskError
from napari_ctlns.measurement import (
    COLUMNS,
    DETAILS,
    measure,
    measure_details,
    quick_table,
    with_details,
)
from napari_ctlns.measurement.distances import max_diameter_mm
from napari_ctlns.measurement.labels import boxes_of
from napari_ctlns.measurement.shape import mesh_shape, principal_axes
from napari_ctlns.volume import Geometry, Volume

TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
GEOMETRY = Geometry((20, 48, 56), (2.0, 0.8, 0.8), (-30.0, 12.0, 100.0), TURNED)
BOX = np.s_[8:12, 16:24, 16:36]
BALL = (10, 36, 40)


@pytest.fixture
def scan():
    random = np.random.default_rng(0)
    array = random.normal(-850, 10, GEOMETRY.shape).astype(np.int16)
    array[BOX] = 40
    array[ball()] = -600
    return Volume(array, GEOMETRY)


@pytest.fixture
def mask(scan):
    labels = np.zeros(GEOMETRY.shape, np.uint16)
    labels[BOX] = 3
    labels[ball()] = 700
    return scan.mask(labels)


def ball(radius=5.0):
    grid = np.ogrid[tuple(slice(0, n) for n in GEOMETRY.shape)]
    offsets = ((g - c) * s for g, c, s in zip(grid, BALL, GEOMETRY.spacing, strict=True))
    return sum(o**2 for o in offsets) <= radius**2


def test_columns_and_types(mask, scan):
    table = measure_details(mask, scan)
    assert tuple(table.columns) == ("label", *DETAILS)
    assert table["label"].tolist() == [3, 700]
    assert table["type"].tolist() == ["solid", "ground-glass"]
    assert table["solid_diameter_mm"][1] == table["solid_volume_mm3"][1] == 0
    whole = measure(mask, scan)
    assert table["solid_diameter_mm"][0] == whole["mean_diameter_mm"][0]
    assert table["solid_volume_mm3"][0] == whole["volume_mm3"][0]
    assert table["side"].tolist() == ["", ""]
    assert table["pleura_distance_mm"].isna().all()
    both = with_details(whole, mask, scan)
    assert tuple(both.columns) == (*COLUMNS, *DETAILS)
    assert tuple(measure_details(scan.mask(mask.array * 0), scan).columns) == ("label", *DETAILS)


def test_ends_of_the_axes_lie_in_the_patient(mask, scan):
    row, whole = measure_details(mask, scan).iloc[0], measure(mask, scan).iloc[0]
    for axis in ("long", "short"):
        ends = [
            np.array([row[f"{axis}_axis_{end}_{along}_mm"] for along in "xyz"])
            for end in ("start", "end")
        ]
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(whole[f"{axis}_axis_mm"])
        index = GEOMETRY.world_to_index(ends)
        assert index[:, 0] == pytest.approx(row["long_axis_slice"])
        assert (index[:, 1:] >= [15.5 - 1e-9, 15.5 - 1e-9]).all()
        assert (index[:, 1:] <= [23.5 + 1e-9, 35.5 + 1e-9]).all()
    assert 8 <= row["long_axis_slice"] < 12


def test_principal_axes_of_a_ball_and_of_a_voxel():
    z, y, x = np.mgrid[-20:21, -20:21, -20:21]
    places = np.argwhere((z / 18) ** 2 + (y / 12) ** 2 + (x / 9) ** 2 <= 1).astype(float)
    axes = principal_axes(places)
    # a full ellipsoid's variance along an axis is a fifth of the semi-axis' square
    assert axes[:3] == pytest.approx(tuple(4 * r / np.sqrt(5) for r in (18, 12, 9)), rel=0.01)
    assert (axes.elongation, axes.flatness) == pytest.approx((12 / 18, 9 / 18), rel=0.01)
    assert principal_axes(places[:1]) == (0, 0, 0, 1, 1)


def test_the_lung_around_is_told_without_vessels_and_other_nodules(mask, scan):
    array = scan.array.copy()
    array[:, 26:28, :] = 60  # a vessel within 5 mm of the box
    row = measure_details(mask, replace(scan, array=array)).iloc[0]
    assert row["surroundings_hu"] == pytest.approx(-850, abs=1)
    assert row["contrast_hu"] == 40 - row["surroundings_hu"]
    labels = mask.array.copy()
    labels[labels == 0] = 5  # nothing but another nodule around it
    assert np.isnan(measure_details(scan.mask(labels), scan)["surroundings_hu"].iloc[0])


def test_the_surroundings_lie_from_2_to_5_millimetres_away(mask, scan):
    away = np.full(GEOMETRY.shape, -700, np.int16)
    away[6:14, 14:26, 14:38] = -500  # up to 2 voxels: blurred border
    away[BOX] = 40
    row = measure_details(mask, replace(scan, array=away)).iloc[0]
    assert row["surroundings_hu"] == -700
    lungs = np.zeros(GEOMETRY.shape, np.uint8)
    lungs[:, :, :10] = 1  # away from the box
    found = measure_details(mask, replace(scan, array=away), lungs=scan.mask(lungs))
    assert np.isnan(found["surroundings_hu"][0])


def test_what_the_edge_cuts(mask, scan):
    assert not measure_details(mask, scan)["cut_by_edge"].any()
    labels = mask.array.copy()
    labels[0, 30, 30] = 9
    assert measure_details(scan.mask(labels), scan)["cut_by_edge"].tolist() == [False, True, False]
    for padding in (-2048, -1024):
        array = scan.array.copy()
        array[:, :, 36:] = padding  # beyond the field of view, next to the box
        found = measure_details(mask, replace(scan, array=array))
        assert found["cut_by_edge"].tolist() == [True, True]
        bulla = scan.array.copy()
        bulla[9:11, 18:22, 36:39] = padding  # as dark, but it ends within the lung
        found = measure_details(mask, replace(scan, array=bulla))
        assert found["cut_by_edge"].tolist() == [False, False]


def test_the_distance_to_the_pleura(mask, scan):
    lungs = np.zeros(GEOMETRY.shape, np.uint8)
    lungs[2:18, 4:44, 6:52] = 1
    row = measure_details(mask, scan, lungs=scan.mask(lungs)).iloc[0]
    # 12 voxels of 0.8 mm lie between its first row and the lungs' first one, 10 columns and
    # 6 slices of 2 mm beside
    assert row["pleura_distance_mm"] == pytest.approx(10 * 0.8, abs=0.01)
    lungs[:, :18] = 0
    row = measure_details(mask, scan, lungs=scan.mask(lungs)).iloc[0]
    assert row["pleura_distance_mm"] == 0
    everywhere = scan.mask(np.ones(GEOMETRY.shape, np.uint8))
    assert measure_details(mask, scan, lungs=everywhere)["pleura_distance_mm"].isna().all()


@pytest.fixture(scope="module")
def chest():
    """A body of 320 mm with two lungs, and a nodule in each: mask, scan, lungs."""
    geometry = Geometry((10, 70, 90), (6.0, 4.0, 4.0), (-178.0, -138.0, 0.0))
    y, x = np.mgrid[:70, :90]

    def ellipse(row, column, high, wide):
        return ((y - row) / high) ** 2 + ((x - column) / wide) ** 2 <= 1

    right, left = ellipse(35, 25, 24, 16), ellipse(35, 63, 22, 14)
    hu = np.where(ellipse(35, 45, 32, 40), 40, -1000)
    hu[right | left] = -850
    labels = np.where(ellipse(30, 20, 2, 2), 1, np.where(ellipse(40, 60, 2, 2), 2, 0))
    hu[labels != 0] = 30
    scan, mask, lungs = (
        np.broadcast_to(a, geometry.shape).copy() for a in (hu, labels, (right | left) * 1)
    )
    mask[:3] = mask[6:] = 0
    volume = Volume(scan.astype(np.int16), geometry)
    return volume.mask(mask.astype(np.uint8)), volume, volume.mask(lungs.astype(np.uint8))


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_side_follows_the_patient_not_the_array(chest, mirrored):
    # flipped, the array runs from left to right, and the patient stays
    mask, scan, lungs = map(flipped, chest) if mirrored else chest
    sides = ["right", "left"]  # in LPS x grows to the left
    assert measure_details(mask, scan, lungs=lungs)["side"].tolist() == sides
    fused = lungs.array.copy()
    fused[:, 30:34, 30:60] = 1  # one piece: the body's middle tells
    one = replace(lungs, array=fused)
    assert measure_details(mask, scan, lungs=one)["side"].tolist() == sides
    single = replace(lungs, array=np.where(np.arange(90) < 45, lungs.array, 0))
    assert measure_details(mask, scan, lungs=single)["side"].tolist() == sides
    none = replace(lungs, array=lungs.array * 0)
    assert set(measure_details(mask, scan, lungs=none)["side"]) == {""}


def flipped(volume):
    geometry = volume.geometry
    corner = geometry.cropped((0, 0, geometry.shape[2] - 1), geometry.shape)
    direction = tuple((-a, b, c) for a, b, c in geometry.direction)
    turned = replace(corner, direction=direction)
    return replace(volume, array=volume.array[:, :, ::-1], geometry=turned)


def test_a_lung_by_itself_in_a_part_of_a_chest_has_no_side(mask, scan):
    lungs = scan.mask(np.ones(GEOMETRY.shape, np.uint8))
    assert measure_details(mask, scan, lungs=lungs)["side"].tolist() == ["", ""]


def test_other_grids_are_refused(mask, scan):
    moved = Volume(scan.array, GEOMETRY.cropped((1, 0, 0), GEOMETRY.shape))
    with pytest.raises(MaskError, match="mask and scan"):
        measure_details(mask, moved)
    with pytest.raises(MaskError, match="mask and lungs"):
        measure_details(mask, scan, lungs=moved)


# -- quick ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, bool])
def test_the_quick_table_says_what_the_nodule_table_says(mask, scan, kind):
    labels = np.minimum(mask.array, 200).astype(kind)
    if kind is not bool:
        labels[-1, -1, -1] = 7  # in the last bytes
    for array in (labels, labels[::-1, :, ::-1]):
        own = scan.mask(array)
        quick, whole = quick_table(own, scan), measure(own, scan)
        for name in set(quick.columns) & set(COLUMNS):
            assert quick[name].to_numpy() == pytest.approx(whole[name].to_numpy()), name
        for row in quick.to_dict("records"):
            at = np.argwhere(array == row["label"])
            assert [row[f"first_{a}"] for a in "zyx"] == at.min(axis=0).tolist()
            assert [row[f"last_{a}"] for a in "zyx"] == at.max(axis=0).tolist()
    assert quick_table(scan.mask(labels * 0), scan).empty


def test_boxes_fit_closely(mask):
    assert boxes_of(mask)[3] == (slice(8, 12), slice(16, 24), slice(16, 36))
    assert list(boxes_of(mask)) == [3, 700]


def test_the_diameter_without_a_mesh_is_that_of_the_mesh():
    from scipy.spatial.distance import pdist
    from skimage.measure import marching_cubes

    random = np.random.default_rng(1)
    for _ in range(20):
        inside = random.random((4, 5, 6)) < random.uniform(0.05, 0.9)
        inside[2, 2, 2] = True
        padded = np.pad(inside, 1).astype(np.float32)
        vertices = marching_cubes(padded, 0.5, spacing=(2.0, 0.7, 0.9))[0]
        wanted = pdist(vertices.astype(float)).max()
        assert max_diameter_mm(inside, (2.0, 0.7, 0.9)) == pytest.approx(wanted, rel=1e-6)
        found = mesh_shape(inside, (2.0, 0.7, 0.9)).max_3d_diameter_mm
        assert found == pytest.approx(wanted, rel=1e-6)
