"""Two visits of a patient among the open layers, and how the nodules grew between them.

What was found belongs to the labels layer of the later scan and goes with it: it is not
saved, because it takes seconds to find again.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.events import Control, Event
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.saving import mask_on_scan
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

    from napari_ctlns.measurement.growth import Growth


@dataclass(frozen=True, eq=False)
class Visit:
    """A scan of a patient with its nodules.

    Attributes
    ----------
    layer
        The labels layer.
    scan
        The scan that it lies on.
    """

    layer: Labels
    scan: Volume

    @property
    def name(self) -> str:
        """What a person knows it by."""
        return f"{self.layer.name} on {self.scan.title}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was found of two visits.

    Attributes
    ----------
    growth
        The table, and how the scans lie to each other.
    earlier, later
        The visits that were compared.
    edits
        How often each of their labels layers had been edited then.
    """

    growth: "Growth"
    earlier: Visit
    later: Visit
    edits: tuple[int, int]


class Comparisons(QObject):
    """What was compared in a session, by the labels layer of the later scan.

    Attributes
    ----------
    compared
        There is a new comparison of a labels layer (the layer).
    """

    compared = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = weakref.ref(session)
        self._known: weakref.WeakKeyDictionary[Layer, Comparison] = weakref.WeakKeyDictionary()

    def of(self, later: Layer | None) -> Comparison | None:
        """Return the newest comparison of a labels layer with an earlier one that is still open."""
        found = None if later is None else self._known.get(later)
        session = self._session()
        if found is None or session is None or found.earlier.layer not in session.viewer.layers:
            return None
        return found

    def keep(self, comparison: Comparison) -> None:
        """Remember a comparison."""
        self._known[comparison.later.layer] = comparison
        self.compared.emit(comparison.later.layer)


def growth_of(session: Session, later_layer: Layer) -> "pd.DataFrame | None":
    """Return the growth table of a labels layer, if it was compared with an earlier scan's.

    Columns as of `measurement.growth.growth_table`; the layer's labels are ``later_label``.
    """
    found = session.part(Comparisons).of(later_layer)
    return None if found is None else found.growth.table


def visits_of(session: Session) -> list[Visit]:
    """Return the labels layers that lie on a scan, from the bottom up."""
    found = ((layer, session.volume_under(layer)) for layer in session.layers_for("mask"))
    return [Visit(layer, scan) for layer, scan in found if scan is not None]


def days_of(earlier: Visit, later: Visit) -> int | None:
    """Return the days between two visits by the dates of their files; None: they do not tell."""
    if "dicom" not in (earlier.scan.source.format, later.scan.source.format):
        return None  # without reading DICOM's library
    from napari_ctlns.formats.dicom.dates import days_between

    return days_between(earlier.scan, later.scan)


def proposed(visits: list[Visit]) -> tuple[Visit, Visit] | None:
    """Return the earlier and the later of two visits; None if there are no two scans.

    Of several labels layers of a scan the topmost counts, of several scans the two that
    were opened last. Where dates do not tell, the one that was opened first is the earlier.
    """
    newest: dict[int, Visit] = {}
    for visit in visits:
        newest[id(visit.scan)] = visit
    if len(newest) < 2:
        return None
    first, second = list(newest.values())[-2:]
    days = days_of(first, second)
    return (second, first) if days is not None and days < 0 else (first, second)


def why_not(earlier: Visit | None, later: Visit | None, days: float) -> str:
    """Say why two visits cannot be compared; "" if they can."""
    if earlier is None or later is None:
        return "Open two scans of a patient, each with its nodules"
    if earlier.scan is later.scan:
        return "Choose the labels of another scan: both lie on the same one"
    return "" if days > 0 else "Say how many days lie between the scans"


def compare_job(earlier: Visit, later: Visit, days: float, control: Control) -> Iterator[Event]:
    """Compare two visits; for a thread. `Finished` has ``growth``."""
    from napari_ctlns.measurement.growth import growth_job

    masks = [mask_on_scan(of.mask_of(v.layer, v.scan), v.scan) for v in (earlier, later)]
    yield from growth_job(earlier.scan, masks[0], later.scan, masks[1], days, control)
