"""A chest CT in memory becomes a mask: napari-ctlns beside MONAI and nnU-Net, on the same weights.

    python benchmarks/inference.py [--model MODEL] [--scan SCAN]          all of it
    python benchmarks/inference.py chest       seconds, and how the masks agree
    python benchmarks/inference.py rate        the engine beside this machine's matrix products
    python benchmarks/inference.py memory      peak resident memory, a process each
    python benchmarks/inference.py linear      twice the slices
    python benchmarks/inference.py nnunet      an imported model beside nnU-Net's own predictor
    python benchmarks/inference.py cuda        the same chest on a CUDA device

The scan is a phantom of 320x360x360 voxels of 1 mm, unless given. Ours is `predict_volume`, the
work behind ``ctlns predict``, with its lung gate and without; the peers (`inference_peers.py`,
`inference_nnunet.py`) are as their documentation has them. All have their models loaded and
take turns in one run; seconds are medians of the turns. nnU-Net takes part with
``--nnunet-python``, the Python of an environment that has it.

Masks can only agree where a model knows what it looks at: give one that was trained on whole
chests. One that has seen slabs alone is unsure all over diaphragm and table.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE

import numpy as np
import torch

from inference_cuda import cuda_part
from inference_peers import Monai
from inference_rate import engine_rate, has_amx, matrix_rate
from inference_setting import (
    GATED,
    WHOLE,
    Line,
    Ours,
    chest,
    doubled,
    large_chest,
    medians,
    print_lines,
    random_model,
    save_scan,
    seconds,
    versions,
)
from napari_ctlns.events import Uncontrolled
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.inference.importing import import_model
from napari_ctlns.inference.planning import plan_tiling
from napari_ctlns.inference.searching import lungs_with_margin
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.metrics import dice
from napari_ctlns.resampling import prepared_hu
from napari_ctlns.specs import ImportSpec
from napari_ctlns.volume import Volume

HERE = Path(__file__).parent
NNUNET = HERE / "inference_nnunet.py"


def main() -> None:
    """Measure what is asked for, and print what is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--model", type=Path, help="a model folder; else random weights")
    parser.add_argument("--scan", type=Path, help="a file or DICOM folder; else a phantom")
    parser.add_argument("--size", type=int, nargs=3, default=(320, 360, 360), help="of the phantom")
    parser.add_argument("--runs", type=int, default=3, help="turns of each")
    parser.add_argument("--nnunet-python", help="a Python that has nnunetv2")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print(versions())
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        options.trained = options.model is not None
        if not options.trained:
            options.model = random_model(options.work / "model")
            print("random weights: what the Dice says means nothing")
        options.volume = read_scan(options.scan) if options.scan else chest(options.size)
        print(f"{options.volume.geometry.shape} voxels of {options.volume.geometry.spacing} mm")
        lines: list[Line] = []
        for part in options.parts or [name for name in PARTS if possible(name, options)]:
            print(f"\n-- {part} --", flush=True)
            lines += PARTS[part](options)
    print_lines(lines)


def possible(part: str, options: argparse.Namespace) -> bool:
    """Whether this machine has what a part needs."""
    if part == "cuda":
        return torch.cuda.is_available()
    return part != "nnunet" or bool(nnunet_python(options))


def nnunet_python(options: argparse.Namespace) -> str | None:
    """Return a Python that has nnU-Net, if there is one."""
    here = sys.executable if importlib.util.find_spec("nnunetv2") else None
    return options.nnunet_python or here


# -- a whole chest ------------------------------------------------------------------


