"""Drawing a mask anew where a person did not work on it: what stays, what gives way.

Other thresholds give other objects. One that is an old nodule keeps its label, one
that is a nodule a person worked on is not drawn, and no voxel of such a nodule changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.masks.components import Box
from napari_ctlns.masks.islands import Part

Labels = npt.NDArray[np.integer[Any]]
Where = tuple[npt.NDArray[np.intp], ...]


@dataclass(frozen=True, eq=False)
class Redrawn:
    """What a mask is to show instead of what a person did not work on.

    Attributes
    ----------
    nodules
        What is drawn, by label, on free voxels only; where two share voxels, the later
        one has them.
    labels
        Which label each of the new objects became; 0: it is not drawn.
    """

    nodules: Mapping[int, Part]
    labels: tuple[int, ...]


def nodules_of(labels: Labels) -> dict[int, Part]:
    """Return where each label of a mask (z, y, x) lies."""
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    return {label: _part(box, labels[box] == label) for label, box in boxes if box is not None}


def same_voxels(one: Part, other: Part) -> bool:
    """Whether two objects in boxes that fit them closely are the same voxels."""
    return one.box == other.box and np.array_equal(one.inside, other.inside)


def redrawn(
    labels: Labels,
    there: Mapping[int, Part],
    kept: Collection[int],
    parts: Sequence[Part],
    erased: Sequence[Part] = (),
) -> Redrawn:
    """Decide what new objects become in a mask.

    An object that shares half or more of its voxels, or half or more of the other's,
    with a nodule that is kept or was erased is that nodule, and is not drawn; any other
    is drawn on voxels that no kept nodule has. Of the old nodules that give way those
    with the largest overlaps hand their labels on, each to one object; other objects
    take the lowest labels that nothing has.

    Parameters
    ----------
    labels
        The mask (z, y, x) as it is now.
    there
        Its nodules, see `nodules_of`.
    kept
        The labels that a person worked on.
    parts
        The new objects, in the order in which they get labels.
    erased
        What a person took away.

    Returns
    -------
    Redrawn
        Without the last objects where the type of ``labels`` has no more labels.
    """
    drawn: dict[int, Part] = {}
    overlaps: list[tuple[int, int, int]] = []
    for k, part in enumerate(parts):
        found = _labels_under(labels, part)
        if any(_is_same(n, part, there[label]) for label, n in found.items() if label in kept):
            continue
        if any(_is_same(_shared(part, old), part, old) for old in erased):
            continue
        taken = [label for label in found if label in kept]
        free = part.inside & ~np.isin(labels[part.box], taken) if taken else part.inside
        if free.any():
            drawn[k] = _part(part.box, free) if taken else part
            overlaps += [(n, k, label) for label, n in found.items() if label not in kept]
    label_of = _handed_on(overlaps)
    _name_the_others(drawn, label_of, there, int(np.iinfo(labels.dtype).max))
    named = {label_of[k]: part for k, part in drawn.items() if k in label_of}
    return Redrawn(named, tuple(label_of.get(k, 0) for k in range(len(parts))))


def changed_voxels(
    labels: Labels, there: Mapping[int, Part], kept: Collection[int], wanted: Redrawn
) -> tuple[Where, Labels]:
    """Return which voxels of a mask change, and to which labels.

    Parameters
    ----------
    labels, there, kept
        As `redrawn` was given them.
    wanted
        What it returned.

    Returns
    -------
    where : tuple of numpy.ndarray
        Indices (z, y, x) of the voxels, each once, in the order of the scan.
    values : numpy.ndarray
        Their new labels, in the type of the mask.
    """
    # what comes first wins: later objects before earlier ones, and all before what gives way
    old = (part for label, part in there.items() if label not in kept)
    pieces = [*reversed(tuple(wanted.nodules.items())), *((0, part) for part in old)]
    places = [_flat(part, labels.shape) for _, part in pieces]
    values = [np.full(len(at), k, labels.dtype) for (k, _), at in zip(pieces, places, strict=True)]
    flat, first = np.unique(np.concatenate([*places, _NOWHERE]), return_index=True)
    new = np.concatenate([*values, np.zeros(0, labels.dtype)])[first]
    where = np.unravel_index(flat, labels.shape)
    changed = labels[where] != new
    return tuple(axis[changed] for axis in where), new[changed]


_NOWHERE = np.zeros(0, np.intp)


def _part(box: Box, inside: npt.NDArray[np.bool_]) -> Part:
    return Part(box, inside, int(np.count_nonzero(inside)))


def _labels_under(labels: Labels, part: Part) -> dict[int, int]:
    """Return the labels that an object lies on, and on how many voxels of each."""
    under = labels[part.box][part.inside]
    found, counts = np.unique(under[under != 0], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _is_same(shared: int, one: Part, other: Part) -> bool:
    return shared > 0 and 2 * shared >= min(one.voxels, other.voxels)


def _shared(one: Part, other: Part) -> int:
    """Return how many voxels two objects share."""
    pairs = list(zip(one.box, other.box, strict=True))
    common = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs]
    if any(start >= stop for start, stop in common):
        return 0
    one_inside, other_inside = (
        part.inside[
            tuple(
                slice(start - s.start, stop - s.start)
                for (start, stop), s in zip(common, part.box, strict=True)
            )
        ]
        for part in (one, other)
    )
    return int(np.count_nonzero(one_inside & other_inside))


def _handed_on(overlaps: Iterable[tuple[int, int, int]]) -> dict[int, int]:
    """Return which object gets which old label, of (voxels shared, object, label)."""
    label_of: dict[int, int] = {}
    given: set[int] = set()
    for _, k, label in sorted(overlaps, key=lambda one: (-one[0], one[1], one[2])):
        if k not in label_of and label not in given:
            label_of[k] = label
            given.add(label)
    return label_of


def _name_the_others(
    drawn: Iterable[int], label_of: dict[int, int], there: Mapping[int, Part], most: int
) -> None:
    """Give objects without a label the lowest ones that nothing has or had just now."""
    free = (label for label in range(1, most + 1) if label not in there)
    for k in drawn:
        if k not in label_of:
            label = next(free, None)
            if label is None:
                return
            label_of[k] = label


def _flat(part: Part, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Return the flat indices of an object's voxels."""
    inside = np.nonzero(part.inside)
    where = tuple(axis + s.start for axis, s in zip(inside, part.box, strict=True))
    return np.ravel_multi_index(where, shape)
