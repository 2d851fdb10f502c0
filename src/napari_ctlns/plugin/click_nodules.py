"""The nodules that were made by clicks: their clicks stay known, through undo and redo too."""

import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from napari.layers import Labels, Layer

from napari_ctlns.errors import MaskError
from napari_ctlns.findings import Findings
from napari_ctlns.masks.click import Clicks
from napari_ctlns.masks.islands import Part
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.steps import Step, Way
from napari_ctlns.volume import Triple, Volume


@dataclass(frozen=True, eq=False)
class Clicked:
    """A nodule that was made by clicks: all of them, and what was drawn for them."""

    clicks: Clicks
    drawn: Part


@dataclass(eq=False)
class _Page:
    """The nodules of one layer, by the uid of their finding; the one worked on last."""

    nodules: dict[str, Clicked] = field(default_factory=dict)
    last: str = ""


@dataclass(frozen=True, eq=False)
class _Turn:
    """What became of one nodule by a step; None where there was none."""

    uid: str
    before: Clicked | None
    after: Clicked


class ClickedNodules:
    """The clicks of all nodules that were made by them, as long as the session lasts."""

    def __init__(self) -> None:
        self._pages: weakref.WeakKeyDictionary[Layer, _Page] = weakref.WeakKeyDictionary()
        self._turns: weakref.WeakKeyDictionary[Step, _Turn] = weakref.WeakKeyDictionary()

    def of(self, layer: Labels) -> Mapping[str, Clicked]:
        """Return the nodules of a layer, by the uid of their finding."""
        return self._page(layer).nodules

    def last(self, layer: Labels) -> str:
        """Return the uid of the nodule that was worked on last; empty for none."""
        return self._page(layer).last

    def work_on(self, layer: Labels, uid: str) -> None:
        """Work on a nodule; empty: on none."""
        self._page(layer).last = uid

    def keep(self, layer: Labels, uid: str, after: Clicked, step: Step | None) -> None:
        """Remember what became of a nodule, by a step unless no voxel changed."""
        nodules = self._page(layer).nodules
        if step is not None:
            self._turns[step] = _Turn(uid, nodules.get(uid), after)
        nodules[uid] = after

    def follow(self, layer: Labels, step: Step | None, way: Way) -> bool:
        """Let a step be undone or redone; tell whether it was one of these nodules."""
        turn = None if step is None else self._turns.get(step)
        if turn is None or way == "made":
            return False
        page = self._page(layer)
        there = turn.before if way == "undone" else turn.after
        if there is None:
            page.nodules.pop(turn.uid, None)
        else:
            page.nodules[turn.uid] = there
        page.last = "" if there is None else turn.uid
        return True

    def _page(self, layer: Labels) -> _Page:
        return self._pages.setdefault(layer, _Page())


# -- which nodule is where ------------------------------------------------------------


def label_at(layer: Labels, scan: Volume, place: Triple) -> int:
    """Return the label of the voxel at a place, LPS millimetres; 0 for none."""
    index = np.rint(scan.geometry.world_to_index(place)).astype(int)
    z, y, x = np.clip(index, 0, np.array(layer.data.shape) - 1).tolist()
    return int(layer.data[z, y, x])


def uid_of(layer: Labels, label: int) -> str:
    """Return the uid of the finding that has a label; empty if none has."""
    found = (f.uid for f in _findings(layer).items if label and f.label == label)
    return next(found, "")


def label_of(layer: Labels, uid: str) -> int:
    """Return the label that a nodule has now; 0 if it has none."""
    return next((f.label or 0 for f in _findings(layer).items if f.uid == uid), 0)


def _findings(layer: Labels) -> Findings:
    known = layer.metadata.get(of.KEY)
    # those of napari's own layers are made up anew each time, from every voxel
    return known.findings if isinstance(known, of.MaskLayer) else Findings()


def free_label(layer: Labels, present: Collection[int] | None) -> int:
    """Return the smallest label that no voxel and no finding has.

    Parameters
    ----------
    layer
        Where it is to be free.
    present
        The labels that voxels have; None: they are looked for.

    Raises
    ------
    MaskError
        If the type of the layer has no more.
    """
    taken = {*_findings(layer).labels, *(present or ())}
    most = int(np.iinfo(layer.data.dtype).max)
    for label in (label for label in range(1, most + 1) if label not in taken):
        # plane by plane, each fits into the processor's cache
        if present is not None or not any(np.any(plane == label) for plane in layer.data):
            return label
    raise MaskError(f"{layer.name} has no more labels; press New, or convert it to uint16")
