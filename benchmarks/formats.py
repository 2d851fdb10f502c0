"""Reading scans, beside SimpleITK's own readers of the same files.

    python benchmarks/formats.py [--runs 5] [--slices 64 250] [--only WORD] [--scan FOLDER ...]

Each row is read by both in turns, in this process; the figures are medians. The files are made
first, so they lie in the system's cache: what is measured is unpacking, not the disk.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_encoder
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from scipy import ndimage

from napari_ctlns.formats import read_scan

SIZE = 512
DISTINCT = 8
"""Slices that differ; a series repeats them, for some encoders are slow."""

Row = tuple[str, Callable[[], object], Callable[[], object]]
"""What is read, how we read it, how the peer does."""


def main() -> None:
    """Print a row for each kind of scan, and the worst ratio of the peer's time to ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slices", type=int, nargs="+", default=[64, 250])
    parser.add_argument("--only", default="", help="rows with this word in their name")
    parser.add_argument("--scan", type=Path, nargs="*", help="real DICOM folders instead")
    options = parser.parse_args()
    worst = float("inf")
    print(f"{'':32}      ours      peer  ours/peer")
    with tempfile.TemporaryDirectory() as folder:
        for make in makers(Path(folder), options):
            name, ours, peer = make()
            one, other = timed(ours, peer, options.runs)
            print(f"{name:32} {one:7.3f} s {other:7.3f} s {one / other:10.2f}", flush=True)
            worst = min(worst, other / one)
    print(f"ratio: {worst:.2f}")


def makers(folder: Path, options: argparse.Namespace) -> Iterator[Callable[[], Row]]:
    """Yield what makes the rows, one after another, as each takes much room."""
    if options.scan:
        yield from (partial(real_series, path) for path in options.scan)
        return
    for slices in options.slices:
        for name in ENCODERS:
            if options.only in name:
                yield partial(made_series, folder, name, slices)
    for name in IMAGES:
        if options.only in name:
            yield partial(made_image, folder, name, max(options.slices))


def timed(ours: Callable[[], object], peer: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the median seconds of both, which take turns after one run to warm up."""
    ours(), peer()
    rows = [(seconds(ours), seconds(peer)) for _ in range(runs)]
    one, other = (statistics.median(column) for column in zip(*rows, strict=True))
    return one, other


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# -- DICOM series -------------------------------------------------------------------


def made_series(folder: Path, name: str, slices: int) -> Row:
    """Make a series of CT-like slices in one transfer syntax."""
    place = folder / f"{name}-{slices}"
    write_series(place, name, slices)
    return f"DICOM {name}, {slices} slices", partial(read_scan, place), partial(peer_series, place)


def real_series(place: Path) -> Row:
    """Return the row of a folder with one series."""
    return (
        f"{place.parent.name}/{place.name}",
        partial(read_scan, place),
        partial(peer_series, place),
    )


def peer_series(place: Path) -> sitk.Image:
    """Read a series as SimpleITK's documentation does."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place)))
    return reader.Execute()


def chest_slice(rng: np.random.Generator) -> np.ndarray:
    """Return a slice as scanners store it: smooth organs, noise of 20 HU, air at 0."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    hu = np.full((SIZE, SIZE), -1000.0)
    hu[(x / 0.9) ** 2 + (y / 0.66) ** 2 < 1] = 40
    for side in (-1, 1):
        hu[((x - side * 0.4) / 0.3) ** 2 + (y / 0.45) ** 2 < 1] = -850
    hu[x**2 + (y - 0.5) ** 2 < 0.01] = 500
    hu = ndimage.gaussian_filter(hu, 1) + ndimage.gaussian_filter(rng.normal(0, 60, hu.shape), 0.8)
    return np.clip(np.rint(hu) + 1024, 0, 4095).astype(np.uint16)


def write_series(place: Path, name: str, slices: int) -> None:
    """Write slices 1 mm apart, in one transfer syntax."""
    place.mkdir()
    rng = np.random.default_rng(0)
    syntax, encode = ENCODERS[name]
    packed = [encode(chest_slice(rng)) for _ in range(DISTINCT)]
    series, study = generate_uid(), generate_uid()
    for k in range(slices):
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID, ds.StudyInstanceUID = series, study
        ds.Modality, ds.PatientID, ds.InstanceNumber = "CT", "phantom", k + 1
        ds.ImagePositionPatient, ds.PixelSpacing = [-180, -180, k], [0.7, 0.7]
        ds.ImageOrientationPatient, ds.SliceThickness = [1, 0, 0, 0, 1, 0], 1
        ds.Rows = ds.Columns = SIZE
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        data = packed[k % DISTINCT]
        native = syntax == ExplicitVRLittleEndian
        ds.PixelData = data if native else encapsulate([data])
        ds["PixelData"].VR = "OW" if native else "OB"
        ds["PixelData"].is_undefined_length = not native
        ds.save_as(place / f"{k:04}.dcm", enforce_file_format=True)


def by_gdcm(compressor: str, pixels: np.ndarray) -> bytes:
    """Return a frame as GDCM packs it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(pixels))
        return get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)


def by_rle(pixels: np.ndarray) -> bytes:
    """Return a frame as pydicom packs it."""
    return get_encoder(RLELossless).encode(
        pixels,
        encoding_plugin="pydicom",
        rows=SIZE,
        columns=SIZE,
        samples_per_pixel=1,
        number_of_frames=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=0,
    )


# -- image files --------------------------------------------------------------------


def made_image(folder: Path, name: str, slices: int) -> Row:
    """Write a scan with SimpleITK as a file of one format."""
    rng = np.random.default_rng(0)
    distinct = np.stack([chest_slice(rng) for _ in range(DISTINCT)]).astype(np.int16) - 1024
    image = sitk.GetImageFromArray(distinct[np.arange(slices) % DISTINCT])
    image.SetSpacing((0.7, 0.7, 1.25))
    file, packed = IMAGES[name]
    path = folder / file
    sitk.WriteImage(image, str(path), packed)
    return f"{name}, {slices} slices", partial(read_scan, path), partial(sitk.ReadImage, path)


ENCODERS = {
    "uncompressed": (ExplicitVRLittleEndian, np.ndarray.tobytes),
    "JPEG-LS": (JPEGLSLossless, lambda pixels: bytes(jpeg_ls.encode_array(pixels))),
    "JPEG lossless": (JPEGLosslessSV1, partial(by_gdcm, "JPEG")),
    "JPEG 2000": (JPEG2000Lossless, partial(by_gdcm, "JPEG2000")),
    "RLE": (RLELossless, by_rle),
}
IMAGES = {
    ".mhd + .zraw": ("scan.mhd", True),
    ".nii.gz": ("scan.nii.gz", True),
    ".nrrd, gzip": ("scan.nrrd", True),
    ".mhd + .raw": ("raw.mhd", False),
}


if __name__ == "__main__":
    main()
