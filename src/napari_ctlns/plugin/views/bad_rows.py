"""Asking whether rows of a table that cannot be used may be left out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_ctlns.plugin.views.offer import Offer
from napari_ctlns.plugin.words import counted

_MOST_NAMED = 20


def offer_to_leave_out(view: Offer, tables: Mapping[Path, Sequence[str]]) -> None:
    """Offer to open tables without their bad rows; put the offer away if there are none.

    Parameters
    ----------
    view
        Where it is offered.
    tables
        What is wrong in each table, one ``"line 3: ..."`` for each row.
    """
    if not tables:
        view.hide()
        return
    lines = [f"{path.name}, {words}" for path, bad in tables.items() for words in bad]
    number = counted(len(lines), "bad row")
    more = [f"and {len(lines) - _MOST_NAMED} more"] if len(lines) > _MOST_NAMED else []
    view.make(
        f"{' and '.join(path.name for path in tables)}: open without {number}?",
        (f"Leave out {number}", "\n".join([*lines[:_MOST_NAMED], *more])),
        ("Don't open", "Correct the table first; nothing of it is opened"),
    )
