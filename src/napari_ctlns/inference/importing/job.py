"""A model of others is read, described as a recipe, tried, and written as a model folder."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.events import Control, Event, Finished, Log, Saved, Started
from napari_ctlns.inference.engines import check_window
from napari_ctlns.inference.foreign import is_bundle, is_nnunet, is_onnx
from napari_ctlns.inference.importing.bundle import read_bundle
from napari_ctlns.inference.importing.found import Found, chosen_label, recipe_of, the_imported
from napari_ctlns.inference.importing.nnunet import read_nnunet
from napari_ctlns.inference.importing.onnx_file import must_run, read_onnx_file
from napari_ctlns.inference.importing.probing import Shapes, probed
from napari_ctlns.inference.model import (
    CARD,
    ONNX,
    ModelCard,
    fill_network,
    must_be_free,
    save_model,
    save_onnx,
)
from napari_ctlns.networks.imported import OneLabel, imported_network
from napari_ctlns.recipe import ImportedNetwork, Network, Patches, Recipe, load_recipe
from napari_ctlns.specs import ImportSpec


def import_model(spec: ImportSpec, control: Control) -> Iterator[Event]:
    """Make a model folder of an nnU-Net v2 folder, a MONAI bundle or an ONNX file.

    Several folds of nnU-Net become a model each, in folders of ``spec.out``. Nothing is
    written before all of them were read and tried.

    Yields
    ------
    Event
        `Finished` has ``models``, the paths, and what `described` says of the first one.
        When stopped nothing is written.

    Raises
    ------
    CtlnsError
        ModelError, RecipeError or OutputError.
    """
    yield Started(title=f"Import {spec.source.name}")
    found = _read(spec)
    places = {name: spec.out if len(found) == 1 else spec.out / name for name in found}
    _must_be_free(spec.out, places.values())
    ready = {}
    for name, (model, shapes, content) in found.items():
        control.wait_while_paused()
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        for note in model.notes:
            yield Log(message=note, level="warning")
        ready[name] = _completed(model, shapes, content, spec)
    for name, (recipe, network) in ready.items():
        card = ModelCard(recipe=recipe, run=spec.source.name)
        if isinstance(network, bytes):
            save_onnx(places[name], network, card)
        else:
            save_model(places[name], network, card)
        yield Saved(path=places[name], kind="model")
    first = next(iter(ready.values()))[0]
    yield Finished(result={"models": [str(p) for p in places.values()], **described(first)})


def described(recipe: Recipe) -> dict[str, Any]:
    """Return what a person should check of an imported model, by name."""
    imported, preparation = the_imported(recipe), recipe.preparation
    spacing = preparation.spacing_mm
    return {
        "name": recipe.name,
        "format": imported.format,
        "network": imported.architecture or ONNX,
        "structure": recipe.structure,
        "label": imported.label,
        "activation": imported.activation,
        "axes": imported.axes,
        "spacing_mm": list(spacing) if isinstance(spacing, tuple) else spacing,
        "clip_hu": list(preparation.clip_hu),
        "normalisation": preparation.normalisation,
        "subtrahend": preparation.subtrahend,
        "divisor": preparation.divisor,
        "window": list(recipe.window),
        "other_windows": not imported.own_window_only,
        "overlap": recipe.inference.overlap,
    }


_Read = tuple[Found, Shapes | None, bytes]
"""A model; of an ONNX file also what is known of its windows, and the file."""


def _read(spec: ImportSpec) -> dict[str, _Read]:
    """Return the models that are there, by the names of their folders."""
    source = spec.source
    if not source.exists():
        raise ModelError(f"no {source}; give an nnU-Net folder, a MONAI bundle or an ONNX file")
    if spec.fold is not None and not is_nnunet(source):
        raise ModelError("only models of nnU-Net have folds; leave --fold out")
    if is_onnx(source):
        return {source.stem: read_onnx_file(source, _base(spec))}
    if spec.recipe is not None:
        raise ModelError("such a model has its own recipe; leave --recipe out, change it by --set")
    if is_nnunet(source):
        models = read_nnunet(source, spec.fold, spec.axes)
        return {name: (model, None, b"") for name, model in models.items()}
    if is_bundle(source):
        return {source.name: (read_bundle(source, spec.axes), None, b"")}
    raise ModelError(f"{source} is no model that is known here; {_hint(source)}")


def _hint(source: Path) -> str:
    if source.is_dir() and list(source.glob("*.pkl")):
        return "of nnU-Net, only version 2 is supported"
    if source.suffix.lower() == ".zip":
        return "unpack it first"
    if source.suffix.lower() in (".pth", ".pt", ".ts", ".pkl"):
        return "give the whole folder it belongs to: that says how it is used"
    return "give an nnU-Net v2 folder (with plans.json), a MONAI bundle or an ONNX file"


def _base(spec: ImportSpec) -> Recipe:
    """Return what is said of an ONNX file, as the recipe of a network of any window."""
    said = spec.recipe or load_recipe("ct-lns")
    known = {} if spec.axes is None else {"axes": spec.axes}
    network = ImportedNetwork(format="onnx", own_window_only=False, **known)
    recipe = Recipe(
        name=said.name,
        structure=said.structure,
        preparation=said.preparation,
        patches=Patches(size=said.window),
        network=Network(name="imported", imported=network),
        inference=said.inference,
    )
    return recipe.with_changes(spec.changes)


def _must_be_free(out: Path, places: Collection[Path]) -> None:
    if out not in places and (out.is_file() or (out / CARD).exists()):
        raise OutputError(f"{out} is no folder for several folds; choose a new one, or --fold N")
    for place in places:
        must_be_free(place)


def _completed(
    found: Found, shapes: Shapes | None, content: bytes, spec: ImportSpec
) -> tuple[Recipe, nn.Module | bytes]:
    """Return the recipe of a model and its network, tried."""
    if shapes is not None:
        recipe = _recipe(found, shapes, spec)
        must_run(content, recipe)
        return recipe, content
    network = _filled(found)
    recipe = _recipe(found, probed(network, found.window), spec)
    return recipe, OneLabel(network.network, the_imported(recipe), found.dimensions).eval()


def _recipe(found: Found, shapes: Shapes, spec: ImportSpec) -> Recipe:
    label, channel, activation = chosen_label(found, shapes.channels, spec.label, spec.activation)
    known = {
        "label": label,
        "channel": channel,
        "activation": activation,
        "own_window_only": shapes.own_window_only,
        "multiples": shapes.multiples,
    }
    imported = ImportedNetwork.model_validate({**found.network.model_dump(), **known})
    recipe = recipe_of(found, imported, spec.changes)
    check_window(recipe, recipe.inference.window or recipe.window)
    return recipe


def _filled(found: Found) -> OneLabel:
    """Return the network of a model with its weights."""
    network = imported_network(
        Network(name="imported", dimensions=found.dimensions, imported=found.network)
    )
    try:
        fill_network(network.network, found.weights)
    except RuntimeError as error:
        words = f"the weights do not fit the {found.network.architecture} that is described"
        raise ModelError(f"{words}; a network that was changed cannot be imported") from error
    if not all(bool(torch.isfinite(weight).all()) for weight in found.weights.values()):
        raise ModelError("the weights are not finite; copy the model anew")
    return network.eval()
