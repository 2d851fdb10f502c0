"""The network, and how it learns."""

from math import lcm
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ctlns.recipe.imported import ImportedNetwork
from napari_ctlns.recipe.sections import (
    Count,
    Fraction,
    NotNegative,
    PositiveFloat,
    PositiveInt,
    Section,
)

_SWIN_STEP = 32
_SWIN_MULTIPLE = 12


class Network(Section):
    """The network."""

    name: Literal["unet", "attention-unet", "residual-unet", "swin-unetr", "imported"] = "unet"
    """Which network; "imported" is what `ctlns import-model` writes, and cannot be trained."""
    dimensions: Literal[2, 3] = 3
    """Dimensions of its convolutions."""
    channels: tuple[PositiveInt, ...] = Field((16, 32, 64, 128), min_length=1)
    """Feature maps of each level, from the finest to the coarsest; "swin-unetr" takes those
    of the finest alone, a multiple of 12."""
    norm: Literal["batch", "instance"] = "batch"
    """Normalisation; only "batch" models may be run at another window (docs)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of feature maps dropped in training."""
    upsampling: Literal["transposed", "linear"] = "transposed"
    """"unet": upwards by transposed convolutions, or by (bi- or tri-)linear interpolation."""
    deep_supervision: bool = False
    """"unet", "residual-unet": whether coarser levels are judged in training too."""
    clicks: bool = False
    """Whether it is also given where a person clicked, and marks that one nodule alone."""
    imported: ImportedNetwork | None = None
    """"imported": what network it is; the other keys but ``dimensions`` say nothing then."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.name == "imported") != (self.imported is not None):
            raise ValueError('name "imported" is for models that `ctlns import-model` made')
        if self.clicks and (self.imported is not None or self.dimensions == 2):
            raise ValueError("clicks needs dimensions 3 and a network of ours")
        return self

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.name == "imported":
            return self
        levels = len(self.channels)
        if self.name == "swin-unetr":
            if levels != 1 or self.channels[0] % _SWIN_MULTIPLE:
                raise ValueError(
                    f'channels of "swin-unetr" must be one multiple of {_SWIN_MULTIPLE}, as in [24]'
                )
        elif levels < 2:
            raise ValueError("channels must name 2 levels or more")
        if self.name == "attention-unet" and self.norm != "batch":
            raise ValueError('norm of "attention-unet" must be "batch"')
        if self.deep_supervision and self.name not in ("unet", "residual-unet"):
            raise ValueError('deep_supervision needs name "unet" or "residual-unet"')
        return self

    @property
    def step(self) -> int:
        """What each side of a patch or window must be a multiple of: it is halved that often."""
        if self.imported is not None:
            return lcm(*self.imported.multiples)
        return _SWIN_STEP if self.name == "swin-unetr" else int(2 ** (len(self.channels) - 1))

    @property
    def steps(self) -> tuple[int, int, int]:
        """The same along (z, y, x): a network of 2 dimensions does not halve z."""
        if self.imported is not None:
            return self.imported.multiples
        return (self.step if self.dimensions == 3 else 1, self.step, self.step)

    @property
    def depends_on_window(self) -> bool:
        """Whether the answer depends on the size of the window."""
        if self.imported is not None:
            return self.imported.own_window_only
        return self.norm != "batch" or self.name == "swin-unetr"


class Loss(Section):
    """What training makes small."""

    name: Literal["dice-ce", "dice-bce", "dice", "tversky", "bce", "focal", "dice-focal"] = (
        "dice-ce"
    )
    """Which loss; of one sigmoid channel, "dice-ce" and "dice-bce" are the same."""
    dice_weight: NotNegative = 1.0
    """Weight of the Dice part."""
    ce_weight: NotNegative = 1.0
    """Weight of the cross-entropy part."""
    focal_weight: NotNegative = 1.0
    """Weight of the focal part."""
    focal_gamma: NotNegative = 2.0
    """"focal", "dice-focal": how little voxels count that are right already."""
    false_negative_weight: Fraction = 0.7
    """"tversky": weight of missed voxels; false ones have the rest to 1."""
    smoothing_voxels: PositiveFloat = 16.0
    """Voxels added to both parts of the fraction of Dice and Tversky."""


class Optimisation(Section):
    """How weights are learned."""

    optimiser: Literal["adam", "adamw"] = "adam"
    """Which optimiser."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.999,
    )
    """Its memory of gradients and of their squares."""
    learning_rate: PositiveFloat = 1e-3
    """First learning rate."""
    weight_decay: NotNegative = 0.0
    """Weight decay of the optimiser."""
    schedule: Literal["plateau", "constant", "cosine", "poly"] = "plateau"
    """How the learning rate falls."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """"plateau": what the rate is multiplied with."""
    plateau_patience: Count = 5
    """"plateau": epochs without a better validation loss before it falls."""
    poly_power: PositiveFloat = 0.9
    """"poly": the exponent by which the rate falls to zero."""
    warmup_steps: Count = 0
    """Steps over which the rate rises to its first value."""
    epochs: PositiveInt = 100
    """Passes over the training scans."""
    early_stopping_patience: Count = 0
    """Epochs without a better validation before training ends; 0: never."""
    best_by: Literal["val_dice", "val_loss", "last"] = "val_dice"
    """What makes an epoch the best: the highest Dice or the lowest loss; "last": being the
    last one, for trainings whose length is chosen beforehand."""
    keep_checkpoints: Literal["last", "all"] = "last"
    """Whether the checkpoint of every epoch is kept, or only the last one."""
    batch_size: PositiveInt = 4
    """Patches a step, over all processes."""
    accumulation: PositiveInt = 1
    """Parts that a step's patches are worked on in, one after the other, to spare memory."""
    clip_gradient_norm: NotNegative = 0.0
    """Longer gradients are shortened to this norm; 0: never."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """How slowly averaged weights, which are judged and saved, follow; 0: no averaging."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; "auto" takes the fastest that the device does well."""
    shuffle: bool = True
    """Whether patches come in a new order each epoch."""
    num_workers: Count = 0
    """Threads that prepare patches beside the training one."""
    seed: int = 0
    """Where all randomness is counted from."""
    deterministic: bool = False
    """Whether equal runs must give equal weights, bit for bit."""
