"""HyperMARL with a multilayer hypernetwork: every agent's networks are generated from its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from adaps_agents.networks.build import NetworkSpec
from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers
from adaps_agents.networks.grouped_mlp import HIDDEN_GAIN, Activation, entries, orthogonal_stack
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import MAX_UNITS, NETWORKS, check_choice, check_count

__all__ = ["SCHEME", "HyperMARL", "HyperMLP"]

# Standard deviation of a standard normal variable cut off at -2 and 2.
TRUNCATED_DEVIATION = 0.8796


class HyperMLP(GeneratedMLP):
    """Networks whose every weight matrix and bias vector has a small trunk and head of its own.

    Tensor ``t`` of agent ``i`` is ``Q_t relu(R_t e_i + r_t) + q_t`` with the embedding ``e_i`` common to all tensors.
    At first each of the h features of a trunk is read by an orthogonal matrix of its own, which the features weigh and
    add up, for a weight matrix, and by zeros for a bias vector; ``r_t`` and ``q_t`` are zero.

    Parameters: N d + sum over tensors t of ((d + 1) h + (h + 1) |t|).

    Args:
        sizes, num_agents, activation: as for :class:`~adaps_agents.networks.generated_mlp.GeneratedMLP`.
        embedding: d, length of an agent's embedding.
        width: h, width of the trunks.
        head_gain: gain of the generated last layer.
        seed, name: key of the random streams.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_agents: int,
        activation: Activation,
        *,
        embedding: int,
        width: int,
        head_gain: float,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(sizes, num_agents, activation)
        self._shapes = [shape for fan_in, out in pairwise(sizes) for shape in ((out, fan_in), (out,))]
        self.embeddings = nn.Parameter(torch.empty(num_agents, embedding))
        self.trunk_weights = nn.Parameter(torch.empty(len(self._shapes), width, embedding))
        self.trunk_biases = nn.Parameter(torch.zeros(len(self._shapes), 1, width))
        generator = torch_stream(seed, "init", name, "hypernetwork")
        nn.init.orthogonal_(self.embeddings, gain=HIDDEN_GAIN, generator=generator)
        deviation = embedding**-0.5 / TRUNCATED_DEVIATION
        for trunk in self.trunk_weights.data:
            nn.init.trunc_normal_(trunk, std=deviation, a=-2 * deviation, b=2 * deviation, generator=generator)
        rows = [layer.flatten(1) for layer in orthogonal_stack(sizes, width, head_gain, seed, name)]
        heads = [made for row, out in zip(rows, sizes[1:], strict=True) for made in (row, torch.zeros(width, out))]
        self.heads = nn.ParameterList([nn.Parameter(head) for head in heads])
        self.offsets = nn.ParameterList([nn.Parameter(torch.zeros(head.shape[1])) for head in heads])

    def _features(self) -> Tensor:
        """Return the trunks' outputs ``[tensors, N, h]``."""
        inputs = self.embeddings.expand(len(self._shapes), -1, -1)
        return torch.relu(torch.baddbmm(self.trunk_biases, inputs, self.trunk_weights.transpose(1, 2)))

    def subnetworks(self) -> Layers:
        """Return the generated weights ``[N, out, in]`` and biases ``[N, out]``."""
        made = [
            torch.addmm(offset, features, head).view(-1, *shape)
            for offset, features, head, shape in zip(
                entries(self.offsets), self._features(), entries(self.heads), self._shapes, strict=True
            )
        ]
        return made[0::2], made[1::2]


class HyperMARL(SharingScheme):
    """Agent-conditioned hypernetworks: ``theta_i = f(e_i)`` with learnt embeddings ``e_i`` of the agents.

    What depends on the agent's identity is generated apart from what reads the observation, so that their gradients do
    not mix; generated networks get no index in their input. A method to decouple agents, not to save parameters: below
    about 65 agents it holds more of them than private networks.

    Initial values are those of the authors' code: orthogonal embeddings (gain sqrt 2), trunks drawn from Flax's default
    (a truncated normal of variance 1/d), heads whose every row is an orthogonal matrix (gain sqrt 2, of the last layer
    0.01 in the actor and 1 in the critic), biases zero. Generated matrices are weighted sums of orthogonal ones. With
    the default sizes their entries are 2.7 times as large as private networks' up to 8 agents, as large with 60, and
    half with 200: orthogonal embeddings of more agents than entries are shorter. A recurrent unit is not generated but
    shared by all agents, as in the authors' StarCraft networks.

    Deviations: the activation is the learner's (theirs is tanh by default), and hypernetworks always have biases (an
    option in the code).

    Args:
        embedding: length of an agent's embedding (the authors' MAPPO setting; their IPPO has 4).
        width: width of the hypernetworks' hidden layer.
        networks: generate ``both`` actor and critic, or the ``actor`` only, with one critic for all agents.
    """

    name = "hypermarl"
    summary = "a hypernetwork generates every agent's networks from its learnt embedding"
    source = "Tessera et al., NeurIPS 2025, arXiv 2412.04233"
    parameter_formula = "per network: N d + sum over tensors t of ((d + 1) h + (h + 1) |t|)"

    def __init__(self, *, embedding: int = 8, width: int = 64, networks: str = "both") -> None:
        super().__init__()
        check_count("embedding", embedding, high=MAX_UNITS)
        check_count("width", width, high=MAX_UNITS)
        check_choice("networks", networks, NETWORKS)
        self.embedding, self.width, self.networks = embedding, width, networks

    def make_networks(self) -> None:
        """Make the actor's and the critic's hypernetworks."""
        self.actor_net = self._generated(self.actor_spec)
        both = self.networks == "both"
        self.critic_net = self._generated(self.critic_spec) if both else self.critic_spec.grouped(self.labels)

    def _generated(self, spec: NetworkSpec) -> HyperMLP:
        sizes: dict[str, Any] = {"num_agents": self.spaces.num_agents, "embedding": self.embedding, "width": self.width}
        return HyperMLP(**sizes, **spec.options)


SCHEME = HyperMARL
