"""A network with everything that changes it: loss, optimiser, averaged weights."""

from typing import Any

import torch
from torch import Tensor, nn

from napari_ctlns.learning.device import Arithmetic
from napari_ctlns.learning.distributed import Group
from napari_ctlns.learning.ema import AveragedWeights
from napari_ctlns.learning.fitting import memory_errors, more_parts, no_memory, parts_of
from napari_ctlns.learning.loader import Batch
from napari_ctlns.learning.losses import build_loss, supervised
from napari_ctlns.learning.memory_use import device_memory_mb
from napari_ctlns.learning.scores import Judgement
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Recipe

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
    group
        The processes that learn it together.

    Attributes
    ----------
    parts
        How many parts a step's patches are worked on in, one after the other; doubled
        when the memory of the device lacks.
    """

    def __init__(
        self,
        recipe: Recipe,
        arithmetic: Arithmetic,
        weights: dict[str, Tensor] | None = None,
        group: Group | None = None,
    ) -> None:
        self.recipe = recipe
        self.arithmetic = arithmetic
        self.group = group or Group()
        optimisation = recipe.optimisation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(optimisation.seed)
            network = build_network(recipe)
        if weights is not None:
            network.load_state_dict(weights)
        self.network = self.group.synchronised(arithmetic.placed(network), arithmetic.device)
        decay = optimisation.ema_decay
        self.averaged = AveragedWeights(self.network, decay) if decay else None
        self.loss = build_loss(recipe.loss)
        self.supervised_loss = supervised(self.loss)
        self.optimiser = _OPTIMISERS[optimisation.optimiser](
            self.network.parameters(),
            lr=optimisation.learning_rate,
            betas=optimisation.betas,
            weight_decay=optimisation.weight_decay,
            fused=arithmetic.device.type in ("cpu", "cuda"),
        )
        self.scaler = torch.amp.GradScaler(
            arithmetic.device.type, enabled=arithmetic.precision == "fp16"
        )
        self.parts = optimisation.accumulation
        self._parts_judged = 1

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and saved: the averaged one, if there is one."""
        return self.network if self.averaged is None else self.averaged.network

    @property
    def memory_mb(self) -> float:
        """MiB of memory that learning takes, see `device_memory_mb`."""
        return device_memory_mb(self.arithmetic.device)

    def gradients(self, batch: Batch, number: int, share: float = 1.0) -> float:
        """Compute the gradients of a step, but leave the weights as they are.

        The patches are worked on in `parts`, whose mean is that of the whole, so that
        only batch norm tells the difference.

        Parameters
        ----------
        batch
            This process's patches of the step.
        number
            Which step this is, from 0.
        share
            Which share of the step's patches they are.

        Returns
        -------
        float
            The loss of the whole step: the mean over the patches of all processes.

        Raises
        ------
        RunError
            If the memory does not suffice for one patch.
        """
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        while True:
            try:
                return self.group.total(self._attempt(batch, number, share))
            except torch.OutOfMemoryError:
                pass  # only outside of here is what the failed step held let go of
            for buffer, old in zip(buffers, before, strict=True):
                buffer.copy_(old)
            self.parts = more_parts(self.parts, len(batch.hu), self.recipe)

    def update(self, rate: float) -> None:
        """Change the weights by the gradients, at a learning rate."""
        optimisation = self.recipe.optimisation
        for settings in self.optimiser.param_groups:
            settings["lr"] = rate
        self.group.add_gradients(self.network.parameters())
        self.scaler.unscale_(self.optimiser)
        if optimisation.clip_gradient_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), optimisation.clip_gradient_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.averaged is not None:
            self.averaged.follow(self.network)

    @torch.inference_mode()
    def judge(self, batch: Batch) -> Judgement:
        """Compare the network's answer with the truth, without learning."""
        while True:
            try:
                with memory_errors(self.recipe):
                    judged = [self._judgement(p) for p in parts_of(batch, self._parts_judged)]
                break
            except torch.OutOfMemoryError:
                pass
            self._parts_judged = more_parts(self._parts_judged, len(batch.hu), self.recipe)
        patches = len(batch.hu)
        return Judgement(
            sum(one.loss * len(one.true) for one in judged) / patches,
            *(
                [voxels for one in judged for voxels in getattr(one, name)]
                for name in ("right", "found", "true")
            ),
        )

    @torch.inference_mode()
    def probability(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return image, target and probability of patches, float32 on the CPU.

        The image has all slices of a patch, target and probability in 2 dimensions
        the middle one.
        """
        answers = []
        for patch in parts_of(batch, len(batch.hu)):
            image, target, logits = self._answer(patch)
            answers.append((image.cpu(), target.cpu(), logits.sigmoid().cpu()))
        image, target, probability = (torch.cat(tensors) for tensors in zip(*answers, strict=True))
        return image, target, probability

    def state(self) -> dict[str, Any]:
        """Return everything that training changes."""
        return {
            "network": self.network.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state(),
            "optimiser": self.optimiser.state_dict()["state"],
            "scaler": self.scaler.state_dict(),
            "parts": self.parts,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state; what the recipe says of the optimiser counts as it is now."""
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            start = {"network": state["network"], "updates": 0}
            self.averaged.restore(state["averaged"] or start)
        settings = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state["optimiser"], "param_groups": settings})
        self.scaler.load_state_dict(state["scaler"])
        self.parts = max(self.parts, state["parts"])

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

    def in_words(self) -> str:
        """Say what learns, and how."""
        weights = sum(w.numel() for w in self.network.parameters())
        name = self.recipe.network.name
        where = self.arithmetic
        many = f", {self.group.size} processes" if self.group.size > 1 else ""
        return f"{name} with {weights:,} weights, {where.precision} on {where.device.type}{many}"

    def _attempt(self, batch: Batch, number: int, share: float) -> float:
        """Compute gradients in as many parts as are set; return this process's share of the loss.

        Raises
        ------
        torch.OutOfMemoryError
            In all processes, if memory lacks in any.
        """

        def work() -> float:
            # what a step draws itself (dropout) is counted like everything else
            seed = self.recipe.optimisation.seed * 1_000_003 + number
            torch.manual_seed((seed * self.group.size + self.group.rank) % 2**63)
            self.optimiser.zero_grad(set_to_none=True)
            with memory_errors(self.recipe):
                return self._accumulated(batch, share)

        if not self._norm_is_shared:
            return self.group.together(work)
        # the processes meet within the network: one that fails cannot tell the others, but ends
        try:
            return work()
        except torch.OutOfMemoryError as error:
            raise no_memory(self.recipe) from error

    def _accumulated(self, batch: Batch, share: float) -> float:
        self.network.train()
        total = torch.zeros((), device=self.arithmetic.device)
        for part in parts_of(batch, self.parts):
            weight = share * len(part.hu) / len(batch.hu)
            image, target = part.on(self.arithmetic.device)
            with self.arithmetic.autocast():
                logits = self.network(image)
            loss = self.supervised_loss(_single_precision(logits), target) * weight
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return float(total)

    def _answer(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return image, target and logits, float32 on the device."""
        self.judged.eval()
        image, target = batch.on(self.arithmetic.device)
        with self.arithmetic.autocast():
            logits = self.judged(image)
        return image, target, logits.float()

    def _judgement(self, batch: Batch) -> Judgement:
        _, target, logits = self._answer(batch)
        found = logits >= torch.logit(torch.tensor(self.recipe.inference.threshold))
        true = target > 0.5
        patch = (1, 2, 3, 4)
        counts = torch.stack([(found & true).sum(patch), found.sum(patch), true.sum(patch)])
        return Judgement(float(self.loss(logits, target)), *counts.tolist())

    @property
    def _norm_is_shared(self) -> bool:
        return any(isinstance(m, nn.SyncBatchNorm) for m in self.network.modules())


def _single_precision(logits: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return [one.float() for one in logits] if isinstance(logits, list) else logits.float()
