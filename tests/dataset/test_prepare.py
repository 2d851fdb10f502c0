import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.dataset import Dataset, open_dataset, prepare
from napari_ctlns.dataset.revisions import add_mask
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError, ScanError
from napari_ctlns.events import Event, Finished, Log, Progress, Saved, ThreadControl, Uncontrolled
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PrepareSpec


def run(spec: PrepareSpec) -> list[Event]:
    events = list(prepare(spec, Uncontrolled()))
    assert isinstance(events[-1], Finished)
    return events


def warnings(events: list[Event]) -> str:
    return "\n".join(e.message for e in events if isinstance(e, Log) and e.level == "warning")


@pytest.fixture
def spec_of(tmp_path: Path, recipe: Recipe) -> Callable[..., PrepareSpec]:
    def make(cohort: Any, **changes: Any) -> PrepareSpec:
        values = {"annotations": cohort.annotations, **changes}
        values = {"source": cohort.scans, "out": tmp_path / "dataset", "recipe": recipe, **values}
        return PrepareSpec(**values)

    return make


def snapshot(folder: Path) -> dict[str, int]:
    """Every array file with its time of change."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.npy")}


def test_a_cohort_becomes_a_dataset(tiny_cohort: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    spec = spec_of(cohort)
    events = run(spec)
    assert [e.done for e in events if isinstance(e, Progress)] == [0, 1, 2, 3]
    assert Saved(path=spec.out, kind="dataset") in events
    result = events[-1].result
    assert (result["scans"], result["new"], result["nodules"]) == (3, 3, 3)

    dataset = open_dataset(spec.out)
    assert [s.scan_id for s in dataset.scans()] == ["a", "b", "c"]
    assert sorted(len(dataset.scans(name)) for name in ("train", "val", "test")) == [1, 1, 1]
    scan = dataset.scans()[0]
    image = sitk.ReadImage(str(cohort.scans / "a.mhd"))
    assert scan.hu().dtype == np.int16
    np.testing.assert_array_equal(scan.hu(), sitk.GetArrayFromImage(image))
    assert not scan.hu().flags.writeable
    (nodule,) = scan.nodules
    (annotation,) = scan.card.annotations
    assert nodule.centre == (14, 20, 16)
    # the same place in ITK's words
    assert image.TransformPhysicalPointToIndex(annotation.centre) == (16, 20, 14)
    # counted by hand: voxel centres within 4 mm of a voxel centre
    assert nodule.voxels == int(scan.mask().sum()) == 257


def test_spacing_of_the_recipe(tiny_cohort: Any, tiny_scan: Any, spec_of: Any) -> None:
    nodules = (((8, 20, 24), 10.0),)
    scan = tiny_scan("thick", nodules, shape=(16, 40, 48), spacing=(2.5, 0.8, 0.7))
    spec = spec_of(tiny_cohort(scan))
    run(spec)
    (prepared,) = open_dataset(spec.out).scans()
    assert prepared.geometry.spacing == (1.0, 1.0, 1.0)
    assert prepared.hu().shape == (40, 32, 34)
    (nodule,) = prepared.nodules
    assert nodule.voxels == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.03)
    world = scan.image().TransformIndexToPhysicalPoint((24, 20, 8))
    centre = prepared.geometry.index_to_world(nodule.centre)
    assert np.abs(centre - world).max() <= 0.51  # rounded to a voxel


def test_masks_instead_of_annotations(tiny_cohort: Any, tiny_scan: Any, spec_of: Any) -> None:
    two = (((10, 14, 14), 7.0), ((22, 26, 34), 9.0))
    cohort = tiny_cohort(tiny_scan("x", two), tiny_scan("y", two))
    # y's mask says only nodule or not
    binary = tiny_scan("y", two)
    mask = binary.on_grid((binary.labels() > 0).astype(np.uint8))
    sitk.WriteImage(mask, str(cohort.masks / "y.nii.gz"))
    spec = spec_of(cohort, annotations=None, masks=cohort.masks)
    run(spec)
    x, y = open_dataset(spec.out).scans()
    np.testing.assert_array_equal(x.mask(), binary.labels())
    assert len(y.nodules) == 2
    np.testing.assert_array_equal(y.mask() > 0, binary.labels() > 0)
    assert {n.centre for n in y.nodules} == {(10, 14, 14), (22, 26, 34)}


def test_prepared_scans_are_left_as_they_are(
    tiny_cohort: Any, tiny_scan: Any, spec_of: Any
) -> None:
    cohort = tiny_cohort()
    spec = spec_of(cohort)
    run(spec)
    before = snapshot(spec.out)
    split = open_dataset(spec.out).card.split
    sitk.WriteImage(tiny_scan("d").image(), str(cohort.scans / "d.mhd"))
    assert run(spec)[-1].result["new"] == 1
    assert before.items() <= snapshot(spec.out).items()
    after = open_dataset(spec.out)
    assert split.items() <= after.card.split.items()
    # d has no row in the CSV: a scan without nodules
    assert [len(s.nodules) for s in after.scans()] == [1, 1, 1, 0]


def test_changed_annotations_move_the_pointer(tiny_cohort: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    spec = spec_of(cohort)
    run(spec)
    mapped = open_dataset(spec.out).scans()[0].mask()
    voxels = int((mapped > 0).sum())
    before = snapshot(spec.out)
    text = cohort.annotations.read_text("utf-8").replace(",8.0", ",12.0", 1)
    cohort.annotations.write_text(text, "utf-8")
    assert run(spec)[-1].result["new"] == 1
    assert before.items() <= snapshot(spec.out).items()
    scan = open_dataset(spec.out).scans()[0]
    assert scan.revision.parent == "r1"
    assert scan.nodules[0].voxels > 2 * voxels
    assert int((mapped > 0).sum()) == voxels


def test_a_readers_mask_survives_a_new_preparation(tiny_cohort: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    spec = spec_of(cohort)
    run(spec)
    scan = open_dataset(spec.out).scans()[0]
    edited = np.zeros(scan.geometry.shape, np.uint16)
    edited[4:8, 10:14, 10:14] = 300
    changed = add_mask(scan, edited, reader="R. Ader")
    assert changed.revision.parent == "r1"
    assert changed.revision.reader == "R. Ader"
    text = cohort.annotations.read_text("utf-8").replace(",8.0", ",12.0", 1)
    cohort.annotations.write_text(text, "utf-8")
    run(spec)
    again = open_dataset(spec.out).scans()[0]
    assert len(again.card.masks) == 3
    np.testing.assert_array_equal(again.mask(), edited)
    assert again.nodules[0].label == 300


def test_what_cannot_be_used_is_listed(tiny_cohort: Any, tiny_scan: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    (cohort.scans / "b.raw").write_bytes(b"too short")
    water = tiny_scan("w").on_grid(np.full((4, 4, 4), 10, np.int16))
    sitk.WriteImage(water, str(cohort.scans / "w.mhd"))
    (cohort.scans / "twin").mkdir()
    sitk.WriteImage(tiny_scan("c").image(), str(cohort.scans / "twin" / "c.nii.gz"))
    with cohort.annotations.open("a", encoding="utf-8") as file:
        file.write("elsewhere,0,0,0,5\na,9999,0,0,5\n")
    spec = spec_of(cohort)
    events = run(spec)
    dataset = open_dataset(spec.out)
    assert [s.scan_id for s in dataset.scans()] == ["a", "c"]
    why = "\n".join(f"{u.what}: {u.why}" for u in dataset.card.unmatched)
    for words in ("elsewhere: no such scan", "b.mhd", "no chest CT", "same id c", "outside the"):
        assert words in why
        assert words in warnings(events)
    # scans that are there already still have what could not be used of them
    run(spec)
    assert open_dataset(spec.out).card.unmatched == dataset.card.unmatched


def test_strict_stops_at_the_first(tiny_cohort: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    (cohort.scans / "b.raw").write_bytes(b"too short")
    with pytest.raises(ScanError):
        run(spec_of(cohort, strict=True))


def test_stop_between_scans_keeps_what_is_there(tiny_cohort: Any, spec_of: Any) -> None:
    spec = spec_of(tiny_cohort())
    control = ThreadControl()
    events: list[Event] = []
    for event in prepare(spec, control):
        events.append(event)
        if isinstance(event, Progress) and event.done == 1:
            control.stop()
    assert isinstance(events[-1], Finished)
    assert events[-1].stopped
    assert [s.scan_id for s in open_dataset(spec.out).scans()] == ["a"]
    result = run(spec)[-1].result
    assert (result["scans"], result["new"]) == (3, 2)


def test_a_scan_folder_is_whole_or_not_there(
    tiny_cohort: Any, spec_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny_cohort())
    saved = np.save

    def full_disk(path: Path, array: np.ndarray) -> None:
        if path.parts[-3].endswith(".b") and path.parent.name == "masks":
            raise OSError(28, "No space left on device")
        saved(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full_disk)
        with pytest.raises(OutputError, match="No space left"):
            run(spec)
    assert [p.name for p in spec.out.iterdir()] == ["a"]
    assert run(spec)[-1].result["new"] == 2


def test_folders_named_masks_hold_no_scans(tiny_cohort: Any, tiny_scan: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    (cohort.scans / "masks").mkdir()
    sitk.WriteImage(tiny_scan("a").image(), str(cohort.scans / "masks" / "a.nii.gz"))
    assert "same id" not in warnings(run(spec_of(cohort)))


def test_patients_from_a_table(tiny_cohort: Any, spec_of: Any, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("scan_id,patient_id\na,ann\nb,ann\nc,eve\n", "utf-8")
    spec = spec_of(tiny_cohort(), patients=table)
    assert "patient unknown" not in warnings(run(spec))
    dataset = open_dataset(spec.out)
    assert [s.patient_id for s in dataset.scans()] == ["ann", "ann", "eve"]
    assert sorted(dataset.card.split.values()) == ["train", "val"]


def test_one_patient_for_all_is_doubted(tiny_cohort: Any, spec_of: Any, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("scan_id,patient_id\na,anonymous\nb,anonymous\nc,anonymous\n", "utf-8")
    words = warnings(run(spec_of(tiny_cohort(), patients=table)))
    assert "all scans are of one patient, anonymous" in words


def test_split_from_a_file_leaves_out_the_rest(
    tiny_cohort: Any, spec_of: Any, tmp_path: Path
) -> None:
    path = tmp_path / "splits.json"
    path.write_text('{"train": ["b"], "test": ["a"]}', "utf-8")
    spec = spec_of(tiny_cohort(), splits=path)
    assert "patient c: in no split" in warnings(run(spec))
    dataset = open_dataset(spec.out)
    assert [s.scan_id for s in dataset.scans("train")] == ["b"]
    assert [s.scan_id for s in dataset.scans("test")] == ["a"]
    assert dataset.scans("val") == []


def test_bad_input_leaves_nothing_behind(tiny_cohort: Any, spec_of: Any, tmp_path: Path) -> None:
    cohort = tiny_cohort()
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nq,0,0,0,5\n", "utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"annotations": foreign}, "other series only"),
        ({"annotations": None, "masks": empty}, "no mask of these scans"),
        ({"annotations": None, "masks": tmp_path / "none"}, "no folder"),
        ({"source": empty}, "no scans"),
        ({"source": tmp_path / "none"}, "no such file"),
        ({"masks": cohort.masks}, "given twice"),
        ({"annotations": None}, "what marks the nodules"),
        ({"structures": ("Lung_L",)}, "structures are chosen in masks only"),
        ({"annotations": None, "lidc_xml": tmp_path / "none"}, "no such folder"),
        ({"annotations": None, "lidc_xml": empty}, "no contours of these scans"),
        ({"patients": tmp_path / "none.csv"}, "cannot read patients"),
        ({"patients": foreign}, "lacks the column scan_id"),
        ({"splits": tmp_path / "none.json"}, "cannot read splits"),
        ({"test_subset": 9}, "no scan lies in a folder subset0"),
    ]
    for changes, words in cases:
        spec = spec_of(cohort, **changes)
        with pytest.raises(CtlnsError, match=words):
            run(spec)
        assert not spec.out.exists()


def test_no_scan_usable(tiny_cohort: Any, spec_of: Any) -> None:
    cohort = tiny_cohort()
    for raw in cohort.scans.glob("*.raw"):
        raw.write_bytes(b"")
    with pytest.raises(DatasetError, match="no scan could be prepared"):
        run(spec_of(cohort))


def test_folders_that_are_no_place_for_it(
    tiny_cohort: Any, spec_of: Any, recipe: Recipe, tmp_path: Path
) -> None:
    cohort = tiny_cohort()
    with pytest.raises(DatasetError, match="holds something else"):
        run(spec_of(cohort, out=cohort.scans))
    spec = spec_of(cohort)
    run(spec)
    coarse = recipe.with_changes({"preparation.spacing_mm": 2.0})
    with pytest.raises(DatasetError, match=r"spacing_mm is 1\.0, not 2\.0"):
        run(spec_of(cohort, recipe=coarse))
    # one number and three equal ones are the same spacing
    same = recipe.with_changes({"preparation.spacing_mm": (1.0, 1.0, 1.0)})
    assert run(spec_of(cohort, recipe=same))[-1].result["new"] == 0


def test_ids_that_are_no_file_names(tiny_cohort: Any, tiny_scan: Any, spec_of: Any) -> None:
    cohort = tiny_cohort(tiny_scan("Größe 1"), tiny_scan("plain"))
    spec = spec_of(cohort)
    run(spec)
    dataset = open_dataset(spec.out)
    assert {s.scan_id for s in dataset.scans()} == {"Größe 1", "plain"}
    assert all(s.folder.name.isascii() and " " not in s.folder.name for s in dataset.scans())


@pytest.fixture
def dataset(tiny_cohort: Any, spec_of: Any) -> Dataset:
    spec = spec_of(tiny_cohort())
    run(spec)
    return open_dataset(spec.out)


def test_damage_is_told(dataset: Dataset, tmp_path: Path) -> None:
    scan = dataset.scans()[0]
    (scan.folder / "ct.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DatasetError, match="missing or damaged"):
        scan.hu()
    np.save(scan.folder / "masks" / "r1.npy", np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(DatasetError, match="does not fit"):
        scan.mask()
    card = json.loads((scan.folder / "scan.json").read_text("utf-8"))
    (scan.folder / "scan.json").write_text(json.dumps(card | {"mask": "r9"}), "utf-8")
    with pytest.raises(DatasetError, match="damaged"):
        dataset.scans()
    (scan.folder / "scan.json").unlink()
    with pytest.raises(DatasetError, match="missing or damaged"):
        dataset.scans()
    with pytest.raises(DatasetError, match="is not a dataset"):
        open_dataset(tmp_path)


def test_newer_versions_are_refused(dataset: Dataset) -> None:
    path = dataset.path / "dataset.json"
    card = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(card | {"format_version": 99}), "utf-8")
    with pytest.raises(DatasetError, match="newer version"):
        open_dataset(dataset.path)


def test_a_moved_dataset_is_the_same(dataset: Dataset, tmp_path: Path) -> None:
    hu = dataset.scans()[0].hu().copy()
    moved = dataset.path.rename(tmp_path / "moved")
    np.testing.assert_array_equal(open_dataset(moved).scans()[0].hu(), hu)
    volume = open_dataset(moved).scans()[0].volume()
    assert (volume.kind, volume.scan_id) == ("ct", "a")
    assert open_dataset(moved).scans()[0].truth().kind == "mask"
