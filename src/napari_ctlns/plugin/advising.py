"""What guidelines advise for the finding at hand, in the panel of the nodules."""

from qtpy.QtCore import QObject

from napari_ctlns.plugin.guideline_advice import GuidelineAdvice
from napari_ctlns.plugin.reviewing import review_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.guideline_view import GuidelineView

_NONE = "Pick a nodule: click its row."
_REJECTED = "It was rejected: guidelines are for nodules."


class Advising(QObject):
    """Lets a view show advice while its fold is open.

    Parameters
    ----------
    session
        Whose nodules they are.
    fold
        What the view is folded away in.
    view
        The choices, and the words.
    parent
        The panel.
    """

    def __init__(self, session: Session, fold: Fold, view: GuidelineView, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._fold, self._view = fold, view
        self._advice, self._review = session.part(GuidelineAdvice), review_of(session)
        fold.toggled.connect(self.show)
        view.changed.connect(self._suppose)
        self._advice.changed.connect(self.show)

    def show(self, _event: object = None) -> None:
        """Show what is advised now."""
        if not self._fold.isExpanded():
            return  # nobody reads it, and it takes some milliseconds
        layer, finding = self._session.mask, self._review.current
        why_not = self._advice.why_not(layer)
        if layer is None or why_not or finding is None or finding.label is None:
            self._view.say(why_not or _NONE)
        elif finding.status == "rejected":
            self._view.say(_REJECTED)
        else:
            advice = self._advice.of_nodule(layer, finding.label)
            self._view.show_advice(finding.label, advice)

    def _suppose(self) -> None:
        self._advice.suppose(self._view.circumstances())
