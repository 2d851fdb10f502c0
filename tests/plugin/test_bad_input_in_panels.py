"""What is bad for the command line is told in the panels too, in words, and work goes on."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QDialog, QFileDialog, QLabel, QMessageBox

import napari_ctlns
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.plugin.annotation_tools import annotation_tools_of
from napari_ctlns.plugin.panels import train_panel
from napari_ctlns.plugin.panels.annotations_panel import AnnotationsPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.views.data_choice import DataChoice
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.recipe_choice import RecipeChoice
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.plugin.views.train_settings import TrainSettings
from napari_ctlns.volume import Geometry, Volume

from .bad_inputs import SHAPE, good_scan, write_all
from .test_predict_panel import with_fake_child

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
LONG = 60_000
MODELS = """
import sys
from pathlib import Path
import torch
from models import brightness_model
from safetensors.torch import load_file, save_file
folder = Path(sys.argv[1])
brightness_model(folder / "good")
for name, change in (
    ("of-another", lambda weights: {"a": torch.ones(2)}),
    ("infinite", lambda weights: {k: w * torch.inf for k, w in weights.items()}),
):
    brightness_model(folder / name)
    path = folder / name / "weights.safetensors"
    save_file(change(load_file(path)), path)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad input, only to be read."""
    return write_all(tmp_path_factory.mktemp("input"))


@pytest.fixture(autouse=True)
def nothing_pops_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail where a dialog comes up or napari tells something in a corner of its window."""

    def refuse(*_args: object) -> None:
        pytest.fail("a dialog came up")

    for kind in (QDialog, QMessageBox):
        monkeypatch.setattr(kind, "exec", refuse)
    told = len(notification_manager.records)
    yield
    assert [str(n.message) for n in notification_manager.records[told:]] == []


class Hand:
    """A person's hand and eyes on one panel."""

    def __init__(self, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
        self._qtbot = qtbot
        self._patch = monkeypatch

    def chooses(self, path: Path) -> None:
        """Answer the next file dialogs."""
        for name in ("getOpenFileName", "getSaveFileName"):
            self._patch.setattr(QFileDialog, name, staticmethod(lambda *_: (str(path), "")))
        self._patch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_: str(path)))

    def clicks(self, button: QAbstractButton) -> None:
        assert button.isEnabled(), button.toolTip()
        self._qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def waits(self, bar: JobBar) -> str:
        """Wait until the work is over, and read the status line."""
        self._qtbot.waitUntil(lambda: not bar.working, timeout=LONG)
        return seen(bar.status)


def seen(label: QLabel) -> str:
    return str(label.text()).replace("\u200b", "")


def judge(bar: JobBar, words: str) -> None:
    """A line of words in the colour of trouble, which is neither a traceback nor a riddle."""
    said = seen(bar.status)
    assert words.lower() in said.lower()
    assert "Traceback" not in said
    assert "unexpected" not in said
    assert bar.status.isVisible()
    assert bar.status.property("trouble")
    assert not bar.working


