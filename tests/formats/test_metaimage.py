"""MetaImage headers line by line; SimpleITK reads the same files."""

import re
import zlib

import numpy as np
import pytest

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import find_scans, read_mask, read_scan

VALUES = (np.arange(24).reshape(2, 3, 4) * 50 - 1000).astype("<i2")
SPACED = "ElementSpacing = 1.5 2 2.5\n"
TURNED = "0 0.8 0.6 1 0 0 0 -0.6 0.8"


def metaimage(path, extra="", *, data="a.raw", stored=None, behind="", size="4 3 2", axes=3):
    stored = VALUES.tobytes() if stored is None else stored
    head = f"NDims = {axes}\nDimSize = {size}\n{extra}ElementType = MET_SHORT\n"
    raw = f"{head}ElementDataFile = {data}\n".encode()
    if data == "LOCAL":
        raw += behind.encode() + stored
    else:
        (path.parent / "a.raw").write_bytes(behind.encode() + stored)
    path.write_bytes(raw)
    return path


def warnings(volume):
    return [w for w in volume.source.warnings if "HU" not in w]


AGREEING = [
    SPACED,
    "ElementSize = 1.5 2 2.5\n",
    SPACED + "ElementSize = 9 9 9\n",
    "ElementSpacing: 1.5 2 2.5\n",
    SPACED + "Offset = 1 2 3\n",
    SPACED + "Position = 1 2 3\n",
    SPACED + "Origin = 1 2 3\n",
    SPACED + "Offset = 1 2 3\nPosition = 4 5 6\nOrigin = 7 8 9\n",
    SPACED + "Position = 4 5 6\nOffset = 1 2 3\n",
    SPACED + f"TransformMatrix = {TURNED}\n",
    SPACED + f"Rotation = {TURNED}\n",
    SPACED + f"Orientation = {TURNED}\n",
    SPACED + f"Orientation = 1 0 0 0 1 0 0 0 1\nRotation = {TURNED}\n",
    SPACED
    + f"Rotation = 1 0 0 0 1 0 0 0 1\nTransformMatrix = {TURNED}\nCenterOfRotation = 1 2 3\n",
    SPACED + "TransformMatrix = 1 0 0 0 1 0 0 0 1\nAnatomicalOrientation = LPI\n",
    SPACED + "BinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n",
    SPACED + "ElementByteOrderMSB = True\n",
    SPACED + "BinaryDataByteOrderMSB = T\n",
    "ElementSpacing = 1.5 2 -2.5\n",
    "ObjectType = Image\nObjectSubType = Image\nComment = a = b : c\n" + SPACED,
]


@pytest.mark.parametrize("extra", AGREEING)
@pytest.mark.parametrize("data", ["a.raw", "LOCAL"])
def test_headers_are_read_as_simpleitk_reads_them(tmp_path, same_as_simpleitk, extra, data):
    path = metaimage(tmp_path / "a.mha", extra, data=data)
    assert warnings(same_as_simpleitk(path)) == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("", "no voxel spacing: 1 mm is taken"),
        (SPACED + "DistanceUnits = um\n", "distances are in um"),
        (
            SPACED + "ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = 5\n",
            "intensity function (2, 5) is not applied",
        ),
    ],
)
def test_what_is_taken_as_in_itk_is_told(tmp_path, same_as_simpleitk, extra, words):
    (said,) = warnings(same_as_simpleitk(metaimage(tmp_path / "a.mhd", extra)))
    assert words in said


def test_a_header_size_counts_from_the_beginning_of_the_file(tmp_path, same_as_simpleitk):
    path = metaimage(tmp_path / "a.mhd", f"{SPACED}HeaderSize = 7\n", behind="VENDOR!")
    same_as_simpleitk(path)
    path = metaimage(tmp_path / "b.mha", f"{SPACED}HeaderSize = 300\n", data="LOCAL")
    gap = " " * (300 - path.read_bytes().index(VALUES.tobytes()))
    same_as_simpleitk(metaimage(path, f"{SPACED}HeaderSize = 300\n", data="LOCAL", behind=gap))
    same_as_simpleitk(
        metaimage(tmp_path / "c.mha", f"{SPACED}HeaderSize = -1\n", data="LOCAL", behind="VENDOR!")
    )


def test_windows_line_ends(tmp_path, same_as_simpleitk):
    path = metaimage(tmp_path / "a.mhd", SPACED + "Offset = 1 2 3\n")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    same_as_simpleitk(path)


def test_a_data_file_in_a_folder_below(tmp_path):
    (tmp_path / "voxels").mkdir()
    (tmp_path / "voxels" / "a.raw").write_bytes(VALUES.tobytes())
    path = metaimage(tmp_path / "a.mhd", SPACED, data="voxels/a.raw")
    assert np.array_equal(read_scan(path).array, VALUES)


