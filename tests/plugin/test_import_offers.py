"""Models of others in the Predict panel: recognised, offered, imported, chosen."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

import napari_ctlns
from napari_ctlns.errors import ModelError
from napari_ctlns.inference.foreign import Foreign, foreign_at
from napari_ctlns.inference.model import CARD, read_card
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.importing import (
    Said,
    import_spec,
    importable_at,
    in_place_of,
    name_for,
)
from napari_ctlns.plugin.model_import import ModelImport
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.runs import models_folder, recent_models
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.words import in_the_panel
from napari_ctlns.plugin.work import under_way
from napari_ctlns.specs import ImportSpec
from napari_ctlns.volume import Volume

from .fake_many import SPEC
from .test_predict_panel import card, over, seen

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
REAL = """
import sys
from pathlib import Path
from foreign_models import write_bundle
write_bundle(Path(sys.argv[1]))
"""


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where imported models go, as chosen in Preferences."""
    from napari.settings import get_plugin_settings

    folder = tmp_path / "work"
    monkeypatch.setattr(get_plugin_settings("napari-ctlns").files, "working_folder", str(folder))
    return folder


@pytest.fixture
def panel(
    model_viewer: ViewerModel,
    qtbot: QtBot,
    working_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[PredictPanel]:
    """A panel whose child imports without a network."""
    session = session_of(model_viewer)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    session._child = ChildProcess(session, (sys.executable, str(HERE / "fake_many.py")))
    panel = PredictPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    session.close()


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    """What the folder of a model of nnU-Net with two folds looks like from outside."""
    folder = tmp_path / "Dataset501_Lung" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in ("fold_0", "fold_1"):
        (folder / fold).mkdir(parents=True)
        (folder / fold / "checkpoint_final.pth").write_bytes(b"")
    (folder / "plans.json").write_text("{}", "utf-8")
    labels = {"background": 0, "lung": 1, "nodule": 2}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}), "utf-8")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "spleen_ct"
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text("{}", "utf-8")
    (folder / "models" / "model.pt").write_bytes(b"")
    channels = {"0": "background", "1": "spleen"}
    said = {"network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(said), "utf-8")
    return folder


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "unet.onnx"
    path.write_bytes(b"")
    return path


# -- recognising ------------------------------------------------------------------------


def test_each_kind_is_recognised_by_its_folder_or_by_a_file_in_it(
    nnunet: Path, bundle: Path, onnx: Path
) -> None:
    for path in (nnunet, nnunet / "plans.json"):
        assert foreign_at(path) == Foreign(nnunet, "nnunet")
    for path in (nnunet / "fold_0", nnunet / "fold_0" / "checkpoint_final.pth"):
        assert foreign_at(path) == Foreign(nnunet / "fold_0", "nnunet")
    for path in (bundle, bundle / "models" / "model.pt", bundle / "configs" / "metadata.json"):
        assert foreign_at(path) == Foreign(bundle, "monai")
    assert foreign_at(onnx) == Foreign(onnx, "onnx")
    for path in (nnunet.parent, bundle / "models", onnx.parent, onnx.parent / "nowhere"):
        assert foreign_at(path) is None


def test_what_there_is_to_choose_is_read_from_the_files(
    nnunet: Path, bundle: Path, onnx: Path
) -> None:
    found = importable_at(nnunet)
    assert found is not None
    assert (found.labels, found.folds) == (("lung", "nodule"), ("0", "1"))
    assert found.likeliest_label == "nodule"
    assert found.words.startswith(f"{nnunet.name} is an nnU-Net v2 folder: import it")
    fold = importable_at(nnunet / "fold_1")
    assert fold is not None
    assert (fold.labels, fold.folds) == (("lung", "nodule"), ())
    spleen = importable_at(bundle)
    assert spleen is not None
    assert (spleen.labels, spleen.folds) == (("spleen",), ())
    network = importable_at(onnx)
    assert network is not None
    assert (network.labels, network.folds) == ((), ())


@pytest.mark.parametrize("text", ["", "[]", '{"labels": 3}', '{"labels": {"a": []}}', "{"])
def test_damaged_files_are_for_the_import_to_tell(nnunet: Path, text: str) -> None:
    (nnunet / "dataset.json").write_text(text, "utf-8")
    found = importable_at(nnunet)
    assert found is not None
    assert found.labels in ((), ("a",))


def test_another_kind_than_wanted_is_told(nnunet: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no MONAI bundle; choose the folder with configs"):
        importable_at(nnunet, "monai")
    with pytest.raises(ModelError, match=r"is no nnU-Net v2 folder; .*plans\.json"):
        importable_at(tmp_path, "nnunet")
    with pytest.raises(ModelError, match=r"is no ONNX file"):
        importable_at(bundle, "onnx")


# -- what is asked of the import ----------------------------------------------------------


def test_a_free_name_is_taken(nnunet: Path, onnx: Path, tmp_path: Path) -> None:
    assert name_for(Foreign(nnunet, "nnunet")) == "Dataset501_Lung-3d_fullres"
    assert name_for(Foreign(nnunet / "fold_0", "nnunet")) == "Dataset501_Lung-3d_fullres-fold_0"
    model = Foreign(onnx, "onnx")
    for name in ("unet", "unet-2", "unet-3"):
        spec = import_spec(model, Said(), tmp_path)
        assert spec == ImportSpec(source=onnx, out=models_folder(tmp_path) / name)
        spec.out.mkdir(parents=True)


def test_axes_that_are_none_are_told(onnx: Path, tmp_path: Path) -> None:
    model = Foreign(onnx, "onnx")
    assert import_spec(model, Said(axes=" ras "), tmp_path).axes == "RAS"
    with pytest.raises(ModelError, match=r"cannot import unet\.onnx: .*three letters"):
        import_spec(model, Said(axes="RAR"), tmp_path)


def test_imported_models_take_the_place_of_what_was_imported() -> None:
    a, b, c, source = map(Path, ("a", "b", "c", "source"))
    assert in_place_of(source, [a], [source]) == (a,)
    assert in_place_of(source, [a, b], [c, source]) == (c, a, b)
    assert in_place_of(source, [a], [b, c]) == (a,)
    assert in_place_of(source, [a], []) == (a,)


def test_options_of_commands_have_names_of_the_panel() -> None:
    words = in_the_panel("the model has 2 labels, choose by --label: lung (1), nodule (2)")
    assert words == "the model has 2 labels, choose by Label: lung (1), nodule (2)"
    words = in_the_panel("scans are prepared as recipe ct-lns says; see --recipe and --set")
    assert "--" not in words


# -- the panel ----------------------------------------------------------------------------


def types(panel: PredictPanel, path: Path, qtbot: QtBot) -> None:
    line = panel.models.first.folder.lineEdit()
    line.clear()
    qtbot.keyClicks(line, str(path))
    qtbot.keyClick(line, Qt.Key.Key_Return)


def imports(panel: PredictPanel, qtbot: QtBot) -> str:
    qtbot.mouseClick(panel.import_offer.take, LEFT)
    assert panel.job_bar.working
    return over(panel, qtbot)


def told(model: Path) -> ImportSpec:
    return ImportSpec.model_validate_json((model / SPEC).read_bytes())


def test_a_chosen_folder_of_others_is_offered_and_imported(
    panel: PredictPanel,
    model_session: Session,
    volume: Volume,
    nnunet: Path,
    working_folder: Path,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    offer = panel.import_offer
    assert not offer.isVisible()
    types(panel, nnunet, qtbot)
    assert offer.isVisible()
    assert "is an nnU-Net v2 folder" in seen(offer._words)
    assert not panel.facts.isVisible()
    assert panel.job_bar.button.toolTip() == "Import the model first"
    assert (offer.label.currentText(), offer.folds.currentText()) == ("nodule", "all, averaged")
    assert offer.label.isVisible()
    assert offer.folds.isVisible()
    assert not offer.recipe.isVisible()
    words = imports(panel, qtbot)
    assert words.startswith(
        "Imported ct-lns as 2 models, one for each fold. Check it: marks nodule"
    )
    made = working_folder / "models" / "Dataset501_Lung-3d_fullres"
    assert (model_session.model, model_session.more_models) == (
        made / "fold_0",
        (made / "fold_1",),
    )
    spec = told(made / "fold_0")
    assert (spec.source, spec.label, spec.fold, spec.recipe) == (nnunet, "nodule", None, None)
    assert not offer.isVisible()
    assert panel.facts.text().startswith("ct-lns, trained")
    assert panel.job_bar.button.isEnabled()
    qtbot.waitUntil(lambda: panel.models.first.folder.count() == 2)


def test_one_fold_is_imported_alone(
    panel: PredictPanel, model_session: Session, nnunet: Path, qtbot: QtBot
) -> None:
    types(panel, nnunet, qtbot)
    panel.import_offer.folds.setCurrentText("1")
    panel.import_offer.label.setEditText("lung")
    assert "as 2 models" not in imports(panel, qtbot)
    assert model_session.model is not None
    spec = told(model_session.model)
    assert (spec.fold, spec.label) == ("1", "lung")
    assert model_session.more_models == ()


def test_an_onnx_file_asks_how_scans_are_prepared(
    panel: PredictPanel,
    model_session: Session,
    onnx: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(onnx), ""))
    (action,) = [a for a in panel.models.kinds.actions() if a.text() == "ONNX file…"]
    action.trigger()
    offer = panel.import_offer
    assert offer.isVisible()
    assert model_session.model is None  # nothing was chosen yet
    assert offer.recipe.isVisible()
    assert not offer.folds.isVisible()
    shown = {key: field.native.isVisible() for key, field in offer.fields.items()}
    assert shown == dict.fromkeys(offer.fields, True)
    assert offer.fields["preparation.clip_hu"].native.text() == "[-1000.0, 400.0]"
    assert offer.axes.currentText() == "SPL, as usual"
    offer.recipe.setCurrentText("ct-lns")
    offer.fields["preparation.clip_hu"].native.setText("-1200, 600")
    offer.fields["inference.window"].native.setText("64, 64, 64")
    offer.axes.setCurrentText("ras")
    offer.activation.setCurrentText("softmax")
    assert "HU -1200 to 600" in imports(panel, qtbot)
    assert model_session.model is not None
    spec = told(model_session.model)
    assert spec.recipe is not None
    assert (spec.recipe.name, spec.axes, spec.activation) == ("ct-lns", "RAS", "softmax")
    assert spec.changes == {
        "preparation.clip_hu": [-1200, 600],
        "inference.window": [64, 64, 64],
    }


def test_a_file_of_a_bundle_is_dropped(
    panel: PredictPanel, model_session: Session, bundle: Path, qtbot: QtBot
) -> None:
    field = panel.models.first
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(bundle))])
    middle, copy = field.rect().center(), Qt.DropAction.CopyAction
    enter = QDragEnterEvent(middle, copy, data, LEFT, NONE)
    QApplication.sendEvent(field, enter)
    assert enter.isAccepted()
    assert not field.folder.lineEdit().acceptDrops()
    QApplication.sendEvent(field, QDropEvent(QPointF(middle), copy, data, LEFT, NONE))
    assert model_session.model == bundle
    assert "is a MONAI bundle" in seen(panel.import_offer._words)
    assert not panel.import_offer.label.isVisible()  # there is one only
    imports(panel, qtbot)
    assert model_session.model is not None
    assert told(model_session.model).source == bundle