@pytest.fixture
def hand(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(qtbot, monkeypatch)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A place below a file, where nobody can write, root neither."""
    (tmp_path / "file").write_text("no folder", "utf-8")
    return tmp_path / "file"


# -- Scan -----------------------------------------------------------------------------

SCANS = {
    "missing.mhd": "no such file",
    "text.mhd": "text.mhd",
    "zero.mha": "zero.mha",
    "headless.nii.gz": "headless.nii.gz",
    "half.mhd": "truncated",
    "half.mha": "half.mha",
    "half.nii.gz": "half.nii.gz",
    "half.nrrd": "half.nrrd",
    "lost.mhd": "lost.raw",
    "colours.mha": "colours.mha",
    "picture.mha": "picture.mha",
    "good.csv": "good.csv",
    "scan.raw": "scan.raw",
}
DICOM = {
    "missing": "no such file or folder",
    "plain": "no DICOM series",
    "one-place": "same position",
    "colour": "colour",
    "frames": "multi-frame",
    "half-slice": "half-slice",
}
TABLES = {
    "missing.csv": "missing.csv",
    "no-column.csv": "coordZ",
    "zero.csv": "diameter",
    "nan.csv": "diameter",
    "words.csv": "coordZ",
    "others.csv": "other series only",
    "nothing.csv": "nothing.csv",
    "binary.csv": "binary.csv",
}
MASKS = {
    "missing.nii.gz": "missing.nii.gz",
    "scan.mhd": "not a mask",
    "half.nrrd": "half.nrrd",
    "text.mhd": "text.mhd",
    "far.nrrd": "far.nrrd",
    "plain": "plain",
    "good.csv": "good.csv",
}
PROJECTS = {
    "missing.ctlns": "no such project",
    "text.ctlns": "damaged project",
    "half.ctlns": "damaged project",
    "other-zip.ctlns": "damaged project",
    "not-json.ctlns": "damaged project",
    "no-fields.ctlns": "damaged project",
    "newer.ctlns": "update napari-ctlns",
    "scan.mhd": "damaged project",
    "plain": "cannot read",
}
DOORS: dict[str, Callable[[ScanPanel], QAbstractButton]] = {
    "scan": lambda panel: panel.open_controls.scan,
    "dicom": lambda panel: panel.open_controls.dicom,
}


@pytest.fixture
def scan_panel(qtbot: QtBot, model_viewer: ViewerModel) -> ScanPanel:
    panel = ScanPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.mark.parametrize(
    ("door", "name", "words"),
    [
        *(("scan", name, words) for name, words in SCANS.items()),
        *(("dicom", name, words) for name, words in DICOM.items()),
    ],
)
def test_a_bad_scan(
    scan_panel: ScanPanel, hand: Hand, folder: Path, door: str, name: str, words: str
) -> None:
    hand.chooses(folder / name)
    hand.clicks(DOORS[door](scan_panel))
    hand.waits(scan_panel.job_bar)
    judge(scan_panel.job_bar, words)
    viewer = scan_panel._session.viewer
    assert list(viewer.layers) == []
    hand.chooses(folder / "scan.mhd")
    hand.clicks(scan_panel.open_controls.scan)
    assert hand.waits(scan_panel.job_bar) == "Opened a scan"
    assert [layer.name for layer in viewer.layers] == ["scan.mhd"]


def test_a_folder_with_several_series_asks_which(
    scan_panel: ScanPanel, hand: Hand, folder: Path
) -> None:
    hand.chooses(folder / "several")
    hand.clicks(scan_panel.open_controls.dicom)
    assert hand.waits(scan_panel.job_bar) == "Choose a scan in the list above"
    assert list(scan_panel._session.viewer.layers) == []
    assert scan_panel.scan_choice.list.count() == 2
    hand.clicks(scan_panel.scan_choice.open)
    assert hand.waits(scan_panel.job_bar) == "Opened a scan"
    assert len(scan_panel._session.viewer.layers) == 1


def test_a_series_that_is_gone_when_it_is_chosen(
    scan_panel: ScanPanel, hand: Hand, folder: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "several"
    copies.mkdir()
    for file in (folder / "several").iterdir():
        (copies / file.name).write_bytes(file.read_bytes())
    hand.chooses(copies)
    hand.clicks(scan_panel.open_controls.dicom)
    hand.waits(scan_panel.job_bar)
    for file in copies.iterdir():
        file.unlink()
    hand.clicks(scan_panel.scan_choice.open)
    hand.waits(scan_panel.job_bar)
    judge(scan_panel.job_bar, "several")
    assert list(scan_panel._session.viewer.layers) == []


@pytest.mark.parametrize(
    ("what", "name", "words"),
    [
        *(("annotations", name, words) for name, words in TABLES.items()),
        *(("mask", name, words) for name, words in MASKS.items()),
        *(("project", name, words) for name, words in PROJECTS.items()),
    ],
)
def test_what_is_bad_to_lie_on_a_scan(
    scan_panel: ScanPanel, hand: Hand, folder: Path, what: str, name: str, words: str
) -> None:
    viewer = scan_panel._session.viewer
    scan_panel._session.add_scan(good_scan())
    hand.chooses(folder / name)
    getattr(scan_panel.open_controls, what).trigger()
    hand.waits(scan_panel.job_bar)
    judge(scan_panel.job_bar, words)
    assert [layer.name for layer in viewer.layers] == ["scan"]
    hand.chooses(folder / "good.csv")
    scan_panel.open_controls.annotations.trigger()
    assert hand.waits(scan_panel.job_bar) == "Opened annotations"


def test_a_project_that_cannot_be_written(
    scan_panel: ScanPanel, hand: Hand, nowhere: Path, tmp_path: Path
) -> None:
    scan_panel._session.add_scan(good_scan())
    hand.chooses(nowhere / "case.ctlns")
    hand.clicks(scan_panel.job_bar.button)
    hand.waits(scan_panel.job_bar)
    judge(scan_panel.job_bar, "cannot write")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    hand.chooses(tmp_path / "case.ctlns")
    hand.clicks(scan_panel.job_bar.button)
    assert hand.waits(scan_panel.job_bar) == "Project saved"


# -- Annotations ------------------------------------------------------------------------


@pytest.fixture
def annotations_panel(
    qtbot: QtBot, model_viewer: ViewerModel, model_session: Session
) -> AnnotationsPanel:
    panel = AnnotationsPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    model_session.add_scan(good_scan())
    return panel


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table(
    annotations_panel: AnnotationsPanel, hand: Hand, folder: Path, name: str
) -> None:
    viewer = annotations_panel._session.viewer
    hand.chooses(folder / name)
    hand.clicks(annotations_panel.load)
    hand.waits(annotations_panel.job_bar)
    judge(annotations_panel.job_bar, TABLES[name])
    assert [layer.name for layer in viewer.layers] == ["scan"]
    hand.chooses(folder / "good.csv")
    hand.clicks(annotations_panel.load)
    assert hand.waits(annotations_panel.job_bar) == "1 of 1 rows in good.csv are of this scan"
    hand.clicks(annotations_panel.job_bar.button)
    assert hand.waits(annotations_panel.job_bar).startswith("Drew 1 nodule")


def test_a_table_that_cannot_be_written(
    annotations_panel: AnnotationsPanel, hand: Hand, folder: Path, nowhere: Path, tmp_path: Path
) -> None:
    session = annotations_panel._session
    session.add_annotations((Annotation("scan", 0.0, 0.0, 0.0, 5.0),), good_scan())
    annotation_tools_of(session).select([0])
    annotation_tools_of(session).set_diameter(6.0)
    hand.chooses(nowhere / "new.csv")
    hand.clicks(annotations_panel.save)
    hand.waits(annotations_panel.job_bar)
    judge(annotations_panel.job_bar, "cannot write")
    assert session.is_unsaved(session.annotations)
    hand.chooses(tmp_path / "new.csv")
    hand.clicks(annotations_panel.save)
    assert hand.waits(annotations_panel.job_bar) == "Saved 1 nodule to new.csv"
    assert not session.is_unsaved(session.annotations)


# -- Predict ----------------------------------------------------------------------------


@pytest.fixture
def predict_panel(
    qtbot: QtBot, model_viewer: ViewerModel, model_session: Session
) -> Iterator[PredictPanel]:
    panel = PredictPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    model_session.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "no model"),
        ("plain", "not a whole model"),
        ("scan.mhd", "scan.mhd"),
        ("models/not-json", "damaged (not JSON)"),
        ("models/damaged", "damaged (recipe)"),
        ("models/newer", "update napari-ctlns"),
    ],
)
def test_a_folder_that_is_no_model(
    predict_panel: PredictPanel, hand: Hand, folder: Path, name: str, words: str
) -> None:
    predict_panel._session.add_scan(good_scan())
    hand.chooses(folder / name)
    hand.clicks(predict_panel.models.first.browse)
    assert words in seen(predict_panel.facts)
    assert predict_panel.facts.isVisible()
    assert "#d55e00" in predict_panel.facts.styleSheet()
    assert not predict_panel.job_bar.button.isEnabled()
    hand.chooses(folder / "models" / "weightless")
    hand.clicks(predict_panel.models.first.browse)
    assert seen(predict_panel.facts).startswith("ct-lns, trained")
    assert predict_panel.facts.styleSheet() == ""
    assert predict_panel.job_bar.button.isEnabled()


def test_bad_weights(
    predict_panel: PredictPanel,
    hand: Hand,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = os.pathsep.join((str(SOURCE), str(HERE.parent / "inference")))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path / "cache"))
    subprocess.run([sys.executable, "-c", MODELS, str(tmp_path)], check=True)
    session = predict_panel._session
    session.add_scan(good_scan())
    for model, words in (
        (folder / "models" / "weightless", "no weights.safetensors"),
        (folder / "models" / "broken-weights", "is damaged"),
        (tmp_path / "of-another", "do not fit its recipe"),
        (tmp_path / "infinite", "are not finite"),
    ):
        session.choose_model(model)
        hand.clicks(predict_panel.job_bar.button)
        hand.waits(predict_panel.job_bar)
        judge(predict_panel.job_bar, words)
        assert session.mask is None
    child = session.child.pid
    session.choose_model(tmp_path / "good")
    predict_panel.whole.setChecked(True)
    hand.clicks(predict_panel.job_bar.button)
    assert "found" in hand.waits(predict_panel.job_bar)
    assert session.mask is not None
    assert session.child.pid == child


@pytest.fixture
def from_file(
    predict_panel: PredictPanel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The file of the scan that is open; a child without a network predicts."""
    with_fake_child(predict_panel._session, monkeypatch)
    path = tmp_path / "scan.mha"
    write_volume(good_scan(), path)
    predict_panel._session.add_scan(read_scan(path))
    predict_panel._session.choose_model(folder / "models" / "weightless")
    return path


def test_a_scan_whose_file_is_gone_is_predicted_from_memory(
    predict_panel: PredictPanel, hand: Hand, from_file: Path
) -> None:
    from_file.unlink()
    hand.clicks(predict_panel.job_bar.button)
    assert hand.waits(predict_panel.job_bar).startswith("1 nodule found")


def test_a_scan_whose_file_is_another_by_now(
    predict_panel: PredictPanel, hand: Hand, from_file: Path
) -> None:
    scan = good_scan()
    other = scan.geometry.cropped((1, 0, 0), (6, 16, 16))
    write_volume(Volume(scan.array[1:7], other, "ct", "scan"), from_file)
    hand.clicks(predict_panel.job_bar.button)
    hand.waits(predict_panel.job_bar)
    judge(predict_panel.job_bar, "has changed since it was opened")
    assert predict_panel._session.mask is None
    write_volume(scan, from_file)
    hand.clicks(predict_panel.job_bar.button)
    assert hand.waits(predict_panel.job_bar).startswith("1 nodule found")


def test_no_room_for_temporary_files(
    predict_panel: PredictPanel,
    hand: Hand,
    from_file: Path,
    nowhere: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(nowhere / "temporary"))
    hand.clicks(predict_panel.job_bar.button)
    hand.waits(predict_panel.job_bar)
    judge(predict_panel.job_bar, "cannot write")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    hand.clicks(predict_panel.job_bar.button)
    assert hand.waits(predict_panel.job_bar).startswith("1 nodule found")


# -- Train ------------------------------------------------------------------------------


@pytest.fixture
def training(
    qtbot: QtBot,
    model_viewer: ViewerModel,
    model_session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator["Training"]:
    chosen = Settings("cpu", "fp32", "lung", tmp_path / "work")
    monkeypatch.setattr(train_panel, "read_settings", lambda: chosen)
    panel = TrainPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    yield Training(panel)
    model_session.close()


class Training:
    """The parts of a Train panel."""

    def __init__(self, panel: TrainPanel) -> None:
        self.panel = panel
        (self.bar,) = panel.findChildren(RunBar)
        (self.data,) = panel.findChildren(DataChoice)
        (self.recipes,) = panel.findChildren(RecipeChoice)
        (self.settings,) = panel.findChildren(TrainSettings)
        self.session = panel._session

    def takes_dataset(self, path: Path) -> None:
        self.data.way.setCurrentText("Prepared dataset")
        self.data.dataset.set_path(path)

    def takes_folder(self, scans: Path, table: Path) -> None:
        self.data.way.setCurrentText("Folder and CSV")
        self.data.scans.set_path(scans)
        self.data.annotations.set_path(table)

    def takes_recipe(self, path: Path) -> None:
        self.recipes.names.setCurrentIndex(self.recipes.names.count() - 1)
        self.recipes.file.set_path(path)

    def why_not(self) -> str:
        return "" if self.bar.button.isEnabled() else str(self.bar.button.toolTip())


@pytest.mark.parametrize(
    ("scans", "table", "words"),
    [
        ("missing", "good.csv", "No such folder"),
        ("scans", "missing.csv", "No such file"),
        ("scans", "plain", "No such file"),
    ],
)
def test_data_that_is_not_there(
    training: Training, folder: Path, scans: str, table: str, words: str
) -> None:
    training.takes_folder(folder / scans, folder / table)
    assert training.why_not().startswith(words)
    training.takes_folder(folder / "scans", folder / "good.csv")
    assert training.why_not() == ""


def test_data_that_nothing_can_be_learned_from(
    training: Training, hand: Hand, folder: Path, tmp_path: Path
) -> None:
    for scans, table, words in (
        ("no-scans", "good.csv", "no scans"),
        ("scans", "no-column.csv", "coordZ"),
        ("scans", "zero.csv", "diameter"),
        ("scans", "nan.csv", "diameter"),
        ("scans", "binary.csv", "binary.csv"),
        ("scans", "nothing.csv", "nothing.csv"),
        ("scans", "others.csv", "other series only"),
        ("half-scans", "good.csv", "truncated"),
    ):
        training.takes_folder(folder / scans, folder / table)
        hand.clicks(training.bar.button)
        hand.waits(training.bar)
        judge(training.bar, words)
        assert training.session.run is None
    assert list((tmp_path / "work").rglob("*.npz")) == []
    assert not (tmp_path / "work" / "runs").exists()
    assert training.why_not() == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing", "No dataset"), ("plain", "No dataset"), ("scan.mhd", "No dataset")],
)
def test_a_folder_that_is_no_dataset(
    training: Training, folder: Path, name: str, words: str
) -> None:
    training.takes_dataset(folder / name)
    assert training.why_not().startswith(words)
    training.takes_dataset(folder / "text-dataset")
    assert training.why_not() == ""


@pytest.mark.slow
def test_a_damaged_dataset(training: Training, hand: Hand, folder: Path) -> None:
    training.takes_dataset(folder / "text-dataset")
    hand.clicks(training.bar.button)
    hand._qtbot.waitUntil(lambda: training.session.run is not None, timeout=LONG)
    hand.waits(training.bar)
    judge(training.bar, "text-dataset")
    assert training.why_not() == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.toml", "missing.toml"),
        ("no.toml", "not TOML"),
        ("binary.toml", "binary.toml"),
        ("value.toml", "optimisation.epochs"),
        ("key.toml", "no such key"),
        ("plain", "plain"),
    ],
)
def test_a_bad_recipe(training: Training, folder: Path, name: str, words: str) -> None:
    training.takes_dataset(folder / "text-dataset")
    training.takes_recipe(folder / name)
    assert words in training.why_not()
    assert words in seen(training.settings._words)
    assert training.settings._words.isVisible()
    training.recipes.names.setCurrentIndex(0)
    assert training.why_not() == ""
    assert not training.settings._words.isVisible()


