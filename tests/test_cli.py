"""`ctlns` through its one door, `main`, and as a real process."""

import csv
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import napari_ctlns
from napari_ctlns.cli import main
from napari_ctlns.phantom import PhantomSpec, write_cohort

SOURCE = Path(napari_ctlns.__file__).parents[1]
COMMANDS = {
    *("demo", "phantom", "info", "convert", "mask", "lungs", "prepare", "train", "watch"),
    *("control", "tune", "learn", "evaluate", "predict", "measure", "compare", "recipes", "open"),
    *("import-model", "cohort", "click", "froc", "report", "mesh", "growth"),
}
HEAVY = ("torch", "monai", "openvino", "napari", "qtpy", "matplotlib")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Three small phantoms with their annotations and true masks."""
    folder = tmp_path_factory.mktemp("cohort")
    specs = [
        PhantomSpec(seed=seed, extent_mm=(60, 100, 120), spacing=(3, 2.5, 2.5), n_nodules=2)
        for seed in range(3)
    ]
    list(write_cohort(folder, specs))
    return folder


@pytest.fixture(scope="session")
def scan(cohort):
    return min(cohort.glob("*.mhd"))


@pytest.fixture(scope="session")
def truth(cohort, scan):
    return cohort / "masks" / f"{scan.stem}.nii.gz"


@pytest.fixture
def ctlns(capsys):
    """Run a command in this process; give its exit status, output and errors."""

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def process(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


# -- as a whole ---------------------------------------------------------------------


def test_help_names_every_command(ctlns):
    status, out, err = ctlns("--help")
    assert (status, err) == (0, "")
    assert {line.split()[0] for line in out.partition("Commands:")[2].strip().splitlines()} == (
        COMMANDS
    )
    assert ctlns() == (0, out, "")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_its_help(ctlns, command):
    status, out, _ = ctlns(command, "--help")
    assert status == 0
    assert f"ctlns {command}" in out


def test_the_module_is_the_command():
    done = process("-m", "napari_ctlns", "--version")
    assert done.returncode == 0
    assert done.stdout.split() == ["napari-ctlns", napari_ctlns.__version__]


def test_light_commands_import_nothing_heavy(scan):
    code = f"""
import sys
from napari_ctlns.cli import main
for words in (["--help"], ["train", "--help"], ["recipes"], ["info", {str(scan)!r}, "--json"]):
    assert main(words) == 0
