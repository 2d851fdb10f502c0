"""NRRD headers line by line; SimpleITK reads the same files, or refuses them."""

import bz2
import gzip
import re

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import find_scans, read_scan

VALUES = (np.arange(24).reshape(2, 3, 4) * 50 - 1000).astype("<i2")
LPS = "space: left-posterior-superior\n"
STEPS = "space directions: (1.5,0,0) (0,2,0) (0,0,2.5)\n"
ORIGIN = "space origin: (1,2,3)\n"
GRID = LPS + STEPS + ORIGIN
SIZES = "dimension: 3\nsizes: 4 3 2\n"
LOOSE = "type: short\nendian: little\n"


def nrrd(path, extra=GRID, *, sizes=SIZES, encoding="raw", stored=None):
    """Write header and voxels as one file, or apart where the header names a data file."""
    stored = VALUES.tobytes() if stored is None else stored
    head = f"NRRD0005\n# by hand\n{LOOSE}{sizes}encoding: {encoding}\n{extra}some:=text: here\n"
    path.write_bytes(head.encode() + b"\n" + (b"" if "data file" in extra else stored))
    return path


def warnings(volume):
    return [w for w in volume.source.warnings if "HU" not in w]


TURN = "(0,1.2,0.9) (2,0,0) (0,-1.5,2)"
AGREEING = [
    GRID,
    LPS + STEPS,
    f"space: LPS\nspace directions: {TURN}\n{ORIGIN}",
    f"space: RAS\nspace directions: {TURN}\n{ORIGIN}",
    f"space: right-anterior-superior\n{STEPS}{ORIGIN}",
    f"space: left-anterior-superior\nspace directions: {TURN}\n{ORIGIN}",
    f"space: LAS\nspace directions: {TURN}\n{ORIGIN}",
    GRID + 'kinds: domain domain domain\nspace units: "mm" "mm" "mm"\n',
    GRID + "kinds: space space space\ncenters: node cell cell\nthicknesses: NaN NaN 3\n",
    GRID + "measurement frame: (1,0,0) (0,1,0) (0,0,1)\n",
]


@pytest.mark.parametrize("extra", AGREEING)
def test_headers_are_read_as_simpleitk_reads_them(tmp_path, same_as_simpleitk, extra):
    assert warnings(same_as_simpleitk(nrrd(tmp_path / "a.nrrd", extra))) == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("", "no voxel spacing"),
        ("spacings: 1.5 2 2.5\n", "no orientation"),
        ("spacings: 1.5 2 2.5\naxis mins: 1 2 3\n", "no orientation"),
        ("spacings: 1.5 2 2.5\naxis mins: 1 2 3\ncenters: node node node\n", "no orientation"),
        ("spacings: 1.5 2 2.5\naxis mins: 1 2 3\ncenters: cell cell cell\n", "no orientation"),
        (f"space: scanner-xyz\n{STEPS}{ORIGIN}", "no orientation"),
        (f"space dimension: 3\n{STEPS}{ORIGIN}", "no orientation"),
        (GRID + 'space units: "um" "um" "um"\n', "distances are in um"),
    ],
)
def test_what_is_taken_as_in_itk_is_told(tmp_path, same_as_simpleitk, extra, words):
    assert words in warnings(same_as_simpleitk(nrrd(tmp_path / "a.nrrd", extra)))[0]


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize(
    ("encoding", "pack"), [("raw", bytes), ("gzip", gzip.compress), ("bzip2", bz2.compress)]
)
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
def test_encodings_attached_and_detached(tmp_path, attached, encoding, pack, name):
    stored = pack(VALUES.tobytes())
    extra = GRID if attached else GRID + "data file: voxels of a.bin\n"
    if not attached:
        (tmp_path / "voxels of a.bin").write_bytes(stored)
    volume = read_scan(nrrd(tmp_path / name, extra, encoding=encoding, stored=stored))
    assert np.array_equal(volume.array, VALUES)
    assert volume.source.format == "nrrd"
    assert volume.scan_id == "a"


