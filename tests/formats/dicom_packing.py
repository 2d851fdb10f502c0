"""Packing the pixels of DICOM files anew, in any transfer syntax, with the encoders at hand."""

import tempfile
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_encoder
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)


def by_gdcm(pixels, compressor="JPEG2000", quality=None):
    """Return one frame (rows, columns) as GDCM packs it: "JPEG" is lossless."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        if quality is not None:
            writer.SetCompressionLevel(quality)
        writer.Execute(sitk.GetImageFromArray(pixels))
        return get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)


def by_jpegls(pixels, near=0, bits=None):
    words = pixels.view(f"u{pixels.itemsize}")
    return bytes(
        jpeg_ls.encode_pixel_data(
            words.tobytes(),
            near,
            rows=pixels.shape[0],
            columns=pixels.shape[1],
            samples_per_pixel=1,
            bits_allocated=8 * pixels.itemsize,
            bits_stored=bits or 8 * pixels.itemsize,
            photometric_interpretation="MONOCHROME2",
            pixel_representation=0,
        )
    )


def by_rle(pixels):
    return get_encoder(RLELossless).encode(
        pixels,
        encoding_plugin="pydicom",
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=8 * pixels.itemsize,
        bits_stored=8 * pixels.itemsize,
        pixel_representation=int(pixels.dtype.kind == "i"),
    )


def by_pillow(pixels):
    """Return an 8-bit frame as a baseline JPEG."""
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


PACKERS = {
    JPEGLosslessSV1: lambda pixels: by_gdcm(pixels, "JPEG"),
    JPEG2000Lossless: lambda pixels: by_gdcm(pixels, "JPEG2000"),
    JPEG2000: lambda pixels: by_gdcm(pixels, "JPEG2000"),
    JPEGLSLossless: by_jpegls,
    JPEGLSNearLossless: lambda pixels: by_jpegls(pixels, 2),
    RLELossless: by_rle,
    JPEGBaseline8Bit: by_pillow,
}
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def repack(path, syntax, frames=None, **tags):
    """Write an uncompressed DICOM file anew in another transfer syntax.

    ``frames`` replaces what the encoder would make.
    """
    ds = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax in NATIVE:
        if syntax == ExplicitVRBigEndian:
            words = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}")
            ds.PixelData = words.byteswap().tobytes()
        ds["PixelData"].VR = "OW"
        ds = plain_copy(ds)
        pydicom.dcmwrite(
            path,
            ds,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=True,
        )
        return
    if frames is None:
        kind = "i" if ds.PixelRepresentation else "u"
        words = np.frombuffer(ds.PixelData, f"<{kind}{ds.BitsAllocated // 8}")
        shape = (int(ds.get("NumberOfFrames") or 1), ds.Rows, ds.Columns)
        count = shape[0] * shape[1] * shape[2]
        frames = [PACKERS[syntax](plane) for plane in words[:count].reshape(shape)]
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)


def plain_copy(ds):
    """Return a data set that remembers no encoding, so that it may be written in another."""
    copy = pydicom.Dataset()
    copy.file_meta = ds.file_meta
    for element in ds:
        copy.add(element)
    return copy
