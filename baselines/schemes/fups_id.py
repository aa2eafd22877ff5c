"""FuPS+id: one network for all agents, with the agent's index in the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from adaps_agents.networks.indexed_mlp import IndexedMLP
from adaps_agents.schemes.base import SharingScheme
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "FuPSId"]


class FuPSId(SharingScheme):
    """Full parameter sharing with agent indication.

    ``pi(a | [o_i, e_i]; theta)`` with ``e_i`` one-hot: the index adds exactly one private first-layer bias.

    Args:
        scale: value of the index's entry (1 in the source).
    """

    name = "fups_id"
    summary = "full sharing with the agent's one-hot index in the input"
    source = "Terry et al., 2020, arXiv 2005.13625"
    parameter_formula = "P + 2 N H"
    fups_options: ClassVar[Mapping[str, Any] | None] = {"scale": 0.0}

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__()
        if not isinstance(scale, (int, float)) or not 0 <= scale < float("inf"):
            raise InvalidParameterError(f"scale is {scale!r}; it must be a finite number >= 0.")
        self.scale = scale

    def make_networks(self) -> None:
        """Make one actor and one critic that read the index."""
        index = torch.arange(self.spaces.num_agents, device=self.labels.device)
        self.actor_net = IndexedMLP(index=index, scale=self.scale, **self.actor_spec.options)
        self.critic_net = IndexedMLP(index=index, scale=self.scale, **self.critic_spec.options)


SCHEME = FuPSId
