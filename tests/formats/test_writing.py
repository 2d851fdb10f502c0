import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_ctlns.errors import OutputError
from napari_ctlns.formats import read_mask, read_scan, write_volume
from napari_ctlns.volume import Geometry, Volume

NAMES = ["out.mhd", "out.mha", "out.nii", "out.nii.gz", "out.nrrd", "out.nhdr"]
ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def farthest(one, other):
    corners = np.array(list(itertools.product(*[(0, n - 1) for n in one.shape])))
    return np.abs(one.index_to_world(corners) - other.index_to_world(corners)).max()


@st.composite
def volumes(draw):
    number = lambda low, high: st.floats(low, high, allow_nan=False)  # noqa: E731
    turn = Rotation.from_rotvec([draw(number(-0.3, 0.3)) for _ in range(3)]).as_matrix()
    direction = turn @ draw(st.sampled_from(ORIENTATIONS))
    own = Geometry(
        shape=tuple(draw(st.integers(2, 5)) for _ in range(3)),
        spacing=tuple(draw(number(0.3, 5)) for _ in range(3)),
        origin=tuple(draw(number(-500, 500)) for _ in range(3)),
        direction=tuple(tuple(float(v) for v in row) for row in direction),
    )
    geometry = own.oriented()
    array = np.arange(np.prod(own.shape)).reshape(geometry.shape) - 1024
    return Volume(array.astype(draw(st.sampled_from([np.int16, np.float32]))), geometry)


@pytest.mark.parametrize("name", NAMES)
@given(volume=volumes())
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read_again(name, volume):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_volume(volume, path)
        again = read_scan(path)
    assert again.array.dtype == volume.array.dtype
    assert np.array_equal(again.array, volume.array)
    assert again.geometry.source_axes == volume.geometry.source_axes
    assert again.geometry.source_flips == volume.geometry.source_flips
    assert farthest(again.geometry, volume.geometry) < 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("handedness", [1, -1])
def test_all_orientations_come_back(tmp_path, name, handedness):
    directions = [d for d in ORIENTATIONS if round(np.linalg.det(d)) == handedness]
    assert len(directions) == 24
    for direction in directions:
        comes_back(tmp_path / name, direction)


def comes_back(path, direction):
    rows = tuple(tuple(float(v) for v in row) for row in direction)
    own = Geometry((2, 3, 4), (2.5, 0.7, 0.8), (-10.0, 20.0, -300.5), rows)
    array = np.arange(24, dtype=np.int16).reshape(own.shape)
    geometry = own.oriented()
    write_volume(Volume(geometry.from_source(array), geometry), path)
    image = sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayViewFromImage(image), array)
    assert image.GetSpacing() == pytest.approx(own.spacing[::-1], abs=1e-6)
    assert image.GetOrigin() == pytest.approx(own.origin, abs=1e-4)
    assert image.GetDirection() == pytest.approx(direction.ravel(), abs=1e-6)
    again = read_scan(path)
    assert farthest(again.geometry, geometry) < 1e-4


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        *[("chest-64", name) for name in NAMES],
        # the larger ones once per writer
        *itertools.product(
            ["lung-pet-ct-dx-a0001", "lidc-idri-0001"], ["out.mhd", "out.nii.gz", "out.nrrd"]
        ),
    ],
)
def test_converted_dicom_keeps_values_and_geometry(tmp_path, data, name, folder):
    scan = read_scan(data / folder / "dicom")
    write_volume(scan, tmp_path / name)
    again = read_scan(tmp_path / name, strict=True)
    assert np.array_equal(again.array, scan.array)
    assert again.array.dtype == scan.array.dtype
    assert farthest(again.geometry, scan.geometry) < 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("highest", "dtype"), [(1, np.uint8), (300, np.uint16)])
def test_masks_take_the_smallest_type_on_the_sources_grid(tmp_path, scan, name, highest, dtype):
    labels = np.zeros(scan.array.shape, np.uint16)
    labels[1, 2, 3] = highest
    write_volume(scan.mask(labels), tmp_path / name)
    image = sitk.ReadImage(str(tmp_path / name))
    array = sitk.GetArrayViewFromImage(image)
    assert array.dtype == dtype
    own = scan.geometry.source
    assert image.GetSize() == own.shape[::-1]
    where = np.argwhere(array)[0]
    place = image.TransformIndexToPhysicalPoint([int(i) for i in where[::-1]])
    assert place == pytest.approx(scan.geometry.index_to_world((1, 2, 3)), abs=1e-4)
    assert np.array_equal(read_mask(tmp_path / name).array, labels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_are_written_as_floats(tmp_path, scan, name, dtype):
    values = np.random.default_rng(0).random(scan.array.shape).astype(dtype)
    write_volume(scan.probability(values), tmp_path / name)
    again = read_scan(tmp_path / name).array
    assert np.issubdtype(again.dtype, np.floating)
    assert np.array_equal(again, values)


@pytest.mark.parametrize("name", NAMES)
def test_boolean_masks_are_written(tmp_path, scan, name):
    inside = scan.array > 0
    write_volume(scan.mask(inside), tmp_path / name)
    assert np.array_equal(read_mask(tmp_path / name).array, inside)


def test_a_header_names_its_final_data_file(tmp_path, scan):
    write_volume(scan, tmp_path / "1.2.840.3.mhd")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.2.840.3.mhd", "1.2.840.3.raw"]
    assert "ElementDataFile = 1.2.840.3.raw" in (tmp_path / "1.2.840.3.mhd").read_text("utf-8")
    write_volume(scan.mask((scan.array > 0).astype(np.uint8)), tmp_path / "m.mhd")
    assert (tmp_path / "m.zraw").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_an_older_file_is_replaced(tmp_path, scan, name):
    write_volume(scan, tmp_path / name)
    other = Volume(scan.array[1:], scan.geometry.cropped((1, 0, 0), scan.array[1:].shape))
    write_volume(other, tmp_path / name)
    assert np.array_equal(read_scan(tmp_path / name).array, other.array)


@pytest.mark.parametrize("name", ["a.png", "a", "a.gz", "a.nii.bz2"])
def test_unknown_extensions_are_refused(tmp_path, scan, name):
    with pytest.raises(OutputError, match=r"unknown extension; choose one of \.mhd"):
        write_volume(scan, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_unwritable_places_are_told_and_left_alone(tmp_path, scan, name, capfd):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        write_volume(scan, tmp_path / "file" / name)
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="there is a folder"):
        write_volume(scan, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_half_written_when_the_disk_is_full(tmp_path, scan, name, monkeypatch):
    write_volume(scan, tmp_path / name)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        write_volume(Volume(scan.array + 1, scan.geometry), tmp_path / name)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
