"""Training: napari-ctlns beside MONAI's and TorchIO's own pipelines, same network, same scans.

    python benchmarks/training.py [--size 64 96] [--rounds 3]     patches a second, end to end
    python benchmarks/training.py --quality [--patches 800]       Dice after as many patches
    python benchmarks/training.py --loading                       what loading costs us
    python benchmarks/training.py --memory                        host memory, 10 and 100 scans
    python benchmarks/training.py --cuda                          precisions on a CUDA device

Scans are phantoms of whole chests, prepared once (``--data`` keeps them). Ours is the job behind
``ctlns train``, in the precision it chooses; the peers (`training_peers.py`) are as their
documentation has them, single precision. Each works in processes of its own, which stand still
while the others have their turn, so that noise of the machine hits all alike and nobody loads
ahead at the expense of others; figures are medians of the turns.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from napari_ctlns.dataset import open_dataset, prepare
from napari_ctlns.events import Progress, Uncontrolled
from napari_ctlns.inference.model import ModelCard, load_network, save_model
from napari_ctlns.learning import train
from napari_ctlns.learning.data import TrainingData, training_data
from napari_ctlns.learning.device import arithmetic_settings, choose_arithmetic
from napari_ctlns.learning.distributed import Group
from napari_ctlns.learning.learner import Learner
from napari_ctlns.learning.scores import validation_scores
from napari_ctlns.networks import build_network
from napari_ctlns.phantom import cohort_specs, write_cohort
from napari_ctlns.recipe import Recipe, load_recipe
from napari_ctlns.specs import PrepareSpec, TrainSpec
from training_peers import PEERS, Setting

OURS = "napari-ctlns"
DISTINCT = 16
"""Batches that are on the device already, one after the other in a circle."""


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs="+", default=[64, 96], help="sides of a patch")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--steps", type=int, default=16, help="of a turn; 16 empty TorchIO's queue")
    parser.add_argument("--scans", type=int, default=6, help="to learn from; 2 more to validate")
    parser.add_argument("--data", type=Path, help="keep the scans here, and take them from here")
    parser.add_argument("--workers", type=int, help="worker processes of the peers")
    parser.add_argument("--set", action="append", default=[], help="section.key=value of ours")
    parser.add_argument("--patches", type=int, default=800, help="--quality: to learn from")
    parser.add_argument("--seeds", type=int, default=1, help="--quality: trainings of each")
    parser.add_argument("--turns-of", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    for mode in ("quality", "loading", "memory", "cuda"):
        parser.add_argument(f"--{mode}", action="store_true")
    options = parser.parse_args()
    if options.turns_of:
        return take_turns(options)
    if options.memory_of:
        return use_memory(options)
    print(versions())
    with contextlib.ExitStack() as stack:
        if options.data is None:
            options.data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_scans(options.data, options.scans)
        chosen = [name for name in ("quality", "loading", "memory", "cuda") if vars(options)[name]]
        for name in chosen or ["speed"]:
            globals()[name](options)
    return None


def versions() -> str:
    """Return what was measured, and on what."""
    from importlib.metadata import version

    names = ("napari-ctlns", "monai", "torchio", "torch")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    threads = torch.get_num_threads()
    return f"{', '.join(f'{n} {version(n)}' for n in names)}; {device}, {threads} threads"


def processor() -> str:
    """Return the name of the processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# -- the same scans and the same network for all ------------------------------------


def make_scans(folder: Path, scans: int) -> None:
    """Make phantoms, prepare them, and write the prepared scans as files for the peers."""
    if (folder / "dataset" / "dataset.json").is_file():
        return
    print(f"making {scans + 2} scans in {folder}", flush=True)
    specs = cohort_specs(scans + 2, 0, (1.0, 1.0, 1.0))
    list(write_cohort(folder / "scans", specs))
    names = [spec.name for spec in specs]
    splits = {"train": names[:scans], "val": names[scans:]}
    (folder / "splits.json").write_text(json.dumps(splits))
    spec = PrepareSpec(
        source=folder / "scans",
        out=folder / "dataset",
        recipe=load_recipe("ct-lns"),
        masks=folder / "scans" / "masks",
        splits=folder / "splits.json",
    )
    list(prepare(spec, Uncontrolled()))
    (folder / "files").mkdir()
    for scan in open_dataset(folder / "dataset").scans("train"):
        ct, mask = files_of(folder, scan.scan_id)
        sitk.WriteImage(sitk.GetImageFromArray(np.asarray(scan.hu())), ct)
        sitk.WriteImage(sitk.GetImageFromArray((scan.mask() > 0).astype(np.uint8)), mask)


