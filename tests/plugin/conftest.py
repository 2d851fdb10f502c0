"""Viewers, sessions and a small scan for the tests of the plugin."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from qtpy.QtWidgets import QMessageBox

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.counted_singletons import keep_singletons_alive
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume

keep_singletons_alive()  # for windows that are opened without a session too

SCAN_ID = "1.2.826.0.1.3680043.2.1125.1"


@pytest.fixture
def held() -> list[object]:
    """What is put into it lives until Qt has drawn and closed the windows of a test.

    A panel that only a local variable holds may be collected while it is drawn for the last time.
    """
    return []


@pytest.fixture(autouse=True, scope="module")
def rubbish_goes_between_modules() -> Iterator[None]:
    """Collect what tests leave behind now, and not while windows of others are drawn.

    Measured with PySide6 6.11.3 and pyqtgraph 0.14: drawing a plot ended the process, always in
    the same test of a whole run and in none of the same tests alone.
    """
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def trainings_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer the question of a closing window, which would wait for a person for ever."""

    def stop(question: QMessageBox) -> int:
        (button,) = [b for b in question.buttons() if b.text() == "Stop it"]
        button.click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", stop)


@pytest.fixture(autouse=True)
def recoveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where windows keep unsaved work: of each test apart, so that none is offered another's."""
    folder = tmp_path / "recoveries"
    monkeypatch.setenv("CTLNS_RECOVERY", str(folder))
    return folder


@pytest.fixture
def volume() -> Volume:
    """A small chest-like scan: air, tissue around it, two balls of 60 HU, padding below -1024."""
    geometry = Geometry((24, 48, 48), (2.5, 1.0, 1.0), (-20.0, -30.0, 100.0))
    array = np.full(geometry.shape, 40, np.int16)
    array[:, 6:42, 6:42] = -850
    array[:, :2, :2] = -2000
    for (z, y, x), radius in BALLS:
        index = np.indices(geometry.shape)
        offset = (index - np.reshape((z, y, x), (3, 1, 1, 1))) * np.reshape(
            geometry.spacing, (3, 1, 1, 1)
        )
        array[(offset**2).sum(axis=0) <= radius**2] = 60
    return Volume(array, geometry, scan_id=SCAN_ID, patient_id="somebody")


BALLS = (((8, 16, 18), 6.0), ((15, 30, 28), 4.0))
"""Index and radius in mm of the balls of `volume`."""


@pytest.fixture
def annotations(volume: Volume) -> tuple[Annotation, ...]:
    """What is to be said of the balls of `volume`."""
    return tuple(
        Annotation(SCAN_ID, *(float(v) for v in volume.geometry.index_to_world(index)), 2 * radius)
        for index, radius in BALLS
    )


@pytest.fixture
def model_viewer() -> ViewerModel:
    """A viewer without a window."""
    return ViewerModel()


@pytest.fixture
def model_session(model_viewer: ViewerModel) -> Session:
    """The session of a viewer without a window."""
    return session_of(model_viewer)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    """A viewer in a real window."""
    return make_napari_viewer(show=True)


@pytest.fixture
def session(viewer: Viewer) -> Session:
    """The session of `viewer`."""
    return session_of(viewer)
