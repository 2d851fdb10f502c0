"""Decoding one compressed frame of a DICOM file.

GDCM decodes all but RLE. It never sees the file as it came: the picture's own
header is checked, and GDCM gets a file that holds nothing but what it needs.
"""

import contextlib
import struct
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom.codestreams import (
    Picture,
    codestream,
    jpeg2000_picture,
    jpeg_picture,
)
from napari_ctlns.formats.dicom.frames import Frames, Stored

_JPEG_KINDS = {
    JPEGBaseline8Bit: (0xC0, 0xC1),
    JPEGExtended12Bit: (0xC0, 0xC1),
    JPEGLossless: (0xC3,),
    JPEGLosslessSV1: (0xC3,),
    JPEGLSLossless: (0xF7,),
    JPEGLSNearLossless: (0xF7,),
}
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)

# GDCM fills its tables while it reads its first file; two threads at it end the process
_first_read = threading.Lock()
_tables_filled = threading.Event()


def decoded(frames: Frames, number: int, folder: Path) -> tuple[npt.NDArray[Any], Stored]:
    """Return the words (rows, columns) of a compressed frame, and how pixels lie in them.

    Parameters
    ----------
    frames, number
        The file, and which of its frames, from 0.
    folder
        For temporary files; each thread has one in it.

    Raises
    ------
    ScanError
        If the frame is damaged, contradicts the header, or is of an unknown kind.
    """
    syntax, stored = frames.syntax, frames.stored
    known = syntax == RLELossless or syntax in _JPEG_KINDS or syntax in _JPEG_2000
    if not known:
        message = f"unknown compression of pixels in {frames.path}: {syntax.name}"
        raise ScanError(f"{message}; export the scan uncompressed")
    try:
        data: bytes | bytearray = frames.read(number)
        if syntax == RLELossless:
            return _rle(data, stored), stored
        if syntax in _JPEG_2000:
            data = codestream(data)
            picture = jpeg2000_picture(data)
        else:
            picture = jpeg_picture(data, _JPEG_KINDS[syntax])
        _refuse_other(picture, stored)
        return _gdcm(data, picture, syntax, folder), _as_decoded(picture, stored)
    except (ValueError, IndexError, struct.error, RuntimeError) as error:
        # what GDCM says of its own file helps nobody
        reason = error if isinstance(error, ValueError) else "cannot be unpacked"
        message = f"damaged pixels in {frames.path}: {syntax.name}, {reason}"
        raise ScanError(f"{message}; copy the file again") from error
    except OSError as error:
        message = f"cannot unpack {frames.path}: {error.strerror or error}"
        raise ScanError(f"{message}; make room for temporary files") from error


def _refuse_other(picture: Picture, stored: Stored) -> None:
    if (picture.rows, picture.columns) != (stored.rows, stored.columns):
        found = f"{picture.rows} x {picture.columns}"
        raise ValueError(f"its picture is {found}, not {stored.rows} x {stored.columns}")
    if not 2 <= picture.precision <= min(stored.allocated, 16):
        raise ValueError(f"its picture has {picture.precision} bits, not {stored.bits}")


def _as_decoded(picture: Picture, stored: Stored) -> Stored:
    """Return how pixels lie in the words that GDCM makes of a picture."""
    allocated = 8 if picture.precision <= 8 else 16
    if picture.signed:  # the decoder has extended the sign
        return replace(stored, allocated=allocated, bits=allocated, high=allocated - 1, signed=True)
    if picture.precision < stored.bits:  # no room for a sign, nor for anything beside the pixel
        bits = picture.precision
        return replace(stored, allocated=allocated, bits=bits, high=bits - 1, signed=False)
    high = min(stored.high, picture.precision - 1)
    return replace(stored, allocated=allocated, high=high)


def _rle(data: bytes | bytearray, stored: Stored) -> npt.NDArray[Any]:
    """Return the words of an RLE frame: PS3.5 Annex G, most significant bytes first."""
    count = stored.allocated // 8
    head = struct.unpack_from("<16I", data)
    starts = head[1 : count + 1]
    ends = (*starts[1:], len(data))
    if head[0] != count or starts[0] < 64 or any(a > b for a, b in zip(starts, ends, strict=True)):
        raise ValueError("impossible segments")
    size = stored.rows * stored.columns
    planes = np.empty((size, count), np.uint8)
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        # as one long line, because not all writers end a run with its row
        line = Image.frombytes("L", (size, 1), bytes(data[start:end]), "packbits", "L")
        planes[:, count - 1 - k] = np.asarray(line)[0]
    return planes.view(f"<u{count}").reshape(stored.rows, stored.columns)


def _gdcm(data: bytes | bytearray, picture: Picture, syntax: UID, folder: Path) -> npt.NDArray[Any]:
    """Return the words of a checked picture through GDCM, which reads files only."""
    path = folder / f"{threading.get_ident()}.dcm"
    # writing over the file of the frame before is much faster than making it anew
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(_before(picture, syntax))
        file.write(memoryview(data)[: picture.length])
        file.write(_after(picture))
        file.truncate()
    with contextlib.nullcontext() if _tables_filled.is_set() else _first_read:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        words: npt.NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
        _tables_filled.set()
    kind = ("i" if picture.signed else "u") + ("1" if picture.precision <= 8 else "2")
    if words.dtype != np.dtype(kind) or words.size != picture.rows * picture.columns:
        raise ValueError("unpacked otherwise than its header says")
    return words.reshape(picture.rows, picture.columns)


def _before(picture: Picture, syntax: UID) -> bytes:
    """Return a DICOM file of one frame up to its picture: PS3.10 7.1 and PS3.5 A.4."""
    uid = b"1.2.3"  # nobody will ever see it
    meta = b"".join(
        (
            _element(0x0002, 0x0001, b"OB", b"\0\1"),
            _element(0x0002, 0x0002, b"UI", SecondaryCaptureImageStorage.encode()),
            _element(0x0002, 0x0003, b"UI", uid),
            _element(0x0002, 0x0010, b"UI", syntax.encode()),
        )
    )
    precision = picture.precision
    head = b"".join(
        (
            _element(0x0008, 0x0016, b"UI", SecondaryCaptureImageStorage.encode()),
            _element(0x0008, 0x0018, b"UI", uid),
            _element(0x0028, 0x0002, b"US", _short(1)),
            _element(0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
            _element(0x0028, 0x0010, b"US", _short(picture.rows)),
            _element(0x0028, 0x0011, b"US", _short(picture.columns)),
            _element(0x0028, 0x0100, b"US", _short(8 if precision <= 8 else 16)),
            _element(0x0028, 0x0101, b"US", _short(precision)),
            _element(0x0028, 0x0102, b"US", _short(precision - 1)),
            _element(0x0028, 0x0103, b"US", _short(picture.signed)),
        )
    )
    return b"".join(
        (
            bytes(128) + b"DICM",
            _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta))),
            meta,
            head,
            struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF),
            struct.pack("<HHI", 0xFFFE, 0xE000, 0),  # no offset table
            struct.pack("<HHI", 0xFFFE, 0xE000, picture.length + picture.length % 2),
        )
    )


def _after(picture: Picture) -> bytes:
    """Return what follows the picture."""
    return bytes(picture.length % 2) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    value += bytes(len(value) % 2)
    form = "<HH2sHI" if vr == b"OB" else "<HH2sH"
    sizes = (0, len(value)) if vr == b"OB" else (len(value),)
    return struct.pack(form, group, number, vr, *sizes) + value
