"""A model folder of nnU-Net v2: plans.json, dataset.json and a checkpoint for each fold.

After Isensee et al. 2021, "nnU-Net: a self-configuring method for deep learning-based
biomedical image segmentation", and the files that nnunetv2 2.0 to 2.8 writes.
"""

import json
from pathlib import Path
from typing import Any

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.foreign import DATASET, PLANS, nnunet_labels, nnunet_places
from napari_ctlns.inference.importing.checkpoints import read_checkpoint, read_json, state_of
from napari_ctlns.inference.importing.found import Found, in_our_order
from napari_ctlns.networks.imported import LAYER_ARGUMENTS
from napari_ctlns.recipe import ImportedNetwork, Inference, Preparation
from napari_ctlns.volume import AIR_HU

_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_OVERLAP = 0.5
"""What nnU-Net's predictor takes."""
_LARGEST_HU = 32767
_LEAST_DEVIATION = 1e-8


def read_nnunet(source: Path, fold: str | None, axes: str | None) -> dict[str, Found]:
    """Return what a folder holds: a model for each fold.

    Parameters
    ----------
    source
        The folder of a trained model (``nnUNetTrainer__nnUNetPlans__3d_fullres``), or one
        of its folders ``fold_0`` and so on.
    fold
        The fold that is wanted, "0" or "all"; None: all that are there.
    axes
        How the arrays of its training files lie, slices first; None: as DICOM's do.

    Returns
    -------
    dict
        The models by the names of their folders (``fold_0``).

    Raises
    ------
    ModelError
        If a file is missing or damaged, or the model does what cannot be done here.
    """
    folder = next(folder for folder in nnunet_places(source) if (folder / PLANS).is_file())
    wanted = source.name if folder != source else None if fold is None else f"fold_{fold}"
    folds = [f for f in sorted(folder.glob("fold_*")) if wanted in (None, f.name) and f.is_dir()]
    if not folds:
        raise ModelError(f"{folder} has no {wanted or 'fold_0'}; give a folder with trained folds")
    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    try:
        return {f.name: _of_fold(f, plans, dataset, axes or "SPL") for f in folds}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        words = f"{PLANS} or {DATASET} of {folder} is not as nnU-Net v2 writes it"
        raise ModelError(f"{words} ({error}); give its whole model folder") from error


def _of_fold(fold: Path, plans: dict[str, Any], dataset: dict[str, Any], file_axes: str) -> Found:
    file = next((fold / name for name in _CHECKPOINTS if (fold / name).is_file()), None)
    if file is None:
        raise ModelError(f"{fold} has no {_CHECKPOINTS[0]}; its training has not ended")
    checkpoint = read_checkpoint(file)
    weights = state_of(checkpoint, ("network_weights",), file.name)
    name = checkpoint["init_args"]["configuration"]
    configuration = _configuration(plans, name)
    images = dataset.get("channel_names") or dataset["modality"]
    if len(images) != 1:
        names = ", ".join(map(str, images.values()))
        raise ModelError(f"the model wants {len(images)} images ({names}); a CT is one")
    if configuration.get("previous_stage"):
        raise ModelError(f"{name} goes on where another model ends; import 3d_fullres or 3d_lowres")
    axes = "".join(file_axes[axis] for axis in plans["transpose_forward"])
    window = configuration["patch_size"]
    dimensions = len(window)
    if dimensions == 2 and axes[0] not in "SI":
        raise ModelError("this 2d model sees planes that are not axial; import its 3d_fullres")
    labels, has_regions = nnunet_labels(dataset["labels"])
    architecture, arguments = _architecture(configuration)
    arguments |= {"input_channels": 1, "num_classes": len(labels) + (not has_regions)}
    return Found(
        name=f"{plans['dataset_name']}-{name}-{fold.name}",
        description=f"nnU-Net v2, {plans['dataset_name']}, {name}, {fold.name}.",
        network=ImportedNetwork(
            format="nnunet",
            architecture=architecture,
            arguments=json.dumps({**arguments, "deep_supervision": False}),
            axes=axes,
        ),
        dimensions=dimensions,
        window=in_our_order((1, *window) if dimensions == 2 else window, axes),
        preparation=_preparation(plans, configuration, axes),
        inference=Inference(overlap=_OVERLAP, min_diameter_mm=0),
        weights=weights,
        labels=labels,
        activation="sigmoid" if has_regions else "softmax",
        notes=() if file.name == _CHECKPOINTS[0] else (f"takes {fold.name}/{file.name}",),
    )


def _configuration(plans: dict[str, Any], name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a configuration of the plans with what it inherits."""
    own: dict[str, Any] = plans["configurations"][name]
    parent = own.get("inherits_from")
    if parent is None or parent in above:
        return own
    return {**_configuration(plans, parent, (*above, name)), **own}


def _preparation(plans: dict[str, Any], configuration: dict[str, Any], axes: str) -> Preparation:
    spacing = configuration["spacing"]
    # a 2d configuration leaves the distance of the slices as it is
    three = ["native", *spacing] if len(spacing) == 2 else spacing
    values = {"spacing_mm": in_our_order(three, axes), **_normalisation(plans, configuration)}
    return Preparation.model_validate(values)


def _normalisation(plans: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    (scheme,) = configuration["normalization_schemes"]
    everything = (AIR_HU, _LARGEST_HU)
    if scheme == "ZScoreNormalization":
        return {"normalisation": "standardise", "clip_hu": everything}
    if scheme == "NoNormalization":
        return {"normalisation": "divide", "divisor": 1, "clip_hu": everything}
    if scheme != "CTNormalization":
        raise ModelError(f"{scheme} is not for CT and is not supported; train with CTNormalization")
    by_channel = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    values = by_channel["0"]
    return {
        "normalisation": "divide",
        "clip_hu": (values["percentile_00_5"], values["percentile_99_5"]),
        "subtrahend": values["mean"],
        "divisor": max(values["std"], _LEAST_DEVIATION),
    }


def _architecture(configuration: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the network's class and its arguments, layers by the last word of their names."""
    said = configuration.get("architecture") or _older_architecture(configuration)
    arguments = dict(said["arch_kwargs"])
    for name in LAYER_ARGUMENTS:
        if arguments.get(name) is not None:
            arguments[name] = arguments[name].rpartition(".")[2]
    return said["network_class_name"].rpartition(".")[2], arguments


def _older_architecture(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return what plans before nnU-Net 2.3 leave to be known: instance norm, leaky ReLU."""
    kind = configuration["UNet_class_name"]
    stages = len(configuration["n_conv_per_stage_encoder"])
    first, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    dimensions = len(configuration["patch_size"])
    blocks = "n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage"
    arguments = {
        "n_stages": stages,
        "features_per_stage": [min(first * 2**stage, most) for stage in range(stages)],
        "conv_op": f"Conv{dimensions}d",
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": configuration["pool_op_kernel_sizes"],
        blocks: configuration["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": f"InstanceNorm{dimensions}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {"network_class_name": kind, "arch_kwargs": arguments}
