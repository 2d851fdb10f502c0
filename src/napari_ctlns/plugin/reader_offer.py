"""The offer to be the reader that napari takes without asking: made once, taken back at will."""

from qtpy.QtCore import QObject

from napari_ctlns.plugin.default_reader import (
    PATTERNS,
    become_default_reader,
    give_back_readers,
    is_default_reader,
    other_readers,
)
from napari_ctlns.plugin.settings import may_offer_reader, offer_reader
from napari_ctlns.plugin.views.offer import Offer

_WHAT = ".mhd, .mha and tables of annotations, candidates or nodules"
_WHERE = "Preferences > Plugins takes it back later"


class ReaderOffer(QObject):
    """Makes the offer in a view until it is answered; the answer is kept in the preferences.

    Parameters
    ----------
    view
        Where it is made.
    """

    def __init__(self, view: Offer) -> None:
        super().__init__(view)
        self._view = view
        self._before: dict[str, str] | None = None
        view.taken.connect(self._take)
        view.put_away.connect(self._put_away)
        if may_offer_reader() and not is_default_reader():
            self._make()

    def _make(self) -> None:
        others = other_readers()
        instead = "".join(f" {name} is set to {plugin} now." for name, plugin in others.items())
        self._view.make(
            f"napari asks each time if CT Lung Nodules may read {_WHAT}.{instead}",
            (
                "Let it, always",
                f"Sets {', '.join(PATTERNS)} in napari's preferences; {_WHERE}",
            ),
            ("No thanks", "Let napari ask; Preferences > CT Lung Nodules offers it again"),
        )

    def _take(self) -> None:
        if self._before is not None:
            give_back_readers(self._before)
            self._before = None
            self._make()
            return
        self._before = become_default_reader()
        offer_reader(False)
        self._view.make(
            f"napari opens {_WHAT} with CT Lung Nodules from now on.",
            ("Undo", "Set napari's preferences as they were"),
            ("Good", f"Put this line away; {_WHERE}"),
        )

    def _put_away(self) -> None:
        offer_reader(False)
        self._before = None
        self._view.hide()
