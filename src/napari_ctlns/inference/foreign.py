"""Recognising models of others by the files they consist of; quick, and without torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PLANS, DATASET = "plans.json", "dataset.json"
CONFIGS = tuple(f"configs/inference.{ending}" for ending in ("json", "yaml", "yml"))
METADATA = "configs/metadata.json"
_ABOVE = 2
"""Folders above a file in which a model that it belongs to is looked for."""

Maker = Literal["nnunet", "monai", "onnx"]


@dataclass(frozen=True)
class Foreign:
    """A model of others: the folder or file to import, and whose it is."""

    source: Path
    maker: Maker


def foreign_at(path: Path) -> Foreign | None:
    """Return the model that a path is, or a file of it; None: no such model is known here.

    Nothing but names is looked at.
    """
    if path.is_file():
        if is_onnx(path):
            return Foreign(path, "onnx")
        folders = list(path.absolute().parents[:_ABOVE])
    else:
        folders = [path]
    for folder in folders:
        if is_nnunet(folder):
            return Foreign(folder, "nnunet")
        if is_bundle(folder):
            return Foreign(folder, "monai")
    return None


def is_nnunet(source: Path) -> bool:
    """Whether a folder is one of nnU-Net's: of a trained model, or of one of its folds."""
    return source.is_dir() and any((folder / PLANS).is_file() for folder in nnunet_places(source))


def nnunet_places(source: Path) -> tuple[Path, ...]:
    """Return the folders in which the plans for a folder of nnU-Net may lie."""
    return (source, source.absolute().parent) if source.name.startswith("fold_") else (source,)


def is_bundle(source: Path) -> bool:
    """Whether a folder is a MONAI bundle."""
    return any((source / name).is_file() for name in (*CONFIGS, METADATA))


def is_onnx(source: Path) -> bool:
    """Whether a path is an ONNX file."""
    return source.is_file() and source.suffix.lower() == ".onnx"


# -- what there is to choose from ---------------------------------------------------


def folds_of(source: Path) -> tuple[str, ...]:
    """Return the folds in a folder of nnU-Net, "0" or "all"; none where it is a fold itself."""
    if not is_nnunet(source) or source.name.startswith("fold_"):
        return ()
    folders = sorted(folder for folder in source.glob("fold_*") if folder.is_dir())
    return tuple(folder.name.removeprefix("fold_") for folder in folders)


def labels_of(model: Foreign) -> tuple[str, ...]:
    """Return the names of what a model can mark, as far as its files tell."""
    try:
        if model.maker == "nnunet":
            folders = nnunet_places(model.source)
            folder = next(folder for folder in folders if (folder / PLANS).is_file())
            return tuple(nnunet_labels(_said_in(folder / DATASET)["labels"])[0])
        if model.maker == "monai":
            return tuple(bundle_labels(_said_in(model.source / METADATA)) or ())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, IndexError):
        return ()  # importing it says what is wrong
    return ()


def nnunet_labels(said: Mapping[str, Any]) -> tuple[dict[str, int], bool]:
    """Return the channel of each label but background, and whether labels are regions.

    Regions may overlap: each has a sigmoid and the next channel. Plain labels share a
    softmax, in which the number of a label is its channel.
    """
    values = {name: value if isinstance(value, list) else [value] for name, value in said.items()}
    marked = {n: v for n, v in values.items() if n != "ignore" and any(number != 0 for number in v)}
    if any(len(numbers) > 1 for numbers in values.values()):
        return {name: channel for channel, name in enumerate(marked)}, True
    return {name: int(numbers[0]) for name, numbers in marked.items()}, False


def bundle_labels(metadata: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the channel of each label but background, as the metadata of a bundle name them."""
    outputs = metadata.get("network_data_format", {}).get("outputs", {})
    said = outputs.get("pred", {}).get("channel_def")
    if not isinstance(said, dict):
        return None
    named = {str(name): int(channel) for channel, name in said.items()}
    return {name: c for name, c in named.items() if name.casefold() != "background"}


def _said_in(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
