"""Files dropped on napari's own canvas, opened by its menus, or by a program."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from napari import Viewer
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.layers import Image, Points
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_ctlns.findings import Annotation
from napari_ctlns.formats import scans, write_annotations, write_volume
from napari_ctlns.plugin.default_reader import become_default_reader
from napari_ctlns.plugin.layers import is_coming
from napari_ctlns.plugin.opener import opener_of
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Volume

from . import bad_inputs

OURS = "CT Lung Nodules"
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
WAIT_MS = 20_000


@pytest.fixture(autouse=True)
def no_preferences() -> Iterator[None]:
    """No reader is preferred until a test says so."""
    plugins = get_settings().plugins
    before = plugins.extension2reader
    plugins.extension2reader = {}
    yield
    plugins.extension2reader = before


@pytest.fixture
def scan(tmp_path: Path, volume: Volume) -> Path:
    path = tmp_path / f"{volume.scan_id}.mhd"
    write_volume(volume, path)
    return path


@pytest.fixture
def table(tmp_path: Path, annotations: tuple[Annotation, ...]) -> Path:
    path = tmp_path / "annotations.csv"
    write_annotations(path, annotations)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Choose our reader whenever napari asks; what it asked for."""
    files: list[str] = []

    def answer(dialog: QtReaderDialog) -> tuple[str, bool]:
        files.append(Path(dialog._current_file).name)
        return OURS, False

    monkeypatch.setattr(QtReaderDialog, "get_user_choices", answer)
    return files


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    """What napari tells a person."""
    words: list[tuple[str, str]] = []

    def hear(notification: Any) -> None:
        words.append((str(notification.severity), notification.message))

    notification_manager.notification_ready.connect(hear)
    yield words
    notification_manager.notification_ready.disconnect(hear)


def drop(viewer: Viewer, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    window = viewer.window._qt_viewer
    copy = Qt.DropAction.CopyAction
    QApplication.sendEvent(window, QDragEnterEvent(QPoint(9, 9), copy, data, LEFT, NONE))
    QApplication.sendEvent(window, QDropEvent(QPointF(9, 9), copy, data, LEFT, NONE))


def kinds(viewer: Viewer) -> list[type]:
    return [type(layer) for layer in viewer.layers]


def settle(qtbot: QtBot, session: Session) -> None:
    """Wait until everything that was asked for is read."""
    opener = opener_of(session)
    qtbot.waitUntil(lambda: opener.work is None and not opener._asked, timeout=WAIT_MS)


# -- a scan and its table ---------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("preferred", "questions"), [((), 1), (("*.mhd",), 1), (("*annotations*.csv",), 1)]
)
def test_dropped_together_they_are_image_and_points(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    scan: Path,
    table: Path,
    asked: list[str],
    preferred: tuple[str, ...],
    questions: int,
    backwards: bool,
) -> None:
    get_settings().plugins.extension2reader = dict.fromkeys(preferred, "napari-ctlns")
    drop(viewer, *((table, scan) if backwards else (scan, table)))
    settle(qtbot, session)
    assert kinds(viewer) == [Image, Points]
    assert len(asked) == questions
    assert len(session.annotations.data) == 2
    assert session.volume.source.path == scan
    assert session.waiting == []


@pytest.mark.parametrize("backwards", [False, True])
def test_with_our_reader_as_the_default_nothing_is_asked(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    scan: Path,
    table: Path,
    asked: list[str],
    backwards: bool,
) -> None:
    become_default_reader()
    drop(viewer, *((table, scan) if backwards else (scan, table)))
    settle(qtbot, session)
    assert (kinds(viewer), asked) == ([Image, Points], [])


def test_a_table_that_comes_before_its_scan_waits_for_it(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    scan: Path,
    table: Path,
    told: list[tuple[str, str]],
) -> None:
    become_default_reader()
    drop(viewer, table)
    settle(qtbot, session)
    assert kinds(viewer) == []
    assert told == [("info", "annotations.csv waits: open its scan")]
    drop(viewer, scan)
    settle(qtbot, session)
    assert (kinds(viewer), session.waiting) == ([Image, Points], [])


def test_a_table_that_waits_is_placed_on_a_scan_that_comes_some_other_way(
    qtbot: QtBot, viewer: Viewer, session: Session, volume: Volume, table: Path
) -> None:
    become_default_reader()
    drop(viewer, table)
    settle(qtbot, session)
    session.add_scan(volume)
    settle(qtbot, session)
    assert kinds(viewer) == [Image, Points]