def test_a_bad_value(training: Training, folder: Path) -> None:
    training.takes_dataset(folder / "text-dataset")
    field = training.settings.form.field("optimisation.learning_rate").native
    for text in ("none", "-1", "[1, 2]", "1e999"):
        field.setText(text)
        assert "optimisation.learning_rate" in training.why_not()
    field.setText("0.01")
    assert training.why_not() == ""


def test_run_folders_that_cannot_be(
    training: Training, hand: Hand, folder: Path, nowhere: Path
) -> None:
    training.takes_dataset(folder / "text-dataset")
    for path, words in ((folder / "plain", "not empty"), (nowhere, "is a file")):
        training.settings.folder.set_path(path)
        assert words in training.why_not()
    training.settings.folder.set_path(nowhere / "run")
    hand.clicks(training.bar.button)
    hand.waits(training.bar)
    judge(training.bar, "cannot write")
    assert training.session.run is None
    training.settings.folder.set_path(None)
    assert training.why_not() == ""


def test_open_layers_without_a_nodule(training: Training, hand: Hand) -> None:
    scan = good_scan()
    training.session.add_scan(scan)
    training.session.add_mask(scan.mask(np.zeros(SHAPE, np.uint8)), "empty")
    hand.clicks(training.bar.button)
    hand.waits(training.bar)
    judge(training.bar, "the masks are empty")
    assert training.why_not() == ""


