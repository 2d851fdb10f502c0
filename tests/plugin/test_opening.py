"""From paths to layers."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from napari.components import ViewerModel

from napari_ctlns.errors import ScanError
from napari_ctlns.events import Event, Failed, Finished, Progress, ThreadControl
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import ScanFile, write_annotations, write_volume
from napari_ctlns.plugin.coming import Coming
from napari_ctlns.plugin.file_kinds import Kind, kind_of
from napari_ctlns.plugin.layers import annotations_of_layer
from napari_ctlns.plugin.opened import Opened
from napari_ctlns.plugin.opener import show
from napari_ctlns.plugin.opening import reading, reading_series
from napari_ctlns.plugin.project import save_project
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume

from . import bad_inputs

SHAPE = (5, 8, 9)
WriteSeries = Callable[[Path, int], str]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A scan, a mask and annotations of it, and a table of another scan."""
    geometry = Geometry(SHAPE, (2.0, 1.0, 1.0), (-3.0, -4.0, 50.0))
    scan = Volume(np.full(SHAPE, -800, np.int16), geometry)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 3:5, 3:5] = 3
    paths = {
        "scan": tmp_path / "chest.mhd",
        "mask": tmp_path / "nodules.nii.gz",
        "annotations": tmp_path / "annotations.csv",
        "foreign": tmp_path / "others.csv",
    }
    write_volume(scan, paths["scan"])
    write_volume(scan.mask(labels), paths["mask"])
    write_annotations(paths["annotations"], [Annotation("chest", 0.0, 0.0, 54.0, 5.0)])
    write_annotations(paths["foreign"], [Annotation("other", 0.0, 0.0, 54.0, 5.0)])
    return paths


@pytest.fixture
def write_series() -> WriteSeries:
    """Write a DICOM series of so many slices into a folder."""

    def write(folder: Path, slices: int) -> str:
        heights = [2.0 * number for number in range(slices)]
        return bad_inputs.write_series(folder, heights, (4, 6), PatientID="P1")

    return write


def last(events: Iterable[Event]) -> Event:
    *_, event = events
    return event


def opened_of(events: Iterable[Event]) -> Opened:
    event = last(events)
    assert isinstance(event, Finished), event
    opened = event.result["value"]
    assert isinstance(opened, Opened)
    return opened


def kinds_of(session: Session) -> list[str]:
    return [type(layer).__name__ for layer in session.viewer.layers]


def scans_of(opened: Opened) -> list[Volume]:
    return [meta["metadata"]["ctlns"].volume for _, meta, kind in opened.layers if kind == "image"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scan", "scan"),
        ("mask", "mask"),
        ("annotations", "annotations"),
    ],
)
def test_a_file_is_known_for_what_it_is(files: dict[str, Path], name: str, kind: Kind) -> None:
    assert kind_of(files[name]) == kind


def test_folders_and_unknown_files_are_taken_for_scans(tmp_path: Path) -> None:
    assert kind_of(tmp_path) == "scan"
    assert kind_of(tmp_path / "absent.mha") == "scan"
    assert kind_of(tmp_path / "Case.CTLNS") == "project"


def test_a_scan_and_what_lies_on_it_become_layers_in_any_order(
    files: dict[str, Path], model_session: Session
) -> None:
    paths = [files["annotations"], files["mask"], files["scan"]]
    opened = opened_of(reading(paths))
    show(model_session, opened)
    assert kinds_of(model_session) == ["Image", "Labels", "Points"]
    assert model_session.mask is not None
    assert model_session.mask.data[2, 3, 3] == 3
    assert model_session.annotations is not None
    assert annotations_of_layer(model_session.annotations)[0].centre == pytest.approx((0, 0, 54))
    assert opened.in_words() == "Opened a scan and a mask and annotations"
    assert opened.problems == []


def test_what_was_opened_from_a_file_is_saved(
    files: dict[str, Path], model_session: Session
) -> None:
    show(model_session, opened_of(reading([files["scan"], files["mask"], files["annotations"]])))
    assert not any(map(model_session.is_unsaved, model_session.viewer.layers))


def test_a_mask_and_annotations_lie_on_the_scan_that_is_open(
    files: dict[str, Path], model_session: Session
) -> None:
    (volume,) = scans_of(opened_of(reading([files["scan"]])))
    show(model_session, opened_of(reading([files["mask"], files["annotations"]], [volume])))
    mask, annotations = model_session.viewer.layers
    assert (mask.name, mask.metadata["ctlns"].scan_id) == ("nodules", volume.scan_id)
    assert (annotations.name, annotations.metadata["ctlns"].scan_id) == ("annotations", "chest")


def test_annotations_find_their_scan_among_several(files: dict[str, Path], tmp_path: Path) -> None:
    other = Volume(np.full(SHAPE, -800, np.int16), Geometry(SHAPE))
    write_volume(other, tmp_path / "z_other.mha")
    opened = opened_of(reading([files["scan"], tmp_path / "z_other.mha", files["annotations"]]))
    *_, (points, meta, kind) = opened.layers
    assert (kind, len(points), meta["metadata"]["ctlns"].scan_id) == ("points", 1, "chest")
    assert opened.in_words() == "Opened 2 scans and annotations"


