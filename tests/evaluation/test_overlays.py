"""Overlays show the CT bare and with outlines, in colours that can be counted."""

import io

import matplotlib.image
import numpy as np
import pytest

from napari_ctlns.drawing import PREDICTED_COLOUR, TRUE_COLOUR
from napari_ctlns.evaluation.overlays import Place, close_ups_png, planes_png
from napari_ctlns.volume import Geometry

LEGEND = 0.06  # of the height; the upper half is bare


def _pixels(png):
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def _where(png, colour):
    """Return rows and columns, as shares of the picture, that have a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    pixels = _pixels(png)
    rows, columns = np.nonzero(np.abs(pixels - wanted).max(axis=-1) < 0.1)
    rows, columns = rows / pixels.shape[0], columns / pixels.shape[1]
    return rows[rows < 1 - LEGEND], columns[rows < 1 - LEGEND]


def _masks():
    hu = np.full((9, 60, 80), -850, np.int16)
    true = np.zeros(hu.shape, np.uint8)
    true[2:7, 20:32, 30:42] = 3
    return hu, true, np.roll(true, 6, axis=2)


def test_close_ups_show_both_outlines_below_the_bare_ct():
    hu, true, predicted = _masks()
    geometry = Geometry(hu.shape, spacing=(2.5, 0.8, 0.8))
    places = [Place((4, 26, 36), "here"), Place((0, 0, 0))]
    png = close_ups_png(hu, geometry, true, predicted, places, "scan")
    for colour in (TRUE_COLOUR, PREDICTED_COLOUR):
        rows, _ = _where(png, colour)
        assert len(rows) > 50
        assert rows.min() > 0.5
    alone = close_ups_png(hu, geometry, true, None, places)
    assert len(_where(alone, PREDICTED_COLOUR)[0]) == 0


def test_the_outline_lies_where_the_mask_does():
    hu, true, predicted = _masks()
    geometry = Geometry(hu.shape, spacing=(1.0, 1.0, 1.0))
    png = close_ups_png(hu, geometry, true, predicted, [Place((4, 26, 36))])
    _, left = _where(png, TRUE_COLOUR)
    _, right = _where(png, PREDICTED_COLOUR)
    assert left.min() < right.min() - 0.02
    assert left.max() < right.max() - 0.02


def test_an_outline_at_the_edge_of_the_scan_is_closed():
    hu, true, _ = _masks()
    true[:] = 0
    true[4, :, :10] = 1
    png = close_ups_png(hu, Geometry(hu.shape), true, None, [Place((4, 30, 5))])
    assert len(_where(png, TRUE_COLOUR)[0]) > 50


def test_planes_have_the_head_on_top():
    hu, true, predicted = _masks()
    hu[:] = -1350
    hu[-2:] = 150  # the head
    predicted[:] = 0
    png = planes_png(hu, Geometry(hu.shape, (4.0, 1.0, 1.0)), true, predicted, (4, 26, 36), "s")
    assert len(_where(png, TRUE_COLOUR)[0]) > 50
    pixels = _pixels(png)
    bright = np.nonzero((pixels > 0.97).all(axis=-1).mean(axis=1) > 0.3)[0] / len(pixels)
    assert len(bright) > 0
    # one band in the bare row and one in the row below it, each at the top of its planes
    assert bright.min() == pytest.approx(0.09, abs=0.04)
    assert bright.max() < 0.75
