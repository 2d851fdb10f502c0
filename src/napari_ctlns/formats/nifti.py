"""Headers of NIfTI-1 and NIfTI-2 files.

Formats: https://nifti.nimh.nih.gov/nifti-1 (nifti1.h) and
https://nifti.nimh.nih.gov/nifti-2 (nifti2.h).
"""

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.grids import shape_and_volumes
from napari_ctlns.formats.inflating import DAMAGED, Encoding, first_bytes
from napari_ctlns.formats.layout import Layout
from napari_ctlns.formats.nifti_forms import nifti_grid

_Order = Literal["<", ">"]

TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS = (32, 128, 1792, 2304)
# statistics may stand in one voxel too, but of several numbers only these are made
_VECTORS = (1005, 1006, 1007, 2003, 2004)

# name, where it lies in the header, and its type there: version 1, version 2
_FIELDS = [
    ("size", (0, "i4"), (0, "i4")),
    ("magic", (344, "S4"), (4, "S8")),
    ("code", (70, "i2"), (12, "i2")),
    ("intent", (68, "i2"), (504, "i4")),
    ("dim", (40, "8i2"), (16, "8i8")),
    ("pixdim", (76, "8f4"), (104, "8f8")),
    ("offset", (108, "f4"), (168, "i8")),
    ("slope", (112, "f4"), (176, "f8")),
    ("intercept", (116, "f4"), (184, "f8")),
    ("units", (123, "u1"), (500, "i4")),
    ("qform_code", (252, "i2"), (344, "i4")),
    ("sform_code", (254, "i2"), (348, "i4")),
    ("quaternion", (256, "3f4"), (352, "3f8")),
    ("qoffset", (268, "3f4"), (376, "3f8")),
    ("srow", (280, "(3,4)f4"), (400, "(3,4)f8")),
]
_SIZES = {348: b"n+1", 540: b"n+2\0\r\n\x1a\n"}


def nifti_layout(path: Path) -> Layout:
    """Return where the voxels of a .nii or .nii.gz lie, and on which grid.

    Raises
    ------
    ScanError
        If the header is damaged, or describes something other than
        three-dimensional grids of single numbers.
    """
    with path.open("rb") as file:
        # some tools name a file .nii.gz and do not pack it, or the other way round
        encoding: Encoding = "gzip" if file.read(2) == b"\x1f\x8b" else "raw"
    header, order = _header(path, encoding)
    offset = float(header["offset"])
    if not int(header["size"]) <= offset < 1 << 62:
        raise ScanError(f"damaged NIfTI header in {path}: voxels at byte {offset:g}; copy it again")
    dim = header["dim"].tolist()
    size = dim[1 : 1 + dim[0]] if 0 < dim[0] < len(dim) else []
    _refuse_colours(path, header, size)
    shape, volumes = shape_and_volumes(path, size)
    geometry, warnings = nifti_grid(path, shape, header)
    slope, intercept = float(header["slope"]), float(header["intercept"])
    scaled = slope != 0 and bool(np.isfinite([slope, intercept]).all())
    return Layout(
        geometry=geometry,
        dtype=np.dtype(TYPES[int(header["code"])]).newbyteorder(order),
        path=path,
        encoding=encoding,
        skip=int(offset),
        volumes=volumes,
        slope=slope if scaled else 1.0,
        intercept=intercept if scaled else 0.0,
        warnings=warnings,
    )


def _header(path: Path, encoding: Encoding) -> tuple[Any, _Order]:
    """Return the header as a record with the names of `_FIELDS`, and its byte order."""
    try:
        raw = first_bytes(path, encoding, max(_SIZES))
    except DAMAGED as error:
        raise ScanError(f"damaged data in {path}: {error}; copy the file again") from error
    for order in get_args(_Order):
        for version, (size, magic) in enumerate(_SIZES.items()):
            kind = _record(version, size).newbyteorder(order)
            if len(raw) < size:
                continue
            header = np.frombuffer(raw[:size], kind)[0]
            if header["size"] == size:
                if bytes(header["magic"]) != magic:
                    message = f"a NIfTI header whose voxels lie in another file: {path}"
                    raise ScanError(f"{message}; save it as one .nii.gz")
                return header, order
    if len(raw) < min(_SIZES):
        message = f"truncated data in {path}: expected {min(_SIZES)} bytes of header"
        raise ScanError(f"{message}, found {len(raw)}; copy the file again")
    raise ScanError(f"no NIfTI header in {path}; save it again as .nii.gz or .mha")


def _record(version: int, size: int) -> "np.dtype[Any]":
    places = [places[version] for _, *places in _FIELDS]
    return np.dtype(
        {
            "names": [name for name, *_ in _FIELDS],
            "formats": [kind for _, kind in places],
            "offsets": [offset for offset, _ in places],
            "itemsize": size,
        }
    )


def _refuse_colours(path: Path, header: Any, size: list[int]) -> None:
    code = int(header["code"])
    if code in _COLOURS or (len(size) > 4 and header["intent"] in _VECTORS):
        message = f"a colour or vector image, not a scan: {path}; give a CT with one value a voxel"
        raise ScanError(message)
    if code not in TYPES:
        raise ScanError(f"voxels of NIfTI type {code} in {path} cannot be read; save as int16")
