"""Words for people: counts, times, how far something is, and what may go on in the next line."""

import re
from collections.abc import Mapping, Sequence

from napari_ctlns.events import Progress

_IN_THE_PANEL: Mapping[str, str] = {
    "--label": "Label",
    "--fold": "Folds",
    "--axes": "Axes",
    "--activation": "Probability",
    "--recipe and --set": "Prepared as and what is below it",
    "--recipe": "Prepared as",
    "another --out": "another folder for the results",
    "--workers": "workers",
}
"""What the options of commands are called in the panel."""


def counted(number: int, noun: str) -> str:
    """Say how many there are of something: 1 nodule, 2 nodules."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Say a time as a person would: 40 s, 12 min, 3 h 05 min."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def plain_place(progress: Progress) -> str:
    """Say how far a piece of work is: scan 3 of 10."""
    total = f" of {progress.total:g}" if progress.total else ""
    return f"{progress.unit} {progress.done:g}{total}"


def named(names: Sequence[str], most: int = 4) -> str:
    """Say some names: a, b and 3 more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def capitalised(words: str) -> str:
    """Return words as the beginning of a sentence; a recipe's key at their head stays as it is."""
    is_key = "." in words.partition(":")[0].partition(" ")[0]
    return words if is_key else words[:1].upper() + words[1:]


def breakable(words: str) -> str:
    """Let series UIDs and paths go on in the next line, at places nobody sees."""
    return re.sub(r"\S{24}(?=\S)", "\\g<0>\u200b", words)


def in_the_panel(words: str) -> str:
    """Return words in which the options of commands have the names they have in the panel."""
    for option, name in _IN_THE_PANEL.items():
        words = words.replace(option, name)
    return words
