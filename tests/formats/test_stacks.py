"""Series whose slices do not make a straight, even stack by themselves."""

import json

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from scipy import ndimage

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import describe, read_scan
from napari_ctlns.formats.scans import scan_parts

SPACING = (0.7, 0.8)  # as write_series writes them
STORED = np.random.default_rng(0).integers(0, 3000, (6, 6, 7)).astype(np.uint16)
HU = STORED.astype(np.int16) - 1024


def tilted(degrees):
    """Orientation of slices that a gantry leans by so many degrees towards the feet."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (1, 0, 0, 0, c, -s)


def sampled(function, positions, orientation, shape):
    """What a scanner stores of ``function(x, y, z)`` in HU: uint16, 1024 above it."""
    rows, columns = np.indices(shape)
    x_axis, y_axis = np.array(orientation[:3]), np.array(orientation[3:])
    aside = columns[..., None] * SPACING[1] * x_axis + rows[..., None] * SPACING[0] * y_axis
    points = np.asarray(positions, float)[:, None, None] + aside
    return np.rint(function(*np.moveaxis(points, -1, 0)) + 1024).astype(np.uint16)


def on_grid(function, geometry):
    index = np.moveaxis(np.indices(geometry.shape), 0, -1)
    return function(*np.moveaxis(geometry.index_to_world(index), -1, 0))


def ramp(x, y, z):
    """Grows linearly, so that linear interpolation is exact but for rounding."""
    return 3.0 * x - 2.0 * y + 5.0 * z


def rod(x, y, z):
    """A soft rod along the patient's z axis through (12, 17), brighter towards the head."""
    return -1000 + (800 + 2 * z) * np.exp(-((x - 12) ** 2 + (y - 17) ** 2) / 18)


def inside(volume):
    return volume.array > -1024


@pytest.mark.parametrize("degrees", [14.0, -25.0, 1.0])
def test_a_straight_rod_stays_straight_under_a_tilted_gantry(tmp_path, write_series, degrees):
    positions = [(0.0, 0.0, 2.0 * k) for k in range(16)]
    orientation = tilted(degrees)
    stored = sampled(rod, positions, orientation, (60, 40))
    write_series(tmp_path, stored, positions, orientation)
    volume = read_scan(tmp_path)
    (words,) = volume.source.warnings
    assert f"gantry tilt of {abs(degrees):.1f} degrees" in words
    own = volume.geometry.source
    assert own.shape[0] == 16
    assert own.spacing == pytest.approx((2 * np.cos(np.radians(degrees)), *SPACING))
    # each header's position lies on its plane of the grid, and within it
    index = volume.geometry.world_to_index(positions)
    assert index[:, 0] == pytest.approx(np.arange(16), abs=0.01 / own.spacing[0])
    assert (index > -1e-3).all()
    assert (index[:, 1:] < np.array(own.shape[1:]) - np.array((60, 40)) + 1e-3).all()
    # the rod is where it was, to what linear interpolation blurs
    truth = on_grid(rod, volume.geometry)
    assert np.abs(volume.array - truth)[inside(volume)].max() < 6
    weight = np.where(inside(volume), volume.array + 1000.0, 0).clip(20) - 20
    for k in range(2, 14):
        world = volume.geometry.index_to_world(
            np.moveaxis(np.indices((1, *own.shape[1:])), 0, -1) + np.array([k, 0, 0])
        )[0]
        centre = np.average(world.reshape(-1, 3), axis=0, weights=weight[k].ravel())
        assert centre[:2] == pytest.approx([12, 17], abs=0.1)


def test_every_tilted_slice_is_held_wholly(tmp_path, write_series):
    positions = [(0.0, 0.0, 3.0 * k) for k in range(8)]
    stored = sampled(ramp, positions, tilted(30), (20, 16))
    write_series(tmp_path, stored, positions, tilted(30))
    volume = read_scan(tmp_path)
    truth = on_grid(ramp, volume.geometry)
    assert np.array_equal(inside(volume).sum(axis=(1, 2)), np.full(8, 20 * 16))
    # the first row of a slice that lies between two rows of the grid has nothing before it
    core = ndimage.binary_erosion(inside(volume), np.ones((1, 3, 1)), border_value=1)
    assert np.abs(volume.array - truth)[core].max() <= 1
    assert np.array_equal(volume.array[0][inside(volume)[0]], stored[0].astype(int).ravel() - 1024)


