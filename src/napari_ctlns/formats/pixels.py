"""Pixels of DICOM slices, rescaled to what they mean.

Rescaling as in DICOM PS3.3 C.11.1 (Modality LUT Module).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import rescaled

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def read_pixels(headers: tuple[Dataset, ...], shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return the rescaled pixels (z, y, x) of slices, in the order given.

    The result is int16 where the values fit, else int32; float32 where a slope
    or intercept has a fraction.

    Raises
    ------
    ScanError
        If pixels are missing, too few, damaged, or cannot be unpacked.
    """
    whole = all(all(v.is_integer() for v in _rescale(h)) for h in headers)
    array = np.empty(shape, np.int16 if whole else np.float32)
    for index, header in enumerate(headers):
        pixels = _pixels(header)
        if pixels.shape != shape[1:]:
            raise ScanError(f"pixels of {header.filename} do not fit its header; copy it again")
        if whole and not np.can_cast(pixels.dtype, array.dtype):
            # one slice out of range makes the whole scan wider, seldom and once
            array = array.astype(np.result_type(array.dtype, pixels.dtype))
        array[index] = pixels
    return array


def _rescale(header: Dataset) -> tuple[float, float]:
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return (
        1.0 if slope in (None, "") else float(slope),
        0.0 if intercept in (None, "") else float(intercept),
    )


def _pixels(header: Dataset) -> npt.NDArray[Any]:
    """Return one slice (y, x), rescaled: int16 or int32 where slope and intercept are whole."""
    if "PixelData" not in header:
        raise ScanError(f"no pixel data in {header.filename}; give the whole CT series")
    syntax = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    plain = syntax in _NATIVE and header.BitsAllocated == 16
    plain = plain and header.get("HighBit", header.BitsStored - 1) == header.BitsStored - 1
    stored = _plain_pixels(header) if plain else _decoded_pixels(header)
    if stored is None:
        return _gdcm_pixels(header)
    slope, intercept = _rescale(header)
    if stored.dtype == np.uint16 and (slope, intercept) == (1, 0):
        return stored.astype(np.int16 if stored.max() <= 32767 else np.int32)
    return rescaled(stored, slope, intercept)


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


def _decoded_pixels(header: Dataset) -> npt.NDArray[Any] | None:
    """Return pixels through pydicom's decoders, or None where it has none."""
    try:
        return pydicom.dcmread(str(header.filename), force=True).pixel_array
    except (NotImplementedError, RuntimeError):
        return None
    except Exception as error:
        message = f"damaged pixels in {header.filename}: {error}; copy the file again"
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
