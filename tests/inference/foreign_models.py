"""Tiny models as others write them: nnU-Net v2 folders, MONAI bundles, ONNX files."""

import json

import numpy as np
import torch

CT_PROPERTIES = {
    "mean": -180.0,
    "std": 310.0,
    "percentile_00_5": -960.0,
    "percentile_99_5": 240.0,
    "median": -200.0,
    "min": -1024.0,
    "max": 900.0,
}


def scan_array(shape, seed=0):
    """HU of no symmetry: blobs and slopes, as int16."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape, dtype=float)
    smooth = 300 * np.sin(z / 3 + 0.2 * y) + 25 * y - 40 * x + 150 * np.cos(x * y / 40)
    return np.rint(smooth - 300 + 60 * rng.standard_normal(shape)).astype(np.int16)


# -- nnU-Net ----------------------------------------------------------------------------


def nnunet_plans(dimensions=3, **changes):
    """Plans of one configuration, "3d_fullres" or "2d"."""
    n = dimensions
    configuration = {
        "patch_size": [8, 16, 12][3 - n :],
        "spacing": [1.0, 1.0, 1.0][3 - n :],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": 3,
                "features_per_stage": [4, 6, 8],
                "conv_op": f"torch.nn.modules.conv.Conv{n}d",
                "kernel_sizes": [[1, 3, 3][3 - n :], [3] * n, [3] * n],
                "strides": [[1] * n, [1, 2, 2][3 - n :], [2] * n],
                "n_conv_per_stage": [1, 1, 1],
                "n_conv_per_stage_decoder": [1, 1],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{n}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    name = "3d_fullres" if n == 3 else "2d"
    return {
        "dataset_name": "Dataset501_Lung",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {name: {**configuration, **changes}},
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": CT_PROPERTIES},
    }


def older_plans():
    """The same as nnU-Net 2.0 to 2.2 wrote them."""
    plans = nnunet_plans()
    configuration = plans["configurations"]["3d_fullres"]
    arguments = configuration.pop("architecture")["arch_kwargs"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": arguments["n_conv_per_stage"],
        "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"],
        "num_pool_per_axis": [1, 2, 2],
        "pool_op_kernel_sizes": arguments["strides"],
        "conv_kernel_sizes": arguments["kernel_sizes"],
    }
    return plans


LABELS = {"background": 0, "nodule": 1}


def nnunet_network(plans, heads, deep=True):
    """The network that plans describe, with random weights."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    ((_, configuration),) = plans["configurations"].items()
    n = len(configuration["patch_size"])
    torch.manual_seed(3)
    network = PlainConvUNet(
        1,
        3,
        [4, 6, 8] if "architecture" in configuration else [4, 8, 8],
        {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[n],
        [[1, 3, 3][3 - n :], [3] * n, [3] * n],
        [[1] * n, [1, 2, 2][3 - n :], [2] * n],
        [1, 1, 1],
        heads,
        [1, 1],
        True,
        {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[n],
        {"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=deep,
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape) * (1.2 if weight.ndim > 1 else 0.4))
    return network.eval()


def write_nnunet(folder, plans=None, labels=None, folds=(0,), heads=None, **dataset):
    """Write a trained model's folder, and return it."""
    plans, labels = plans or nnunet_plans(), labels or LABELS
    (configuration,) = plans["configurations"]
    heads = heads or len(labels)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans), "utf-8")
    described = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": 3,
        "file_ending": ".nii.gz",
        **dataset,
    }
    (folder / "dataset.json").write_text(json.dumps(described), "utf-8")
    for fold in folds:
        network = nnunet_network(plans, heads)
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01, "params": [0]}]},
            "grad_scaler_state": None,
            # numbers of numpy are in every checkpoint of nnU-Net
            "logging": {"ema_fg_dice": [np.float64(0.5), np.float32(0.25)], "lrs": [0.01]},
            "_best_ema": np.float64(0.7),
            "current_epoch": 1000,
            "init_args": {
                "plans": plans,
                "configuration": configuration,
                "fold": fold,
                "dataset_json": described,
                "device": torch.device("cpu"),
            },
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        place = folder / f"fold_{fold}"
        place.mkdir(exist_ok=True)
        torch.save(checkpoint, place / "checkpoint_final.pth")
    return folder


# -- MONAI ------------------------------------------------------------------------------

UNET = {
    "_target_": "UNet",
    "spatial_dims": "@dims",
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
    "norm": "batch",
}


def bundle_config(**changes):
    """What configs/inference.json holds, in the manner of the model zoo."""
    return {
        "imports": ["$import glob"],
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "dims": 3,
        "network_def": UNET,
        "network": "$@network_def.to(@device)",
        "pixdim": [1.0, 1.0, 1.0],
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -900,
                    "a_max": 300,
                    "b_min": -1.0,
                    "b_max": 1.0,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image", "device": "@device"},
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [12, 16, 8],
            "sw_batch_size": 4,
            "overlap": 0.5,
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
        **changes,
    }


def bundle_network(kind="UNet", **arguments):
    """A network of MONAI with random weights."""
    import monai.networks.nets as nets

    torch.manual_seed(5)
    known = {k: v for k, v in UNET.items() if k != "_target_"} | {"spatial_dims": 3}
    network = getattr(nets, kind)(**(arguments or known))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.35)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
    return network.eval()


def write_bundle(folder, config=None, network=None, channels=None, weights=True):
    """Write a bundle, and return its folder."""
    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "configs/inference.json").write_text(json.dumps(config or bundle_config()), "utf-8")
    channels = channels or {"0": "background", "1": "lung nodule"}
    metadata = {
        "name": "Tiny nodules",
        "version": "0.1.0",
        "network_data_format": {"outputs": {"pred": {"channel_def": channels}}},
    }
    (folder / "configs/metadata.json").write_text(json.dumps(metadata), "utf-8")
    if weights:
        network = network or bundle_network()
        torch.save(network.state_dict(), folder / "models/model.pt")
    return folder


# -- ONNX -------------------------------------------------------------------------------


def onnx_model(shape, outputs=1, last=None, dynamic=True, kind=None, **names):
    """Two convolutions between a pooling and a resize, or what ``kind`` names, as ONNX."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(7)
    n, channels = len(shape) - 2, shape[1]
    weights = {
        "first": rng.standard_normal((4, channels, *[3] * n)) * 0.3,
        "second": rng.standard_normal((outputs, 4, *[3] * n)) * 0.3,
        "bias": rng.standard_normal(outputs) * 0.3,
    }
    sides = ["d", "h", "w"][3 - n :] if dynamic else list(shape[2:])
    pads = {"pads": [1] * (2 * n)}
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], **pads),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second", "bias"], ["c"], **pads),
    ]
    if kind is not None:
        nodes.insert(1, helper.make_node(kind, ["a"], ["n"], **names))
        nodes[2].input[0] = "n"
    nodes.append(
        helper.make_node(
            last or "Identity", ["c"], ["answer"], **({"axis": 1} if last == "Softmax" else {})
        )
    )
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [*shape[:2], *sides])],
        [helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, [1, outputs, *sides])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)
