"""Schemes built on small and on published sizes, for the tests of the literature's methods."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes import AgentSpaces, SharingScheme, make_scheme
from adaps_agents.schemes.registry import scheme_class

NUM_AGENTS = 4
SMALL = AgentSpaces(NUM_AGENTS, 5, 3)
BPS_1 = AgentSpaces(15, 10, 5)
# P of one actor and one critic, [64, 64], on BPS-1.
P_ACTOR, P_CRITIC = 5_189, 4_929


def build(
    name: str,
    spaces: AgentSpaces = SMALL,
    hidden: tuple[int, ...] = (16, 12),
    *,
    seed: int = 3,
    recurrent: Any = "none",
    **options: Any,
) -> Any:
    """Return a scheme, built; the oracle is told two types."""
    if scheme_class(name).uses_true_types:
        options.setdefault("types", [agent % 2 for agent in range(spaces.num_agents)])
    scheme = make_scheme(name, **options)
    scheme.build(spaces, hidden, torch_stream(seed, "scheme"), recurrent=recurrent)
    return scheme


def on_bps_1(name: str, **options: Any) -> Any:
    """Return a scheme with the sizes of BPS-1 and hidden layers of 64 and 64."""
    return build(name, BPS_1, (64, 64), **options)


def observations(lanes: int = 6, spaces: AgentSpaces = SMALL) -> Tensor:
    """Return ``[B, N, F]``."""
    return torch.randn(lanes, spaces.num_agents, spaces.obs_dim, generator=torch_stream(0, "observations"))


def same_observations(lanes: int = 6) -> Tensor:
    """Return ``[B, N, F]`` in which all agents see the same."""
    return observations(lanes)[:, :1].expand(-1, NUM_AGENTS, -1).contiguous()


def agent_gradient(scheme: SharingScheme, agent: int, parameter: Tensor) -> Tensor:
    """Return the gradient of agent ``agent``'s logits alone on a parameter."""
    loss = scheme.actor(observations())[:, agent].square().sum()
    (gradient,) = torch.autograd.grad(loss, [parameter])
    return gradient


def randomised(scheme: Any, scale: float = 0.5) -> Any:
    """Fill all parameters with noise and return the scheme."""
    generator = torch_stream(1, "noise")
    with torch.no_grad():
        for parameter in scheme.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return scheme
