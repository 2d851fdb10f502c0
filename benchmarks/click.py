"""One click: how near its mask comes to the truth, and how soon.

    python benchmarks/click.py [--nodules 200] [--seed 0]     phantoms whose truth is known
    python benchmarks/click.py --lidc DICOM XML [--clicks 50] readers of LIDC-IDRI, and peers
    python benchmarks/click.py --lidc DICOM XML --moved       each constant 20 % either way
    python benchmarks/click.py ... --model MODEL              a model of the recipe click instead
    python benchmarks/click.py --time                         a scan of 512 x 512 x 300 voxels

Clicks lie in the inner half of a nodule: by turns at random where it is at least half as deep
as at its deepest, and within half its radius of its centroid. On phantoms a mask is compared
with the voxels that are at least half nodule, and its volume with the analytic one.

The peers: SimpleITK's region growing (threshold, confidence, and confidence after an opening)
and scikit-image's random walker, each with the parameters that serve this nodule best.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from skimage.segmentation import random_walker

from napari_ctlns.errors import ClickError
from napari_ctlns.formats import read_scan
from napari_ctlns.formats.lidc import lidc_consensus, read_lidc, reader_mask
from napari_ctlns.inference.clicked import learned_click
from napari_ctlns.masks.click import RULES, ClickRules, Clicks, click_mask, mask_of
from napari_ctlns.masks.islands import Part
from napari_ctlns.metrics import dice
from napari_ctlns.phantom import PhantomSpec, make_phantom
from napari_ctlns.volume import Volume

Bools = npt.NDArray[np.bool_]
Place = npt.NDArray[np.int64]
Segment = Callable[[Volume, Clicks], Part]
PEER_MM = 30.0


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lidc", type=Path, nargs=2, metavar=("DICOM", "XML"))
    parser.add_argument("--clicks", type=int, default=50)
    parser.add_argument("--moved", action="store_true")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    segment = click_mask if given.model is None else partial(learned_click, model=given.model)
    if given.lidc and given.moved:
        moved(*given.lidc, given.clicks, given.seed)
    elif given.lidc:
        readers(*given.lidc, given.clicks, given.seed, segment)
    elif given.time:
        timed(given.seed)
    else:
        phantoms(given.nodules, given.seed, segment)


# -- phantoms --------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One nodule of a phantom: its kinds, size, and what a click gave."""

    kinds: tuple[str, str, str]
    diameter_mm: float
    dice: float
    volumes: float


def phantoms(nodules: int, seed: int, segment: Segment) -> None:
    """Print how clicks on phantoms agree with the truth."""
    rows = list(itertools.islice(_rows(seed, segment), nodules))
    print(f"{'':24s}{'n':>5s}{'mean Dice':>11s}{'below 0.5':>11s}{'volume off':>12s}{'leaks':>8s}")
    _print("all", rows)
    for number in range(3):
        for kind in sorted({r.kinds[number] for r in rows}):
            _print(kind, [r for r in rows if r.kinds[number] == kind])
    for low, high in itertools.pairwise((4, 6, 10, 16, 31)):
        some = [r for r in rows if low <= r.diameter_mm < high]
        if some:
            _print(f"{low} to {high} mm", some)


def _print(name: str, rows: Sequence[Row]) -> None:
    off = statistics.median(abs(r.volumes - 1) for r in rows)
    bad = sum(r.dice < 0.5 for r in rows) / len(rows)
    leaks = sum(r.volumes > 2 for r in rows) / len(rows)
    mean = statistics.mean(r.dice for r in rows)
    print(f"{name:24s}{len(rows):5d}{mean:11.3f}{bad:10.1%} {off:11.1%} {leaks:7.1%}")


def _rows(seed: int, segment: Segment) -> Iterator[Row]:
    rng = np.random.default_rng(seed)
    for number in itertools.count():
        phantom = make_phantom(_spec(seed * 1000 + number, rng))
        for turn, nodule in enumerate(phantom.nodules):
            truth = phantom.mask.array == nodule.label
            place = inner_click(truth, phantom.volume, rng, turn % 2)
            found = clicked(phantom.volume, place, segment)
            volume = np.count_nonzero(found) * phantom.volume.geometry.voxel_volume
            yield Row(
                (nodule.density, nodule.shape, nodule.attachment),
                nodule.annotation.diameter_mm,
                dice(found, truth),
                volume / nodule.volume_mm3,
            )


def _spec(seed: int, rng: np.random.Generator) -> PhantomSpec:
    """Slices of 0.6 to 5 mm, and nodules at least two slices thick."""
    thickness = float(np.exp(rng.uniform(np.log(0.6), np.log(5))))
    pixel = float(rng.uniform(0.55, 0.9))
    return PhantomSpec(
        seed=seed,
        spacing=(round(thickness, 2), round(pixel, 2), round(pixel, 2)),
        extent_mm=(110, 230, 320),
        n_nodules=5,
        diameter_mm=(max(4.0, 2 * thickness), 30.0),
        noise_hu=float(rng.uniform(8, 50)),
        kernel="sharp" if rng.random() < 0.5 else "soft",
    )


