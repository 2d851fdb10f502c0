"""What was done to annotations, to be undone: napari's points remember nothing."""

import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Points

from napari_ctlns.volume import FloatArray

_MOST_STEPS = 200


@dataclass(frozen=True, eq=False)
class _State:
    data: FloatArray
    size: FloatArray

    def resized_to(self, other: "_State") -> frozenset[int] | None:
        """Return the rows whose size alone differs, None if anything else does."""
        if not np.array_equal(self.data, other.data):
            return None
        return frozenset(np.flatnonzero(self.size != other.size).tolist())


class History:
    """What the annotations of a layer were before each change, whoever made it."""

    def __init__(self, layer: Points) -> None:
        self._layer = weakref.ref(layer)
        self._now = self._state()
        self._before: deque[_State] = deque(maxlen=_MOST_STEPS)
        self._undone: list[_State] = []
        self._sliding: frozenset[int] | None = None
        self._held = False
        layer.events.data.connect(self._note)
        layer.events.size.connect(self._note)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._before)

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Let all changes until the end be undone as one."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._sliding = None
            self._note()
            self._sliding = None

    def undo(self) -> None:
        """Take back the last change, if there is one."""
        if self._before:
            self._undone.append(self._now)
            self._show(self._before.pop())

    def redo(self) -> None:
        """Make the change again that was undone last, if there is one."""
        if self._undone:
            self._before.append(self._now)
            self._show(self._undone.pop())

    def _note(self, _event: Any = None) -> None:
        if self._held:
            return
        new = self._state()
        resized = self._now.resized_to(new)
        if resized == frozenset():
            return  # napari announces changes before it makes them
        # napari's slider sets many sizes on its way; they are undone as one
        if resized is None or resized != self._sliding:
            self._before.append(self._now)
        self._sliding = resized
        self._undone.clear()
        self._now = new

    def _show(self, state: _State) -> None:
        layer = self._layer()
        if layer is None:
            return
        self._held = True
        layer.selected_data = set()  # its rows may be gone
        layer.data = state.data.copy()
        layer.size = state.size
        self._now, self._held, self._sliding = state, False, None
        layer.events.size()

    def _state(self) -> _State:
        layer = self._layer()
        if layer is None:
            raise RuntimeError("the layer of this history is gone")
        return _State(np.array(layer.data, float), np.array(layer.size, float))


_HISTORIES: weakref.WeakKeyDictionary[Points, History] = weakref.WeakKeyDictionary()


def history_of(layer: Points) -> History:
    """Return the history of a layer; the first call makes it."""
    if layer not in _HISTORIES:
        _HISTORIES[layer] = History(layer)
    return _HISTORIES[layer]
