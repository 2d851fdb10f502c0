"""Every feature that the IBSI's digital phantom has a reference value for, within its tolerance.

The phantom and its values are those of Zwanenburg et al. 2020 (doi:10.1148/radiol.2020191145),
https://github.com/theibsi/data_sets, CC BY 4.0; original design by Alex Zwanenburg. They are
small and stand here, so that this test never misses them.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_ctlns.measurement import measure, measure_details
from napari_ctlns.volume import Geometry, Volume

IBSI = Path(__file__).parents[3] / "shared" / "data" / "ibsi-digital-phantom"
GREY = """
14411 14611 41641 44641
14411 11611 11311 44611
14411 11111 11911 11611
14411 11111 11111 11611
"""
INSIDE = """
11111 11111 11111 11111
11111 11111 01111 11111
11100 11111 11011 11111
11100 11111 11111 11111
"""
REFERENCE = {
    "RNU0": ("mesh_volume_mm3", 556.0, 4.0),
    "YEKZ": ("volume_mm3", 592.0, 4.0),
    "C0JK": ("surface_area_mm2", 388.0, 3.0),
    "QCFX": ("sphericity", 0.843, 0.005),
    "L0JK": ("max_3d_diameter_mm", 13.1, 0.1),
    "TDIC": ("major_axis_mm", 11.4, 0.1),
    "P9VJ": ("minor_axis_mm", 9.31, 0.06),
    "7J51": ("least_axis_mm", 8.54, 0.05),
    "Q3CK": ("elongation", 0.816, 0.005),
    "N17B": ("flatness", 0.749, 0.005),
    "Q4LE": ("mean_hu", 2.15, None),
    "ECT3": ("variance_hu2", 3.05, None),
    "KE2A": ("skewness", 1.08, None),
    "IPH6": ("kurtosis", -0.355, None),
    "Y12H": ("median_hu", 1.0, None),
    "1GSF": ("min_hu", 1.0, None),
    "QG58": ("p10_hu", 1.0, None),
    "8DWT": ("p90_hu", 4.0, None),
    "84IY": ("max_hu", 6.0, None),
    "SALO": ("iqr_hu", 3.0, None),
    "2OJQ": ("range_hu", 5.0, None),
    "4FUA": ("mean_absolute_deviation_hu", 1.55, None),
    "1128": ("robust_mean_absolute_deviation_hu", 1.11, None),
    "N72L": ("median_absolute_deviation_hu", 1.15, None),
    "7TET": ("coefficient_of_variation", 0.812, None),
    "9S40": ("quartile_dispersion", 0.6, None),
    "N8CA": ("energy_hu2", 567.0, None),
    "5ZWQ": ("rms_hu", 2.77, None),
}
"""By IBSI code: our column, the reference value and its tolerance."""


def digits(text):
    return np.array(
        [[list(map(int, row)) for row in line.split()] for line in text.split("\n")[1:-1]]
    )


@pytest.fixture(scope="module")
def features():
    scan = Volume(digits(GREY).astype(np.int16), Geometry((4, 4, 5), (2.0, 2.0, 2.0)))
    mask = scan.mask(digits(INSIDE).astype(np.uint8))
    return {**measure(mask, scan).iloc[0], **measure_details(mask, scan).iloc[0]}


@pytest.mark.parametrize("code", REFERENCE)
def test_reference_values(features, code):
    column, value, tolerance = REFERENCE[code]
    # values without a tolerance are exact, printed with three digits
    digits_lost = 0.5 * 10.0 ** (np.floor(np.log10(abs(value))) - 2)
    assert abs(features[column] - value) <= (tolerance or digits_lost)


def test_the_spread_of_the_table_is_the_root_of_the_variance(features):
    assert features["sd_hu"] ** 2 == pytest.approx(features["variance_hu2"])


def test_the_constants_are_those_of_the_published_files():
    if not IBSI.is_dir():
        pytest.skip("no ../shared/data/ibsi-digital-phantom")
    import SimpleITK as sitk

    for name, text in (("mask", INSIDE), ("phantom", GREY)):
        image = sitk.ReadImage(str(IBSI / f"{name}.nii.gz"))
        assert image.GetSpacing() == (2, 2, 2)
        assert np.array_equal(sitk.GetArrayFromImage(image), digits(text))
    with (IBSI / "reference_values.csv").open(encoding="utf-8", newline="") as file:
        published = {row["ibsi_code"]: row for row in csv.DictReader(file)}
    for code, (_, value, tolerance) in REFERENCE.items():
        assert value == float(published[code]["value"])
        assert (tolerance or "") == (
            published[code]["tolerance"] and float(published[code]["tolerance"])
        )