def test_a_real_tilted_head_lies_where_its_headers_say(data):
    folder = data / "awkward-dicom" / "gantry-tilt"
    volume = read_scan(folder)
    assert "gantry tilt of 14.0 degrees: 4 slices" in volume.source.warnings[0]
    grid = volume.geometry.source
    array = volume.geometry.to_source(volume.array)
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        plane, row, column = grid.world_to_index(np.array(ds.ImagePositionPatient, float))
        assert plane * grid.spacing[0] == pytest.approx(round(plane) * grid.spacing[0], abs=0.01)
        # an independent shift of the slice onto its plane
        hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        rows, columns = np.indices(grid.shape[1:])
        expected = ndimage.map_coordinates(
            hu, (rows - row, columns - column), order=1, mode="constant", cval=np.nan
        )
        known = np.isfinite(expected)
        assert known.mean() > 0.95
        off = np.abs(array[round(plane)] - expected)[known]
        assert off.max() <= 0.5 + 0.03 * np.ptp(hu)  # positions are rounded by us to 0.01 mm
        assert off.mean() < 0.5
    assert {s.path for s in volume.source.slices} == set(folder.iterdir())
    with pytest.raises(ScanError, match=r"strict: gantry tilt"):
        read_scan(folder, strict=True)


@pytest.mark.parametrize(
    ("heights", "planes"),
    [
        ((0, 2, 4, 8, 10), 6),  # one missing
        ((0, 1.08, 5.08, 12.08), 13),  # no common step: the smallest gap, or a little less
        ((0, 0.5, 1, 1.5, 2.5), 6),
        ((0, 2, 4, 6.6, 8.6), 14),  # 2.6 and 2 have 0.66 in common, nearly
        ((0, 2.05, 4, 6, 10, 12), 7),  # one missing of positions that are a little off
        ((*range(0, 80, 5), 10.3, *range(80, 105, 5)), 21),  # one more is no reason for 335
    ],
)
def test_uneven_slices_lie_at_their_true_positions(tmp_path, write_series, heights, planes):
    heights = sorted(heights)
    positions = [(-10.0, 20.0, -100.0 + h) for h in heights]
    stored = sampled(ramp, positions, (1, 0, 0, 0, 1, 0), (6, 7))
    write_series(tmp_path, stored, positions)
    volume = read_scan(tmp_path)
    assert volume.array.shape == (planes, 6, 7)
    ends = volume.geometry.index_to_world([(0, 0, 0), (planes - 1, 0, 0)])
    assert ends == pytest.approx(np.array([positions[0], positions[-1]]), abs=1e-9)
    assert np.abs(volume.array - on_grid(ramp, volume.geometry)).max() <= 1
    (words,) = volume.source.warnings
    worst = int(np.diff(heights).argmax())
    assert f"gap is {np.diff(heights).max():.2f} mm" in words
    assert f"after the slice at (-10.00, 20.00, {positions[worst][2]:.2f})" in words
    assert f"{len(heights)} slices were resampled to {planes}" in words
    with pytest.raises(ScanError, match="strict"):
        read_scan(tmp_path, strict=True)


def test_slices_beside_a_gap_keep_their_values(tmp_path, write_series):
    # a header rounds: 4.004 lies on the plane at 4
    positions = [(0.0, 0.0, z) for z in (0.0, 2.0, 4.004, 8.0, 10.0)]
    write_series(tmp_path, STORED[:5], positions)
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array[[0, 1, 2, 4, 5]], HU[:5])
    assert volume.array.dtype == np.int16
    assert "missing slice" in volume.source.warnings[0]


