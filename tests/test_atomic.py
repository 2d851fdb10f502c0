import errno
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_ctlns import atomic
from napari_ctlns.atomic import atomic_path, write_text
from napari_ctlns.errors import OutputError


def test_text_is_written_whole_with_its_line_ends(tmp_path):
    target = tmp_path / "new" / "a.csv"
    write_text(target, "µm\r\nmm\n")
    assert target.read_bytes() == "µm\r\nmm\n".encode()
    assert [p.name for p in target.parent.iterdir()] == ["a.csv"]


def test_the_temporary_name_keeps_the_suffixes_and_hides(tmp_path):
    with atomic_path(tmp_path / "mask.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"1")


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old", "utf-8")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("new", "utf-8")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert target.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_takes_its_place_whole(tmp_path):
    with atomic_path(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "weights").write_bytes(b"1")
    assert (tmp_path / "model" / "weights").read_bytes() == b"1"


def test_an_unwritable_place_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def refused(monkeypatch, times):
    """Let renaming be refused so many times, as Windows does while somebody reads the file."""
    rename, refusals = Path.replace, iter(range(times))

    def replace(path, target):
        if next(refusals, None) is not None:
            raise PermissionError(errno.EACCES, "in use")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)


def test_a_file_that_is_just_read_is_replaced_a_moment_later(tmp_path, monkeypatch):
    target = tmp_path / "state.json"
    write_text(target, "old")
    monkeypatch.setattr(atomic, "_PATIENCE_SECONDS", 60.0)
    refused(monkeypatch, times=3)
    write_text(target, "new")
    assert target.read_text("utf-8") == "new"


def test_a_file_that_stays_in_use_is_told_and_stays(tmp_path, monkeypatch):
    target = tmp_path / "table.csv"
    write_text(target, "old")
    monkeypatch.setattr(atomic, "_PATIENCE_SECONDS", 0.05)
    refused(monkeypatch, times=10**6)
    with pytest.raises(OutputError, match="in use"):
        write_text(target, "new")
    assert target.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def windows(monkeypatch, refusals):
    """Import the module as on Windows, where locking ends in these errors first."""
    monkeypatch.setattr(sys, "platform", "win32")
    waiting = iter(refusals)
    asked = []

    def locking(number, mode, size):
        asked.append((number, mode, size))
        if (error := next(waiting, None)) is not None:
            raise OSError(error, "no lock")

    fake = SimpleNamespace(locking=locking, LK_LOCK=1)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    spec = importlib.util.spec_from_file_location("atomic_on_windows", atomic.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, asked


def test_on_windows_one_waits_longer_than_its_lock_does(tmp_path, monkeypatch):
    module, asked = windows(monkeypatch, [errno.EDEADLK, errno.EDEADLK])
    with module.alone(tmp_path / "dataset.json"):
        assert len(asked) == 3
    module, _ = windows(monkeypatch, [errno.EACCES])
    with pytest.raises(OSError, match="no lock"), module.alone(tmp_path / "dataset.json"):
        pass
