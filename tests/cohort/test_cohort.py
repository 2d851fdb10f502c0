"""Cohorts on two real workers."""

import csv
import json
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from napari_ctlns.cli import main
from napari_ctlns.cohort import cohort, pool
from napari_ctlns.dataset import open_dataset, prepare
from napari_ctlns.errors import DatasetError, RunError
from napari_ctlns.events import Log, ThreadControl, Uncontrolled
from napari_ctlns.formats import read_mask_onto, read_scan
from napari_ctlns.measurement import measure
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import CohortSpec, MeasureMany, PrepareMany, PrepareSpec


def warnings(events):
    return [e.message for e in events if isinstance(e, Log) and e.level == "warning"]


def statuses(manifest):
    return {name: row["status"] for name, row in manifest.items()}


def test_each_scan_is_measured_as_alone_and_all_are_in_one_table(scans, run, rows, tmp_path):
    folder, out = scans(), tmp_path / "out"
    finished = run(folder, out, MeasureMany(masks=folder / "masks"))[-1]
    assert (finished.result["done"], finished.result["failed"]) == (3, 0)
    assert statuses(rows(out)) == {"a": "done", "b": "done", "c": "done"}
    assert {row["outputs"] for row in rows(out).values()} == {f"{n}_nodules.csv" for n in "abc"}
    tables = []
    for name in "abc":
        scan = read_scan(folder / f"{name}.mha")
        truth = measure(read_mask_onto(folder / "masks" / f"{name}.nii.gz", scan), scan)
        table = pd.read_csv(out / f"{name}_nodules.csv", float_precision="round_trip")
        pd.testing.assert_frame_equal(table, truth, check_dtype=False)
        truth.insert(0, "scan_id", name)
        tables.append(truth)
    whole = pd.read_csv(out / "nodules.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(whole, pd.concat(tables, ignore_index=True), check_dtype=False)


def test_what_fails_is_told_and_stops_no_other(scans, run, rows, tmp_path):
    folder, out = scans("good", "broken", "maskless"), tmp_path / "out"
    (folder / "broken.mha").write_bytes((folder / "broken.mha").read_bytes()[:600])
    (folder / "masks" / "maskless.nii.gz").unlink()
    work = MeasureMany(masks=folder / "masks")
    events = run(folder, out, work)
    manifest = rows(out)
    assert statuses(manifest) == {"good": "done", "broken": "failed", "maskless": "failed"}
    assert "no mask of this scan" in manifest["maskless"]["error"]
    assert manifest["broken"]["error"]
    assert "\n" not in manifest["broken"]["error"]
    assert len([w for w in warnings(events) if "failed:" in w]) == 2
    with (out / "nodules.csv").open() as file:
        assert {row["scan_id"] for row in csv.DictReader(file)} == {"good"}

    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*_nodules.csv")}
    shutil.copy(folder / "good.mha", folder / "broken.mha")  # mended
    assert run(folder, out, work)[-1].result["failed"] == 1
    assert statuses(rows(out)) == {"good": "done", "broken": "done", "maskless": "failed"}
    assert (out / "good_nodules.csv").stat().st_mtime_ns == before["good_nodules.csv"]


def test_a_rerun_does_only_what_changed(scans, run, rows, tmp_path):
    folder, out = scans(), tmp_path / "out"
    work = MeasureMany(masks=folder / "masks")
    run(folder, out, work)
    (out / "b_nodules.csv").unlink()
    shutil.copy(folder / "masks" / "a.nii.gz", folder / "masks" / "c.nii.gz")
    kept = (out / "a_nodules.csv").stat().st_mtime_ns
    events = run(folder / "*.mha", out, work)
    assert "1 of 3 scans are done already" in [e.message for e in events if isinstance(e, Log)]
    assert (out / "a_nodules.csv").stat().st_mtime_ns == kept
    assert (out / "b_nodules.csv").exists()
    a, c = (pd.read_csv(out / f"{name}_nodules.csv") for name in "ac")
    assert (a.centroid_x_mm == c.centroid_x_mm).all()
    assert set(statuses(rows(out)).values()) == {"done"}


def test_a_killed_workers_scan_is_done_again(scans, run, rows, tmp_path):
    folder, out = scans("once-a", "good", "fine"), tmp_path / "out"
    events = run(folder, out, MeasureMany(masks=folder / "masks"))
    assert set(statuses(rows(out)).values()) == {"done"}
    told = [words for words in warnings(events) if "a worker died over" in words]
    assert "a worker died over once-a" in told[0]
    assert len(pd.read_csv(out / "nodules.csv")) == 3


@pytest.mark.slow
def test_a_scan_that_kills_every_worker_fails_and_the_others_are_done(scans, run, rows, tmp_path):
    folder, out = scans("fatal", "good", "fine"), tmp_path / "out"
    run(folder, out, MeasureMany(masks=folder / "masks"))
    assert statuses(rows(out)) == {"fatal": "failed", "good": "done", "fine": "done"}
    assert "its worker died, 3 times or more" in rows(out)["fatal"]["error"]


def test_stop_keeps_what_is_done_and_a_rerun_goes_on(scans, run, rows, tmp_path, address):
    folder, out = scans(*(f"slow-{n}" for n in range(4))), tmp_path / "out"
    work, control = MeasureMany(masks=folder / "masks"), ThreadControl()
    spec = CohortSpec(scans=(str(folder),), out=out, work=work, scheduler=address)
    events = []
    for event in cohort(spec, control):
        events.append(event)
        if event.event == "progress" and event.done:
            control.stop()
    assert events[-1].stopped
    left = [row["status"] for row in rows(out).values()]
    assert 0 < left.count("waiting") < 4
    assert left.count("done") == len(pd.read_csv(out / "nodules.csv"))
    assert run(folder, out, work)[-1].result["done"] == 4


def test_scans_whose_masks_cannot_be_told_apart_are_refused_before_the_start(scans, run, tmp_path):
    folder = scans("a")
    (folder / "other").mkdir()
    shutil.copy(folder / "a.mha", folder / "other" / "a.mha")
    with pytest.raises(DatasetError, match="which mask is whose"):
        run(folder, tmp_path / "out", MeasureMany(masks=folder / "masks"))
    assert not (tmp_path / "out").exists()


def preparing(folder):
    recipe = load_recipe("ct-lns").with_changes({"patches.size": (16, 16, 16)})
    return {"recipe": recipe, "masks": folder / "masks"}


def test_workers_prepare_the_dataset_that_one_process_prepares(scans, run, rows, tmp_path):
    folder = scans()
    options = preparing(folder)
    alone = PrepareSpec(source=folder, out=tmp_path / "alone", **options)
    list(prepare(alone, Uncontrolled()))
    run(folder, tmp_path / "out", PrepareMany(**options))
    one, many = (open_dataset(tmp_path / name) for name in ("alone", "out"))
    assert one.card == many.card
    for scan, other in zip(one.scans(), many.scans(), strict=True):
        np.testing.assert_array_equal(scan.hu(), other.hu())
        np.testing.assert_array_equal(scan.mask(), other.mask())
        changes = {"masks": other.card.masks}  # they have their times
        assert scan.card.model_copy(update=changes) == other.card
    assert {row["outputs"] for row in rows(tmp_path / "out").values()} == {"a", "b", "c"}


def test_a_dataset_grows_and_keeps_its_masks_when_a_scan_changed(scans, run, rows, tmp_path):
    folder, out = scans("a", "b"), tmp_path / "out"
    work = PrepareMany(**preparing(folder))
    run(folder, out, work)
    shutil.copy(folder / "masks" / "a.nii.gz", folder / "masks" / "b.nii.gz")
    scans("a", "b", "c")
    shutil.copy(folder / "masks" / "a.nii.gz", folder / "masks" / "b.nii.gz")
    (folder / "bad.mha").write_bytes(b"no image")
    shutil.copy(folder / "masks" / "a.nii.gz", folder / "masks" / "bad.nii.gz")
    run(folder, out, work)
    assert statuses(rows(out)) == {"a": "done", "b": "done", "c": "done", "bad": "failed"}
    dataset = open_dataset(out)
    assert [scan.scan_id for scan in dataset.scans()] == ["a", "b", "c"]
    a, b, _ = dataset.scans()
    np.testing.assert_array_equal(a.mask(), b.mask())
    assert len(b.card.masks) == 2
    assert [Path(item.what).name for item in dataset.card.unmatched] == ["bad.mha"]
    assert not (out / ".cohort" / "staged").exists()


def test_what_marks_the_nodules_must_be_said_of_several_places(scans, run, tmp_path):
    folder = scans("a", "b")
    work = PrepareMany(recipe=load_recipe("ct-lns"))
    with pytest.raises(DatasetError, match="what marks the nodules"):
        run([folder / "a.mha", folder / "b.mha"], tmp_path / "out", work)
    assert not (tmp_path / "out").exists()


def test_a_preparation_in_which_all_scans_fail_can_be_tried_again(scans, run, rows, tmp_path):
    folder, out = scans("a"), tmp_path / "out"
    good = (folder / "a.mha").read_bytes()
    (folder / "a.mha").write_bytes(good[:400])
    work = PrepareMany(**preparing(folder))
    with pytest.raises(DatasetError, match="no scan could be prepared"):
        run(folder, out, work)
    assert statuses(rows(out)) == {"a": "failed"}
    (folder / "a.mha").write_bytes(good)
    run(folder, out, work)
    assert statuses(rows(out)) == {"a": "done"}


def test_the_command_starts_workers_of_its_own_and_says_by_its_status_that_one_failed(
    scans, tmp_path, capsys, rows
):
    folder = scans("a", "broken")
    (folder / "broken.mha").write_bytes(b"no image")
    before = dict(os.environ)
    words = ["measure", folder, "--masks", folder / "masks", "--out", tmp_path / "out"]
    status = main(["cohort", *map(str, words), "--workers", "1"])
    assert status == 3
    assert capsys.readouterr().out.startswith("1 done, 1 failed: ")
    assert statuses(rows(tmp_path / "out")) == {"a": "done", "broken": "failed"}
    assert rows(tmp_path / "out")["a"]["worker"].startswith(f"{socket.gethostname()}:")
    assert dict(os.environ) == before


def test_without_dask_one_line_says_what_to_install(scans, tmp_path, monkeypatch, capsys):
    for name in [n for n in sys.modules if n.startswith("napari_ctlns.cohort.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = [scans(), "--masks", tmp_path, "--out", tmp_path / "out"]
    assert main(["cohort", "measure", *map(str, words)]) == 2
    assert capsys.readouterr().err == (
        "error: no Dask for cohorts; `pip install napari-ctlns[cohort]`\n"
    )


def test_a_scheduler_that_does_not_answer_is_told(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_SECONDS_TO_CONNECT", 0.3)
    folder = scans("a")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        spec = CohortSpec(
            scans=(str(folder),),
            out=tmp_path / "out",
            work=MeasureMany(masks=folder / "masks"),
            scheduler=f"tcp://127.0.0.1:{nobody.getsockname()[1]}",
        )
        with pytest.raises(RunError, match="no scheduler answers"):
            list(cohort(spec, Uncontrolled()))


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_signals_are_as_before(scans, run, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    folder = scans("a")
    run(folder, tmp_path / "out", MeasureMany(masks=folder / "masks"))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_spec_crosses_to_another_process_as_json(tmp_path):
    for work in (MeasureMany(masks=tmp_path), PrepareMany(recipe=load_recipe("ct-lns"))):
        spec = CohortSpec(scans=("a",), out=tmp_path, work=work, workers=2)
        assert CohortSpec.model_validate(json.loads(spec.model_dump_json())) == spec


def test_an_empty_mask_gives_a_table_without_rows(scans, run, rows, tmp_path):
    folder, out = scans("a"), tmp_path / "out"
    path = str(folder / "masks" / "a.nii.gz")
    sitk.WriteImage(sitk.ReadImage(path) * 0, path)
    run(folder, out, MeasureMany(masks=folder / "masks"))
    assert statuses(rows(out)) == {"a": "done"}
    assert len((out / "a_nodules.csv").read_text().splitlines()) == 1
