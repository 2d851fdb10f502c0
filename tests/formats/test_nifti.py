"""NIfTI headers field by field; SimpleITK reads the same files, or refuses them."""

import gzip
import re
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import find_scans, read_scan

VALUES = np.arange(24).reshape(2, 3, 4) * 50 - 1000
SFORM = [[1.5, 0, 0, 1], [0, 2, 0, 2], [0, 0, 2.5, 3]]
"""What the default header's qform says too, in RAS."""

MIRRORED = [[-1.5, 0, 0, 10], [0, 2, 0, 20], [0, 0, 2.5, 30]]


def header(
    version=1,
    order="<",
    *,
    q=0,
    s=0,
    spacing=(1.5, 2, 2.5),
    qfac=1,
    quaternion=(0, 0, 0),
    shift=(1, 2, 3),
    srow=SFORM,
    units=2,
    scale=(1, 0),
    dim=(3, 4, 3, 2, 1, 1, 1, 1),
    code=4,
    intent=0,
    magic=None,
):
    """Return a header by the tables of nifti1.h and nifti2.h."""
    raw = bytearray(352 if version == 1 else 544)
    one = version == 1
    real, whole, short = ("f", "h", "h") if one else ("d", "q", "i")

    def put(kind, places, *values):
        struct.pack_into(f"{order}{len(values)}{kind}", raw, places[not one], *values)

    put("i", (0, 0), 348 if one else 540)
    put("h", (70, 12), code)
    put(short, (68, 504), intent)
    put(whole, (40, 16), *dim)
    put(real, (76, 104), qfac, *spacing, 1, 1, 1, 1)
    put("f" if one else "q", (108, 168), len(raw))
    put(real, (112, 176), *scale)
    put("B" if one else "i", (123, 500), units)
    put(short, (252, 344), q)
    put(short, (254, 348), s)
    put(real, (256, 352), *quaternion, *shift)
    put(real, (280, 400), *np.ravel(srow))
    magic = magic or (b"n+1\0" if one else b"n+2\0\r\n\x1a\n")
    at = 344 if one else 4
    raw[at : at + len(magic)] = magic
    return bytes(raw)


def nifti(path, values=VALUES, packed=False, **fields):
    raw = header(**fields) + values.astype(fields.get("order", "<") + "i2").tobytes()
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return path


def warnings(volume):
    return [w for w in volume.source.warnings if "HU" not in w]


AGREEING = {
    "qform alone": {"q": 1},
    "sform alone": {"s": 1},
    "sform alone, aligned": {"s": 2},
    "both": {"q": 1, "s": 1},
    "both, of other kinds": {"q": 2, "s": 4},
    "backwards through space": {"q": 1, "qfac": -1},
    "qfac 0": {"q": 1, "qfac": 0},
    "turned": {"q": 1, "quaternion": (0.1, -0.2, 0.3)},
    "half a turn": {"q": 1, "quaternion": (0.6, 0.8, 0)},
    "half a turn, not quite": {"q": 1, "quaternion": (0.6, 0.8, 1e-4)},
    "a quaternion that is too long": {"q": 1, "quaternion": (1, 1, 1)},
    "big-endian": {"q": 1, "order": ">"},
    "time in seconds": {"q": 1, "units": 2 | 8},
    "no units": {"q": 1, "units": 0},
    "no slope": {"q": 1, "scale": (0, 0)},
    "slope nan": {"q": 1, "scale": (np.nan, 0)},
    "a fourth axis of 1": {"q": 1, "dim": (4, 4, 3, 2, 1, 1, 1, 1)},
}


@pytest.mark.parametrize("fields", AGREEING.values(), ids=AGREEING)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_leave_nothing_open(tmp_path, same_as_simpleitk, fields, packed):
    path = nifti(tmp_path / ("a.nii.gz" if packed else "a.nii"), packed=packed, **fields)
    assert warnings(same_as_simpleitk(path)) == []


TOLD = {
    "neither": ({}, "left and right may be swapped"),
    "sform of the scanner": ({"q": 1, "s": 1, "srow": MIRRORED}, "apart: the sform is taken"),
    "sform of an atlas": ({"q": 1, "s": 4, "srow": MIRRORED}, "apart: the qform is taken"),
    "sheared beside a qform": (
        {"q": 1, "s": 1, "srow": [[1.5, 0.3, 0, 10], *SFORM[1:]]},
        "not at right angles: the qform is taken",
    ),
    "sform of another spacing": (
        {"s": 2, "srow": [[3, 0, 0, 10], *SFORM[1:]]},
        r"the sform's spacing \(3, 2, 2.5\) is not the header's \(1.5, 2, 2.5\)",
    ),
    "metres": ({"q": 1, "units": 1}, "metres: converted"),
    "micrometres": ({"s": 1, "units": 3}, "micrometres: converted"),
}


@pytest.mark.parametrize(("fields", "words"), TOLD.values(), ids=TOLD)
def test_what_a_header_leaves_open_is_told(tmp_path, same_as_simpleitk, fields, words):
    path = nifti(tmp_path / "a.nii", **fields)
    (said,) = warnings(same_as_simpleitk(path))
    assert re.search(words, said)
    with pytest.raises(ScanError, match=words):
        read_scan(path, strict=True)


