"""A network with everything that changes it: optimiser, schedule, loss."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_ctlns.errors import RunError
from napari_ctlns.learning.device import Arithmetic
from napari_ctlns.learning.loader import Batch
from napari_ctlns.learning.losses import build_loss
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Optimisation, Recipe

_OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Learner:
    """One network that learns.

    Parameters
    ----------
    recipe
        Network, loss and optimisation.
    arithmetic
        Where, and in which precision.
    weights
        Weights to begin with; None: new ones that only the recipe's seed decides.
    """

    def __init__(
        self, recipe: Recipe, arithmetic: Arithmetic, weights: dict[str, Tensor] | None = None
    ) -> None:
        self.recipe = recipe
        self.arithmetic = arithmetic
        optimisation = recipe.optimisation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(optimisation.seed)
            network = build_network(recipe)
        if weights is not None:
            network.load_state_dict(weights)
        self.network = arithmetic.placed(network)
        self.loss = build_loss(recipe.loss)
        self.optimiser = _OPTIMISERS[optimisation.optimiser](
            self.network.parameters(),
            lr=optimisation.learning_rate,
            weight_decay=optimisation.weight_decay,
            fused=arithmetic.device.type in ("cpu", "cuda"),
        )
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimiser,
            factor=optimisation.plateau_factor,
            patience=optimisation.plateau_patience,
        )
        self.scaler = torch.amp.GradScaler(
            arithmetic.device.type, enabled=arithmetic.precision == "fp16"
        )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def step(self, batch: Batch, number: int, total: int) -> float:
        """Learn from one batch.

        Parameters
        ----------
        batch
            Patches.
        number, total
            Which step of how many this is, from 0.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        RunError
            If the loss is not finite; the weights are as they were before.
        """
        self._set_rate(scheduled_rate(self.recipe.optimisation, number, total))
        self.network.train()
        if self.recipe.network.dropout:
            torch.manual_seed(_counted(self.recipe.optimisation.seed, number))
        image, target = batch.on(self.arithmetic.device, self.recipe.preparation)
        with self.arithmetic.autocast():
            logits = self.network(image)
        loss = self.loss(logits.float(), target)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise RunError(
                f"the loss is {value} at step {number + 1}; "
                "lower optimisation.learning_rate, or take precision fp32"
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return value

    def epoch_ended(self, loss: float) -> None:
        """Let the learning rate fall if the validation loss has stopped falling."""
        if self.recipe.optimisation.schedule == "plateau":
            self.plateau.step(loss)

    @torch.inference_mode()
    def judge(self, batch: Batch) -> "Judgement":
        """Compare the network's answer with the truth, without learning."""
        self.network.eval()
        image, target = batch.on(self.arithmetic.device, self.recipe.preparation)
        with self.arithmetic.autocast():
            logits = self.network(image)
        logits = logits.float()
        found = logits.sigmoid() >= self.recipe.inference.threshold
        true = target > 0.5
        patch = (1, 2, 3, 4)
        return Judgement(
            float(self.loss(logits, target)),
            (found & true).sum(patch).tolist(),
            found.sum(patch).tolist(),
            true.sum(patch).tolist(),
        )

    def state(self) -> dict[str, Any]:
        """Return everything that training changes."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "plateau": self.plateau.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state; the learning rate stays the state's."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.plateau.load_state_dict(state["plateau"])
        self.scaler.load_state_dict(state["scaler"])

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(torch.isfinite(w).all()) for w in self.network.state_dict().values())

    def in_words(self) -> str:
        """Say what learns, and how."""
        weights = sum(w.numel() for w in self.network.parameters())
        name = self.recipe.network.name
        where = self.arithmetic
        return f"{name} with {weights:,} weights, {where.precision} on {where.device.type}"

    def _set_rate(self, rate: float | None) -> None:
        if rate is not None:
            for group in self.optimiser.param_groups:
                group["lr"] = rate


@dataclass(frozen=True)
class Judgement:
    """The loss of a batch; nodule voxels of each patch: found rightly, found, true."""

    loss: float
    right: list[int]
    found: list[int]
    true: list[int]


def scheduled_rate(recipe: Optimisation, step: int, total: int) -> float | None:
    """Return the learning rate of a step (from 0), or None where it stays what it is.

    It rises linearly over ``warmup_steps``; "cosine" then falls to zero at
    ``total`` along half a cosine (Loshchilov and Hutter 2017, "SGDR").
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / (recipe.warmup_steps + 1)
    if recipe.schedule == "cosine":
        done = (step - recipe.warmup_steps) / max(1, total - recipe.warmup_steps)
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return recipe.learning_rate if step == recipe.warmup_steps else None


def _counted(seed: int, step: int) -> int:
    """Return a seed for what a network draws itself (dropout) in a step."""
    return (seed * 1_000_003 + step) % 2**63
