"""Saving masks and annotations: on the source's own grid, whichever layer they lie in."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from napari import Viewer
from napari.layers import Labels, Points

from napari_ctlns.errors import AnnotationError, MaskError, OutputError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_annotations, read_mask, read_scan, write_volume
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin import writing
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.reading import read_files
from napari_ctlns.plugin.saving import mask_to_save, save_annotations, save_mask
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.writing import (
    write_annotations,
    write_mask,
    write_project,
)
from napari_ctlns.volume import Geometry, Volume


@pytest.fixture
def in_front(model_session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session that napari's menus mean."""
    monkeypatch.setattr(writing, "current_session", lambda: model_session)
    return model_session


@pytest.fixture
def turned() -> Volume:
    """A scan whose source runs along other axes, some of them backwards."""
    direction = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    own = Geometry((4, 5, 6), (0.8, 0.7, 2.5), (-12.5, 30.25, -400.125), direction)
    array = np.arange(120, dtype=np.int16).reshape(own.shape) - 1000
    geometry = own.oriented()
    return Volume(geometry.from_source(array).copy(), geometry, scan_id="turned")


def oblique(volume: Volume) -> Volume:
    """The same voxels, turned about the z axis by 10 degrees."""
    c, s = math.cos(math.radians(10)), math.sin(math.radians(10))
    direction = ((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))
    return replace(volume, geometry=replace(volume.geometry, direction=direction))


def same_grid(one: sitk.Image, other: sitk.Image) -> bool:
    return one.GetSize() == other.GetSize() and all(
        np.allclose(getattr(one, name)(), getattr(other, name)(), atol=1e-4)
        for name in ("GetSpacing", "GetOrigin", "GetDirection")
    )


def foreign(volume: Volume, array: np.ndarray) -> Labels:
    """What napari's own button makes of a scan's layer."""
    _, meta, _ = of.scan_tuple(volume)
    placed = {key: meta[key] for key in ("scale", "translate", "units", "axis_labels")}
    return Labels(array, name="new", **placed)


def draw(layer: Labels, label: int, z: list[int], y: list[int], x: list[int]) -> None:
    layer.data_setitem((np.array(z), np.array(y), np.array(x)), label)


# -- masks -------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"])
def test_a_mask_is_written_on_the_grid_of_its_scans_file(
    tmp_path: Path, turned: Volume, in_front: Session, extension: str
) -> None:
    write_volume(turned, tmp_path / "scan.nrrd")
    in_front.add_scan(turned)
    layer = in_front.add_mask(turned.mask(np.zeros(turned.geometry.shape, np.uint8)), "mask")
    draw(layer, 2, [0, 1], [2, 3], [1, 3])
    assert in_front.is_unsaved(layer)
    path = str(tmp_path / f"mask{extension}")
    assert write_mask(path, *layer.as_layer_data_tuple()[:2]) == [path]
    assert not in_front.is_unsaved(layer)
    assert same_grid(sitk.ReadImage(path), sitk.ReadImage(str(tmp_path / "scan.nrrd")))
    assert np.array_equal(read_mask(path).array, layer.data)


def test_a_new_layer_of_naparis_lies_on_the_scan_below_it(
    tmp_path: Path, turned: Volume, volume: Volume, in_front: Session
) -> None:
    scan = in_front.add_scan(turned)
    in_front.viewer.layers.selection.active = scan
    in_front.viewer._new_labels()
    layer = in_front.viewer.layers[-1]
    in_front.add_scan(volume)  # another one is worked on now
    assert in_front.volume_under(layer) is turned
    draw(layer, 1, [3], [2], [1])
    path = str(tmp_path / "mask.mha")
    write_mask(path, *layer.as_layer_data_tuple()[:2])
    assert read_mask(path).geometry == turned.geometry
    assert np.array_equal(read_mask(path).array, layer.data)


def test_a_new_layer_on_an_oblique_scan_is_turned_with_it(tmp_path: Path, volume: Volume) -> None:
    scan = oblique(volume)
    layer = foreign(scan, (volume.array == 60).astype(np.int64))
    assert save_mask(layer, tmp_path / "mask.nrrd", scan) == ()
    saved = read_mask(tmp_path / "mask.nrrd")
    assert saved.geometry.same_grid(scan.geometry)
    assert saved.array.dtype == np.uint8


