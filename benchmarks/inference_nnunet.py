"""nnU-Net v2's own predictor on a scan in memory, for `inference.py`; runs in nnU-Net's Python.

    python benchmarks/inference_nnunet.py make FOLDER
    python benchmarks/inference_nnunet.py predict FOLDER SCAN

``make`` writes the folder of a model as nnU-Net's training does, with random weights: a U-Net of
16 to 256 channels with instance norm and windows of 96^3. ``predict`` reads a scan that
`inference.py` wrote, then predicts it once for each line on standard input and prints the seconds.
Mirror images are off, windows overlap by half: that is how it predicts where it is to be fast.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, os.devnull)  # it asks where they are; nothing is read there
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402

CHANNELS = (16, 32, 64, 128, 256)
NETWORK = {
    "n_stages": len(CHANNELS),
    "features_per_stage": CHANNELS,
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3]] * len(CHANNELS),
    "strides": [[1, 1, 1], *[[2, 2, 2]] * (len(CHANNELS) - 1)],
    "n_conv_per_stage": [2] * len(CHANNELS),
    "n_conv_per_stage_decoder": [2] * (len(CHANNELS) - 1),
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
RESAMPLING = {
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0},
    "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0},
    "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0},
}
HU = {"mean": -400.0, "std": 300.0, "median": -500.0, "min": -1024.0, "max": 1500.0,
      "percentile_00_5": -1000.0, "percentile_99_5": 400.0}  # fmt: skip
PLANS = {
    "dataset_name": "Dataset501_Chest",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {"0": HU},
    "configurations": {
        "3d_fullres": {
            "patch_size": [96, 96, 96],
            "spacing": [1.0, 1.0, 1.0],
            "batch_size": 2,
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "preprocessor_name": "DefaultPreprocessor",
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet."
                "PlainConvUNet",
                "arch_kwargs": NETWORK,
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
            **RESAMPLING,
        }
    },
}
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "nodule": 1},
           "numTraining": 1, "file_ending": ".nii.gz"}  # fmt: skip


def make(folder: Path) -> None:
    """Write a model's folder."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(PLANS))
    (folder / "dataset.json").write_text(json.dumps(DATASET))
    torch.manual_seed(0)
    architecture = PLANS["configurations"]["3d_fullres"]["architecture"]
    network = get_network_from_plans(*architecture.values(), 1, 2, deep_supervision=False)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"plans": PLANS, "configuration": "3d_fullres", "fold": 0,
                      "dataset_json": DATASET},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


def predict(folder: Path, scan: Path) -> None:
    """Predict a scan again and again; print the seconds of each time."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = nnUNetPredictor(use_mirroring=False, device=device, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (0,))
    hu = np.load(scan / "hu.npy").astype(np.float32)[None]
    spacing = np.load(scan / "spacing.npy").tolist()
    for _ in sys.stdin:
        start = time.perf_counter()
        predictor.predict_single_npy_array(hu, {"spacing": spacing})
        answers.write(f"{time.perf_counter() - start}\n")
        answers.flush()


if __name__ == "__main__":
    {"make": make, "predict": predict}[sys.argv[1]](*map(Path, sys.argv[2:]))
