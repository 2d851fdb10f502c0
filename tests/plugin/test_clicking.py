"""Clicks become nodules with findings and rows, one step each, and back again."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click import Clicks, click_mask
from napari_ctlns.masks.islands import Part
from napari_ctlns.plugin.click_words import kind_of, size_in_words
from napari_ctlns.plugin.clicking import Clicking, clicking_of
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

from .conftest import BALLS

LONG = 60_000
BIG, SMALL = (index for index, _ in BALLS)
LUNG = (4, 8, 38)
"""An index where there is no nodule."""


def balls(scan: Volume, clicks: Clicks) -> Part:
    """A method of clicks as plain as can be: balls about places inside, none outside."""
    index = np.moveaxis(np.indices(scan.geometry.shape), 0, -1)
    world = scan.geometry.index_to_world(index)
    inside = np.zeros(scan.geometry.shape, bool)
    for place in clicks.inside:
        if scan.array[tuple(np.rint(scan.geometry.world_to_index(place)).astype(int))] < -500:
            raise ClickError("nothing like a nodule at the click; click on its middle")
        radius = (clicks.diameter_mm or 8) / 2 - 2 * clicks.tightness
        inside |= np.linalg.norm(world - place, axis=-1) <= radius
    for place in clicks.outside:
        inside &= np.linalg.norm(world - place, axis=-1) > 3
    z, y, x = (slice(0, n) for n in inside.shape)
    return Part((z, y, x), inside, int(inside.sum()))


@pytest.fixture
def clicking(model_session: Session, volume: Volume) -> Clicking:
    """Clicks on the scan with its two balls, made into masks by `balls`."""
    model_session.add_scan(volume)
    clicking = clicking_of(model_session)
    clicking.segmenter = balls
    return clicking


@pytest.fixture
def said(clicking: Clicking) -> list[tuple[str, bool]]:
    """What it says."""
    words: list[tuple[str, bool]] = []
    clicking.said.connect(lambda text, trouble: words.append((text, trouble)))
    return words


class Person:
    """Clicks on voxels and waits."""

    def __init__(self, clicking: Clicking, session: Session, volume: Volume, qtbot: QtBot) -> None:
        self._clicking, self._session, self._qtbot = clicking, session, qtbot
        self._volume = volume

    @property
    def layer(self) -> Labels:
        layer = self._session.mask
        assert layer is not None
        return layer

    def click(self, doing: str, index: tuple[int, int, int], diameter: float | None = None) -> None:
        self.begin(doing, index, diameter)
        self.wait()

    def begin(self, doing: str, index: tuple[int, int, int], diameter: float | None = None) -> None:
        geometry = self._volume.geometry
        corner = np.array(geometry.origin)[::-1]
        canvas = np.array(index) * geometry.spacing + corner
        self._clicking.click(doing, canvas, diameter, pixel=(1.0, 2.0))  # type: ignore[arg-type]

    def wait(self) -> None:
        self._qtbot.waitUntil(lambda: not self._clicking.busy, timeout=LONG)

    def voxels(self, label: int = 1) -> int:
        return int(np.count_nonzero(self.layer.data == label))


@pytest.fixture
def person(clicking: Clicking, model_session: Session, volume: Volume, qtbot: QtBot) -> Person:
    return Person(clicking, model_session, volume, qtbot)


def test_a_click_makes_layer_label_finding_and_row(
    person: Person, model_session: Session, volume: Volume, said: list, qtbot: QtBot
) -> None:
    person.click("new", BIG)
    layer = person.layer
    assert layer.name == "nodules"
    assert np.array_equal(layer.scale, volume.geometry.spacing)
    truth = balls(volume, Clicks((lps(volume, BIG),))).inside
    assert np.array_equal(layer.data == 1, truth)
    finding = findings_of(layer).of_label(1)
    assert (finding.origin, finding.status, finding.edited) == ("click", "new", False)
    assert layer.selected_label == 1
    assert model_session.viewer.layers.selection.active is layer
    qtbot.waitUntil(lambda: not model_session.is_stale(layer), timeout=LONG)
    table = model_session.table(layer)
    assert table is not None
    assert table["voxels"].tolist() == [truth.sum()]
    assert findings_of(layer).of_label(1) == finding  # its row changes nothing of it
    assert said[-1][0].startswith(f"Nodule 1: {table['mean_diameter_mm'].iloc[0]:.1f} mm, ")
    assert said[-1][0].endswith(" mm³, solid")
    assert model_session.is_unsaved(layer)


def lps(volume: Volume, index: tuple[int, int, int]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in volume.geometry.index_to_world(index))
    return x, y, z


def test_undo_and_redo_take_the_nodule_its_finding_and_its_clicks_along(
    person: Person, clicking: Clicking, model_session: Session
) -> None:
    person.click("new", BIG)
    person.click("new", SMALL)
    layer = person.layer
    uid = findings_of(layer).of_label(2).uid
    first, both = layer.data == 1, layer.data.copy()
    layer.undo()
    assert np.array_equal(layer.data, first)
    assert findings_of(layer).labels == {1}
    assert uid not in clicking.nodules.of(layer)
    assert clicking.current() == 0
    layer.redo()
    assert np.array_equal(layer.data, both)
    assert (findings_of(layer).of_label(2).uid, findings_of(layer).of_label(2).origin) == (
        uid,
        "click",
    )
    assert clicking.current() == 2
    person.click("add", (15, 30, 31))
    assert len(clicking.nodules.of(layer)[uid].clicks.inside) == 2
    assert person.voxels(2) > (both == 2).sum()
    layer.undo()  # one step back, whatever it was made of
    assert np.array_equal(layer.data, both)
    assert len(clicking.nodules.of(layer)[uid].clicks.inside) == 1
    layer.undo()
    layer.undo()
    assert not layer.data.any()
    assert findings_of(layer).labels == frozenset()
    person.click("new", SMALL)
    assert set(np.unique(layer.data)) == {0, 1}  # the smallest label that is free


def test_more_clicks_add_and_take_away_and_never_touch_others(
    person: Person, model_session: Session, volume: Volume
) -> None:
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[8, 16, 22] = 5  # of a person, where the first nodule will be
    layer = model_session.add_mask(volume.mask(labels), "mine")
    person.click("new", BIG)
    one = person.voxels()
    assert layer.data[8, 16, 22] == 5
    uid = findings_of(layer).of_label(1).uid
    person.click("add", (8, 16, 14))
    more = person.voxels()
    assert more > one
    person.click("take", (8, 16, 11))
    assert person.voxels() < more
    assert layer.data[8, 16, 11] == 0
    assert layer.data[8, 16, 22] == 5
    assert findings_of(layer).of_label(1).uid == uid
    assert set(np.unique(layer.data)) == {0, 1, 5}


def test_strokes_stay_when_the_nodule_is_drawn_again(
    person: Person, clicking: Clicking, said: list
) -> None:
    person.click("new", BIG)
    layer = person.layer
    layer.data_setitem((np.array([8]), np.array([16]), np.array([28])), 1)
    layer.data_setitem((np.array([8]), np.array([16]), np.array([18])), 0)
    clicking.set_tightness(-0.5)
    person.wait()
    assert layer.data[8, 16, 28] == 1
    assert layer.data[8, 16, 18] == 0
    assert ("your strokes stay" in said[-1][0], said[-1][1]) == (True, False)
    layer.undo()
    assert layer.data[8, 16, 28] == 1
    layer.undo()
    layer.undo()
    assert (layer.data[8, 16, 28], layer.data[8, 16, 18]) == (0, 1)


def test_tightness_is_that_of_the_nodule_worked_on_and_bounded(
    person: Person, clicking: Clicking, volume: Volume
) -> None:
    clicking.set_tightness(0.3)  # without a nodule: of the next one
    person.click("new", BIG)
    layer = person.layer
    tight = person.voxels()
    for _ in range(5):  # faster than it is worked out
        clicking.set_tightness(clicking.tightness - 0.9)
    person.wait()
    assert clicking.tightness == -1
    assert person.voxels() > tight
    layer.undo()  # what came while the first was worked out is one step
    layer.undo()
    assert person.voxels() == tight
    assert clicking.tightness == 0.3
    clicks = clicking.nodules.of(layer)[findings_of(layer).of_label(1).uid].clicks
    assert clicks == Clicks((lps(volume, BIG),), (), None, 0.3)


def test_a_diameter_is_passed_on(person: Person, clicking: Clicking) -> None:
    person.click("new", BIG, 12.0)
    large = person.voxels()
    person.layer.undo()
    person.click("new", BIG)
    assert large > person.voxels()


def test_what_is_no_nodule_is_refused_in_words_and_leaves_nothing(
    person: Person, clicking: Clicking, model_session: Session, said: list, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(clicking.missed) as missed:
        person.click("new", LUNG)
    assert missed.args == [(1.0, 2.0)]
    assert said == [("nothing like a nodule at the click; click on its middle", True)]
    assert model_session.mask is None  # no empty layer either
    person.click("new", (8, 16, 90))
    assert said[-1] == ("outside the scan: click on a nodule in the picture", True)
    person.click("add", BIG)
    assert said[-1] == ("no nodule was clicked yet: click on one first", True)
    person.click("new", BIG)
    before = person.layer.data.copy()
    person.click("add", LUNG)
    assert said[-1][1]
    assert np.array_equal(person.layer.data, before)


def test_an_error_that_nobody_thought_of_is_words_too(
    person: Person, clicking: Clicking, said: list
) -> None:
    def broken(scan: Volume, clicks: Clicks) -> Part:
        raise ZeroDivisionError("oh")

    clicking.segmenter = broken
    person.click("new", BIG)
    assert said[-1][1]
    assert "please report it" in said[-1][0]
    clicking.segmenter = balls
    person.click("new", BIG)
    assert not said[-1][1]


def test_clicks_that_come_meanwhile_wait_and_are_not_lost(
    person: Person, clicking: Clicking, qtbot: QtBot
) -> None:
    go = threading.Event()

    def slow(scan: Volume, clicks: Clicks) -> Part:
        assert go.wait(60)
        return balls(scan, clicks)

    clicking.segmenter = slow
    person.begin("new", BIG)
    person.begin("new", SMALL)
    person.begin("take", (15, 30, 30))
    assert clicking.busy  # and the window is not
    go.set()
    person.wait()
    assert findings_of(person.layer).labels == {1, 2}
    assert person.layer.data[15, 30, 30] == 0
    assert person.layer.data[15, 30, 26] == 2


def test_a_click_on_a_nodule_that_is_there_picks_it(
    person: Person, clicking: Clicking, model_session: Session, volume: Volume, said: list
) -> None:
    person.click("new", BIG)
    person.click("new", SMALL)
    layer = person.layer
    before = layer.data.copy()
    person.click("new", BIG)
    assert np.array_equal(layer.data, before)
    assert (clicking.current(), layer.selected_label) == (1, 1)
    assert said[-1][0].startswith("Nodule 1: Shift+click adds")
    layer.data_setitem((np.array([2]), np.array([20]), np.array([20])), 9)
    person.click("new", (2, 20, 20))
    assert said[-1] == ("nodule 9 is here already; Correct or the brush change it", True)
    person.click("add", (15, 30, 30))  # in the other nodule: that one is meant
    assert clicking.current() == 2


def test_a_nodule_that_was_deleted_or_hidden_below_others_is_not_drawn(
    person: Person, model_session: Session, said: list, qtbot: QtBot
) -> None:
    person.click("new", BIG)
    layer = person.layer
    layer.data_setitem(np.nonzero(layer.data == 1), 0)
    qtbot.waitUntil(lambda: not model_session.is_stale(layer), timeout=LONG)
    person.click("add", (8, 16, 20))
    assert said[-1] == ("the nodule is gone: click on one first", True)
    ring = balls(model_session.volume, Clicks((lps(model_session.volume, BIG),)))
    ring.inside[BIG] = False
    layer.data_setitem(np.nonzero(ring.inside), 4)
    person.click("new", BIG)
    assert said[-1][0].startswith("other nodules are here already")
    assert set(np.unique(layer.data)) == {0, 4}


def test_labels_of_another_scan_are_not_drawn_on(
    person: Person, model_session: Session, volume: Volume, said: list, clicking: Clicking
) -> None:
    other = Volume(np.zeros((4, 4, 4), np.uint8), Geometry((4, 4, 4)), "mask", "other")
    layer = model_session.add_mask(other, "other")
    person.click("new", BIG)
    assert said[-1] == ("other is not on this scan's grid: choose others, or New", True)
    assert not layer.data.any()
    clicking.new_layer()
    person.click("new", BIG)
    assert person.layer is not layer
    assert person.voxels() > 0


def test_a_layer_that_goes_meanwhile_takes_its_click_along(
    person: Person, model_session: Session, said: list
) -> None:
    person.click("new", BIG)
    layer = person.layer
    person.begin("new", SMALL)
    model_session.viewer.layers.remove(layer)
    person.wait()
    assert said[-1][1]
    assert set(np.unique(layer.data)) == {0, 1}


def test_a_layer_of_naparis_own_is_drawn_on(
    person: Person, model_session: Session, volume: Volume
) -> None:
    layer = model_session.viewer.add_labels(
        np.zeros(volume.geometry.shape, np.uint8),
        scale=volume.geometry.spacing,
        translate=volume.geometry.origin[::-1],
    )
    person.click("new", BIG)
    assert person.voxels() > 0
    assert findings_of(layer).of_label(1).origin == "click"


@pytest.mark.parametrize("turned", [False, True])
def test_the_real_method_finds_the_balls_in_oblique_scans_too(
    turned: bool, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    c, s = np.cos(0.4), np.sin(0.4)
    direction = ((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))
    if turned:
        volume = replace(volume, geometry=replace(volume.geometry, direction=direction))
    model_session.add_scan(volume)
    clicking = clicking_of(model_session)
    assert clicking.segmenter is click_mask
    person = Person(clicking, model_session, volume, qtbot)
    for label, (index, _) in enumerate(BALLS, start=1):
        person.click("new", index)
        z, y, x = index
        near = volume.array[z - 3 : z + 4, y - 7 : y + 8, x - 7 : x + 8] == 60
        found = person.layer.data[z - 3 : z + 4, y - 7 : y + 8, x - 7 : x + 8] == label
        assert 2 * (near & found).sum() / (near.sum() + found.sum()) > 0.8
    assert set(np.unique(person.layer.data)) == {0, 1, 2}


def test_only_what_is_dense_is_solid(volume: Volume) -> None:
    part = click_mask(volume, Clicks((lps(volume, BIG),)))
    assert kind_of(volume, part) == "solid"
    glass = replace(volume, array=np.where(volume.array == 60, -600, volume.array))
    assert kind_of(glass, part) == "ground-glass"
    array = glass.array.copy()
    array[8, 14:19, 16:21] = 20
    assert kind_of(replace(volume, array=array), part) == "part-solid"
    assert size_in_words(3, 430.4, 9.41, "solid") == "Nodule 3: 9.4 mm, 430 mm³, solid"
    assert size_in_words(1, 33.44) == "Nodule 1: 33.4 mm³"


def test_nothing_happens_without_a_scan(model_viewer: ViewerModel, model_session: Session) -> None:
    clicking = clicking_of(model_session)
    clicking.click("new", (0, 0, 0))
    clicking.set_tightness(0.5)
    assert clicking.new_layer() is None
    assert not clicking.busy
    assert len(model_viewer.layers) == 0
