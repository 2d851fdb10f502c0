"""Every measure of two masks against MONAI's, on random blobs in voxels that are no cubes."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ctlns.metrics import count_voxels, surface_agreement

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")

pytestmark = pytest.mark.filterwarnings("ignore")

SHAPE = (9, 14, 12)
SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.7, 0.8), (0.6, 1.3, 0.9), (0.45, 0.45, 3.0)]


@st.composite
def blobs(draw):
    """Smooth random shapes, from none at all to all of the array."""
    noise = np.random.default_rng(draw(st.integers(0, 10**6))).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, draw(st.sampled_from([0.4, 1.0, 2.0])))
    share = draw(st.sampled_from([0.0, 0.02, 0.2, 0.5, 0.95, 1.0]))
    return smooth < np.quantile(smooth, share) if share < 1 else np.ones(SHAPE, bool)


def tensor(*channels):
    return torch.from_numpy(np.stack(channels)[None].astype(np.float32))


def defined(value):
    """Return MONAI's number, None for its NaN."""
    number = float(value)
    return None if np.isnan(number) else pytest.approx(number, abs=2e-5)


@settings(max_examples=40, deadline=None)
@given(blobs(), blobs())
def test_overlap(predicted, true):
    counts = count_voxels(predicted, true)
    one, other = tensor(predicted), tensor(true)
    assert counts.dice == defined(metrics.DiceMetric(ignore_empty=False)(one, other))
    assert counts.iou == defined(metrics.MeanIoU(ignore_empty=False)(one, other))
    both = tensor(~predicted, predicted), tensor(~true, true)
    assert counts.mean_iou == defined(metrics.MeanIoU(ignore_empty=False)(*both).mean())


@settings(max_examples=40, deadline=None)
@given(blobs(), blobs())
def test_shares_of_voxels(predicted, true):
    counts = count_voxels(predicted, true)
    matrix = metrics.get_confusion_matrix(tensor(predicted), tensor(true))
    for name in ("sensitivity", "precision", "accuracy"):
        expected = metrics.compute_confusion_matrix_metric(name, matrix)
        assert getattr(counts, name) == defined(expected), name


@settings(max_examples=40, deadline=None)
@given(blobs(), blobs(), st.sampled_from(SPACINGS), st.sampled_from([0.0, 1.0, 2.2]))
def test_surfaces(predicted, true, spacing, tolerance):
    agreement = surface_agreement(predicted, true, spacing, tolerance)
    one, other = tensor(predicted), tensor(true)
    hausdorff = metrics.HausdorffDistanceMetric(percentile=95)(one, other, spacing=spacing)
    assert agreement.hausdorff95_mm == defined(hausdorff)
    share = defined(metrics.SurfaceDiceMetric([tolerance])(one, other, spacing=spacing))
    # MONAI leaves two empty masks undefined; ours agree, as they do in Dice
    empty = not predicted.any() and not true.any()
    assert agreement.surface_dice == (1.0 if empty else share)
