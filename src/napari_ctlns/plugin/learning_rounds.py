"""Rounds of learning from corrections in the Train panel: how one begins, and what it leads to."""

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Failed, Finished
from napari_ctlns.plugin.runs import best_model_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.teaching import (
    known_in_words,
    learn_spec,
    learned_in_words,
    why_not_learn,
)
from napari_ctlns.plugin.training_set import TrainingSet
from napari_ctlns.plugin.views.teaching_view import ModelOffer, TeachingView

_BUSY = "A training is watched that goes on; wait for its end, or leave it"


class LearningRounds(QObject):
    """Keeps a view at the training set, and lets the model change only where a person says so.

    Parameters
    ----------
    session
        Whose model learns.
    view
        Shows the training set.
    offer
        Asks which model is wanted.
    settings
        Where runs go, and on which device they learn.
    parent
        The panel.

    Attributes
    ----------
    wanted
        A round is to begin (its `LearnSpec`).
    answered
        A person chose a model, in words.
    trouble
        It cannot begin, in words.
    """

    wanted = Signal(object)
    answered = Signal(str)
    trouble = Signal(str)

    def __init__(
        self,
        session: Session,
        view: TeachingView,
        offer: ModelOffer,
        settings: Settings,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._view = view
        self._offer = offer
        self._settings = settings
        self._set = session.part(TrainingSet)
        self._offered: Path | None = None
        self._busy = False
        view.reader.setText(self._set.reader)
        view.reader.textEdited.connect(self._name_reader)
        view.folder.changed.connect(self._choose)
        view.learn.clicked.connect(self._learn)
        offer.used.connect(self._use)
        offer.kept.connect(self._keep)
        self._set.changed.connect(self._show)
        self._show()

    def settle(self, busy: bool) -> None:
        """Follow what else the panel does; ``busy``: a training goes on that it watches."""
        self._busy = busy
        why_not = why_not_learn(self._session.model, self._set.known)
        self._view.set_ready(why_not or (_BUSY if busy else ""))

    def end(self, run: Path, event: Finished | Failed) -> str:
        """Ask which model is wanted after a round; return what it brought, in words.

        No words where it has not come to its end.
        """
        self._set.look()
        if isinstance(event, Failed) or event.stopped:
            return ""
        model = best_model_of(run)
        if model is not None and model != self._session.model:
            self._offered = model
            self._offer.show()
        return learned_in_words(event.result)

    def forget(self) -> None:
        """Ask no longer."""
        self._offered = None
        self._offer.hide()

    # -- inside -------------------------------------------------------------------

    def _show(self) -> None:
        known = self._set
        self._view.show_set(known.usual, known_in_words(known.known), known.problem)
        self.settle(self._busy)

    def _choose(self) -> None:
        self._set.choose(self._view.folder.path)

    def _name_reader(self, name: str) -> None:
        self._set.reader = name.strip()

    def _learn(self) -> None:
        model, folder = self._session.model, self._set.folder
        if model is None or folder is None:
            return
        try:
            spec = learn_spec(model, folder, self._settings.device, self._settings.working_folder)
        except CtlnsError as error:
            self.trouble.emit(str(error))
        else:
            self.wanted.emit(spec)

    def _use(self) -> None:
        model = self._offered
        self.forget()
        if model is not None:
            self._session.choose_model(model)
            self.answered.emit("The Predict panel uses the new model; the old one stays")

    def _keep(self) -> None:
        self.forget()
        self.answered.emit("The old model stays in use; the new one can be chosen any time")
