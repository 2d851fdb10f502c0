"""Telling a person what could not be used, and why."""

from collections import Counter
from collections.abc import Iterator, Sequence

from napari_ctlns.dataset.folder import DATASET_CARD, Unmatched
from napari_ctlns.events import Event, Log

_MOST_ALIKE = 5


def warnings(unmatched: Sequence[Unmatched]) -> Iterator[Event]:
    """Say what could not be used; of many for one reason the first few, and how many."""
    alike: dict[str, list[str]] = {}
    for item in unmatched:
        alike.setdefault(item.why, []).append(item.what)
    for why, things in alike.items():
        for what in things[:_MOST_ALIKE]:
            yield Log(message=f"{what}: {why}", level="warning")
        if more := len(things) - min(len(things), _MOST_ALIKE):
            message = f"and {more} more: {why}; {DATASET_CARD} lists them all"
            yield Log(message=message, level="warning")


def summary(unmatched: Sequence[Unmatched]) -> str:
    """Return in a line how much could not be used, and the commonest reasons."""
    reasons = Counter(item.why for item in unmatched)
    common = [f"{n} x {why}" for why, n in reasons.most_common(_MOST_ALIKE) if n > 1]
    told = f" ({'; '.join(common)})" if common else ""
    return f"{len(unmatched)} could not be used{told}; {DATASET_CARD} lists them all, and why"
