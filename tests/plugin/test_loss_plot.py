"""The curves of a training as a picture."""

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_ctlns.events import Metric
from napari_ctlns.plugin.curves import MOST_POINTS, RunCurves
from napari_ctlns.plugin.views import loss_plot
from napari_ctlns.plugin.views.loss_plot import LossPlot


@pytest.fixture
def plot(qtbot: QtBot) -> LossPlot:
    plot = LossPlot()
    qtbot.addWidget(plot)
    return plot


def learn(curves: RunCurves, epochs: range, rate: float = 1e-3) -> RunCurves:
    for epoch in epochs:
        for step in range(1, 11):
            curves.add(Metric(name="train/loss", step=10 * epoch + step, value=1 / (epoch + step)))
            curves.add(Metric(name="train/learning_rate", step=10 * epoch + step, value=rate))
        for name, value in (("epoch/train_loss", 0.5), ("val/loss", 0.6), ("val/dice", 0.4)):
            curves.add(Metric(name=name, step=10 * epoch + 10, value=value))
    return curves


def test_curves_and_numbers_are_shown(plot: LossPlot, qtbot: QtBot) -> None:
    with qtbot.waitSignal(plot.drawn):
        plot.show()
        plot.show_curves(learn(RunCurves(), range(3)))
    assert plot.words.text().startswith("Epoch 3: loss 0.5, validation loss 0.6, Dice 0.4")
    assert plot.points("train/loss") == 30
    assert plot.points("val/dice") == 3


def test_a_long_run_has_few_points(plot: LossPlot, qtbot: QtBot) -> None:
    with qtbot.waitSignal(plot.drawn):
        plot.show()
        plot.show_curves(learn(RunCurves(), range(500)))
    assert 0 < plot.points("train/loss") <= MOST_POINTS


def test_between_two_pictures_is_a_while(
    plot: LossPlot, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loss_plot.MS_BETWEEN_REDRAWS >= 500
    curves = RunCurves()
    with qtbot.waitSignal(plot.drawn):
        plot.show()
        plot.show_curves(curves)
    drawn: list[None] = []
    plot.drawn.connect(lambda: drawn.append(None))
    monkeypatch.setattr(loss_plot, "MS_BETWEEN_REDRAWS", 10_000_000)
    for epoch in range(20):
        learn(curves, range(epoch, epoch + 1))
        plot.freshen()
        qtbot.wait(1)
    assert drawn == []


def test_without_news_no_picture_is_made(
    plot: LossPlot, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_plot, "MS_BETWEEN_REDRAWS", 1)
    with qtbot.waitSignal(plot.drawn):
        plot.show()
        plot.show_curves(learn(RunCurves(), range(2)))
    with qtbot.assertNotEmitted(plot.drawn, wait=100):
        pass


def test_it_is_not_drawn_behind_another_tab(qtbot: QtBot) -> None:
    tabs, plot = QTabWidget(), LossPlot()
    qtbot.addWidget(tabs)
    tabs.addTab(QWidget(), "front")
    tabs.addTab(plot, "behind")
    tabs.show()
    qtbot.waitExposed(tabs)
    drawn: list[None] = []
    plot.drawn.connect(lambda: drawn.append(None))
    plot.show_curves(learn(RunCurves(), range(2)))
    qtbot.wait(100)
    assert drawn == []
    with qtbot.waitSignal(plot.drawn):
        tabs.setCurrentIndex(1)
    assert plot.points("val/loss") == 2


def test_no_number_breaks_it(plot: LossPlot, qtbot: QtBot) -> None:
    curves = learn(RunCurves(), range(2), rate=0.0)  # where a cosine ends
    curves.add(Metric(name="train/loss", step=21, value=float("nan")))
    curves.add(Metric(name="train/loss", step=22, value=float("inf")))
    with qtbot.waitSignal(plot.drawn):
        plot.show()
        plot.show_curves(curves)
    plot.grab()


def test_it_takes_the_colours_of_a_theme(plot: LossPlot, qtbot: QtBot) -> None:
    with qtbot.waitSignal(plot.drawn):
        plot.show()
        plot.show_curves(learn(RunCurves(), range(2)))
    corner = {}
    for background in ("#101418", "#f0ece8"):
        plot.set_colours(background, "#808080")
        picture = plot.canvas.grab().toImage()
        corner[background] = picture.pixelColor(picture.width() - 1, 0).lightness()
    assert corner["#101418"] < 50
    assert corner["#f0ece8"] > 200
