"""Whatever the bytes of a header are, a scan is read or refused in words."""

import gzip
import random
import re
import time
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import CtlnsError, ScanError
from napari_ctlns.formats import read_scan

NAMES = ["a.mhd", "a.mha", "a.nii", "a.nii.gz", "a.nrrd", "a.nhdr"]
BYTES = [*b"0123456789-. \n=:x", 0, 127, 255]
NUMBERS = [
    *("0", "-1", "1", "2", "3", "7", "1e9", "1e300", "-1e300", "nan", "-nan", "inf", "1e-300"),
    *("65536", "2147483647", "2147483648", "9223372036854775807", "99999999999999999999", "0x10"),
    *("1 2", "", "none", "()", "(1,0,0)", "LIST", "LOCAL", "../a.raw", "%d", "a" * 5000),
]
LONGEST_S = 5


def damaged_bytes(chance, head):
    """Change one to four bytes."""
    changed = bytearray(head)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(head))] = chance.choice(BYTES)
    return bytes(changed)


def damaged_numbers(chance, head):
    """Put something else in the place of a number, or of any word."""
    found = list(re.finditer(rb"[-+.\w]+" if chance.random() < 0.3 else rb"-?[0-9][-+.\w]*", head))
    if not found:
        return damaged_bytes(chance, head)
    for match in sorted(chance.sample(found, min(len(found), chance.randint(1, 2))), key=start)[
        ::-1
    ]:
        head = head[: match.start()] + chance.choice(NUMBERS).encode() + head[match.end() :]
    return head


def start(match):
    return match.start()


def damaged_lines(chance, head):
    """Drop a line, double it, or swap it with another."""
    lines = head.splitlines(keepends=True)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(3)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, damaged_numbers(chance, lines[one]))
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def damaged_fields(chance, head):
    """Put an extreme number of some width and byte order anywhere: headers of NIfTI."""
    changed = bytearray(head)
    kind = chance.choice(["i1", "<i2", ">i2", "<i4", "<i8", "<f4", ">f4", "<f8"])
    values = [0, -1, 1, 2, 4, 7, 1e9, -1e9, 32767, -32768, 1e30, np.nan, np.inf, 348, 540, 1e-30]
    with np.errstate(all="ignore"):
        field = np.array(chance.choice(values)).astype(kind).tobytes()
    at = chance.randrange(0, max(len(head) - len(field), 1), 2)
    changed[at : at + len(field)] = field
    return bytes(changed)


def shortened(chance, whole):
    return whole[: chance.randrange(len(whole))]


def outcome(scan):
    """Read a scan as a person would; return what became of it."""
    began = time.perf_counter()
    try:
        volume = read_scan(scan)
    except CtlnsError:
        return "refused"
    finally:
        assert time.perf_counter() - began < LONGEST_S
    geometry = volume.geometry
    assert volume.array.ndim == 3
    assert volume.array.shape == geometry.shape
    assert min(geometry.spacing) > 0
    corners = geometry.index_to_world([[0, 0, 0], np.asarray(geometry.shape) - 1])
    assert np.isfinite(corners).all()
    assert np.isfinite(geometry.world_to_index(corners)).all()
    return "read"


def outcomes(scan, path, header_bytes, kinds, rounds, packed=lambda raw: raw, whole=None):
    """Damage the header of a file again and again, or cut the file; count read and refused."""
    chance = random.Random(7)
    whole = path.read_bytes() if whole is None else whole
    head, rest = whole[:header_bytes], whole[header_bytes:]
    counts = {"read": 0, "refused": 0}
    for number in range(rounds):
        damage = kinds[number % len(kinds)]
        if damage is shortened:
            path.write_bytes(shortened(chance, packed(whole)))
        else:
            path.write_bytes(packed(damage(chance, head) + rest))
        counts[outcome(scan)] += 1
    return counts


TEXT = [damaged_bytes, damaged_numbers, damaged_lines, shortened]
BINARY = [damaged_bytes, damaged_fields, shortened]


def damaged_image(tmp_path, name, packed, rounds):
    array = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), packed)
    whole = path.read_bytes()
    if name == "a.nii.gz":
        # the header is damaged, then packed
        return outcomes(path, path, 352, BINARY, rounds, gzip.compress, gzip.decompress(whole))
    if name == "a.nii":
        return outcomes(path, path, 352, BINARY, rounds)
    end = {"a.mha": whole.find(b"LOCAL") + 6, "a.nrrd": whole.find(b"\n\n") + 2}
    return outcomes(path, path, end.get(name, len(whole)), TEXT, rounds)


CASES = [(name, packed) for name in NAMES for packed in (False, True) if ".nii" not in name]
CASES += [("a.nii", False), ("a.nii.gz", True)]


@pytest.mark.parametrize(("name", "packed"), CASES)
def test_damaged_image_headers(tmp_path, name, packed, capfd):
    counts = damaged_image(tmp_path, name, packed, 300)
    assert min(counts.values()) > 10
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "packed"), CASES)
def test_five_thousand_damaged_image_headers(tmp_path, name, packed, capfd):
    tracemalloc.start()
    try:
        counts = damaged_image(tmp_path, name, packed, 5000)
        # a file of some hundred bytes never takes more than its packed voxels might
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert min(counts.values()) > 100
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr"])
def test_damaged_data_files(tmp_path, name, packed):
    """What is beside a header may be cut or changed too; packed voxels carry a checksum."""
    array = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name), packed)
    (data,) = (path for path in tmp_path.iterdir() if path.name != name)
    size = data.stat().st_size
    counts = outcomes(tmp_path / name, data, size, [damaged_bytes, shortened], 2000)
    assert counts["refused"] >= 1000


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


def test_damaged_dicom_headers(tmp_path, write_series, positions):
    stored = np.zeros((3, 8, 8), np.uint16)
    write_series(tmp_path, stored, positions(3))
    size = (tmp_path / "899").stat().st_size - stored[0].nbytes
    counts = outcomes(tmp_path, tmp_path / "899", size, [damaged_bytes], 250)
    assert min(counts.values()) > 5