def test_the_middle_is_shown_with_a_scale_bar(
    files: dict[str, Path], model_session: Session
) -> None:
    show(model_session, opened_of(reading([files["scan"]])))
    assert model_session.viewer.canvas.overlays.scale_bar.visible
    assert model_session.viewer.dims.point[0] == pytest.approx(54)
    assert np.allclose(model_session.viewer.scene.camera.center[-2:], [-0.5, 1], atol=1)


@pytest.mark.parametrize(("name", "low"), [("lung", -1350), ("full", -800), ("header", -1350)])
def test_a_scan_is_shown_through_the_window_asked_for(
    files: dict[str, Path], model_session: Session, name: str, low: float
) -> None:
    show(model_session, opened_of(reading([files["scan"]], window=name)))
    assert model_session.scan is not None
    assert model_session.scan.contrast_limits[0] == low


def test_what_cannot_be_read_does_not_keep_the_rest_from_opening(files: dict[str, Path]) -> None:
    opened = opened_of(reading([files["scan"], files["foreign"], Path("absent.mhd")]))
    assert len(scans_of(opened)) == 1
    assert len(opened.problems) == 2
    assert "absent.mhd" in opened.problems[0]
    assert "annotations of other series only" in opened.problems[1]


def test_annotations_without_their_scan_wait_for_it(files: dict[str, Path]) -> None:
    table = files["annotations"]
    opened = opened_of(reading([table]))
    assert (opened.layers, opened.waiting, opened.problems) == ([], [table], [])
    assert opened.in_words() == "annotations.csv waits: open its scan"
    opened = opened_of(reading([files["foreign"]], waiting=[table]))
    assert (opened.waiting, opened.still_waiting) == ([files["foreign"]], [table])
    assert opened.in_words() == "others.csv waits: open its scan"
    opened = opened_of(reading([files["scan"]], waiting=[files["foreign"], table]))
    assert [kind for _, _, kind in opened.layers] == ["image", "points"]
    assert (opened.waiting, opened.still_waiting) == ([], [files["foreign"]])
    assert opened.in_words() == "Opened a scan and annotations"


def test_a_table_that_waits_and_is_changed_is_a_problem(files: dict[str, Path]) -> None:
    files["foreign"].write_text("no header of ours", "utf-8")
    opened = opened_of(reading([files["scan"]], waiting=[files["foreign"]]))
    assert opened.still_waiting == []
    assert opened.problems[0].startswith("missing columns")


def test_a_scan_that_is_open_is_not_read_again(files: dict[str, Path]) -> None:
    (volume,) = scans_of(opened_of(reading([files["scan"]])))
    opened = opened_of(reading([files["scan"], files["annotations"]], [volume]))
    assert [kind for _, _, kind in opened.layers] == ["points"]
    assert opened.again == [volume]
    assert opened.in_words() == "Opened annotations. chest.mhd is open already"


def test_a_series_that_is_open_is_not_read_again(tmp_path: Path, write_series: WriteSeries) -> None:
    uid = write_series(tmp_path, 3)
    (volume,) = scans_of(opened_of(reading([tmp_path])))
    for path in (tmp_path, next(tmp_path.iterdir())):
        opened = opened_of(reading([path], [volume]))
        assert (opened.layers, opened.again) == ([], [volume])
    again = opened_of(reading_series(ScanFile(tmp_path, uid), [volume]))
    assert (again.layers, again.again) == ([], [volume])


def test_a_mask_without_a_scan_stands_on_its_own_grid(
    files: dict[str, Path], model_session: Session
) -> None:
    show(model_session, opened_of(reading([files["mask"]])))
    assert kinds_of(model_session) == ["Labels"]


def test_an_empty_folder_is_refused_in_words(tmp_path: Path) -> None:
    event = last(reading([tmp_path]))
    assert isinstance(event, Failed)
    assert "no DICOM series" in event.message


def test_a_file_is_what_the_person_says_it_is(files: dict[str, Path], tmp_path: Path) -> None:
    asked = opened_of(reading([files["mask"]], kind="scan"))
    assert [kind for _, _, kind in asked.layers] == ["image"]
    (scan,) = scans_of(opened_of(reading([files["scan"]])))
    between = scan.geometry.cropped((1.25, 1.25, 1.25), (2, 2, 2))
    labels = Volume(np.ones((2, 2, 2), np.int16), between)
    write_volume(labels, tmp_path / "signed.mha")
    asked = opened_of(reading([tmp_path / "signed.mha"], [scan], kind="mask"))
    ((array, meta, kind),) = asked.layers
    assert (kind, array.shape, meta["name"]) == ("labels", SHAPE, "signed")
    assert "another grid" in asked.problems[0]


def test_a_mask_on_another_grid_is_said(files: dict[str, Path], tmp_path: Path) -> None:
    (scan,) = scans_of(opened_of(reading([files["scan"]])))
    smaller = scan.geometry.cropped((1.25, 1.25, 1.25), (2, 3, 3))
    write_volume(Volume(np.ones((2, 3, 3), np.uint8), smaller, "mask"), tmp_path / "small.mha")
    opened = opened_of(reading([files["scan"], tmp_path / "small.mha"]))
    assert opened.layers[1][0].shape == SHAPE
    assert "another grid" in opened.problems[0]


