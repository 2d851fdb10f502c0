"""What lies in the files of others, read without running any of it."""

import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_ctlns.errors import ModelError

_PREFIXES = ("module.", "_orig_mod.")
"""What training on several GPUs, and torch.compile, put before the names of weights."""


def read_checkpoint(path: Path) -> Any:
    """Return what a torch checkpoint holds: tensors, numbers, words, lists and dictionaries.

    Raises
    ------
    ModelError
        If it is missing or damaged, or loading it would run code.
    """
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is said by the errors below
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        if " global " in str(error).lower():  # of a function or class that is not allowed
            words = f"{path.name} holds more than weights, which could run code; it is not loaded"
            raise ModelError(f"{words}. Save the network's state_dict") from error
        raise ModelError(f"{path.name} is damaged; copy the model anew") from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path.name} is TorchScript, which is code; give the checkpoint with its weights"
            ) from error
        raise ModelError(f"{path.name} is damaged; copy the model anew") from error
    except Exception as error:
        raise ModelError(f"{path.name} is damaged; copy the model anew") from error


def state_of(checkpoint: Any, keys: tuple[str, ...], name: str) -> Mapping[str, Tensor]:
    """Return the weights in a checkpoint: itself, or what it holds under one of ``keys``.

    Raises
    ------
    ModelError
        If there are none.
    """
    held = checkpoint if isinstance(checkpoint, Mapping) else {}
    for candidate in (held, *(held.get(key) for key in keys)):
        if isinstance(candidate, Mapping) and candidate:
            tensors = {k: v for k, v in candidate.items() if isinstance(v, Tensor)}
            if len(tensors) == len(candidate):
                return {_plain_name(str(k)): v for k, v in tensors.items()}
    raise ModelError(f"{name} holds no weights; give the checkpoint of a trained model")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises
    ------
    ModelError
        If the file is missing, or holds anything else.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON; copy the model anew") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} holds no JSON object; copy the model anew")
    return values


def _plain_name(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name


def _numpy_scalars() -> list[Any]:
    """Return what makes numbers of numpy, as logs hold them, under the names of its versions."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]  # noqa: SLF001
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")}
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *sorted(kinds, key=str),
    ]
