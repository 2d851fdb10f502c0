"""MONAI's way from a CT to a mask, as its tutorials on 3D segmentation show it.

    python benchmarks/inference_peers.py SCAN MODEL MASK BATCH

Orientation, spacing and intensity by its transforms, sliding windows of 96^3 that overlap by a
quarter with Gaussian blending in eager torch, then sigmoid, back to the scan's grid, threshold.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from monai import transforms
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference

from napari_ctlns.inference.model import load_network, read_card
from napari_ctlns.normalising import fixed_scaling
from napari_ctlns.volume import Volume

WINDOW = (96, 96, 96)
OVERLAP = 0.25

warnings.filterwarnings("ignore", module="monai")


class Monai:
    """A model made ready; a scan in memory becomes a mask in memory."""

    def __init__(self, model: Path, device: str = "cpu", batch: int = 4, amp: bool = False) -> None:
        recipe = read_card(model).recipe
        self._network = load_network(model).to(device)
        self._device, self._batch, self._amp = device, batch, amp
        self.before = transforms.Compose(preparation(recipe.preparation))
        self.after = transforms.Compose(
            [
                transforms.Activationsd("pred", sigmoid=True),
                transforms.Invertd("pred", self.before, "image", nearest_interp=False),
                transforms.AsDiscreted("pred", threshold=recipe.inference.threshold),
            ]
        )

    def __call__(self, scan: Volume) -> np.ndarray:
        """Return a mask (z, y, x), 0 and 1."""
        hu = torch.from_numpy(scan.array.astype(np.float32))[None]
        return self.predicted(MetaTensor(hu, affine=affine_of(scan)))[0].numpy()

    def predicted(self, image: MetaTensor) -> MetaTensor:
        """Return the mask of an image with one channel, on its own grid."""
        item = self.before({"image": image})
        with (
            torch.inference_mode(),
            torch.autocast(self._device, torch.float16, enabled=self._amp),
        ):
            logits = sliding_window_inference(
                item["image"][None].to(self._device),
                WINDOW,
                sw_batch_size=self._batch,
                predictor=self._network,
                overlap=OVERLAP,
                mode="gaussian",
            )
            item["pred"] = logits[0].float().cpu()
            return self.after(item)["pred"]


def preparation(wanted) -> list:
    """Return the transforms that prepare a scan as a recipe wants it."""
    scaling = fixed_scaling(wanted)
    low, high = (limit * scaling.factor + scaling.offset for limit in (scaling.low, scaling.high))
    mm = wanted.spacing_mm if isinstance(wanted.spacing_mm, tuple) else (wanted.spacing_mm,) * 3
    # axes as our networks know them: z to the head, y to the back, x to the left
    return [
        transforms.Orientationd("image", axcodes="SPL", labels=None),
        transforms.Spacingd("image", pixdim=mm, mode="bilinear"),
        transforms.ScaleIntensityRanged("image", scaling.low, scaling.high, low, high, clip=True),
    ]


def affine_of(scan: Volume) -> np.ndarray:
    """Return the matrix from indices (z, y, x) to millimetres, right-anterior-superior."""
    affine = np.eye(4)
    affine[:3, :3] = scan.geometry.matrix
    affine[:3, 3] = scan.geometry.origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def main() -> None:
    """From file to file."""
    scan, model, mask, batch = sys.argv[1:]
    peer = Monai(Path(model), batch=int(batch))
    image = transforms.LoadImage(ensure_channel_first=True)(scan)
    name = mask.removesuffix(".nii.gz")
    save = transforms.SaveImage(output_ext=".nii.gz", output_dtype=np.uint8, print_log=False)
    save(peer.predicted(image), filename=name)


if __name__ == "__main__":
    main()
