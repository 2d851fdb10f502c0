"""Pixels of DICOM slices, rescaled to what they mean.

Rescaling as in DICOM PS3.3 C.11.1 (Modality LUT Module).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom_slice import Slice
from napari_ctlns.formats.layout import rescaled

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def pixel_dtype(slices: Sequence[Slice]) -> np.dtype[Any]:
    """Return int16 where all slopes and intercepts are whole, else float32."""
    whole = all(one.slope.is_integer() and one.intercept.is_integer() for one in slices)
    return np.dtype(np.int16 if whole else np.float32)


def fill(slices: Sequence[Slice], target: npt.NDArray[Any]) -> Iterator[int]:
    """Write the rescaled pixels of slice k into ``target[k]``, and yield k after each.

    The middle slice comes first, so that it can be shown.

    Raises
    ------
    ScanError
        If pixels are missing, too few, damaged, or cannot be unpacked.
    OverflowError
        If a value does not fit an integer ``target``.
    """
    middle = len(slices) // 2
    for k in [middle, *(k for k in range(len(slices)) if k != middle)]:
        one = slices[k]
        pixels = _pixels(one)
        if pixels.shape != target.shape[1:]:
            raise ScanError(f"pixels of {one.path} do not fit its header; copy it again")
        if target.dtype.kind == "i":
            limits = np.iinfo(target.dtype)
            if pixels.min() < limits.min or pixels.max() > limits.max:
                raise OverflowError(f"values of {one.path} do not fit {target.dtype}")
        target[k] = pixels
        yield k


def _pixels(one: Slice) -> npt.NDArray[Any]:
    """Return one slice (y, x), rescaled."""
    header = one.header
    if "PixelData" not in header:
        raise ScanError(f"no pixel data in {one.path}; give the whole CT series")
    syntax = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    plain = syntax in _NATIVE and header.BitsAllocated == 16 and not one.frame
    plain = plain and header.get("HighBit", header.BitsStored - 1) == header.BitsStored - 1
    stored = _plain_pixels(header) if plain else _decoded_pixels(one)
    if stored is None:
        return _gdcm_pixels(header)
    return rescaled(stored, one.slope, one.intercept)


def _plain_pixels(header: Dataset) -> npt.NDArray[Any]:
    """Return uncompressed pixels straight from the file's bytes."""
    shape = (int(header.Rows), int(header.Columns))
    data = header.PixelData
    expected = shape[0] * shape[1] * 2
    if len(data) < expected:
        message = f"truncated pixels in {header.filename}: expected {expected} bytes"
        raise ScanError(f"{message}, found {len(data)}; copy the file again")
    signed = header.PixelRepresentation == 1
    pixels = np.frombuffer(data, "<i2" if signed else "<u2", shape[0] * shape[1]).reshape(shape)
    unused = 16 - int(header.BitsStored)
    # old files keep overlays in the unused high bits
    return (pixels << unused) >> unused if unused else pixels


def _decoded_pixels(one: Slice) -> npt.NDArray[Any] | None:
    """Return pixels through pydicom's decoders, or None where it has none."""
    try:
        return pixel_array(one.path, index=max(one.frame - 1, 0), raw=True)
    except (NotImplementedError, RuntimeError):
        return None
    except Exception as error:
        message = f"damaged pixels in {one.path}: {error}; copy the file again"
        raise ScanError(message) from error


def _gdcm_pixels(header: Dataset) -> npt.NDArray[Any]:
    """Return rescaled pixels through GDCM, which knows older compressions."""
    try:
        image = sitk.ReadImage(str(header.filename))
    except RuntimeError as error:
        name = header.file_meta.TransferSyntaxUID.name
        message = f"cannot unpack {name} in {header.filename}; export the scan uncompressed"
        raise ScanError(message) from error
    pixels = sitk.GetArrayFromImage(image)[0]
    if not np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32)
    small = pixels.min() >= -32768 and pixels.max() <= 32767
    return pixels.astype(np.int16 if small else np.int32)
