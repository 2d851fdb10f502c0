"""One writer at a time, and a manifest that is always whole."""

import csv
import json
import os
import socket
from pathlib import Path

import pytest

from napari_ctlns.atomic import write_csv
from napari_ctlns.cohort.folder import held, same_options
from napari_ctlns.cohort.manifest import Manifest
from napari_ctlns.cohort.pool import sensible_workers, threads_each
from napari_ctlns.errors import RunError
from napari_ctlns.formats import ScanFile

SCAN = ScanFile(Path("/data/a.mha"))


def owner(out: Path, host: str) -> Path:
    (out / ".cohort").mkdir(parents=True)
    said = out / ".cohort" / "owner.json"
    said.write_text(json.dumps({"host": host, "pid": 99999999}))
    return said


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path):
    with (
        held(tmp_path),
        pytest.raises(RunError, match=f"process {os.getpid()} of {socket.gethostname()}"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):  # and it is free again
        pass


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_over(tmp_path):
    said = owner(tmp_path, socket.gethostname())
    with held(tmp_path):
        assert json.loads(said.read_text())["pid"] == os.getpid()


def test_the_lock_of_another_machine_is_respected(tmp_path):
    said = owner(tmp_path, "far-away")
    with pytest.raises(RunError, match="process 99999999 of far-away"), held(tmp_path):
        pass
    assert json.loads(said.read_text())["host"] == "far-away"


def test_a_folder_in_which_nothing_came_about_is_not_left(tmp_path):
    with pytest.raises(RunError), held(tmp_path / "new"):
        raise RunError("bad input")
    assert not (tmp_path / "new").exists()


def test_half_written_files_of_killed_processes_are_removed(tmp_path):
    (tmp_path / ".0123abcd.tmp.a_pred.nii.gz").write_text("half")
    (tmp_path / ".mine.tmp.txt").write_text("not ours")
    with held(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".cohort", ".mine.tmp.txt"]


def test_other_options_are_refused_by_name(tmp_path):
    (tmp_path / ".cohort").mkdir()
    same_options(tmp_path, {"job": "predict", "threshold": None})
    same_options(tmp_path, {"job": "predict", "threshold": None})
    with pytest.raises(RunError, match=r"threshold was the default, now 0\.4"):
        same_options(tmp_path, {"job": "predict", "threshold": 0.4})


def test_a_manifest_says_again_what_it_was_told(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add(SCAN, "a", fingerprint="f")
    manifest.change(SCAN, status="failed", error='two words, "quoted"; and\ta tab')
    manifest.write()
    assert list(Manifest(tmp_path)) == list(manifest)


def test_what_nobody_works_on_any_more_waits(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add(SCAN, "a", status="running", worker="here:1")
    manifest.write()
    row = Manifest(tmp_path).row(SCAN)
    assert (row.status, row.worker) == ("waiting", "")


def test_a_manifest_without_uncertainties_is_read(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add(SCAN, "a", status="done", seconds="2.00")
    manifest.write()
    path = tmp_path / "manifest.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name != "uncertainty"]
    write_csv(path, columns, [{name: row[name] for name in columns} for row in rows])
    assert list(Manifest(tmp_path)) == list(manifest)
    path.write_text(path.read_text().replace("seconds", "uncertainty").replace("2.00", "much"))
    with pytest.raises(RunError, match="no manifest"):
        Manifest(tmp_path)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "\x00", "scan,status\nx,odd\n"])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(RunError, match="no manifest"):
        Manifest(tmp_path)


def test_workers_follow_cores_and_memory():
    gib = 2**30
    assert sensible_workers(8, 64 * gib) == 8
    assert sensible_workers(16, 15 * gib) == 3
    assert sensible_workers(4, 2 * gib) == 1


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(8, n) for n in (1, 3, 16)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_each(8, 8) == 3
