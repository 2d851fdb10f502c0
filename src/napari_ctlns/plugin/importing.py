"""What a person says of a model of others, as the spec of its import; without Qt and torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.foreign import Foreign, Maker, folds_of, foreign_at, labels_of
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.runs import models_folder
from napari_ctlns.plugin.training import unused_path
from napari_ctlns.plugin.words import counted
from napari_ctlns.recipe import first_problem, load_recipe
from napari_ctlns.specs import ImportSpec

NAMES: Mapping[Maker, str] = {
    "nnunet": "nnU-Net v2 folder",
    "monai": "MONAI bundle",
    "onnx": "ONNX file",
}
"""What is imported, by its maker, for people."""
_WITH_ARTICLE: Mapping[Maker, str] = {
    "nnunet": "an nnU-Net v2 folder",
    "monai": "a MONAI bundle",
    "onnx": "an ONNX file",
}
_LACKS: Mapping[Maker, str] = {
    "nnunet": "choose the folder with plans.json and dataset.json",
    "monai": "choose the folder with configs/inference.json and models/model.pt",
    "onnx": "choose one that ends in .onnx",
}
_WANTED = "nodule"


@dataclass(frozen=True)
class Importable:
    """A model of others, and what there is to choose from before it is imported.

    Attributes
    ----------
    labels
        What it can mark, as far as its files tell.
    folds
        Those of nnU-Net, "0" or "all".
    """

    model: Foreign
    labels: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One sentence that says what it is, and what importing it is for."""
        kind = _WITH_ARTICLE[self.model.maker]
        return f"{self.model.source.name} is {kind}: import it once, then it serves like any model."

    @property
    def likeliest_label(self) -> str:
        """The label that looks for nodules by its name, else the first one."""
        named = (label for label in self.labels if _WANTED in label.casefold())
        return next(named, self.labels[0] if self.labels else "")


@dataclass(frozen=True)
class Said:
    """What a person says of a model; nothing: as its files say, or as is usual.

    Attributes
    ----------
    label
        What masks show, by its name or the number of its channel.
    fold
        Of nnU-Net: one alone.
    axes
        Where the axes of its arrays run to.
    activation
        What makes its answer a probability.
    recipe
        Of an ONNX file: as which built-in recipe scans are prepared.
    changes
        What is otherwise than in that, by dotted key.
    """

    label: str = ""
    fold: str = ""
    axes: str = ""
    activation: str = ""
    recipe: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def importable_at(path: Path, wanted: Maker | None = None) -> Importable | None:
    """Return the model of others that a path is or belongs to; None: it is none.

    Parameters
    ----------
    wanted
        Whose it must be.

    Raises
    ------
    ModelError
        If one of that maker is wanted, and it is none.
    """
    model = foreign_at(path)
    if wanted is not None and (model is None or model.maker != wanted):
        raise ModelError(f"{path} is no {NAMES[wanted]}; {_LACKS[wanted]}")
    if model is None:
        return None
    return Importable(model, labels_of(model), folds_of(model.source))


def import_spec(model: Foreign, said: Said, working_folder: Path) -> ImportSpec:
    """Return what is to be imported, into a folder of which there is none yet.

    Raises
    ------
    ModelError
        If something that was said cannot be.
    RecipeError
        If there is no such recipe.
    """
    out = unused_path(models_folder(working_folder).absolute() / name_for(model))
    try:
        return ImportSpec.model_validate(
            {
                "source": model.source.absolute(),
                "out": out,
                "label": said.label.strip() or None,
                "fold": said.fold or None,
                "axes": said.axes.strip().upper() or None,
                "activation": said.activation or None,
                "recipe": load_recipe(said.recipe) if said.recipe else None,
                "changes": dict(said.changes),
            }
        )
    except ValidationError as error:
        raise ModelError(f"cannot import {model.source.name}: {first_problem(error)}") from error


def name_for(model: Foreign) -> str:
    """Return what the folder of an imported model is called.

    Every folder of nnU-Net is called ``nnUNetTrainer__nnUNetPlans__3d_fullres`` or alike: its
    dataset and configuration tell more.
    """
    source = model.source.absolute()
    if model.maker == "onnx":
        return file_name(source.stem)
    folder, fold = source, ""
    if model.maker == "nnunet" and source.name.startswith("fold_"):
        folder, fold = source.parent, f"-{source.name}"
    _, plans, configuration = folder.name.rpartition("__")
    name = f"{folder.parent.name}-{configuration}" if plans else folder.name
    return file_name(f"{name}{fold}")


def in_place_of(source: Path, imported: Sequence[Path], chosen: Sequence[Path]) -> tuple[Path, ...]:
    """Return the models that are chosen after an import.

    Parameters
    ----------
    source
        What was imported.
    imported
        The models that it became.
    chosen
        Those that were chosen before; where ``source`` is among them the imported ones take
        its place, else they are chosen instead.
    """
    if source not in chosen:
        return tuple(imported)
    place = list(chosen).index(source)
    return (*chosen[:place], *imported, *chosen[place + 1 :])


def imported_in_words(result: Mapping[str, Any]) -> str:
    """Say what was found out about a model, for a person to check."""
    spacing = result["spacing_mm"]
    sides = spacing if isinstance(spacing, list) else [spacing]
    voxels = " x ".join(side if isinstance(side, str) else f"{side:g}" for side in sides)
    low, high = result["clip_hu"]
    models = len(result["models"])
    several = f" as {counted(models, 'model')}, one for each fold" if models > 1 else ""
    label = result["label"]
    facts = [
        f"marks {'channel ' if label.isdigit() else ''}{label}" if label else "",
        f"axes {result['axes']}",
        f"HU {low:g} to {high:g}",
        "voxels of the scan's own size" if voxels == "native" else f"voxels of {voxels} mm",
        "" if result["activation"] == "none" else result["activation"],
    ]
    return f"Imported {result['name']}{several}. Check it: {', '.join(filter(None, facts))}"
