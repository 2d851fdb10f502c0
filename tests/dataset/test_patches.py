from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from napari_ctlns.dataset import PreparedScan
from napari_ctlns.dataset.folder import ScanCard, SourceNote
from napari_ctlns.dataset.patches import PatchSampler, cut_block, validation_samples
from napari_ctlns.dataset.revisions import ReadersMask, add_scan
from napari_ctlns.recipe import Patches
from napari_ctlns.volume import Geometry

SIZE = (16, 12, 8)
SHAPE = (40, 36, 32)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedScan]:
    """Three scans of air in z < 12 and lung above; HU tell their own index; 1, 3, 0 nodules."""
    folder = tmp_path_factory.mktemp("scans")
    hu = (np.arange(np.prod(SHAPE)) % 97).reshape(SHAPE).astype(np.int16) - 850
    hu[:12] = -1000
    places = [[(30, 20, 12)], [(14, 5, 3), (20, 30, 25), (39, 35, 31)], []]
    prepared = []
    for number, nodules in enumerate(places):
        mask = np.zeros(SHAPE, np.uint8)
        for label, place in enumerate(nodules, 1):
            mask[place] = label
        card = ScanCard(
            scan_id=f"s{number}",
            patient_id=f"p{number}",
            source=SourceNote(path=Path("none")),
            geometry=Geometry(SHAPE),
        )
        prepared.append(add_scan(folder / f"s{number}", card, hu, [ReadersMask(mask)]))
    return prepared


def sampler_of(scans: list[PreparedScan], **changes: object) -> PatchSampler:
    recipe = Patches(size=SIZE, nodule_fraction=0.6, per_scan=10).model_copy(update=changes)
    return PatchSampler(scans, recipe, seed=3)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.6, 1.0])
def test_share_of_nodules_is_exact(scans: list[PreparedScan], fraction: float) -> None:
    sampler = sampler_of(scans, nodule_fraction=fraction)
    drawn = [sampler.draw(0, i).nodule for i in range(200)]
    assert sum(drawn) == pytest.approx(200 * fraction, abs=1)
    # in every run of eight too, so that no batch is without
    shares = [sum(drawn[i : i + 8]) for i in range(192)]
    assert max(abs(s - 8 * fraction) for s in shares) <= 1


def test_a_nodule_sample_holds_its_nodule_anywhere(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans, nodule_fraction=1.0)
    places = []
    for index in range(400):
        sample = sampler.draw(0, index)
        _, mask = sampler.cut(sample)
        assert mask.shape == SIZE
        assert mask.dtype == np.uint8
        assert mask.sum() >= 1
        if sample.scan == 0:
            places.append(np.argwhere(mask)[0])
    # along z the nodule lies near the end of the scan, which pushes patches inwards
    spread, size = np.array(places)[:, 1:], np.array(SIZE)[1:]
    assert (spread.min(0) <= size * 0.2).all()
    assert (spread.max(0) >= size * 0.75).all()
    assert np.abs(spread.mean(0) - (size - 1) / 2).max() < 1


def test_every_nodule_and_every_scan_has_its_turn(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans)
    nodules: Counter[int] = Counter()
    others: Counter[int] = Counter()
    for index in range(200):
        sample = sampler.draw(1, index)
        (nodules if sample.nodule else others)[sample.scan] += 1
    # scan 1 has three of the four nodules
    assert nodules == {0: 30, 1: 90}
    assert max(others.values()) - min(others.values()) <= 1


def test_samples_depend_on_seed_epoch_and_index_only(scans: list[PreparedScan]) -> None:
    one, other = sampler_of(scans), sampler_of(scans)
    forwards = [one.draw(2, i) for i in range(30)]
    backwards = [other.draw(2, i) for i in reversed(range(30))]
    assert forwards == backwards[::-1]
    assert forwards != [one.draw(3, i) for i in range(30)]
    changed = PatchSampler(scans, one.recipe, seed=4)
    assert forwards != [changed.draw(2, i) for i in range(30)]


def test_unshuffled_epochs_take_turns_in_order(scans: list[PreparedScan]) -> None:
    plain = PatchSampler(scans, Patches(size=SIZE, nodule_fraction=0.5), seed=3, shuffle=False)
    order = [plain.draw(7, i).scan for i in range(12) if plain.draw(7, i).nodule]
    assert order == [0, 1, 1, 1, 0, 1]


def test_samples_without_nodule_lie_in_the_lung(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans, nodule_fraction=0.0)
    shares = []
    for index in range(100):
        hu, _ = sampler.cut(sampler.draw(0, index))
        shares.append(((hu > -950) & (hu < -500)).mean())
    # anywhere would give outside air only in about a tenth
    assert np.mean(np.array(shares) > 0.05) > 0.97


def test_patches_are_cut_from_inside_the_scan(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans)
    for sample in (sampler.draw(0, i) for i in range(200)):
        assert all(0 <= b <= n - s for b, n, s in zip(sample.start, SHAPE, SIZE, strict=True))
        hu, mask = sampler.cut(sample)
        block = tuple(slice(b, b + n) for b, n in zip(sample.start, SIZE, strict=True))
        np.testing.assert_array_equal(hu, scans[sample.scan].hu()[block])
        np.testing.assert_array_equal(mask, scans[sample.scan].mask()[block] > 0)


def test_a_patch_larger_than_its_scan_is_filled_with_air(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans, nodule_fraction=1.0, size=(48, 40, 36))
    hu, mask = sampler.cut(sampler.draw(0, 0))
    assert hu.shape == mask.shape == (48, 40, 36)
    assert (hu == -1024).any()
    assert mask.any()


def test_validation_samples_have_each_nodule_in_the_middle(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans)
    samples = validation_samples(sampler, 30)
    assert samples == validation_samples(sampler_of(scans), 30)
    with_nodule = [s for s in samples if s.nodule]
    assert len(with_nodule) == 4
    for sample in with_nodule:
        _, mask = sampler.cut(sample)
        assert mask[tuple(n // 2 for n in SIZE)] == 1
    assert sum(not s.nodule for s in samples) == 12
    assert len([s for s in validation_samples(sampler, 3) if s.nodule]) == 2


@given(
    nps.arrays(np.int16, st.tuples(*[st.integers(1, 6)] * 3)),
    st.tuples(*[st.integers(-9, 9)] * 3),
    st.tuples(*[st.integers(1, 7)] * 3),
)
def test_any_block_equals_that_of_a_padded_array(
    array: np.ndarray, start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    padded = np.pad(array, 20, constant_values=-7)
    block = tuple(slice(b + 20, b + 20 + n) for b, n in zip(start, size, strict=True))
    np.testing.assert_array_equal(cut_block(array, start, size, outside=-7), padded[block])
