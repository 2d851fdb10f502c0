"""What happens when a GPU has too little memory, as an error of ours."""

from collections.abc import Callable
from typing import TypeVar

from napari_ctlns.errors import CtlnsError

_Result = TypeVar("_Result")


class DeviceMemoryError(CtlnsError):
    """A GPU has too little memory for what it was to do at once; less may fit."""


def within_memory(work: Callable[[], _Result]) -> _Result:
    """Return what some work of torch returns.

    Raises
    ------
    DeviceMemoryError
        If a GPU has too little memory for it; nothing of the work is left there then.
    """
    import torch

    try:
        return work()
    except RuntimeError as error:
        if not _is_of_memory(error):
            raise
    # not before: the error holds on to all that the work had in the memory
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    raise DeviceMemoryError(
        "GPU memory is too small; end other programs that use it, or choose the device cpu"
    )


def too_small(remedy: str) -> str:
    """Say that the memory of a GPU does not suffice, and how the work goes on."""
    return f"GPU memory is too small: goes on {remedy}"


def at_once(windows: int) -> str:
    """Say how many windows are shown at once."""
    return f"with {windows} window{'' if windows == 1 else 's'} at once"


def _is_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU lacks memory; MPS and the libraries of CUDA say so in words alone."""
    import torch

    words = ("out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)
