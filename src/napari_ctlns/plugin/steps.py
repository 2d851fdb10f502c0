"""The steps in which a labels layer changes: what one changed, and which way it went.

napari keeps each step that can be undone as a list of atoms: a brush, polygon or bucket
leaves the painted box with what was there before, `Labels.data_setitem` leaves indices
with old and new labels.
"""

import weakref
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.masks.islands import Part

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session

Box = tuple[slice, slice, slice]
Atom = Any
Way = Literal["made", "undone", "redone"]
MOST_STEPS = 100
"""As many as napari keeps."""


@dataclass(frozen=True, eq=False)
class Step:
    """Voxels that changed together, as they did when the step was made.

    Attributes
    ----------
    atoms
        napari's own record.
    box
        Where all of them lie.
    changes
        How many voxels changed from one label to another, by (from, to).
    """

    atoms: tuple[Atom, ...]
    box: Box
    changes: Mapping[tuple[int, int], int]

    @property
    def labels(self) -> frozenset[int]:
        """The labels that lost or gained voxels."""
        return frozenset(label for pair in self.changes for label in pair if label != 0)

    def is_in(self, labels: npt.NDArray[Any]) -> bool:
        """Whether a mask has the step already; napari tells of some before it writes them."""
        atom = self.atoms[-1]
        if not _is_painted(atom):
            return bool((labels[atom[0]] == atom[2]).all())
        there = np.asarray(labels[atom.slice_key])
        painted = there if atom.mask is None else there[atom.mask]
        return bool((painted == atom.new_value).all())

    def painted(self) -> Iterator[Part]:
        """Yield what was painted by hand, erased voxels too."""
        for atom in self.atoms:
            if _is_painted(atom):
                z, y, x = atom.slice_key
                shape = tuple(s.stop - s.start for s in (z, y, x))
                inside = np.ones(shape, bool) if atom.mask is None else atom.mask
                yield Part((z, y, x), inside, int(np.count_nonzero(inside)))


def step_of(atoms: list[Atom]) -> Step:
    """Return a step of a labels layer of three dimensions from napari's record of it."""
    changes: Counter[tuple[int, int]] = Counter()
    corners = []
    for atom in atoms:
        low, high = _corners(atom)
        corners += [low, high]
        changes.update(_changes(atom))
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Step(tuple(atoms), (z, y, x), dict(changes))


def _is_painted(atom: Atom) -> bool:
    return hasattr(atom, "slice_key")


def _corners(atom: Atom) -> tuple[list[int], list[int]]:
    if _is_painted(atom):
        return [s.start for s in atom.slice_key], [s.stop for s in atom.slice_key]
    return [int(axis.min()) for axis in atom[0]], [int(axis.max()) + 1 for axis in atom[0]]


def _changes(atom: Atom) -> Mapping[tuple[int, int], int]:
    """Return how many voxels an atom changed from one label to another."""
    if _is_painted(atom):
        old, new = np.ravel(atom.old_values), atom.new_value
    else:
        old, new = np.ravel(atom[1]), atom[2]
    new = np.ravel(new) if np.ndim(new) else np.asarray(new)
    changes: dict[tuple[int, int], int] = {}
    for to in np.unique(new).tolist():
        found, counts = np.unique(old[np.broadcast_to(new == to, old.shape)], return_counts=True)
        for label, voxels in zip(found.tolist(), counts.tolist(), strict=True):
            if label != to:
                changes[label, to] = voxels
    return changes


class _Timeline:
    """The steps of one layer that can be undone, and those that can be redone."""

    def __init__(self) -> None:
        self.done: deque[Step] = deque(maxlen=MOST_STEPS)
        self.undone: deque[Step] = deque(maxlen=MOST_STEPS)

    def next(self, layer: Labels) -> tuple[Step, Way] | None:
        """Return the step that a layer went just now, None if it was none of napari's."""
        # napari tells nowhere else what it undoes and redoes
        done, undone = layer._undo_history, layer._redo_history  # noqa: SLF001
        if self.done and undone and _same(self.done[-1], undone[-1]):
            self.undone.append(self.done.pop())
            return self.undone[-1], "undone"
        if self.undone and done and _same(self.undone[-1], done[-1]):
            self.done.append(self.undone.pop())
            return self.done[-1], "redone"
        self.undone.clear()
        if not done or undone or (self.done and _same(self.done[-1], done[-1])):
            self.done.clear()
            return None
        self.done.append(step_of(done[-1]))
        return self.done[-1], "made"


def _same(step: Step, atoms: list[Atom]) -> bool:
    """Whether napari's record is that of a step; it turns it round with each undo."""
    return len(atoms) == len(step.atoms) and any(step.atoms[0] is atoms[k] for k in (0, -1))


class StepWatch(QObject):
    """Follows the labels layers of a session step by step.

    Attributes
    ----------
    went
        A layer was edited (the layer; the step, or None where all may have changed; the way).
    """

    went = Signal(object, object, str)

    def __init__(self, session: "Session") -> None:
        super().__init__(session)
        self._timelines: weakref.WeakKeyDictionary[Layer, _Timeline] = weakref.WeakKeyDictionary()
        session.edited.connect(self._follow)

    def done(self, layer: Labels) -> tuple[Step, ...]:
        """Return the steps that were made since the layer came, and are not undone."""
        timeline = self._timelines.get(layer)
        return () if timeline is None else tuple(timeline.done)

    def _follow(self, layer: Any) -> None:
        if not isinstance(layer, Labels):
            return
        timeline = self._timelines.setdefault(layer, _Timeline())
        step, way = timeline.next(layer) or (None, "made")
        self.went.emit(layer, step, way)
