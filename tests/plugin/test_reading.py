"""Opening files: what becomes a scan, a mask, annotations, and on which grid."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from napari import Viewer
from napari.layers import Image, Labels, Layer, Points

from napari_ctlns.errors import AnnotationError, CtlnsError, ScanError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_scan, write_annotations, write_volume
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin import reading
from napari_ctlns.plugin.reading import FilesRead, get_reader, read_files, read_into_viewer
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.windowing import PRESETS, Window, opening_window
from napari_ctlns.volume import Source, Volume


@pytest.fixture
def files(tmp_path: Path, volume: Volume, annotations: tuple[Annotation, ...]) -> Path:
    """A folder with a scan, a mask of it and a table of annotations."""
    write_volume(volume, tmp_path / f"{volume.scan_id}.mhd")
    write_volume(volume.mask(balls(volume)), tmp_path / "nodules.nii.gz")
    write_annotations(tmp_path / "annotations.csv", annotations)
    return tmp_path


def balls(volume: Volume) -> np.ndarray:
    return (volume.array == 60).astype(np.uint8)


def layers_of(found: FilesRead) -> list[Layer]:
    return [Layer.create(*data) for data in found.layers]


# -- who reads what --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.mhd", "a.b.1.2.mha", "a.nii", "a.NII.GZ", "a.nrrd", "a.dcm", "a.csv", "a.ctlns"]
)
def test_our_files_have_a_reader_even_if_they_are_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing")
    assert get_reader(str(tmp_path / name)) is not None


def test_other_files_and_folders_have_none(tmp_path: Path, files: Path) -> None:
    foreign = tmp_path / "picture.png"
    foreign.write_bytes(b"nothing")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert get_reader(str(foreign)) is None
    assert get_reader(str(empty)) is None
    assert get_reader(str(tmp_path / "not there")) is None
    assert get_reader([str(files / "annotations.csv"), str(foreign)]) is None
    assert get_reader("\0") is None
    assert get_reader(str(files)) is not None


def test_reading_is_not_paid_for_before_it_is_asked_for() -> None:
    heavy = ["SimpleITK", "pydicom", "pandas", "qtpy", "torch"]
    words = (
        f"import sys, napari_ctlns.plugin.reading; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- what becomes of files ---------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_files_given_together_belong_together(
    files: Path, volume: Volume, annotations: tuple[Annotation, ...], backwards: bool
) -> None:
    names = [f"{volume.scan_id}.mhd", "nodules.nii.gz", "annotations.csv"]
    paths = [files / name for name in (names[::-1] if backwards else names)]
    scan, mask, points = layers_of(read_files(paths))
    assert isinstance(scan, Image)
    assert isinstance(mask, Labels)
    assert isinstance(points, Points)
    assert np.array_equal(mask.data, balls(volume))
    assert of.mask_of(mask).geometry.same_grid(volume.geometry)
    assert of.mask_of(mask).scan_id == volume.scan_id
    assert of.annotations_of_layer(points) == annotations
    assert (mask.name, points.name) == ("nodules", "annotations")


def test_each_scan_of_a_folder_is_a_layer(files: Path, volume: Volume) -> None:
    write_volume(volume, files / "other.nrrd")
    scans = layers_of(read_files([files]))
    assert [of.scan_of(scan).scan_id for scan in scans] == [volume.scan_id, "other"]


def test_of_many_scans_one_has_to_be_chosen(files: Path, volume: Volume) -> None:
    for number in range(9):
        write_volume(volume, files / f"scan{number}.mha")
    with pytest.raises(ScanError, match=r"^10 scans in .*open one of its files.*; and 4 more$"):
        read_files([files])


def test_a_table_needs_a_scan(files: Path, volume: Volume) -> None:
    table = files / "annotations.csv"
    with pytest.raises(AnnotationError, match=r"^open the scan first"):
        read_files([table])
    (points,) = layers_of(read_files([table], open_scans=[volume]))
    assert len(points.data) == 2


def test_a_table_is_for_the_scans_opened_with_it_and_else_for_the_open_ones(
    tmp_path: Path, volume: Volume
) -> None:
    other = replace(volume, scan_id="other", patient_id="other")
    write_volume(other, tmp_path / "other.mha")
    rows = [Annotation(name, 0.0, 0.0, 110.0, 5.0) for name in ("other", volume.scan_id)]
    table = tmp_path / "annotations.csv"
    write_annotations(table, rows)
    *_, points = layers_of(read_files([tmp_path / "other.mha", table], open_scans=[volume]))
    assert of.annotations_of_layer(points)[0].scan_id == "other"
    write_annotations(table, rows[1:])
    *_, points = layers_of(read_files([tmp_path / "other.mha", table], open_scans=[volume]))
    assert of.annotations_of_layer(points)[0].scan_id == volume.scan_id
    write_annotations(table, rows[:1])
    with pytest.raises(AnnotationError, match="annotations of other series only"):
        read_files([table], open_scans=[volume])


def test_an_empty_table_is_there_to_be_filled(tmp_path: Path, volume: Volume) -> None:
    write_annotations(tmp_path / "annotations.csv", ())
    (points,) = layers_of(read_files([tmp_path / "annotations.csv"], open_scans=[volume, volume]))
    assert len(points.data) == 0
    assert of.is_annotations(points)


def test_a_crop_of_a_mask_is_carried_onto_its_scan(tmp_path: Path, volume: Volume) -> None:
    part = (slice(4, 12), slice(8, 24), slice(10, 26))
    grid = volume.geometry.cropped((4, 8, 10), (8, 16, 16))
    crop = Volume(balls(volume)[part], grid, "mask")
    write_volume(crop, tmp_path / "crop.nrrd")
    found = read_files([tmp_path / "crop.nrrd"], open_scans=[volume])
    (mask,) = layers_of(found)
    expected = np.zeros_like(balls(volume))
    expected[part] = balls(volume)[part]
    assert np.array_equal(mask.data, expected)
    assert "carried over by nearest neighbour (crop)" in found.warnings[0]


def test_a_mask_that_would_lose_voxels_stays_on_its_own_grid(
    tmp_path: Path, volume: Volume
) -> None:
    bigger = Volume(
        np.ones((30, 48, 48), np.uint8), volume.geometry.cropped((-3, 0, 0), (30, 48, 48)), "mask"
    )
    write_volume(bigger, tmp_path / "bigger.mha")
    (mask,) = layers_of(read_files([tmp_path / "bigger.mha"], open_scans=[volume]))
    assert mask.data.shape == (30, 48, 48)
    assert np.allclose(mask.translate, bigger.geometry.origin[::-1])


def test_signed_labels_are_a_mask_only_on_a_scan(tmp_path: Path, volume: Volume) -> None:
    labels = volume.mask(balls(volume))
    image = sitk.GetImageFromArray(labels.array.astype(np.int16))
    image.SetSpacing(volume.geometry.spacing[::-1])
    image.SetOrigin(volume.geometry.origin)
    path = tmp_path / "labels.nrrd"
    sitk.WriteImage(image, str(path))
    (alone,) = layers_of(read_files([path]))
    assert isinstance(alone, Image)
    (mask,) = layers_of(read_files([path], open_scans=[volume]))
    assert isinstance(mask, Labels)
    assert np.array_equal(mask.data, labels.array)


def test_a_scan_opens_through_the_window_that_was_chosen(volume: Volume) -> None:
    proposed = replace(volume, source=Source(window_hu=(-160.0, 240.0)))
    assert opening_window(volume, "bone") == PRESETS["bone"]
    assert opening_window(volume, "full") == Window(-1024, 60)
    assert opening_window(proposed, "header") == Window(-160, 240)
    assert opening_window(volume, "header") == PRESETS["lung"]
    (_, meta, _) = of.scan_tuple(proposed, opening_window(proposed, "header"))
    assert meta["contrast_limits"] == (-160, 240)


# -- into the viewer ----------------------------------------------------------------------


def test_what_was_mended_is_shown(
    tmp_path: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", said.append)
    floats = volume.array.astype(np.float32)
    floats[0, 0, 0] = np.nan
    write_volume(replace(volume, array=floats), tmp_path / "a.mha")
    assert len(read_into_viewer(str(tmp_path / "a.mha"))) == 1
    assert said == ["1 voxels are no numbers: they count as -1024 HU (a)"]


def test_open_scans_are_those_of_the_viewer_in_front(
    files: Path, volume: Volume, model_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "current_session", lambda: model_session)
    model_session.add_scan(volume)
    (points,) = read_into_viewer(str(files / "annotations.csv"))
    assert points[2] == "points"


def test_napari_opens_files_with_it(
    viewer: Viewer, files: Path, volume: Volume, annotations: tuple[Annotation, ...]
) -> None:
    for name in (f"{volume.scan_id}.mhd", "annotations.csv", "nodules.nii.gz"):
        for data in get_reader(str(files / name))(str(files / name)):
            viewer.add_layer(Layer.create(*data))
    scan, points, mask = viewer.layers
    assert scan.locked
    assert viewer.scene.camera.orientation == ("away", "down", "right")
    assert of.annotations_of_layer(points) == annotations
    assert np.array_equal(mask.data, balls(volume))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bad.mhd", "bad.mhd"),
        ("bad_annotations.csv", "missing columns"),
        ("bad.ctlns", "^damaged project"),
        ("bad.dcm", "bad.dcm"),
    ],
)
def test_bad_files_are_told_in_words(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    reader = get_reader(str(tmp_path / name))
    with pytest.raises(CtlnsError, match=words):
        reader(str(tmp_path / name))


# -- real scans ------------------------------------------------------------------------------


def test_a_real_series_in_any_way_it_may_be_named(shared_data: Path) -> None:
    folder = shared_data / "lidc-idri-0001" / "dicom"
    one = min(folder.iterdir())
    for path in (folder, folder.parent, one):
        (scan,) = layers_of(read_files([path], window="header"))
        assert scan.data.shape == (16, 512, 512)
        assert tuple(scan.contrast_limits) == (-1400, 200)
        assert scan.data.min() == -1024


def test_real_masks_lie_on_their_scans(shared_data: Path) -> None:
    chest = shared_data / "chest-64"
    found = read_files([chest / "wholeLung-64.nrrd", chest / "ct-64.nrrd"])
    scan, lungs = layers_of(found)
    assert found.warnings == ()
    assert scan.data[lungs.data > 0].mean() < -600
    crop = shared_data / "lung-crop-mha"
    scan, lungs = layers_of(read_files(sorted(crop.glob("*.mha"))))
    assert scan.data[lungs.data > 0].mean() < -600
    assert np.allclose(scan.scale, lungs.scale)


def test_a_folder_of_scans_and_masks_opens_its_scans(shared_data: Path) -> None:
    scans = layers_of(read_files([shared_data / "chest-64"]))
    assert [type(scan) for scan in scans] == [Image, Image]
    one, other = (of.scan_of(scan) for scan in scans)
    assert one.source.format == "nrrd"
    assert np.array_equal(other.array, read_scan(shared_data / "chest-64" / "dicom").array)