@pytest.mark.parametrize("name", ["missing", "plain", "scan.mhd"])
def test_a_folder_that_is_no_run(training: Training, hand: Hand, folder: Path, name: str) -> None:
    hand.chooses(folder / name)
    hand.clicks(training.panel._attach_button)
    judge(training.bar, "is no run")
    training.session.watch_run(folder / name)  # as a project does
    judge(training.bar, "is no run")
    training.takes_dataset(folder / "text-dataset")
    assert training.why_not() == ""


def test_a_run_that_says_nothing_of_ours(training: Training, hand: Hand, folder: Path) -> None:
    hand.chooses(folder / "silent-run")
    hand.clicks(training.panel._attach_button)
    hand.waits(training.bar)
    judge(training.bar, "ended without a word")
    assert not training.panel._resume.isEnabled()
    training.takes_dataset(folder / "text-dataset")
    assert training.why_not() == ""


# -- Nodules ----------------------------------------------------------------------------


@pytest.fixture
def nodules_panel(qtbot: QtBot, model_viewer: ViewerModel, model_session: Session) -> NodulesPanel:
    panel = NodulesPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    model_session.add_scan(good_scan())
    return panel


def rests(panel: NodulesPanel, hand: Hand) -> str:
    """Wait until what starts by itself is over too."""
    hand._qtbot.wait(1)
    return hand.waits(panel.job_bar)


