"""What lies under the cursor."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.readout import NOTHING, cursor_readout_of, read_at
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

from .conftest import BALLS


def canvas_of(volume: Volume, index: tuple[float, float, float]) -> np.ndarray:
    return lps_to_canvas(volume.geometry, volume.geometry.index_to_world(index))


def test_a_voxel_is_read_where_it_lies(volume: Volume) -> None:
    index = BALLS[0][0]
    found = read_at(canvas_of(volume, index), volume)
    assert found.voxel == index
    assert found.hu == 60
    assert found.lps == pytest.approx((-20 + 18, -30 + 16, 100 + 2.5 * 8))
    assert found.label is None
    assert found.rows() == {
        "Value": "60 HU",
        "LPS xyz, mm": "-2.0, -14.0, 120.0",
        "Voxel zyx": "8, 16, 18",
        "Label": "",
    }


@pytest.mark.parametrize("beside", [-0.5, 0.49])
def test_the_nearest_voxel_counts_up_to_its_faces(volume: Volume, beside: float) -> None:
    assert read_at(canvas_of(volume, (8, 16, 18 + beside)), volume).voxel == (8, 16, 18)


@pytest.mark.parametrize("index", [(-0.6, 5, 5), (23.6, 5, 5), (5, 5, 47.5)])
def test_outside_is_said_to_be_outside(volume: Volume, index: tuple[float, float, float]) -> None:
    rows = read_at(canvas_of(volume, index), volume).rows()
    assert rows["Value"] == "outside the scan"
    assert rows["Voxel zyx"] == ""
    assert rows["LPS xyz, mm"] != ""


def test_padding_and_gaps_read_as_they_are_shown(volume: Volume) -> None:
    assert read_at(canvas_of(volume, (5, 0, 0)), volume).hu == -1024
    holes = volume.array.astype(np.float32)
    holes[5, 5, 5] = math.nan
    assert read_at(canvas_of(volume, (5, 5, 5)), replace(volume, array=holes)).hu == -1024


def test_an_oblique_scan_is_read_in_the_patients_millimetres() -> None:
    c, s = math.cos(0.3), math.sin(0.3)
    geometry = Geometry(
        (4, 5, 6), (2.0, 1.0, 1.0), (10.0, 20.0, 30.0), ((c, -s, 0), (s, c, 0), (0, 0, 1))
    )
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    volume = Volume(array, geometry)
    found = read_at(canvas_of(volume, (1, 2, 3)), volume)
    assert found.hu == array[1, 2, 3]
    assert found.lps == pytest.approx(tuple(geometry.index_to_world((1, 2, 3))))


def test_a_label_is_read_on_the_masks_own_grid(volume: Volume) -> None:
    finer = volume.geometry.resampled((2.5, 1 / 3, 1 / 3))
    labels = np.zeros(finer.shape, np.uint16)
    world = volume.geometry.index_to_world((8, 16, 18))
    labels[tuple(np.rint(finer.world_to_index(world)).astype(int))] = 300
    mask = Volume(labels, finer, "mask")
    assert read_at(canvas_of(volume, (8, 16, 18)), volume, mask).rows()["Label"] == "300"
    rows = read_at(canvas_of(volume, (2, 16, 18)), volume, mask).rows()
    assert rows["Label"] == "background"
    small = Volume(np.ones((2, 2, 2), np.uint8), volume.geometry.cropped((0, 0, 0), (2, 2, 2)))
    assert read_at(canvas_of(volume, (8, 16, 18)), volume, small).label is None


def test_a_session_has_one_readout(model_session: Session) -> None:
    assert cursor_readout_of(model_session) is cursor_readout_of(model_session)


def test_the_readout_follows_cursor_slice_scan_and_strokes(
    qtbot: QtBot, model_session: Session, volume: Volume
) -> None:
    readout = cursor_readout_of(model_session)
    viewer = model_session.viewer
    assert readout.rows() == NOTHING
    with qtbot.waitSignal(readout.changed):
        model_session.add_scan(volume)
    viewer.dims.set_current_step(0, BALLS[0][0][0])
    with qtbot.waitSignal(readout.changed) as told:
        viewer.cursor.position = tuple(canvas_of(volume, BALLS[0][0]))
    assert told.args is not None
    assert told.args[0]["Value"] == "60 HU"

    mask = model_session.add_mask(volume.mask(np.zeros(volume.array.shape, np.uint8)), "mask")
    assert readout.rows()["Label"] == "background"
    with qtbot.waitSignal(readout.changed):
        mask.data_setitem(tuple(np.array([i]) for i in BALLS[0][0]), 7)
    assert readout.rows()["Label"] == "7"

    with qtbot.waitSignal(readout.changed):
        viewer.dims.set_current_step(0, 2)
    assert readout.rows()["Voxel zyx"] == "2, 16, 18"

    with qtbot.waitSignal(readout.changed):
        viewer.dims.ndisplay = 3
    assert readout.rows() == {**NOTHING, "Value": "read in 2D only"}
    viewer.layers.clear()
    assert readout.rows() == NOTHING
