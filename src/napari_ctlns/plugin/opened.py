"""What was read of some paths, on its way from the thread that reads to the window."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.coming import Coming
from napari_ctlns.plugin.project_file import Project
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.formats import ScanFile

_NOUNS = {
    "project": ("a project", "projects"),
    "image": ("a scan", "scans"),
    "labels": ("a mask", "masks"),
    "points": ("annotations", "tables of annotations"),
}


@dataclass
class Opened:
    """What was read of some paths.

    Attributes
    ----------
    window
        The name of the window to show scans through.
    open_scans
        The scans that masks and annotations may lie on: those read just now, then
        those that were open already.
    projects
        Whole projects.
    layers
        Scans, masks and annotations as layer data.
    coming
        The scans among them that were shown while they were read.
    again
        Scans that were asked for but are open already.
    waiting, still_waiting
        Files of whose scans none is open; those that were known to wait already.
    bad_tables
        Tables of which some rows cannot be used, and what is wrong, line by line.
    choices
        The scans of folders that hold several: one is to be chosen.
    problems
        What could not be read, or not as it was, in words.
    """

    window: str = "lung"
    open_scans: list[Volume] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    layers: list[of.LayerTuple] = field(default_factory=list)
    coming: dict[Volume, Coming] = field(default_factory=dict)
    again: list[Volume] = field(default_factory=list)
    waiting: list[Path] = field(default_factory=list)
    still_waiting: list[Path] = field(default_factory=list)
    bad_tables: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    choices: list["ScanFile"] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there is something to show, to choose from or to wait for."""
        return bool(
            self.projects
            or self.layers
            or self.again
            or self.choices
            or self.waiting
            or self.bad_tables
        )

    @property
    def scans(self) -> list[Volume]:
        """The scans among the layers."""
        return [meta["metadata"][of.KEY].volume for _, meta, kind in self.layers if kind == "image"]

    def in_words(self) -> str:
        """Say what was opened, and what was not."""
        kinds = ["project"] * len(self.projects) + [kind for _, _, kind in self.layers]
        said = [
            one if kinds.count(kind) == 1 else f"{kinds.count(kind)} {many}"
            for kind, (one, many) in _NOUNS.items()
            if kind in kinds
        ]
        sentences = [f"Opened {' and '.join(said)}"] if said else []
        sentences += [f"{volume.title} is open already" for volume in self.again]
        sentences += [f"{path.name} waits: open its scan" for path in self.waiting]
        return ". ".join(sentences)

    def add(self, *layers: of.LayerTuple) -> None:
        """Add layer data; masks and annotations may lie on its scans from now on."""
        before = len(self.scans)
        self.layers.extend(layers)
        self.open_scans[:0] = self.scans[before:]

    def leave_out(self, scans: Iterable[Volume]) -> None:
        """Leave scans out again that nobody wants any more."""
        unwanted = set(scans)
        self.layers = [
            data
            for data in self.layers
            if getattr(data[1]["metadata"][of.KEY], "volume", None) not in unwanted
        ]