def files_of(folder: Path, scan_id: str) -> tuple[Path, Path]:
    """Return where the CT and the mask of a scan lie for the peers."""
    return folder / "files" / f"{scan_id}-ct.nii", folder / "files" / f"{scan_id}-mask.nii"


def recipe_of(options: argparse.Namespace, size: int, **changes) -> Recipe:
    """Return ct-lns at a size of patches."""
    from napari_ctlns.recipe import parse_changes

    base = {
        "patches.size": (size,) * 3,
        "inference.window": (size,) * 3,
        "optimisation.batch_size": options.batch,
        "optimisation.seed": options.seed,
    }
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe("ct-lns").with_changes({**base, **named, **parse_changes(options.set)})


def training_spec(options: argparse.Namespace, recipe: Recipe, out: Path) -> TrainSpec:
    """Return what `ctlns train` would be told."""
    return TrainSpec(dataset=options.data / "dataset", out=out, recipe=recipe)


def setting_of(options: argparse.Namespace, recipe: Recipe, steps: int = 0) -> Setting:
    """Return the same for the peers."""
    scans = open_dataset(options.data / "dataset").scans("train")
    more = {} if options.workers is None else {"workers": options.workers}
    return Setting(
        files=[files_of(options.data, scan.scan_id) for scan in scans],
        size=recipe.patches.size,
        batch=recipe.optimisation.batch_size,
        nodule_fraction=recipe.patches.nodule_fraction,
        learning_rate=recipe.optimisation.learning_rate,
        steps=steps,
        **more,
    )


def our_steps(spec: TrainSpec) -> Iterator[None]:
    """Train as `ctlns train` does, and yield after every step."""
    for event in train(spec, Uncontrolled()):
        if isinstance(event, Progress) and event.unit == "step":
            yield


# -- patches a second, end to end ---------------------------------------------------


def speed(options: argparse.Namespace) -> None:
    """Let each train in turns, and print patches a second and the smallest ratio."""
    worst = float("inf")
    for size in options.size:
        rates = turns(options, size)
        for name, rate in rates.items():
            times = "" if name == OURS else f"  ours {rates[OURS] / rate:5.2f} times as many"
            print(f"{name:14} {size}^3  {rate:7.2f} patches/s{times}", flush=True)
        worst = min(worst, *(rates[OURS] / rates[peer] for peer in PEERS))
    print(f"ratio: {worst:.2f}")


def turns(options: argparse.Namespace, size: int) -> dict[str, float]:
    """Return the median patches a second of each."""
    seconds: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        runners = {
            name: stack.enter_context(runner(options, name, size)) for name in (OURS, *PEERS)
        }
        for number in range(options.rounds + 1):
            for name, run in runners.items():
                took = run(options.steps)
                if number:  # the first one is for warming up
                    seconds.setdefault(name, []).append(took)
    patches = options.steps * options.batch
    return {name: patches / statistics.median(times) for name, times in seconds.items()}


