"""Bad input ends with status 2 and one line that helps, and leaves nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_ctlns
from napari_ctlns.cli import main
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import write_annotations, write_volume
from napari_ctlns.phantom import PhantomSpec
from napari_ctlns.volume import Geometry, Volume

SOURCE = Path(napari_ctlns.__file__).parents[1]
HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with good input of every kind, and bad input beside it."""
    monkeypatch.chdir(tmp_path)
    shape = (8, 16, 16)
    geometry = Geometry(shape, (2.0, 1.0, 1.0), (-8.0, -8.0, -8.0))
    array = np.full(shape, -850, np.int16)
    array[3:5, 6:10, 6:10] = 20
    scan = Volume(array, geometry, "ct", "scan", "scan")
    write_volume(scan, "scan.mhd")
    write_volume(scan.mask((array > 0).astype(np.uint8)), "mask.nii.gz")
    write_volume(scan.mask(np.zeros(shape, np.uint8)), "empty.nii.gz")
    write_annotations("good.csv", [Annotation("scan", 0.0, 0.0, 0.0, 5.0)])

    write_volume(scan, "truncated.mhd")
    voxels = Path("truncated.raw").read_bytes()
    Path("truncated.raw").write_bytes(voxels[: len(voxels) // 2])
    texts = {
        "no-column.csv": "seriesuid,coordX,coordY,diameter_mm\nscan,0,0,5\n",
        "zero.csv": f"{HEADER}scan,0,0,0,0\n",
        "nan.csv": f"{HEADER}scan,0,0,0,nan\n",
        "others.csv": f"{HEADER}another,0,0,0,5\n",
        "bad.toml": "name = 'x'\n[optimisation]\nepochs = 0\n",
        "no.toml": "this is no TOML",
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("plain").mkdir()
    (Path("plain") / "notes.txt").write_text("no model, no dataset, no run", encoding="utf-8")
    return tmp_path


MASK = "mask scan.mhd --out new.nii.gz --annotations"
PREPARE = "prepare scan.mhd --out new --annotations"
CASES = {
    # missing files
    "info missing.mhd": "missing.mhd",
    "convert missing.mhd new.nii.gz": "missing.mhd",
    f"{MASK} missing.csv": "missing.csv",
    "measure scan.mhd missing.nii.gz --out new.csv": "missing.nii.gz",
    "measure missing.mhd mask.nii.gz --out new.csv": "missing.mhd",
    "compare mask.nii.gz missing.nii.gz": "missing.nii.gz",
    "prepare missing --out new --annotations good.csv": "missing",
    f"{PREPARE} missing.csv": "missing.csv",
    "predict missing.mhd --model plain --out new.nii.gz": "plain",
    "watch missing": "is no run",
    "control missing stop": "no training runs",
    # a truncated .raw
    "info truncated.mhd": "truncated",
    "convert truncated.mhd new.nrrd": "truncated",
    "mask truncated.mhd --out new.nii.gz --annotations good.csv": "truncated",
    "measure truncated.mhd mask.nii.gz --out new.csv": "truncated",
    # tables of annotations
    f"{MASK} no-column.csv": "coordZ",
    f"{MASK} zero.csv": "diameter",
    f"{MASK} nan.csv": "diameter",
    f"{MASK} others.csv": "other series only",
    f"{PREPARE} no-column.csv": "coordZ",
    f"{PREPARE} zero.csv": "diameter",
    f"{PREPARE} nan.csv": "diameter",
    f"{PREPARE} others.csv": "",
    # masks
    "measure scan.mhd empty.nii.gz --out new.csv": "no nodules in",
    "measure scan.mhd scan.mhd --out new.csv": "not a mask",
    # places and names that cannot be written
    "convert scan.mhd scan.raw/new.nii.gz": "cannot write",
    "convert scan.mhd new.jpg": ".jpg",
    "mask scan.mhd --annotations good.csv --out scan.raw/new.nii.gz": "cannot write",
    "measure scan.mhd mask.nii.gz --out scan.raw/new.csv": "cannot write",
    "measure scan.mhd mask.nii.gz --out new.xls": ".xls",
    "prepare scan.mhd --annotations good.csv --out scan.raw/new": "",
    # what is no model, no dataset, no run
    "predict scan.mhd --model plain --out new.nii.gz": "plain",
    "predict scan.mhd --model missing --out new.nii.gz": "missing",
    "predict scan.mhd --model plain --model missing --out new.nii.gz": "plain",
    "predict scan.mhd --model plain --out new.nii.gz --uncertainty u.nii.gz": "--tta",
    "lungs scan.mhd --out new.nii.gz": "no lungs",
    "import-model plain --out new": "plain",
    "import-model missing --out new": "missing",
    "evaluate plain plain": "plain",
    "train plain --out new": "plain",
    "train missing --out deep/new": "missing",
    "train plain --out new --from plain": "plain",
    "train plain --out new --resume": "no run to resume",
    "train plain --out scan.raw/new": "",
    "watch plain": "is no run",
    # recipes
    "recipes missing": "no recipe missing",
    "prepare scan.mhd --annotations good.csv --out new --recipe missing": "no recipe missing",
    "train plain --out new --recipe missing.toml": "missing.toml",
    "train plain --out new --recipe no.toml": "not TOML",
    "train plain --out new --recipe bad.toml": "optimisation.epochs",
    "train plain --out new --set optimisation.epochs": "section.key=value",
    "train plain --out new --set optimisation.epoch=3": "optimisation.epoch: no such key",
    "train plain --out new --set optimisation.epochs=none": "optimisation.epochs",
    # usage
    "dance": "dance",
    "info": "SCAN",
    "prepare scan.mhd --out new": "--annotations",
    "prepare scan.mhd --out new --annotations good.csv --masks plain": "--annotations",
    "phantom --out new --spacing 1 1": "--spacing",
    "phantom --out new --spacing 0 1 1": "spacing",
    "phantom --out new --scans 0": "--scans",
    "predict scan.mhd --model plain --out new.nii.gz --threshold 2": "--threshold",
    "control plain dance": "dance",
    "mask scan.mhd --annotations good.csv --out new.nii.gz --method magic": "magic",
}


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def judge(status, out, err, words):
    assert status == 2, err
    assert out == ""
    *before, line = err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert "unexpected" not in line
    assert "Traceback" not in err
    assert not any(line.startswith("error: ") for line in before)


@pytest.mark.parametrize("command", CASES)
def test_bad_input(folder, capsys, command):
    before = contents(folder)
    status = main(command.split())
    captured = capsys.readouterr()
    judge(status, captured.out, captured.err, CASES[command])
    assert contents(folder) == before


def test_phantoms_that_cannot_be_written(folder, capsys, monkeypatch):
    small = PhantomSpec(extent_mm=(40, 90, 90), spacing=(5, 5, 5), n_nodules=0)
    monkeypatch.setattr("napari_ctlns.phantom.cohort_specs", lambda *_: (small,))
    before = contents(folder)
    status = main(["phantom", "--out", "scan.raw/new"])
    captured = capsys.readouterr()
    judge(status, captured.out, captured.err, "cannot write")
    assert contents(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="folders are read-only in another way on Windows")
@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_read_only_folder(folder, capsys):
    (folder / "plain").chmod(0o500)
    try:
        status = main(["convert", "scan.mhd", "plain/new.nii.gz"])
    finally:
        (folder / "plain").chmod(0o700)
    captured = capsys.readouterr()
    judge(status, captured.out, captured.err, "cannot write")


@pytest.mark.parametrize(
    "command", ["info missing.mhd", "measure scan.mhd empty.nii.gz --out x.csv"]
)
def test_as_a_real_process(folder, command):
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, "-m", "napari_ctlns", *command.split()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    judge(done.returncode, done.stdout, done.stderr, "missing" if "info" in command else "empty")
    assert len(done.stderr.splitlines()) == 1
    assert contents(folder) == before
