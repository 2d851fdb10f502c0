"""`ctlns prepare` on phantoms, in the folders of the collections that people download."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from napari_ctlns.cli import main
from napari_ctlns.dataset import open_dataset
from napari_ctlns.phantom import PhantomSpec, write_cohort

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small phantoms with their annotations and true masks."""
    folder = tmp_path_factory.mktemp("phantoms")
    specs = [
        PhantomSpec(seed=seed, extent_mm=(60, 100, 120), spacing=(3, 2.5, 2.5), n_nodules=2)
        for seed in range(3)
    ]
    list(write_cohort(folder, specs))
    return folder


@pytest.fixture
def prepare(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command; return its exit status and what it said."""

    def run(source: Path, *words: object) -> tuple[int, str]:
        native = "preparation.spacing_mm=native"
        arguments = ["prepare", source, "--out", tmp_path / "out", "--set", native, *words]
        status = main([str(word) for word in arguments])
        return status, capsys.readouterr().err

    return run


@pytest.fixture
def luna(phantoms: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "LUNA16"
    for number, header in enumerate(sorted(phantoms.glob("*.mhd"))):
        subset = folder / f"subset{number + 7}"
        subset.mkdir(parents=True)
        for path in phantoms.glob(f"{header.stem}.*"):
            (subset / path.name).write_bytes(path.read_bytes())
    text = (phantoms / "annotations.csv").read_text("utf-8")
    (folder / "annotations.csv").write_text(text, "utf-8")
    return folder


def test_luna16_with_its_subsets(luna: Path, prepare: Run, tmp_path: Path) -> None:
    status, words = prepare(luna, "--splits", "subsets")
    assert status == 0, words
    dataset = open_dataset(tmp_path / "out")
    assert sum(len(scan.nodules) for scan in dataset.scans()) == 6
    for name, fold in (("train", 7), ("val", 8), ("test", 9)):
        assert [scan.card.fold for scan in dataset.scans(name)] == [fold]
    assert prepare(luna, "--splits", "subsets:7")[0] == 0
    assert [s.card.fold for s in open_dataset(tmp_path / "out").scans("val")] == [9]


def test_folds_of_one_dataset_are_prepared_once(
    phantoms: Path, prepare: Run, tmp_path: Path
) -> None:
    words = ("--annotations", phantoms / "annotations.csv", "--splits")
    tested = []
    arrays: dict[Path, int] = {}
    for fold in range(3):
        status, said = prepare(phantoms, *words, f"folds:3:{fold}")
        assert status == 0, said
        dataset = open_dataset(tmp_path / "out")
        tested += [scan.patient_id for scan in dataset.scans("test")]
        assert sorted(dataset.card.split.values()) == ["test", "train", "val"]
        now = {path: path.stat().st_mtime_ns for path in dataset.path.rglob("*.npy")}
        assert now == (arrays or now)
        arrays = now
    assert sorted(tested) == sorted(scan.patient_id for scan in dataset.scans())
    assert prepare(phantoms, *words, "count:0,1")[0] == 0
    split = open_dataset(tmp_path / "out").card.split
    assert sorted(split.values()) == ["test", "train", "train"]
    assert prepare(phantoms, *words, "fraction:0.5,0.5,0")[0] == 0
    assert sorted(open_dataset(tmp_path / "out").card.split.values()).count("val") == 2


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ("folds:5:5", "one of 0 to 4"),
        ("folds:2:0", "greater than or equal to 3"),
        ("folds:4:1", "3 patients are too few for 4 folds"),
        ("fold:3:1,2", "is not understood"),
        ("folds", "is not understood"),
        ("count:2,1", "leave none to train on"),
        ("count:-1,1", "is not understood"),
        ("count:1", "is not understood"),
        ("fraction:0.7,0.2,0.2", "add up to 1"),
        ("fraction:0,1,0", "greater than 0"),
        ("fraction:0.5,nan,0.5", "val: "),
        ("fraction:a,b,c", "fraction:TRAIN,VAL,TEST"),
        ("subsets:x", "subsets[:N]"),
        ("nothing.json", "nothing.json"),
    ],
)
def test_splits_that_make_no_sense(
    phantoms: Path, prepare: Run, tmp_path: Path, splits: str, said: str
) -> None:
    status, words = prepare(
        phantoms, "--annotations", phantoms / "annotations.csv", "--splits", splits
    )
    assert status == 2
    assert said in words
    assert "Traceback" not in words
    assert not (tmp_path / "out").exists()


def test_a_subset_that_is_not_there(luna: Path, prepare: Run, tmp_path: Path) -> None:
    status, words = prepare(luna, "--splits", "subsets:3")
    assert status == 2
    assert "no scan lies in a folder subset3, there are 7, 8, 9" in words
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_left_out_with_consent(luna: Path, prepare: Run) -> None:
    with (luna / "annotations.csv").open("a", encoding="utf-8") as file:
        file.write("somewhere,1,2,3,wide\n")
    status, words = prepare(luna)
    assert status == 2
    assert "--skip-bad-rows" in words
    status, words = prepare(luna, "--skip-bad-rows")
    assert status == 0
    assert "left out, as asked: line 8" in words


def test_decathlon(phantoms: Path, prepare: Run, tmp_path: Path) -> None:
    folder = tmp_path / "Task06_Lung"
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for header in phantoms.glob("*.mhd"):
        image = sitk.ReadImage(str(header))
        sitk.WriteImage(image, str(folder / "imagesTr" / f"{header.stem}.nii.gz"))
        mask = sitk.ReadImage(str(phantoms / "masks" / f"{header.stem}.nii.gz"))
        sitk.WriteImage(mask, str(folder / "labelsTr" / f"{header.stem}.nii.gz"))
    status, words = prepare(folder)
    assert status == 0, words
    for scan in open_dataset(tmp_path / "out").scans():
        mask = sitk.ReadImage(str(phantoms / "masks" / f"{scan.scan_id}.nii.gz"))
        assert (scan.mask() > 0).sum() == (sitk.GetArrayViewFromImage(mask) > 0).sum()


def test_lungs_of_phantoms(phantoms: Path, prepare: Run, tmp_path: Path) -> None:
    status, words = prepare(phantoms, "--masks", phantoms / "lungs", "--recipe", "lung-region")
    assert status == 0, words
    scans = open_dataset(tmp_path / "out").scans()
    assert len(scans) == 3
    for scan in scans:
        lungs = sitk.ReadImage(str(phantoms / "lungs" / f"{scan.scan_id}.nii.gz"))
        # both lungs have one label, and the scan was not taken for another's mask
        assert (scan.mask() == sitk.GetArrayViewFromImage(lungs)).all()
        assert scan.card.statistics is not None
        assert not scan.card.problems


@pytest.mark.parametrize("recipe", ["ct-lns", "lung-region"])
def test_masks_of_lungs_are_for_lungs_alone(
    phantoms: Path, prepare: Run, tmp_path: Path, recipe: str
) -> None:
    status, words = prepare(phantoms, "--masks", phantoms, "--recipe", recipe)
    assert status == 0, words
    folder = {"ct-lns": "masks", "lung-region": "lungs"}[recipe]
    for scan in open_dataset(tmp_path / "out").scans():
        mask = sitk.ReadImage(str(phantoms / folder / f"{scan.scan_id}.nii.gz"))
        assert len(scan.card.masks) == 1
        assert ((scan.mask() > 0) == (sitk.GetArrayViewFromImage(mask) > 0)).all()


def test_lungs_are_not_learned_from_annotations(
    phantoms: Path, prepare: Run, tmp_path: Path
) -> None:
    table = phantoms / "annotations.csv"
    status, words = prepare(phantoms, "--annotations", table, "--recipe", "lung-region")
    assert status == 2
    assert "--masks" in words
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--lidc-xml"),
        (("--structure", "Lung_L"), "--lidc-xml"),
        (("--annotations", "a.csv", "--lidc-xml", "."), "given twice"),
        (("--masks", ".", "--lidc-xml", "."), "given twice"),
        (("--annotations", "a.csv", "--lidc-share", "0"), "--lidc-share"),
    ],
)
def test_what_is_not_understood(
    phantoms: Path, prepare: Run, tmp_path: Path, words: tuple[Any, ...], said: str
) -> None:
    status, message = prepare(next(phantoms.glob("*.mhd")), *words)
    assert status == 2
    assert said in message
    assert not (tmp_path / "out").exists()


def test_names_of_structures_need_files_that_name_them(
    phantoms: Path, prepare: Run, tmp_path: Path
) -> None:
    masks = phantoms / "masks"
    status, message = prepare(phantoms, "--masks", masks, "--structure", "Lung_L")
    assert status == 2
    assert "no structure Lung_L" in message
    assert not (tmp_path / "out" / "dataset.json").exists()
