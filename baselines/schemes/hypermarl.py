"""HyperMARL with a multilayer hypernetwork: every agent's networks are generated from its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from adaps_agents.sharing.base import SharingScheme
from adaps_agents.sharing.generated import GeneratedMLP, Layers
from adaps_agents.sharing.layers import HIDDEN_GAIN, Activation, entries, orthogonal_stack
from adaps_agents.sharing.options import NETWORKS, check_choice, check_count
from adaps_agents.streams import torch_stream

__all__ = ["SCHEME", "HyperMARL", "HyperMLP"]


class HyperMLP(GeneratedMLP):
    """Networks whose every weight matrix and bias vector has a small trunk and head of its own.

    Tensor ``t`` of agent ``i`` is ``Q_t relu(R_t e_i + r_t) + q_t`` with the embedding ``e_i`` common to all tensors.

    Parameters: N d + sum over tensors t of ((d + 1) h + (h + 1) |t|).

    Args:
        sizes, num_agents, activation: as for :class:`~adaps_agents.sharing.generated.GeneratedMLP`.
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
        nn.init.orthogonal_(self.embeddings, generator=generator)
        for trunk in self.trunk_weights.data:
            nn.init.orthogonal_(trunk, gain=HIDDEN_GAIN, generator=generator)
        weights, offsets = self._initial_heads(orthogonal_stack(sizes, num_agents, head_gain, seed, name))
        self.heads = nn.ParameterList([nn.Parameter(weight) for weight in weights])
        self.offsets = nn.ParameterList([nn.Parameter(offset) for offset in offsets])

    def _initial_heads(self, targets: list[Tensor]) -> Layers:
        """Return heads ``[h, |t|]`` and offsets ``[|t|]`` that at first generate an orthogonal network for every agent.

        Up to h agents the heads solve for the networks that private weights would start with. More agents than a trunk
        has features cannot be told apart linearly: they all start from the first of these networks, in the offsets.
        """
        heads, offsets = [], []
        with torch.no_grad():
            for index, (shape, features) in enumerate(zip(self._shapes, self._features(), strict=True)):
                is_weight = len(shape) == 2
                wanted = targets[index // 2].flatten(1) if is_weight else features.new_zeros(len(features), shape[0])
                if len(features) <= features.shape[1]:
                    solution = torch.linalg.lstsq(features.double(), wanted.double(), driver="gelsd").solution
                    heads.append(solution.float())
                    offsets.append(torch.zeros(wanted.shape[1]))
                else:
                    heads.append(torch.zeros(features.shape[1], wanted.shape[1]))
                    offsets.append(wanted[0].clone())
        return heads, offsets

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

    Initial networks are orthogonal for every agent, as the method requires; how heads achieve this is this project's:
    they solve for the networks that private weights would start with (see :class:`HyperMLP`). A recurrent unit is not
    generated but shared by all agents, as in the authors' StarCraft networks.

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
        check_count("embedding", embedding)
        check_count("width", width)
        check_choice("networks", networks, NETWORKS)
        self.embedding, self.width, self.networks = embedding, width, networks

    def make_networks(self) -> None:
        """Make the actor's and the critic's hypernetworks."""
        self.make_parts(self._generated, self.networks)

    def _generated(self, part: str) -> HyperMLP:
        options: dict[str, Any] = self.network_options(part)
        return HyperMLP(num_agents=self.spaces.num_agents, embedding=self.embedding, width=self.width, **options)


SCHEME = HyperMARL