def test_a_real_gap_is_filled_and_named(data):
    folder = data / "awkward-dicom" / "missing-slice"
    volume = read_scan(folder)
    (words,) = volume.source.warnings
    assert "missing slice: the largest gap is 10.00 mm" in words
    assert "28.11)" in words
    assert "4 slices were resampled to 5, 5.00 mm apart" in words
    slices = sorted((pydicom.dcmread(p) for p in folder.iterdir()), key=lambda d: d.InstanceNumber)
    hu = [d.pixel_array.astype(int) * int(d.RescaleSlope) + int(d.RescaleIntercept) for d in slices]
    assert np.array_equal(volume.array[[0, 1, 2, 4]], hu)
    assert np.abs(volume.array[3] - (hu[2] + hu[3]) / 2).max() <= 0.5
    told = json.loads(json.dumps(describe(volume)))
    assert told["shape"] == [5, 512, 512]
    assert told["spacing_mm"][0] == pytest.approx(5, abs=1e-5)
    assert told["warnings"] == [words]
    assert len(volume.source.slices) == 4


@pytest.mark.parametrize("feet_first", [False, True])
def test_tilted_and_uneven_together(tmp_path, write_series, feet_first):
    heights = [0.0, 3.0, 6.0, 12.0, 15.0, 16.0]
    sign = -1 if feet_first else 1
    # feet first, the rows run the other way and the normal points to the feet
    orientation = (-1, 0, 0, 0, *tilted(20)[4:]) if feet_first else tilted(20)
    positions = [(5.0 * -sign, 0.0, sign * h) for h in heights]
    stored = sampled(ramp, positions, orientation, (30, 16))
    write_series(tmp_path, stored, positions, orientation)
    volume = read_scan(tmp_path)
    assert "missing slice" in volume.source.warnings[0]
    assert "gantry tilt of 20.0 degrees" in volume.source.warnings[1]
    index = volume.geometry.world_to_index(positions)[:, 0]
    assert index == pytest.approx(np.rint(index), abs=1e-6)
    known = ndimage.binary_erosion(inside(volume), np.ones((3, 9, 1)), border_value=1)
    assert known.sum() > 2000
    assert np.abs(volume.array - on_grid(ramp, volume.geometry))[known].max() <= 1.5


def test_slices_moved_in_their_planes_are_moved_back(tmp_path, write_series):
    positions = [(0.8 * (k % 2), 1.4 * (k > 3), 2.0 * k) for k in range(6)]
    write_series(tmp_path, STORED, positions)
    volume = read_scan(tmp_path)
    assert "shifted by up to 1.61 mm" in volume.source.warnings[0]
    assert volume.array.shape == (6, 8, 8)
    for k in range(6):
        rows, columns = slice(2 * (k > 3), 2 * (k > 3) + 6), slice(k % 2, k % 2 + 7)
        assert np.array_equal(volume.array[k, rows, columns], HU[k])
        assert (volume.array[k] == -1024).sum() >= 64 - 42


def test_slices_far_beside_each_other_are_no_stack(tmp_path, write_series):
    write_series(tmp_path, STORED, [(1e5 * k, 0, 2 * k) for k in range(6)])
    with pytest.raises(ScanError, match="beside each other"):
        read_scan(tmp_path)


def test_values_beyond_int16_are_kept_when_resampled(tmp_path, write_series):
    stored = STORED[:4].copy()
    stored[3] = 65535
    write_series(tmp_path, stored, [(0, 0, z) for z in (0, 2, 4, 8)])
    volume = read_scan(tmp_path)
    assert volume.array.dtype == np.int32
    assert (volume.array[4] == 65535 - 1024).all()


def test_a_scout_without_a_flag_is_set_aside(tmp_path, write_series, positions):
    uid = write_series(tmp_path / "a", STORED, positions(6))
    scout = np.zeros((1, 9, 11), np.uint16)
    write_series(tmp_path / "b", scout, [(0, -50, 0)], (1, 0, 0, 0, 0, -1), uid=uid)
    write_series(tmp_path / "c", STORED[:1], [(0, 0, 0)], uid=uid, PixelSpacing=[2.0, 2.0])
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, HU)
    (words,) = volume.source.warnings
    assert "1 coronal of 9 x 11 with 0.8 mm" in words
    assert "1 axial of 6 x 7 with 2 mm" in words
    with pytest.raises(ScanError, match="strict"):
        read_scan(tmp_path, strict=True)


