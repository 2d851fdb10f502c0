"""Corrections of the nodule that is worked on, each one step that napari can undo."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from napari.layers import Labels as LabelsLayer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.errors import MaskError
from napari_ctlns.masks import pieces
from napari_ctlns.masks.between_slices import filled_between
from napari_ctlns.masks.correcting import (
    Correction,
    changed_by,
    filled,
    grown,
    merged,
    shrunk,
    smoothed,
)
from napari_ctlns.masks.cutting import split
from napari_ctlns.masks.label_box import box_in
from napari_ctlns.masks.replacing import Labels
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import StepWatch
from napari_ctlns.volume import Triple

STEP_MM = 1.0
"""By how much a nodule grows or shrinks at once."""
NO_LAYER = "There is no labels layer"
_NO_NODULE = "Pick a nodule first: click its row in Nodules, or take napari's picker (key L)"
_NOT_HERE = "There is no nodule: click on one"

Voxel = tuple[int, int, int]
Make = Callable[[Labels, Triple, int], Correction]


class Corrections(QObject):
    """Corrects the mask that is worked on; it belongs to the session.

    The nodule is the label that napari's brush has. Findings go with their voxels, see
    `finding_history`, and rows of the table follow.

    Attributes
    ----------
    said
        What was done, or why it could not be (the words; whether it is trouble).
    """

    said = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    # -- what there is --------------------------------------------------------------------

    @property
    def layer(self) -> LabelsLayer | None:
        """The mask that is worked on."""
        return self._session.mask

    @property
    def label(self) -> int:
        """The nodule that is worked on; 0 for none."""
        return 0 if self.layer is None else int(self.layer.selected_label)

    def why_not(self, label: int) -> str:
        """Say why a nodule cannot be corrected; empty if it can."""
        if self.layer is None:
            return NO_LAYER
        if not self.layer.editable:
            return "This layer cannot be edited: napari shows several resolutions of it"
        return "" if label > 0 else _NO_NODULE

    # -- the nodule as a whole --------------------------------------------------------------

    def grow(self, by_mm: float = STEP_MM) -> None:
        """Let the nodule grow on all sides."""
        self._correct(f"grown by {by_mm:g} mm", lambda a, s, label: grown(a, s, label, by_mm))

    def shrink(self, by_mm: float = STEP_MM) -> None:
        """Let the nodule shrink on all sides."""
        self._correct(f"shrunk by {by_mm:g} mm", lambda a, s, label: shrunk(a, s, label, by_mm))

    def smooth(self) -> None:
        """Smooth the nodule's surface."""
        self._correct("smoothed", smoothed)

    def fill_holes(self) -> None:
        """Fill what the nodule encloses."""
        self._correct("holes filled", lambda a, _, label: filled(a, label))

    def fill_between(self) -> None:
        """Draw the nodule on the slices between those on which it was painted."""
        axis = self.axis
        self._correct(
            "filled between slices", lambda a, s, label: filled_between(a, s, label, axis)
        )

    def keep_touched(self) -> None:
        """Take away the pieces of the nodule that no stroke touched since the layer came."""
        layer = self.layer
        steps = () if layer is None else self._session.part(StepWatch).done(layer)
        touched = [part for step in steps for part in step.painted()]
        self._correct(
            "kept only what was touched",
            lambda a, _, label: pieces.with_only_touched(a, label, touched),
        )

    # -- where a person clicks or draws -----------------------------------------------------

    def split(self, line: npt.ArrayLike) -> None:
        """Split the nodule by a line on the slice on show, (n, 3) canvas millimetres (z, y, x)."""
        layer = self.layer
        if layer is None:
            self._say(NO_LAYER, trouble=True)
            return
        points = np.array([layer.world_to_data(point) for point in np.asarray(line, float)])
        axis = self.axis
        try:
            new = self._free_label(layer)
        except MaskError as error:
            self._say(str(error), trouble=True)
            return
        self._correct(
            f"split, its smaller part is nodule {new}",
            lambda a, _, label: split(a, label, new, points, axis),
        )

    def merge(self, gone: int) -> None:
        """Let the nodule take in another one."""
        if gone == self.label:
            self._say(f"this is nodule {gone} itself: click the one to merge", trouble=True)
            return
        if gone == 0:
            self._say(_NOT_HERE, trouble=True)
            return
        self._correct(
            f"merged with nodule {gone}", lambda a, _, label: merged(a, kept=label, gone=gone)
        )

    def delete_piece(self, at: Voxel) -> None:
        """Take away the connected piece, of whichever nodule, that has a voxel."""
        self._correct("piece deleted", lambda a, _s, _l: pieces.without_piece(a, at), at)

    def keep_piece(self, at: Voxel) -> None:
        """Take away all of a nodule but the connected piece that has a voxel."""
        self._correct("kept one piece", lambda a, _s, _l: pieces.with_only_piece(a, at), at)

    def label_at(self, at: Voxel) -> int:
        """Return the label of a voxel; 0 beyond the layer."""
        layer = self.layer
        if layer is None or not all(0 <= k < n for k, n in zip(at, layer.data.shape, strict=True)):
            return 0
        return int(layer.data[at])

    # -- undo -------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last step back, a stroke or a correction."""
        if self.layer is not None:
            self.layer.undo()

    def redo(self) -> None:
        """Make the step again that was undone last."""
        if self.layer is not None:
            self.layer.redo()

    # -- all of them ------------------------------------------------------------------------

    @property
    def axis(self) -> int:
        """The axis of the mask across the slice on show: 0 for axial ones."""
        dims = self._session.viewer.dims
        return max(dims.order[dims.ndim - 3] - (dims.ndim - 3), 0)

    def _correct(self, done: str, make: Make, at: Voxel | None = None) -> None:
        """Correct the nodule worked on, or the one that has a voxel, and tell of it."""
        layer = self.layer
        label = self.label if at is None else self.label_at(at)
        why_not = self.why_not(label) if label or at is None else _NOT_HERE
        if layer is None or why_not:
            self._say(why_not, trouble=True)
            return
        labels: Labels = np.asarray(layer.data)
        mask = of.mask_of(layer, self._session.volume_under(layer))
        try:
            correction = make(labels, mask.geometry.spacing, label)
        except MaskError as error:
            self._say(f"nodule {label}: {error}", trouble=True)
            return
        before = int(np.count_nonzero(labels[box_in(labels, label)] == label))
        more = _count(correction.labels, label) - _count(labels[correction.box], label)
        write_correction(self._session, layer, correction)
        volume = mask.geometry.voxel_volume
        sizes = f"{_mm3(before * volume)} → {_mm3((before + more) * volume)} mm³"
        self._say(f"nodule {label}: {done}, {sizes}")

    def _free_label(self, layer: LabelsLayer) -> int:
        """Return a label that nothing has, nor had a finding that may come back.

        Raises
        ------
        MaskError
            If the type of the layer has no more.
        """
        known = of.findings_of(layer).labels
        highest = max(int(np.max(layer.data)), max(known, default=0))
        most = int(np.iinfo(layer.data.dtype).max)
        if highest < most:
            return highest + 1
        taken = known.union(np.unique(layer.data).tolist())
        free = next((label for label in range(1, most) if label not in taken), None)
        if free is None:
            raise MaskError(f"{layer.name} has no more labels; convert it to uint16 (right-click)")
        return free

    def _say(self, words: str, trouble: bool = False) -> None:
        self._session.viewer.status = words  # for who works by keys, with the panel closed
        self.said.emit(words, trouble)


def write_correction(session: Session, layer: LabelsLayer, correction: Correction) -> None:
    """Write what a box of a mask is to hold into its layer, in one step that can be undone."""
    if not isinstance(layer.metadata.get(of.KEY), of.MaskLayer):  # one of napari's own
        mask = of.mask_of(layer, session.volume_under(layer))
        of.keep_findings(layer, of.findings_of(layer), mask)
    where, values = changed_by(np.asarray(layer.data), correction)
    with layer.block_history():  # napari then tells of it when it is written
        layer.data_setitem(where, values)
    session.viewer.layers.selection.active = layer  # where Ctrl+Z takes it back


def _count(labels: Labels, label: int) -> int:
    return int(np.count_nonzero(labels == label))


def _mm3(volume: float) -> str:
    return f"{volume:.0f}" if volume >= 99.5 else f"{volume:.1f}"


def corrections_of(session: Session) -> Corrections:
    """Return the corrections of a session; the first call makes them."""
    return session.part(Corrections)
