"""Two masks, or findings and annotations, compared: tables to go through, and a curve."""

from typing import TYPE_CHECKING

from napari.utils.theme import get_theme
from qtpy.QtWidgets import QComboBox, QLabel, QStackedWidget

from napari_ctlns.plugin.comparing import DIFFERENCE_COLOURS, PAIR_COLUMNS
from napari_ctlns.plugin.froc_comparing import FrocComparing
from napari_ctlns.plugin.froc_work import PLACE_COLUMNS
from napari_ctlns.plugin.mask_pairing import MaskPairing
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.froc_view import FrocView
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.mask_pair_view import MaskPairView
from napari_ctlns.plugin.views.panel import Panel

if TYPE_CHECKING:
    import napari

MASKS, FINDINGS = range(2)
_WIDTH = 390  # the columns side by side
_EDITED = "● Edited since they were compared."


class ComparePanel(Panel):
    """Compares two labels layers, or findings with annotations."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self.what = QComboBox()
        self.what.addItems(["Two masks", "Findings with annotations"])
        self.what.setToolTip(
            "Two masks, nodule by nodule; or what was found with what was to be found"
        )
        self.masks = MaskPairView(PAIR_COLUMNS, DIFFERENCE_COLOURS)
        self.froc = FrocView(PLACE_COLUMNS)
        self._body = QStackedWidget()
        self.signs = QLabel(_EDITED)
        self.job_bar = JobBar("Compare", "Compare what is chosen above")
        self.pairing = MaskPairing(self._session, self.masks, self.job_bar, self)
        self.comparing = FrocComparing(self._session, self.froc, self.job_bar, self)
        self._lay_out()
        self._connect()
        self._settle()

    def _lay_out(self) -> None:
        self.setMinimumWidth(_WIDTH)
        self.add_form({"Compare": self.what})
        self._body.addWidget(self.masks)
        self._body.addWidget(self.froc)
        self.add_body(self._body)
        self.add_foot(self.signs)
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        self.what.currentIndexChanged.connect(self._show)
        self.job_bar.start_clicked.connect(self._compare)
        self.job_bar.ended.connect(self._settle)
        for part in (self.pairing, self.comparing):
            part.settled.connect(self._settle)
        self.comparing.drawn.connect(self._take_theme)
        self._session.viewer.events.theme.connect(self._take_theme)

    def _show(self, which: int) -> None:
        self._body.setCurrentIndex(which)
        self._settle()

    def _settle(self) -> None:
        """Say how what is shown stands to the layers, and what can be done."""
        of_masks = self.what.currentIndex() == MASKS
        self.job_bar.set_ready((self.pairing if of_masks else self.comparing).why_not())
        self.signs.setVisible(of_masks and self.pairing.stale())
        self.what.setEnabled(not self.job_bar.working)
        self.pairing.settle()

    def _compare(self) -> None:
        (self.pairing if self.what.currentIndex() == MASKS else self.comparing).compare()

    def _take_theme(self) -> None:
        if self.froc.plot is not None:
            theme = get_theme(self._session.viewer.theme)
            self.froc.plot.set_colours(theme.background.as_hex(), theme.text.as_hex())
