"""A MONAI bundle: metadata, a configuration for inference, and a checkpoint.

The layout is that of MONAI's "bundle specification".
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.foreign import CONFIGS, METADATA, bundle_labels
from napari_ctlns.inference.importing.bundle_config import BundleConfig, read_config
from napari_ctlns.inference.importing.bundle_transforms import (
    Preprocessing,
    activation_of,
    preprocessing_of,
    short_name,
)
from napari_ctlns.inference.importing.checkpoints import read_checkpoint, read_json, state_of
from napari_ctlns.inference.importing.found import Found, in_our_order
from napari_ctlns.networks.imported import MONAI_CLASSES
from napari_ctlns.recipe import ImportedNetwork, Inference, Preparation, Size

_CHECKPOINT = "models/model.pt"
_PACKAGE = "monai.networks.nets."
_OVERLAP = 0.25
"""What SlidingWindowInferer takes by default."""


def read_bundle(source: Path, axes: str | None) -> Found:
    """Return what a bundle holds.

    Parameters
    ----------
    source
        Its folder.
    axes
        How the arrays of its scans lie, if it does not turn them itself.

    Raises
    ------
    ModelError
        If a file is missing or damaged, it does what cannot be done here, or only
        running its configuration could tell what it does.
    """
    file = next((source / name for name in CONFIGS if (source / name).is_file()), None)
    if file is None:
        raise ModelError(f"{source} has no {CONFIGS[0]}; give a whole bundle")
    config, metadata = read_config(file), read_json(source / METADATA)
    try:
        return _described(source, config, metadata, axes)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        raise ModelError(f"{file} is not as MONAI's bundles are ({error}); mend it") from error


def _described(
    source: Path, config: BundleConfig, metadata: dict[str, Any], axes: str | None
) -> Found:
    architecture, arguments = _network(config)
    transforms = _transforms(config, "preprocessing")
    if transforms is None:
        raise ModelError("the bundle has no preprocessing; write it into its configuration")
    prepared = preprocessing_of(transforms)
    notes = []
    if prepared.axes is None and axes is None:
        notes.append("the bundle does not turn scans: takes its axes as LPS; see --axes")
    own_axes = axes or prepared.axes or "LPS"
    dimensions = int(arguments.get("spatial_dims", 3))
    window, overlap = _inferer(config, dimensions, own_axes)
    name = str(metadata.get("name") or source.absolute().name)
    return Found(
        name=name,
        description=f"MONAI bundle, {name}, version {metadata.get('version', 'unknown')}.",
        network=ImportedNetwork(
            format="monai",
            architecture=architecture,
            arguments=json.dumps(arguments),
            axes=own_axes,
        ),
        dimensions=dimensions,
        window=window,
        preparation=_preparation(prepared, own_axes),
        inference=Inference(overlap=overlap, min_diameter_mm=0),
        weights=_weights(source),
        labels=bundle_labels(metadata),
        activation=activation_of(_transforms(config, "postprocessing") or []),
        notes=tuple(notes),
    )


def _network(config: BundleConfig) -> tuple[str, dict[str, Any]]:
    said = config.get("network_def")
    if not isinstance(said, dict) or "_target_" not in said:
        raise ModelError("the bundle's network_def is no _target_ of monai.networks.nets")
    name = str(said["_target_"])
    short = name.rpartition(".")[2]
    if short not in MONAI_CLASSES or not (name == short or name.startswith(_PACKAGE)):
        known = ", ".join(MONAI_CLASSES)
        raise ModelError(f"the bundle's network {name} is not supported; there are {known}")
    items = {key: value for key, value in said.items() if not key.startswith("_")}
    arguments = config.resolved(items, "network_def")
    if arguments.get("in_channels", 1) != 1:
        raise ModelError(f"the model wants {arguments['in_channels']} images at once; a CT is one")
    return short, arguments


def _weights(source: Path) -> Mapping[str, Any]:
    file = source / _CHECKPOINT
    if not file.is_file() and (source / "models/model.ts").is_file():
        raise ModelError(
            f"{source} has only model.ts, which is code; give a bundle with {_CHECKPOINT}"
        )
    return state_of(read_checkpoint(file), ("model", "state_dict", "network"), file.name)


def _transforms(config: BundleConfig, name: str) -> list[dict[str, Any]] | None:
    """Return the transforms of a Compose, in which only what is asked for must be literal."""
    said = config.get(name)
    if isinstance(said, dict) and "transforms" in said:
        said = config.followed(said["transforms"])
    if isinstance(said, str):
        raise ModelError(f"{name} of the bundle is {said[:60]}, which only running it could tell")
    if not isinstance(said, list):
        return None
    return [_literal_parts(config, config.followed(item)) for item in said]


def _literal_parts(config: BundleConfig, transform: Any) -> dict[str, Any]:
    """Return a transform without what says how and where it runs."""
    if not isinstance(transform, dict):
        raise ModelError(
            f"the bundle has a transform {str(transform)[:60]}, which is not described"
        )
    wanted = _MEANINGFUL.get(short_name(transform), ())
    kept = {key: transform[key] for key in ("_target_", "_disabled_") if key in transform}
    arguments = {key: transform[key] for key in wanted if key in transform}
    return {**kept, **config.resolved(arguments, short_name(transform))}


_MEANINGFUL: Mapping[str, tuple[str, ...]] = {
    "Orientation": ("axcodes", "as_closest_canonical"),
    "Spacing": ("pixdim",),
    "ScaleIntensityRange": ("a_min", "a_max", "b_min", "b_max", "clip"),
    "NormalizeIntensity": ("subtrahend", "divisor", "nonzero"),
    "Activations": ("sigmoid", "softmax"),
    "AsDiscrete": ("argmax",),
}


def _inferer(config: BundleConfig, dimensions: int, axes: str) -> tuple[Size, float]:
    """Return the window (z, y, x) and its overlap."""
    said = config.get("inferer")
    name = short_name(said) if isinstance(said, dict) else "none"
    if name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt", "SliceInferer"):
        raise ModelError(f"the bundle's inferer is {name}; only sliding windows are supported")
    wanted = {key: said[key] for key in ("roi_size", "overlap", "spatial_dim") if key in said}
    given = config.resolved(wanted, "inferer")
    sides = given["roi_size"]
    sides = list(sides) if isinstance(sides, list) else [sides] * dimensions
    if dimensions == 2:
        flat = next(k for k, letter in enumerate(axes) if letter in "SI")
        if len(sides) != 2 or given.get("spatial_dim", 0) != flat:
            raise ModelError("this 2D bundle sees planes that are not axial; not supported")
        sides.insert(flat, 1)
    if len(sides) != 3 or any(int(side) < 1 for side in sides):
        raise ModelError(f"roi_size {sides} of the bundle is no window; write three numbers")
    overlap = given.get("overlap", _OVERLAP)
    window = in_our_order([int(side) for side in sides], axes)
    return window, max(overlap) if isinstance(overlap, list) else float(overlap)


def _preparation(prepared: Preprocessing, axes: str) -> Preparation:
    spacing: Any = "native"
    if prepared.pixdim is not None:
        spacing = in_our_order([mm if mm > 0 else "native" for mm in prepared.pixdim], axes)
    scaling: dict[str, Any] = {"normalisation": "standardise"}
    if not prepared.standardised:
        scaling = {"normalisation": "divide", "subtrahend": prepared.subtrahend}
        scaling["divisor"] = prepared.divisor
    return Preparation(spacing_mm=spacing, clip_hu=prepared.clip_hu, **scaling)
