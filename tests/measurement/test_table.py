"""The nodule table against SimpleITK and known boxes."""

import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import MaskError, OutputError
from napari_ctlns.measurement import COLUMNS, measure, read_table, write_table
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import Geometry, Volume

TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
GEOMETRY = Geometry((12, 20, 24), (2.0, 0.7, 0.8), (-30.0, 12.0, 100.0), TURNED)


@pytest.fixture
def scan():
    array = np.random.default_rng(0).integers(-900, 300, GEOMETRY.shape).astype(np.int16)
    return Volume(array, GEOMETRY)


@pytest.fixture
def mask(scan):
    labels = np.zeros(GEOMETRY.shape, np.uint16)
    labels[2:6, 3:9, 4:14] = 2
    labels[8:12, 12:15, 15:20] = 700
    labels[4, 15, 5] = 5
    return scan.mask(labels)


def test_columns_and_rows(mask, scan):
    table = measure(mask, scan)
    assert tuple(table.columns) == COLUMNS
    assert len(COLUMNS) == 20
    assert table["label"].tolist() == [2, 5, 700]
    assert table["touches_border"].tolist() == [False, False, True]
    assert table["mean_probability"].isna().all()


def test_sizes_and_places_agree_with_simpleitk(mask, scan):
    table = measure(mask, scan).set_index("label")
    oracle = sitk.LabelShapeStatisticsImageFilter()
    oracle.Execute(to_sitk(mask.array, GEOMETRY))
    for label, row in table.iterrows():
        assert row["voxels"] == oracle.GetNumberOfPixels(label)
        assert row["volume_mm3"] == pytest.approx(oracle.GetPhysicalSize(label))
        centroid = row[["centroid_x_mm", "centroid_y_mm", "centroid_z_mm"]].tolist()
        assert centroid == pytest.approx(oracle.GetCentroid(label))
        diameter = 2 * oracle.GetEquivalentSphericalRadius(label)
        assert row["equivalent_diameter_mm"] == pytest.approx(diameter)


def test_intensities_agree_with_simpleitk(mask, scan):
    table = measure(mask, scan).set_index("label")
    oracle = sitk.LabelStatisticsImageFilter()
    oracle.Execute(to_sitk(scan.array, GEOMETRY), to_sitk(mask.array, GEOMETRY))
    for label, row in table.iterrows():
        assert row["mean_hu"] == pytest.approx(oracle.GetMean(label))
        assert (row["min_hu"], row["max_hu"]) == (
            oracle.GetMinimum(label),
            oracle.GetMaximum(label),
        )
        if row["voxels"] > 1:  # SimpleITK divides by n - 1, the IBSI by n
            variance = oracle.GetVariance(label) * (row["voxels"] - 1) / row["voxels"]
            assert row["sd_hu"] == pytest.approx(variance**0.5)


def test_a_box_of_known_size(mask, scan):
    row = measure(mask, scan).set_index("label").loc[2]
    assert row["volume_mm3"] == pytest.approx(4 * 6 * 10 * 2.0 * 0.7 * 0.8)
    # from the middle of one corner pixel's edge to that of the opposite one
    expected = max(np.hypot(5 * 0.7, 10 * 0.8), np.hypot(6 * 0.7, 9 * 0.8))
    assert row["long_axis_mm"] == pytest.approx(expected)
    assert row["mean_diameter_mm"] == (row["long_axis_mm"] + row["short_axis_mm"]) / 2
    assert row["short_axis_mm"] < row["long_axis_mm"]


def test_padding_counts_as_air(scan, mask):
    array = scan.array.copy()
    array[2:6, 3:9, 4:14] = -2048
    row = measure(mask, Volume(array, GEOMETRY)).iloc[0]
    assert (row["mean_hu"], row["min_hu"], row["sd_hu"]) == (-1024, -1024, 0)


def test_probability_is_averaged(scan, mask):
    probability = np.full(GEOMETRY.shape, 0.25, np.float16)
    probability[4, 15, 5] = 0.75
    table = measure(mask, scan, scan.probability(probability))
    assert table["mean_probability"].tolist() == [0.25, 0.75, 0.25]


def test_an_empty_mask_gives_an_empty_table_with_all_columns(scan, mask):
    table = measure(scan.mask(np.zeros(GEOMETRY.shape, np.uint8)), scan)
    assert table.shape == (0, 20)
    assert table.dtypes.equals(measure(mask, scan).dtypes)


def test_a_boolean_mask_is_one_nodule(scan, mask):
    table = measure(scan.mask(mask.array == 2), scan)
    assert table["label"].tolist() == [1]
    assert table["voxels"].tolist() == [240]


def test_other_grids_are_refused(scan, mask):
    moved = Volume(scan.array, GEOMETRY.cropped((1, 0, 0), GEOMETRY.shape))
    with pytest.raises(MaskError, match="mask and scan"):
        measure(mask, moved)
    with pytest.raises(MaskError, match="mask and probability"):
        measure(mask, scan, moved)


def test_csv_and_json_say_the_same(tmp_path, mask, scan):
    table = measure(mask, scan)
    write_table(table, tmp_path / "new" / "nodules.csv")
    write_table(table, tmp_path / "nodules.json")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "nodules.csv"), table)
    rows = json.loads((tmp_path / "nodules.json").read_text(encoding="utf-8"))
    assert [list(r) for r in rows] == [list(COLUMNS)] * 3
    assert rows[0]["mean_probability"] is None
    assert rows[2]["touches_border"] is True
    assert rows[0]["long_axis_mm"] == pytest.approx(table["long_axis_mm"][0], rel=1e-12)


@pytest.mark.parametrize("name", ["nodules.csv", "nodules.json"])
def test_what_was_written_is_read_back(tmp_path, mask, scan, name):
    table = measure(mask, scan)
    for rows in (table, table.iloc[:0]):
        write_table(rows, tmp_path / name)
        pd.testing.assert_frame_equal(read_table(tmp_path / name), rows, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "[{]"), ("a.json", '{"label": 1}'), ("a.csv", "x,y\n1,2\n")]
)
def test_what_is_no_table_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(MaskError, match="no nodule table in"):
        read_table(tmp_path / name)
    with pytest.raises(MaskError, match="no nodule table in"):
        read_table(tmp_path / f"missing-{name}")


def test_an_empty_table_is_written_with_its_columns(tmp_path, scan):
    table = measure(scan.mask(np.zeros(GEOMETRY.shape, np.uint8)), scan)
    write_table(table, tmp_path / "a.csv")
    write_table(table, tmp_path / "a.json")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == []


def test_an_unknown_extension_is_refused(tmp_path, mask, scan):
    with pytest.raises(OutputError, match=r"\.xlsx; use \.csv or \.json"):
        write_table(measure(mask, scan), tmp_path / "a.xlsx")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_refused(tmp_path, mask, scan):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_table(measure(mask, scan), tmp_path / "file" / "a.csv")
