"""What to do when patches do not fit in memory."""

import contextlib
import gc
from collections.abc import Iterator

import torch

from napari_ctlns.errors import RunError
from napari_ctlns.learning.loader import Batch
from napari_ctlns.recipe import Recipe


def parts_of(batch: Batch, count: int) -> Iterator[Batch]:
    """Yield a batch in ``count`` parts as equal as can be, or patch by patch if it has fewer."""
    patches = len(batch.hu)
    count = min(count, patches)
    for number in range(count):
        yield batch.part(slice(patches * number // count, patches * (number + 1) // count))


def more_parts(count: int, patches: int, recipe: Recipe) -> int:
    """Return in how many parts to try again what did not fit in ``count``; let go of its memory.

    Raises
    ------
    RunError
        If single patches did not fit.
    """
    if count >= patches:
        raise no_memory(recipe)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return min(2 * count, patches)


def no_memory(recipe: Recipe) -> RunError:
    """Say that the memory does not suffice, and what would need less."""
    size = " x ".join(map(str, recipe.patches.size))
    return RunError(
        f"the memory does not suffice for a patch of {size} voxels; take smaller patches.size "
        "or fewer network.channels, or end other programs that use the device"
    )


@contextlib.contextmanager
def memory_errors(recipe: Recipe) -> Iterator[None]:
    """Raise what each device says when its memory lacks as one of two errors.

    Raises
    ------
    torch.OutOfMemoryError
        If a smaller part may fit: on CUDA and MPS.
    RunError
        On a CPU, where memory that lacks for one thing lacks for all.
    """
    try:
        yield
    except MemoryError as error:
        raise no_memory(recipe) from error
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):
            raise no_memory(recipe) from error
        if "MPS backend out of memory" in str(error):
            raise torch.OutOfMemoryError(str(error)) from None
        raise
