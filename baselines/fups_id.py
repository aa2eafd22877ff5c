"""FuPS+id: one network for all agents, with the agent's index in the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from adaps_agents.sharing.base import ACTOR_GAIN, CRITIC_GAIN, SharingScheme
from adaps_agents.sharing.layers import GroupedMLP, entries
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "FuPSId"]


class IndexedMLP(GroupedMLP):
    """One network on ``[o, scale * e_i]``, the observation followed by the one-hot index of the agent.

    The index selects a column of the first layer, so it is added as a bias; no one-hot vector is ever multiplied.
    """

    def __init__(self, sizes: list[int], labels: Tensor, *, scale: float, **options: Any) -> None:
        super().__init__([sizes[0] + len(labels), *sizes[1:]], labels, **options)
        self.obs_dim = sizes[0]
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for observations ``[B, N, F]``."""
        weights, biases = entries(self.weights), entries(self.biases)
        first = weights[0][0]
        h = functional.linear(x, first[:, : self.obs_dim])
        h = h + (biases[0][0] + self.scale * first[:, self.obs_dim :].T)
        if len(weights) == 1:
            return h
        out: Tensor = self.groups(self.activation(h), weights[1:], biases[1:], self.activation)
        return out

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return the layers with the index folded into the first bias."""
        (first, bias), *rest = super().effective_params(agent)
        column = first[:, self.obs_dim + agent]
        return [(first[:, : self.obs_dim], bias + self.scale * column), *rest]


class FuPSId(SharingScheme):
    """Full parameter sharing with agent indication.

    ``pi(a | [o_i, e_i]; theta)`` with ``e_i`` one-hot: the index adds exactly one private bias vector in the first layer.

    Args:
        scale: value of the index's entry (1 in the source).
    """

    name = "fups_id"
    summary = "full sharing with the agent's one-hot index in the input"
    source = "Terry et al., 2020, arXiv 2005.13625"
    parameter_formula = "P + 2 N H"

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__()
        if not isinstance(scale, (int, float)) or not 0 <= scale < float("inf"):
            raise InvalidParameterError(f"scale is {scale!r}; it must be a finite number >= 0.")
        self.scale = scale

    def make_networks(self) -> None:
        """Make one actor and one critic that read the index."""
        one_group = torch.zeros_like(self.labels)
        options: dict[str, Any] = {"seed": self.seed, "activation": self.activation, "scale": self.scale}
        self.actor_net = IndexedMLP(self.actor_sizes(), one_group, head_gain=ACTOR_GAIN, name="actor", **options)
        self.critic_net = IndexedMLP(self.critic_sizes(), one_group, head_gain=CRITIC_GAIN, name="critic", **options)


SCHEME = FuPSId
