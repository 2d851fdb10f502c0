"""The annotations that are worked on, and what the mouse does to them, as signals."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from napari.layers import Points
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, Signal

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin import annotating
from napari_ctlns.plugin.annotation_history import history_of
from napari_ctlns.plugin.layers import KEY, NEW_DIAMETER_MM, annotations_of_layer
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Volume

Tool = Literal["add", "select", ""]
_2D = 2


class AnnotationTools(QObject):
    """Follows the session's annotations, whoever edits them.

    Attributes
    ----------
    changed
        There are other annotations now: edited, or those of another layer.
    selection_changed, tool_changed, diameter_changed
        Other ones are selected; the mouse does something else; the next one's size is another.
    """

    changed = Signal()
    selection_changed = Signal()
    tool_changed = Signal()
    diameter_changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._followed: Points | None = None
        viewer = session.viewer
        viewer.layers.selection.events.active.connect(self._tell_tool)
        viewer.dims.events.ndisplay.connect(self._tell_tool)
        session.annotations_changed.connect(self._follow)
        session.edited.connect(self._edited)
        self._follow()

    # -- what there is --------------------------------------------------------------

    @property
    def layer(self) -> Points | None:
        """The layer that is worked on."""
        return self._session.annotations

    @property
    def volume(self) -> Volume | None:
        """The scan that the annotations belong to, if it is open."""
        if self.layer is None:
            return None
        volume = self._session.volume_under(self.layer)
        own = self.layer.metadata[KEY].scan_id
        return volume if volume is not None and volume.scan_id == own else None

    @property
    def rows(self) -> tuple[Annotation, ...]:
        """The annotations as they are now."""
        return () if self.layer is None else annotations_of_layer(self.layer)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why each cannot be drawn in the scan; empty if it can."""
        volume = self.volume
        if volume is None:
            return ("",) * len(self.rows)
        return tuple(annotating.trouble_with(row, volume.geometry) for row in self.rows)

    @property
    def selected(self) -> list[int]:
        """The rows that are selected."""
        return [] if self.layer is None else sorted(int(row) for row in self.layer.selected_data)

    @property
    def diameter(self) -> float:
        """The diameter, mm, of the next nodule."""
        return NEW_DIAMETER_MM if self.layer is None else annotating.next_diameter(self.layer)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return self.layer is not None and history_of(self.layer).can_undo

    # -- the mouse --------------------------------------------------------------------

    @property
    def tool(self) -> Tool:
        """What a click in the scan does."""
        layer = self.layer
        if layer is None or self._session.viewer.layers.selection.active is not layer:
            return ""
        return layer.mode if layer.mode in ("add", "select") else ""

    def use(self, tool: Tool) -> None:
        """Let clicks add or select annotations; with neither they move the picture again."""
        if self.layer is not None:
            self._work_on(self.layer)
            self.layer.mode = tool or "pan_zoom"

    def why_not_add(self) -> str:
        """Say why no nodule can be added; empty if one can."""
        if self.layer is None:
            return "Load annotations first, or begin new ones"
        if self._session.viewer.dims.ndisplay != _2D:
            return "In 3D a click has no depth: go back to 2D first"
        return ""

    # -- editing ----------------------------------------------------------------------

    def select(self, rows: Iterable[int]) -> None:
        """Select these annotations."""
        if self.layer is not None:
            self._work_on(self.layer)  # only there napari shows what is selected
            self.layer.selected_data = set(rows)

    def go(self, row: int) -> None:
        """Show the slice in which an annotation has its centre."""
        if self.layer is not None:
            point = np.asarray(self.layer.data[row]) * self.layer.scale + self.layer.translate
            go_to(self._session.viewer, point)

    def set_diameter(self, diameter_mm: float) -> None:
        """Set the diameter of the next nodule, and of the selected ones."""
        if self.layer is not None:
            annotating.set_diameter(self.layer, diameter_mm)

    def resize(self, row: int, diameter_mm: float) -> None:
        """Set the diameter of one annotation."""
        if self.layer is not None:
            annotating.resize(self.layer, row, diameter_mm)

    def delete(self) -> None:
        """Delete the selected annotations."""
        if self.layer is not None:
            self.layer.remove_selected()

    def undo(self) -> None:
        """Take back the last change."""
        if self.layer is not None:
            annotating.undo(self.layer)

    def redo(self) -> None:
        """Make the change again that was undone last."""
        if self.layer is not None:
            annotating.redo(self.layer)

    # -- following ----------------------------------------------------------------------

    def _work_on(self, layer: Points) -> None:
        if not layer.visible:
            layer.visible = True  # napari edits no layer that is hidden
        self._session.viewer.layers.selection.active = layer

    def _follow(self) -> None:
        if self._followed is not None:
            disconnect_events(self._followed.events, self)
            self._followed.selected_data.events.items_changed.disconnect(self._tell_selection)
        layer = self._followed = self.layer
        if layer is not None:
            layer.events.mode.connect(self._tell_tool)
            layer.events.current_size.connect(self._tell_diameter)
            layer.selected_data.events.items_changed.connect(self._tell_selection)
        for signal in (self.changed, self.tool_changed, self.diameter_changed):
            signal.emit()

    def _edited(self, layer: Any) -> None:
        if layer is self.layer:
            self.changed.emit()

    def _tell_tool(self, _event: Any = None) -> None:
        self.tool_changed.emit()

    def _tell_diameter(self, _event: Any = None) -> None:
        self.diameter_changed.emit()

    def _tell_selection(self, _event: Any = None) -> None:
        self.selection_changed.emit()


def annotation_tools_of(session: Session) -> AnnotationTools:
    """Return the tools of a session; the first call makes them."""
    return session.part(AnnotationTools)
