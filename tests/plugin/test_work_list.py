"""The queue of scans as a list of what to correct next."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_ctlns.cohort.manifest import Row
from napari_ctlns.plugin.scan_queue import (
    is_corrected,
    most_uncertain_first,
    next_to_correct,
    status_in_words,
    uncertainty_in_words,
)
from napari_ctlns.plugin.teaching import TaughtScans
from napari_ctlns.plugin.views.queue_table import STATUS, UNSURE
from napari_ctlns.plugin.views.queue_view import QueueView


def done(name: str, uncertainty: str = "", series: str = "") -> Row:
    return Row(f"/scans/{name}.mha", series, name, status="done", uncertainty=uncertainty)


ROWS = (
    done("sure", "0.051"),
    done("unsure", "0.912"),
    Row("/scans/broken.mha", "", "broken", status="failed", error="no scan"),
    done("between", "0.400"),
    done("unknown"),
)


def taught(*names: str) -> TaughtScans:
    paths = frozenset(Path(f"/scans/{name}.mha") for name in names)
    return TaughtScans(len(names), frozenset(names), paths)


def names(rows: object) -> list[str]:
    return [row.scan_id for row in rows]


def test_the_most_uncertain_comes_first_and_the_unknown_last() -> None:
    assert names(most_uncertain_first(ROWS)) == ["unsure", "between", "sure", "broken", "unknown"]


@pytest.mark.parametrize(
    ("corrected", "expected"),
    [
        ((), "unsure"),
        (("unsure",), "between"),
        (("unsure", "between", "sure"), "unknown"),
        (("unsure", "between", "sure", "unknown"), None),
    ],
)
def test_the_next_one_is_the_most_uncertain_that_nobody_corrected(
    corrected: tuple[str, ...], expected: str | None
) -> None:
    row = next_to_correct(ROWS, taught(*corrected))
    assert (row.scan_id if row else None) == expected


def test_a_series_is_known_by_its_uid_and_a_file_by_its_place() -> None:
    assert is_corrected(done("chest", series="1.2.3"), TaughtScans(1, frozenset({"1.2.3"})))
    assert not is_corrected(done("chest", series="1.2.4"), TaughtScans(1, frozenset({"1.2.3"})))
    elsewhere = TaughtScans(1, frozenset({"a"}), frozenset({Path("/other/a.mha")}))
    assert not is_corrected(done("a"), elsewhere)


def test_words() -> None:
    assert uncertainty_in_words(done("a", "0.912")) == "0.91"
    assert uncertainty_in_words(done("a")) == ""
    assert status_in_words(done("a"), corrected=True) == "corrected"
    assert status_in_words(ROWS[2], corrected=True) == "failed: no scan"


@pytest.fixture
def view(qtbot: QtBot) -> Iterator[QueueView]:
    view = QueueView()
    qtbot.addWidget(view)
    view.show()
    view.show_rows(ROWS)
    yield view
    view.close()


def shown(view: QueueView, column: int) -> list[str]:
    model = view.table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_the_list_is_ordered_when_asked_and_the_current_scan_stays(view: QueueView) -> None:
    view.table.reach(ROWS[3])
    view.unsure_first.setChecked(True)
    assert shown(view, UNSURE) == ["0.91", "0.40", "0.05", "", ""]
    assert view.table.current == ROWS[3]
    view.unsure_first.setChecked(False)
    assert names(view.table.rows) == names(ROWS)
    assert view.table.current == ROWS[3]


def test_open_next_opens_one_after_the_other(view: QueueView, qtbot: QtBot) -> None:
    for corrected, expected in (((), "unsure"), (("unsure",), "between")):
        view.show_corrected(taught(*corrected))
        with qtbot.waitSignal(view.opened) as opened:
            view.open_next.click()
        assert opened.args[0].scan_id == expected
        assert view.table.current.scan_id == expected


def test_when_all_are_corrected_there_is_no_next(view: QueueView) -> None:
    view.show_corrected(taught("sure", "unsure", "between", "unknown"))
    assert not view.open_next.isEnabled()
    assert "corrected" in view.open_next.toolTip()
    assert shown(view, STATUS).count("corrected") == 4
    view.show_corrected(TaughtScans())
    assert view.open_next.isEnabled()
    assert "corrected" not in shown(view, STATUS)
