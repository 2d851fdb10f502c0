"""Annotations, and findings: one nodule through its whole life.

A label number in a mask is never a nodule's identity: splits, merges and
relabelling change it. A `Finding` has a uid that stays, and says which label
it has now.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Status = Literal["new", "accepted", "rejected", "edited"]
NoduleType = Literal["unknown", "solid", "part-solid", "ground-glass"]
Origin = Literal["annotation", "click", "model", "hand"]
Lookalike = Literal["", "vessel", "lung wall"]
"""What something resembles by its shape that may be no nodule; "" for nothing."""


@dataclass(frozen=True)
class Annotation:
    """A nodule's centre, LPS millimetres, and diameter, as a row of LUNA16's CSV."""

    scan_id: str
    x_mm: float
    y_mm: float
    z_mm: float
    diameter_mm: float

    @property
    def centre(self) -> tuple[float, float, float]:
        """The centre, LPS millimetres (x, y, z)."""
        return (self.x_mm, self.y_mm, self.z_mm)


@dataclass(frozen=True)
class Opinion:
    """What is thought of a nodule that a model drew.

    Attributes
    ----------
    probability
        The mean of the model's probability over it.
    lookalike
        What it resembles by its shape.
    """

    probability: float | None = None
    lookalike: Lookalike = ""


def new_uid() -> str:
    """Return an identity that no other finding has."""
    return uuid.uuid4().hex


def now() -> datetime:
    """Return the time with its zone."""
    return datetime.now(UTC)


class Finding(BaseModel):
    """One nodule, from its first mark to its last correction.

    Attributes
    ----------
    uid
        Identity, kept through every edit.
    label
        Its label in the mask now; None when it has no voxels (rejected, merged away).
    parents
        Findings it was split from or merged of; the history of its identity.
    probability
        The mean of the model's probability over it, as it was when a model found it.
    lookalike
        What it resembled by its shape when a model found it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uid: str = Field(default_factory=new_uid)
    label: int | None = None
    status: Status = "new"
    type: NoduleType = "unknown"
    note: str = ""
    reader: str = ""
    time: datetime = Field(default_factory=now)
    origin: Origin = "hand"
    edited: bool = False
    parents: tuple[str, ...] = ()
    probability: float | None = None
    lookalike: Lookalike = ""

    @property
    def touched(self) -> bool:
        """Whether a person made, corrected, judged or described it."""
        said = self.status != "new" or self.type != "unknown" or self.note != ""
        return self.origin != "model" or self.edited or said