def chest_part(options: argparse.Namespace) -> list[Line]:
    """Print seconds, ratios and Dice; then the same from file to file."""
    scan, found = options.volume, {}
    ours = Ours(options.model)
    peers = {f"MONAI, batches of {n}": Monai(options.model, batch=n) for n in (1, 4)}
    trial = {name: seconds(lambda p=peer: p(scan)) for name, peer in peers.items()}
    fastest = min(trial, key=trial.__getitem__)
    print(f"MONAI is faster with {fastest.partition(', ')[2]}: {trial[fastest]:.1f} s", flush=True)

    times = medians(
        {
            GATED: lambda: found.update({GATED: ours(scan)}),
            WHOLE: lambda: found.update({WHOLE: ours(scan, whole=True)}),
            "MONAI": lambda: found.update(MONAI=peers[fastest](scan)),
        },
        options.runs,
    )
    rules = ours.rules
    theirs = mask_from_probability(scan.probability(found["MONAI"].astype(np.float16)), rules)
    print(f"runs on {ours.engine}, threshold {rules.threshold}, from {rules.min_diameter_mm} mm on")
    masks = {name: found[name].mask.array for name in (GATED, WHOLE)} | {"MONAI": theirs.array}
    agreed = compare(scan, times, masks)
    for name in (GATED, WHOLE):
        stages = ", ".join(f"{k} {v:.2f}" for k, v in found[name].seconds.items())
        print(f"{name}: {stages}")
    file_to_file(options, fastest)
    return [
        Line.at_least("whole chest, times as fast as MONAI", 12, times["MONAI"] / times[GATED]),
        Line.at_least("without the lung gate", 6, times["MONAI"] / times[WHOLE]),
        *(
            Line.at_least(f"Dice to MONAI's mask, {name}", 0.99, agreed[name], options.trained)
            for name in (GATED, WHOLE)
        ),
    ]


def compare(
    scan: Volume, times: dict[str, float], masks: dict[str, np.ndarray]
) -> dict[str, float]:
    """Print how fast each is, and how its mask agrees with MONAI's; return the Dice."""
    columns = f"{'seconds':>8} {'ratio':>7} {'nodules':>8} {'Dice to MONAI':>14}"
    print(f"{'':24} {columns} {'at the lungs alone':>19}")
    inside = lungs_with_margin(scan)
    near = np.ones(scan.array.shape, bool) if inside is None else inside
    theirs, agreed = masks["MONAI"] > 0, {}
    for name, mask in masks.items():
        agreed[name], here = dice(mask > 0, theirs), dice((mask > 0) & near, theirs & near)
        words = f"{times[name]:8.2f} {times['MONAI'] / times[name]:7.2f} {mask.max():8}"
        print(f"{name:24} {words} {agreed[name]:14.4f} {here:19.4f}")
    return agreed


def file_to_file(options: argparse.Namespace, fastest: str) -> None:
    """Print what whole commands take, from a compressed file to another."""
    scan, out = options.work / "scan.nii.gz", options.work / "mask.nii.gz"
    write_volume(options.volume, scan)
    ours = [sys.executable, "-m", "napari_ctlns", "predict", scan, "--model", options.model,
            "--out", out]  # fmt: skip
    peer = [sys.executable, HERE / "inference_peers.py", scan, options.model, out,
            fastest.split()[-1]]  # fmt: skip
    for name, words in {GATED: ours, WHOLE: [*ours, "--whole"], "MONAI": peer}.items():
        taken = seconds(lambda w=words: run(*w))
        print(f"file to file, {name:24} {taken:8.2f} s", flush=True)


def run(*words: object) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed:\n{done.stderr[-2000:]}")
    return done.stdout


# -- the engine beside matrix products ----------------------------------------------


def rate_part(options: argparse.Namespace) -> list[Line]:
    """Print GFLOP/s of the engine on the windows that are chosen, and of matrix products."""
    ours = Ours(options.model)
    hu, grid = prepared_hu(options.volume, ours.recipe.preparation)
    inside = lungs_with_margin(Volume(hu, grid))
    peak, what = matrix_rate(half="bf16" in ours.engine)
    print(f"{what:44} {peak:8.0f} GFLOP/s")
    shares = {}
    for name, where in {GATED: inside, WHOLE: None}.items():
        tiling = plan_tiling(hu, ours.recipe, inside=where)
        rate = engine_rate(ours.members[0].engine, ours.recipe, tiling.window)
        shares[name] = rate / peak
        voxels = len(tiling.starts) * np.prod(tiling.window) / hu.size
        words = f"{name}: {len(tiling.starts)} windows of {tiling.window}"
        print(f"{words:44} {rate:8.0f} GFLOP/s, {100 * rate / peak:.0f} %; {voxels:.2f} scans")
    if has_amx():
        print("this processor has AMX: the share is reported only")
    worst = 100 * min(shares.values())
    return [Line.at_least("engine, % of matrix products", 70, worst, not has_amx())]


