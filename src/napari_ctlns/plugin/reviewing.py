"""Going through the findings of a mask one by one: which comes next, and what is said of it.

The order is that of the rows in the *Nodules* panel, sorted and filtered as a person chose;
without the panel it is that of the labels.
"""

from collections.abc import Callable, Sequence

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_ctlns.findings import Finding, Findings, NoduleType
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.detailing import Detailing
from napari_ctlns.plugin.finding_rows import UNREVIEWED
from napari_ctlns.plugin.judging import judging_of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.words import counted

_NO_LAYER = "There is no labels layer"
_NO_NODULE = "Pick a nodule first: click its row in Nodules"
_NO_ROWS = "No nodule is shown"
Tell = Callable[[Labels, Sequence[str]], None]


class Review(QObject):
    """Goes from finding to finding and judges the one it is at; it belongs to the session.

    Attributes
    ----------
    said
        What was done, or why it could not be (the words; whether it is trouble).
    order
        The uids in the order of the panel's rows; None: nobody shows rows.
    chosen
        The uids of the rows that are selected.
    """

    said = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._judging = judging_of(session)
        self._details = session.part(Detailing)
        self.order: Sequence[str] | None = None
        self.chosen: Sequence[str] = ()

    def forget_rows(self, _panel: QObject | None = None) -> None:
        """Go by labels again; for the panel that is no more."""
        self.order, self.chosen = None, ()

    # -- which --------------------------------------------------------------------------

    @property
    def current(self) -> Finding | None:
        """The finding that is at hand: that of the brush's label, else the row selected."""
        layer = self._session.mask
        if layer is None:
            return None
        findings = of.findings_of(layer)
        gone = [f for f in findings.items if f.uid in self.chosen and f.label is None]
        if len(self.chosen) == len(gone) == 1:
            return gone[0]
        label = int(layer.selected_label)
        return findings.of_label(label) if label in findings.labels else None

    @property
    def at_hand(self) -> tuple[str, ...]:
        """The uids that are judged: all rows selected if the one at hand is among them."""
        current = self.current
        if current is None:
            return ()
        return tuple(self.chosen) if current.uid in self.chosen else (current.uid,)

    def _in_order(self, findings: Findings) -> list[Finding]:
        of_uid = {finding.uid: finding for finding in findings.items}
        if self.order is not None:
            return [of_uid[uid] for uid in self.order if uid in of_uid]
        there = [finding for finding in findings.items if finding.label is not None]
        return sorted(there, key=lambda finding: finding.label or 0)

    # -- going --------------------------------------------------------------------------

    def next(self) -> None:
        """Go to the next row; after the last one to the first."""
        self._step(1)

    def previous(self) -> None:
        """Go to the row before; before the first one to the last."""
        self._step(-1)

    def _step(self, by: int) -> None:
        layer = self._session.mask
        if layer is None:
            self._say(_NO_LAYER, trouble=True)
            return
        rows = [f for f in self._in_order(of.findings_of(layer)) if f.label is not None]
        if not rows:
            self._say(_NO_ROWS, trouble=True)
            return
        uids, current = [finding.uid for finding in rows], self.current
        here = uids.index(current.uid) if current is not None and current.uid in uids else None
        place = (0 if by > 0 else len(rows) - 1) if here is None else (here + by) % len(rows)
        self.go(rows[place].uid)
        self._say(f"nodule {rows[place].label}, {place + 1} of {len(rows)}")

    def go(self, uid: str) -> None:
        """Show a nodule in the middle of all views, on the slice of its long axis.

        Until that is known, after an edit for a moment, it is the slice of its centroid.
        """
        layer = self._session.mask
        table = None if layer is None else self._session.table(layer)
        if layer is None or table is None:
            return
        found = next((f for f in of.findings_of(layer).items if f.uid == uid), None)
        if found is None or found.label is None:
            return  # it has no voxels any more
        label = found.label
        row = table[table["label"] == label]
        layer.selected_label = label
        scan = self._session.volume_under(layer)
        if row.empty or scan is None:
            return
        centre = [float(row[f"centroid_{axis}_mm"].iloc[0]) for axis in "xyz"]
        point = lps_to_canvas(scan.geometry, centre)
        slice_index = self._details.long_axis_slice(layer, label)
        if slice_index is not None:
            point[0] = layer.data_to_world((slice_index, 0, 0))[0]
        go_to(self._session.viewer, point.tolist())

    # -- judging ------------------------------------------------------------------------

    def accept(self) -> None:
        """Accept what is at hand, and go to the next finding that nobody has judged."""
        self._judge("accepted")

    def reject(self) -> None:
        """Reject what is at hand, and go to the next finding that nobody has judged."""
        self._judge("rejected")

    def _judge(self, status: str) -> None:
        layer, uids = self._session.mask, self.at_hand
        if layer is None or not uids:
            self._say(_NO_NODULE if layer is not None else _NO_LAYER, trouble=True)
            return
        before = self._in_order(of.findings_of(layer))  # a filter may hide what is judged now
        words = f"{self._named(layer, uids)} {status}"
        judge = self._judging.accept if status == "accepted" else self._judging.reject
        judge(layer, uids)
        left = [f for f in before if f.status in UNREVIEWED and f.uid not in uids and f.label]
        following = _after(before, uids, {finding.uid for finding in left})
        if following is None:
            self._say(f"{words}; no nodule is left to review")
            return
        self.go(following.uid)
        self._say(f"{words}; {len(left)} to review, this is nodule {following.label}")

    def reopen(self) -> None:
        """Say that what is at hand is to be reviewed again."""
        self._tell("to be reviewed again", lambda layer, uids: self._judging.reopen(layer, uids))

    def set_type(self, kind: NoduleType) -> None:
        """Say of which type what is at hand is."""
        words = "type as measured" if kind == "unknown" else kind
        self._tell(words, lambda layer, uids: self._judging.set_type(layer, uids, kind))

    def set_note(self, uid: str, note: str) -> None:
        """Write a note on a finding."""
        layer = self._session.mask
        if layer is not None:
            self._judging.set_note(layer, (uid,), note)

    def undo(self) -> None:
        """Take back what was said last of the mask that is worked on; strokes stay."""
        layer = self._session.mask
        if layer is None or not self._judging.can_undo(layer):
            self._say("nothing was said that could be taken back", trouble=True)
            return
        self._judging.undo_last(layer)
        self._say("the last judgement was taken back")

    def _tell(self, words: str, tell: Tell) -> None:
        layer, uids = self._session.mask, self.at_hand
        if layer is None or not uids:
            self._say(_NO_NODULE if layer is not None else _NO_LAYER, trouble=True)
            return
        tell(layer, uids)
        self._say(f"{self._named(layer, uids)}: {words}")

    def _named(self, layer: Labels, uids: Sequence[str]) -> str:
        if len(uids) > 1:
            return counted(len(uids), "nodule")
        (finding,) = [one for one in of.findings_of(layer).items if one.uid == uids[0]]
        return "the finding" if finding.label is None else f"nodule {finding.label}"

    def _say(self, words: str, trouble: bool = False) -> None:
        self._session.viewer.status = words  # for who works by keys, with the panel closed
        self.said.emit(words, trouble)


def _after(rows: Sequence[Finding], uids: Sequence[str], wanted: set[str]) -> Finding | None:
    """Return the first wanted row after the last of some rows; beyond the end from the top."""
    places = [place for place, finding in enumerate(rows) if finding.uid in uids]
    start = places[-1] + 1 if places else 0
    return next((f for f in [*rows[start:], *rows[:start]] if f.uid in wanted), None)


def review_of(session: Session) -> Review:
    """Return the review of a session; the first call makes it."""
    return session.part(Review)