def test_another_grid_is_carried_onto_the_scan_and_that_is_said(
    tmp_path: Path, volume: Volume
) -> None:
    array = np.ones((6, 10, 10), np.int32)
    corner = np.add(volume.geometry.origin[::-1], 10.4)
    layer = Labels(array, scale=(2.5, 1.0, 1.0), translate=corner)
    (words,) = save_mask(layer, tmp_path / "mask.nrrd", volume)
    assert "nearest neighbour" in words
    saved = read_mask(tmp_path / "mask.nrrd")
    assert saved.geometry.same_grid(volume.geometry)
    assert saved.array.sum() == array.size
    assert saved.array[4:10, 10:20, 10:20].all()


def test_without_a_scan_a_layer_is_written_where_it_lies(tmp_path: Path) -> None:
    layer = Labels(np.ones((3, 4, 5), np.int32), scale=(2, 0.5, 0.25), translate=(7, 8, 9))
    path = str(tmp_path / "mask.mha")
    assert write_mask(path, *layer.as_layer_data_tuple()[:2]) == [path]
    image = sitk.ReadImage(path)
    assert image.GetSpacing() == (0.25, 0.5, 2)
    assert image.GetOrigin() == (9, 8, 7)


def test_what_is_saved_does_not_change_while_it_is_written(volume: Volume) -> None:
    data, meta, _ = of.mask_tuple(volume.mask(np.zeros(volume.geometry.shape, np.uint16)), "mask")
    layer = Labels(data, **meta)
    mask = mask_to_save(layer, None)
    draw(layer, 300, [1], [1], [1])
    assert not mask.array.any()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((3, 4, 5), 70_000), r"^label 70000 in new"),
        (np.full((3, 4, 5), -1), r"^label -1 in new"),
        (np.ones((4, 5), np.uint8), r"^not a mask of a scan: new"),
        (np.ones((2, 3, 4, 5), np.uint8), r"^not a mask of a scan: new"),
    ],
)
def test_what_cannot_be_a_mask_is_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    with pytest.raises(MaskError, match=words):
        save_mask(Labels(array, name="new"), tmp_path / "mask.mha", None)
    assert list(tmp_path.iterdir()) == []


def test_a_layer_turned_or_beside_the_scan_is_refused(tmp_path: Path, volume: Volume) -> None:
    layer = foreign(volume, np.ones(volume.geometry.shape, np.uint8))
    layer.rotate = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    with pytest.raises(MaskError, match="reset its transform"):
        save_mask(layer, tmp_path / "mask.mha", volume)
    away = Labels(np.ones((3, 4, 5), np.uint8), translate=(5000, 0, 0), name="away")
    with pytest.raises(MaskError, match="the mask away lies beside the scan"):
        save_mask(away, tmp_path / "mask.mha", volume)
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_written_stays_unsaved(
    tmp_path: Path, volume: Volume, in_front: Session
) -> None:
    layer = in_front.add_mask(volume.mask(np.zeros(volume.geometry.shape, np.uint8)), "mask")
    (tmp_path / "no folder").write_text("a file")
    path = str(tmp_path / "no folder" / "mask.mha")
    with pytest.raises(OutputError, match="cannot write"):
        write_mask(path, *layer.as_layer_data_tuple()[:2])
    assert in_front.is_unsaved(layer)


def test_a_mask_of_a_real_series_lies_on_it_as_simpleitk_sees_it(
    tmp_path: Path, shared_data: Path
) -> None:
    folder = shared_data / "lidc-idri-0001" / "dicom"
    scan = read_scan(folder)
    array = np.zeros(scan.geometry.shape, np.uint8)
    layer = foreign(scan, array)
    draw(layer, 1, [3, 4], [100, 200], [300, 301])
    save_mask(layer, tmp_path / "mask.nii.gz", scan)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    truth, saved = reader.Execute(), sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    assert same_grid(saved, truth)
    place = scan.geometry.index_to_world((3, 100, 300))
    assert saved[saved.TransformPhysicalPointToIndex(place.tolist())] == 1
    assert sitk.GetArrayFromImage(saved).sum() == 2


# -- annotations ----------------------------------------------------------------------------