def test_a_scan_that_is_open_is_not_opened_again(
    qtbot: QtBot, viewer: Viewer, session: Session, scan: Path, table: Path, volume: Volume
) -> None:
    become_default_reader()
    drop(viewer, scan)
    settle(qtbot, session)
    first = session.scan
    session.add_scan(volume)
    drop(viewer, scan, table)
    settle(qtbot, session)
    assert kinds(viewer) == [Image, Image, Points]
    assert session.scan is first  # it is worked on again


# -- beside the window --------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Reading a scan goes on after its first slice, or at its beginning, with this."""
    go_on = threading.Event()
    real = scans.scan_parts

    def slowly(*args: Any, **kwargs: Any) -> Iterator[scans.Partial]:
        parts = real(*args, **kwargs)
        first = next(parts, None)
        if first is not None:
            yield first
        assert go_on.wait(60)
        if first is None:
            return (yield from real(*args, **kwargs))
        return (yield from parts)

    monkeypatch.setattr(scans, "scan_parts", slowly)
    yield go_on
    go_on.set()


def test_a_drop_comes_back_before_the_scan_is_read_and_can_be_cancelled(
    qtbot: QtBot, viewer: Viewer, session: Session, scan: Path, held: threading.Event
) -> None:
    become_default_reader()
    drop(viewer, scan)
    assert kinds(viewer) == []
    window = viewer.window._qt_window

    def bars() -> list[QtLabeledProgressBar]:
        every = window.findChildren(QtLabeledProgressBar)
        return [bar for bar in every if bar.description_label.text().startswith("Reading")]

    qtbot.waitUntil(lambda: len(bars()) == 1, timeout=WAIT_MS)
    bars()[0].cancel_button.click()
    held.set()
    settle(qtbot, session)
    assert kinds(viewer) == []
    qtbot.waitUntil(lambda: bars() == [], timeout=WAIT_MS)
    drop(viewer, scan)
    settle(qtbot, session)
    assert kinds(viewer) == [Image]


def test_the_menu_opens_files_as_a_drop_does(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    scan: Path,
    monkeypatch: pytest.MonkeyPatch,
    held: threading.Event,
) -> None:
    become_default_reader()
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(scan)], ""))
    viewer.window._qt_viewer._open_files_dialog()
    assert kinds(viewer) == []
    held.set()
    settle(qtbot, session)
    assert kinds(viewer) == [Image]


def test_a_bad_file_is_told_with_the_useful_words_first(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    scan: Path,
    told: list[tuple[str, str]],
    asked: list[str],
) -> None:
    become_default_reader()
    scan.with_suffix(".raw").unlink()
    drop(viewer, scan)
    settle(qtbot, session)
    ((severity, words),) = told
    assert severity == "error"
    assert words.startswith("Missing") or scan.with_suffix(".raw").name in words
    assert (kinds(viewer), asked) == ([], [])


def test_a_window_that_closes_while_it_reads_leaves_nothing_undone(
    qtbot: QtBot, make_napari_viewer: Callable[..., Viewer], tmp_path: Path, held: threading.Event
) -> None:
    bad_inputs.write_series(tmp_path / "series", [2.0 * k for k in range(6)])
    viewer = make_napari_viewer(show=True)
    session = session_of(viewer)
    opener = opener_of(session)
    opener.open([tmp_path / "series"], aloud=True)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT_MS)
    work = opener.work
    viewer.close()
    held.set()
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)


# -- the first slice -----------------------------------------------------------------------


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = tmp_path / "series"
    bad_inputs.write_series(folder, [2.0 * k for k in range(7)], WindowCenter=40, WindowWidth=400)
    return folder


def test_a_series_is_seen_before_it_is_whole_and_worked_on_when_it_is(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    series: Path,
    table: Path,
    held: threading.Event,
) -> None:
    opener_of(session).open([series])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT_MS)
    (layer,) = viewer.layers
    assert is_coming(layer)
    assert session.coming
    assert session.volume is None
    shown = viewer.dims.current_step[0]
    assert layer.data[shown].tolist() != layer.data[0].tolist()
    assert set(layer.data[0].ravel()) == {-1024}  # not read yet
    viewer.dims.set_current_step(0, 1)
    held.set()
    settle(qtbot, session)
    assert viewer.layers[0] is layer
    assert session.scan is layer
    assert not session.coming
    assert layer.locked
    assert viewer.dims.current_step[0] == 1  # where the person was
    assert [int(plane[0, 0]) for plane in layer.data] == [k - 1024 for k in range(7)]
    assert layer.data is session.volume.array