def test_an_empty_mask(nodules_panel: NodulesPanel, hand: Hand) -> None:
    scan = good_scan()
    layer = nodules_panel._session.add_mask(scan.mask(np.zeros(SHAPE, np.uint8)), "empty")
    assert rests(nodules_panel, hand) == "No nodules measured"
    assert nodules_panel.empty.isVisible()
    layer.paint((4, 8, 8), 1)
    hand.clicks(nodules_panel.job_bar.button)
    assert rests(nodules_panel, hand) == "1 nodule measured"


@pytest.mark.parametrize(("what", "name"), [("mask", "new.nii.gz"), ("table", "new.csv")])
def test_nodules_that_cannot_be_written(
    nodules_panel: NodulesPanel, hand: Hand, nowhere: Path, tmp_path: Path, what: str, name: str
) -> None:
    session, scan = nodules_panel._session, good_scan()
    layer = session.add_mask(scan.mask((scan.array > 0).astype(np.uint8)), "mask")
    rests(nodules_panel, hand)
    hand.chooses(nowhere / name)
    nodules_panel.save.actions_by_key[what].trigger()
    rests(nodules_panel, hand)
    judge(nodules_panel.job_bar, "cannot write")
    assert session.is_unsaved(layer)
    hand.chooses(tmp_path / name)
    nodules_panel.save.actions_by_key[what].trigger()
    assert rests(nodules_panel, hand) == f"Saved {tmp_path / name}"


