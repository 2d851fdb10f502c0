"""Read damaged DICOM files, again and again; a process of its own, as a decoder may end it.

    python dicom_fuzz.py KIND ROUNDS SEED FOLDER [SIZE]

Prints how many were read and refused. Ends otherwise than with 0 where a read took more than
five seconds, raised anything but a `CtlnsError`, or ended the process.
"""

import faulthandler
import random
import sys
from pathlib import Path

import numpy as np
import pydicom
from dicom_packing import repack
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from napari_ctlns.errors import CtlnsError
from napari_ctlns.formats import read_scan

KINDS = {
    "uncompressed": ExplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG-2000": JPEG2000Lossless,
    "JPEG-lossless": JPEGLosslessSV1,
    "JPEG-baseline": JPEGBaseline8Bit,
    "enhanced": ExplicitVRLittleEndian,
    "enhanced-JPEG-LS": JPEGLSLossless,
}
BYTES = [0, 1, 2, 16, 32, 127, 128, 254, 255, *b"0123456789.-\\ ASQUNOBW"]
SLOWEST_S = 5


def main():
    kind, rounds, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    size = int(sys.argv[5]) if len(sys.argv) > 5 else 40
    chance = random.Random(seed)
    write(folder, kind, size)
    assert read_scan(folder).array.shape == (2, size, size + 8)
    path = folder / "0"
    whole = path.read_bytes()
    counts = {"read": 0, "refused": 0}
    for number in range(rounds):
        path.write_bytes(damaged(whole, chance))
        faulthandler.dump_traceback_later(SLOWEST_S, exit=True)
        try:
            array = read_scan(folder).array
            assert array.ndim == 3
            assert array.dtype in (np.int16, np.int32, np.float32)
            counts["read"] += 1
        except CtlnsError:
            counts["refused"] += 1
        except BaseException:
            sys.stderr.write(f"round {number} of {kind}, seed {seed}\n")
            raise
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(f"{kind} {counts['read']} {counts['refused']}\n")


def damaged(whole, chance):
    """Cut a file off, or change some of its bytes: of the header, of where pixels begin, of all."""
    pixels = whole.rfind(b"\xe0\x7f\x10\x00")
    start = max(pixels, 200)
    if chance.random() < 0.15:
        return whole[: chance.randrange(len(whole))]
    first, last = chance.choice([(128, start), (start, start + 160), (start, len(whole))])
    changed = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(first, min(last, len(whole)))
        changed[place] = chance.choice([chance.choice(BYTES), chance.randrange(256)])
    if chance.random() < 0.1:  # a piece is lost, or comes twice
        a, b = sorted(chance.randrange(first, len(whole)) for _ in range(2))
        changed[a:b] = changed[a:b] * chance.choice([0, 2])
    return bytes(changed)


def write(folder, kind, size):
    """Write two slices: as files of their own, or as the frames of one."""
    rng = np.random.default_rng(0)
    steps = rng.integers(-40, 41, (2, size, size + 8))
    stored = (np.cumsum(steps, axis=2) + 2000).astype(np.uint16)
    if kind == "JPEG-baseline":
        stored = (stored >> 5).astype(np.uint8)
    if kind.startswith("enhanced"):
        repack(enhanced(folder / "0", stored), KINDS[kind])
        return
    for k, plane in enumerate(stored):
        ds = header(plane, CTImageStorage, f"1.2.3.{k}")
        ds.ImagePositionPatient = [-10, -20, 2 * k]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [0.7, 0.7]
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = plane.tobytes()
        ds.save_as(folder / f"{k}", enforce_file_format=True)
        repack(folder / f"{k}", KINDS[kind])


def header(plane, kind, uid):
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = kind
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2.4", "1.2.5"
    ds.Modality, ds.PatientID, ds.SliceThickness = "CT", "P", 2
    ds.Rows, ds.Columns = plane.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8 * plane.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    return ds


def enhanced(path, stored):
    ds = header(stored[0], EnhancedCTImageStorage, "1.2.3")
    ds.NumberOfFrames = len(stored)
    shared = pydicom.Dataset()
    shared.PlaneOrientationSequence = [pydicom.Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = [pydicom.Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.7, 0.7]
    shared.PixelMeasuresSequence[0].SliceThickness = 2
    shared.PixelValueTransformationSequence = [pydicom.Dataset()]
    shared.PixelValueTransformationSequence[0].RescaleSlope = 1
    shared.PixelValueTransformationSequence[0].RescaleIntercept = -1024
    ds.SharedFunctionalGroupsSequence = [shared]
    items = []
    for k in range(len(stored)):
        item = pydicom.Dataset()
        item.PlanePositionSequence = [pydicom.Dataset()]
        item.PlanePositionSequence[0].ImagePositionPatient = [-10, -20, 2 * k]
        items.append(item)
    ds.PerFrameFunctionalGroupsSequence = items
    ds.PixelData = stored.tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


if __name__ == "__main__":
    main()
