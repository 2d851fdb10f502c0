"""A model on disk: a folder with ``weights.safetensors`` and ``model.json``.

An imported ONNX model has ``network.onnx`` instead of weights. None of these files can run
code when it is loaded. The card is read without torch.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_ctlns import __version__
from napari_ctlns.atomic import into_place
from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.findings import now
from napari_ctlns.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT_VERSION = 1
CARD = "model.json"
WEIGHTS = "weights.safetensors"
ONNX = "network.onnx"


def current_versions() -> dict[str, str]:
    """Return the versions of what makes and runs models, by distribution name."""
    versions = {"napari-ctlns": __version__, "python": platform.python_version()}
    for name in ("torch", "monai", "openvino", "numpy", "SimpleITK"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


class ModelCard(BaseModel):
    """What is to be known of a model without loading it.

    Attributes
    ----------
    format_version
        Of the folder's layout; a newer one than ours is refused.
    recipe
        The whole pipeline, its inference window included.
    metrics
        What it reached in training, by name.
    versions
        Of the libraries that made it.
    created
        When.
    run
        The name of the run folder that it came from.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

    format_version: int = FORMAT_VERSION
    recipe: Recipe
    metrics: dict[str, float] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=current_versions)
    created: datetime = Field(default_factory=now)
    run: str = ""


class _Format(BaseModel):
    """The one field that every future version of a card will have."""

    format_version: int


def read_card(folder: str | os.PathLike[str]) -> ModelCard:
    """Return a model's card.

    Raises
    ------
    ModelError
        If there is no such folder, it is not a model, or a newer version made it.
    """
    text = _read(Path(folder), CARD)
    try:
        version = _Format.model_validate_json(text).format_version
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{folder} has model format {version}, newer than {FORMAT_VERSION}; "
                "update napari-ctlns"
            )
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "not JSON"
        raise ModelError(f"{CARD} of {folder} is damaged ({where}); copy the model anew") from error


def save_model(folder: str | os.PathLike[str], network: "nn.Module", card: ModelCard) -> None:
    """Write a model; the one that is there is replaced only after success.

    Parameters
    ----------
    folder
        The model folder. One that exists must hold a model or nothing.
    network
        Built by `build_network` from ``card.recipe``.
    card
        What is to be known of it.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is not a model.
    """
    from safetensors.torch import save

    weights = {k: v.detach().cpu().contiguous() for k, v in _weights_once(network).items()}
    with _new_model(folder, card) as temporary:
        # not its own file writing: it does not tell a full disk by an OSError
        (temporary / WEIGHTS).write_bytes(save(weights))


def save_onnx(folder: str | os.PathLike[str], content: bytes, card: ModelCard) -> None:
    """Write a model whose network is an ONNX file, as `save_model` does.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is not a model.
    """
    with _new_model(folder, card) as temporary:
        (temporary / ONNX).write_bytes(content)


def must_be_free(folder: str | os.PathLike[str]) -> None:
    """Refuse a place for a model where something else is.

    Raises
    ------
    OutputError
        If there is a file, or a folder that holds anything but a model.
    """
    target = Path(folder)
    if target.exists() and not _may_be_replaced(target):
        raise OutputError(f"{target} is not a model; choose a new or empty folder")


def load_network(folder: str | os.PathLike[str]) -> "nn.Module":
    """Return a model's network on the CPU, ready to predict (eval mode).

    Raises
    ------
    ModelError
        If the folder is not a model, or its weights are missing, damaged, or not
        those of the network that its recipe describes; or it is an ONNX model, which
        torch does not run.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from napari_ctlns.networks import build_network

    card = read_card(folder)
    network = build_network(card.recipe)
    try:
        weights = load(_read(Path(folder), WEIGHTS))
    except SafetensorError as error:
        raise ModelError(
            f"{WEIGHTS} of {folder} is damaged ({error}); copy the model anew"
        ) from error
    try:
        fill_network(network, weights)
    except RuntimeError as error:
        raise ModelError(
            f"the weights in {folder} do not fit its recipe; make the model again"
        ) from error
    if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
        raise ModelError(f"the weights in {folder} are not finite; train the model again")
    return network.eval()


def fill_network(network: "nn.Module", weights: "Mapping[str, Tensor]") -> None:
    """Give a network all its weights; those of two names may be there under one alone.

    Raises
    ------
    RuntimeError
        If they are not those of the network.
    """
    wanted = network.state_dict(keep_vars=True)
    there = {id(wanted[name]) for name in weights if name in wanted}
    missing = [name for name, weight in wanted.items() if id(weight) not in there]
    unknown = [name for name in weights if name not in wanted]
    if missing or unknown:
        raise RuntimeError(f"missing {missing[:1]}, unknown {unknown[:1]}")
    network.load_state_dict(weights, strict=False)


def _weights_once(network: "nn.Module") -> "dict[str, Tensor]":
    """Return weights by name, each once: some networks know the same ones by two names."""
    named = network.state_dict(keep_vars=True).items()
    first = {id(weight): name for name, weight in reversed(named)}
    return {name: weight for name, weight in named if first[id(weight)] == name}


def model_hash(folder: str | os.PathLike[str]) -> str:
    """Return 16 hex digits that change when the weights or the recipe change.

    Raises
    ------
    ModelError
        If the folder is not a model, or has no weights.
    """
    recipe = read_card(folder).recipe
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    digest.update(_read(Path(folder), ONNX if is_onnx(recipe) else WEIGHTS))
    return digest.hexdigest()[:16]


def is_onnx(recipe: Recipe) -> bool:
    """Whether a model's network is an ONNX file."""
    imported = recipe.network.imported
    return imported is not None and imported.format == "onnx"


def read_onnx(folder: str | os.PathLike[str]) -> bytes:
    """Return the network of an ONNX model.

    Raises
    ------
    ModelError
        If it is missing or cannot be read.
    """
    return _read(Path(folder), ONNX)


def _previous(folder: Path) -> Path:
    """Where the replaced model lies between the two renames of a swap."""
    return folder.with_name(f".{folder.name}.previous")


def _read(folder: Path, name: str) -> bytes:
    """Read a file of a model, or of the one that is just being replaced."""
    for place in (folder, _previous(folder), folder):
        try:
            return (place / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ModelError(f"cannot read {name} of {folder}: {error.strerror}") from error
    if not folder.exists():
        raise ModelError(f"no model {folder}; give the folder that training made (RUN/best)")
    raise ModelError(f"{folder} is not a whole model: no {name}; give a folder such as RUN/best")


def _may_be_replaced(folder: Path) -> bool:
    return folder.is_dir() and ((folder / CARD).is_file() or not any(folder.iterdir()))


@contextlib.contextmanager
def _new_model(folder: str | os.PathLike[str], card: ModelCard) -> Iterator[Path]:
    """Give a folder to put a model's network in; add its card and put it in place."""
    must_be_free(folder)
    with _swapped_in(Path(folder)) as temporary:
        yield temporary
        (temporary / CARD).write_text(card.model_dump_json(indent=2) + "\n", "utf-8")


@contextlib.contextmanager
def _swapped_in(target: Path) -> Iterator[Path]:
    """Give a folder to fill beside ``target``; put it in its place on success.

    No system renames a folder over a full one. The old model therefore steps
    aside first, under a name where `_read` finds it.
    """
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.tmp.{target.name}")
    previous = _previous(target)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            shutil.rmtree(previous, ignore_errors=True)
            into_place(target, previous)
        try:
            into_place(temporary, target)
        except OSError:
            if previous.exists():
                into_place(previous, target)
            raise
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {target}: {reason}; choose another place") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
