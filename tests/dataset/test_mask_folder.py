"""Masks of any kind find their scans, and a scan may have several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.dataset import choose_mask, open_dataset
from napari_ctlns.dataset.match import mask_name
from napari_ctlns.dataset.revisions import add_mask
from napari_ctlns.errors import CtlnsError, DatasetError
from napari_ctlns.events import Event, Log
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PrepareSpec


def said(events: list[Event], level: str = "warning") -> str:
    return "\n".join(e.message for e in events if isinstance(e, Log) and e.level == level)


def why(out: Path) -> str:
    return "\n".join(f"{u.what}: {u.why}" for u in open_dataset(out).card.unmatched)


@pytest.fixture
def spec_of(tmp_path: Path, recipe: Recipe) -> Callable[..., PrepareSpec]:
    def make(source: Path, masks: Path, **changes: Any) -> PrepareSpec:
        out = tmp_path / "dataset"
        values = {"source": source, "masks": masks, "out": out, "recipe": recipe, **changes}
        return PrepareSpec(**values)

    return make


@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("chest", ("chest", "")),
        ("chest_reader2", ("chest", "reader2")),
        ("chest-label", ("chest", "")),
        ("chest.seg", ("chest", "")),
        ("chest_seg_r2", ("chest", "seg_r2")),
        ("chest_1", ("chest_1", "")),
        ("chest_1_mask", ("chest_1", "")),  # of the longest name
        ("1.2.840.10.7_r2", ("1.2.840.10.7", "r2")),
        ("chest_2", None),  # another scan, most likely
        ("1.2.840.10.7.9", None),
        ("chestmask", None),
        ("other", None),
    ],
)
def test_names_of_masks(stem: str, found: tuple[str, str] | None) -> None:
    assert mask_name(stem, {"chest", "chest_1", "1.2.840.10.7"}) == found


class TestSeveralMasks:
    @pytest.fixture
    def cohort(self, tiny_cohort: Any, tiny_scan: Any) -> Any:
        cohort = tiny_cohort(tiny_scan("a"), tiny_scan("b"))
        for reader, size in (("ann", 5.0), ("bob", 13.0)):
            scan = tiny_scan("a", (((16, 20, 24), size),))
            mask = scan.on_grid(scan.labels())
            sitk.WriteImage(mask, str(cohort.masks / f"a_{reader}.nii.gz"))
        return cohort

    def test_the_exact_name_counts(self, cohort: Any, spec_of: Any, prepared: Any) -> None:
        spec = spec_of(cohort.scans, cohort.masks)
        events = prepared(spec)
        assert "1 scans have several masks" in said(events, "info")
        assert why(spec.out) == ""
        a, b = open_dataset(spec.out).scans()
        assert [(r.name, r.reader, r.parent) for r in a.card.masks] == [
            ("r1", "", None),
            ("r2", "ann", None),
            ("r3", "bob", None),
        ]
        assert a.revision.name == "r1"
        assert len(b.card.masks) == 1
        np.testing.assert_array_equal(a.mask(), b.mask())

    def test_another_may_be_chosen(
        self, cohort: Any, spec_of: Any, prepared: Any, tiny_scan: Any
    ) -> None:
        spec = spec_of(cohort.scans, cohort.masks)
        prepared(spec)
        scan = open_dataset(spec.out).scans()[0]
        chosen = choose_mask(scan, "bob")
        again = open_dataset(spec.out).scans()[0]
        assert again.revision == chosen.revision
        np.testing.assert_array_equal(again.mask(), tiny_scan("", (((16, 20, 24), 13.0),)).labels())
        # the choice outlives a new preparation: bob's newest mask counts
        small = tiny_scan("a", (((16, 20, 24), 7.0),))
        sitk.WriteImage(small.on_grid(small.labels()), str(cohort.masks / "a_bob.nii.gz"))
        assert prepared(spec)[-1].result["new"] == 1
        again = open_dataset(spec.out).scans()[0]
        assert (again.revision.reader, again.revision.parent) == ("bob", "r3")
        np.testing.assert_array_equal(again.mask(), small.labels())
        assert choose_mask(again, "r1").revision.name == "r1"
        with pytest.raises(DatasetError, match=r"no mask carol; there are: r1, r2 \(ann\)"):
            choose_mask(again, "carol")

    def test_a_mask_drawn_by_hand_counts_until_another_is_chosen(
        self, cohort: Any, spec_of: Any, prepared: Any
    ) -> None:
        spec = spec_of(cohort.scans, cohort.masks)
        prepared(spec)
        scan = open_dataset(spec.out).scans()[0]
        drawn = add_mask(scan, np.ones(scan.geometry.shape, np.uint8), "me")
        assert drawn.revision.parent == "r1"
        assert choose_mask(drawn, "ann").revision.name == "r2"
        assert choose_mask(drawn, "me").revision == drawn.revision

    def test_no_exact_name(self, cohort: Any, spec_of: Any, prepared: Any) -> None:
        (cohort.masks / "a.nii.gz").unlink()
        spec = spec_of(cohort.scans, cohort.masks)
        prepared(spec)
        a, _ = open_dataset(spec.out).scans()
        assert [r.reader for r in a.card.masks] == ["ann", "bob"]
        assert a.revision.reader == "ann"

    def test_readers_in_folders(self, cohort: Any, spec_of: Any, prepared: Any) -> None:
        for name in ("ann", "bob"):
            (cohort.masks / name).mkdir()
            (cohort.masks / f"a_{name}.nii.gz").rename(cohort.masks / name / "a.nii.gz")
        (cohort.masks / "a.nii.gz").unlink()
        spec = spec_of(cohort.scans, cohort.masks)
        prepared(spec)
        a, _ = open_dataset(spec.out).scans()
        assert [r.reader for r in a.card.masks] == ["ann/a", "bob/a"]

    def test_a_damaged_one_is_told_and_the_next_counts(
        self, cohort: Any, spec_of: Any, prepared: Any
    ) -> None:
        path = cohort.masks / "a.nii.gz"
        path.write_bytes(path.read_bytes()[:200])
        spec = spec_of(cohort.scans, cohort.masks)
        events = prepared(spec)
        assert "a.nii.gz" in said(events)
        assert "a.nii.gz" in why(spec.out)
        a, _ = open_dataset(spec.out).scans()
        assert a.revision.reader == "ann"


def test_masks_beside_the_scans(
    tiny_cohort: Any, tiny_scan: Any, spec_of: Any, prepared: Any
) -> None:
    cohort = tiny_cohort(tiny_scan("a"), tiny_scan("b"))
    for name, kind in (("a", np.float32), ("b", np.uint8)):
        labels = tiny_scan(name).labels()
        mask = tiny_scan(name).on_grid(labels.astype(kind))
        sitk.WriteImage(mask, str(cohort.scans / f"{name}_mask.nrrd"))
    spec = spec_of(cohort.scans, cohort.scans)
    prepared(spec)
    assert why(spec.out) == ""
    for scan in open_dataset(spec.out).scans():
        np.testing.assert_array_equal(scan.mask(), tiny_scan("").labels())
        assert scan.revision.reader == ""


@pytest.fixture
def tcia(tmp_path: Path, tiny_scan: Any, dicom_scan: Any, write_rtstruct: Any) -> Path:
    """One folder for each series, the structures of a patient beside the CT."""
    folder = tmp_path / "LCTSC"
    lungs = {
        "Lung_L": (slice(4, 28), slice(8, 32), slice(26, 40)),
        "Lung_R": (slice(4, 28), slice(8, 32), slice(8, 22)),
        "Heart": (slice(10, 20), slice(12, 20), slice(22, 26)),
    }
    for number in (1, 2):
        patient = folder / f"LCTSC-{number}"
        scan = dicom_scan(patient / "study" / "CT", tiny_scan("", seed=number), f"P{number}")
        if number == 2:
            del lungs["Lung_R"]
        write_rtstruct(patient / "study" / "RTSTRUCT" / "1-1.dcm", scan, lungs)
    return folder


class TestStructures:
    def test_beside_the_scans(self, tcia: Path, spec_of: Any, prepared: Any) -> None:
        spec = spec_of(tcia, tcia, structures=("Lung_L", "Lung_R"))
        prepared(spec)
        dataset = open_dataset(spec.out)
        (scan,) = dataset.scans()
        assert scan.patient_id == "P1"
        truth = np.zeros((32, 40, 48), np.uint8)
        truth[4:28, 8:32, 26:40] = 1
        truth[4:28, 8:32, 8:22] = 2
        np.testing.assert_array_equal(scan.mask(), truth)
        (left_out,) = dataset.card.unmatched
        assert "LCTSC-2" in left_out.what
        assert "Lung_R" in left_out.why

    def test_other_structures_make_other_masks(
        self, tcia: Path, spec_of: Any, prepared: Any
    ) -> None:
        prepared(spec_of(tcia, tcia, structures=("Lung_L",)))
        events = prepared(spec_of(tcia, tcia, structures=("Heart",)))
        assert events[-1].result["new"] == 2
        for scan in open_dataset(spec_of(tcia, tcia).out).scans():
            assert (scan.mask() > 0).sum() == 10 * 8 * 4
        assert prepared(spec_of(tcia, tcia, structures=("Heart",)))[-1].result["new"] == 0

    def test_a_former_mask_that_is_not_what_is_wanted_now_is_left_out(
        self, tcia: Path, spec_of: Any, prepared: Any
    ) -> None:
        spec = spec_of(tcia, tcia, structures=("Lung_L",))
        assert prepared(spec)[-1].result["scans"] == 2
        both = spec_of(tcia, tcia, structures=("Lung_L", "Lung_R"))
        assert prepared(both)[-1].result["scans"] == 1
        assert [s.patient_id for s in open_dataset(spec.out).scans()] == ["P1"]
        # it comes back with what is wanted of it
        assert prepared(spec)[-1].result["scans"] == 2

    def test_all_structures_with_a_warning(self, tcia: Path, spec_of: Any, prepared: Any) -> None:
        spec = spec_of(tcia, tcia)
        words = said(prepared(spec))
        assert "all its structures count, Lung_L, Lung_R, Heart; choose with --structure" in words
        labels = {s.patient_id: len(s.nodules) for s in open_dataset(spec.out).scans()}
        assert labels == {"P1": 3, "P2": 2}
        with pytest.raises(CtlnsError, match="all its structures count"):
            prepared(spec_of(tcia, tcia, out=spec.out.with_name("strict"), strict=True))

    def test_a_folder_of_its_own_and_a_stranger(
        self, tcia: Path, spec_of: Any, prepared: Any
    ) -> None:
        masks = tcia.parent / "structures"
        masks.mkdir()
        for number in (1, 2):
            path = tcia / f"LCTSC-{number}" / "study" / "RTSTRUCT" / "1-1.dcm"
            path.rename(masks / f"{number}.dcm")
        spec = spec_of(tcia / "LCTSC-1", masks, structures=("Lung_L",))
        assert prepared(spec)[-1].result["scans"] == 1
        assert f"mask {masks / '2.dcm'}: no such scan: it is of " in why(spec.out)


class TestDicomSeg:
    @pytest.fixture
    def scan(self, tmp_path: Path, tiny_scan: Any, dicom_scan: Any) -> Any:
        return dicom_scan(tmp_path / "TCIA" / "P1" / "CT", tiny_scan(""), "P1")

    def write(self, scan: Any, labels: np.ndarray, name: str) -> Path:
        volume = read_scan(scan.folder)
        path = scan.folder.parent / name / "1-1.dcm"
        path.parent.mkdir()
        write_volume(volume.mask(labels), path)
        return path

    def test_of_two_the_first_by_path_counts(
        self, scan: Any, tiny_scan: Any, spec_of: Any, prepared: Any
    ) -> None:
        two = tiny_scan("", (((10, 14, 14), 7.0), ((22, 26, 34), 9.0))).labels()
        self.write(scan, two, "SEG 1")
        self.write(scan, tiny_scan("").labels(), "SEG 2")
        spec = spec_of(scan.folder.parent, scan.folder.parent)
        prepared(spec)
        (found,) = open_dataset(spec.out).scans()
        assert why(spec.out) == ""
        assert [r.reader for r in found.card.masks] == ["SEG 1/1-1", "SEG 2/1-1"]
        np.testing.assert_array_equal(found.mask(), two)
        np.testing.assert_array_equal(
            choose_mask(found, "SEG 2/1-1").mask(), tiny_scan("").labels()
        )

    def test_a_damaged_one_is_told(
        self, scan: Any, tiny_scan: Any, spec_of: Any, prepared: Any
    ) -> None:
        self.write(scan, tiny_scan("").labels(), "SEG 1")
        path = self.write(scan, tiny_scan("").labels(), "SEG 2")
        path.write_bytes(path.read_bytes()[:700])
        spec = spec_of(scan.folder.parent, scan.folder.parent)
        prepared(spec)
        (found,) = open_dataset(spec.out).scans()
        np.testing.assert_array_equal(found.mask(), tiny_scan("").labels())
        assert str(path) in why(spec.out)


def test_a_folder_name_of_several_scans_is_no_name(
    tmp_path: Path, tiny_scan: Any, dicom_scan: Any, spec_of: Any, prepared: Any
) -> None:
    """Two patients whose series lie in folders ``CT``: whose is the mask ``CT``?"""
    masks = tmp_path / "true"
    masks.mkdir()
    scan = tiny_scan("")
    first = dicom_scan(tmp_path / "scans" / "one" / "CT", scan, "one")
    dicom_scan(tmp_path / "scans" / "two" / "CT", scan, "two")
    for name in ("CT", first.uid):
        sitk.WriteImage(scan.on_grid(scan.labels()), str(masks / f"{name}.nii.gz"))
    spec = spec_of(tmp_path / "scans", masks)
    prepared(spec)
    (found,) = open_dataset(spec.out).scans()
    assert found.scan_id == first.uid
    np.testing.assert_array_equal(found.mask(), scan.labels())
    assert "2 scans lie in folders of this name" in why(spec.out)


def test_a_single_scan_named_by_its_folder(
    tmp_path: Path, tiny_scan: Any, dicom_scan: Any, spec_of: Any, prepared: Any
) -> None:
    masks = tmp_path / "true"
    masks.mkdir()
    scan = tiny_scan("")
    dicom_scan(tmp_path / "scans" / "one", scan)
    sitk.WriteImage(scan.on_grid(scan.labels()), str(masks / "one.nii.gz"))
    spec = spec_of(tmp_path / "scans", masks)
    assert prepared(spec)[-1].result["nodules"] == 1
