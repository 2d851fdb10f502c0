"""What lies on scans: every kind of file finds the scan that it speaks of, or may wait for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels, Layer, Points

from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.belongings import NoScanYetError, place
from napari_ctlns.plugin.file_kinds import Kind, is_ours, kind_of
from napari_ctlns.plugin.opened import Opened
from napari_ctlns.plugin.opening import reading
from napari_ctlns.volume import Volume


@pytest.fixture(scope="module")
def lidc(shared_data_folder: Path) -> Volume:
    return read_scan(shared_data_folder / "lidc-idri-0001" / "dicom")


@pytest.fixture(scope="module")
def shared_data_folder() -> Path:
    for above in Path(__file__).resolve().parents:
        if (above / "shared" / "data").is_dir():
            return above / "shared" / "data"
    pytest.skip("no shared data here")


def layers_of(kind: Kind, path: Path, *scans: Volume) -> list[Layer]:
    return [Layer.create(*data) for data in place(kind, path, [scans]).layers]


# -- candidates --------------------------------------------------------------------------


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_candidates_are_points_coloured_by_class(tmp_path: Path, volume: Volume) -> None:
    table = write(
        tmp_path / "candidates.csv",
        "seriesuid,coordX,coordY,coordZ,class",
        f"{volume.scan_id},0,0,110,0",
        f"{volume.scan_id},5,0,110,1",
        "another,5,0,110,1",
    )
    (points,) = layers_of("annotations", table, volume)
    assert isinstance(points, Points)
    assert not of.is_annotations(points)  # nobody edits or saves them
    where = points.data[1] * points.scale[0]
    assert np.allclose(where, (110, 0, 5))
    assert points.features["class"].tolist() == [False, True]
    no_nodule, nodule = points.face_color
    assert not np.allclose(no_nodule, nodule)
    assert (points.size * points.scale[0] == of.CANDIDATE_MM).all()


def test_candidates_are_coloured_by_probability(tmp_path: Path, volume: Volume) -> None:
    header = "seriesuid,coordX,coordY,coordZ,probability"
    rows = [f"{volume.scan_id},0,0,110,{p}" for p in (0, 0.5, 1, 7)]
    (points,) = layers_of("annotations", write(tmp_path / "found.csv", header, *rows), volume)
    reds = points.face_color[:, 0]
    assert reds[0] < reds[1] < reds[2] == reds[3]
    assert points.features["probability"].tolist() == [0, 0.5, 1, 7]


def test_rows_with_a_size_are_annotations_whatever_else_they_tell(
    tmp_path: Path, volume: Volume
) -> None:
    table = write(
        tmp_path / "nodules.csv",
        "seriesuid,coordX,coordY,coordZ,diameter_mm,probability",
        f"{volume.scan_id},0,0,110,6,0.9",
    )
    (points,) = layers_of("annotations", table, volume)
    assert of.is_annotations(points)


# -- LIDC --------------------------------------------------------------------------------


def test_a_reading_of_lidc_is_its_consensus_and_its_nodules(
    shared_data_folder: Path, lidc: Volume
) -> None:
    xml = shared_data_folder / "lidc-idri-0001" / "annotations.xml"
    assert kind_of(xml) == "lidc"
    assert is_ours(xml)
    mask, points = layers_of("lidc", xml, lidc)
    assert isinstance(mask, Labels)
    assert of.mask_of(mask).geometry.same_grid(lidc.geometry)
    assert np.count_nonzero(mask.data) == pytest.approx(5428, rel=0.02)  # DATA.md
    assert {finding.origin for finding in of.findings_of(mask).items} == {"annotation"}
    (nodule,) = of.annotations_of_layer(points)
    index = lidc.geometry.world_to_index(nodule.centre).round().astype(int)
    assert mask.data[tuple(index)] > 0


def test_a_reading_and_boxes_wait_for_their_scan(
    shared_data_folder: Path, lidc: Volume, volume: Volume
) -> None:
    xml = shared_data_folder / "lidc-idri-0001" / "annotations.xml"
    boxes = shared_data_folder / "lung-pet-ct-dx-a0001" / "boxes"
    for scans in ((), (volume,)):
        with pytest.raises(NoScanYetError, match="first"):
            place("lidc", xml, [scans])
        with pytest.raises(NoScanYetError, match="first"):
            place("boxes", boxes, [(*scans, lidc)])
    *_, event = reading([xml, shared_data_folder / "lidc-idri-0001" / "dicom"])
    opened = event.result["value"]
    assert isinstance(opened, Opened)
    assert opened.in_words() == "Opened a scan and a mask and annotations"


def test_boxes_become_annotations(shared_data_folder: Path) -> None:
    folder = shared_data_folder / "lung-pet-ct-dx-a0001"
    scan = read_scan(folder / "dicom")
    some = next((folder / "boxes").glob("*.xml"))
    assert (kind_of(folder / "boxes"), kind_of(some), kind_of(folder)) == ("boxes", "boxes", "scan")
    for path in (folder / "boxes", some):
        (points,) = layers_of("boxes", path, scan)
        assert of.is_annotations(points)
        assert scan.geometry.contains(of.annotations_of_layer(points)[0].centre)


def test_other_xml_is_not_for_us(tmp_path: Path) -> None:
    for text in ("<svg/>", "", "no xml"):
        foreign = write(tmp_path / "foreign.xml", text)
        assert not is_ours(foreign)
        assert kind_of(foreign) == "scan"  # whose reader says what is wrong


# -- DICOM SEG ---------------------------------------------------------------------------


def test_a_seg_finds_the_scan_that_it_was_drawn_on(
    tmp_path: Path, lidc: Volume, volume: Volume
) -> None:
    labels = np.zeros(lidc.array.shape, np.uint8)
    labels[3:6, 200:220, 210:230] = 1
    write_volume(lidc.mask(labels), tmp_path / "mask.dcm")
    assert kind_of(tmp_path / "mask.dcm") == "mask"
    (mask,) = layers_of("mask", tmp_path / "mask.dcm", volume, lidc)
    assert np.array_equal(mask.data, labels)
    assert of.mask_of(mask).scan_id == lidc.scan_id
    other = replace(volume, scan_id="other")
    (alone,) = layers_of("mask", tmp_path / "mask.dcm", other)
    assert alone.data.sum() == labels.sum()  # on its own grid
