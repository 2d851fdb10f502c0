"""What the parts of `inference.py` share: scans, our way from scan to mask, times, the lines."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from napari_ctlns.inference.ensemble import prepared_member
from napari_ctlns.inference.model import ModelCard, read_card, save_model
from napari_ctlns.inference.searching import Prediction, predict_volume
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Geometry, Volume

GATED, WHOLE = "napari-ctlns", "napari-ctlns, whole"
"""Ours with its lung gate, and without."""
LARGE = (600, 512, 512)
LARGE_MM = (0.6, 0.6, 0.6)


@dataclass(frozen=True)
class Line:
    """A line of what was to be reached; ``met`` is None where nothing is asked."""

    name: str
    aim: str
    figure: float
    met: bool | None

    @classmethod
    def at_least(cls, name: str, aim: float, figure: float, counts: bool = True) -> "Line":
        """Return one that is met by more."""
        return cls(name, f"at least {aim:g}", figure, figure >= aim if counts else None)

    @classmethod
    def at_most(cls, name: str, aim: float, figure: float) -> "Line":
        """Return one that is met by less."""
        return cls(name, f"at most {aim:g}", figure, figure <= aim)


def print_lines(lines: list[Line]) -> None:
    """Print all lines, and which are met."""
    words = {True: "met", False: "NOT MET", None: "told only"}
    if lines:
        print()
    for line in lines:
        print(f"{line.name:50} {line.aim:>14} {line.figure:9.3f}  {words[line.met]}")


def versions() -> str:
    """Return what was measured, and on what."""
    import torch

    names = ("napari-ctlns", "openvino", "monai", "torch")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{found}; {processor()}, {torch.get_num_threads()} threads"


def processor() -> str:
    """Return the name of the processor."""
    return cpu_fact("model name") or platform.processor() or platform.machine()


def cpu_fact(name: str) -> str:
    """Return what Linux says of the first processor; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return ""
    found = (line for line in text.splitlines() if line.partition(":")[0].strip() == name)
    return next(found, "").partition(":")[2].strip()


# -- scans and models ---------------------------------------------------------------


def chest(size: tuple[int, int, int]) -> Volume:
    """Return a phantom of a whole chest, 1 mm."""
    z, y, x = map(float, size)
    return phantom((1.0, 1.0, 1.0), (z, y, x))


def large_chest() -> Volume:
    """Return a phantom of 600 slices of 512x512, each of its voxels eight times."""
    z, y, x = (n * mm for n, mm in zip(LARGE, LARGE_MM, strict=True))
    array = phantom((1.2, 1.2, 1.2), (z, y, x)).array
    for axis in range(3):
        array = array.repeat(2, axis=axis)
    return Volume(array, Geometry(LARGE, LARGE_MM))


def phantom(spacing: tuple[float, ...], extent_mm: tuple[float, ...]) -> Volume:
    """Return a phantom with a dozen nodules."""
    from napari_ctlns.phantom import PhantomSpec, make_phantom

    spec = PhantomSpec(seed=7, spacing=spacing, extent_mm=extent_mm, n_nodules=12)
    return make_phantom(spec).volume


def doubled(scan: Volume) -> Volume:
    """Return a scan with its mirror image on top."""
    array = np.concatenate([scan.array, scan.array[::-1]])
    return Volume(array, replace(scan.geometry, shape=array.shape))


def save_scan(scan: Volume, folder: Path) -> Path:
    """Write a scan so that another process has it in memory at once; return its folder."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "hu.npy", scan.array)
    np.save(folder / "spacing.npy", scan.geometry.spacing)
    return folder


def load_scan(folder: Path) -> Volume:
    """Return what `save_scan` wrote."""
    array, spacing = np.load(folder / "hu.npy"), np.load(folder / "spacing.npy")
    return Volume(array, Geometry(array.shape, tuple(map(float, spacing))))


def random_model(folder: Path) -> Path:
    """Write an untrained model of the default recipe."""
    import torch

    from napari_ctlns.networks import build_network

    recipe = load_recipe("ct-lns")
    torch.manual_seed(0)
    save_model(folder, build_network(recipe).eval(), ModelCard(recipe=recipe))
    return folder


# -- our way, and times -------------------------------------------------------------


class Ours:
    """A model made ready; a scan in memory becomes a mask in memory."""

    def __init__(self, model: Path, device: str = "auto") -> None:
        self.recipe = read_card(model).recipe
        self.rules = self.recipe.inference
        self.members = [prepared_member(model, self.recipe, device=device)]
        self.engine = self.members[0].engine.name

    def __call__(self, scan: Volume, *, whole: bool = False) -> Prediction:
        """Return what is found."""
        work = predict_volume(scan, self.members, self.rules, whole=whole)
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians(calls: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Return the median seconds of calls that take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: statistics.median(values) for name, values in times.items()}