@pytest.mark.parametrize(
    ("what", "name", "written"),
    [("mask", "new.jpg", "new.jpg.nii.gz"), ("table", "new.xls", "new.xls.csv")],
)
def test_names_of_other_kinds_of_files(
    nodules_panel: NodulesPanel, hand: Hand, tmp_path: Path, what: str, name: str, written: str
) -> None:
    scan = good_scan()
    nodules_panel._session.add_mask(scan.mask((scan.array > 0).astype(np.uint8)), "mask")
    rests(nodules_panel, hand)
    hand.chooses(tmp_path / name)
    nodules_panel.save.actions_by_key[what].trigger()
    assert rests(nodules_panel, hand) == f"Saved {tmp_path / written}"
    nodules_panel.save.actions_by_key[what].trigger()  # the dialog asked about another name
    judge(nodules_panel.job_bar, "is there already")


def test_a_mask_of_elsewhere(nodules_panel: NodulesPanel, hand: Hand, tmp_path: Path) -> None:
    far = Geometry(SHAPE, (2.0, 1.0, 1.0), (900.0, 900.0, 900.0))
    mask = Volume(np.ones(SHAPE, np.uint8), far, "mask", "scan")
    nodules_panel._session.add_mask(mask, "far")
    rests(nodules_panel, hand)
    judge(nodules_panel.job_bar, "lies beside the scan")
    hand.chooses(tmp_path / "far.nii.gz")
    nodules_panel.save.actions_by_key["mask"].trigger()
    rests(nodules_panel, hand)
    judge(nodules_panel.job_bar, "lies beside the scan")
    assert list(tmp_path.iterdir()) == []


def test_labels_that_are_no_nodules(nodules_panel: NodulesPanel, hand: Hand) -> None:
    scan = good_scan()
    layer = nodules_panel._session.viewer.add_labels(
        np.where(scan.array > 0, -1, 0).astype(np.int32), scale=(2, 1, 1), units="mm"
    )
    rests(nodules_panel, hand)
    judge(nodules_panel.job_bar, "label")
    layer.data_setitem(np.nonzero(layer.data), 1)
    hand.clicks(nodules_panel.job_bar.button)
    assert rests(nodules_panel, hand).startswith("1 nodule measured")