def test_annotations_are_written_as_they_are_now(
    tmp_path: Path, volume: Volume, annotations: tuple[Annotation, ...], in_front: Session
) -> None:
    in_front.add_scan(volume)
    layer = in_front.add_annotations(annotations, volume)
    layer.data = np.add(layer.data, (0, 0, 5.0 / layer.scale[-1]))
    layer.size = layer.size + 1 / layer.scale[-1]
    assert in_front.is_unsaved(layer)
    path = str(tmp_path / "annotations.csv")
    assert write_annotations(path, *layer.as_layer_data_tuple()[:2]) == [path]
    assert not in_front.is_unsaved(layer)
    moved = [replace(a, x_mm=a.x_mm + 5, diameter_mm=a.diameter_mm + 1) for a in annotations]
    for saved, expected in zip(read_annotations(path), moved, strict=True):
        assert saved.scan_id == expected.scan_id
        assert np.allclose(saved.centre, expected.centre)
        assert math.isclose(saved.diameter_mm, expected.diameter_mm)


def test_new_points_belong_to_the_scan_that_is_worked_on(tmp_path: Path, volume: Volume) -> None:
    scan = oblique(volume)
    world = scan.geometry.index_to_world((4, 5, 6))
    points = Points([lps_to_canvas(scan.geometry, world)], size=6)
    save_annotations(points, tmp_path / "annotations.csv", scan)
    (row,) = read_annotations(tmp_path / "annotations.csv")
    assert row.scan_id == scan.scan_id
    assert np.allclose(row.centre, world)


def test_points_of_nothing_are_refused(tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "annotations.csv"
    with pytest.raises(AnnotationError, match="open the scan first"):
        save_annotations(Points(np.zeros((1, 3))), path, None)
    with pytest.raises(AnnotationError, match="has no diameter"):
        save_annotations(Points(np.zeros((1, 3)), size=0), path, volume)
    with pytest.raises(AnnotationError, match="not three-dimensional"):
        save_annotations(Points(np.zeros((1, 2))), path, volume)
    assert not path.exists()


# -- in the window ---------------------------------------------------------------------------


def test_naparis_save_dialog_marks_layers_as_saved(
    tmp_path: Path, viewer: Viewer, session: Session, volume: Volume
) -> None:
    session.add_scan(volume)
    layer = session.add_mask(volume.mask(np.ones(volume.geometry.shape, np.uint8)), "mask")
    write_mask(str(tmp_path / "mask.mha"), *layer.as_layer_data_tuple()[:2])
    assert not session.is_unsaved(layer)
    draw(layer, 0, [1], [1], [1])
    path = str(tmp_path / "all.ctlns")
    assert write_project(path, [one.as_layer_data_tuple() for one in viewer.layers]) == [path]
    assert not session.is_unsaved(layer)
    scan, mask = read_back(path)
    assert np.array_equal(mask[0], layer.data)
    assert np.array_equal(scan[0], of.displayed(volume))


def test_a_project_can_be_written_without_a_window(tmp_path: Path, volume: Volume) -> None:
    tuples = [of.scan_tuple(volume), of.mask_tuple(volume.mask(volume.array == 60), "mask")]
    path = str(tmp_path / "all.ctlns")
    assert write_project(path, tuples) == [path]
    scan, mask = read_back(path)
    assert mask[0].sum() == (volume.array == 60).sum()
    assert scan[1]["name"] == volume.scan_id


def read_back(path: str) -> list[of.LayerTuple]:
    from napari_ctlns.plugin.project import layer_data
    from napari_ctlns.plugin.project_file import read_project_file

    return list(layer_data(read_project_file(path)))


def test_reading_saving_and_reading_again_changes_nothing(tmp_path: Path, turned: Volume) -> None:
    write_volume(turned, tmp_path / "scan.nrrd")
    labels = (turned.array > -950).astype(np.uint8)
    write_volume(turned.mask(labels), tmp_path / "mask.nrrd")
    (_, (data, meta, _)) = read_files([tmp_path / "scan.nrrd", tmp_path / "mask.nrrd"]).layers
    save_mask(Labels(data, **meta), tmp_path / "again.nrrd", None)
    one, other = (sitk.ReadImage(str(tmp_path / f"{name}.nrrd")) for name in ("mask", "again"))
    assert same_grid(one, other)
    assert np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))
