"""Masks to DICOM SEG from layers, and back onto the scan they were drawn on."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from napari.layers import Labels

from napari_ctlns.errors import MaskError, OutputError
from napari_ctlns.formats import read_scan
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.file_kinds import kind_of
from napari_ctlns.plugin.reading import read_files
from napari_ctlns.plugin.saving import mask_on_scan, save_mask, save_mask_job
from napari_ctlns.volume import Volume


@pytest.fixture(scope="module")
def scan(shared_data: Path) -> Volume:
    return read_scan(shared_data / "lidc-idri-0001" / "dicom")


@pytest.fixture
def layer(scan: Volume) -> Labels:
    array = np.zeros(scan.array.shape, np.uint8)
    array[3:9, 200:220, 100:130] = 1
    array[5:7, 300:310, 300:310] = 4
    data, keywords, _ = of.mask_tuple(scan.mask(array), "nodules")
    return Labels(data, **keywords)


def test_a_layer_is_saved_with_its_findings_and_opened_again(
    scan: Volume, layer: Labels, tmp_path: Path
) -> None:
    path = tmp_path / "m.dcm"
    assert save_mask(layer, path, scan) == ()
    uids = [segment.TrackingID for segment in pydicom.dcmread(path).SegmentSequence]
    assert uids == [of.findings_of(layer).of_label(label).uid for label in (1, 4)]
    assert kind_of(path) == "mask"
    found = read_files([path], open_scans=[scan])
    ((data, _, kind),) = found.layers
    assert kind == "labels"
    assert np.array_equal(data, layer.data)
    assert found.warnings == ()

    now = mask_on_scan(of.mask_of(layer, scan), scan)
    *_, end = save_mask_job(now, scan, tmp_path / "n.dcm", of.findings_of(layer))
    assert end.result == {"path": tmp_path / "n.dcm", "left_out": 0}
    again = [segment.TrackingID for segment in pydicom.dcmread(tmp_path / "n.dcm").SegmentSequence]
    assert again == uids


def test_without_its_scan_a_layer_cannot_be_a_seg(layer: Labels, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="needs a mask of a DICOM series"):
        save_mask(layer, tmp_path / "m.dcm", None)


def test_a_seg_that_contradicts_the_open_scan_is_not_shown_elsewhere(
    scan: Volume, layer: Labels, tmp_path: Path
) -> None:
    save_mask(layer, tmp_path / "m.dcm", scan)
    ds = pydicom.dcmread(tmp_path / "m.dcm")
    ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[0] += 5
    ds.save_as(tmp_path / "m.dcm")
    with pytest.raises(MaskError, match="contradicts its source"):
        read_files([tmp_path / "m.dcm"], open_scans=[scan])
