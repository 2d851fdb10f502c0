"""A cohort on disk, and the specs it is made from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from pydantic import ValidationError

from napari_ctlns.errors import OutputError
from napari_ctlns.events import Finished, Progress, Saved, Started, ThreadControl
from napari_ctlns.formats import read_annotations
from napari_ctlns.phantom import PhantomSpec, cohort_specs, make_phantom, write_cohort

SMALL = [
    PhantomSpec(seed=s, spacing=(3, 2, 2.5), extent_mm=(48, 160, 230), n_nodules=2) for s in (1, 2)
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    folder = tmp_path_factory.mktemp("cohort")
    return folder, list(write_cohort(folder, SMALL))


def test_scans_and_masks_are_read_by_simpleitk(cohort: tuple[Path, list[object]]) -> None:
    folder, _ = cohort
    for spec in SMALL:
        phantom = make_phantom(spec)
        scan = sitk.ReadImage(str(folder / f"{spec.name}.mhd"))
        mask = sitk.ReadImage(str(folder / "masks" / f"{spec.name}.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(scan), phantom.volume.array)
        assert np.array_equal(sitk.GetArrayFromImage(mask), phantom.mask.array)
        lungs = sitk.ReadImage(str(folder / "lungs" / f"{spec.name}.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(lungs), phantom.lungs.array)
        for image in (scan, mask, lungs):
            assert image.GetSpacing() == pytest.approx((2.5, 2, 3))
            assert image.GetOrigin() == pytest.approx(phantom.volume.geometry.origin, abs=1e-4)


def test_tables_say_where_the_nodules_are(cohort: tuple[Path, list[object]]) -> None:
    folder, _ = cohort
    rows = read_annotations(folder / "annotations.csv")
    truth = [n for spec in SMALL for n in make_phantom(spec).nodules]
    assert [r.scan_id for r in rows] == ["phantom-0001"] * 2 + ["phantom-0002"] * 2
    for row, nodule in zip(rows, truth, strict=True):
        assert row.centre == pytest.approx(nodule.annotation.centre, abs=1e-3)
    table = pd.read_csv(folder / "nodules.csv")
    assert list(table.label) == [1, 2, 1, 2]
    assert list(table.density) == [n.density for n in truth]
    assert np.allclose(np.cbrt(6 / np.pi * table.volume_mm3), table.diameter_mm, atol=1e-3)
    header = (folder / "annotations.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "seriesuid,coordX,coordY,coordZ,diameter_mm"


def test_the_job_tells_how_far_it_is(cohort: tuple[Path, list[object]]) -> None:
    folder, events = cohort
    assert isinstance(events[0], Started)
    assert events[-1] == Finished(result={"scans": 2, "nodules": 4})
    saved = [e.path for e in events if isinstance(e, Saved) and e.kind == "scan"]
    assert saved == [folder / "phantom-0001.mhd", folder / "phantom-0002.mhd"]
    done = [e.done for e in events if isinstance(e, Progress)]
    assert done == [0, 1, 2]


def test_a_stopped_job_leaves_tables_of_what_is_there(tmp_path: Path) -> None:
    control = ThreadControl()
    for event in write_cohort(tmp_path, SMALL, control):
        if isinstance(event, Saved):
            control.stop()
        last = event
    assert isinstance(last, Finished)
    assert last.stopped
    assert {r.scan_id for r in read_annotations(tmp_path / "annotations.csv")} == {"phantom-0001"}
    assert sorted(p.name for p in tmp_path.glob("*.mhd")) == ["phantom-0001.mhd"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("no folder", encoding="utf-8")
    with pytest.raises(OutputError):
        list(write_cohort(place, SMALL[:1]))


def test_cohorts_vary_and_do_not_share_seeds() -> None:
    specs = cohort_specs(6, seed=2, spacing=(2, 1, 1), n_nodules=3)
    assert len({s.name for s in specs}) == 6
    assert {s.kernel for s in specs} == {"soft", "sharp"}
    assert len({s.noise_hu for s in specs}) > 2
    assert not {s.seed for s in specs} & {s.seed for s in cohort_specs(6, seed=3)}
    assert all(s.spacing == (2, 1, 1) and s.n_nodules == 3 for s in specs)


def test_a_spec_survives_json() -> None:
    spec = PhantomSpec(seed=4, densities={"solid": 1}, extent_mm=(90, 200, 280))
    assert PhantomSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"spacing": (0, 1, 1)},
        {"spacing": (1, 1)},
        {"spacing": (20, 1, 1)},
        {"spacing": (float("nan"), 1, 1)},
        {"extent_mm": (5, 200, 200)},
        {"n_nodules": -1},
        {"diameter_mm": (10, 5)},
        {"diameter_mm": (1, 5)},
        {"densities": {"solid": 0}},
        {"densities": {"liquid": 1}},
        {"shapes": {"lidc": -1}},
        {"attachments": {}},
        {"noise_hu": -3},
        {"kernel": "medium"},
        {"scan_id": "a/b"},
        {"surprise": 1},
    ],
)
def test_impossible_specs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PhantomSpec(**wrong)  # type: ignore[arg-type]


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        PhantomSpec().seed = 3  # type: ignore[misc]
