"""Going through findings: the order, the slice, keys, pictures, details and guidelines."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.settings import get_settings
from napari.utils.colormaps.colormap import CyclicLabelColormap
from napari.utils.key_bindings import coerce_keybinding
from pytestqt.qtbot import QtBot

from napari_ctlns.findings import Findings
from napari_ctlns.measurement import measure
from napari_ctlns.measurement.details import measure_details
from napari_ctlns.measurement.guidelines import Circumstances
from napari_ctlns.plugin import correction_keys, detailing, review_keys
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.detailing import Detailing
from napari_ctlns.plugin.growing import Comparison, Comparisons, Visit
from napari_ctlns.plugin.guideline_advice import GuidelineAdvice
from napari_ctlns.plugin.judging import judging_of
from napari_ctlns.plugin.rejected_look import RejectedLook
from napari_ctlns.plugin.reviewing import Review, review_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.thumbnail_store import ThumbnailStore
from napari_ctlns.plugin.thumbnails import PIXELS, thumbnail
from napari_ctlns.volume import Geometry, Volume

LONG = 8_000
SHAPE = (20, 60, 60)
PLACES = {1: (4, 12, 12), 2: (10, 30, 40), 3: (15, 45, 15), 4: (16, 48, 48)}


@pytest.fixture
def volume() -> Volume:
    """Lung with four balls of 60 HU; the second one is ground glass, the third has a tail."""
    geometry = Geometry(SHAPE, (2.0, 1.0, 1.0), (-20.0, -30.0, 100.0))
    array = np.full(SHAPE, -850, np.int16)
    for label, inside in balls().items():
        array[inside] = -500 if label == 2 else 60
    return Volume(array, geometry, scan_id="four", patient_id="somebody")


def balls() -> dict[int, np.ndarray]:
    index = np.indices(SHAPE)
    found = {}
    for label, place in PLACES.items():
        offset = (index - np.reshape(place, (3, 1, 1, 1))) * np.reshape((2, 1, 1), (3, 1, 1, 1))
        found[label] = (offset**2).sum(axis=0) <= 25
    found[3][13, 45, 4:24] = True  # its long axis is two slices below its middle
    return found


@pytest.fixture
def layer(model_session: Session, volume: Volume) -> Labels:
    labels = np.zeros(SHAPE, np.uint8)
    for label, inside in balls().items():
        labels[inside] = label
    mask = volume.mask(labels)
    model_session.add_scan(volume)
    layer = model_session.add_mask(mask, "mask", Findings().follow(mask.array, "model"))
    model_session.keep_table(layer, measure(mask, volume))
    return layer


@pytest.fixture
def review(layer: Labels, model_session: Session) -> Review:
    return review_of(model_session)


@pytest.fixture
def press(layer: Labels, model_session: Session) -> Callable[[str], None]:
    """Press one of our keys in the viewer."""
    review_keys.bind_keys(model_session)

    def press_(name: str) -> None:
        viewer = model_session.viewer
        viewer.keymap[coerce_keybinding(review_keys.KEYS[name])](viewer)

    return press_


def uids(layer: Labels, *labels: int) -> list[str]:
    return [of.findings_of(layer).of_label(label).uid for label in labels]


def statuses(layer: Labels) -> list[str]:
    return [of.findings_of(layer).of_label(label).status for label in PLACES]


# -- going -------------------------------------------------------------------------------


def test_keys_are_nobody_elses() -> None:
    ours = {str(coerce_keybinding(key)) for key in review_keys.KEYS.values()}
    assert len(ours) == len(review_keys.KEYS)
    theirs = {
        str(coerce_keybinding(key))
        for keys in get_settings().shortcuts.shortcuts.values()
        for key in keys
    }
    theirs |= {str(coerce_keybinding(key)) for key in (*correction_keys.KEYS.values(), "N")}
    assert not ours & theirs


def test_a_key_that_a_person_uses_stays_theirs(model_session: Session) -> None:
    viewer = model_session.viewer
    viewer.bind_key("U", mine := lambda _viewer: None)
    review_keys.bind_keys(model_session)
    assert viewer.keymap[coerce_keybinding("U")] is mine
    assert coerce_keybinding("W") in viewer.keymap


def test_next_and_previous_go_round_by_label(layer: Labels, press: Callable[[str], None]) -> None:
    seen = []
    for name in ("next", "next", "next", "next", "previous"):
        press(name)
        seen.append(int(layer.selected_label))
    assert seen == [2, 3, 4, 1, 4]


def test_they_follow_the_rows_that_are_shown(layer: Labels, review: Review) -> None:
    review.order = uids(layer, 4, 2, 3)
    layer.selected_label = 4
    seen = []
    for step in (review.next, review.next, review.next, review.previous):
        step()
        seen.append(int(layer.selected_label))
    assert seen == [2, 3, 4, 3]
    layer.selected_label = 1  # no row: it begins anew
    review.next()
    assert layer.selected_label == 4


def test_accepting_goes_to_the_next_that_nobody_judged(
    layer: Labels, review: Review, press: Callable[[str], None]
) -> None:
    judging_of(review.parent()).accept(layer, uids(layer, 2))
    said: list[tuple[str, bool]] = []
    review.said.connect(lambda words, trouble: said.append((words, trouble)))
    press("accept")
    assert layer.selected_label == 3
    press("next")
    press("reject")  # the fourth; then from the top
    assert layer.selected_label == 3
    press("accept")
    assert statuses(layer) == ["accepted", "accepted", "accepted", "rejected"]
    assert layer.selected_label == 3
    assert said[0] == ("nodule 1 accepted; 2 to review, this is nodule 3", False)
    assert said[-1] == ("nodule 3 accepted; no nodule is left to review", False)


def test_all_that_are_selected_are_judged_if_the_one_at_hand_is_among_them(
    layer: Labels, review: Review
) -> None:
    review.chosen = uids(layer, 2, 3)
    layer.selected_label = 2
    review.reject()
    assert statuses(layer) == ["new", "rejected", "rejected", "new"]
    assert layer.selected_label == 4
    review.undo()
    review.chosen = uids(layer, 2, 3)
    layer.selected_label = 1  # picked in the scan
    review.accept()
    assert statuses(layer) == ["accepted", "new", "new", "new"]


def test_types_by_keys(layer: Labels, press: Callable[[str], None]) -> None:
    for label, name in ((1, "solid"), (2, "part-solid"), (3, "ground-glass")):
        layer.selected_label = label
        press(name)
        assert of.findings_of(layer).of_label(label).type == name
    press("undo")
    assert of.findings_of(layer).of_label(3).type == "unknown"


def test_without_a_nodule_it_says_so(model_session: Session) -> None:
    review = review_of(model_session)
    said: list[tuple[str, bool]] = []
    review.said.connect(lambda words, trouble: said.append((words, trouble)))
    for do in (review.accept, review.next, review.undo, review.reopen):
        do()
    assert all(trouble for _, trouble in said)
    assert said[0][0] == "There is no labels layer"
    review.go("nobody")
    layer = model_session.add_mask(Volume(np.zeros((3, 4, 5), np.uint8), Geometry((3, 4, 5))), "m")
    layer.selected_label = 9
    review.accept()
    assert said[-1] == ("Pick a nodule first: click its row in Nodules", True)


def test_it_goes_to_the_slice_of_the_long_axis(
    layer: Labels, review: Review, model_session: Session, model_viewer: ViewerModel, qtbot: QtBot
) -> None:
    (third,) = uids(layer, 3)
    review.go(third)
    assert model_viewer.dims.current_step[0] == 15  # of its centroid, until the axes are known
    details = model_session.part(Detailing)
    qtbot.waitUntil(lambda: not details.stale(layer), timeout=LONG)
    qtbot.waitUntil(lambda: details.table(layer) is not None, timeout=LONG)
    review.go(third)
    assert model_viewer.dims.current_step[0] == 13
    layer.paint((15, 45, 15), 0)
    assert details.long_axis_slice(layer, 3) is None
    assert details.long_axis_slice(layer, 1) == 4


# -- details -------------------------------------------------------------------------------


def measured(model_session: Session, layer: Labels, qtbot: QtBot) -> Detailing:
    details = model_session.part(Detailing)
    qtbot.waitUntil(lambda: details._work is None and not details.stale(layer), timeout=LONG)
    return details


def test_details_come_by_themselves_and_after_an_edit_for_what_was_edited(
    review: Review,
    layer: Labels,
    model_session: Session,
    volume: Volume,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, ...]] = []
    real = detailing.details_job

    def noted(
        mask: Volume, scan: Volume, table: object, labels: list[int], *rest: object
    ) -> object:
        asked.append(tuple(labels))
        return real(mask, scan, table, labels, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(detailing, "details_job", noted)
    details = measured(model_session, layer, qtbot)
    whole = measure_details(of.mask_of(layer), volume)
    assert details.table(layer)["type"].tolist() == whole["type"].tolist()
    assert whole["type"].tolist() == ["solid", "ground-glass", "solid", "solid"]
    layer.paint((10, 30, 40), 0)
    model_session.keep_table(layer, measure(of.mask_of(layer), volume))
    assert details.stale(layer) == {2}
    measured(model_session, layer, qtbot)
    assert asked == [(1, 2, 3, 4), (2,)]
    again = measure_details(of.mask_of(layer), volume)
    assert details.table(layer)["median_hu"].tolist() == again["median_hu"].tolist()


def test_lungs_are_looked_for_when_they_are_asked_for(
    review: Review,
    layer: Labels,
    model_session: Session,
    volume: Volume,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lungs = np.zeros(SHAPE, np.uint8)
    lungs[:, 5:55, 5:55] = 1
    monkeypatch.setattr("napari_ctlns.masks.lungs.lung_mask", lambda scan: scan.mask(lungs))
    details = measured(model_session, layer, qtbot)
    assert details.table(layer)["pleura_distance_mm"].isna().all()
    details.look_for_lungs()
    qtbot.waitUntil(
        lambda: not details.table(layer)["pleura_distance_mm"].isna().any(), timeout=LONG
    )


# -- pictures ------------------------------------------------------------------------------


def test_a_picture_has_the_nodule_in_its_middle_and_a_ring_around_it(
    layer: Labels, volume: Volume
) -> None:
    whole = (slice(0, 20), slice(0, 60), slice(0, 60))
    picture = thumbnail(of.mask_of(layer), volume, 1, whole)
    assert picture is not None
    assert picture.grey.shape == picture.outline.shape == (PIXELS, PIXELS)
    middle = PIXELS // 2
    assert picture.grey[middle, middle] > 200 > 100 > picture.grey[2, 2]
    assert not picture.outline[middle, middle]
    rows, columns = np.nonzero(picture.outline)
    millimetres = 24.2 / PIXELS  # 2.2 times the 11 mm of the ball on its slice
    radii = np.hypot(rows - middle + 0.5, columns - middle + 0.5) * millimetres
    assert radii.min() > 4.5
    assert radii.max() < 6.5
    assert thumbnail(of.mask_of(layer), volume, 9, whole) is None


def test_a_picture_at_the_edge_of_the_scan_is_black_beyond(volume: Volume) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, 0] = 1
    picture = thumbnail(volume.mask(labels), volume, 1, tuple(slice(0, 3) for _ in range(3)))
    assert picture is not None
    assert (picture.grey[:5, :5] == 0).all()
    assert picture.grey[-3, -3] > 50


def test_pictures_are_drawn_when_asked_for_and_again_after_an_edit(
    layer: Labels, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    store = model_session.part(ThumbnailStore)
    assert store.picture(1) is None
    with qtbot.waitSignal(store.came, timeout=LONG):
        pass
    first = store.picture(1)
    assert first is not None
    assert store._drawn[layer].keys() == {1}  # nobody asked for others
    layer.data_setitem(tuple(np.array([i]) for i in (4, 12, 12)), 0)
    assert store.picture(1) is first  # until it is drawn again
    with qtbot.waitSignal(store.came, timeout=LONG):
        model_session.keep_table(layer, measure(of.mask_of(layer), volume))
        store.picture(1)
    assert store.picture(1) is not first


# -- guidelines ----------------------------------------------------------------------------


def test_advice_is_for_what_a_reader_takes_for_nodules(
    review: Review, layer: Labels, model_session: Session, qtbot: QtBot
) -> None:
    advice = model_session.part(GuidelineAdvice)
    assert advice.why_not(layer) == "Being measured…"
    measured(model_session, layer, qtbot)
    assert advice.why_not(layer) == ""
    assert {one.category for one in advice.of_nodule(layer, 1)} == {"not determinable"}
    advice.suppose(Circumstances(setting="screening", prior="none"))
    (solid,) = advice.of_nodule(layer, 1)
    (glass,) = advice.of_nodule(layer, 2)
    assert solid.category == "4A"  # solid, 8 to 15 mm, on the first scan
    assert glass.category == "2"  # ground glass below 30 mm
    judging_of(model_session).set_type(layer, uids(layer, 2), "solid")
    assert advice.of_nodule(layer, 2)[0].category == "4A"
    judging_of(model_session).reject(layer, uids(layer, 2))
    assert advice.of_nodule(layer, 2) == ()


def test_a_growth_that_is_known_goes_into_it(
    review: Review, layer: Labels, model_session: Session, qtbot: QtBot
) -> None:
    import pandas as pd

    advice = model_session.part(GuidelineAdvice)
    measured(model_session, layer, qtbot)
    advice.suppose(Circumstances(setting="screening", prior_category="2"))
    assert advice.of_nodule(layer, 1)[0].category == "not determinable"
    (row,) = measure(of.mask_of(layer), model_session.volume)[:1].to_dict("records")
    growth = pd.DataFrame(
        {
            "label": pd.array([1], "Int64"),
            "later_label": pd.array([1], "Int64"),
            "status": ["paired"],
            "days": [365.0],
            "volume_mm3": [row["volume_mm3"]],
            "mean_diameter_mm": [row["mean_diameter_mm"]],
        }
    )
    told = []
    advice.changed.connect(lambda: told.append(1))
    visit = Visit(layer, model_session.volume)
    found = SimpleNamespace(table=growth)
    model_session.part(Comparisons).keep(Comparison(found, visit, visit, (0, 0)))
    assert told == [1]
    assert advice.of_nodule(layer, 1)[0].category != "not determinable"


# -- how it is drawn -------------------------------------------------------------------------


def alpha(layer: Labels, label: int) -> float:
    return of.colours_of_labels(layer, [label])[label][3]


def test_what_is_rejected_is_drawn_faintly(
    review: Review, layer: Labels, model_session: Session
) -> None:
    model_session.part(RejectedLook)
    usual = of.colours_of_labels(layer, [1, 2, 3, 77])
    judging_of(model_session).reject(layer, uids(layer, 2))
    now = of.colours_of_labels(layer, [1, 2, 3, 77])
    assert now[2][:3] == pytest.approx(usual[2][:3])
    assert now[2][3] == pytest.approx(0.3)
    assert [now[k] for k in (1, 3)] == [pytest.approx(usual[k]) for k in (1, 3)]
    layer.selected_label = 250  # beyond all labels: what is painted now has its own colour
    assert of.colours_of_labels(layer, [250])[250] == pytest.approx(
        np.ravel(layer._random_colormap.map(np.array([250]))), abs=1e-3
    )
    layer.new_colormap()
    assert (alpha(layer, 1), alpha(layer, 2)) == (1.0, pytest.approx(0.3))
    layer.show_selected_label = True
    judging_of(model_session).undo(layer)
    assert isinstance(layer.colormap, CyclicLabelColormap)
    assert layer.colormap.use_selection
    assert alpha(layer, 2) == 1.0


def test_colours_that_a_person_chose_stay(
    review: Review, layer: Labels, model_session: Session
) -> None:
    model_session.part(RejectedLook)
    layer.colormap = {None: "red", 0: "transparent", 1: "blue"}
    chosen = layer.colormap
    judging_of(model_session).reject(layer, uids(layer, 2))
    assert layer.colormap is chosen