def test_the_voxels_of_a_header_are_no_file_of_their_own(files: dict[str, Path]) -> None:
    voxels = [path for path in files["scan"].parent.iterdir() if path.suffix in (".raw", ".zraw")]
    assert voxels
    opened = opened_of(reading([*voxels, files["scan"]]))
    assert len(scans_of(opened)) == 1
    assert opened.problems == []


def test_a_folder_with_one_series_opens(tmp_path: Path, write_series: WriteSeries) -> None:
    uid = write_series(tmp_path / "ct", 3)
    (volume,) = scans_of(opened_of(reading([tmp_path])))
    assert volume.scan_id == uid


def test_a_folder_with_several_series_leaves_the_choice(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    uids = {write_series(tmp_path, 3), write_series(tmp_path, 2)}
    opened = opened_of(reading([tmp_path]))
    assert opened.layers == []
    assert {scan.series for scan in opened.choices} == uids
    chosen = opened.choices[1]
    (volume,) = scans_of(opened_of(reading_series(chosen)))
    assert volume.scan_id == chosen.series


def test_a_file_of_several_volumes_leaves_the_choice(tmp_path: Path) -> None:
    four = np.stack([np.full(SHAPE, value, np.int16) for value in (-800, -700)])
    sitk.WriteImage(sitk.GetImageFromArray(four, isVector=False), str(tmp_path / "four.nii.gz"))
    opened = opened_of(reading([tmp_path / "four.nii.gz"]))
    assert opened.layers == []
    assert len(opened.choices) == 2
    chosen = opened_of(reading_series(opened.choices[1]))
    assert scans_of(chosen)[0].array.max() == -700
    again = opened_of(reading_series(opened.choices[1], scans_of(chosen)))
    assert (again.layers, again.again) == ([], scans_of(chosen))


def test_slices_dropped_together_are_one_scan(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, 3)
    opened = opened_of(reading(sorted(tmp_path.iterdir())))
    assert len(scans_of(opened)) == 1
    assert opened.problems == []


def test_one_slice_stands_for_its_series(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, 2)
    uid = write_series(tmp_path, 3)
    slice_of_second = next(path for path in tmp_path.iterdir() if path.name.startswith(uid[-8:]))
    (volume,) = scans_of(opened_of(reading([slice_of_second])))
    assert volume.scan_id == uid


def test_progress_is_told_where_there_are_several(files: dict[str, Path]) -> None:
    events = list(reading([files["scan"], files["annotations"]]))
    told = [e for e in events if isinstance(e, Progress)]
    assert [(p.done, p.total, p.unit) for p in told] == [(0, 2, "files"), (1, 2, "files")]
    assert not any(isinstance(e, Progress) for e in reading([files["scan"]]))


def test_reading_ends_when_asked_and_opens_nothing(files: dict[str, Path]) -> None:
    control = ThreadControl()
    control.stop()
    event = last(reading([files["scan"], files["mask"]], control=control))
    assert isinstance(event, Finished)
    assert event.stopped
    assert event.result == {}


def test_a_project_is_read_and_restored(
    files: dict[str, Path], model_session: Session, tmp_path: Path
) -> None:
    show(model_session, opened_of(reading([files["scan"], files["mask"]])))
    save_project(model_session, tmp_path / "case.ctlns")
    viewer = ViewerModel()
    other = session_of(viewer)
    opened = opened_of(reading([tmp_path / "case.ctlns"]))
    show(other, opened)
    assert kinds_of(other) == ["Image", "Labels"]
    assert opened.in_words() == "Opened a project"
    files["scan"].unlink()
    assert "chest.mhd" in " ".join(opened_of(reading([tmp_path / "case.ctlns"])).problems)


@pytest.mark.parametrize(
    ("folder", "words"), [("gantry-tilt", "tilt"), ("missing-slice", "missing slice")]
)
def test_awkward_series_are_mended_and_seen_when_they_are(
    shared_data: Path, folder: str, words: str
) -> None:
    told: list[Coming] = []
    opened = opened_of(reading([shared_data / "awkward-dicom" / folder], tell=told.append))
    (volume,) = scans_of(opened)
    assert told == []  # resampled on its slices' positions: there is nothing to show before
    assert words in " ".join(volume.source.warnings)


def test_an_impossible_series_is_refused_in_words(shared_data: Path) -> None:
    event = last(reading([shared_data / "awkward-dicom" / "same-position"]))
    assert isinstance(event, Failed)
    assert event.message.startswith("slices at the same position")


def test_the_job_ends_with_an_error_that_is_ours(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise ScanError("the disk is gone; plug it in")

    monkeypatch.setattr("napari_ctlns.formats.scans.scan_parts", broken)
    event = last(reading([files["scan"]]))
    assert event == Failed(message="the disk is gone; plug it in")
    with pytest.raises(ScanError, match="the disk is gone"):
        list(reading_series(ScanFile(files["scan"])))