@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-500, 500, width=32)] * 3),
    qfac=st.sampled_from([1, -1]),
    codes=st.sampled_from([(1, 0), (0, 1), (0, 3), (1, 1), (1, 2), (2, 1), (3, 4)]),
    mismatch=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_pair_of_forms_is_read_as_simpleitk_reads_it(
    tmp_path_factory, turn, shift, qfac, codes, mismatch
):
    rotation = Rotation.from_rotvec(turn)
    vector = rotation.as_quat(canonical=True)[:3]
    columns = rotation.as_matrix() * [1, 1, qfac] * [1.5, 2, 2.5]
    if mismatch:
        columns = columns[:, [1, 0, 2]] * [1.5 / 2, 2 / 1.5, 1]
    path = tmp_path_factory.mktemp("nifti") / "a.nii"
    srow = np.column_stack([columns, shift])
    q, s = codes
    nifti(path, q=q, s=s, qfac=qfac, quaternion=vector, shift=shift, srow=srow)
    image, volume = sitk.ReadImage(str(path)), read_scan(path)
    own = volume.geometry.source
    assert own.origin == pytest.approx(image.GetOrigin(), abs=1e-6)
    # a qform of nearly half a turn is inexact in single precision, by either reader
    assert np.ravel(own.direction) == pytest.approx(image.GetDirection(), abs=1e-4)
    told = [w for w in warnings(volume) if "apart" in w]
    assert bool(told) == (mismatch and q > 0 and s > 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("fields", AGREEING.values(), ids=AGREEING)
def test_version_2_says_what_version_1_says(tmp_path, order, fields):
    one = read_scan(nifti(tmp_path / "one.nii", **fields))
    fields = fields | {"order": order}
    two = read_scan(nifti(tmp_path / "two.nii.gz", packed=True, version=2, **fields))
    assert np.array_equal(one.array, two.array)
    assert two.array.dtype == np.int16
    assert one.geometry.same_grid(two.geometry, 1e-4)
    assert one.source.warnings == two.source.warnings


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [((1, -1024), np.int16), ((2, 5), np.int16), ((0.5, 3), np.float32), ((100, 0), np.int32)],
)
@pytest.mark.parametrize("version", [1, 2])
def test_slope_and_intercept(tmp_path, scale, dtype, version):
    volume = read_scan(nifti(tmp_path / "a.nii", version=version, q=1, scale=scale))
    assert volume.array.dtype == dtype
    slope, intercept = scale
    found = volume.geometry.to_source(volume.array)
    assert np.allclose(found, VALUES * slope + intercept)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"q": 1, "spacing": (-1.5, 2, 2.5)}, "negative voxel spacing"),
        ({"q": 1, "spacing": (0, 2, 2.5)}, "impossible spacing"),
        ({"q": 1, "spacing": (np.nan, 2, 2.5)}, "impossible spacing"),
        ({"q": 1, "shift": (np.inf, 2, 2.5)}, "impossible spacing .* or origin"),
        ({"q": 1, "quaternion": (np.nan, 0, 0)}, "not at right angles"),
        ({"s": 1, "srow": [[1.5, 0.3, 0, 1], *SFORM[1:]]}, "not at right angles"),
        ({"s": 1, "srow": np.zeros((3, 4))}, "not at right angles"),
        ({"q": 1, "dim": (5, 4, 3, 2, 1, 3, 1, 1), "intent": 1007}, "colour or vector"),
        ({"q": 1, "dim": (5, 4, 3, 2, 2, 3, 1, 1)}, "not a three-dimensional scan"),
        ({"q": 1, "dim": (2, 4, 3, 2, 1, 1, 1, 1)}, "not a three-dimensional scan"),
        ({"q": 1, "dim": (9, 4, 3, 2, 1, 1, 1, 1)}, "not a three-dimensional scan"),
        ({"q": 1, "dim": (3, 4, 3, -2, 1, 1, 1, 1)}, "not a three-dimensional scan"),
        ({"q": 1, "code": 32}, "colour or vector"),
        ({"q": 1, "code": 128}, "colour or vector"),
        ({"q": 1, "code": 1536}, "NIfTI type 1536"),
        ({"q": 1, "magic": b"ni1\0"}, "voxels lie in another file"),
    ],
)
def test_headers_that_cannot_be_trusted(tmp_path, fields, words):
    path = nifti(tmp_path / "a.nii", **fields)
    with pytest.raises(ScanError, match=words):
        read_scan(path)


@pytest.mark.parametrize("name", ["a.hdr", "a.img", "a.hdr.gz"])
def test_pairs_of_header_and_voxels_are_refused_in_words(tmp_path, name):
    (tmp_path / name).write_bytes(header(magic=b"ni1\0"))
    with pytest.raises(ScanError, match=r"in two files \(.hdr, .img\).*save them as one"):
        read_scan(tmp_path / name)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_one_of_several_volumes(tmp_path, packed, version):
    many = np.stack([VALUES, VALUES + 7, VALUES * -1])
    path = tmp_path / "4d.nii.gz"
    dim = (4, 4, 3, 2, 3, 1, 1, 1)
    nifti(path, many, packed=packed, version=version, q=1, dim=dim)
    for scan, values in zip(find_scans(path), many, strict=True):
        volume = read_scan(path, series=scan.series)
        assert np.array_equal(volume.geometry.to_source(volume.array), values)
    raw = path.read_bytes()
    path.write_bytes(raw[:-8])
    with pytest.raises(ScanError, match=r"truncated|damaged"):
        read_scan(path, series="3")


def test_packed_in_several_pieces_with_zeros_behind(tmp_path):
    raw = header(q=1) + VALUES.astype("<i2").tobytes()
    pieces = gzip.compress(raw[:370]) + gzip.compress(raw[370:]) + bytes(100)
    (tmp_path / "a.nii.gz").write_bytes(pieces)
    volume = read_scan(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.geometry.to_source(volume.array), VALUES)
    for behind, words in ((b"junk", "something else follows"), (gzip.compress(b"xy"), "too much")):
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(raw) + behind)
        with pytest.raises(ScanError, match=words):
            read_scan(tmp_path / "a.nii.gz")
