"""Finding the nodules of a scan with a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.events import Event, Finished
from napari_ctlns.inference.model import ModelCard, read_card
from napari_ctlns.plugin.predicting import Choice, describe_model
from napari_ctlns.plugin.prediction import Prediction
from napari_ctlns.plugin.runs import recent_models
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow, no_scan, set_numbers
from napari_ctlns.plugin.views.device_choice import DeviceChoice
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.panel import Panel, form_layout
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import breakable, counted
from napari_ctlns.plugin.work import ThreadWork, one_step, under_way

if TYPE_CHECKING:
    import napari


class PredictPanel(Panel):
    """Scan and model, how sure and how large, and the nodules as a labels layer."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._card: ModelCard | None = None
        self.scan = LayerChoice(self._session, "scan", "The scan in which nodules are looked for")
        self.model = QComboBox()
        self.browse = QPushButton("Browse…")
        self.facts = QLabel()
        self.threshold = QDoubleSpinBox()
        self.smallest = QDoubleSpinBox()
        self.device = DeviceChoice(read_settings().device)
        self.whole = QCheckBox("Whole scan")
        self.job_bar = JobBar("Find nodules", "Find the nodules of the scan with the model")
        self._set_up_controls()
        self._lay_out()
        self._connect()
        self._list_models()
        self._show_model()
        if (prediction := under_way(self._session, Prediction)) is not None:
            self.job_bar.follow(prediction, self._found)

    # -- what it looks like ---------------------------------------------------------

    def _set_up_controls(self) -> None:
        self.model.setEditable(True)
        self.model.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        let_be_narrow(self.model, letters=6)
        self.model.lineEdit().setPlaceholderText("a folder")
        self.browse.setToolTip("Choose the folder of a model")
        self.facts.setWordWrap(True)
        set_numbers(self.threshold, 0, 1, step=0.05, decimals=2)
        self.threshold.setToolTip(
            "Probability from which a voxel is nodule; lower finds more, and more that is none"
        )
        set_numbers(self.smallest, 0, 100, step=0.5, decimals=1)
        self.smallest.setToolTip(
            "What has less volume than a sphere of this diameter is dropped, mm"
        )
        self.whole.setToolTip(
            "Look at the whole scan, not only at the lungs and 5 mm around; takes longer"
        )

    def _lay_out(self) -> None:
        choice = in_a_row(self.model, self.browse)
        choice.layout().setStretchFactor(self.model, 1)
        choice.setFocusProxy(self.model)
        choice.setToolTip("The model that looks for nodules: the folder that training made")
        self.model.setToolTip(choice.toolTip())
        self.add_form({"Scan": self.scan, "Model": choice})
        self.add(self.facts)
        self.add_form({"Threshold": self.threshold, "Smallest, mm": self.smallest})
        more = QWidget()
        form_layout(more, {"Device": self.device, "": self.whole})
        self.add_fold("More", more)
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        self._session.model_changed.connect(self._show_model)
        self._session.run_changed.connect(self._list_models)
        self._session.scan_changed.connect(self._settle)
        self._session.layers_changed.connect(self._settle)
        self.browse.clicked.connect(self._browse)
        self.model.activated.connect(self._choose)
        self.model.lineEdit().editingFinished.connect(self._choose)
        self.job_bar.start_clicked.connect(self._start)

    # -- the model ------------------------------------------------------------------

    def _list_models(self) -> None:
        """Look for recent models in a thread: the working folder may be far away."""
        folder = read_settings().working_folder
        self._looking = ThreadWork(one_step("Look for models", recent_models, folder))
        self._looking.came.connect(self._fill_models)

    def _fill_models(self, event: Event) -> None:
        if not isinstance(event, Finished):
            return
        text = self.model.currentText()
        self.model.blockSignals(True)
        self.model.clear()
        self.model.addItems([str(model) for model in event.result["value"]])
        self.model.setEditText(text)
        self.model.blockSignals(False)

    def _browse(self) -> None:
        start = self._session.model or read_settings().working_folder
        folder = QFileDialog.getExistingDirectory(self, "Folder of a model", str(start))
        if folder:
            self._session.choose_model(Path(folder))

    def _choose(self) -> None:
        text = self.model.currentText().strip()
        model = Path(text).expanduser() if text else None
        if model != self._session.model:
            self._session.choose_model(model)

    def _show_model(self) -> None:
        model = self._session.model
        self._card = None
        words = "Choose the folder that training made; it is called best."
        trouble = False
        if model is not None:
            try:
                self._card = read_card(model)
                words = describe_model(self._card)
            except ModelError as error:
                words, trouble = str(error), True
        self.model.setEditText("" if model is None else str(model))
        self.facts.setText(breakable(words))
        draw_trouble(self.facts, trouble)
        if self._card is not None:
            self.threshold.setValue(self._card.recipe.inference.threshold)
            self.smallest.setValue(self._card.recipe.inference.min_diameter_mm)
        self._settle()

    # -- the prediction ---------------------------------------------------------------

    def _settle(self) -> None:
        """Say what is missing."""
        for field in (self.threshold, self.smallest):
            field.setEnabled(self._card is not None)
        if self._session.volume is None:
            self.job_bar.set_ready(no_scan(self._session.coming))
        elif self._card is None:
            self.job_bar.set_ready("Choose a model first")
        else:
            self.job_bar.set_ready()

    def choice(self) -> Choice | None:
        """Return what is chosen now; None without a model."""
        if self._card is None or self._session.model is None:
            return None
        own = self._card.recipe.inference
        return Choice(
            model=self._session.model,
            threshold=_changed(self.threshold, own.threshold),
            min_diameter_mm=_changed(self.smallest, own.min_diameter_mm),
            whole=self.whole.isChecked(),
            device=self.device.device,
        )

    def _start(self) -> None:
        volume, choice = self._session.volume, self.choice()
        if volume is not None and choice is not None and self._card is not None:
            name = f"nodules, {self._card.recipe.name}"
            try:
                prediction = Prediction(self._session, volume, choice, name)
            except OutputError as error:
                self.job_bar.say(str(error), trouble=True)
            else:
                self.job_bar.follow(prediction, self._found)

    def _found(self, result: dict[str, Any]) -> None:
        words = [found_in_words(result["nodules"]), *result["warnings"]]
        self.job_bar.say("\n".join(words))


def _changed(field: QDoubleSpinBox, own: float) -> float | None:
    """Return a field's value; None if it shows the model's own, rounded."""
    value = float(field.value())
    return None if abs(value - own) <= 0.51 * 10 ** -field.decimals() else value


def found_in_words(nodules: int) -> str:
    """Say how many nodules were found, and what to do if there were none."""
    if nodules == 0:
        return (
            "No nodules found. There is an empty labels layer to paint in; "
            "a lower threshold may find more."
        )
    return f"{counted(nodules, 'nodule')} found"
