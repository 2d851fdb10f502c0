"""Collections as they are downloaded become datasets without a word of explanation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.dataset import open_dataset, prepare
from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Log, Progress, ThreadControl
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PrepareSpec

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.{}"


def said(events: list[Event], level: str = "warning") -> str:
    return "\n".join(e.message for e in events if isinstance(e, Log) and e.level == level)


def why(out: Path) -> str:
    return "\n".join(f"{u.what}: {u.why}" for u in open_dataset(out).card.unmatched)


@pytest.fixture
def luna(tmp_path: Path, tiny_scan: Any) -> Path:
    """Four subsets of one scan each, with all that lies beside them in a download."""
    folder = tmp_path / "LUNA16"
    rows = [HEADER]
    for number in range(4):
        scan = tiny_scan(UID.format(100 + number), seed=number)
        if number == 3:
            scan = tiny_scan(scan.name, nodules=())
        subset = folder / f"subset{number}"
        subset.mkdir(parents=True)
        sitk.WriteImage(scan.image(), str(subset / f"{scan.name}.mhd"))
        # as they are there: of the names of the scans; here not even told by their type
        lungs = folder / "seg-lungs-LUNA16"
        lungs.mkdir(exist_ok=True)
        mask = scan.on_grid((scan.labels() == 0).astype(np.int16) * 3)
        sitk.WriteImage(mask, str(lungs / f"{scan.name}.mhd"))
        if number < 3:
            rows.append(f"{scan.name},-26,-40,116,9\n")
    (folder / "annotations.csv").write_text("".join(rows), "utf-8")
    (folder / "candidates.csv").write_text("seriesuid,coordX,coordY,coordZ,class\n", "utf-8")
    evaluation = folder / "evaluationScript" / "annotations"
    evaluation.mkdir(parents=True)
    (evaluation / "annotations.csv").write_text("".join(rows), "utf-8")
    return folder


@pytest.fixture
def spec_of(tmp_path: Path, recipe: Recipe) -> Callable[..., PrepareSpec]:
    def make(source: Path, **changes: Any) -> PrepareSpec:
        return PrepareSpec(
            **{"source": source, "out": tmp_path / "dataset", "recipe": recipe, **changes}
        )

    return make


class TestLuna16:
    def test_as_downloaded(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        events = prepared(spec_of(luna))
        assert f"annotations in {luna / 'annotations.csv'}" in said(events, "info")
        scans = open_dataset(tmp := spec_of(luna).out).scans()
        assert [s.scan_id for s in scans] == [UID.format(100 + n) for n in range(4)]
        assert [s.card.fold for s in scans] == [0, 1, 2, 3]
        # a scan without a row is one without nodules
        assert [len(s.nodules) for s in scans] == [1, 1, 1, 0]
        assert [n.centre for n in scans[0].nodules] == [(16, 20, 24)]
        assert open_dataset(tmp).card.unmatched == ()

    def test_subsets_are_the_split(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        for test, val, train in ((3, [2], [0, 1]), (2, [1], [0, 3]), (0, [3], [1, 2])):
            spec = spec_of(luna, test_subset=test)
            prepared(spec)
            dataset = open_dataset(spec.out)
            folds = {
                name: [s.card.fold for s in dataset.scans(name)]
                for name in ("train", "val", "test")
            }
            assert folds == {"train": train, "val": val, "test": [test]}

    def test_subsets_that_are_not_there(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        with pytest.raises(CtlnsError, match=r"no scan lies in a folder subset9.*subsets:3"):
            prepared(spec_of(luna, test_subset=9))
        one = luna / "subset2"
        with pytest.raises(CtlnsError, match="subset 2 is the only one"):
            prepared(spec_of(one, test_subset=2))
        assert not spec_of(luna).out.exists()

    def test_a_patient_with_scans_in_two_subsets_is_in_one_part(
        self, luna: Path, spec_of: Any, prepared: Any, tmp_path: Path
    ) -> None:
        table = tmp_path / "patients.csv"
        rows = [f"{UID.format(100 + n)},{p}\n" for n, p in enumerate(("a", "b", "c", "a"))]
        table.write_text("scan_id,patient_id\n" + "".join(rows), "utf-8")
        spec = spec_of(luna, patients=table, test_subset=3)
        events = prepared(spec)
        dataset = open_dataset(spec.out)
        assert dataset.card.split == {"a": "test", "b": "train", "c": "val"}
        assert "patient a has scans in several subsets" in said(events)

    def test_stopped_before_the_subset_for_testing(self, luna: Path, spec_of: Any) -> None:
        spec = spec_of(luna, test_subset=3)
        control = ThreadControl()
        for event in prepare(spec, control):
            if isinstance(event, Progress) and event.done == 1:
                control.stop()
        assert [s.card.fold for s in open_dataset(spec.out).scans("train")] == [0]

    def test_one_subset(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        spec = spec_of(luna / "subset1")
        events = prepared(spec)
        assert [len(s.nodules) for s in open_dataset(spec.out).scans()] == [1]
        assert f"1 annotations of {UID.format(100)}: no such scan" in said(events)

    def test_table_in_its_own_folder(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        (luna / "CSVFILES").mkdir()
        (luna / "annotations.csv").rename(luna / "CSVFILES" / "annotations.csv")
        assert prepared(spec_of(luna))[-1].result["nodules"] == 3

    def test_which_table(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        (luna / "CSVFILES").mkdir()
        (luna / "CSVFILES" / "annotations.csv").write_text(HEADER, "utf-8")
        with pytest.raises(CtlnsError, match="which marks the nodules"):
            prepared(spec_of(luna))
        spec = spec_of(luna, annotations=luna / "annotations.csv")
        assert prepared(spec)[-1].result["nodules"] == 3

    def test_lungs_as_masks(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        spec = spec_of(luna, masks=luna / "seg-lungs-LUNA16")
        prepared(spec)
        scans = open_dataset(spec.out).scans()
        assert len(scans) == 4
        assert all((s.mask() > 0).sum() > s.mask().size / 2 for s in scans)

    def test_bad_rows_with_consent(self, luna: Path, spec_of: Any, prepared: Any) -> None:
        with (luna / "annotations.csv").open("a", encoding="utf-8") as file:
            file.write(f"{UID.format(103)},1,2,much,9\n")
        with pytest.raises(CtlnsError, match="line 5"):
            prepared(spec_of(luna))
        spec = spec_of(luna, skip_bad_rows=True)
        events = prepared(spec)
        assert events[-1].result["nodules"] == 3
        assert "line 5" in said(events)
        assert "line 5" in why(spec.out)

    def test_of_many_strangers_a_few_are_named(
        self, luna: Path, spec_of: Any, prepared: Any
    ) -> None:
        with (luna / "annotations.csv").open("a", encoding="utf-8") as file:
            file.write("".join(f"{UID.format(n)},1,2,3,9\n" for n in range(500, 540)))
        spec = spec_of(luna)
        words = said(prepared(spec))
        assert words.count("annotations of") == 5
        assert "and 35 more: no such scan" in words
        assert "40 could not be used (40 x no such scan)" in words
        assert why(spec.out).count("no such scan") == 40


@pytest.fixture
def decathlon(tmp_path: Path, tiny_scan: Any) -> Path:
    folder = tmp_path / "Task06_Lung"
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    for number in (1, 3):
        scan = tiny_scan(f"lung_{number:03}", seed=number)
        for part, image in (
            ("imagesTr", scan.image()),
            ("labelsTr", scan.on_grid((scan.labels() > 0).astype(np.float32))),
        ):
            sitk.WriteImage(image, str(folder / part / f"{scan.name}.nii.gz"))
            (folder / part / f"._{scan.name}.nii.gz").write_bytes(b"of macOS")
    sitk.WriteImage(tiny_scan("lung_002").image(), str(folder / "imagesTs" / "lung_002.nii.gz"))
    (folder / "dataset.json").write_text('{"name": "Lung"}', "utf-8")
    return folder


class TestDecathlon:
    def test_as_downloaded(
        self, decathlon: Path, spec_of: Any, prepared: Any, tiny_scan: Any
    ) -> None:
        spec = spec_of(decathlon)
        events = prepared(spec)
        assert "Decathlon" in said(events, "info")
        scans = open_dataset(spec.out).scans()
        assert [s.scan_id for s in scans] == ["lung_001", "lung_003"]
        for scan in scans:
            np.testing.assert_array_equal(scan.mask(), tiny_scan("").labels())
        assert why(spec.out).splitlines() == [
            f"{decathlon / 'imagesTs' / 'lung_002.nii.gz'}: scans of imagesTs have no masks"
        ]

    def test_masks_may_be_named(self, decathlon: Path, spec_of: Any, prepared: Any) -> None:
        spec = spec_of(decathlon, masks=decathlon / "labelsTr")
        assert prepared(spec)[-1].result["scans"] == 2

    def test_names_of_nnunet(self, decathlon: Path, spec_of: Any, prepared: Any) -> None:
        images = decathlon / "imagesTr"
        for path in sorted(images.glob("lung*")):
            case = path.name.removesuffix(".nii.gz")
            (images / f"{case}_0001.nii.gz").write_bytes(path.read_bytes())
            path.rename(images / f"{case}_0000.nii.gz")
        spec = spec_of(decathlon)
        prepared(spec)
        scans = open_dataset(spec.out).scans()
        assert [s.scan_id for s in scans] == ["lung_001_0000", "lung_003_0000"]
        assert all(len(s.nodules) == 1 for s in scans)
        assert "channel 1 of lung_001; only channel 0 is used" in why(spec.out)
        # the folder of images alone, too
        spec = spec_of(images, masks=decathlon / "labelsTr", out=decathlon.parent / "again")
        assert prepared(spec)[-1].result["scans"] == 2

    def test_an_image_without_a_mask_and_a_mask_without_an_image(
        self, decathlon: Path, spec_of: Any, prepared: Any
    ) -> None:
        labels = decathlon / "labelsTr"
        (labels / "lung_003.nii.gz").rename(labels / "lung_004.nii.gz")
        spec = spec_of(decathlon)
        assert prepared(spec)[-1].result["scans"] == 1
        assert f"lung_003.nii.gz: no mask of this scan in {labels}" in why(spec.out)
        assert f"mask {labels / 'lung_004.nii.gz'}: no such scan" in why(spec.out)
