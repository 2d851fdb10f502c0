"""The page of a scan: what stands on it, and whether its pictures lie where the nodules are."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_ctlns.cli import main
from napari_ctlns.errors import MaskError, OutputError
from napari_ctlns.findings import Finding, Findings
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.measurement.guidelines import NOTICE, Circumstances
from napari_ctlns.reporting.key_pictures import key_pictures
from napari_ctlns.reporting.measuring import all_measured
from napari_ctlns.reporting.page import Options, write_page
from napari_ctlns.volume import Geometry, Volume


@pytest.fixture
def page(tmp_path, series, table):
    """The text of a page written with these options."""

    def write(findings=None, measured=table, **options):
        volume, mask = series
        write_page(tmp_path / "r.html", volume, mask, measured, findings, Options(**options))
        return (tmp_path / "r.html").read_text("utf-8")

    return write


def test_a_page_needs_nothing_but_itself(page):
    html = page()
    assert re.findall(r"(?:src|href)=\"(?!data:image/png;base64,|#nodule-)", html) == []
    assert "http" not in html
    assert "<script" not in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert "not a medical device" in html


def test_every_nodule_has_three_planes_and_its_numbers(page, table):
    html = page()
    articles = re.findall(r"<article.*?</article>", html, flags=re.DOTALL)
    assert len(articles) == len(table) == 2
    for article, (_, row) in zip(articles, table.iterrows(), strict=True):
        assert f"Nodule {row['label']}<" in article
        assert re.findall(r"<figcaption>(\w+),", article) == ["Axial", "Coronal", "Sagittal"]
        assert article.count('class="outline"') == 3
        assert article.count('class="axis ') == 2
        assert (
            f"{row['long_axis_mm']:.1f} \N{MULTIPLICATION SIGN} {row['short_axis_mm']:.1f} mm"
            in article
        )
        assert f"{row['mean_diameter_mm']:.1f} mm" in article
        assert f"{row['volume_mm3']:.0f} mm³" in article
        assert "88 %" in article
        assert row["type"].capitalize() in article


def test_a_page_of_another_number_of_nodules_says_so(page, table, tmp_path, series):
    assert (
        "2 nodules in a CT of 38 \N{MULTIPLICATION SIGN} 32 \N{MULTIPLICATION SIGN} 24 mm" in page()
    )
    assert "One nodule in" in page(measured=table[:1])
    html = page(measured=table[:0])
    assert "No nodule in" in html
    assert "<article" not in html
    assert "<table" not in html


GROWTH = {
    "label": [1, pd.NA, 9],
    "later_label": [2, 5, pd.NA],
    "status": ["paired", "new", "gone"],
    "days": [90.0] * 3,
    "volume_mm3": [100.0, np.nan, 50.0],
    "volume_change_percent": [250.0, np.nan, np.nan],
    "doubling_time_days": [49.7, np.nan, np.nan],
    "doubling_time_low_days": [40.0, np.nan, np.nan],
    "doubling_time_high_days": [60.0, np.nan, np.nan],
    "mean_diameter_mm": [5.0, np.nan, 4.0],
    "later_mean_diameter_mm": [7.0, 8.0, np.nan],
}


def test_growth_is_told_of_the_nodule_that_grew(page, table):
    volumes = table["volume_mm3"].tolist()
    later = pd.DataFrame({**GROWTH, "later_volume_mm3": [*volumes, np.nan]})
    html = page(growth=later)
    first, second = re.findall(r"<article.*?</article>", html, flags=re.DOTALL)
    arrow = "\N{RIGHTWARDS ARROW}"
    assert f"volume 100 {arrow} {volumes[0]:.0f} mm³ (+250 %) in 90 days" in first
    assert "volume doubling time 50 days (40 to 60)" in first
    assert "New since the earlier scan" in second
    unsure = later.assign(change="within measurement error", doubling_time_high_days=np.inf)
    unsure.loc[1, "status"] = "not covered"
    first, second = re.findall(r"<article.*?</article>", page(growth=unsure), flags=re.DOTALL)
    assert "in 90 days, within measurement error; volume doubling time 50 days, or none" in first
    assert "The other scan does not cover this place" in second
    assert "1 of the nodules of the earlier scan is not on this one" in html
    names = {"label": "later_label", "volume_mm3": "later_volume_mm3"}
    earlier = later.rename(columns={**names, **{b: a for a, b in names.items()}})
    earlier["status"] = ["paired", "gone", "new"]
    first, second = re.findall(r"<article.*?</article>", page(growth=earlier), flags=re.DOTALL)
    assert "To the later scan: volume" in first
    assert "Not found on the later scan" in second


def test_growth_of_other_masks_is_refused(page, table, tmp_path):
    other = pd.DataFrame({**GROWTH, "later_volume_mm3": [1.0, 2.0, np.nan]})
    with pytest.raises(MaskError, match="of other masks"):
        page(growth=other)


def test_guidelines_are_asked_only_with_circumstances(page):
    assert NOTICE not in page()
    html = page(circumstances=Circumstances(setting="screening", prior="none"))
    assert html.count("Lung-RADS") >= 3  # of each nodule, and of the scan
    assert NOTICE in html
    assert "not determinable" in page(circumstances=Circumstances())


def test_what_a_reader_said_is_told(page):
    finding = Finding(label=5, status="accepted", type="part-solid", note="by the <fissure>")
    html = page(Findings(items=(finding,)))
    assert "accepted; part-solid to the reader; by the &lt;fissure&gt;" in html


def test_nothing_but_a_page_is_written(tmp_path, series, table):
    volume, mask = series
    with pytest.raises(OutputError, match=r"a report is a \.html file"):
        write_page(tmp_path / "r.pdf", volume, mask, table)
    assert list(tmp_path.iterdir()) == []


# -- pictures ---------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True])
def test_outline_axes_and_voxels_lie_on_the_nodule(flip):
    """A box in air: its outline in mm is known on each plane, and so are its sides."""
    direction = (
        ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0))
        if flip
        else ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))
    )
    own = Geometry((20, 70, 80), (3.0, 1.0, 0.8), (-50.0, 9.0, -700.0), direction)
    geometry = own.oriented()
    array = np.full(geometry.shape, -1000, np.int16)
    box = (slice(8, 12), slice(30, 36), slice(40, 55))  # 12, 6, 12 mm
    # brighter towards the patient's left, back and head
    array[box] = np.einsum("kzyx,k->zyx", np.indices((4, 6, 15)), (80, 40, 20)) - 600
    mask = np.zeros(array.shape, np.uint8)
    mask[box] = 3
    scan = Volume(array, geometry)
    row = all_measured(scan.mask(mask), scan).iloc[0].to_dict()
    views = key_pictures(scan, scan.mask(mask), box, row)
    sizes = {"axial": (12, 6), "coronal": (12, 12), "sagittal": (6, 12)}
    for view in views.pictures:
        points = np.array([p.split() for p in re.split("[MLZ]+", view.outline) if p], float)
        width, height = sizes[view.plane]
        assert np.ptp(points, axis=0) == pytest.approx((width, height), abs=0.02)
        assert points.max(axis=0) + points.min(axis=0) == pytest.approx((0, 0), abs=0.02)
        pixels = np.asarray(Image.open(io.BytesIO(view.png))).astype(int)
        x, y, wide, high = view.box
        rows, columns = pixels.shape
        bright = np.argwhere(pixels > pixels.min() + 60)
        low = (x + bright[:, 1].min() / columns * wide, y + bright[:, 0].min() / rows * high)
        top = (
            x + (bright[:, 1].max() + 1) / columns * wide,
            y + (bright[:, 0].max() + 1) / rows * high,
        )
        assert (*low, *top) == pytest.approx(
            (-width / 2, -height / 2, width / 2, height / 2), abs=0.02
        )
        down, right = np.gradient(pixels[tuple(slice(a, b + 1) for a, b in zip(
            bright.min(axis=0), bright.max(axis=0), strict=True))])  # fmt: skip
        # left and back are at the right; the back is below on the axial plane, the head on top
        assert right.mean() > 0
        assert (down.mean() > 0) == (view.plane == "axial")
    axial, *others = views.pictures
    assert all(view.long_axis is None for view in others)
    x, y, to_x, to_y = axial.long_axis
    assert np.hypot(to_x - x, to_y - y) == pytest.approx(row["long_axis_mm"], abs=1e-6)
    assert [view.letters for view in views.pictures] == ["RLAP", "RLHF", "APHF"]


def test_a_nodule_in_a_corner_and_a_huge_one_have_pictures():
    array = np.full((6, 30, 30), -900, np.int16)
    mask = np.zeros(array.shape, np.uint8)
    mask[0, 0, 0], mask[1:6, 2:29, 2:29] = 1, 2
    scan = Volume(array, Geometry(array.shape, (9.0, 4.0, 4.0)))
    table = all_measured(scan.mask(mask), scan)
    boxes = ((slice(0, 1),) * 3, (slice(1, 6), slice(2, 29), slice(2, 29)))
    fields = []
    for (_, row), box in zip(table.iterrows(), boxes, strict=True):
        views = key_pictures(scan, scan.mask(mask), box, row.to_dict())
        fields.append((views.field_mm, views.bar_mm))
        assert all(view.outline and view.png for view in views.pictures)
    assert fields[0] == (50.0, 10.0)
    assert fields[1][0] > 27 * 4.0
    assert fields[1][1] == 20.0


# -- the command ------------------------------------------------------------------


def test_the_command_writes_the_page(tmp_path, series, capsys):
    volume, mask = series
    write_volume(mask, tmp_path / "m.dcm")
    words = ["report", str(volume.source.path), str(tmp_path / "m.dcm"), "--out"]
    assert main([*words, str(tmp_path / "r.html")]) == 0
    assert "Nodule 5" in (tmp_path / "r.html").read_text("utf-8")
    probability = volume.probability(np.full(mask.array.shape, 0.25, np.float32))
    write_volume(probability, tmp_path / "p.nii.gz")
    with_it = [str(tmp_path / "r.html"), "--probability", str(tmp_path / "p.nii.gz")]
    assert main([*words, *with_it]) == 0
    assert "25 %" in (tmp_path / "r.html").read_text("utf-8")
    asked = ["--setting", "incidental", "--risk", "high", "--age", "60"]
    assert main([*words, str(tmp_path / "r.html"), *asked]) == 0
    assert "Fleischner 2017" in (tmp_path / "r.html").read_text("utf-8")
    (tmp_path / "g.csv").write_text("a,b\n1,2\n", "utf-8")
    before = sorted(p.name for p in tmp_path.iterdir())
    capsys.readouterr()
    for out, more, said in (
        ("n.html", ["--growth", str(tmp_path / "g.csv")], "no growth table"),
        ("n.html", ["--growth", str(tmp_path / "none.csv")], "no growth table in"),
        ("n.html", ["--model", str(tmp_path)], "model"),
        ("n.html", ["--probability", str(tmp_path / "m.dcm")], ""),
        ("n.txt", [], "a report is a .html file"),
    ):
        assert main([*words, str(tmp_path / out), *more]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_probability_of_another_grid_or_of_other_values_is_refused(tmp_path, series):
    from napari_ctlns.formats import read_probability

    volume, mask = series
    write_volume(volume, tmp_path / "ct.nii.gz")
    with pytest.raises(MaskError, match="no probability"):
        read_probability(tmp_path / "ct.nii.gz", volume)
    half = replace(
        volume, array=mask.array[:, ::2], geometry=replace(volume.geometry, shape=(12, 20, 48))
    )
    write_volume(half, tmp_path / "half.nii.gz")
    with pytest.raises(MaskError, match="on another grid"):
        read_probability(tmp_path / "half.nii.gz", volume)
    assert read_scan(tmp_path / "ct.nii.gz").geometry.same_grid(volume.geometry)