def test_an_error_is_told_and_the_form_stays(
    panel: PredictPanel, model_session: Session, nnunet: Path, working_folder: Path, qtbot: QtBot
) -> None:
    types(panel, nnunet, qtbot)
    panel.import_offer.label.setEditText("none")
    words = imports(panel, qtbot)
    assert words == "the model has 2 labels, choose by Label: lung (1), nodule (2)"
    assert panel.job_bar.status.property("trouble")
    assert panel.import_offer.isVisible()
    assert panel.import_offer.label.currentText() == "none"
    assert not models_folder(working_folder).exists()
    panel.import_offer.axes.setEditText("XYZ")
    qtbot.mouseClick(panel.import_offer.take, LEFT)
    assert not panel.job_bar.working
    assert "three letters" in panel.job_bar.said
    panel.import_offer.axes.setCurrentIndex(0)
    panel.import_offer.label.setEditText("nodule")
    assert imports(panel, qtbot).startswith("Imported")


def test_a_wrong_folder_from_the_menu_is_told(
    panel: PredictPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said in ("", str(tmp_path)):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_a, s=said: s)
        (action,) = [a for a in panel.models.kinds.actions() if a.text() == "MONAI bundle…"]
        action.trigger()
        assert panel.job_bar.said == (
            f"{said} is no MONAI bundle; choose the folder with "
            "configs/inference.json and models/model.pt"
            if said
            else ""
        )
    assert not panel.import_offer.isVisible()