@contextlib.contextmanager
def runner(options: argparse.Namespace, name: str, size: int) -> Iterator[Callable[[int], float]]:
    """Start a process that trains in turns; give what makes it do steps and returns the seconds."""
    words = ["--turns-of", name, "--size", size, "--batch", options.batch, "--data", options.data]
    if options.workers is not None:
        words += ["--workers", options.workers]
    for change in options.set:
        words += ["--set", change]
    process = subprocess.Popen(
        [sys.executable, __file__, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if "CTLNS_DEBUG" not in os.environ else None,
        text=True,
        process_group=0,  # whoever kills us also ends those that stand still
    )

    def signal_all(name: str) -> None:
        if hasattr(signal, name):  # Windows lacks it: there, those who wait go on loading
            os.killpg(process.pid, getattr(signal, name))

    def run(steps: int) -> float:
        signal_all("SIGCONT")
        process.stdin.write(f"{steps}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit(f"{name} died; CTLNS_DEBUG=1 shows why")
        signal_all("SIGSTOP")
        return float(answer)

    try:
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal_all("SIGCONT")
            signal_all("SIGKILL")
        process.wait()


def take_turns(options: argparse.Namespace) -> None:
    """Train as many steps as each line on standard input says, and print the seconds."""
    size = options.size[0]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    # so many patches that no epoch ends: validation is no part of this measurement
    recipe = recipe_of(options, size, patches__per_scan=1000, patches__validation_size=(16,) * 3)
    with tempfile.TemporaryDirectory() as folder:
        if options.turns_of == OURS:
            steps = our_steps(training_spec(options, recipe, Path(folder) / "run"))
        else:
            steps = PEERS[options.turns_of](our_network(recipe), setting_of(options, recipe))
        for line in sys.stdin:
            start = time.perf_counter()
            for _ in range(int(line)):
                next(steps)
            answers.write(f"{time.perf_counter() - start}\n")
            answers.flush()


def our_network(recipe: Recipe) -> torch.nn.Module:
    """Return the network with the weights that our training begins with."""
    torch.manual_seed(recipe.optimisation.seed)
    return build_network(recipe)


# -- Dice after the same number of patches ------------------------------------------


def quality(options: argparse.Namespace) -> None:
    """Train each on as many patches, judge all on the same ones, and print the difference."""
    size, scans = options.size[0], options.scans
    steps = options.patches // options.batch
    found: dict[str, list[float]] = {name: [] for name in (OURS, *PEERS)}
    for seed in range(options.seeds):
        options.seed = seed
        recipe = recipe_of(
            options,
            size,
            optimisation__epochs=1,
            optimisation__schedule="cosine",
            patches__per_scan=-(-steps * options.batch // scans),
        )
        for name in found:
            with tempfile.TemporaryDirectory() as folder:
                model = trained(options, name, recipe, steps, Path(folder))
                found[name].append(dice(options, recipe, model))
            print(f"{name:14} {size}^3  seed {seed}: Dice {found[name][-1]:.3f}", flush=True)
    means = {name: statistics.mean(values) for name, values in found.items()}
    for name, mean in means.items():
        print(f"{name:14} mean Dice {mean:.3f} after {steps * options.batch} patches")
    best = max(means[peer] for peer in PEERS)
    print(f"difference: {means[OURS] - best:+.3f}")


def trained(
    options: argparse.Namespace, name: str, recipe: Recipe, steps: int, folder: Path
) -> Path:
    """Return the model that one of them learned."""
    if name == OURS:
        list(train(training_spec(options, recipe, folder / "run"), Uncontrolled()))
        return folder / "run" / "best"  # of one epoch
    network = our_network(recipe)
    work = PEERS[name](network, setting_of(options, recipe, steps))
    for _ in range(steps):
        next(work)
    save_model(folder / "model", network.cpu(), ModelCard(recipe=recipe))
    return folder / "model"


def dice(options: argparse.Namespace, recipe: Recipe, model: Path) -> float:
    """Return the Dice of a model on our validation patches, in single precision."""
    judging = recipe.with_changes(
        {
            "optimisation.precision": "fp32",
            "patches.per_scan": load_recipe("ct-lns").patches.per_scan,
        }
    )
    data = our_data(options, judging)
    weights = load_network(model).state_dict()
    learner = Learner(judging, choose_arithmetic("auto", "fp32"), weights)
    return validation_scores([learner.judge(b) for b in data.validation_batches()])["val_dice"]


def our_data(options: argparse.Namespace, recipe: Recipe) -> TrainingData:
    """Return what our training learns from and is judged by."""
    return training_data(training_spec(options, recipe, Path("none")), Group())


# -- what loading costs -------------------------------------------------------------


class Ready:
    """A batch whose tensors are on the device already."""

    def __init__(self, batch, device: torch.device) -> None:
        self.hu = batch.hu
        self._tensors = batch.on(device)

    def part(self, _: slice) -> "Ready":
        """Return all of it: steps are not divided here."""
        return self

    def on(self, _: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return image and target."""
        return self._tensors


def ready_steps(options: argparse.Namespace, recipe: Recipe) -> Iterator[None]:
    """Do the steps of our training on tensors that are there already."""
    arithmetic = choose_arithmetic("auto", recipe.optimisation.precision)
    with arithmetic_settings(recipe.optimisation):
        learner = Learner(recipe, arithmetic)
        batches = our_data(options, recipe).training_batches(0, 0)
        ready = [Ready(next(batches), arithmetic.device) for _ in range(DISTINCT)]
        batches.close()
        number = 0
        while True:
            learner.gradients(ready[number % DISTINCT], number)
            learner.update(recipe.optimisation.learning_rate)
            number += 1
            yield


def loading(options: argparse.Namespace) -> None:
    """Print which share of our wall time is not the steps themselves."""
    for size in options.size:
        recipe = recipe_of(options, size, patches__per_scan=1000,
                           patches__validation_size=(16,) * 3)  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            whole, bare = taking_turns(
                options,
                our_steps(training_spec(options, recipe, Path(folder) / "run")),
                ready_steps(options, recipe),
            )
        each, tensors = whole / options.steps, bare / options.steps
        print(f"{size}^3: {each:.3f} s a step, {tensors:.3f} s of them on tensors that are there")
        print(f"loading: {100 * (each - tensors) / each:.1f} % of the wall time", flush=True)


def taking_turns(options: argparse.Namespace, *works: Iterator[None]) -> list[float]:
    """Return the median seconds of a turn of each, after one to warm up."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(options.rounds + 1):
        for times, work in zip(seconds, works, strict=True):
            synchronise()
            start = time.perf_counter()
            for _ in range(options.steps):
                next(work)
            synchronise()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


def synchronise() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# -- host memory --------------------------------------------------------------------


def memory(options: argparse.Namespace) -> None:
    """Print the memory that training takes with 10 and with 100 scans.

    Pages of mapped files, which the system drops when it needs room, are told apart.
    """
    print(f"{'scans':>6} {'own memory, MiB':>16} {'mapped files, MiB':>18}")
    own = []
    for scans in (10, 100):
        words = ["--memory-of", scans, "--data", options.data, "--size", options.size[0]]
        done = subprocess.run(
            [sys.executable, __file__, *map(str, words)], capture_output=True, text=True, check=True
        )
        anonymous, mapped = map(float, done.stdout.split()[-2:])
        own.append(anonymous)
        print(f"{scans:6} {anonymous:16.0f} {mapped:18.0f}", flush=True)
    print(f"ratio: {own[1] / own[0]:.2f} times the memory for 10 times the scans")


def use_memory(options: argparse.Namespace) -> None:
    """Train 100 steps on so many scans and print the most memory taken, own and mapped."""
    scans = options.memory_of
    with tempfile.TemporaryDirectory(dir=options.data) as folder, most_memory() as most:
        dataset = many_scans(options.data / "dataset", Path(folder) / "dataset", scans)
        recipe = recipe_of(
            options, options.size[0], network__channels=(8, 16), optimisation__epochs=1,
            patches__per_scan=100 * options.batch // scans, patches__validation_size=(16,) * 3,
        )  # fmt: skip
        list(train(TrainSpec(dataset=dataset, out=Path(folder) / "run", recipe=recipe),
                   Uncontrolled()))  # fmt: skip
    print(most["RssAnon"] / 1024, most["RssFile"] / 1024)


def many_scans(source: Path, target: Path, scans: int) -> Path:
    """Write a dataset of many scans: hard links to the arrays of a few, under other names."""
    card = json.loads((source / "dataset.json").read_text("utf-8"))
    names = [f"scan{number:03}" for number in range(scans)]
    for number, name in enumerate(names):
        original = source / card["scans"][number % len(card["scans"])]
        for path in original.rglob("*.npy"):
            copy = target / name / path.relative_to(original)
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, copy)
        scan = json.loads((original / "scan.json").read_text("utf-8"))
        text = json.dumps({**scan, "scan_id": name, "patient_id": name})
        (target / name / "scan.json").write_text(text, "utf-8")
    split = {name: "val" if number == 0 else "train" for number, name in enumerate(names)}
    card = {**card, "scans": names, "split": split}
    (target / "dataset.json").write_text(json.dumps(card), "utf-8")
    return target


@contextlib.contextmanager
def most_memory() -> Iterator[dict[str, float]]:
    """Give the most KiB that this process has had, by Linux's names; looked at now and then."""
    most = {"RssAnon": 0.0, "RssFile": 0.0}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for line in Path("/proc/self/status").read_text("ascii").splitlines():
                name, _, value = line.partition(":")
                if name in most:
                    most[name] = max(most[name], float(value.split()[0]))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


# -- precisions on a CUDA device ----------------------------------------------------


def cuda(options: argparse.Namespace) -> None:
    """Print patches a second of each precision, end to end and on tensors already there."""
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here")
    for size in options.size:
        rates = {
            (name, kind): cuda_rate(options, size, precision, tf32, kind)
            for name, precision, tf32 in (
                ("AMP", "auto", False), ("TF32", "fp32", True), ("fp32", "fp32", False),
            )
            for kind in ("end to end", "on tensors")
        }  # fmt: skip
        for (name, kind), rate in rates.items():
            print(f"{size}^3 {name:5} {kind:11} {rate:8.1f} patches/s", flush=True)
        amp, single = rates["AMP", "end to end"], rates["fp32", "end to end"]
        print(f"AMP over fp32: {amp / single:.2f}")
        print(f"end to end over tensors: {amp / rates['AMP', 'on tensors']:.2f}", flush=True)


def cuda_rate(
    options: argparse.Namespace, size: int, precision: str, tf32: bool, kind: str
) -> float:
    """Return patches a second in one precision."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    recipe = recipe_of(options, size, patches__per_scan=5000, optimisation__precision=precision,
                       patches__validation_size=(16,) * 3)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        work = (
            ready_steps(options, recipe)
            if kind == "on tensors"
            else our_steps(training_spec(options, recipe, Path(folder) / "run"))
        )
        (seconds,) = taking_turns(options, work)
        work.close()
    return options.steps * options.batch / seconds


if __name__ == "__main__":
    main()
