"""One session for each viewer: which layers are worked on, and what is known of them.

Layers carry what is known of them (see `layers`), so a session only adds which
scan, mask and annotations the panels are about, what was measured and what is
not saved. Panels come and go; the session stays as long as its viewer.
"""

import contextlib
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, Signal

from napari_ctlns.errors import CtlnsError
from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.jobs import control_run
from napari_ctlns.jobs.run_folder import is_live
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import same_canvas
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.counted_singletons import keep_singletons_alive
from napari_ctlns.plugin.edits import EditWatch
from napari_ctlns.plugin.finding_history import FindingHistory
from napari_ctlns.plugin.measuring import edited_since
from napari_ctlns.plugin.steps import StepWatch
from napari_ctlns.plugin.thick_slices import ThickSlices
from napari_ctlns.plugin.windowing import PRESETS, Window
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd  # half a second to import

    from napari_ctlns.plugin.project_contents import View

Role = Literal["scan", "mask", "annotations"]
Part = TypeVar("Part", bound=QObject)


class Session(QObject):
    """What the panels of one viewer share.

    Attributes
    ----------
    layers_changed
        Layers came, went or got other names.
    scan_changed, mask_changed, annotations_changed
        Another layer is worked on now, or none.
    edited
        The voxels of a labels layer, or the points of annotations, changed (the layer).
    measured
        There is a new nodule table of a labels layer (the layer).
    label_picked
        Another label of a labels layer is painted with now (the layer).
    recoloured
        A labels layer has other colours (the layer).
    unsaved_changed
        Something was edited or saved.
    run_changed, model_changed
        Another training is watched, another model is chosen (the folder).
    mouse_taken
        A tool has taken the left button, and others are to leave it (the tool).
    closed
        The window closes: work that belongs to it has ended or is to end now.
    more_models
        The folders of the models that predict together with the one that is chosen.
    waiting
        Files that were opened before the scans they lie on.
    project
        The project file that all of it was opened from, or saved in, last.
    slices
        How slices were looked at before surfaces are, which are no layers to save.
    """

    layers_changed = Signal()
    scan_changed = Signal()
    mask_changed = Signal()
    annotations_changed = Signal()
    edited = Signal(object)
    measured = Signal(object)
    label_picked = Signal(object)
    recoloured = Signal(object)
    unsaved_changed = Signal()
    run_changed = Signal(object)
    model_changed = Signal(object)
    mouse_taken = Signal(object)
    closed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self._chosen: dict[Role, weakref.ref[Layer]] = {}
        self._shown: dict[Role, Layer | None] = {"scan": None, "mask": None, "annotations": None}
        self._tables: weakref.WeakKeyDictionary[Layer, pd.DataFrame] = weakref.WeakKeyDictionary()
        self._edits = EditWatch(self)
        self._edits.edited.connect(self._on_edit)
        FindingHistory(self, StepWatch(self))  # before others, who may know better
        self._measured_at: weakref.WeakKeyDictionary[Layer, int] = weakref.WeakKeyDictionary()
        self._unsaved: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._child: ChildProcess | None = None
        self._trainings: set[Path] = set()
        self.waiting: list[Path] = []
        self.project: Path | None = None
        self.slices: View | None = None
        self.run: Path | None = None
        self.model: Path | None = None
        self.more_models: tuple[Path, ...] = ()
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)
        viewer.layers.selection.events.active.connect(self._activated)
        for name in ("inserted", "removed", "reordered"):
            getattr(viewer.layers.events, name).connect(self._layers_changed)
        self._thick_slices = ThickSlices(viewer)
        for layer in viewer.layers:
            self._watch(layer)
        self._settle()

    @property
    def viewer(self) -> ViewerModel:
        """The viewer of this session."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("the viewer of this session is gone")
        return viewer

    @property
    def gone(self) -> bool:
        """Whether its viewer is no more, which a panel of it may outlive for a moment."""
        return self._viewer() is None

    def part(self, kind: type[Part]) -> Part:
        """Return the one part of this kind that all panels share; the first call makes it."""
        there: Part | None = self.findChild(kind)
        return kind(self) if there is None else there

    # -- which layers -------------------------------------------------------------

    @property
    def scan(self) -> Image | None:
        """The CT that is worked on."""
        return self._shown["scan"]

    @property
    def volume(self) -> Volume | None:
        """The scan that is worked on, as a volume."""
        return of.scan_of(self.scan)

    @property
    def mask(self) -> Labels | None:
        """The labels layer that is worked on."""
        return self._shown["mask"]

    @property
    def annotations(self) -> Points | None:
        """The annotations that are worked on."""
        return self._shown["annotations"]

    @property
    def coming(self) -> bool:
        """Whether a scan is still being read that is shown already."""
        return any(map(of.is_coming, self.viewer.layers))

    def choose(self, layer: Layer) -> None:
        """Work on this layer from now on, as what it is: scan, mask or annotations."""
        role = _role(layer)
        if role is not None:
            self._chosen[role] = weakref.ref(layer)
            self._settle()

    def layers_for(self, role: Role) -> list[Layer]:
        """Return the layers that could be worked on as ``role``, from the bottom up."""
        return [layer for layer in self.viewer.layers if _role(layer) == role]

    @property
    def open_scans(self) -> list[Volume]:
        """The scans that are open: the one worked on, then the others from the top down."""
        layers = [self.scan, *reversed(self.layers_for("scan"))]
        volumes = (of.scan_of(layer) for layer in dict.fromkeys(layers))
        return [volume for volume in volumes if volume is not None]

    def volume_under(self, layer: Layer) -> Volume | None:
        """Return the scan that a mask or annotations belong to; else the one worked on.

        Layers of ours know their scan. A new labels layer of napari's has the grid of
        the layer that was selected when it was made, whatever is worked on now.
        """
        if of.KEY not in layer.metadata and isinstance(layer, Labels):
            for scan in self.open_scans:
                if same_canvas(layer, scan.geometry):
                    return scan
        scan_id = getattr(layer.metadata.get(of.KEY), "scan_id", "")
        for other in reversed(self.layers_for("scan")):
            volume = of.scan_of(other)
            if volume is not None and scan_id and volume.scan_id == scan_id:
                return volume
        return self.volume

    # -- adding -------------------------------------------------------------------

    def add_scan(self, volume: Volume, window: Window = PRESETS["lung"]) -> Image:
        """Add a CT and work on it."""
        return self.add(of.scan_tuple(volume, window))

    def add_mask(self, mask: Volume, name: str, findings: Findings | None = None) -> Labels:
        """Add a mask as an editable labels layer, and work on it.

        Parameters
        ----------
        mask
            One label per nodule; its array becomes the layer's and is edited in place.
        name
            Of the layer.
        findings
            One for each label; None: they are made up, as drawn by hand.
        """
        layer = self.add(of.mask_tuple(mask, name, findings))
        self.not_saved(layer)
        return layer

    def add_annotations(
        self, annotations: tuple[Annotation, ...], volume: Volume, name: str = "annotations"
    ) -> Points:
        """Add annotations of a scan as points, and work on them."""
        return self.add(of.annotations_tuple(annotations, volume.geometry, volume.scan_id, name))

    def add(self, data: of.LayerTuple) -> Any:
        """Add layer data of ours, which a thread may have made, and work on the layer."""
        layer = Layer.create(*data)
        self.viewer.add_layer(layer)
        self.choose(layer)
        return layer

    def adopt(self, layer: Layer) -> None:
        """Work on a layer of which it is known only now what it is."""
        self._watch_role(layer)
        self.choose(layer)
        self.layers_changed.emit()

    # -- edits, tables, saving ----------------------------------------------------

    def table(self, layer: Layer) -> "pd.DataFrame | None":
        """Return the newest nodule table of a labels layer."""
        return self._tables.get(layer)

    def edits(self, layer: Layer) -> int:
        """Return how often a layer was edited; work on a copy of it notes what it saw."""
        return self._edits.count(layer)

    def look_for_undo(self, layer: Labels) -> None:
        """Tell of undo and redo of a layer that is hidden, which napari does not."""
        self._edits.look(layer)

    def is_stale(self, layer: Layer) -> bool:
        """Whether a labels layer was edited since its table was made."""
        return self.edits(layer) != self._measured_at.get(layer, 0)

    def keep_table(self, layer: Labels, table: "pd.DataFrame", edits: int | None = None) -> None:
        """Remember a nodule table, and let the layer's findings follow its labels.

        Parameters
        ----------
        layer
            Whose nodules were measured.
        table
            One row for each of its labels.
        edits
            What `edits` was when they were measured; None: nothing was edited since. An
            older table than the one that is known is let go.
        """
        if edits is not None and edits < self._measured_at.get(layer, 0):
            return
        mask = of.mask_of(layer, self.volume_under(layer))
        findings = of.findings_of(layer)
        if edits in (None, self.edits(layer)):  # an older table knows of fewer labels
            findings = findings.follow_labels(table["label"].tolist())
        of.keep_findings(layer, edited_since(findings, self._tables.get(layer), table), mask)
        self._tables[layer] = table
        self._measured_at[layer] = self.edits(layer) if edits is None else edits
        self.measured.emit(layer)

    def put_findings(
        self, layer: Labels, findings: Findings, table: "pd.DataFrame | None", fresh: bool
    ) -> None:
        """Remember what goes with voxels that were just written, other than by hand.

        Parameters
        ----------
        layer
            Whose voxels they are.
        findings
            One for each of its labels.
        table
            The newest nodule table, if there is one.
        fresh
            Whether it was measured on these voxels.
        """
        of.keep_findings(layer, findings, of.mask_of(layer, self.volume_under(layer)))
        self._tables.pop(layer, None)
        if table is not None:
            self._tables[layer] = table
        self._measured_at[layer] = self.edits(layer) if fresh else -1
        self.measured.emit(layer)

    def say_of_findings(self, layer: Labels, findings: Findings) -> None:
        """Remember what a person said of a layer's findings; its voxels and table stay."""
        of.keep_findings(layer, findings, of.mask_of(layer, self.volume_under(layer)))
        self.not_saved(layer)
        self.measured.emit(layer)

    def is_unsaved(self, layer: Layer) -> bool:
        """Whether a layer holds edits that no file has."""
        return layer in self._unsaved

    @property
    def unsaved_layers(self) -> list[Layer]:
        """The layers that hold edits that no file has, from the bottom up."""
        return [layer for layer in self.viewer.layers if layer in self._unsaved]

    def not_saved(self, *layers: Layer) -> None:
        """Remember that no file has what these layers hold."""
        self._unsaved.update(layers)
        self.unsaved_changed.emit()

    def saved(self, *layers: Layer) -> None:
        """Remember that these layers were written to files."""
        for layer in layers:
            self._unsaved.discard(layer)
        self.unsaved_changed.emit()

    # -- runs and models ----------------------------------------------------------

    def watch_run(self, run: Path | None) -> None:
        """Let the panels follow this training."""
        self.run = run
        self.run_changed.emit(run)

    def started_training(self, run: Path) -> None:
        """Remember that this window started a training: closing it asks what becomes of it."""
        self._trainings.add(run)
        self.watch_run(run)

    def running_trainings(self) -> list[Path]:
        """Return the run folders of trainings that this window started and that go on."""
        return sorted(run for run in self._trainings if is_live(run))

    def stop_trainings(self) -> None:
        """Ask the trainings that this window started to end with a checkpoint."""
        for run in self.running_trainings():
            with contextlib.suppress(CtlnsError):  # it may have ended just now
                control_run(run, "stop")

    @property
    def child(self) -> ChildProcess:
        """The process that predicts and prepares; it starts with its first job."""
        if self._child is None:
            self._child = ChildProcess(self)
        return self._child

    def new_child(self) -> ChildProcess:
        """Return another process, for long work that no other work is to wait for."""
        return ChildProcess(self)

    def close(self) -> None:
        """End the work that is not to outlive the window."""
        for child in self.findChildren(ChildProcess):
            child.close()
        self.closed.emit()

    def choose_model(self, model: Path | None) -> None:
        """Let the panels predict with this model."""
        self.model = model
        self.model_changed.emit(model)

    # -- what napari tells --------------------------------------------------------

    def _inserted(self, event: Any) -> None:
        self._watch(event.value)
        self._settle()

    def _removed(self, event: Any) -> None:
        disconnect_events(event.value.events, self)
        self._edits.leave(event.value)
        self._settle()

    def _layers_changed(self, _event: Any = None) -> None:
        self.layers_changed.emit()

    def _activated(self, event: Any) -> None:
        if event.value is not None:
            self.choose(event.value)

    def _watch(self, layer: Layer) -> None:
        layer.events.name.connect(self._layers_changed)
        self._watch_role(layer)

    def _watch_role(self, layer: Layer) -> None:
        role = _role(layer)
        if of.scan_of(layer) is not None:
            # with napari's default the patient would be mirrored in 3D
            self.viewer.scene.camera.orientation = ("away", "down", "right")
            low, high = layer.metadata[of.KEY].hu_range
            black, white = layer.contrast_limits
            layer.contrast_limits_range = (min(low, black), max(high, white))
            layer.locked = True
        elif role == "mask":
            self._edits.follow_mask(layer)
            layer.events.selected_label.connect(self._on_pick)
            layer.events.colormap.connect(self._on_colours)
        elif role == "annotations":
            self._edits.follow_annotations(layer)

    def _on_edit(self, layer: Layer) -> None:
        if layer not in self._unsaved:
            self._unsaved.add(layer)
            self.unsaved_changed.emit()
        self.edited.emit(layer)

    def _on_pick(self, event: Any) -> None:
        self.label_picked.emit(event.source)

    def _on_colours(self, event: Any) -> None:
        self.recoloured.emit(event.source)

    def _settle(self) -> None:
        """Work on what was chosen last and is still there, else on what is on top."""
        signals: dict[Role, Any] = {
            "scan": self.scan_changed,
            "mask": self.mask_changed,
            "annotations": self.annotations_changed,
        }
        for role, signal in signals.items():
            there = self.layers_for(role)
            chosen = self._chosen.get(role, lambda: None)()
            layer = chosen if chosen in there else (there[-1] if there else None)
            if layer is not self._shown[role]:
                self._shown[role] = layer
                signal.emit()


def _role(layer: Layer) -> Role | None:
    if of.scan_of(layer) is not None:
        return "scan"
    if isinstance(layer, Labels) and layer.ndim == 3 and not of.is_preview(layer):
        return "mask"
    return "annotations" if of.is_annotations(layer) else None


_SESSIONS: weakref.WeakKeyDictionary[ViewerModel, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: ViewerModel) -> Session:
    """Return the session of a viewer; the first call makes it."""
    own = getattr(viewer, "__wrapped__", viewer)  # panels are given a proxy
    if own not in _SESSIONS:
        keep_singletons_alive()
        session = _SESSIONS[own] = Session(own)
        from napari_ctlns.plugin.ruler_book import ruler_book_of  # which knows sessions

        ruler_book_of(session)  # draws rulers whoever opened them
        if isinstance(own, Viewer):
            from napari_ctlns.plugin.plane_docking import bind_key  # these know sessions
            from napari_ctlns.plugin.protection import protect

            bind_key(own)
            protect(own.window._qt_window, session)  # noqa: SLF001 - napari has no other door
    return _SESSIONS[own]
