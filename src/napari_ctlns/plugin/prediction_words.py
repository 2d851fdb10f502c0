"""What is said of predictions: what was found, what would be, what became of it."""

from napari_ctlns.plugin.words import counted


def found_in_words(nodules: int) -> str:
    """Say how many nodules were found, and what to do if there were none."""
    if nodules == 0:
        return (
            "No nodules found. There is an empty labels layer to paint in; "
            "a lower threshold may find more."
        )
    return f"{counted(nodules, 'nodule')} found"


def proposed_in_words(nodules: int, threshold: float, now: int | None = None) -> str:
    """Say how many nodules there are, or would be, at a threshold."""
    words = f"{counted(nodules, 'nodule')} at {threshold:.2f}"
    return words if now is None else f"{words} ({now} now)"


def applied_in_words(nodules: int, new: int, gone: int, kept: int) -> str:
    """Say what became of the nodules."""
    more = [f"{number} {what}" for number, what in ((new, "new"), (gone, "gone")) if number]
    if kept:
        more.append(f"{kept} kept as edited")
    words = f"{counted(nodules, 'nodule')} now"
    return f"{words}: {', '.join(more)}. Ctrl+Z takes it back" if more else words
