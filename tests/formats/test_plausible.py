"""Values that cannot be HU are told; those of a CT, masked or cropped, are not."""

import re

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import read_mask, read_scan
from napari_ctlns.formats.plausible import value_warnings

SHAPE = (24, 40, 40)


@pytest.fixture(scope="module")
def chest():
    """Air around a body with two lungs and a bone, with noise; float HU."""
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(-1, 1, n) for n in SHAPE)
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    hu = np.full(SHAPE, -1000.0)
    hu[np.broadcast_to((y / 0.75) ** 2 + (x / 0.9) ** 2 < 1, SHAPE)] = 40
    for side in (-0.42, 0.42):
        hu[((x - side) / 0.33) ** 2 + (y / 0.5) ** 2 + (z / 0.9) ** 2 < 1] = -850
    hu[:, 34:36, 19:22] = 700
    return hu + rng.normal(0, 20, SHAPE)


def lungs(chest):
    return (chest < -500) & (np.abs(np.linspace(-1, 1, 40)) < 0.8)


CTS = {
    "as it is": lambda hu: hu.astype(np.int16),
    "in floats": lambda hu: hu.astype(np.float32),
    "padded far below air": lambda hu: np.where(hu < -900, -3024, hu).astype(np.int16),
    "clipped at air": lambda hu: np.maximum(hu, -1000).astype(np.int16),
    "the lungs alone, the rest 0": lambda hu: np.where(lungs(hu), hu, 0).astype(np.int16),
    "the lungs alone, the rest padding": lambda hu: np.where(lungs(hu), hu, -2000).astype(np.int16),
    "a crop around the edge of a lung": lambda hu: hu[8:16, 15:25, 8:20].astype(np.int16),
    "a crop inside a lung": lambda hu: hu[10:14, 18:22, 10:13].astype(np.int16),
    "windowed to the lung": lambda hu: np.clip(hu, -1350, 150).astype(np.int16),
    "with metal": lambda hu: np.where(hu > 600, 30000, hu).astype(np.int16),
}


@pytest.mark.parametrize("change", CTS.values(), ids=CTS)
def test_a_ct_is_left_in_peace(chest, change):
    assert value_warnings(change(chest)) == []


def rescaled_to(low, high):
    return lambda hu: np.clip((hu + 1000) / 1400, 0, 1) * (high - low) + low


STRANGE = {
    "picture of 8 bits": (lambda hu: rescaled_to(0, 255)(hu).astype(np.uint8), "8-bit, 0 to 255"),
    "mirrored picture": (lambda hu: rescaled_to(-128, 127)(hu).astype(np.int8), "8-bit, -128"),
    "picture in int16": (lambda hu: rescaled_to(0, 255)(hu).astype(np.int16), "as in a picture"),
    "picture in uint16": (lambda hu: rescaled_to(0, 255)(hu).astype(np.uint16), "0 to 255"),
    "picture in floats": (lambda hu: rescaled_to(0, 255)(hu).astype(np.float32), "0 to 255"),
    "0 to 1": (lambda hu: rescaled_to(0, 1)(hu).astype(np.float32), "within 0 to 1"),
    "-1 to 1": (lambda hu: rescaled_to(-1, 1)(hu).astype(np.float64), "within -1 to 1"),
    "z-scored": (lambda hu: (hu - hu.mean()) / hu.std(), "mean .* and spread 1"),
    "constant": (lambda hu: np.full_like(hu, -1000), "every voxel is -1000"),
    "shifted": (lambda hu: np.maximum(hu + 1024, 0).astype(np.int16), "shifted by 1024"),
    "shifted, unsigned": (lambda hu: np.maximum(hu + 1024, 0).astype(np.uint16), "by 1024"),
    "shifted, padded": (
        lambda hu: np.where(hu < -990, -2000, hu + 1024).astype(np.int16),
        "shifted by 1024",
    ),
    "soft tissue alone": (lambda hu: np.where(hu > -300, hu, 30).astype(np.int16), "no air"),
    "fat to muscle alone": (
        lambda hu: np.clip(hu, -40, 50).astype(np.int16),
        "too close for air and tissue",
    ),
}


@pytest.mark.parametrize(("change", "words"), STRANGE.values(), ids=STRANGE)
def test_what_cannot_be_hu_is_told_in_fitting_words(chest, change, words):
    (said,) = value_warnings(change(chest))
    assert said.startswith("not in HU: ")
    assert re.search(words, said)


def test_voxels_without_numbers_are_counted_and_the_rest_is_looked_at(chest):
    hu = chest.astype(np.float32)
    hu[0, 0, :3] = np.nan, np.inf, -np.inf
    assert value_warnings(hu) == ["3 voxels are no numbers: they count as -1024 HU"]
    pale = np.where(np.isfinite(hu), np.clip(hu, 0, 1), np.nan)
    counted, told = value_warnings(pale)
    assert counted.startswith("3 voxels are no numbers")
    assert "0 to 1" in told
    nothing = np.full(SHAPE, np.nan, np.float32)
    assert value_warnings(nothing) == [
        f"{nothing.size} voxels are no numbers: they count as -1024 HU"
    ]


def test_flipped_and_turned_views_are_looked_at_alike(chest):
    for change, _ in STRANGE.values():
        array = change(chest)
        assert len(value_warnings(array[::-1].transpose(2, 0, 1))) == 1


def test_a_scan_is_read_with_the_warning_and_strictly_refused(tmp_path, chest):
    path = tmp_path / "a.mha"
    picture = rescaled_to(0, 255)(chest).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(picture), str(path))
    (said,) = read_scan(path).source.warnings
    assert "as in a picture" in said
    with pytest.raises(ScanError, match="refused, being strict: not in HU"):
        read_scan(path, strict=True)
    sitk.WriteImage(sitk.GetImageFromArray(chest.astype(np.int16)), str(path))
    assert read_scan(path, strict=True).source.warnings == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_labels_are_no_hu_and_nobody_minds(tmp_path, chest, dtype):
    sitk.WriteImage(sitk.GetImageFromArray((chest > 0).astype(dtype)), str(tmp_path / "a.mha"))
    assert read_mask(tmp_path / "a.mha").source.warnings == ()


@pytest.mark.parametrize(
    "name",
    [
        "chest-64/ct-64.nrrd",
        "chest-64/dicom",
        "lidc-idri-0001/dicom",
        "lung-crop-mha/3DCT_lung.mha",
        "lung-pet-ct-dx-a0001/dicom",
    ],
)
def test_real_scans_are_left_in_peace(data, name):
    assert not [w for w in read_scan(data / name).source.warnings if "HU" in w]
