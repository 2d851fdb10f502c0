import io
import re

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from napari_ctlns.errors import OutputError
from napari_ctlns.evaluation.overlays import Place, close_ups_png
from napari_ctlns.evaluation.pictures import curves_png
from napari_ctlns.evaluation.report import (
    DemoReport,
    Picture,
    SummaryRow,
    write_report,
)
from napari_ctlns.pages import shown
from napari_ctlns.volume import Geometry

DASH = "\N{EN DASH}"


def _pixels(png):
    return matplotlib.image.imread(io.BytesIO(png))


def test_curves_have_a_transparent_ground_and_both_panels():
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "train_loss": [3, 2, 1],
            "val_loss": [3, 2, 2],
            "val_dice": [0, 0.4, 0.5],
        }
    )
    pixels = _pixels(curves_png(history))
    assert pixels[0, 0, 3] == 0
    half = pixels.shape[1] // 2
    assert (pixels[:, :half, 3] > 0.5).any()
    assert (pixels[:, half:, 3] > 0.5).any()
    assert curves_png(history[["train_loss"]]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.73123, "0.731"),
        (12.34, "12.3"),
        (24, "24"),
        (24.0, "24"),
        (np.float32(0.5), "0.5"),
        (None, DASH),
        (float("nan"), DASH),
        (True, "yes"),
        (np.bool_(False), "no"),
        ("91 %", "91 %"),
        (12345, "12\u2009345"),
    ],
)
def test_values_are_shown_as_people_read_them(value, words):
    assert shown(value) == words


def _report():
    hu = np.full((9, 60, 80), -850, np.int16)
    png = close_ups_png(hu, Geometry(hu.shape), hu > 0, None, [Place((4, 26, 36))])
    table = pd.DataFrame(
        {
            "scan_id": ["a", "<b>"],
            "diameter_mm": [5.0, 12.25],
            "found": [True, False],
            "score": [0.9, None],
        }
    )
    return DemoReport(
        title="Nodules & phantoms",
        lead="Found in 4 scans.",
        summary=[SummaryRow("Dice", 0.7312, 0.41, "at least 0.70"), SummaryRow("Scans", 4)],
        curves=png,
        overlays=[Picture("scan a", png)],
        tables=[("Nodule by nodule", table)],
        facts={"torch": "2.13.0"},
    )


def test_a_report_needs_nothing_but_itself(tmp_path):
    write_report(tmp_path / "report.html", _report())
    html = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall(r"(?:src|href)=\"(?!data:image/png;base64,)", html) == []
    assert "http" not in html
    assert "<script" not in html
    assert html.count("data:image/png;base64,") == 2
    assert "prefers-color-scheme: dark" in html
    assert "not a medical device" in html


def test_a_report_tells_all_it_is_given(tmp_path):
    write_report(tmp_path / "report.html", _report())
    html = (tmp_path / "report.html").read_text("utf-8")
    for words in ("Nodules &amp; phantoms", "0.731", "0.41", "at least 0.70", "scan a", "2.13.0"):
        assert words in html
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html[html.index("Nodule by nodule") :])
    assert cells == ["a", "5.00", "yes", "0.900", "&lt;b&gt;", "12.25", "no", DASH]


def test_a_bare_report_has_no_empty_parts(tmp_path):
    write_report(tmp_path / "report.html", DemoReport(title="Nothing yet"))
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "<table" not in html
    assert "<img" not in html
    assert "<h2" not in html


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(OutputError):
        write_report(tmp_path / "file" / "report.html", DemoReport(title="t"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