def test_two_stacks_of_one_series_are_refused_by_name(tmp_path, write_series, positions):
    uid = write_series(tmp_path / "a", STORED, positions(6))
    write_series(tmp_path / "b", STORED[:4], positions(4), uid=uid, PixelSpacing=[2.0, 2.0])
    with pytest.raises(ScanError) as caught:
        read_scan(tmp_path)
    for words in ("differing pixel spacings", "6 axial of 6 x 7 with 0.8 mm", "4 axial of 6 x 7"):
        assert words in str(caught.value)


def test_slices_that_show_the_same_in_one_place_count_once(tmp_path, write_series, positions):
    uid = write_series(tmp_path / "a", STORED, positions(6))
    write_series(tmp_path / "b", STORED[2:4], positions(6)[2:4], uid=uid)
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert "2 slices repeat others" in volume.source.warnings[0]
    # alike where they lie, but other values
    write_series(tmp_path / "c", STORED[:1] + 1, positions(1), uid=uid)
    with pytest.raises(ScanError, match="slices at the same position"):
        read_scan(tmp_path)


def test_one_uid_for_all_slices_makes_them_no_copies(tmp_path, write_series, positions):
    write_series(tmp_path, STORED, positions(6), SOPInstanceUID="1.2.3")
    assert np.array_equal(read_scan(tmp_path).array, HU)


def test_the_slices_of_a_series_are_told_in_order(tmp_path, write_series, positions):
    places = positions(6)
    write_series(tmp_path, STORED[::-1], places[::-1])
    source = read_scan(tmp_path).source
    assert [s.position for s in source.slices] == places
    assert {s.frame for s in source.slices} == {0}
    for one in source.slices:
        assert pydicom.dcmread(one.path).SOPInstanceUID == one.uid
    assert source.plane.shape == (1, 6, 7)
    assert source.plane.origin == places[0]


def test_the_middle_slice_is_there_first(tmp_path, write_series, positions):
    uid = write_series(tmp_path / "a", STORED, positions(6))
    parts = scan_parts(tmp_path / "a")
    first = next(parts)
    assert (first.done, first.total, first.unit) == (1, 6, "slices")
    assert np.array_equal(first.volume.array[3], HU[3])
    assert first.read.ravel().tolist() == [False, False, False, True, False, False]
    assert first.volume.scan_id == uid
    rest = []
    while True:
        try:
            rest.append(next(parts))
        except StopIteration as finished:
            whole = finished.value
            break
    assert [part.done for part in rest] == [2, 3, 4, 5, 6]
    assert whole.array is first.volume.array
    assert first.read.all()
    assert np.array_equal(whole.array, HU)
    # what must be resampled cannot be shown before its end
    write_series(tmp_path / "b", STORED, [(0, 0, z) for z in (0, 2, 4, 6, 8, 12)])
    assert {part.volume for part in scan_parts(tmp_path / "b")} == {None}


def test_values_by_a_table_are_refused(tmp_path, write_series, positions):
    table = pydicom.Dataset()
    table.LUTDescriptor = [2, 0, 16]
    table.LUTData = b"\0\0\1\0"
    table.ModalityLUTType = "HU"
    write_series(tmp_path / "a", STORED, positions(6), ModalityLUTSequence=[table])
    assert np.array_equal(read_scan(tmp_path / "a").array, HU)  # a slope tells more simply

    write_series(tmp_path / "b", STORED, positions(6), ModalityLUTSequence=[table])
    for path in (tmp_path / "b").iterdir():
        ds = pydicom.dcmread(path)
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.save_as(path)
    with pytest.raises(ScanError, match="modality LUT"):
        read_scan(tmp_path / "b")


def test_a_series_split_over_nested_folders_is_one(tmp_path, write_series, positions):
    uid = generate_uid()
    write_series(tmp_path / "a", STORED[:2], positions(6)[:2], uid=uid)
    write_series(tmp_path / "b" / "c", STORED[2:], positions(6)[2:], uid=uid)
    assert np.array_equal(read_scan(tmp_path).array, HU)
