"""Arrays are kept in pieces, only changed ones are written, and damage is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from napari_ctlns.errors import OutputError, ProjectError
from napari_ctlns.plugin import pieces as module
from napari_ctlns.plugin.pieces import Pieces, PieceStore, read_pieces

SMALL_PIECE = 2 * 5 * 6  # two planes of bytes


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE_BYTES", SMALL_PIECE)


def some_mask() -> np.ndarray:
    mask = np.zeros((9, 5, 6), np.uint8)
    mask[3, 2, 2:4] = 7
    mask[8] = 1
    return mask


@settings(max_examples=20)
@given(
    edits=st.lists(
        st.tuples(
            arrays_of.arrays(bool, (7, 4, 3)),
            st.sampled_from([0, 1, 255]),
        ),
        max_size=4,
    ),
    dtype=st.sampled_from(["u1", "<u2", ">i4", "<f4"]),
)
def test_what_is_read_is_what_was_put_last(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[np.ndarray, int]], dtype: str
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    store = PieceStore(folder)
    array = np.zeros((7, 4, 3), dtype)
    for where, value in [(np.zeros(array.shape, bool), 0), *edits]:
        array[where] = value
        kept = Pieces.model_validate_json(store.put("a", array).model_dump_json())
        again, damaged = read_pieces(folder, kept)
        assert damaged == 0
        assert again.dtype == array.dtype
        assert np.array_equal(again, array)


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a.T, np.asfortranarray])
def test_any_order_in_memory(tmp_path: Path, turn) -> None:
    array = turn(some_mask())
    assert np.array_equal(read_pieces(tmp_path, PieceStore(tmp_path).put("a", array))[0], array)


def test_only_what_changed_is_written_and_what_is_empty_never(tmp_path: Path) -> None:
    store, mask = PieceStore(tmp_path), some_mask()
    first = store.put("a", mask)
    assert [file is None for file in first.files] == [True, False, True, True, False]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert store.put("a", mask) == first
    mask[8, 0, 0] = 2
    second = store.put("a", mask)
    assert second.files[:4] == first.files[:4]
    assert second.files[4] != first.files[4]
    assert {path: path.stat().st_mtime_ns for path in before} == before  # files never change
    mask[8] = 0
    assert store.put("a", mask).files[4] is None
    assert np.array_equal(read_pieces(tmp_path, first)[0], some_mask())


def test_another_array_under_the_same_name(tmp_path: Path) -> None:
    store = PieceStore(tmp_path)
    store.put("a", some_mask())
    other = some_mask().astype(np.uint16)[:6]
    assert np.array_equal(read_pieces(tmp_path, store.put("a", other))[0], other)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    store = PieceStore(tmp_path)
    array = np.ones((9, 5, 6), np.uint8)
    steps = store.put_slowly("a", array)
    next(steps)
    next(steps)
    steps.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert np.array_equal(read_pieces(tmp_path, store.put("a", array))[0], array)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_full_disk_is_said_and_the_next_time_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, mask = PieceStore(tmp_path), some_mask()
    first = store.put("a", mask)
    mask[3] = 9
    with monkeypatch.context() as patch:

        def full(_file: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(module.os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            store.put("a", mask)
    assert np.array_equal(read_pieces(tmp_path, first)[0], some_mask())
    assert np.array_equal(read_pieces(tmp_path, store.put("a", mask))[0], mask)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b"rubbish, no deflate at all"),
        lambda path: path.write_bytes(module.isal_zlib.compress(bytes(10**6), 1)),
        lambda path: path.unlink(),
    ],
)
def test_damage_is_told_and_can_be_left_out(tmp_path: Path, damage) -> None:
    kept = PieceStore(tmp_path).put("a", some_mask())
    damage(tmp_path / kept.files[1])
    with pytest.raises(ProjectError, match="damaged"):
        read_pieces(tmp_path, kept)
    left, damaged = read_pieces(tmp_path, kept, leave_out=True)
    assert damaged == 1
    expected = some_mask()
    expected[2:4] = 0
    assert np.array_equal(left, expected)


@pytest.mark.parametrize(
    "lie", [{"shape": (10**6, 10**6, 10**6)}, {"planes": 1}, {"files": ("1.z",)}]
)
def test_impossible_sizes_are_refused(tmp_path: Path, lie) -> None:
    kept = PieceStore(tmp_path).put("a", some_mask())
    with pytest.raises(ProjectError, match="size"):
        read_pieces(tmp_path, kept.model_copy(update=lie))


def test_names_cannot_lead_elsewhere(tmp_path: Path) -> None:
    kept = PieceStore(tmp_path).put("a", some_mask()).model_dump()
    shutil.copy(tmp_path / "1.z", tmp_path.parent / "1.z")
    for name in ("../1.z", "/1.z", "1.z/../1.z", "1.npy"):
        with pytest.raises(ValueError, match="files"):
            Pieces.model_validate({**kept, "files": (name,)})
