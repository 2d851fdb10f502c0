"""Keys of the review, beside those that napari and the corrections have."""

from collections.abc import Callable, Mapping
from functools import partial

from napari_ctlns.plugin.keys import bind_free_keys
from napari_ctlns.plugin.reviewing import review_of
from napari_ctlns.plugin.session import Session

KEYS: Mapping[str, str] = {
    "next": ".",
    "previous": ",",
    "accept": "U",
    "reject": "W",
    "undo": "Shift-U",
    "solid": "8",
    "part-solid": "9",
    "ground-glass": "0",
}
"""The key of each step of the review; none of them is one of napari's.

U for use it, W for wrong: hardly any other letters are left.
"""


def bind_keys(session: Session) -> None:
    """Bind the keys in the viewer of a session, but those that a person gave to something else."""
    review = review_of(session)
    does: dict[str, Callable[[], None]] = {
        "next": review.next,
        "previous": review.previous,
        "accept": review.accept,
        "reject": review.reject,
        "undo": review.undo,
        "solid": partial(review.set_type, "solid"),
        "part-solid": partial(review.set_type, "part-solid"),
        "ground-glass": partial(review.set_type, "ground-glass"),
    }
    bind_free_keys(session.viewer, KEYS, does)
