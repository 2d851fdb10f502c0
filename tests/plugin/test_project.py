"""A project file gives back what was open, wherever it was moved, and survives damage in words."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel

from napari_ctlns.errors import OutputError, ProjectError
from napari_ctlns.findings import Annotation, Findings, Opinion
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.maps import map_of, map_tuple
from napari_ctlns.plugin.project import (
    layer_data,
    restore,
    save_project,
    snapshot,
)
from napari_ctlns.plugin.project_file import read_project_file, write_project_file
from napari_ctlns.plugin.reading import read_into_viewer
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.windowing import Window
from napari_ctlns.volume import Volume


@pytest.fixture
def on_disk(tmp_path: Path, volume: Volume) -> Volume:
    """The scan as it is read from a file."""
    path = tmp_path / "scans" / f"{volume.scan_id}.mha"
    write_volume(volume, path)
    return read_scan(path)


@pytest.fixture
def at_work(
    model_session: Session, on_disk: Volume, annotations: tuple[Annotation, ...], tmp_path: Path
) -> Session:
    """A scan through a window of its own, a mask with findings, annotations, a view."""
    fill(model_session, on_disk, annotations)
    for name in ("model", "run"):
        (tmp_path / name).mkdir()
    model_session.choose_model(tmp_path / "model")
    model_session.watch_run(tmp_path / "run")
    return model_session


def fill(session: Session, volume: Volume, annotations: tuple[Annotation, ...]) -> None:
    scan = session.add_scan(volume, Window(-160.5, 240.25))
    scan.colormap = "bone"
    scan.opacity = 0.75
    array = (volume.array == 60).astype(np.uint16)
    array[12:] *= 300
    findings = Findings(scan_id=volume.scan_id).follow(array, "model")
    findings = findings.judged({1: Opinion(0.75, "vessel")})
    mask = session.add_mask(volume.mask(array), "balls", findings)
    mask.contour = 2
    mask.selected_label = 300
    findings = of.findings_of(mask)
    noted = findings.change(findings.of_label(300).uid, status="accepted", note="looks solid")
    of.keep_findings(mask, noted, of.mask_of(mask))
    empty = volume.mask(np.zeros(volume.geometry.shape, np.uint8))
    session.add_mask(empty, "second").visible = False
    session.add_annotations(annotations, volume)
    session.choose(mask)
    session.viewer.dims.set_current_step(0, 8)


def through_a_file(session: Session, path: Path) -> Session:
    """Save, and open in another viewer."""
    save_project(session, path)
    other = session_of(KEPT.setdefault(path, ViewerModel()))
    restore(other, read_project_file(path))
    return other


KEPT: dict[Path, ViewerModel] = {}
"""A session goes with its viewer."""


@pytest.fixture(autouse=True)
def _forget_viewers() -> Any:
    yield
    KEPT.clear()


# -- the way there and back ------------------------------------------------------------------


def test_what_a_model_thought_comes_back_and_previews_do_not(
    model_session: Session, on_disk: Volume, tmp_path: Path
) -> None:
    model_session.add_scan(on_disk)
    thought = np.linspace(0, 1, on_disk.array.size, dtype=np.float16).reshape(on_disk.array.shape)
    model_session.add(map_tuple(on_disk.probability(thought), "probability", "probability, a"))
    model_session.add(of.preview_tuple(on_disk.geometry, "preview"))
    project, _ = snapshot(model_session)
    assert project.warnings == ()
    again = through_a_file(model_session, tmp_path / "a.ctlns")
    _, layer = again.viewer.layers
    assert layer.name == "probability, a"
    assert not layer.visible
    assert np.array_equal(layer.data, thought)
    known = map_of(layer)
    assert known is not None
    assert (known.kind, known.scan_id) == ("probability", on_disk.scan_id)
    assert known.geometry.same_grid(on_disk.geometry)
    assert again.layers_for("scan") == [again.scan]


def test_everything_comes_back(
    at_work: Session, tmp_path: Path, annotations: tuple[Annotation, ...]
) -> None:
    again = through_a_file(at_work, tmp_path / "a.ctlns")
    names = [layer.name for layer in at_work.viewer.layers]
    assert [layer.name for layer in again.viewer.layers] == names
    scan, mask, second, points = again.viewer.layers
    old_mask = at_work.viewer.layers["balls"]
    assert of.scan_of(scan).geometry == at_work.volume.geometry
    assert of.scan_of(scan).source.path == at_work.volume.source.path
    assert tuple(scan.contrast_limits) == (-160.5, 240.25)
    assert (scan.colormap.name, scan.opacity, bool(scan.locked)) == ("bone", 0.75, True)
    assert np.array_equal(mask.data, old_mask.data)
    assert mask.data.dtype == np.uint16
    assert of.findings_of(mask) == of.findings_of(old_mask)
    assert of.mask_of(mask).geometry == at_work.volume.geometry
    assert (mask.contour, mask.selected_label, mask.visible) == (2, 300, True)
    assert not second.visible
    assert of.annotations_of_layer(points) == annotations


def test_it_is_worked_on_and_seen_as_before(at_work: Session, tmp_path: Path) -> None:
    at_work.viewer.dims.order = (1, 0, 2)
    at_work.viewer.dims.set_current_step(1, 17)
    at_work.viewer.scene.camera.center = (0.0, 110.0, 3.0)
    at_work.viewer.scene.camera.zoom = 4.5
    again = through_a_file(at_work, tmp_path / "a.ctlns")
    assert again.mask.name == "balls"
    assert again.scan.name == at_work.scan.name
    one, other = at_work.viewer, again.viewer
    assert one.dims.current_step[:2] == (8, 17)
    assert other.dims.current_step == one.dims.current_step
    assert other.dims.order == (1, 0, 2)
    assert np.allclose(other.scene.camera.center, one.scene.camera.center)
    assert other.scene.camera.zoom == 4.5
    assert other.scene.camera.orientation == ("away", "down", "right")
    assert again.model == tmp_path / "model"
    assert again.run == tmp_path / "run"


def test_three_dimensions_are_seen_again(at_work: Session, tmp_path: Path) -> None:
    at_work.mask.contour = 0  # napari warns that it draws none in 3D
    at_work.viewer.dims.ndisplay = 3
    at_work.viewer.scene.camera.angles = (10.0, 20.0, 30.0)
    again = through_a_file(at_work, tmp_path / "a.ctlns")
    assert again.viewer.dims.ndisplay == 3
    assert np.allclose(again.viewer.scene.camera.angles, (10, 20, 30))


def test_what_was_saved_and_opened_counts_as_saved(at_work: Session, tmp_path: Path) -> None:
    mask = at_work.mask
    assert at_work.is_unsaved(mask)
    again = through_a_file(at_work, tmp_path / "a.ctlns")
    for session in (at_work, again):
        assert not any(session.is_unsaved(layer) for layer in session.viewer.layers)
    again.mask.paint((5, 10, 10), 1)
    assert again.is_unsaved(again.mask)


def test_a_snapshot_is_of_its_moment(at_work: Session, tmp_path: Path) -> None:
    before = at_work.mask.data.copy()
    project, layers = snapshot(at_work)
    at_work.mask.paint((5, 10, 10), 7)
    write_project_file(project, tmp_path / "a.ctlns")
    assert np.array_equal(layer_data(read_project_file(tmp_path / "a.ctlns"))[1][0], before)
    assert [layer.name for layer in layers] == ["balls", "second", "annotations"]


def test_a_scan_without_a_file_is_kept_inside(
    model_session: Session, volume: Volume, tmp_path: Path
) -> None:
    model_session.add_scan(volume)
    again = through_a_file(model_session, tmp_path / "a.ctlns")
    assert np.array_equal(again.volume.array, volume.array)
    assert again.volume.array.dtype == volume.array.dtype
    assert again.volume.geometry == volume.geometry
    assert (again.volume.scan_id, again.volume.patient_id) == (volume.scan_id, "somebody")


def test_layers_that_are_not_ours_are_left_out_in_words(at_work: Session, tmp_path: Path) -> None:
    at_work.viewer.add_image(np.zeros((3, 4, 5)), name="picture", units="mm")
    at_work.viewer.add_labels(np.zeros((4, 5), np.uint8), name="flat", units="mm")
    words = save_project(at_work, tmp_path / "a.ctlns")
    assert len(words) == 2
    assert "picture is no scan" in words[0]
    assert "flat" in words[1]


def test_a_new_labels_layer_of_naparis_is_kept(
    at_work: Session, on_disk: Volume, tmp_path: Path
) -> None:
    at_work.viewer.layers.selection.active = at_work.scan
    at_work.viewer._new_labels()
    layer = at_work.mask
    layer.paint((5, 10, 10), 3)
    again = through_a_file(at_work, tmp_path / "a.ctlns")
    assert np.array_equal(again.viewer.layers[layer.name].data, layer.data)
    assert of.mask_of(again.viewer.layers[layer.name]).geometry == on_disk.geometry


# -- scans that moved --------------------------------------------------------------------------


def test_scan_and_project_may_move_together(at_work: Session, tmp_path: Path) -> None:
    save_project(at_work, tmp_path / "work" / "a.ctlns")
    away = tmp_path / "elsewhere"
    away.mkdir()
    for name in ("work", "scans", "model"):
        shutil.move(tmp_path / name, away / name)
    project = read_project_file(away / "work" / "a.ctlns")
    assert project.warnings == ()
    assert project.scans[0].source.path == away / "scans" / at_work.volume.source.path.name
    assert project.model == away / "model"


def test_the_project_may_move_alone(at_work: Session, tmp_path: Path) -> None:
    save_project(at_work, tmp_path / "a.ctlns")
    (tmp_path / "x" / "y").mkdir(parents=True)
    shutil.move(tmp_path / "a.ctlns", tmp_path / "x" / "y" / "a.ctlns")
    project = read_project_file(tmp_path / "x" / "y" / "a.ctlns")
    assert project.scans[0].source.path == at_work.volume.source.path


def test_what_was_drawn_is_there_without_its_scan(
    at_work: Session, model_viewer: ViewerModel, tmp_path: Path, annotations: Any
) -> None:
    save_project(at_work, tmp_path / "a.ctlns")
    shutil.rmtree(tmp_path / "scans")
    project = read_project_file(tmp_path / "a.ctlns")
    (words,) = project.warnings
    assert words.startswith(f"scan not found: {at_work.scan.name};")
    viewer = ViewerModel()
    again = session_of(viewer)
    restore(again, project)
    assert again.scan is None
    assert [layer.name for layer in viewer.layers] == ["balls", "second", "annotations"]
    assert of.mask_of(again.mask).geometry == at_work.volume.geometry
    assert of.annotations_of_layer(again.annotations) == annotations


def test_another_scan_in_its_place_is_not_taken_for_it(
    at_work: Session, on_disk: Volume, tmp_path: Path
) -> None:
    save_project(at_work, tmp_path / "a.ctlns")
    moved = replace(on_disk.geometry, origin=(0.0, 0.0, 0.0))
    write_volume(replace(on_disk, geometry=moved), on_disk.source.path)
    project = read_project_file(tmp_path / "a.ctlns")
    assert project.scans == {}
    assert "is another scan now" in project.warnings[0]


def test_a_real_series_among_others_is_found_again(
    model_session: Session, shared_data: Path, tmp_path: Path
) -> None:
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
    model_session.add_scan(read_scan(shared_data, series=uid))
    again = through_a_file(model_session, tmp_path / "a.ctlns")
    assert again.volume.scan_id == uid
    assert np.array_equal(again.volume.array, model_session.volume.array)


# -- damage and malice --------------------------------------------------------------------------


Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def forge(at_work: Session, tmp_path: Path) -> Callable[..., Path]:
    """Write a project whose contents or arrays were changed."""
    save_project(at_work, tmp_path / "good.ctlns")

    def write(change: Change | None = None, arrays: dict[str, bytes] | None = None) -> Path:
        bad = tmp_path / "bad.ctlns"
        with zipfile.ZipFile(tmp_path / "good.ctlns") as good, zipfile.ZipFile(bad, "w") as out:
            members = {name: good.read(name) for name in good.namelist()} | (arrays or {})
            contents = json.loads(members["project.json"])
            if change is not None:
                change(contents)
            members["project.json"] = json.dumps(contents).encode()
            for name, data in members.items():
                out.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return bad

    return write


def test_a_forged_but_unchanged_project_opens(forge: Callable[..., Path]) -> None:
    assert len(read_project_file(forge()).arrays) == 2


def test_a_newer_project_asks_for_an_update(forge: Callable[..., Path]) -> None:
    def newer(contents: dict[str, Any]) -> None:
        contents.clear()
        contents.update(format_version=4, layers="of another kind")

    with pytest.raises(ProjectError, match=r"^project format 4 is newer than 3: update"):
        read_project_file(forge(newer))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("layers") and c.update(layers=3),
        lambda c: c["layers"][1].update(array="../../outside.npy"),
        lambda c: c["layers"][1].update(array="arrays/77.npy"),
        lambda c: c["layers"][1]["geometry"].update(shape=[24, 48, 49]),
        lambda c: c["layers"][1]["geometry"].update(shape=[1 << 40, 48, 48]),
        lambda c: c["layers"][1]["geometry"].update(shape=[-24, 48, -48]),
        lambda c: c["layers"][1]["geometry"].update(spacing=[0, 1, 1]),
        lambda c: c["layers"][1]["geometry"].update(direction=[[1, 0, 0], [1, 0, 0], [0, 0, 1]]),
        lambda c: c["layers"][1]["geometry"].update(source_axes=[0, 0, 7]),
        lambda c: c["layers"][1].update(kind="program"),
        lambda c: c["view"].update(zoom=-1),
    ],
)
def test_impossible_contents_are_refused(forge: Callable[..., Path], change: Change) -> None:
    with pytest.raises(ProjectError, match=r"^damaged project"):
        read_project_file(forge(change))


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def bomb() -> bytes:
    """A header of the right shape and far too much behind it."""
    return npy(np.zeros((24, 48, 48), np.uint16)) + bytes(1_000_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an array",
        npy(np.array([[[print]]], dtype=object), allow_pickle=True),
        npy(np.zeros((24, 48, 47), np.uint16)),
        npy(np.zeros((24, 48, 48), np.float32)),
        npy(np.zeros((24, 48, 48), np.uint16))[:-1],
        npy(np.asfortranarray(np.zeros((24, 48, 48), np.uint16))),
        bomb(),
    ],
    ids=["empty", "text", "pickle", "shape", "floats", "short", "order", "bomb"],
)
def test_impossible_arrays_are_refused(forge: Callable[..., Path], data: bytes) -> None:
    with pytest.raises(ProjectError, match=r"^damaged project"):
        read_project_file(forge(arrays={"arrays/0.npy": data}))


def test_a_flipped_or_missing_byte_is_noticed(at_work: Session, tmp_path: Path) -> None:
    save_project(at_work, tmp_path / "a.ctlns")
    whole = (tmp_path / "a.ctlns").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.ctlns") as archive:
        info = archive.getinfo("arrays/0.npy")
    place = info.header_offset + 30 + len("arrays/0.npy") + info.compress_size // 2
    for damaged in (
        whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :],
        whole[:-100],
        whole[:100],
        b"",
    ):
        (tmp_path / "a.ctlns").write_bytes(damaged)
        with pytest.raises(ProjectError, match=r"^damaged project"):
            read_project_file(tmp_path / "a.ctlns")


def test_no_project_and_no_place_are_told(at_work: Session, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no such project"):
        read_project_file(tmp_path / "none.ctlns")
    with pytest.raises(ProjectError, match="cannot read"):
        read_project_file(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save_project(at_work, tmp_path / "file" / "a.ctlns")
    assert at_work.is_unsaved(at_work.mask)


def test_a_project_that_cannot_be_written_leaves_the_old_one(
    at_work: Session, tmp_path: Path
) -> None:
    path = tmp_path / "a.ctlns"
    save_project(at_work, path)
    before = path.read_bytes()
    project, _ = snapshot(at_work)
    broken = replace(project, arrays={"arrays/0.npy": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="pickle"):
        write_project_file(broken, path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


# -- in the window -------------------------------------------------------------------------------


def test_napari_opens_a_project_in_the_viewer_in_front(
    at_work: Session, tmp_path: Path, viewer: Viewer, session: Session
) -> None:
    save_project(at_work, tmp_path / "a.ctlns")
    assert read_into_viewer(str(tmp_path / "a.ctlns")) == [(None,)]
    assert [layer.name for layer in viewer.layers][1:] == ["balls", "second", "annotations"]
    assert session.mask is viewer.layers["balls"]
    assert viewer.dims.current_step[0] == 8
