"""Finding the nodules of a scan with a model."""

from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QKeyEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import QCheckBox, QLabel, QWidget

from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.events import Event, Finished
from napari_ctlns.inference.model import ModelCard, read_card
from napari_ctlns.plugin.import_offers import ImportOffers
from napari_ctlns.plugin.importing import imported_in_words
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.many_scans import ManyScans
from napari_ctlns.plugin.model_import import ModelImport
from napari_ctlns.plugin.opener import opener_of
from napari_ctlns.plugin.predicting import (
    Choice,
    describe_model,
    engine_in_words,
    time_in_words,
)
from napari_ctlns.plugin.prediction import Prediction
from napari_ctlns.plugin.prediction_words import (
    applied_in_words,
    found_in_words,
    proposed_in_words,
)
from napari_ctlns.plugin.refinement import Application, refinement_of
from napari_ctlns.plugin.runs import recent_models
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.views.controls import BUSY, no_scan
from napari_ctlns.plugin.views.device_choice import DeviceChoice
from napari_ctlns.plugin.views.import_offer import ImportOffer
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.mask_rules import MaskRules
from napari_ctlns.plugin.views.model_choice import ModelChoices
from napari_ctlns.plugin.views.panel import Panel, align_labels, form_layout
from napari_ctlns.plugin.views.proposal_bar import ProposalBar
from napari_ctlns.plugin.views.queue_view import QueueView
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import breakable
from napari_ctlns.plugin.work import ThreadWork, Work, one_step, under_way

if TYPE_CHECKING:
    import napari


