"""FROC of 50,000 marks in 900 scans: files read, matched, drawn as a curve, with bands.

    python benchmarks/froc.py [--marks 50000] [--scans 900]

Marks and nodules are made up: nine of ten nodules have a mark near their centre. Beside it the same
is done as the LUNA16 evaluation describes it, nodule by nodule, mark by mark and resample by
resample, in plain Python; of its resamples a few are timed and the time is scaled up. Both must
come to the same counts and the same CPM.
"""

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_ctlns.formats.marks import read_marks, read_scan_ids, read_truth
from napari_ctlns.metrics.luna_froc import RATES, RESAMPLES, cpm, froc_bands, luna_froc
from napari_ctlns.metrics.luna_matching import MOST_MARKS, Fate, match_marks

NODULES_A_SCAN = 1.3
REPEATS = 5
RESAMPLES_TIMED = 5


def main() -> None:
    """Measure, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--marks", type=int, default=50_000)
    parser.add_argument("--scans", type=int, default=900)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_tables(Path(folder), arguments.marks, arguments.scans)
        runs = [ours(*files) for _ in range(REPEATS)]
        found, peers = by_loop(*files)
    took = {step: statistics.median(run[0][step] for run in runs) for step in runs[0][0]}
    assert found == runs[0][1], (found, runs[0][1])
    print(f"{arguments.marks} marks, {arguments.scans} scans, CPM {found[-1]:.3f}")
    for step, seconds in (*took.items(), ("in all", sum(took.values()))):
        print(f"{step:34} {seconds:8.2f} s")
    for step, seconds in (*peers.items(), ("in all", sum(peers.values()))):
        print(f"{'plain loop: ' + step:34} {seconds:8.2f} s")
    print(f"ratio: {sum(peers.values()) / sum(took.values()):.1f}")


def write_tables(folder: Path, marks: int, scans: int) -> tuple[Path, Path, Path]:
    """Write marks, nodules and the list of scans."""
    rng = np.random.default_rng(0)
    names = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{i:030d}" for i in range(scans)]
    nodules = [
        (names[scan], *rng.uniform(-150, 150, 3), rng.uniform(4, 25))
        for scan in rng.integers(0, scans, round(NODULES_A_SCAN * scans))
    ]
    rows = [
        (n[0], *(c + rng.normal(0, 1) for c in n[1:4]), rng.beta(5, 2))
        for n in nodules
        if rng.random() < 0.9
    ]
    false = marks - len(rows)
    rows += [
        (names[scan], *place, probability)
        for scan, place, probability in zip(
            rng.integers(0, scans, false),
            rng.uniform(-150, 150, (false, 3)),
            rng.beta(1.2, 8, false),
            strict=True,
        )
    ]
    place = ("seriesuid", "coordX", "coordY", "coordZ")
    tables = {"marks": [(*place, "probability"), *(rows[i] for i in rng.permutation(marks))]}
    tables |= {"nodules": [(*place, "diameter_mm"), *nodules], "scans": [(n,) for n in names]}
    for name, lines in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
    return folder / "marks.csv", folder / "nodules.csv", folder / "scans.csv"


Found = tuple[int, int, int, float]


def ours(marks: Path, nodules: Path, scans: Path) -> tuple[dict[str, float], Found]:
    """Time the steps of ``ctlns froc``."""
    took: dict[str, float] = {}

    def timed(step: str, function: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = function()
        took[step] = time.perf_counter() - begun
        return result

    tables = timed(
        "read three tables", lambda: (read_marks(marks), read_truth(nodules), read_scan_ids(scans))
    )
    matches = timed("match", lambda: match_marks(*tables[:2], (), tables[2]))
    curve = timed("curve", lambda: luna_froc(matches))
    timed(f"bands, {RESAMPLES} resamples", lambda: froc_bands(matches))
    counts = (matches.true_positives, matches.count(Fate.false), matches.double_marks)
    return took, (*counts, round(cpm(curve), 9))


def by_loop(marks: Path, nodules: Path, scans: Path) -> tuple[Found, dict[str, float]]:
    """Do the same in plain loops, and time it."""
    began = time.perf_counter()
    of_scan: dict[str, list[Any]] = {}
    rows, wanted = ([*csv.DictReader(path.open(encoding="utf-8"))] for path in (marks, nodules))
    names = scans.read_text("utf-8").split()
    for row in rows:
        of_scan.setdefault(row["seriesuid"], []).append(row)
    read = time.perf_counter()
    entries: dict[str, list[tuple[float, bool]]] = {name: [] for name in names}
    missed = dict.fromkeys(names, 0)
    double = 0
    for name in names:
        kept = sorted(of_scan.get(name, []), key=lambda r: -float(r["probability"]))[:MOST_MARKS]
        left = list(range(len(kept)))
        for nodule in (n for n in wanted if n["seriesuid"] == name):
            on = [i for i, row in enumerate(kept) if is_hit(row, nodule)]
            left = [i for i in left if i not in on]
            double += max(len(on) - 1, 0)
            missed[name] += not on
            if on:
                entries[name].append((max(float(kept[i]["probability"]) for i in on), True))
        entries[name] += [(float(kept[i]["probability"]), False) for i in left]
    matched = time.perf_counter()
    value = cpm_of(names, entries, missed)
    drawn = time.perf_counter()
    rng = np.random.default_rng(0)
    for _ in range(RESAMPLES_TIMED):
        cpm_of(list(rng.choice(names, len(names))), entries, missed)
    each = (time.perf_counter() - drawn) / RESAMPLES_TIMED
    hits = sum(hit for some in entries.values() for _, hit in some)
    false = sum(not hit for some in entries.values() for _, hit in some)
    return (hits, false, double, round(value, 9)), {
        "read": read - began,
        "match": matched - read,
        "curve": drawn - matched,
        f"{RESAMPLES} resamples": each * RESAMPLES,
    }


def is_hit(row: dict[str, str], nodule: dict[str, str]) -> bool:
    """Whether a mark lies within a nodule's radius."""
    square = sum((float(row[f"coord{a}"]) - float(nodule[f"coord{a}"])) ** 2 for a in "XYZ")
    diameter = float(nodule["diameter_mm"])
    return square < ((10.0 if diameter < 0 else diameter) / 2) ** 2


def cpm_of(
    names: list[str], entries: dict[str, list[tuple[float, bool]]], missed: dict[str, int]
) -> float:
    """Return the CPM of scans, each as often as it is named."""
    some = sorted((e for name in names for e in entries[name]), key=lambda e: -e[0])
    nodules = sum(hit for _, hit in some) + sum(missed[name] for name in names)
    rates, found = [0.0], [0.0]
    false = hits = 0
    for place, (score, hit) in enumerate(some):
        hits, false = hits + hit, false + (not hit)
        if place + 1 == len(some) or some[place + 1][0] != score:
            rates.append(false / len(names))
            found.append(hits / nodules)
    return float(np.interp(RATES, rates, found).mean())


if __name__ == "__main__":
    main()
