from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from napari_ctlns.dataset import PreparedScan
from napari_ctlns.dataset.blocks import cut_block, moved_in
from napari_ctlns.dataset.folder import ScanCard, SourceNote
from napari_ctlns.dataset.patches import (
    PatchSampler,
    Sample,
    training_sampler,
    validation_sampler,
    validation_samples,
)
from napari_ctlns.dataset.revisions import ReadersMask, add_scan
from napari_ctlns.errors import CtlnsError, DatasetError
from napari_ctlns.recipe import Patches, load_recipe
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


def test_beyond_a_scan_smaller_than_a_patch_lies_its_mirror_image(
    scans: list[PreparedScan],
) -> None:
    sampler = sampler_of(scans, nodule_fraction=1.0, size=(48, 40, 36))
    sample = sampler.draw(0, 0)
    hu, mask = sampler.cut(sample)
    assert hu.shape == mask.shape == (48, 40, 36)
    whole = scans[sample.scan]
    for found, array in [(hu, whole.hu()), (mask, whole.mask() > 0)]:
        padded = np.pad(array, 48, mode="symmetric")
        part = tuple(slice(s + 48, s + 48 + n) for s, n in zip(sample.start, hu.shape, strict=True))
        np.testing.assert_array_equal(found, padded[part])


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
def test_any_block_equals_that_of_a_mirrored_array(
    array: np.ndarray, start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    padded = np.pad(array, 20, mode="symmetric")
    block = tuple(slice(b + 20, b + 20 + n) for b, n in zip(start, size, strict=True))
    np.testing.assert_array_equal(cut_block(array, start, size), padded[block])


def test_a_margin_leaves_the_patch_in_the_middle(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans)
    for index in range(20):
        sample = sampler.draw(0, index)
        hu, mask = sampler.cut(sample, margin=(3, 0, 20))
        assert hu.shape == mask.shape == (SIZE[0] + 6, SIZE[1], SIZE[2] + 40)
        for wide, narrow in zip((hu, mask), sampler.cut(sample), strict=True):
            np.testing.assert_array_equal(wide[3:-3, :, 20:-20], narrow)
        # one side at least is beyond a scan of 32 columns
        beyond = np.arange(-20, SIZE[2] + 20) + sample.start[2]
        assert ((beyond < 0) | (beyond >= SHAPE[2])).any()


def test_patches_are_cropped_from_a_block_around_the_nodule(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans, nodule_fraction=1.0, size=(3, 8, 8), around=(3, 14, 12))
    starts = {
        sample.start
        for sample in (sampler.draw(0, i) for i in range(800))
        if sampler.scans[sample.scan].scan_id == "s0"
    }
    # the nodule is at (30, 20, 12): the block from (29, 13, 6), all places in it come
    assert starts == {(29, y, x) for y in range(13, 20) for x in range(6, 11)}


def test_a_wide_block_still_has_its_nodule_in_the_patch(scans: list[PreparedScan]) -> None:
    sampler = sampler_of(scans, nodule_fraction=1.0, size=(4, 4, 4), around=(30, 30, 30))
    for index in range(200):
        assert sampler.cut(sampler.draw(0, index))[1].any()


class TestMiddleSlice:
    """Networks of two dimensions answer for the middle slice alone."""

    def test_it_holds_the_nodule_at_the_end_of_the_scan_too(
        self, scans: list[PreparedScan]
    ) -> None:
        recipe = Patches(size=(7, 8, 8), around=(7, 12, 12), nodule_fraction=1.0)
        sampler = PatchSampler(scans, recipe, middle_only=True)
        samples = [sampler.draw(0, index) for index in range(80)]
        assert max(sample.start[0] for sample in samples) == 39 - 3
        for sample in samples:
            hu, mask = sampler.cut(sample)
            assert mask[3].any()
            assert hu.shape == (7, 8, 8)

    def test_any_slice_through_the_nodule_may_be_it(self, tmp_path: Path) -> None:
        mask = np.zeros(SHAPE, np.uint8)
        mask[5:12, 10:20, 10:20] = 1
        mask[30:40, 10:20, 10:20] = 2
        scan = scan_of(tmp_path, np.full(SHAPE, -800, np.int16), mask)
        recipe = Patches(size=(3, 8, 8), nodule_fraction=1.0)
        sampler = PatchSampler([scan], recipe, middle_only=True)
        middles = Counter(sampler.draw(0, index).start[0] + 1 for index in range(400))
        assert set(middles) == {*range(5, 12), *range(30, 40)}
        assert all(sampler.cut(sampler.draw(1, index))[1][1].any() for index in range(50))

    def test_others_are_lung_around_something_on_it(self, tmp_path: Path) -> None:
        hu = np.full(SHAPE, -1000, np.int16)
        hu[12:] = -850
        hu[12:, ::5] = 40
        scan = scan_of(tmp_path, hu, np.zeros(SHAPE, np.uint8))
        sampler = PatchSampler([scan], Patches(size=(5, 12, 12)), middle_only=True)
        middles = [sampler.draw(0, index).start[0] + 2 for index in range(150)]
        # below 12 there is air; beside it the other slices are lung, but not the one that counts
        assert np.mean(np.array(middles) < 12) < 0.1
        assert max(middles) == SHAPE[0] - 1


class TestSlices:
    """Whole slices, weighted by the inverse frequency of those with a nodule."""

    def test_they_come_as_torchs_weighted_sampler_draws_them(
        self, scans: list[PreparedScan]
    ) -> None:
        torch = pytest.importorskip("torch")
        recipe = Patches(size=(1, *SHAPE[1:]), sampling="slices")
        sampler = PatchSampler(scans, recipe, middle_only=True)
        positive = np.concatenate([scan.mask().any(axis=(1, 2)) for scan in scans])
        assert positive.sum() == 4
        weights = np.where(positive, 1 / positive.sum(), 1 / (~positive).sum())
        number = 20_000
        generator = torch.Generator().manual_seed(0)
        theirs = torch.utils.data.WeightedRandomSampler(
            weights.tolist(), number, generator=generator
        )
        expected = np.bincount(list(theirs), minlength=len(weights)) / number
        samples = [sampler.draw(0, index) for index in range(number)]
        places = [sample.scan * SHAPE[0] + sample.start[0] for sample in samples]
        share = np.bincount(places, minlength=len(weights)) / number
        assert np.abs(share - expected)[positive].max() < 0.015
        assert np.abs(share - expected)[~positive].max() < 0.0025
        assert {sample.start[1:] for sample in samples} == {(0, 0)}
        assert [sample.nodule for sample in samples] == [bool(positive[p]) for p in places]

    def test_they_depend_on_seed_epoch_and_index_only(self, scans: list[PreparedScan]) -> None:
        recipe = Patches(size=(1, *SHAPE[1:]), sampling="slices")
        one, other = (PatchSampler(scans, recipe, middle_only=True) for _ in range(2))
        assert [one.draw(1, i) for i in range(30)] == [
            other.draw(1, i) for i in reversed(range(30))
        ][::-1]
        assert one.draw(1, 0) != one.draw(2, 0) or one.draw(1, 1) != one.draw(2, 1)

    def test_without_any_nodule_all_are_alike(self, scans: list[PreparedScan]) -> None:
        recipe = Patches(size=(1, *SHAPE[1:]), sampling="slices")
        sampler = PatchSampler(scans[2:], recipe, middle_only=True)
        drawn = Counter(sampler.draw(0, index).start[0] for index in range(800))
        assert set(drawn) == set(range(SHAPE[0]))

    def test_slices_larger_than_patches_are_refused(self, scans: list[PreparedScan]) -> None:
        recipe = load_recipe("lungnet-2d").with_changes(SMALL_SLICES)
        with pytest.raises(DatasetError, match=r"36 x 32 pixels .*slice_size to \[16, 16\]"):
            training_sampler(scans, recipe)


SMALL_SLICES = {
    "patches.size": (1, 16, 16),
    "inference.window": (1, 16, 16),
    "network.channels": (4, 8),
}
ROW = "{},{:g},{:g},{:g},{}\n"
COLUMNS = "seriesuid,coordX,coordY,coordZ,"


class TestHardNegatives:
    """Patches around earlier false positives."""

    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        path = tmp_path / "false_positives.csv"
        rows = [("s0", 9, 8, 22), ("s2", 20, 15, 20), ("other", 1, 2, 3), ("s0", 500, 0, 0)]
        text = "".join(ROW.format(*row, 0.9) for row in rows)
        path.write_text(COLUMNS + "probability\n" + text, "utf-8")
        return path

    def test_they_are_a_share_and_lie_anywhere_in_the_patch(
        self, scans: list[PreparedScan], table: Path
    ) -> None:
        sampler = sampler_of(
            scans, nodule_fraction=0.5, hard_fraction=0.5, hard_negatives=str(table)
        )
        # (z, y, x) on grids of 1 mm from 0; beyond the scan there is nothing to learn
        assert sampler.hard_negatives == ((0, (22, 8, 9)), (2, (20, 15, 20)))
        samples = [sampler.draw(0, index) for index in range(800)]
        assert sum(sample.nodule for sample in samples) == 400
        holding = [s for s in samples if not s.nodule and _holds(s, sampler.hard_negatives)]
        assert len(holding) >= 200
        places = np.array([np.subtract((20, 15, 20), s.start) for s in holding if s.scan == 2])
        low, high = places.min(0), places.max(0)
        assert (low <= np.array(SIZE) * 0.2).all()
        assert (high >= np.array(SIZE) * 0.75).all()

    def test_nodules_of_a_table_are_none(self, scans: list[PreparedScan], tmp_path: Path) -> None:
        path = tmp_path / "candidates.csv"
        text = ROW.format("s0", 9, 8, 22, 1) + ROW.format("s0", 10, 11, 12, 0)
        path.write_text(COLUMNS + "class\n" + text, "utf-8")
        sampler = sampler_of(scans, hard_negatives=str(path))
        assert sampler.hard_negatives == ((0, (12, 11, 10)),)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (COLUMNS + "probability\nother,1,2,3,0.5\n", "no false positive of the training"),
            (COLUMNS + "probability\n", "no false positive of the training"),
            ("a,b\n1,2\n", "column"),
            (COLUMNS + "probability\ns0,here,2,3,0.5\n", "line 2"),
        ],
    )
    def test_a_foreign_or_bad_table_is_refused(
        self, scans: list[PreparedScan], tmp_path: Path, text: str, words: str
    ) -> None:
        path = tmp_path / "table.csv"
        path.write_text(text, "utf-8")
        recipe = load_recipe("ct-lns").with_changes({"patches.hard_negatives": str(path)})
        with pytest.raises(CtlnsError, match=words):
            training_sampler(scans, recipe)

    def test_a_table_that_is_not_there(self, scans: list[PreparedScan], tmp_path: Path) -> None:
        missing = {"patches.hard_negatives": str(tmp_path / "none.csv")}
        with pytest.raises(CtlnsError, match=r"none\.csv"):
            training_sampler(scans, load_recipe("ct-lns").with_changes(missing))

    def test_validation_does_not_want_them(self, scans: list[PreparedScan]) -> None:
        recipe = load_recipe("ct-lns").with_changes({"patches.hard_negatives": "none.csv"})
        sampler = validation_sampler(scans, recipe)
        assert validation_samples(sampler, 20)