def inner_click(truth: Bools, scan: Volume, rng: np.random.Generator, how: int) -> Place:
    """Return a voxel (z, y, x) in the inner half of a nodule, by depth or by radius."""
    (box,) = ndimage.find_objects(truth.astype(np.uint8))
    inside, spacing = np.pad(truth[box], 1), np.asarray(scan.geometry.spacing)
    if how == 0:
        depth = ndimage.distance_transform_edt(inside, sampling=spacing)
        places = np.argwhere(depth >= 0.5 * depth.max())
    else:
        places = np.argwhere(inside)
        radius = np.cbrt(len(places) * np.prod(spacing) * 3 / 4 / np.pi)
        away = np.linalg.norm((places - places.mean(axis=0)) * spacing, axis=1)
        places = places[away <= max(0.5 * radius, away.min())]
    corner = np.array([s.start for s in box]) - 1
    return np.asarray(places[rng.integers(len(places))] + corner)


def clicked(scan: Volume, place: Place, segment: Segment) -> Bools:
    """Return what a click gives; nothing if it is refused."""
    x, y, z = (float(c) for c in scan.geometry.index_to_world(place))
    try:
        return np.asarray(mask_of(segment(scan, Clicks(((x, y, z),))), scan).array > 0)
    except ClickError:
        return np.zeros(scan.array.shape, bool)


# -- readers ---------------------------------------------------------------------------


def _case(dicom: Path, xml: Path) -> tuple[Volume, Bools, list[Bools]]:
    scan, reading = read_scan(dicom), read_lidc(xml)
    truth = lidc_consensus(reading, scan, 0.5).mask.array == 1
    drawn = [reader_mask(reading, i, scan).array == 1 for i in range(len(reading.readers))]
    return scan, truth, drawn


def readers(dicom: Path, xml: Path, clicks: int, seed: int, segment: Segment) -> None:
    """Print how clicks, readers and peers agree with the readers' consensus."""
    scan, truth, drawn = _case(dicom, xml)
    rng = np.random.default_rng(seed)
    places = [inner_click(truth, scan, rng, n % 2) for n in range(clicks)]
    print(f"{'Dice to the consensus':44s}{'5th percentile':>15s}{'median':>9s}{'s':>8s}")
    for number, own in enumerate(drawn):
        others = sum(d.astype(int) for n, d in enumerate(drawn) if n != number)
        agreed = others >= 0.5 * (len(drawn) - 1)
        print(f"reader {number + 1}, to that of the others{'':27s}{dice(own, agreed):9.3f}")
    ours = _dices(lambda place: clicked(scan, place, segment), places, truth, "napari-ctlns")
    theirs = [_best(name, kinds, scan, places, truth) for name, kinds in _peers().items()]
    print(f"ratio: {min(theirs) / ours:.2f}")


def _dices(
    segment: Callable[[Place], Bools], places: Iterable[Place], truth: Bools, name: str
) -> float:
    """Print and return the median of the seconds."""
    scores, seconds = [], []
    for place in places:
        begin = time.perf_counter()
        found = segment(place)
        seconds.append(time.perf_counter() - begin)
        scores.append(dice(found, truth))
    took = statistics.median(seconds)
    low, middle = np.percentile(scores, 5), np.median(scores)
    print(f"{name:44s}{low:15.3f}{middle:9.3f}{took:8.2f}")
    return took


Peer = Callable[[sitk.Image, list[int]], npt.NDArray[Any]]


