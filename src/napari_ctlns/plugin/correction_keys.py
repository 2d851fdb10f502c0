"""Keys for corrections, beside those that napari has."""

from collections.abc import Callable, Mapping
from functools import partial

from napari_ctlns.plugin.correction_tools import correction_tools_of
from napari_ctlns.plugin.corrections import corrections_of
from napari_ctlns.plugin.keys import bind_free_keys
from napari_ctlns.plugin.session import Session

KEYS: Mapping[str, str] = {
    "grow": "G",
    "shrink": "Shift-G",
    "smooth": "Shift-S",
    "fill_holes": "H",
    "fill_between": "Shift-I",
    "split": "K",
    "merge": "J",
    "delete": "Q",
    "keep": "Shift-K",
    "keep_touched": "Shift-T",
}
"""The key of each correction and tool; none of them is one of napari's."""


def bind_keys(session: Session) -> None:
    """Bind the keys in the viewer of a session, but those that a person gave to something else."""
    corrections, tools = corrections_of(session), correction_tools_of(session)
    does: dict[str, Callable[[], None]] = {
        "grow": corrections.grow,
        "shrink": corrections.shrink,
        "smooth": corrections.smooth,
        "fill_holes": corrections.fill_holes,
        "fill_between": corrections.fill_between,
        "keep_touched": corrections.keep_touched,
        "split": partial(tools.toggle, "split"),
        "merge": partial(tools.toggle, "merge"),
        "delete": partial(tools.toggle, "delete"),
        "keep": partial(tools.toggle, "keep"),
    }
    bind_free_keys(session.viewer, KEYS, does)
