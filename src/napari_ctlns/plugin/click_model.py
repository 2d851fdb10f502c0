"""The model that answers clicks in a session, if there is one."""

from pathlib import Path

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ctlns.events import Event, Finished
from napari_ctlns.masks.click import Clicks
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.learned_clicking import LearnedClick, model_for_clicks
from napari_ctlns.plugin.runs import recent_models
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.work import ThreadWork, one_step
from napari_ctlns.volume import Geometry, Volume


class ClickModel(QObject):
    """Looks for a model that takes clicks, and shows it clicks; it belongs to the session.

    It is the one chosen for predictions if that takes clicks, else the newest in the
    working folder that does. It has a child of its own, for a click waits for no prediction.

    Attributes
    ----------
    changed
        Another model is there, or none, or it is wanted or not.
    found
        The model; None if there is none.
    wanted
        Whether a person wants it to be used.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.found: Path | None = None
        self.wanted = True
        self._child: ChildProcess | None = None
        self._looking: ThreadWork | None = None
        session.model_changed.connect(self._look_again)
        session.run_changed.connect(self._look_again)

    @property
    def used(self) -> Path | None:
        """The model that answers clicks; None if they are answered without one."""
        return self.found if self.wanted else None

    def want(self, wanted: bool) -> None:
        """Use the model, or go without."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.changed.emit()

    def look(self) -> None:
        """Look for a model in a thread: the working folder may be far away."""
        chosen = () if self._session.model is None else (self._session.model,)
        folder = read_settings().working_folder
        job = one_step(
            "Look for a model", lambda: model_for_clicks([*chosen, *recent_models(folder)])
        )
        self._looking = ThreadWork(job, parent=self)
        self._looking.came.connect(self._take)

    def work(self, scan: Volume, clicks: Clicks, model: Path) -> LearnedClick:
        """Show clicks to a model; what comes is the nodule.

        Raises
        ------
        OutputError
            If there is no room for temporary files.
        """
        if self._child is None:
            self._child = self._session.new_child()
        return LearnedClick(self._child, scan, clicks, model, parent=self)

    def get_ready(self) -> None:
        """Load the model now: shown air, it answers that there is no nodule."""
        if self.used is not None:
            air = Volume(np.full((4, 4, 4), -1000, np.int16), Geometry((4, 4, 4)))
            self.work(air, Clicks(((1.0, 1.0, 1.0),)), self.used)

    def _look_again(self, _changed: object = None) -> None:
        if self._looking is not None:  # nobody has clicked yet otherwise
            self.look()

    def _take(self, event: Event) -> None:
        if not isinstance(event, Finished) or self._session.gone:
            return
        found = event.result["value"]
        if found != self.found:
            self.found = found
            self.get_ready()
            self.changed.emit()


def click_model_of(session: Session) -> ClickModel:
    """Return the model that answers the clicks of a session; the first call makes it."""
    return session.part(ClickModel)