def test_links_out_of_the_folder_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.raw").write_bytes(VALUES.tobytes())
    path = metaimage(tmp_path / "in" / "a.mhd", SPACED, data="link.raw")
    try:
        (tmp_path / "in" / "link.raw").symlink_to(tmp_path / "secret.raw")
    except OSError:
        pytest.skip("no links on this system")
    with pytest.raises(ScanError, match="lies outside the folder"):
        read_scan(path)
    # a link to header and voxels together is somebody's own order
    (tmp_path / "in" / "link.raw").unlink()
    (tmp_path / "in" / "link.raw").write_bytes(VALUES.tobytes())
    (tmp_path / "short").symlink_to(tmp_path / "in")
    assert np.array_equal(read_scan(tmp_path / "short" / "a.mhd").array, VALUES)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("ElementSpacing = 1 0 1\n", "impossible spacing 1 x 0 x 1"),
        ("ElementSpacing = 1 nan 1\n", "impossible spacing"),
        ("ElementSpacing = 1 1e30 1\n", "impossible spacing"),
        ("ElementSpacing = 1,2,3\n", "ElementSpacing = 1,2,3 does not fit DimSize"),
        (SPACED + "Offset = 1 inf 1\n", "origin 1 x inf x 1"),
        (SPACED + "TransformMatrix = 2 0 0 0 2 0 0 0 2\n", "not of length 1"),
        (SPACED + "TransformMatrix = 1 0 0 0.3 1 0 0 0 1\n", "not at right angles"),
        (SPACED + "TransformMatrix = 0 0 0 0 0 0 0 0 0\n", "not at right angles"),
        (SPACED + "ElementSpacing = 3 3 3\n", "ElementSpacing stands twice"),
        (SPACED + "ElementNumberOfChannels = 3\n", "colour or vector"),
    ],
)
def test_headers_that_cannot_be_trusted(tmp_path, extra, words):
    with pytest.raises(ScanError, match=re.escape(words)):
        read_scan(metaimage(tmp_path / "a.mhd", extra))


@pytest.mark.parametrize("name", ["x" * 3000, "a\0b", "/etc/hostname", "../a.raw", "."])
def test_names_that_cannot_be_data_files(tmp_path, name):
    with pytest.raises(ScanError, match=r"impossible name|outside the folder|missing data file"):
        read_scan(metaimage(tmp_path / "a.mhd", SPACED, data=name))


@pytest.mark.parametrize("packed", [False, True])
def test_one_of_several_volumes(tmp_path, packed):
    many = np.stack([VALUES, VALUES + 7, VALUES[::-1], VALUES + 9])
    extra = "ElementSpacing = 1 2 3 4\nOffset = 1 2 3 4\nCompressedData = " + str(packed) + "\n"
    stored = zlib.compress(many.tobytes()) if packed else many.tobytes()
    metaimage(tmp_path / "4d.mhd", extra, stored=stored, size="4 3 2 4", axes=4)
    found = find_scans(tmp_path)
    assert [scan.series for scan in found] == [f"4d_volume{k}" for k in (1, 2, 3, 4)]
    assert found[1].title == "4d.mhd, volume 2 of 4"
    volumes = [read_scan(scan.path, series=scan.series) for scan in found]
    assert np.array_equal([v.array for v in volumes], many)
    assert [v.scan_id for v in volumes] == [f"4d_volume{k}" for k in (1, 2, 3, 4)]
    assert {v.patient_id for v in volumes} == {"4d"}
    assert volumes[0].geometry.spacing == (3, 2, 1)
    again = read_scan(found[2].path, series=volumes[2].scan_id)
    assert np.array_equal(again.array, many[2])
    with pytest.raises(ScanError, match=r"4 volumes in .*choose one with --series 1 to 4"):
        read_scan(tmp_path / "4d.mhd")
    for wrong in ("0", "5", "-1", "x", "4d"):
        with pytest.raises(ScanError, match="choose one of 1 to 4"):
            read_scan(tmp_path / "4d.mhd", series=wrong)


def test_a_single_volume_needs_no_choice(tmp_path):
    extra = "ElementSpacing = 1 2 3 4\n"
    metaimage(tmp_path / "a.mhd", extra, size="4 3 2 1", axes=4)
    assert np.array_equal(read_scan(tmp_path / "a.mhd").array, VALUES)
    assert read_scan(tmp_path / "a.mhd", series="a").scan_id == "a"
    assert [scan.series for scan in find_scans(tmp_path)] == [None]


def test_packed_voxels_that_claim_too_much_take_no_memory(tmp_path):
    stored = zlib.compress(bytes(1 << 20))
    path = metaimage(
        tmp_path / "a.mhd", f"{SPACED}CompressedData = True\n", stored=stored, size="1024 1024 512"
    )
    with pytest.raises(ScanError, match=rf"truncated .* found {len(stored)} packed"):
        read_scan(path)
    # within what deflate could hold, but not there
    path = metaimage(
        tmp_path / "a.mhd", f"{SPACED}CompressedData = True\n", stored=stored, size="1024 512 1"
    )
    assert not read_mask(path).array.any()
    path = metaimage(
        tmp_path / "a.mhd", f"{SPACED}CompressedData = True\n", stored=stored, size="1023 512 1"
    )
    with pytest.raises(ScanError, match=r"too much data .* found more"):
        read_scan(path)
