"""Packing the pixels of DICOM files anew, in any transfer syntax, with the encoders at hand."""

import tempfile
from io import BytesIO
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
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
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def jpeg_lossless(plane, precision):
    """Pack a plane by T.81 Annex H: predictor 1, and a table of 17 codes of 5 bits.

    None of the encoders at hand makes fewer than 16 bits.
    """
    rows, columns = plane.shape
    words = plane.astype(np.int64)
    before = np.empty_like(words)
    before[0, 0] = 1 << (precision - 1)
    before[1:, 0] = words[:-1, 0]
    before[:, 1:] = words[:, :-1]
    bits = []
    for difference in ((words - before + 32768) % 65536 - 32768).ravel().tolist():
        if difference == -32768:
            bits.append(f"{16:05b}")
            continue
        size = abs(difference).bit_length()
        value = difference if difference >= 0 else difference + (1 << size) - 1
        bits.append(f"{size:05b}" + (f"{value:0{size}b}" if size else ""))
    joined = "".join(bits)
    joined += "1" * (-len(joined) % 8)
    data = int(joined, 2).to_bytes(len(joined) // 8, "big").replace(b"\xff", b"\xff\0")
    codes = bytes([0, 0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    head = b"\xff\xd8\xff\xc3\0\x0b" + bytes([precision])
    head += rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + b"\1\1\x11\0"
    head += b"\xff\xc4" + (2 + len(codes)).to_bytes(2, "big") + codes
    return head + b"\xff\xda\0\x08\1\1\0\1\0\0" + data + b"\xff\xd9"


PACKERS = {
    JPEGLosslessSV1: lambda pixels: (
        by_gdcm(pixels, "JPEG") if pixels.itemsize == 2 else jpeg_lossless(pixels, 8)
    ),
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
