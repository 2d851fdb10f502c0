"""Whatever the bytes of a header are, a scan is read or refused in words."""

import random

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import read_scan

BYTES = [*b"0123456789-. \n=:x", 0, 127, 255]


def outcomes(scan, path, header_bytes, rounds=250):
    """Damage one to four bytes of a header, again and again; count read and refused."""
    chance = random.Random(7)
    whole = path.read_bytes()
    counts = {"read": 0, "refused": 0}
    for _ in range(rounds):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(min(header_bytes, len(whole)))
            damaged[place] = chance.choice(BYTES)
        path.write_bytes(damaged)
        try:
            assert read_scan(scan).array.ndim == 3
            counts["read"] += 1
        except ScanError:
            counts["refused"] += 1
    return counts


@pytest.mark.parametrize(
    "line",
    ["NDims = 93", "NDims = 2", "Offset = 0 0", "TransformMatrix = 1 0 0 1", "DimSize = 4 4"],
)
def test_counts_that_end_the_process_in_metaio(tmp_path, line):
    (tmp_path / "a.raw").write_bytes(bytes(48))
    fields = {
        "NDims": "3",
        "DimSize": "4 3 2",
        "ElementSpacing": "1 1 1",
        "ElementType": "MET_SHORT",
    }
    key, _, value = line.partition(" = ")
    header = "".join(f"{k} = {v}\n" for k, v in (fields | {key: value}).items())
    (tmp_path / "a.mhd").write_text(f"{header}ElementDataFile = a.raw\n", "utf-8")
    with pytest.raises(ScanError, match=r"does not fit DimSize"):
        read_scan(tmp_path / "a.mhd")


@pytest.mark.parametrize("name", ["a.mhd", "a.mha", "a.nii", "a.nii.gz", "a.nrrd"])
def test_damaged_image_headers(tmp_path, name):
    array = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name))
    counts = outcomes(tmp_path / name, tmp_path / name, 420)
    assert counts["refused"] > 5


def test_damaged_dicom_headers(tmp_path, write_series, positions):
    stored = np.zeros((3, 8, 8), np.uint16)
    write_series(tmp_path, stored, positions(3))
    size = (tmp_path / "899").stat().st_size - stored[0].nbytes
    counts = outcomes(tmp_path, tmp_path / "899", size)
    assert min(counts.values()) > 5