sys.exit(" ".join(name for name in {HEAVY!r} if name in sys.modules) or 0)
"""
    done = process("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_bug_is_one_line_and_status_1(ctlns, monkeypatch, scan):
    def broken(volume):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("napari_ctlns.formats.describe", broken)
    status, out, err = ctlns("info", scan)
    assert (status, out) == (1, "")
    assert err == "error: unexpected ZeroDivisionError: by nothing; please report it\n"
    monkeypatch.setenv("CTLNS_DEBUG", "1")
    assert "Traceback" in ctlns("info", scan)[2]


def test_ctrl_c_is_status_130(ctlns, monkeypatch, scan):
    def interrupted(volume):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_ctlns.formats.describe", interrupted)
    assert ctlns("info", scan)[:2] == (130, "")


# -- scans --------------------------------------------------------------------------


def test_info_tells_the_sources_own_grid(ctlns, scan):
    status, out, _ = ctlns("info", scan, "--json")
    assert status == 0
    told = json.loads(out)
    image = sitk.ReadImage(str(scan))
    assert told["shape"] == list(image.GetSize())[::-1]
    assert told["spacing_mm"] == list(image.GetSpacing())[::-1]
    assert told["origin_mm"] == list(image.GetOrigin())
    assert np.ravel(told["direction"]).tolist() == list(image.GetDirection())
    array = sitk.GetArrayViewFromImage(image)
    assert told["hu_range"] == [max(array.min(), -1024), array.max()]
    assert set(told) == {
        *("shape", "spacing_mm", "origin_mm", "direction", "hu_range"),
        *("series_uid", "format", "warnings"),
    }


def test_info_for_a_person(ctlns, scan):
    status, out, _ = ctlns("info", scan)
    assert status == 0
    assert "spacing_mm" in out
    assert "3, 2.5, 2.5" in out


@pytest.mark.parametrize("name", ["out.nii.gz", "out.nii", "out.mha", "out.mhd", "out.nrrd"])
def test_convert_keeps_values_and_grid(ctlns, scan, tmp_path, name):
    out = tmp_path / "new" / name
    assert ctlns("convert", scan, out)[:2] == (0, "")
    before, after = sitk.ReadImage(str(scan)), sitk.ReadImage(str(out))
    assert np.array_equal(sitk.GetArrayFromImage(before), sitk.GetArrayFromImage(after))
    for field in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(after, field)() == pytest.approx(getattr(before, field)(), abs=1e-4)


def test_mask_draws_the_annotated_nodules_of_this_scan(ctlns, cohort, scan, truth, tmp_path):
    out = tmp_path / "mask.nii.gz"
    assert ctlns("mask", scan, "--annotations", cohort / "annotations.csv", "--out", out)[0] == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out)))
    assert set(np.unique(labels)) == {0, 1, 2}
    status, text, _ = ctlns("compare", out, truth, "--json")
    assert status == 0
    assert json.loads(text)["dice"] > 0.4  # the nodules are no spheres


def test_lungs_are_those_of_the_phantom_on_the_scans_own_grid(ctlns, cohort, scan, tmp_path):
    out = tmp_path / "lungs.nii.gz"
    assert ctlns("lungs", scan, "--out", out) == (0, "", "")
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(out))))) == {0, 1}
    told = ctlns("compare", out, cohort / "lungs" / f"{scan.stem}.nii.gz", "--json")[1]
    assert json.loads(told)["dice"] > 0.95
    source, written = sitk.ReadImage(str(scan)), sitk.ReadImage(str(out))
    for field in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(written, field)() == pytest.approx(getattr(source, field)(), abs=1e-4)


def test_a_scan_without_lungs_is_an_error_and_writes_nothing(ctlns, tmp_path):
    path, out = tmp_path / "water.nii.gz", tmp_path / "lungs.nii.gz"
    noise = np.random.default_rng(0).normal(-20, 60, (20, 30, 30)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path))
    status, shown, err = ctlns("lungs", path, "--out", out)
    assert (status, shown) == (2, "")
    assert err.startswith(f"error: no lungs in {path}; give")
    assert err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("name", ["lungs.txt", "lungs.dcm"])
def test_lungs_where_they_cannot_be_written_are_refused(ctlns, scan, tmp_path, name):
    """A DICOM SEG needs the slices of a DICOM series."""
    status, shown, err = ctlns("lungs", scan, "--out", tmp_path / name)
    assert (status, shown) == (2, "")
    assert err.startswith("error: cannot write lungs.")
    assert not list(tmp_path.iterdir())


def test_compare_knows_equal_and_empty_masks(ctlns, truth, tmp_path):
    agreement = json.loads(ctlns("compare", truth, truth, "--json")[1])
    assert agreement["dice"] == agreement["iou"] == 1
    assert agreement["hausdorff95_mm"] == 0
    assert agreement["volume_mm3"] == agreement["truth_volume_mm3"] > 0

    image = sitk.ReadImage(str(truth)) * 0
    sitk.WriteImage(image, str(tmp_path / "empty.nii.gz"))
    empty = tmp_path / "empty.nii.gz"
    agreement = json.loads(ctlns("compare", empty, empty, "--json")[1])
    assert agreement == {
        "dice": 1,
        "iou": 1,
        "hausdorff95_mm": None,
        "volume_mm3": 0,
        "truth_volume_mm3": 0,
    }


def test_measure_writes_a_row_a_nodule(ctlns, scan, truth, tmp_path):
    out = tmp_path / "nodules.csv"
    assert ctlns("measure", scan, truth, "--out", out)[:2] == (0, "")
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(truth)))
    voxel = np.prod(sitk.ReadImage(str(scan)).GetSpacing())
    assert [int(row["label"]) for row in rows] == [1, 2]
    for row in rows:
        voxels = np.count_nonzero(labels == int(row["label"]))
        assert int(row["voxels"]) == voxels
        assert float(row["volume_mm3"]) == pytest.approx(voxels * voxel)


def test_measure_adds_details_and_advice_where_asked(ctlns, scan, truth, tmp_path):
    from napari_ctlns.measurement import COLUMNS, DETAILS
    from napari_ctlns.measurement.guidelines import ADVICE_COLUMNS, NOTICE

    def columns(*options):
        out = tmp_path / "nodules.csv"
        status, printed, said = ctlns("measure", scan, truth, "--out", out, *options)
        assert (status, printed) == (0, "")
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return tuple(rows[0]), rows, said

    assert columns()[0] == COLUMNS
    names, rows, said = columns("--details", "--lungs", truth)
    assert names == COLUMNS + DETAILS
    assert {row["pleura_distance_mm"] for row in rows} == {"0.0"}
    first = ("--setting", "screening", "--prior", "none")
    names, rows, said = columns(*first, "--remark", "2=benign")
    assert names == COLUMNS + ADVICE_COLUMNS
    assert rows[1]["category"] == "1"
    assert NOTICE in said
    names, rows, said = columns("--details", "--no-details", "--setting", "incidental")
    assert {row["category"] for row in rows} == {"not determinable"}
    assert "age" in rows[0]["rule"]
    for wrong in (["--remark", "2=odd"], ["--growth", truth], ["--setting", "odd"]):
        status, _, said = ctlns("measure", scan, truth, "--out", tmp_path / "no.csv", *wrong)
        assert status == 2
        assert said.startswith("error: ")
    assert not (tmp_path / "no.csv").exists()


# -- recipes ------------------------------------------------------------------------


def test_recipes_are_listed_and_printed(ctlns):
    status, out, _ = ctlns("recipes")
    assert status == 0
    assert out.startswith("ct-lns: ")
    status, out, _ = ctlns("recipes", "ct-lns")
    assert status == 0
    assert tomllib.loads(out)["network"]["name"] == "unet"


# -- the whole line -----------------------------------------------------------------

TINY = [
    "network.channels=[4, 8]",
    "patches.size=[16, 16, 16]",
    "patches.per_scan=2",
    "preparation.spacing_mm=3",
    "inference.min_diameter_mm=0",
]


def changes(*assignments):
    return [word for assignment in assignments for word in ("--set", assignment)]


def test_the_whole_line(ctlns, cohort, scan, tmp_path):
    dataset, run = tmp_path / "dataset", tmp_path / "run"
    splits = tmp_path / "splits.json"
    names = sorted(path.stem for path in cohort.glob("*.mhd"))
    splits.write_text(
        json.dumps({"train": names[:1], "val": names[1:2], "test": names[2:]}), encoding="utf-8"
    )
    status, out, err = ctlns(
        *("prepare", cohort, "--annotations", cohort / "annotations.csv", "--out", dataset),
        *("--splits", splits, *changes(*TINY)),
    )
    assert (status, out) == (0, ""), err

    train = ("train", dataset, "--out", run, "--device", "cpu")
    status, out, err = ctlns(
        *train, "--epochs", "1", "--batch-size", "2", "--no-augmented", *changes(*TINY)
    )
    assert (status, out) == (0, ""), err
    recipe = tomllib.loads((run / "recipe.toml").read_text("utf-8"))
    assert recipe["optimisation"]["batch_size"] == 2
    assert recipe["augmentation"]["enabled"] is False

    assert ctlns(*train)[0] == 2  # the run is not overwritten
    status, out, err = ctlns(*train, "--resume", "--epochs", "2")
    assert (status, out) == (0, ""), err
    history = (run / "history.csv").read_text("utf-8").splitlines()
    assert len(history) == 3  # a header and two epochs
    status, out, err = ctlns("watch", run)
    assert (status, out) == (0, ""), err
    assert ctlns("control", run, "stop")[0] == 2  # it has ended

    mask, table, probability = (tmp_path / f"{n}" for n in ("m.nii.gz", "t.csv", "p.nii.gz"))
    status, out, err = ctlns(
        *("predict", scan, "--model", run / "best", "--out", mask, "--table", table),
        *("--probability", probability, "--threshold", "0.3", "--device", "cpu", "--whole"),
    )
    assert (status, out) == (0, ""), err
    source = sitk.ReadImage(str(scan))
    for path in (mask, probability):
        image = sitk.ReadImage(str(path))
        for field in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(image, field)() == pytest.approx(getattr(source, field)(), abs=1e-4)
    assert table.read_text("utf-8").startswith("label,")

    status, out, err = ctlns(
        "evaluate", run / "best", dataset, "--out", tmp_path / "report", "--json"
    )
    assert status == 0, err
    assert isinstance(json.loads(out), dict)


def test_phantom_hands_its_options_on(ctlns, tmp_path, monkeypatch):
    asked = {}

    def cohort_specs(scans, seed, spacing):
        asked.update(scans=scans, seed=seed, spacing=spacing)
        return (PhantomSpec(extent_mm=(40, 90, 90), spacing=spacing, n_nodules=1),)

    monkeypatch.setattr("napari_ctlns.phantom.cohort_specs", cohort_specs)
    out = tmp_path / "made"
    words = ("phantom", "--out", out, "--scans", "1", "--seed", "3", "--spacing", "4", "3", "3")
    assert ctlns(*words)[:2] == (0, "")
    assert asked == {"scans": 1, "seed": 3, "spacing": (4.0, 3.0, 3.0)}
    spacing = sitk.ReadImage(str(next(out.glob("*.mhd")))).GetSpacing()
    assert spacing == (3.0, 3.0, 4.0)
    assert (out / "annotations.csv").is_file()


# -- clicks ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def place(cohort, scan):
    """The centre of the first nodule of a scan."""
    with (cohort / "annotations.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["seriesuid"] == scan.stem]
    largest = max(rows, key=lambda row: float(row["diameter_mm"]))
    return [largest[f"coord{axis}"] for axis in "XYZ"]


def test_a_click_becomes_a_mask_on_the_scans_grid_and_a_row(ctlns, scan, place, tmp_path):
    mask, table = tmp_path / "click.nii.gz", tmp_path / "click.csv"
    status, out, err = ctlns(
        *("click", scan, "--at", *place, "--at", *place, "--tightness", "-0.2"),
        *("--diameter", "16", "--out", mask, "--table", table),
    )
    assert (status, out, err) == (0, "", "")
    image, source = sitk.ReadImage(str(mask)), sitk.ReadImage(str(scan))
    assert image.GetSize() == source.GetSize()
    assert image.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-4)
    assert set(np.unique(sitk.GetArrayFromImage(image))) == {0, 1}
    (row,) = csv.DictReader(table.read_text("utf-8").splitlines())
    centroid = [float(row[f"centroid_{axis}_mm"]) for axis in "xyz"]
    assert np.linalg.norm(np.array(centroid) - np.array(place, float)) < 4


def test_a_place_outside_bounds_the_nodule(ctlns, scan, place, tmp_path):
    mask = tmp_path / "click.nrrd"
    beside = [place[0], place[1], str(float(place[2]) + 3)]
    assert ctlns("click", scan, "--at", *place, "--not-at", *beside, "--out", mask)[0] == 0
    image = sitk.ReadImage(str(mask))
    assert image[image.TransformPhysicalPointToIndex([float(c) for c in beside])] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--at", "1", "2"), "three numbers"),
        (("--at", "a", "b", "c"), "three numbers"),
        (("--at", "1e5", "0", "0"), "outside the scan"),
        ((), "--at"),
    ],
)
def test_a_bad_click_ends_in_one_line_and_leaves_no_mask(ctlns, scan, tmp_path, words, says):
    mask = tmp_path / "click.nii.gz"
    status, out, err = ctlns("click", scan, *words, "--out", mask)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1
    assert not mask.exists()


def test_annotations_become_fitted_masks(ctlns, cohort, scan, truth, tmp_path):
    mask = tmp_path / "fitted.nii.gz"
    status, out, _ = ctlns(
        *("mask", scan, "--annotations", cohort / "annotations.csv", "--out", mask),
        *("--method", "fitted"),
    )
    assert (status, out) == (0, "")
    assert json.loads(ctlns("compare", mask, truth, "--json")[1])["dice"] > 0.8
