"""When a panel offers the work of a window that crashed, and in which words."""

import time

from qtpy.QtCore import QObject

from napari_ctlns.plugin.recovering import Recoveries
from napari_ctlns.plugin.recovery_folder import Found
from napari_ctlns.plugin.views.recovery_offer import RecoveryOffer

_LATER = "Leave it where it is; File > IO Utilities and the next start offer it again"


class RecoveryOffers(QObject):
    """Makes the offers of `Recoveries` in a view, one after the other.

    Parameters
    ----------
    recoveries
        Of the session.
    view
        Where they are made.
    """

    def __init__(self, recoveries: Recoveries, view: RecoveryOffer) -> None:
        super().__init__(view)
        self._recoveries = recoveries
        self._view = view
        view.taken.connect(self._take)
        view.put_away.connect(self._put_away)
        view.left_for_later.connect(recoveries.later)
        recoveries.asks.connect(self.show)
        recoveries.began.connect(self._began)
        self.show()

    def show(self) -> None:
        """Make the offer that is due now."""
        found, discarded = self._recoveries.found, self._recoveries.discarded
        self._view.setEnabled(True)
        if discarded is not None:
            self._view.make(
                f"Discarded: {discarded.words}.",
                ("Undo", "Keep it after all"),
                ("Good", "Remove it for good"),
            )
        elif found and found[0].trouble:
            self._view.make(
                f"The work of {_time(found[0])} cannot be recovered: {found[0].trouble}.",
                ("Try again", "Read its files again"),
                ("Discard", "Remove its files"),
            )
        elif found:
            more = f" ({len(found) - 1} more after this)" if len(found) > 1 else ""
            self._view.make(
                f"napari ended unexpectedly. Recover the work of {_time(found[0])}: "
                f"{found[0].words}?{more}",
                ("Recover", "Open it as it was, not saved yet"),
                ("Discard", "Do without it; this can be taken back"),
            )
        else:
            self._view.hide()
        self._view.offer_later(_LATER if found and discarded is None else "")

    def _began(self) -> None:
        self._view.setEnabled(False)

    def _take(self) -> None:
        if self._recoveries.discarded is not None:
            self._recoveries.take_back()
        else:
            self._recoveries.recover()

    def _put_away(self) -> None:
        if self._recoveries.discarded is not None:
            self._recoveries.remove_discarded()
        else:
            self._recoveries.discard()


def _time(found: Found) -> str:
    """Say when it was, with the day unless it is today."""
    then = time.localtime(found.written)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