def _holds(sample: Sample, places: tuple[tuple[int, tuple[int, int, int]], ...]) -> bool:
    return any(
        sample.scan == scan
        and all(b <= p < b + n for b, p, n in zip(sample.start, place, SIZE, strict=True))
        for scan, place in places
    )


class TestLungs:
    """Lungs: a mask of one label, of which all patches may hold some."""

    @pytest.fixture
    def sampler(self, tmp_path: Path) -> PatchSampler:
        mask = np.zeros((60, 60, 60), np.uint8)
        mask[22:50, 22:50, 22:50] = 1
        scan = scan_of(tmp_path, np.where(mask, -850, 40).astype(np.int16), mask)
        changes = {
            "patches.size": (16, 16, 16),
            "inference.window": (16, 16, 16),
            "network.channels": (4, 8),
        }
        recipe = load_recipe("lung-region").with_changes(changes)
        return training_sampler([scan], recipe)

    def test_borders_and_everything_else_are_seen(self, sampler: PatchSampler) -> None:
        shares = np.array([sampler.cut(sampler.draw(0, i))[1].mean() for i in range(200)])
        border = (shares > 0.05) & (shares < 0.95)
        assert 0.5 < border.mean() < 0.95
        # what is far from lungs is not forgotten
        assert (shares == 0).sum() > 10

    def test_validation_has_borders_too(self, sampler: PatchSampler) -> None:
        samples = validation_samples(sampler, 24)
        assert len(samples) >= 24
        shares = np.array([sampler.cut(sample)[1].mean() for sample in samples])
        assert ((shares > 0.05) & (shares < 0.95)).sum() >= 10
        assert samples[0].nodule


