"""What is open in a viewer at one moment, as it is kept against a crash; no voxels are copied."""

import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points

from napari_ctlns.errors import CtlnsError, MaskError
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.project import SavedLayer, contents_of, described
from napari_ctlns.plugin.project_contents import Place
from napari_ctlns.plugin.recovery_contents import Recovery, SavedOther
from napari_ctlns.plugin.recovery_file import Moment
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Volume


class MomentTaker:
    """Takes moments of one session; arrays of a layer have the same name in all of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers: weakref.WeakKeyDictionary[Layer, int] = weakref.WeakKeyDictionary()
        self._given = 0
        self._on_disk: dict[Path, bool] = {}

    def take(self, unsaved: Sequence[Layer]) -> Moment:
        """Return what is open now, of which some layers are unsaved."""
        session, live = self._session, _Live(self)
        saved: list[SavedLayer] = []
        layers: list[Layer] = []
        others: list[SavedOther] = []
        for layer in session.viewer.layers:
            if of.is_preview(layer) or of.is_coming(layer):
                continue
            if (one := _described(layer, live)) is not None:
                saved.append(one)
                layers.append(layer)
            elif layer in unsaved and (other := _other(layer, live)) is not None:
                others.append(other)
        active = session.viewer.layers.selection.active
        project = session.project
        state = Recovery(
            written=datetime.now(UTC),
            contents=contents_of(session, saved, layers),
            unsaved=tuple(layers.index(layer) for layer in unsaved if layer in layers),
            active=layers.index(active) if active in layers else None,
            others=tuple(others),
            project=None if project is None else Place(absolute=str(project)),
        )
        tables = {
            place: (table, not session.is_stale(layer))
            for place, layer in enumerate(layers)
            if (table := session.table(layer)) is not None
        }
        return Moment(state, live.drawn, live.large, tables)

    def mask_of(self, layer: Labels) -> tuple[Volume, Findings]:
        """Return the mask that a layer shows on the layer's own grid, not copied."""
        if not (isinstance(layer.data, np.ndarray) and layer.ndim == 3):
            raise MaskError(f"{layer.name} is no single three-dimensional grid in memory")
        known = layer.metadata.get(of.KEY)
        # those of a layer that is not ours would have to be looked for in all of its voxels
        findings = known.findings if isinstance(known, of.MaskLayer) else Findings()
        return of.mask_of(layer, self._session.volume_under(layer)), findings

    def name_for(self, layer: Layer) -> str:
        """Return the name of a layer's array."""
        if layer not in self._numbers:
            self._numbers[layer] = self._given
            self._given += 1
        return f"arrays/{self._numbers[layer]}.npy"

    def is_on_disk(self, path: Path) -> bool:
        """Whether a scan has a file; asked once, because a disk may be slow to answer."""
        if path not in self._on_disk:
            self._on_disk[path] = path.exists()
        return self._on_disk[path]


class _Live:
    """Takes arrays as they are: a thread reads them while they are edited."""

    def __init__(self, taker: MomentTaker) -> None:
        self._taker = taker
        self.drawn: dict[str, Any] = {}
        self.large: dict[str, Any] = {}

    def mask(self, layer: Labels) -> tuple[Volume, Findings]:
        return self._taker.mask_of(layer)

    def keep(self, layer: Layer, array: Any) -> str:
        name = self._taker.name_for(layer)
        arrays = self.large if isinstance(layer, Image) else self.drawn
        arrays[name] = array
        return name

    def on_disk(self, path: Path) -> bool:
        return self._taker.is_on_disk(path)


def is_other(layer: Layer) -> bool:
    """Whether a layer of labels or points is neither a mask nor annotations of a scan."""
    if isinstance(layer, Labels):
        return layer.ndim != 3
    return isinstance(layer, Points) and not of.is_annotations(layer)


def _described(layer: Layer, live: _Live) -> SavedLayer | None:
    try:
        return described(layer, live)
    except (CtlnsError, ValueError):  # a strange layer of others must not keep ours from safety
        return None


def _other(layer: Layer, live: _Live) -> SavedOther | None:
    array = layer.data
    if not (isinstance(array, np.ndarray) and array.size):
        return None
    if isinstance(layer, Points):
        array = np.column_stack([array, layer.size])
    return SavedOther(
        kind="points" if isinstance(layer, Points) else "labels",
        name=layer.name,
        visible=layer.visible,
        opacity=layer.opacity,
        scale=tuple(layer.scale),
        translate=tuple(layer.translate),
        units=tuple(str(unit) for unit in layer.units),
        array=live.keep(layer, array),
    )
