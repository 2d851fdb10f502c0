"""One import of a model of others, from its files to a model that is chosen."""

from pathlib import Path

from napari_ctlns.events import Event, Failed, Finished, Log
from napari_ctlns.plugin.importing import in_place_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.words import in_the_panel
from napari_ctlns.plugin.work import Work
from napari_ctlns.specs import ImportSpec


class ModelImport(Work):
    """The child imports, then the session predicts with what came of it.

    It belongs to the session: the panel that started it may be closed. Its `Finished` is
    that of the job. Stopped or failed, it changes nothing.

    Parameters
    ----------
    session
        Gets to know of the models.
    spec
        What is imported.
    """

    def __init__(self, session: Session, spec: ImportSpec) -> None:
        super().__init__(session)
        self._session = session
        self.source = spec.source
        self._work = session.child.start("import-model", spec)
        self._work.came.connect(self._hear)

    def stop(self) -> None:
        """Let it end after its current step; asked again, the child is killed."""
        self._work.stop()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Failed | Log):
            event = event.model_copy(update={"message": in_the_panel(event.message)})
        elif isinstance(event, Finished) and not event.stopped:
            self._choose([Path(model) for model in event.result["models"]])
        self.say(event)
        if self.over:
            self.setParent(None)

    def _choose(self, imported: list[Path]) -> None:
        session = self._session
        first = () if session.model is None else (session.model.absolute(),)
        chosen = (*first, *(model.absolute() for model in session.more_models))
        model, *more = in_place_of(self.source, imported, chosen)
        session.more_models = tuple(more)
        session.choose_model(model)
