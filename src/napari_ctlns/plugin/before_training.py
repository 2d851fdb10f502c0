"""What can be known of a training before it starts: the memory it needs, its patches."""

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_ctlns.errors import CtlnsError
from napari_ctlns.plugin.estimating import MemoryEstimate
from napari_ctlns.plugin.patch_sheets import PatchSheets
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.controls import set_ready
from napari_ctlns.plugin.views.train_settings import TrainSettings

_PATCHES = "See the patches of this dataset as training will see them"


class BeforeTraining(QObject):
    """Keeps both at what the settings say.

    Parameters
    ----------
    session
        Whose child finds it out.
    settings
        What a training is to be.
    parent
        What windows belong to.

    Attributes
    ----------
    trouble
        The patches cannot be shown, in words.
    """

    trouble = Signal(str)

    def __init__(self, session: Session, settings: TrainSettings, parent: QWidget) -> None:
        super().__init__(parent)
        self._settings = settings
        self._estimate = MemoryEstimate(session, self)
        self._sheets = PatchSheets(session, parent)
        self._estimate.said.connect(settings.show_need)
        settings.patches.clicked.connect(self._show_patches)

    def settle(self, idle: bool) -> None:
        """Follow the settings.

        Parameters
        ----------
        idle
            Nothing is trained, and the settings are in sight: the memory is worth knowing.
        """
        settings = self._settings
        set_ready(settings.patches, settings.why_no_patches(), _PATCHES)
        worth_asking = idle and not settings.why_not()
        self._estimate.ask(settings.form.recipe() if worth_asking else None, settings.device)

    def _show_patches(self) -> None:
        dataset = self._settings.dataset()
        if dataset is None:
            return
        try:
            self._sheets.show(dataset, self._settings.form.recipe())
        except CtlnsError as error:
            self.trouble.emit(str(error))
