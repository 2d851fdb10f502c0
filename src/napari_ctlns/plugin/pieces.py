"""Arrays on disk in pieces, so that only what changed since the last time is written again.

A piece is some planes of an array, compressed, in a file of its own that never changes:
other voxels get another file. The array may be painted on while it is looked at; what
is written of a piece, and the sum by which it is known again, come from one copy.
"""

import math
import os
import zlib
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from pydantic import BaseModel, ConfigDict, Field

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import ProjectError

_Array = npt.NDArray[Any]
_PIECE_BYTES = 4 * 2**20
_MOST_BYTES = 2**36

PieceName = Annotated[str, Field(pattern=r"^\d{1,9}\.z$")]
Side = Annotated[int, Field(gt=0)]


class Pieces(BaseModel):
    """Where the pieces of an array are.

    Attributes
    ----------
    shape, dtype
        Of the array; ``dtype`` as numpy writes it, like "<u2".
    planes
        How many steps along the first axis a piece holds; the last one may hold fewer.
    files
        The file of each piece; None where it holds nothing but zeros.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    shape: Annotated[tuple[Side, ...], Field(min_length=1, max_length=8)]
    dtype: Annotated[str, Field(pattern=r"^[<>|][buif]\d{1,2}$")]
    planes: Side
    files: tuple[PieceName | None, ...]


@dataclass
class _Known:
    """What is known of the array that was kept under a name last."""

    shape: tuple[int, ...]
    dtype: str
    planes: int
    sums: dict[int, int] = field(default_factory=dict)
    files: dict[int, str | None] = field(default_factory=dict)


class PieceStore:
    """Keeps arrays under names in a folder; one thread at a time.

    Parameters
    ----------
    folder
        Where the pieces lie; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}
        self._written = 0

    @property
    def files(self) -> set[str]:
        """The pieces that the newest arrays need."""
        return {f for known in self._known.values() for f in known.files.values() if f is not None}

    def put(self, name: str, array: _Array) -> Pieces:
        """Keep an array of at least one voxel as it is now.

        Raises
        ------
        OutputError
            If a piece cannot be written; what was kept before stays.
        """
        steps = self.put_slowly(name, array)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def put_slowly(self, name: str, array: _Array) -> Generator[None, None, Pieces]:
        """Do the same, stopping after each piece that was written; it may be begun again."""
        planes = max(1, _PIECE_BYTES // max(array[0].nbytes, 1))
        known = self._known.get(name)
        if known is None or (known.shape, known.dtype) != (array.shape, array.dtype.str):
            known = self._known[name] = _Known(array.shape, array.dtype.str, planes)
        count = math.ceil(len(array) / planes)
        for place in range(count):
            piece = array[place * planes : (place + 1) * planes]
            if known.sums.get(place) == _sum(_voxels(piece)):
                continue
            copy = piece.copy()
            known.files[place] = self._write(copy) if copy.any() else None
            known.sums[place] = _sum(_voxels(copy))
            yield
        files = tuple(known.files[place] for place in range(count))
        return Pieces(shape=known.shape, dtype=known.dtype, planes=planes, files=files)

    def forget(self, names: set[str]) -> None:
        """Forget all arrays but these."""
        self._known = {name: known for name, known in self._known.items() if name in names}

    def _write(self, piece: _Array) -> str:
        self._written += 1
        name = f"{self._written}.z"
        write_durably(self._folder / name, isal_zlib.compress(_voxels(piece), 1))
        return name


def write_durably(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, so that a loss of power does not take it either.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_pieces(folder: Path, pieces: Pieces, leave_out: bool = False) -> tuple[_Array, int]:
    """Read an array.

    Parameters
    ----------
    folder
        Where its pieces lie.
    pieces
        Which they are.
    leave_out
        Leave pieces that are damaged empty; otherwise one of them is an error.

    Returns
    -------
    array, damaged
        The array, and how many of its pieces were left out.

    Raises
    ------
    ProjectError
        If a piece is missing or damaged, or they cannot be those of such an array.
    """
    dtype = np.dtype(pieces.dtype)
    fits = math.ceil(pieces.shape[0] / pieces.planes) == len(pieces.files)
    if not fits or math.prod(pieces.shape) * dtype.itemsize > _MOST_BYTES:
        raise ProjectError("damaged: a mask cannot be of its size; discard it")
    array = np.zeros(pieces.shape, dtype)
    damaged = 0
    for place, name in enumerate(pieces.files):
        if name is None:
            continue
        part = array[place * pieces.planes : (place + 1) * pieces.planes]
        try:
            part[:] = np.frombuffer(_inflated(folder / name, part.nbytes), dtype).reshape(
                part.shape
            )
        except (OSError, zlib.error, ValueError) as error:
            if not leave_out:
                raise ProjectError(f"damaged: {name} cannot be read") from error
            damaged += 1
    return array, damaged


def _inflated(path: Path, size: int) -> bytes:
    inflate = zlib.decompressobj()
    data = inflate.decompress(path.read_bytes(), size + 1)
    if len(data) != size or not inflate.eof:
        raise ValueError("not as long as it should be")
    return data


def _voxels(array: _Array) -> memoryview:
    return np.ascontiguousarray(array).data.cast("B")


def _sum(voxels: memoryview) -> int:
    return int(isal_zlib.crc32(voxels))
