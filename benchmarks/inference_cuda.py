"""The same chest on a CUDA device, for `inference.py`."""

import argparse

import torch

from inference_peers import Monai
from inference_setting import GATED, WHOLE, Line, Ours, medians


def cuda_part(options: argparse.Namespace) -> list[Line]:
    """Print seconds of ours, and of MONAI with mixed precision and without."""
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here")
    scan, ours = options.volume, Ours(options.model, "cuda")
    calls = {GATED: lambda: ours(scan), WHOLE: lambda: ours(scan, whole=True)}
    for amp in (True, False):
        peer = Monai(options.model, "cuda", batch=4, amp=amp)
        calls["MONAI, AMP" if amp else "MONAI, fp32"] = lambda p=peer: p(scan)
    for call in calls.values():
        call()  # warms up
    times = medians(calls, options.runs)
    print(f"{ours.engine} on {torch.cuda.get_device_name()}")
    for name, taken in times.items():
        faster, slower = (times[f"MONAI, {kind}"] / taken for kind in ("AMP", "fp32"))
        print(f"{name:24} {taken:8.2f} s, {faster:6.2f} times MONAI's AMP, {slower:6.2f} its fp32")
    return []