class PredictPanel(Panel):
    """Scan and model, how sure and how large, and the nodules as a labels layer."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._refinement = refinement_of(self._session)
        self._cards: tuple[ModelCard, ...] = ()
        self.scan = LayerChoice(self._session, "scan", "The scan in which nodules are looked for")
        self.models = ModelChoices(read_settings().working_folder)
        self.facts = QLabel()
        self.import_offer = ImportOffer()
        self._imports = ImportOffers(self._session, self.import_offer, self)
        self.rules = MaskRules()
        self.device = DeviceChoice(read_settings().device)
        self.whole = QCheckBox("Whole scan")
        self.mirrored = QCheckBox("Mirror images (8x slower)")
        self.proposal = ProposalBar()
        self.queue = QueueView()
        self._many = ManyScans(self._session, self.queue, self.choice, self)
        self.job_bar = JobBar("Find nodules", "Find the nodules of the scan with the model")
        self._set_up_controls()
        self._lay_out()
        self._connect()
        self._list_models()
        self._show_models()
        self._show_rules_of_mask()
        self._settle()
        self._take_up_work()

    # -- what it looks like ---------------------------------------------------------

    def _set_up_controls(self) -> None:
        self.facts.setWordWrap(True)
        self.whole.setToolTip(
            "Look at the whole scan, not only at the lungs and 5 mm around; takes longer"
        )
        self.mirrored.setToolTip(
            "Look at mirror images too and average: a little better, and it tells how sure that "
            "is; models of slices look at 4 images, others at 8"
        )

    def _lay_out(self) -> None:
        self.add_form({"Scan": self.scan, "Model": self.models})
        self.add(self.facts)
        self.add(self.import_offer)
        self.add(self.rules)
        more = QWidget()
        rows = {"Reaches": self.rules.peak, "Device": self.device, "": self.rules.fill}
        form = form_layout(more, rows)
        form.addRow("", self.whole)
        form.addRow("", self.mirrored)
        self.add_fold("More", more)
        self.add(self.proposal)
        fold = self.add_fold("Many scans", self.queue)
        if self.queue.bar.working:
            fold.expand()
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        self._session.model_changed.connect(self._show_models)
        self._session.run_changed.connect(self._list_models)
        self._session.scan_changed.connect(self._settle)
        self._session.layers_changed.connect(self._settle)
        self._session.measured.connect(self._settle)
        self._refinement.changed.connect(self._settle)
        self._refinement.put_back.connect(self._show_rules_of_mask)
        self._refinement.failed.connect(self._say_trouble)
        self._refinement.began.connect(self._follow)
        self.models.chosen.connect(self._choose)
        self.models.to_import.connect(self._imports.ask)
        self._imports.changed.connect(self._show_models)
        self._imports.trouble.connect(self._say_trouble)
        self._imports.began.connect(self._follow)
        self.rules.changed.connect(self._refine)
        self._many.reads.connect(self._follow_reading)
        self.mirrored.toggled.connect(self._show_facts)
        self.proposal.taken.connect(self._refinement.apply)
        self.proposal.left.connect(self._refinement.discard)
        self.job_bar.start_clicked.connect(self._start)
        self.job_bar.ended.connect(self._settle)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Align the labels, whose font is known only now."""
        align_labels(self, but_not_in=self.job_bar)
        super().showEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Undo and redo by keyboard, where no field undoes its own typing."""
        if event.matches(QKeySequence.StandardKey.Undo):
            self._refinement.undo()
        elif event.matches(QKeySequence.StandardKey.Redo):
            self._refinement.redo()
        else:
            super().keyPressEvent(event)

    # -- the models -----------------------------------------------------------------

    def _list_models(self) -> None:
        """Look for recent models in a thread: the working folder may be far away."""
        folder = read_settings().working_folder
        self._looking = ThreadWork(one_step("Look for models", recent_models, folder))
        self._looking.came.connect(self._offer_models)

    def _offer_models(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.models.offer(event.result["value"])

    def _choose(self) -> None:
        session, chosen = self._session, self.models
        if (chosen.model, chosen.more_models) != (session.model, session.more_models):
            self._imports.choose_anew()
            if not self.job_bar.working:
                self.job_bar.say("")
            session.more_models = chosen.more_models
            self._session.choose_model(chosen.model)

    def _show_models(self) -> None:
        """Show the session's models; another first one brings its own rules."""
        session, before = self._session, self._cards[:1]
        self.models.show_models(session.model, session.more_models)
        self._show_facts()
        if self._cards and self._cards[:1] != before:
            self.rules.show_rules(self._cards[0].recipe.inference)
        self._settle()

    def _show_facts(self) -> None:
        """Say what is to be known of the models, or what is wrong with one."""
        model, trouble = self._session.model, False
        models = () if model is None else (model, *self._session.more_models)
        self._cards = ()
        words = "Choose the folder that training made; it is called best."
        if self._imports.follow(models):
            words = ""
        elif models:
            try:
                self._cards = tuple(map(read_card, models))
                words = self._facts()
            except ModelError as error:
                words, trouble = str(error), True
        self.facts.setText(breakable(words))
        self.facts.setVisible(bool(words))
        draw_trouble(self.facts, trouble)

    def _facts(self) -> str:
        first, *others = self._cards
        dimensions = first.recipe.network.dimensions
        lines = [describe_model(first)]
        lines += [f"With {describe_model(card).splitlines()[0]}" for card in others]
        lines.append(time_in_words(len(self._cards), self.mirrored.isChecked(), dimensions))
        return "\n".join(filter(None, lines))

    # -- the prediction ---------------------------------------------------------------

    def choice(self) -> Choice | None:
        """Return what is chosen now; None without a model."""
        if not self._cards or self._session.model is None:
            return None
        recipe = self._cards[0].recipe
        return Choice(
            model=self._session.model,
            more_models=self._session.more_models,
            rules=self.rules.rules(recipe.inference),
            mirrored=self.mirrored.isChecked(),
            whole=self.whole.isChecked(),
            device=self.device.device,
            finds_nodules=recipe.structure == "nodule",
        )

    def _start(self) -> None:
        volume, choice = self._session.volume, self.choice()
        if volume is not None and choice is not None:
            try:
                name = self._cards[0].recipe.name
                self._follow(Prediction(self._session, volume, choice, name))
            except OutputError as error:
                self._say_trouble(str(error))

    # -- after the prediction -----------------------------------------------------------

    def _refine(self) -> None:
        known = self._refinement.known
        if known is not None:
            self._refinement.show(self.rules.rules(known.rules))

    def _show_rules_of_mask(self) -> None:
        refinement = self._refinement
        if refinement.known is not None:
            self.rules.show_rules(refinement.wanted or refinement.known.rules)

    # -- what is said -------------------------------------------------------------------

    def _settle(self) -> None:
        """Say what there is, and what is missing."""
        refinement = self._refinement
        applying = isinstance(refinement.work, Application)
        self.rules.enable(bool(self._cards or refinement.known) and not applying)
        self.proposal.say(*self._proposal())
        if self._session.volume is None:
            self.job_bar.set_ready(no_scan(self._session.coming))
        elif not self._cards:
            offered = self.import_offer.offered is not None
            self.job_bar.set_ready("Import the model first" if offered else "Choose a model first")
        else:
            self.job_bar.set_ready()
        self.import_offer.set_ready(BUSY if self.job_bar.working else "")
        self._many.settle()

    def _proposal(self) -> tuple[str, str, str]:
        """Return what is proposed, why it cannot be applied, and why not discarded."""
        refinement, layer = self._refinement, self._session.mask
        if refinement.known is None or layer is None:
            why_not = "Find nodules first; then other rules are previewed at once"
            return "", why_not, why_not
        if refinement.wanted is None:
            why_not = "Change the threshold or another rule first"
            now, threshold = len(findings_of(layer).labels), refinement.known.rules.threshold
            return proposed_in_words(now, threshold), why_not, why_not
        shown = refinement.proposal
        if shown is None:
            return "", "Wait until it is drawn", ""
        words = proposed_in_words(shown.count, shown.rules.threshold, len(shown.there))
        return words, BUSY if self.job_bar.working else "", ""

    def _take_up_work(self) -> None:
        """Show work that goes on already."""
        session = self._session
        work = under_way(session, Prediction) or under_way(session, ModelImport)
        work = work or self._refinement.work
        if work is not None:
            self._follow(work)

    def _follow(self, work: Work) -> None:
        if self.job_bar.working:
            return
        thens = {
            Prediction: self._found,
            Application: self._applied,
            ModelImport: self._imported,
        }
        self.job_bar.follow(work, thens.get(type(work), self._looked_lower))
        self._settle()

    def _found(self, result: dict[str, Any]) -> None:
        words = [found_in_words(result["nodules"])]
        if result["engine"]:
            words.append(engine_in_words(result["engine"], result["engine_reason"]))
        self.job_bar.say("\n".join([*words, *result["warnings"]]))

    def _applied(self, result: dict[str, Any]) -> None:
        self.job_bar.say(applied_in_words(**result))

    def _imported(self, result: dict[str, Any]) -> None:
        self._imports.end()
        self._list_models()
        self.job_bar.say(imported_in_words(result))

    def _follow_reading(self, work: Work) -> None:
        """Show how a scan of the queue is read, if there is room for it."""
        if not self.job_bar.working:
            self.job_bar.follow(work, self._opened)
            self._settle()

    def _opened(self, _result: dict[str, Any]) -> None:
        outcome = opener_of(self._session).outcome
        self.job_bar.say(outcome.sentences, trouble=bool(outcome.problems))

    def _looked_lower(self, _result: dict[str, Any]) -> None:
        self.job_bar.say("")

    def _say_trouble(self, words: str) -> None:
        self.job_bar.say(words, trouble=True)