@pytest.mark.parametrize(
    ("extra", "encoding", "stored"),
    [
        ("line skip: 2\n", "raw", b"one\ntwo\n" + VALUES.tobytes()),
        ("byte skip: 5\n", "raw", b"12345" + VALUES.tobytes()),
        ("line skip: 1\nbyte skip: 3\n", "raw", b"one\n123" + VALUES.tobytes()),
        ("byte skip: -1\n", "raw", b"anything" + VALUES.tobytes()),
        ("byte skip: 5\n", "gzip", gzip.compress(b"12345" + VALUES.tobytes())),
        ("line skip: 1\n", "gzip", b"one\n" + gzip.compress(VALUES.tobytes())),
    ],
)
def test_what_precedes_the_voxels_is_stepped_over(tmp_path, extra, encoding, stored):
    (tmp_path / "a.bin").write_bytes(stored)
    path = nrrd(tmp_path / "a.nhdr", f"{GRID}{extra}data file: a.bin\n", encoding=encoding)
    assert np.array_equal(read_scan(path).array, VALUES)
    assert np.array_equal(sitk.GetArrayViewFromImage(sitk.ReadImage(str(path))), VALUES)
    path = nrrd(tmp_path / "a.nrrd", GRID + extra, encoding=encoding, stored=stored)
    assert np.array_equal(read_scan(path).array, VALUES)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("space: LPS\nspace directions: (0,0,0) (0,2,0) (0,0,2)\n", "impossible spacing"),
        ("space: LPS\nspace directions: (1,1,0) (0,2,0) (0,0,2)\n", "not at right angles"),
        ("space: LPS\nspace directions: (1,0,0) (0,2,0)\n", "are not 3 vectors"),
        ("space: LPS\nspace directions: (1,0,x) (0,2,0) (0,0,2)\n", "are not 3 vectors"),
        (GRID.replace("(1,2,3)", "(1,2)"), "not a three-dimensional scan"),
        (GRID.replace("(1,2,3)", "none"), "are not 1 vectors"),
        ("spacings: 1 2\n", "spacings 1 2 are not 3"),
        (GRID + "kinds: domain domain\n", "kinds domain domain are not 3"),
        (GRID + "space origin: (7,7,7)\n", "spaceorigin stands twice"),
        (GRID + "data file: ../a.bin\n", "outside the folder"),
        (GRID + "data file: /etc/passwd\n", "outside the folder"),
        (GRID + "data file: absent.bin\n", "missing data file"),
        (GRID + "data file: LIST\na.bin\nb.bin\n", "several files"),
        (GRID + "data file: a%03d.bin 1 2 1\n", "several files"),
        (GRID + "line skip: -3\n", "-3 lines"),
        (GRID + "byte skip: -2\n", "-2 bytes"),
        (GRID + "byte skip: many\n", "cannot read"),
    ],
)
def test_headers_that_cannot_be_trusted(tmp_path, extra, words):
    with pytest.raises(ScanError, match=re.escape(words)):
        read_scan(nrrd(tmp_path / "a.nhdr", extra))


@pytest.mark.parametrize("encoding", ["ascii", "text", "hex", "zip"])
def test_other_encodings_are_refused_in_words(tmp_path, encoding):
    with pytest.raises(ScanError, match=f"encoding {encoding} .*save it as raw or gzip"):
        read_scan(nrrd(tmp_path / "a.nrrd", encoding=encoding))


MANY = np.stack([VALUES, VALUES + 7, VALUES[::-1]])
FOURTH = [
    LPS + STEPS.replace("\n", " none\n") + ORIGIN,
    LPS + STEPS.replace("\n", " none\n") + ORIGIN + "kinds: domain domain domain list\n",
    LPS + STEPS.replace("\n", " (nan,nan,nan)\n") + ORIGIN + "kinds: domain domain domain time\n",
    """space: left-posterior-superior-time
space directions: (1.5,0,0,0) (0,2,0,0) (0,0,2.5,0) (0,0,0,1)
space origin: (1,2,3,0)
""",
]


@pytest.mark.parametrize("extra", FOURTH)
@pytest.mark.parametrize(("encoding", "pack"), [("raw", bytes), ("gzip", gzip.compress)])
def test_one_of_several_volumes(tmp_path, extra, encoding, pack):
    sizes, stored = "dimension: 4\nsizes: 4 3 2 3\n", pack(MANY.tobytes())
    path = nrrd(tmp_path / "4d.nrrd", extra, sizes=sizes, encoding=encoding, stored=stored)
    one = read_scan(nrrd(tmp_path / "one.nrrd"))
    for scan, values in zip(find_scans(path), MANY, strict=True):
        volume = read_scan(path, series=scan.series)
        assert np.array_equal(volume.array, values)
        assert volume.geometry == one.geometry
    with pytest.raises(ScanError, match="3 volumes in"):
        read_scan(path)


def test_an_axis_of_one_is_no_axis(tmp_path):
    for sizes, steps in (("1 4 3 2", f"none {STEPS[18:]}"), ("4 3 2 1", f"{STEPS[18:-1]} none\n")):
        extra = f"{LPS}space directions: {steps}{ORIGIN}"
        path = nrrd(tmp_path / "a.nrrd", extra, sizes=f"dimension: 4\nsizes: {sizes}\n")
        assert np.array_equal(read_scan(path).array, VALUES)


@pytest.mark.parametrize(
    ("sizes", "extra"),
    [
        (
            "3 4 3 2",
            f"{LPS}space directions: none {STEPS[18:]}kinds: RGB-color space space space\n",
        ),
        ("3 4 3 2", f"{LPS}space directions: none {STEPS[18:]}kinds: list space space space\n"),
        ("3 4 6", "kinds: RGB-color domain domain\n"),
    ],
)
def test_colours_vectors_and_mixed_volumes_are_refused(tmp_path, sizes, extra):
    n = len(sizes.split())
    stored = bytes(2 * np.prod([int(v) for v in sizes.split()]))
    path = nrrd(
        tmp_path / "a.nrrd", extra, sizes=f"dimension: {n}\nsizes: {sizes}\n", stored=stored
    )
    with pytest.raises(ScanError, match="colour or vector"):
        read_scan(path)
