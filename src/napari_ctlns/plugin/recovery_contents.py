"""What is kept of a session against a crash: a project, and what a project does not need."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from napari_ctlns.plugin.pieces import Pieces
from napari_ctlns.plugin.project_contents import ArrayName, Contents, Number, Place

RECOVERY_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SavedTable(_Part):
    """The file of a nodule table, and whether it was measured on these very voxels."""

    file: Annotated[str, Field(pattern=r"^\d{1,9}\.csv$")]
    fresh: bool


class SavedOther(_Part):
    """A labels or points layer that is no mask and no annotations of a scan.

    Attributes
    ----------
    array
        The labels; of points one row for each: its coordinates, then its size.
    """

    kind: Literal["labels", "points"]
    name: str
    visible: bool = True
    opacity: Annotated[float, Field(ge=0, le=1)] = 1.0
    scale: tuple[Number, ...]
    translate: tuple[Number, ...]
    units: tuple[str, ...]
    array: ArrayName


class Recovery(_Part):
    """``state-N.json``: all that was open at one moment.

    Attributes
    ----------
    written
        When that was.
    contents
        As in a project. Its arrays lie in ``arrays``, as far as they are kept by then.
    unsaved
        Which of its layers no file has, by their places.
    active
        Which of them was selected.
    tables
        Nodule tables of its masks, by place.
    project
        The project file that all of it was saved in last.
    """

    format_version: int = RECOVERY_VERSION
    written: AwareDatetime
    contents: Contents
    arrays: dict[ArrayName, Pieces] = Field(default_factory=dict)
    unsaved: tuple[int, ...] = ()
    active: int | None = None
    tables: dict[int, SavedTable] = Field(default_factory=dict)
    others: tuple[SavedOther, ...] = ()
    project: Place | None = None