class Findings(BaseModel):
    """The findings of one scan, those without voxels included; survives JSON.

    Every verb returns a new `Findings`; none changes this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scan_id: str = ""
    items: tuple[Finding, ...] = ()

    def of_label(self, label: int) -> Finding:
        """Return the finding that has ``label`` now.

        Raises
        ------
        KeyError
            If no finding has it.
        """
        for finding in self.items:
            if finding.label == label:
                return finding
        raise KeyError(label)

    @property
    def labels(self) -> frozenset[int]:
        """The labels that findings have now."""
        return frozenset(f.label for f in self.items if f.label is not None)

    @property
    def rejected_labels(self) -> frozenset[int]:
        """The labels of what a person rejected: it is drawn, but goes into no file of nodules."""
        rejected = (f.label for f in self.items if f.status == "rejected")
        return frozenset(label for label in rejected if label is not None)

    @property
    def are_judged(self) -> bool:
        """Whether a person said something of them, which the file of a mask does not keep."""
        return any(finding.reader for finding in self.items)

    def add(self, finding: Finding) -> "Findings":
        """Add a finding.

        Raises
        ------
        ValueError
            If its uid or label is another's already.
        """
        if any(f.uid == finding.uid for f in self.items):
            raise ValueError(f"finding {finding.uid} is there already")
        if finding.label is not None and finding.label in self.labels:
            raise ValueError(f"label {finding.label} is another finding's already")
        return self._with((*self.items, finding))

    def change(self, uid: str, **changes: object) -> "Findings":
        """Change fields of one finding and note the time."""
        values = {"time": now(), **changes}
        changed = [
            Finding.model_validate({**f.model_dump(), **values}) if f.uid == uid else f
            for f in self.items
        ]
        return self._with(changed)

    def mark_edited(self, label: int) -> "Findings":
        """Remember that a person changed the voxels of a nodule; what was said of it stays."""
        finding = self.of_label(label)
        status = "edited" if finding.status == "new" else finding.status
        return self.change(finding.uid, edited=True, status=status)

    def relabel(self, new_of_old: dict[int, int]) -> "Findings":
        """Follow a renumbering of the mask; labels not named keep theirs."""
        return self._with(
            f
            if f.label is None
            else f.model_copy(update={"label": new_of_old.get(f.label, f.label)})
            for f in self.items
        )

    def split(self, label: int, new_label: int) -> "Findings":
        """Follow a part of ``label`` becoming ``new_label``: a finding that knows its parent."""
        parent = self.of_label(label)
        child = parent.model_copy(
            update={
                "uid": new_uid(),
                "label": new_label,
                "time": now(),
                "edited": True,
                "parents": (parent.uid,),
            }
        )
        return self.change(parent.uid, edited=True).add(child)

    def merge(self, kept: int, gone: int) -> "Findings":
        """``gone`` was painted over with ``kept``, which remembers it as a parent."""
        survivor, absorbed = self.of_label(kept), self.of_label(gone)
        return self.change(absorbed.uid, label=None, edited=True).change(
            survivor.uid, edited=True, parents=(*survivor.parents, absorbed.uid)
        )

    def follow(self, mask: npt.NDArray[np.integer], origin: Origin = "hand") -> "Findings":
        """Match with the labels present in ``mask``: new ones come, vanished ones lose theirs."""
        present: set[int] = set()
        # of a scan few voxels are labelled, and a plane fits into the processor's cache
        for plane in mask:
            if plane.any():
                present.update(np.unique(plane[plane != 0]).tolist())
        return self.follow_labels(present, origin)

    def follow_labels(self, labels: Iterable[int], origin: Origin = "hand") -> "Findings":
        """Do the same where the labels of the mask are known already."""
        present = {int(label) for label in labels}
        kept = [
            f if f.label is None or f.label in present else f.model_copy(update={"label": None})
            for f in self.items
        ]
        fresh = [Finding(label=label, origin=origin) for label in sorted(present - self.labels)]
        return self._with((*kept, *fresh))

    def judged(self, opinions: Mapping[int, Opinion]) -> "Findings":
        """Remember what is thought of the nodules that have these labels."""
        return self._with(
            f
            if f.label is None or (opinion := opinions.get(f.label)) is None
            else f.model_copy(
                update={"probability": opinion.probability, "lookalike": opinion.lookalike}
            )
            for f in self.items
        )

    def put_back(self, then: "Findings") -> "Findings":
        """Go with voxels that are again as they were at ``then``, by undo or redo.

        Labels, what is thought of nodules, their parents and whether they are edited become
        those of then; what a person said since stays. Of what came since only that is kept
        which a person touched, and of that no part of a nodule which is whole again.
        """
        now = {f.uid: f for f in self.items}
        kept = [_as_then(now.get(f.uid, f), f) for f in then.items]
        known = {f.uid for f in then.items}
        since = [
            f
            for f in self.items
            if f.uid not in known and f.touched and not known.intersection(f.parents)
        ]
        return self._with((*kept, *(f.model_copy(update={"label": None}) for f in since)))

    def _with(self, items: Iterable[Finding]) -> "Findings":
        return Findings(scan_id=self.scan_id, items=tuple(items))


def _as_then(now: Finding, then: Finding) -> Finding:
    names = ["label", "probability", "lookalike", "edited", "parents"]
    if {now.status, then.status} <= {"new", "edited"}:
        names.append("status")  # it says no more than that
    return now.model_copy(update={name: getattr(then, name) for name in names})