def test_what_the_person_did_to_the_window_stays(
    qtbot: QtBot, viewer: Viewer, session: Session, series: Path, held: threading.Event
) -> None:
    opener_of(session).open([series])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT_MS)
    viewer.layers[0].contrast_limits = (-900, -100)
    held.set()
    settle(qtbot, session)
    assert session.scan.contrast_limits == [-900, -100]


def test_taking_the_layer_away_ends_the_reading(
    qtbot: QtBot, viewer: Viewer, session: Session, series: Path, held: threading.Event
) -> None:
    opener_of(session).open([series])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT_MS)
    viewer.layers.clear()
    held.set()
    settle(qtbot, session)
    assert kinds(viewer) == []
    assert session.volume is None


def test_a_cancelled_reading_takes_its_layer_away(
    qtbot: QtBot, viewer: Viewer, session: Session, series: Path, held: threading.Event
) -> None:
    opener = opener_of(session)
    opener.open([series])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT_MS)
    opener.work.stop()
    held.set()
    settle(qtbot, session)
    assert kinds(viewer) == []
    assert opener.outcome.words == "cancelled"


def test_a_reading_that_fails_takes_its_layer_away(
    qtbot: QtBot,
    viewer: Viewer,
    session: Session,
    series: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = threading.Event()
    real = scans.scan_parts

    def torn(*args: Any, **kwargs: Any) -> Iterator[scans.Partial]:
        yield next(real(*args, **kwargs))
        assert shown.wait(60)
        raise scans.ScanError("truncated slice: 4.dcm; copy it again")

    monkeypatch.setattr(scans, "scan_parts", torn)
    opener = opener_of(session)
    opener.open([series])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT_MS)
    shown.set()
    settle(qtbot, session)
    assert kinds(viewer) == []
    assert opener.outcome.problems == ("truncated slice: 4.dcm; copy it again",)


# -- several series ------------------------------------------------------------------------


def test_of_several_series_one_is_chosen_in_the_scan_panel(
    qtbot: QtBot, viewer: Viewer, session: Session, tmp_path: Path, asked: list[str]
) -> None:
    folder = tmp_path / "several"
    for heights in ([0.0, 2.0, 4.0], [0.0, 1.0, 2.0, 3.0]):
        bad_inputs.write_series(folder, heights)
    drop(viewer, folder)
    settle(qtbot, session)
    (panel,) = viewer.window.dock_widgets.values()
    assert isinstance(panel, ScanPanel)
    assert len(asked) == 1
    names = panel.scan_choice.list
    assert panel.scan_choice.isVisible()
    texts = [names.item(row).text() for row in range(names.count())]
    assert sorted("4 slices" in text for text in texts) == [False, True]
    qtbot.keyClick(names, Qt.Key.Key_Down)
    chosen = opener_of(session).choices[1]
    qtbot.keyClick(names, Qt.Key.Key_Return)
    settle(qtbot, session)
    assert session.volume.scan_id == chosen.series
    assert not panel.scan_choice.isVisible()


# -- programs ------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_a_program_gets_its_layers_at_once_in_any_order(
    viewer: Viewer, scan: Path, table: Path, backwards: bool
) -> None:
    paths = (table, scan) if backwards else (scan, table)
    layers = viewer.open(paths, plugin="napari-ctlns")
    assert [type(layer) for layer in layers] == [Image, Points]
    assert session_of(viewer).scan is layers[0]
    assert session_of(viewer).waiting == []


def test_a_program_is_told_of_a_bad_file_by_an_error(viewer: Viewer, scan: Path) -> None:
    scan.with_suffix(".raw").unlink()
    with pytest.raises(scans.ScanError):
        viewer.open(scan, plugin="napari-ctlns")


def test_a_window_that_is_not_shown_counts_as_a_program(
    make_napari_viewer: Callable[..., Viewer], scan: Path, table: Path
) -> None:
    viewer = make_napari_viewer(show=False)
    become_default_reader()
    viewer.window._qt_viewer._qt_open([str(scan), str(table)], stack=False)
    assert kinds(viewer) == [Image, Points]