# -- memory -------------------------------------------------------------------------


def memory_part(options: argparse.Namespace) -> list[Line]:
    """Print the most resident memory of each, in a process of its own."""
    Ours(options.model)  # what is converted once lies in the cache from now on
    scan = save_scan(options.volume, options.work / "chest")
    peaks = {
        name: peak(options, scan, name) for name in ("ours", "ours-whole", "monai-1", "monai-4")
    }
    large = save_scan(large_chest(), options.work / "large")
    most = [peak(options, large, name) for name in ("ours", "ours-whole")]
    share = max(peaks["ours"], peaks["ours-whole"]) / min(peaks["monai-1"], peaks["monai-4"])
    return [
        Line.at_most("peak memory, of MONAI's", 0.5, share),
        Line.at_most("peak memory of 512x512x600, GB", 2.5, max(most) * 2**20 / 1e9),
    ]


def peak(options: argparse.Namespace, scan: Path, name: str) -> float:
    """Return the most MiB that one of them took for a scan."""
    out = run(sys.executable, HERE / "inference_memory.py", name, options.model, scan)
    before, most = map(float, out.split()[-2:])
    print(
        f"{scan.name:8} {name:12} {most:8.0f} MiB, {before:.0f} of them before it began", flush=True
    )
    return most


# -- twice the slices ---------------------------------------------------------------


def linear_part(options: argparse.Namespace) -> list[Line]:
    """Print what a scan and twice the scan take."""
    once, ours = options.volume, Ours(options.model)
    twice = doubled(once)
    lines = []
    for name, whole in {GATED: False, WHOLE: True}.items():
        times = medians(
            {n: lambda s=s, w=whole: ours(s, whole=w) for n, s in {1: once, 2: twice}.items()},
            options.runs,
        )
        print(f"{name:24} {times[1]:8.2f} s, twice the slices {times[2]:8.2f} s", flush=True)
        lines.append(Line.at_most(f"twice the slices, {name}", 2.1, times[2] / times[1]))
    return lines


# -- nnU-Net ------------------------------------------------------------------------


def nnunet_part(options: argparse.Namespace) -> list[Line]:
    """Let nnU-Net make a model and use it; import it, use it, and print both times."""
    python = nnunet_python(options)
    if not python:
        raise SystemExit("no nnU-Net here; name a Python that has it with --nnunet-python")
    source, model = options.work / "nnunet", options.work / "imported"
    run(python, NNUNET, "make", source)
    list(import_model(ImportSpec(source=source, out=model), Uncontrolled()))
    scan, ours = options.volume, Ours(model)
    words = [python, NNUNET, "predict", source, save_scan(scan, options.work / "chest")]
    with subprocess.Popen([*map(str, words)], stdin=PIPE, stdout=PIPE, text=True) as peer:
        calls = {
            GATED: lambda: ours(scan),
            WHOLE: lambda: ours(scan, whole=True),
            "nnU-Net": lambda: once_more(peer),
        }
        times = medians(calls, options.runs)
        peer.stdin.close()
    print(f"{ours.engine}, window {ours.recipe.window}, overlap {ours.recipe.inference.overlap}")
    for name, taken in times.items():
        print(f"{name:24} {taken:8.2f} s, ratio {times['nnU-Net'] / taken:7.2f}")
    return []


def once_more(peer: subprocess.Popen) -> None:
    """Let a peer's process do its work once more."""
    peer.stdin.write("\n")
    peer.stdin.flush()
    if not peer.stdout.readline():
        raise SystemExit("nnU-Net died")


PARTS = {
    "chest": chest_part,
    "rate": rate_part,
    "memory": memory_part,
    "linear": linear_part,
    "nnunet": nnunet_part,
    "cuda": cuda_part,
}

if __name__ == "__main__":
    main()