def _best(
    name: str, kinds: dict[str, Peer], scan: Volume, places: list[Place], truth: Bools
) -> float:
    """Print the kind of a peer that is best at some of the places, at all of them."""
    few = places[:: max(len(places) // 4, 1)]
    scores = {
        label: np.median([dice(_around(scan, place, peer), truth) for place in few])
        for label, peer in kinds.items()
    }
    best = max(scores, key=lambda label: scores[label])
    some = places if "walker" not in name else places[:12]
    title = f"{name}, {best}"
    return _dices(lambda place: _around(scan, place, kinds[best]), some, truth, title)


def _around(scan: Volume, place: Place, peer: Peer) -> Bools:
    """Let a peer work on what lies near a click."""
    spacing = np.asarray(scan.geometry.spacing)
    low = np.maximum(place - PEER_MM / spacing, 0).astype(int)
    high = np.minimum(place + PEER_MM / spacing + 1, scan.array.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    image = sitk.GetImageFromArray(np.maximum(scan.array[box], -1024).astype(np.float32))
    image.SetSpacing(scan.geometry.spacing[::-1])
    found = np.zeros(scan.array.shape, bool)
    found[box] = peer(image, [int(i) for i in (place - low)[::-1]]) > 0
    return found


def _peers() -> dict[str, dict[str, Peer]]:
    """Return the peers, each with its kinds."""

    def threshold(hu: int, open_mm: float) -> Peer:
        def grow(image: sitk.Image, seed: list[int]) -> npt.NDArray[Any]:
            return _opened(sitk.ConnectedThreshold(image, [seed], hu, 3000), seed, open_mm)

        return grow

    def confidence(factor: float, rounds: int, open_mm: float) -> Peer:
        def grow(image: sitk.Image, seed: list[int]) -> npt.NDArray[Any]:
            smooth = sitk.CurvatureFlow(image, 0.02, 5)
            grown = sitk.ConfidenceConnected(smooth, [seed], rounds, factor, 2, 1)
            return _opened(grown, seed, open_mm)

        return grow

    def walker(beta: float, dark_hu: int) -> Peer:
        def walk(image: sitk.Image, seed: list[int]) -> npt.NDArray[Any]:
            return _walked(image, seed, beta, dark_hu)

        return walk

    openings = (0.0, 1.5, 3.0, 4.5)
    return {
        "SimpleITK threshold": {
            f"{hu} HU, opening {mm} mm": threshold(hu, mm)
            for hu in (-650, -550, -450, -350, -250)
            for mm in openings
        },
        "SimpleITK confidence": {
            f"{factor} x, {rounds}, opening {mm} mm": confidence(factor, rounds, mm)
            for factor in (1.5, 2.0, 2.5, 3.0)
            for rounds in (1, 3)
            for mm in openings
        },
        "random walker": {
            f"beta {beta}, {hu} HU": walker(beta, hu)
            for beta in (50, 200, 1000)
            for hu in (-700, -550)
        },
    }


def _opened(grown: sitk.Image, seed: list[int], open_mm: float) -> npt.NDArray[Any]:
    """Cut thin things off, and keep what the click is in."""
    if open_mm:
        radius = [max(round(open_mm / s), 1) for s in grown.GetSpacing()]
        grown = sitk.BinaryMorphologicalOpening(grown, radius, sitk.sitkBall)
        grown = sitk.ConnectedThreshold(sitk.Cast(grown, sitk.sitkFloat32), [seed], 0.5, 1.5)
    return sitk.GetArrayFromImage(grown)


def _walked(image: sitk.Image, seed: list[int], beta: float, dark_hu: int) -> npt.NDArray[Any]:
    """Walk from a ball about the click, against lung and the faces of the picture."""
    hu = sitk.GetArrayFromImage(image)
    spacing = np.asarray(image.GetSpacing()[::-1])
    index = np.stack(np.indices(hu.shape), axis=-1)
    away = np.linalg.norm((index - np.array(seed[::-1])) * spacing, axis=-1)
    marks = np.zeros(hu.shape, np.int32)
    marks[(hu < dark_hu) | (away > 0.8 * PEER_MM)] = 2
    marks[away <= 2] = 1
    scaled = np.clip((hu + 1000) / 1400, 0, 1)
    return np.asarray(random_walker(scaled, marks, beta=beta, mode="cg_j", spacing=spacing) == 1)


def moved(dicom: Path, xml: Path, clicks: int, seed: int) -> None:
    """Print the constants that matter, and the worst of all."""
    scan, truth, _ = _case(dicom, xml)
    rng = np.random.default_rng(seed)
    places = [inner_click(truth, scan, rng, n % 2) for n in range(clicks)]
    lows = {}
    for name, rules in _moved_rules():
        how = partial(click_mask, rules=rules)
        lows[name] = np.percentile([dice(clicked(scan, p, how), truth) for p in places], 5)
    for name, low in sorted(lows.items(), key=lambda item: item[1])[:8]:
        print(f"{name:40s}{low:8.3f}")


def _moved_rules() -> Iterator[tuple[str, ClickRules]]:
    for entry in fields(RULES):
        value = getattr(RULES, entry.name)
        for factor in (0.8, 1.2):
            if is_dataclass(value):
                for part in fields(value):
                    other = replace(value, **{part.name: getattr(value, part.name) * factor})
                    name = f"{entry.name}.{part.name} x {factor}"
                    yield name, replace(RULES, **{entry.name: other})
            else:
                other = type(value)(
                    round(value * factor) if isinstance(value, int) else value * factor
                )
                yield f"{entry.name} x {factor}", replace(RULES, **{entry.name: other})


# -- time ------------------------------------------------------------------------------


def timed(seed: int) -> None:
    """Print how long clicks take in a large scan."""
    spec = PhantomSpec(
        seed=seed,
        spacing=(1.0, 0.7, 0.7),
        extent_mm=(300, 358.4, 358.4),
        n_nodules=24,
        diameter_mm=(4, 30),
    )
    phantom = make_phantom(spec)
    rng = np.random.default_rng(seed)
    seconds = []
    for nodule in phantom.nodules * 3:
        place = inner_click(phantom.mask.array == nodule.label, phantom.volume, rng, 0)
        x, y, z = (float(c) for c in phantom.volume.geometry.index_to_world(place))
        begin = time.perf_counter()
        click_mask(phantom.volume, Clicks(((x, y, z),)))
        seconds.append(time.perf_counter() - begin)
    print(f"{phantom.volume.array.shape} voxels, nodules of 4 to 30 mm, {len(seconds)} clicks")
    middle, high = np.percentile(seconds, [50, 95]) * 1000
    print(f"a click {middle:.0f} ms, 95 % within {high:.0f} ms")


if __name__ == "__main__":
    main()