class TestValidation:
    """The patches that judge every epoch alike."""

    def test_their_size_is_their_own_and_the_larger_the_fewer(
        self, scans: list[PreparedScan]
    ) -> None:
        changes = {"patches.validation_size": (64, 128, 128), "patches.per_scan": 40}
        sampler = validation_sampler(scans, load_recipe("ct-lns").with_changes(changes))
        assert sampler.recipe.size == (64, 128, 128)
        assert sampler.recipe.per_scan == 10
        assert validation_sampler(scans, load_recipe("luna-2.5d")).recipe.per_scan == 4
        assert validation_sampler(scans, load_recipe("ct-lns")).recipe.per_scan == 16

    def test_whole_slices_are_in_the_middle_of_smaller_scans(
        self, scans: list[PreparedScan]
    ) -> None:
        recipe = load_recipe("luna-2.5d").with_changes({"patches.nodule_fraction": 0.75})
        sampler = validation_sampler(scans, recipe)
        samples = validation_samples(sampler, 12)
        assert samples == validation_samples(validation_sampler(scans, recipe), 12)
        positive = [sample for sample in samples if sample.nodule]
        # every slice with a nodule, of four; a quarter of the others wanted
        found = {(s.scan, s.start[0] + 3) for s in positive}
        assert found == {(0, 30), (1, 14), (1, 20), (1, 39)}
        assert len(samples) - len(positive) == 3
        for sample in samples:
            hu, mask = sampler.cut(sample)
            assert sample.start[1:] == (-(512 - 36) // 2, -(512 - 32) // 2)
            inside = hu[3, 238 : 238 + 36, 240 : 240 + 32]
            z = sample.start[0] + 3
            np.testing.assert_array_equal(inside, scans[sample.scan].hu()[z])
            assert mask[3].any() == sample.nodule
        assert (samples[0].scan, samples[0].start[0] + 3) == (0, 30)

    def test_slices_of_larger_scans_have_their_nodule(self, tmp_path: Path) -> None:
        shape = (5, 60, 50)
        mask = np.zeros(shape, np.uint8)
        mask[1:4, 55:59, 3:6] = 1
        scan = scan_of(tmp_path, np.full(shape, -800, np.int16), mask)
        changes = {
            "patches.size": (3, 16, 16),
            "patches.around": (3, 16, 16),
            "patches.validation_size": (3, 32, 32),
            "inference.window": (3, 32, 32),
            "network.channels": (4, 8),
        }
        recipe = load_recipe("luna-2.5d").with_changes(changes)
        sampler = validation_sampler([scan], recipe)
        positive, others = [], []
        for sample in validation_samples(sampler, 8):
            assert all(0 <= b <= n - 32 for b, n in zip(sample.start[1:], shape[1:], strict=True))
            (positive if sample.nodule else others).append(sample)
        assert len(positive) == 3
        assert all(sampler.cut(sample)[1][1].sum() == 12 for sample in positive)
        assert {sample.start[1:] for sample in others} == {(14, 9)}

    def test_slices_are_chosen_evenly_where_there_are_many(self, tmp_path: Path) -> None:
        shape = (40, 16, 16)
        mask = np.zeros(shape, np.uint8)
        mask[5:35, 4:9, 4:9] = 1
        scan = scan_of(tmp_path, np.full(shape, -800, np.int16), mask)
        sampler = validation_sampler([scan], load_recipe("lungnet-2d").with_changes(SMALL_SLICES))
        samples = validation_samples(sampler, 12)
        with_nodule = [s.start[0] for s in samples if s.nodule]
        assert with_nodule[0] == 20  # the middle of the nodule is shown
        assert len(with_nodule) == len(set(with_nodule)) == 6
        assert np.diff(sorted(with_nodule)).max() <= 11
        assert sum(not s.nodule for s in samples) == 6


def scan_of(folder: Path, hu: np.ndarray, mask: np.ndarray) -> PreparedScan:
    card = ScanCard(
        scan_id="s",
        patient_id="p",
        source=SourceNote(path=Path("none")),
        geometry=Geometry(hu.shape),
    )
    return add_scan(folder / "s", card, hu, [ReadersMask(mask)])


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_a_hundred_scans_keep_no_files_open(scans: list[PreparedScan]) -> None:
    many = [PreparedScan(scan.folder, scan.card) for scan in scans * 34]
    sampler = sampler_of(many)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for index in range(300):
        sampler.cut(sampler.draw(0, index))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


@given(
    st.tuples(*[st.integers(-50, 50)] * 3),
    st.tuples(*[st.integers(1, 20)] * 3),
    st.tuples(*[st.integers(1, 20)] * 3),
)
def test_a_moved_block_is_in_the_array_or_around_it(
    start: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    moved = moved_in(start, size, shape)
    for b, n, s in zip(moved, size, shape, strict=True):
        assert (b >= 0 and b + n <= s) if n <= s else (b <= 0 and b + n >= s)
    assert moved_in(moved, size, shape) == moved
