"""How fast an engine computes, and how fast this machine multiplies matrices."""

import itertools

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from inference_setting import cpu_fact, seconds
from napari_ctlns.inference.openvino import import_openvino
from napari_ctlns.networks import build_network

SIDES = (1024, 2048, 4096)


def engine_rate(engine, recipe, window, runs: int = 5) -> float:
    """Return GFLOP/s of an engine on windows, the fastest of several runs."""
    batch = np.random.default_rng(0).random((engine.batch_size, 1, *window), np.float32)
    engine.run(batch)
    taken = min(seconds(lambda: engine.run(batch)) for _ in range(runs))
    return len(batch) * operations(recipe, window) / taken / 1e9


def operations(recipe, window) -> int:
    """Return the floating-point operations of all convolutions over a window.

    A multiply-add counts as two. Norms, which vanish in the convolutions before them or are
    memory traffic, count nothing.
    """
    with torch.device("meta"):
        network = build_network(recipe).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.empty(1, 1, *window))
    return counter.get_total_flops()


def matrix_rate(*, half: bool, runs: int = 5) -> tuple[float, str]:
    """Return the highest GFLOP/s that OpenVINO or torch multiply square matrices at, and which."""
    best = (0.0, "")
    for (name, product), n in itertools.product(PRODUCTS.items(), SIDES):
        call = product(n, half)
        call()
        rate = 2 * n**3 / min(seconds(call) for _ in range(runs)) / 1e9
        best = max(best, (rate, f"{name}, {n} x {n}, {'bf16' if half else 'fp32'}"))
    return best


def torch_product(n: int, half: bool):
    """Return what multiplies two matrices in torch."""
    a, b = (torch.rand(n, n).to(torch.bfloat16 if half else torch.float32) for _ in range(2))
    return lambda: a @ b


def openvino_product(n: int, half: bool):
    """Return what multiplies a matrix with a constant one in OpenVINO."""
    openvino = import_openvino()
    layer = torch.nn.Linear(n, n, bias=False)
    network = openvino.convert_model(layer, example_input=torch.zeros(n, n), input=[n, n])
    how = {"INFERENCE_PRECISION_HINT": "bf16" if half else "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(network, "CPU", how)
    given = np.random.default_rng(0).random((n, n), np.float32)
    return lambda: compiled(given)


PRODUCTS = {"torch": torch_product, "OpenVINO": openvino_product}


def has_amx() -> bool:
    """Whether the processor has a matrix unit of its own."""
    return "amx_tile" in cpu_fact("flags").split()
