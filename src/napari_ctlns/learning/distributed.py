"""Several processes that learn one network together.

Each takes its share of every batch; gradients are added up after the backward pass
rather than within it, so that a process in which something fails can say so before
the others wait for its gradients: none of them hangs.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from napari_ctlns.errors import CtlnsError, RunError
from napari_ctlns.events import Control
from napari_ctlns.torchrun import rank_and_size

_T = TypeVar("_T")
_PATIENCE = timedelta(days=30)
"""A paused training waits; of a process that is gone the others hear at once."""
_DONE, _NO_MEMORY, _FAILED = range(3)


@dataclass(frozen=True)
class Group:
    """The processes of a training; a group of one, as most are, has nothing to agree on.

    Attributes
    ----------
    rank
        The number of this process; 0 is the one that writes and speaks.
    size
        How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def share(self, patches: Sequence[int]) -> tuple[Sequence[int], float]:
        """Return this process's patches of a step, and which share of the step's they are.

        Nobody goes without, because normalisation over all processes needs them all: where
        there are fewer patches than processes some take one that counts nothing.
        """
        whole = len(patches)
        first, last = (whole * n // self.size for n in (self.rank, self.rank + 1))
        if first == last:
            return patches[:1], 0.0
        return patches[first:last], (last - first) / whole

    def together(self, work: Callable[[], _T]) -> _T:
        """Return what ``work`` gives in this process once it is done in all of them.

        Raises
        ------
        torch.OutOfMemoryError
            In all of them, if memory lacks in any.
        CtlnsError
            In all of them, if it fails in any.
        """
        if self.size == 1:
            return work()
        error: Exception | None = None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - it is raised below, when all know
            error = raised
        worst = int(self._reduced(torch.tensor(_outcome(error)), dist.ReduceOp.MAX))
        if worst == _DONE:
            return result
        if worst == _FAILED:
            words = self.gathered(None if error is None else _words(error))
            if error is None or _outcome(error) != _FAILED:
                raise RunError(next(word for word in words if word is not None))
            raise error
        raise torch.OutOfMemoryError from error

    def first(self, work: Callable[[], _T]) -> _T | None:
        """Let the first process work, the others wait; raise in all if it fails there."""
        return self.together(work if self.is_first else _nothing)

    def told(self, work: Callable[[], _T]) -> _T:
        """Return in all processes what ``work`` gives in the first."""
        result = self.first(work)
        if self.size > 1:
            box = [result]
            dist.broadcast_object_list(box, src=0)
            result = box[0]
        return result  # type: ignore[return-value]

    def stops(self, control: Control) -> bool:
        """Wait while the first process is paused; return whether it was asked to stop."""
        stop = False
        if self.is_first:
            control.wait_while_paused()
            stop = control.stop_requested()
        if self.size == 1:
            return stop
        flag = torch.tensor(int(stop))
        dist.broadcast(flag, src=0)
        return bool(flag)

    def total(self, value: float) -> float:
        """Return the sum of the processes' values."""
        if self.size == 1:
            return value
        return float(self._reduced(torch.tensor(value, dtype=torch.float64), dist.ReduceOp.SUM))

    def gathered(self, value: _T) -> list[_T]:
        """Return the values of all processes, by rank."""
        values: list[_T] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put into every gradient the sum of all processes' gradients, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(message)
        parts = torch.split(message, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def synchronised(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return a network whose batch norm sees the patches of all processes (on CUDA)."""
        if self.size == 1 or device.type != "cuda":
            return network
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]

    def _reduced(self, value: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        dist.all_reduce(value, op=operation)
        return value


@contextlib.contextmanager
def joined() -> Iterator[Group]:
    """Join the processes that ``torchrun`` started; alone without it.

    CPU tensors travel by gloo, CUDA's by NCCL.
    """
    rank, size = rank_and_size()
    if size == 1:
        yield Group()
        return
    cuda = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield Group(rank, size)
    finally:
        dist.destroy_process_group()


def own_cuda_device() -> int:
    """Return the number of the CUDA device that is this process's, and make it its default.

    Raises
    ------
    RunError
        If there are fewer devices than processes on this machine.
    """
    number, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= devices:
        raise RunError(f"there are only {devices} CUDA devices; start one process for each")
    torch.cuda.set_device(number)
    return number


def _outcome(error: Exception | None) -> int:
    if error is None:
        return _DONE
    return _NO_MEMORY if isinstance(error, torch.OutOfMemoryError) else _FAILED


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, CtlnsError) else f"{type(error).__name__}: {error}"


def _nothing() -> None:
    return None
