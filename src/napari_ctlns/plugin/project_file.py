"""The project file: what was open in a viewer, in one ``.ctlns`` file.

It is a zip of ``project.json`` and of ``arrays/N.npy``: masks, and scans that
have no file of their own. Scans from files stay where they are; the project
remembers their place twice, from the root of the disk and from its own folder,
so that both may move together. Nothing in it can run code when it is opened.

No napari here: writing and reading are for a thread.
"""

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import CtlnsError, ProjectError
from napari_ctlns.plugin.project_contents import (
    FORMAT_VERSION,
    Contents,
    SavedMap,
    SavedMask,
    SavedScan,
)
from napari_ctlns.volume import Geometry, Volume

PROJECT_SUFFIX = ".ctlns"
CONTENTS = "project.json"

_MOST_JSON = 64 * 2**20
_HEADER = 4096

_Array = npt.NDArray[Any]


class _Format(BaseModel):
    """The one field that every future version will have."""

    format_version: int


@dataclass(frozen=True, eq=False)
class Project:
    """What was open, in memory.

    Attributes
    ----------
    contents
        Everything but voxels.
    arrays
        Voxels of masks and of scans without a file, by their names in the file.
    scans
        What was read of the scans, by place in ``contents.layers``.
    model, run
        These folders as they were found.
    path
        The file it was read from.
    warnings
        What was not found or left out, in words.
    """

    contents: Contents
    arrays: Mapping[str, _Array] = field(default_factory=dict)
    scans: Mapping[int, Volume] = field(default_factory=dict)
    model: Path | None = None
    run: Path | None = None
    path: Path | None = None
    warnings: tuple[str, ...] = ()


def write_project_file(project: Project, path: str | os.PathLike[str]) -> None:
    """Write a project, whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    path = Path(path)
    contents = _seen_from(project.contents, path.absolute().parent)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        archive.writestr(CONTENTS, contents.model_dump_json(indent=1))
        for name, array in project.arrays.items():
            with archive.open(name, "w", force_zip64=True) as file:
                whole = np.ascontiguousarray(array)
                np.lib.format.write_array(file, whole, version=(1, 0), allow_pickle=False)


def read_project_file(path: str | os.PathLike[str]) -> Project:
    """Read a project and the scans that it names.

    A scan that is gone, or is another one now, is told in ``warnings``; what was
    drawn on it is there nevertheless.

    Raises
    ------
    ProjectError
        If the file is missing, damaged, no project, or of a newer version.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            contents = _contents(archive, path)
            arrays = dict(_arrays(archive, contents))
    except FileNotFoundError:
        raise ProjectError(f"no such project: {path}; check the name") from None
    except MemoryError:
        raise ProjectError(f"too little memory for the masks of {path}; close others") from None
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "not JSON"
        raise ProjectError(f"damaged project: {CONTENTS} of {path} ({where})") from error
    # zipfile raises RuntimeError and NotImplementedError for what zip can and we don't
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError) as error:
        message = f"damaged project, or none: {path}; save it again or take a copy"
        raise ProjectError(message) from error
    return with_files(Project(contents, arrays, path=path.absolute()), path.absolute().parent)


# -- the zip --------------------------------------------------------------------------


def _contents(archive: zipfile.ZipFile, path: Path) -> Contents:
    info = archive.getinfo(CONTENTS)
    if info.file_size > _MOST_JSON:
        raise ValueError("too long")
    text = archive.read(info)
    version = _Format.model_validate_json(text).format_version
    if version > FORMAT_VERSION:
        raise ProjectError(
            f"project format {version} is newer than {FORMAT_VERSION}: update napari-ctlns ({path})"
        )
    return Contents.model_validate_json(text)


def _arrays(archive: zipfile.ZipFile, contents: Contents) -> Iterator[tuple[str, _Array]]:
    for layer in contents.layers:
        if isinstance(layer, SavedMask):
            yield layer.array, _array(archive, layer.array, layer.geometry, "bui")
        elif isinstance(layer, SavedMap):
            yield layer.array, _array(archive, layer.array, layer.geometry, "f")
        elif isinstance(layer, SavedScan) and layer.array is not None:
            yield layer.array, _array(archive, layer.array, layer.geometry, "uif")


def _array(archive: zipfile.ZipFile, name: str, grid: Geometry, kinds: str) -> _Array:
    """Read an array only if it is as large as its grid says, before any memory is taken."""
    info = archive.getinfo(name)
    with archive.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("unknown kind of array")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
        if shape != grid.shape or fortran or dtype.kind not in kinds:
            raise ValueError("not the array of its grid")
        if info.file_size != file.tell() + math.prod(shape) * dtype.itemsize:
            raise ValueError("not as long as its grid says")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


# -- the files it names ---------------------------------------------------------------


def _seen_from(contents: Contents, folder: Path) -> Contents:
    layers = tuple(
        layer.model_copy(update={"place": layer.place.seen_from(folder)})
        if isinstance(layer, SavedScan) and layer.place is not None
        else layer
        for layer in contents.layers
    )
    places = {
        name: place.seen_from(folder)
        for name, place in (("model", contents.model), ("run", contents.run))
        if place is not None
    }
    return contents.model_copy(update={"layers": layers, **places})


def with_files(project: Project, folder: Path) -> Project:
    """Return a project with the scans, model and run that it names, as far as they are there."""
    contents = project.contents
    scans: dict[int, Volume] = {}
    words = []
    for index, layer in enumerate(contents.layers):
        if not isinstance(layer, SavedScan):
            continue
        if layer.array is not None:
            voxels = project.arrays[layer.array]
            scans[index] = Volume(
                voxels, layer.geometry, "ct", layer.scan_id, layer.patient_id or layer.scan_id
            )
            continue
        found = _scan(layer, folder)
        if isinstance(found, str):
            words.append(found)
        else:
            scans[index] = found
            words.extend(f"{one} ({layer.name})" for one in found.source.warnings)
    model, run = (
        next(place.candidates(folder), None) if place is not None else None
        for place in (contents.model, contents.run)
    )
    return replace(project, scans=scans, model=model, run=run, warnings=tuple(words))


def _scan(layer: SavedScan, folder: Path) -> Volume | str:
    """Return the scan of a layer, or in words why there is none."""
    from napari_ctlns.formats import read_scan

    place = layer.place
    trouble = "it has no file" if place is None else f"{place.absolute} is not there"
    for path in place.candidates(folder) if place is not None else ():
        try:
            volume = read_scan(path, series=layer.series)
        except CtlnsError as error:
            trouble = str(error)
            continue
        if volume.geometry.same_grid(layer.geometry) and volume.scan_id == layer.scan_id:
            return volume
        trouble = f"{path} is another scan now"
    return (
        f"scan not found: {layer.name}; its masks and annotations are open without it ({trouble})"
    )
