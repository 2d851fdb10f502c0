"""How much memory training will need, before any of it is taken."""

import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_ctlns.events import Control, Event, Finished, Started
from napari_ctlns.learning.device import Arithmetic, choose_arithmetic
from napari_ctlns.learning.free_memory import free_bytes
from napari_ctlns.learning.starting import must_be_trainable
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Optimisation, Recipe
from napari_ctlns.specs import Device, EstimateSpec

_PATCHES = 2
"""Patches that are tried: batch norm cannot do with one voxel."""
_WORKSPACE = 1.2
"""What libraries take beside tensors: measured on a CPU, 6 to 30 % of them."""
_INPUT_BYTES = 8
"""Of a voxel: image and target, float32."""
_SHOWN_AS_GIGABYTES = 10**8


@dataclass(frozen=True)
class MemoryNeed:
    """What training needs of a device's memory, beside what programs and libraries take.

    Attributes
    ----------
    weights_bytes
        Weights and all that is kept for each of them: gradient, the optimiser's two
        moments, the average, a copy of half the precision.
    activations_bytes
        The most that a step, or a validation, holds beside them.
    total_bytes
        Both together.
    available_bytes
        What the device has left; None where nobody can tell.
    device
        "cpu", "cuda" or "mps".
    fits
        Whether the total is available, as far as is known.
    suggestion
        What to change if it is not; else empty.
    """

    weights_bytes: int
    activations_bytes: int
    total_bytes: int
    available_bytes: int | None
    device: str
    fits: bool
    suggestion: str


def memory_need(recipe: Recipe, device: Device) -> MemoryNeed:
    """Estimate what training by a recipe needs; nothing of that size is allocated.

    A step is run with tensors that have shapes but no values, and what exists at once is
    added up. It grows with the number of patches.

    Raises
    ------
    RunError
        If there is no such device, it cannot do the recipe's precision, or the recipe is
        that of an imported model.
    """
    must_be_trainable(recipe)
    arithmetic = choose_arithmetic(device, recipe.optimisation.precision)
    with torch.random.fork_rng(devices=[]):
        network = build_network(recipe)
    weights = _weights_bytes(network, recipe.optimisation, arithmetic)
    activations = _activations(network, recipe, arithmetic)
    free = free_bytes(arithmetic.device)
    chosen = recipe.optimisation

    def fits(optimisation: Optimisation) -> bool:
        return free is None or weights + activations(optimisation) <= free

    total = weights + activations(chosen)
    return MemoryNeed(
        weights_bytes=weights,
        activations_bytes=activations(chosen),
        total_bytes=total,
        available_bytes=free,
        device=arithmetic.device.type,
        fits=fits(chosen),
        suggestion="" if fits(chosen) else _suggestion(chosen, fits),
    )


def estimate(spec: EstimateSpec, control: Control) -> Iterator[Event]:  # noqa: ARG001
    """Say what memory training by a recipe would need on a device.

    Yields
    ------
    Event
        `Finished` has the fields of `MemoryNeed`, and ``words``: all in a sentence.
    """
    yield Started(title=f"Estimate the memory that {spec.recipe.name} needs")
    need = memory_need(spec.recipe, spec.device)
    yield Finished(result={**asdict(need), "words": in_words(need)})


def in_words(need: MemoryNeed) -> str:
    """Say it in a sentence."""
    words = f"Training needs about {_bytes_in_words(need.total_bytes)} of memory ({need.device})"
    if need.available_bytes is None:
        return words
    words = f"{words}, {_bytes_in_words(need.available_bytes)} are free"
    return words if need.fits else f"{words}: {need.suggestion}"


def _bytes_in_words(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= _SHOWN_AS_GIGABYTES else f"{count / 1e6:.0f} MB"


def _weights_bytes(network: nn.Module, recipe: Optimisation, arithmetic: Arithmetic) -> int:
    weights = sum(weight.numel() for weight in network.parameters())
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in network.buffers())
    copies = 4 + (recipe.ema_decay > 0)  # itself, gradient, two moments, average
    half = 0 if arithmetic.precision == "fp32" else 2
    return weights * (4 * copies + half) + buffers


def _activations(
    network: nn.Module, recipe: Recipe, arithmetic: Arithmetic
) -> Callable[[Optimisation], int]:
    """Return what tells the bytes of a step or a validation for a batch size and its parts."""
    kind = torch.float32 if arithmetic.precision == "fp32" else torch.bfloat16
    network, channels = network.to("meta", kind), recipe.image_channels
    learning = _patch_bytes(network.train(), (channels, *recipe.patches.size), kind)
    with torch.no_grad():
        judging = _patch_bytes(network.eval(), (channels, *recipe.validation_size), kind)
    voxels, judged_voxels = math.prod(recipe.patches.size), math.prod(recipe.validation_size)

    def activations(optimisation: Optimisation) -> int:
        patches = optimisation.batch_size // optimisation.accumulation
        # validation takes about as many voxels at once as a step does
        judged = max(1, optimisation.batch_size * voxels // judged_voxels)
        return max(learning * patches, judging * judged)

    return activations


def _patch_bytes(network: nn.Module, shape: tuple[int, ...], kind: torch.dtype) -> int:
    """Return the most bytes that a patch needs at once on its way through and back."""
    image = torch.empty((_PATCHES, *shape), dtype=kind, device="meta")
    for weight in network.parameters():
        # gradients of weights are counted with the weights
        weight.grad = None
    with _Living() as living:
        answer = network(image)
        levels = answer if isinstance(answer, list) else [answer]
        if torch.is_grad_enabled():
            _backward(network, levels)
    return int(_WORKSPACE * living.most / _PATCHES) + _INPUT_BYTES * math.prod(shape)


def _backward(network: nn.Module, levels: Sequence[Tensor]) -> None:
    hooks = [
        weight.register_post_accumulate_grad_hook(_forget_gradient)  # type: ignore[no-untyped-call]
        for weight in network.parameters()
    ]
    losses = [nn.functional.softplus(level.float()).mean() for level in levels]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()


def _forget_gradient(weight: Tensor) -> None:
    weight.grad = None


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of all tensors that were made and are not gone yet.

    Attributes
    ----------
    most
        The most there were at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key not in self._known:
            self._known[key] = storage.nbytes()
            self._now += storage.nbytes()
            self.most = max(self.most, self._now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self._now -= self._known.pop(key)


def _suggestion(chosen: Optimisation, fits: Callable[[Optimisation], bool]) -> str:
    """Name the least change that makes a step fit: more parts, else fewer patches."""
    batch = chosen.batch_size
    for parts in range(chosen.accumulation + 1, batch + 1):
        if batch % parts == 0 and fits(chosen.model_copy(update={"accumulation": parts})):
            return f"take optimisation.accumulation {parts}"
    for fewer in range(batch - 1, 0, -1):
        if fits(chosen.model_copy(update={"batch_size": fewer, "accumulation": 1})):
            return f"take optimisation.batch_size {fewer}"
    return "take smaller patches.size or fewer network.channels"