def test_not_now_leaves_the_reason_in_sight(panel: PredictPanel, onnx: Path, qtbot: QtBot) -> None:
    types(panel, onnx, qtbot)
    qtbot.mouseClick(panel.import_offer.leave, LEFT)
    assert not panel.import_offer.isVisible()
    assert "is not a whole model" in seen(panel.facts)
    types(panel, onnx.parent, qtbot)
    assert not panel.import_offer.isVisible()
    types(panel, onnx, qtbot)
    assert panel.import_offer.isVisible()


def test_a_stopped_import_leaves_nothing(
    panel: PredictPanel,
    model_session: Session,
    onnx: Path,
    working_folder: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CTLNS_FAKE_STEPS", "10000")
    model_session._child = ChildProcess(model_session, (sys.executable, str(HERE / "fake_many.py")))
    types(panel, onnx, qtbot)
    qtbot.mouseClick(panel.import_offer.take, LEFT)
    assert not panel.import_offer.take.isEnabled()
    qtbot.waitUntil(lambda: panel.job_bar.said == "Import unet.onnx", timeout=20_000)
    other = PredictPanel(model_session.viewer)  # an import outlives its panel
    qtbot.addWidget(other)
    assert other.job_bar.working
    panel.job_bar._cancel()
    assert over(panel, qtbot) == "Cancelled"
    assert under_way(model_session, ModelImport) is None
    assert model_session.model == onnx
    assert panel.import_offer.take.isEnabled()
    assert not models_folder(working_folder).exists()


def test_imported_models_are_among_the_recent_ones(tmp_path: Path) -> None:
    alone = card(tmp_path / "models" / "alone")
    fold = card(tmp_path / "models" / "folds" / "fold_0")
    trained = card(tmp_path / "runs" / "first" / "best")
    card(tmp_path / "models" / "folds" / "other")
    assert set(recent_models(tmp_path)) == {alone, fold, trained}


@pytest.mark.slow
def test_a_real_bundle_is_imported(
    panel: PredictPanel,
    model_session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = os.pathsep.join((str(SOURCE), str(HERE.parent / "inference")))
    monkeypatch.setenv("PYTHONPATH", paths)
    bundle = tmp_path / "tiny"
    subprocess.run([sys.executable, "-c", REAL, str(bundle)], check=True)
    model_session._child = ChildProcess(model_session)
    types(panel, bundle, qtbot)
    words = imports(panel, qtbot)
    assert words.startswith("Imported Tiny-nodules. Check it: marks lung nodule, axes RAS")
    assert model_session.model is not None
    assert (model_session.model / CARD).is_file()
    assert read_card(model_session.model).recipe.window == (8, 16, 12)
    assert "imported" in panel.facts.text()
