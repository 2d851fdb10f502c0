"""Going to a place: the slice, the camera, and what stays."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Volume

INDEX = (15, 30, 28)


@pytest.fixture
def point(volume: Volume) -> tuple[float, ...]:
    """Canvas millimetres of `INDEX`."""
    corner = volume.geometry.origin[::-1]
    spacing = volume.geometry.spacing
    return tuple(c + i * s for c, i, s in zip(corner, INDEX, spacing, strict=True))


def test_the_slice_and_the_camera_go_there_and_the_zoom_stays(
    model_session: Session, volume: Volume, point: tuple[float, ...]
) -> None:
    model_session.add_scan(volume)
    viewer = model_session.viewer
    viewer.scene.camera.zoom = 7.5
    go_to(viewer, point)
    assert viewer.dims.current_step == INDEX
    assert np.allclose(viewer.scene.camera.center[-2:], point[1:])
    assert viewer.scene.camera.zoom == 7.5


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_the_camera_centres_on_the_axes_that_are_shown(
    model_session: Session, volume: Volume, point: tuple[float, ...], order: tuple[int, ...]
) -> None:
    model_session.add_scan(volume)
    viewer = model_session.viewer
    viewer.dims.order = order
    go_to(viewer, point)
    assert viewer.dims.current_step == INDEX
    assert np.allclose(viewer.scene.camera.center[-2:], [point[axis] for axis in order[1:]])


def test_in_3d_the_camera_turns_around_the_point(
    model_session: Session, volume: Volume, point: tuple[float, ...]
) -> None:
    model_session.add_scan(volume)
    viewer = model_session.viewer
    viewer.dims.ndisplay = 3
    go_to(viewer, point)
    assert np.allclose(viewer.scene.camera.center, point)


def test_an_axis_of_another_layer_is_left_alone(
    model_viewer: ViewerModel, volume: Volume, point: tuple[float, ...]
) -> None:
    spacing, corner = volume.geometry.spacing, volume.geometry.origin[::-1]
    model_viewer.add_image(
        np.zeros((4, *volume.geometry.shape)), scale=(1, *spacing), translate=(0, *corner)
    )
    model_viewer.dims.set_current_step(0, 2)
    go_to(model_viewer, point)
    assert model_viewer.dims.current_step == (2, *INDEX)
