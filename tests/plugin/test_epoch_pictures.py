"""Pictures of epochs: the newest, and those before."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_ctlns.plugin.views.epoch_pictures import EpochPictures
from napari_ctlns.plugin.views.picture import Picture

LONG = 60_000


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Path]:
    """Write the picture of an epoch, whose red tells it."""

    def make_(epoch: int, size: tuple[int, int] = (300, 100)) -> Path:
        path = tmp_path / f"epoch-{epoch:04d}.png"
        Image.new("RGB", size, (epoch, 0, 0)).save(path)
        return path

    return make_


@pytest.fixture
def pictures(qtbot: QtBot) -> EpochPictures:
    widget = EpochPictures()
    qtbot.addWidget(widget)
    widget.resize(320, 140)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def red(picture: Picture) -> int:
    return picture.grab().toImage().pixelColor(picture.width() // 2, 3).red()


def test_the_newest_is_followed(
    pictures: EpochPictures, make: Callable[[int], Path], qtbot: QtBot
) -> None:
    assert not pictures.picture.has_picture
    assert not pictures.slider.isEnabled()
    for epoch in (1, 2, 3):
        pictures.add(make(epoch))
        qtbot.waitUntil(lambda e=epoch: red(pictures.picture) == e, timeout=LONG)
    assert "3 of 3" in pictures.slider.toolTip()


def test_an_earlier_one_stays_in_sight(
    pictures: EpochPictures, make: Callable[[int], Path], qtbot: QtBot
) -> None:
    for epoch in (1, 2, 3):
        pictures.add(make(epoch))
    pictures.slider.setFocus()
    qtbot.keyClick(pictures.slider, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: red(pictures.picture) == 2, timeout=LONG)
    pictures.add(make(4))
    assert pictures.shown.stem == "epoch-0002"
    qtbot.keyClick(pictures.slider, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: red(pictures.picture) == 4, timeout=LONG)


def test_an_epoch_that_is_done_again_takes_the_place_of_the_old_one(
    pictures: EpochPictures, make: Callable[[int], Path], qtbot: QtBot
) -> None:
    for epoch in (1, 2, 3):
        pictures.add(make(epoch))
    path = make(2)
    Image.new("RGB", (300, 100), (200, 0, 0)).save(path)
    pictures.add(path)
    assert pictures.slider.maximum() == 1
    qtbot.waitUntil(lambda: red(pictures.picture) == 200, timeout=LONG)


def test_another_run_begins_with_none(pictures: EpochPictures, make: Callable[[int], Path]) -> None:
    pictures.add(make(1))
    pictures.clear()
    assert pictures.shown is None
    assert not pictures.picture.has_picture


def test_a_picture_that_is_not_there_is_said(
    pictures: EpochPictures, tmp_path: Path, qtbot: QtBot
) -> None:
    broken = tmp_path / "epoch-0001.png"
    broken.write_bytes(b"\x89PNG half of it")
    for path in (broken, tmp_path / "epoch-0002.png"):
        pictures.add(path)
        words = f"No picture at {path}"
        qtbot.waitUntil(
            lambda w=words: pictures.picture.text().replace("\u200b", "") == w, timeout=LONG
        )


def test_nothing_is_read_behind_another_tab(make: Callable[[int], Path], qtbot: QtBot) -> None:
    tabs, behind = QTabWidget(), EpochPictures()
    qtbot.addWidget(tabs)
    tabs.addTab(QWidget(), "front")
    tabs.addTab(behind, "behind")
    tabs.show()
    qtbot.waitExposed(tabs)
    behind.add(make(7))
    qtbot.wait(300)
    assert not behind.picture.has_picture
    tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: behind.picture.has_picture, timeout=LONG)


def test_it_is_scaled_alike_in_both_directions(qtbot: QtBot, make: Callable[..., Path]) -> None:
    picture = Picture(QSize(300, 100))
    qtbot.addWidget(picture)
    assert picture.heightForWidth(330) == 110
    assert picture.show_file(make(1, (400, 100)))
    assert picture.heightForWidth(200) == 50
    picture.resize(200, 200)
    picture.show()
    drawn = picture.grab().toImage()
    assert drawn.pixelColor(100, 45).red() == 1
    assert drawn.pixelColor(100, 60).red() != 1  # below it there is nothing
