"""What a project file says: every layer that was open, how it looked, and the view."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from napari_ctlns import __version__
from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.plugin.rulers import Ruler
from napari_ctlns.volume import Geometry

FORMAT_VERSION = 3

_MOST_VOXELS = 2**33
_ARRAY_NAME = r"^arrays/\d{1,6}\.npy$"


def _possible(grid: Geometry) -> Geometry:
    numbers = [*grid.spacing, *grid.origin, *(v for row in grid.direction for v in row)]
    if not (min(grid.shape) > 0 and math.prod(grid.shape) <= _MOST_VOXELS):
        raise ValueError("impossible size")
    if not (np.isfinite(numbers).all() and min(grid.spacing) > 0):
        raise ValueError("impossible grid")
    if np.abs(np.asarray(grid.direction) @ np.transpose(grid.direction) - np.eye(3)).max() > 1e-3:
        raise ValueError("axes not at right angles")
    if sorted(grid.source_axes) != [0, 1, 2]:
        raise ValueError("impossible axes")
    return grid


Grid = Annotated[Geometry, AfterValidator(_possible)]
ArrayName = Annotated[str, Field(pattern=_ARRAY_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Number, Number, Number]
MapKind = Literal["probability", "uncertainty"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Place(_Part):
    """Where a file or folder lies: from the root of the disk, and from the project's folder."""

    absolute: str
    relative: str | None = None

    def seen_from(self, folder: Path) -> "Place":
        """Return this place with the way there from ``folder``, if there is one."""
        try:
            way = PurePath(os.path.relpath(self.absolute, folder)).as_posix()
        except ValueError:  # another drive of Windows
            way = None
        return self.model_copy(update={"relative": way})

    def candidates(self, folder: Path) -> Iterator[Path]:
        """Yield what there is now, beside the project first."""
        ways = [] if self.relative is None else [folder / self.relative]
        for path in dict.fromkeys(
            [*(Path(os.path.normpath(w)) for w in ways), Path(self.absolute)]
        ):
            with contextlib.suppress(OSError):  # such a name may be impossible here
                if path.exists():
                    yield path


class _Layer(_Part):
    name: str
    visible: bool = True
    opacity: Annotated[float, Field(ge=0, le=1)] = 1.0
    scan_id: str = ""
    geometry: Grid


class SavedScan(_Layer):
    """A CT: the place of its file, or, for one made in memory, its array."""

    kind: Literal["scan"] = "scan"
    patient_id: str = ""
    place: Place | None = None
    series: str | None = None
    array: ArrayName | None = None
    window_hu: tuple[Number, Number] = (-1350.0, 150.0)
    colormap: str = "gray"


class SavedMask(_Layer):
    """A labels layer: its voxels, its findings and how it is drawn."""

    kind: Literal["mask"] = "mask"
    patient_id: str = ""
    array: ArrayName
    findings: Findings = Findings()
    contour: Annotated[int, Field(ge=0)] = 0
    selected_label: Annotated[int, Field(ge=0)] = 1


class SavedAnnotations(_Layer):
    """Annotations of a scan."""

    kind: Literal["annotations"] = "annotations"
    rows: tuple[Annotation, ...] = ()


class SavedRulers(_Layer):
    """What a person measured by hand in a scan."""

    kind: Literal["rulers"] = "rulers"
    rows: tuple[Ruler, ...] = ()


class SavedMap(_Layer):
    """What a model thought of each voxel, or how far several disagreed."""

    kind: Literal["map"] = "map"
    what: MapKind
    patient_id: str = ""
    array: ArrayName


SavedLayer = Annotated[
    SavedScan | SavedMask | SavedAnnotations | SavedRulers | SavedMap, Field(discriminator="kind")
]


class View(_Part):
    """How the viewer looked at it: the slice, and the camera."""

    order: tuple[int, ...]
    point: tuple[Number, ...]
    ndisplay: Literal[2, 3]
    centre: Triple
    zoom: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    angles: Triple


class Contents(_Part):
    """``project.json``.

    Attributes
    ----------
    layers
        From the bottom up.
    worked_on
        Which of them was worked on as what: role to place in ``layers``.
    """

    format_version: int = FORMAT_VERSION
    made_by: str = f"napari-ctlns {__version__}"
    layers: tuple[SavedLayer, ...] = ()
    worked_on: dict[Literal["scan", "mask", "annotations"], int] = Field(default_factory=dict)
    view: View | None = None
    model: Place | None = None
    run: Place | None = None
