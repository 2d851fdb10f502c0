"""Training as MONAI's and TorchIO's documentation shows it, for `training.py`.

Both read the prepared scans as uncompressed NIfTI files, take the same network, and
draw as many patches with a nodule as we do. Each function yields after every step.
"""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

LOW_HU, HIGH_HU = -1000.0, 400.0
REPEATS = 50
"""How often the scans come in MONAI's list, so that its epochs are as long as a cohort's."""


@dataclass(frozen=True)
class Setting:
    """What all have in common.

    Attributes
    ----------
    nodule_fraction
        Share of the patches that hold a nodule.
    workers
        Processes that load beside the training one.
    steps
        Steps over which the learning rate falls to zero along half a cosine; 0: it stays.
    """

    files: list[tuple[Path, Path]]
    size: tuple[int, int, int]
    batch: int
    nodule_fraction: float
    learning_rate: float
    workers: int = min(4, os.cpu_count() or 1)
    steps: int = 0


def monai_steps(network: nn.Module, setting: Setting) -> Iterator[None]:
    """Train as MONAI's tutorials on 3D segmentation do: cached scans, patches by label."""
    warnings.filterwarnings("ignore")
    from monai import transforms
    from monai.data import CacheDataset, DataLoader

    keys = ["image", "label"]
    steps = [
        transforms.LoadImaged(keys),
        transforms.EnsureChannelFirstd(keys),
        transforms.ScaleIntensityRanged("image", LOW_HU, HIGH_HU, 0.0, 1.0, clip=True),
        transforms.RandCropByPosNegLabeld(
            keys,
            label_key="label",
            spatial_size=setting.size,
            pos=setting.nodule_fraction,
            neg=1 - setting.nodule_fraction,
            num_samples=setting.batch,
            image_key="image",
            image_threshold=0,
        ),
        *(transforms.RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
    ]
    items = [{"image": str(ct), "label": str(mask)} for ct, mask in setting.files] * REPEATS
    dataset = CacheDataset(items, transforms.Compose(steps), hash_as_key=True, progress=False)
    loader = DataLoader(
        dataset,
        batch_size=1,  # a scan gives a batch of patches
        shuffle=True,
        num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
    )
    batches = ((batch["image"], batch["label"]) for batch in endless(loader))
    yield from learned(network, batches, setting)


def torchio_steps(network: nn.Module, setting: Setting) -> Iterator[None]:
    """Train as TorchIO's documentation on patches does: a queue that worker processes fill."""
    warnings.filterwarnings("ignore")
    import torchio as tio

    subjects = [
        tio.Subject(image=tio.ScalarImage(ct), mask=tio.LabelMap(mask))
        for ct, mask in setting.files
    ]
    transform = tio.Compose(
        [
            tio.Clamp(LOW_HU, HIGH_HU),
            tio.RescaleIntensity((0, 1), in_min_max=(LOW_HU, HIGH_HU)),
            tio.RandomFlip(axes=(0, 1, 2), flip_probability=0.5),
        ]
    )
    shares = {0: 1 - setting.nodule_fraction, 1: setting.nodule_fraction}
    queue = tio.Queue(
        tio.SubjectsDataset(subjects, transform=transform),
        max_length=16 * setting.batch,
        samples_per_volume=16,
        sampler=tio.LabelSampler(setting.size, "mask", shares),
        num_workers=setting.workers,
    )
    loader = tio.SubjectsLoader(queue, batch_size=setting.batch, num_workers=0)
    batches = (
        (batch["image"][tio.DATA], batch["mask"][tio.DATA].float()) for batch in endless(loader)
    )
    yield from learned(network, batches, setting)


PEERS = {"MONAI": monai_steps, "TorchIO": torchio_steps}


def endless(loader) -> Iterator[dict]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from loader


def learned(network: nn.Module, batches: Iterator, setting: Setting) -> Iterator[None]:
    """Learn from batches in single precision, with Dice and cross-entropy and Adam."""
    from monai.losses import DiceCELoss

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device).train()
    loss_function = DiceCELoss(sigmoid=True)
    optimiser = torch.optim.Adam(network.parameters(), setting.learning_rate)
    falling = (
        torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, setting.steps)
        if setting.steps
        else None
    )
    for image, label in batches:
        optimiser.zero_grad()
        loss = loss_function(network(image.to(device)), label.to(device))
        loss.backward()
        optimiser.step()
        if falling is not None:
            falling.step()
        loss.item()  # tutorials sum it up
        yield
