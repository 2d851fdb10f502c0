"""Good input of every kind, and the same in all the ways it can be bad."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_ctlns.findings import Annotation
from napari_ctlns.formats import write_annotations, write_volume
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Geometry, Volume

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
SHAPE = (8, 16, 16)


def good_scan() -> Volume:
    """A lung with one ball."""
    array = np.full(SHAPE, -850, np.int16)
    array[3:5, 6:10, 6:10] = 60
    return Volume(array, Geometry(SHAPE, (2.0, 1.0, 1.0), (-8.0, -8.0, -8.0)), "ct", "scan", "who")


def write_all(folder: Path) -> Path:
    """Fill a folder."""
    scan = good_scan()
    write_volume(scan, folder / "scan.mhd")
    write_volume(scan.mask((scan.array > 0).astype(np.uint8)), folder / "mask.nii.gz")
    write_volume(scan.mask(np.zeros(SHAPE, np.uint8)), folder / "empty.nii.gz")
    write_annotations(folder / "good.csv", [Annotation("scan", 0.0, 0.0, 0.0, 5.0)])
    (folder / "plain").mkdir()
    (folder / "plain" / "notes.txt").write_text("no scan, no model, no dataset, no run", "utf-8")
    _images(folder, scan)
    _dicom(folder)
    _tables(folder)
    _projects(folder)
    _models(folder / "models")
    _recipes_and_runs(folder)
    return folder


# -- scans and masks ------------------------------------------------------------------


def _images(folder: Path, scan: Volume) -> None:
    (folder / "text.mhd").write_text("Dear radiologist,\n", "utf-8")
    (folder / "zero.mha").touch()
    (folder / "headless.nii.gz").write_bytes(b"\x1f\x8b" + bytes(40))
    for name in ("half.nii.gz", "half.nrrd", "half.mha"):
        write_volume(scan, folder / name)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: 2 * len(whole) // 3])
    write_volume(scan, folder / "half.mhd")
    voxels = (folder / "half.raw").read_bytes()
    (folder / "half.raw").write_bytes(voxels[: len(voxels) // 2])
    write_volume(scan, folder / "lost.mhd")
    (folder / "lost.raw").unlink()
    four = np.zeros((2, *SHAPE), np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(four, isVector=False), str(folder / "four.nii.gz"))
    colours = np.zeros((*SHAPE, 3), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(folder / "colours.mha"))
    picture = np.zeros(SHAPE[1:], np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(picture), str(folder / "picture.mha"))
    far = Geometry(SHAPE, (2.0, 1.0, 1.0), (900.0, 900.0, 900.0))
    write_volume(Volume(np.ones(SHAPE, np.uint8), far, "mask"), folder / "far.nrrd")


def write_series(
    folder: Path, heights: list[float], shape: tuple[int, int] = SHAPE[1:], **tags: Any
) -> str:
    """Write a DICOM series of one slice at each of these heights; return its UID."""
    folder.mkdir(exist_ok=True)
    uid = generate_uid()
    for number, height in enumerate(heights):
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID, ds.Modality, ds.PatientID = uid, "CT", "who"
        ds.ImagePositionPatient = [0.0, 0.0, height]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [1.0, 1.0], 2.0
        (ds.Rows, ds.Columns), ds.SamplesPerPixel = shape, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = np.full(shape, number, np.uint16).tobytes()
        for name, value in tags.items():
            setattr(ds, name, value)
        ds.save_as(folder / f"{uid[-8:]}-{number}.dcm", enforce_file_format=True)
    return str(uid)


def _dicom(folder: Path) -> None:
    even = [0.0, 2.0, 4.0]
    write_series(folder / "series", even)
    write_series(folder / "several", even)
    write_series(folder / "several", even)
    write_series(folder / "one-place", [0.0, 0.0, 0.0])
    write_series(folder / "gap", [0.0, 2.0, 4.0, 8.0, 10.0])
    write_series(folder / "colour", even, SamplesPerPixel=3)
    write_series(folder / "frames", even, NumberOfFrames=4)
    write_series(folder / "half-slice", even)
    some = next((folder / "half-slice").iterdir())
    some.write_bytes(some.read_bytes()[:-200])


# -- what belongs to scans --------------------------------------------------------------


def _tables(folder: Path) -> None:
    texts = {
        "no-column.csv": "seriesuid,coordX,coordY,diameter_mm\nscan,0,0,5\n",
        "zero.csv": f"{HEADER}scan,0,0,0,0\n",
        "nan.csv": f"{HEADER}scan,0,0,0,nan\n",
        "words.csv": f"{HEADER}scan,0,0,here,5\n",
        "others.csv": f"{HEADER}another,0,0,0,5\n",
        "nothing.csv": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 4)


def _projects(folder: Path) -> None:
    (folder / "text.ctlns").write_text("no project", "utf-8")
    for name, contents in (
        ("other-zip", {"readme.txt": "hello"}),
        ("not-json", {"project.json": "hello"}),
        ("no-fields", {"project.json": "{}"}),
        ("newer", {"project.json": json.dumps({"format_version": 99})}),
    ):
        with zipfile.ZipFile(folder / f"{name}.ctlns", "w") as archive:
            for member, text in contents.items():
                archive.writestr(member, text)
    whole = (folder / "newer.ctlns").read_bytes()
    (folder / "half.ctlns").write_bytes(whole[: len(whole) // 2])


def _models(folder: Path) -> None:
    card = ModelCard(recipe=load_recipe("ct-lns")).model_dump_json()
    cards = {
        "weightless": card,
        "not-json": "hello",
        "damaged": card.replace('"recipe"', '"recipes"'),
        "newer": '{"format_version": 99}',
    }
    for name, text in cards.items():
        (folder / name).mkdir(parents=True)
        (folder / name / CARD).write_text(text, "utf-8")
    shutil.copytree(folder / "weightless", folder / "broken-weights")
    (folder / "broken-weights" / "weights.safetensors").write_bytes(b"no weights at all")


def _recipes_and_runs(folder: Path) -> None:
    (folder / "value.toml").write_text("name = 'x'\n[optimisation]\nepochs = 0\n", "utf-8")
    (folder / "key.toml").write_text("name = 'x'\n[optimisation]\nepochz = 1\n", "utf-8")
    (folder / "no.toml").write_text("this is no TOML", "utf-8")
    (folder / "binary.toml").write_bytes(bytes(range(128, 256)))
    (folder / "text-dataset").mkdir()
    (folder / "text-dataset" / "dataset.json").write_text("hello", "utf-8")
    (folder / "no-scans").mkdir()
    (folder / "scans").mkdir()
    write_volume(good_scan(), folder / "scans" / "scan.mhd")
    (folder / "half-scans").mkdir()
    write_volume(good_scan(), folder / "half-scans" / "scan.mhd")
    (folder / "half-scans" / "scan.raw").write_bytes(bytes(100))
    (folder / "silent-run").mkdir()
    (folder / "silent-run" / "events.jsonl").write_bytes(b"\x00\xffnothing of ours\n")
