"""The menu that saves all there is of a labels layer, in a panel of its own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_ctlns.formats import read_candidates, read_scan
from napari_ctlns.measurement import COLUMNS, measure
from napari_ctlns.plugin.exports import ENTRIES, Exports
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.save_menu import SaveMenu
from napari_ctlns.volume import Volume

LONG = 60_000


class Panel(QWidget):
    """Nothing but the menu and the bar."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.menu = SaveMenu("Save…", "Save the mask, or what is known of it", ENTRIES)
        self.bar = JobBar("Measure", "Measure every nodule")
        layout = QVBoxLayout(self)
        layout.addWidget(self.menu)
        layout.addWidget(self.bar)
        self.exports = Exports(session, self.menu, self.bar, self)

    def why_not(self, key: str) -> str:
        action = self.menu.actions_by_key[key]
        return "" if action.isEnabled() else str(action.toolTip())

    def save(self, key: str, qtbot: QtBot) -> str:
        self.menu.actions_by_key[key].trigger()
        qtbot.waitUntil(lambda: not self.bar.working, timeout=LONG)
        return str(self.bar.said)


@pytest.fixture
def panel(model_session: Session, qtbot: QtBot) -> Panel:
    panel = Panel(model_session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def mask(volume: Volume) -> Volume:
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return volume.mask(labels)


@pytest.fixture
def layer(panel: Panel, model_session: Session, volume: Volume, mask: Volume) -> Labels:
    model_session.add_scan(volume)
    return model_session.add_mask(mask, "mask")


def dialog(monkeypatch: pytest.MonkeyPatch, path: Path | str, kind: str = "") -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), kind))


def test_what_cannot_be_saved_says_why(
    panel: Panel, model_session: Session, volume: Volume, mask: Volume
) -> None:
    assert not panel.menu.isEnabled()
    assert panel.menu.toolTip() == "There is no labels layer"
    model_session.add_scan(volume)
    layer = model_session.add_mask(mask, "mask")
    assert panel.menu.isEnabled()
    assert "Open the scan as DICOM" in panel.why_not("sr")
    assert "Predict first" in panel.why_not("candidates")
    assert not any(panel.why_not(key) for key in ("mask", "table", "report", "mesh"))
    table = measure(mask, volume, volume.probability(np.full(mask.array.shape, 0.5)))
    model_session.keep_table(layer, table, model_session.edits(layer))
    assert panel.why_not("candidates") == ""


def test_a_mask_is_saved_and_known_to_be(
    panel: Panel,
    layer: Labels,
    model_session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert model_session.is_unsaved(layer)
    dialog(monkeypatch, tmp_path / "mask", "NIfTI (*.nii.gz *.nii)")
    assert panel.save("mask", qtbot) == f"Saved {tmp_path / 'mask.nii.gz'}"
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "mask.nii.gz")))
    assert np.array_equal(written, layer.data)
    assert not model_session.is_unsaved(layer)
    dialog(monkeypatch, tmp_path / "other.mha")
    panel.menu.actions_by_key["mask"].trigger()
    assert not panel.menu.isEnabled()  # while it saves
    layer.paint((20, 24, 24), 5)
    qtbot.waitUntil(lambda: not panel.bar.working, timeout=LONG)
    assert model_session.is_unsaved(layer)
    assert panel.menu.isEnabled()


def test_a_table_is_measured_again_before_it_is_saved(
    panel: Panel,
    layer: Labels,
    model_session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer.paint((20, 24, 24), 5)
    dialog(monkeypatch, tmp_path / "nodules.csv")
    panel.save("table", qtbot)
    table = pd.read_csv(tmp_path / "nodules.csv")
    assert tuple(table.columns) == COLUMNS
    assert table["label"].tolist() == [1, 2, 5]
    assert not model_session.is_stale(layer)


def test_page_mesh_and_candidates_are_of_the_labels_as_they_are(
    panel: Panel,
    layer: Labels,
    model_session: Session,
    volume: Volume,
    mask: Volume,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = measure(mask, volume, volume.probability(np.full(mask.array.shape, 0.5)))
    model_session.keep_table(layer, table, model_session.edits(layer))
    for key, name in (("report", "r.html"), ("mesh", "m.obj"), ("candidates", "c.csv")):
        dialog(monkeypatch, tmp_path / name)
        assert panel.save(key, qtbot) == f"Saved {tmp_path / name}"
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("<article") == 2
    assert "50 %" in page  # as it was predicted
    assert volume.scan_id not in page
    assert volume.patient_id not in page
    assert (tmp_path / "m.obj").read_text("ascii").count("o nodule_") == 2
    found = read_candidates(tmp_path / "c.csv")
    assert [(c.scan_id, c.probability) for c in found] == [(volume.scan_id, 0.5)] * 2


def test_a_structured_report_is_of_the_labels_as_they_are_now(
    panel: Panel,
    model_session: Session,
    shared_data: Path,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan = read_scan(shared_data / "lidc-idri-0001" / "dicom")
    labels = np.zeros(scan.array.shape, np.uint8)
    labels[6:9, 350:360, 330:340] = 3
    model_session.add_scan(scan)
    model_session.add_mask(scan.mask(labels), "mask")
    assert panel.why_not("sr") == ""
    dialog(monkeypatch, tmp_path / "r.dcm")
    assert panel.save("sr", qtbot) == f"Saved {tmp_path / 'r.dcm'}"
    assert pydicom.dcmread(tmp_path / "r.dcm").Modality == "SR"
    (segment,) = pydicom.dcmread(tmp_path / "r_seg.dcm").SegmentSequence
    assert segment.SegmentLabel == "Nodule 3"


def test_trouble_is_told_and_a_cancelled_dialog_does_nothing(
    panel: Panel,
    layer: Labels,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for entry in ENTRIES:
        if not panel.why_not(entry.key):
            dialog(monkeypatch, "")
            panel.menu.actions_by_key[entry.key].trigger()
            assert not panel.bar.working
            ends = {"report": "r.html", "mesh": "m.stl", "mask": "m.mha", "table": "t.csv"}
            dialog(monkeypatch, tmp_path / "file" / ends[entry.key])
            assert "cannot write" in panel.save(entry.key, qtbot)
    assert [p.name for p in tmp_path.iterdir() if p.name != "recoveries"] == ["file"]


def test_work_that_is_cancelled_writes_nothing(
    volume: Volume, mask: Volume, tmp_path: Path
) -> None:
    from napari_ctlns.events import Finished, ThreadControl
    from napari_ctlns.findings import Findings
    from napari_ctlns.plugin.reporting import Reported, page_job

    control = ThreadControl()
    events = []
    for event in page_job(Reported(mask, volume, Findings()), tmp_path / "r.html", control):
        events.append(event)
        control.stop()
    assert isinstance(events[-1], Finished)
    assert events[-1].stopped
    assert not (tmp_path / "r.html").exists()
