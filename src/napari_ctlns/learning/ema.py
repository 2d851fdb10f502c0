"""Weights averaged over the steps of a training."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class AveragedWeights:
    """A network whose weights follow those of another one slowly.

    The average is exponential with ``decay`` (Polyak and Juditsky 1992; Tarvainen and
    Valpola 2017, "Mean teachers"). Its first steps forget faster, as ``(1 + n) / (10 + n)``,
    because the weights that a training begins with are worth nothing. Statistics of batch
    norm are averaged like weights; what is no fraction is copied.

    Attributes
    ----------
    network
        The averaged one.
    updates
        Steps averaged over.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Come a step nearer to ``network``."""
        share = 1 - min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        mine, theirs = _tensors(self.network), _tensors(network)
        pairs = list(zip(mine, theirs, strict=True))
        fractions = [(m, t) for m, t in pairs if m.is_floating_point()]
        torch._foreach_lerp_([m for m, _ in fractions], [t for _, t in fractions], share)
        for own, other in pairs:
            if not own.is_floating_point():
                own.copy_(other)

    def state(self) -> dict[str, Any]:
        """Return everything that `follow` changes."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
