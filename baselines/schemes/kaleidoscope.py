"""Kaleidoscope: one shared network, a learnable mask over its single weights for every agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaps_agents.networks.build import NetworkSpec
from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers, folded_index
from adaps_agents.networks.grouped_mlp import Activation, entries, orthogonal_stack
from adaps_agents.networks.optimizer_state import clear_moments
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import NETWORKS, check_choice, check_count, check_flag, check_number
from adaps_agents.schemes.thresholds import EPSILON, check_thresholds, initial_thresholds, soft_threshold

__all__ = ["SCHEME", "Kaleidoscope", "ThresholdMLP"]

# Bounds that keep the ratio of two running means meaningful while either is next to nothing.
SMALLEST_DIVERSITY = 1e-4
LARGEST_COEFFICIENT = 1e3


class ThresholdMLP(GeneratedMLP):
    """One network of which agent ``i`` uses ``sign(w) relu(|w| - sigmoid(s_i))`` in the place of every weight ``w``.

    Parameters: P_net + N |W|, |W| the number of weights without biases, which all agents share.

    Args:
        sizes, num_agents, activation: as for :class:`~adaps_agents.networks.generated_mlp.GeneratedMLP`.
        offset, scale: thresholds start at ``s = -(offset + scale u)``, u uniform in (0, 1).
        agent_index: the first layer also reads the agent's one-hot index, by N more columns of weights, thresholds
            included.
        head_gain: gain of the last layer.
        seed, name: key of the random streams.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_agents: int,
        activation: Activation,
        *,
        offset: float,
        scale: float,
        agent_index: bool,
        head_gain: float,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(sizes, num_agents, activation)
        self.offset, self.scale, self.agent_index = offset, scale, agent_index
        inputs = sizes[0] + (num_agents if agent_index else 0)
        stack = orthogonal_stack([inputs, *sizes[1:]], 1, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])
        generator = torch_stream(seed, "init", name, "thresholds")
        shapes = [(num_agents, *layer.shape[1:]) for layer in stack]
        drawn = [initial_thresholds(shape, offset, scale, generator) for shape in shapes]
        self.thresholds = nn.ParameterList([nn.Parameter(layer) for layer in drawn])

    def subnetworks(self) -> Layers:
        """Return the agents' thresholded weights ``[N, out, in]`` and the shared biases ``[N, out]``."""
        layers = zip(entries(self.weights), entries(self.thresholds), strict=True)
        weights = [soft_threshold(w, s) for w, s in layers]
        biases = [b.expand(len(w), -1) for b, w in zip(entries(self.biases), weights, strict=True)]
        if self.agent_index:
            weights[0], biases[0] = folded_index(weights[0], biases[0], self.sizes[0])
        return weights, biases

    @property
    def masks(self) -> list[Tensor]:
        """Which weights each agent uses at present, ``[N, out * in] bool`` a layer."""
        return [used.flatten(1) for used in self.used_weights()]

    @torch.no_grad()
    def used_weights(self) -> list[Tensor]:
        """Return which weights each agent uses, ``[N, out, in] bool`` a layer."""
        return [w.abs() > s.sigmoid() for w, s in zip(entries(self.weights), entries(self.thresholds), strict=True)]

    def diversity(self) -> Tensor:
        """Return the weighted mean over ordered pairs of agents of ``|| |w| (M_i - M_j) ||_1``, a scalar.

        Layer ``l`` has the weight ``2^l``. Only thresholds get a gradient, through the indicator of the mask.
        """
        number, count = len(self.thresholds[0]), sum(w.numel() for w in self.weights)
        total = torch.zeros((), device=self.weights[0].device)
        for index, (w, s) in enumerate(zip(entries(self.weights), entries(self.thresholds), strict=True)):
            size = w.detach().abs()
            mask = _Indicator.apply(size - s.sigmoid())  # type: ignore[no-untyped-call]
            total = total + 2**index * (size * _pairwise_differences(mask)).sum()
        return total / (max(number * (number - 1), 1) * count)

    @torch.no_grad()
    def reset_dead(
        self, probability: float, generator: torch.Generator, optimizer: torch.optim.Optimizer | None
    ) -> list[Tensor]:
        """Draw unused weights again, each with ``probability``, with their thresholds; forget their moments.

        Returns:
            What was drawn again, ``[1, out, in] bool`` a layer.
        """
        chosen = []
        for w, s, mask in zip(entries(self.weights), entries(self.thresholds), self.used_weights(), strict=True):
            drawn = torch.rand(w.shape, generator=generator).to(w.device) < probability
            dead = ~mask.any(dim=0, keepdim=True) & drawn
            # Kaiming's uniform distribution with a = sqrt(5).
            fresh = (2 * torch.rand(w.shape, generator=generator) - 1) / w.shape[-1] ** 0.5
            thresholds = initial_thresholds(s.shape, self.offset, self.scale, generator)
            w.copy_(torch.where(dead, fresh.to(w.device), w))
            s.copy_(torch.where(dead, thresholds.to(s.device), s))
            if optimizer is not None:
                clear_moments(optimizer, w, dead)
                clear_moments(optimizer, s, dead.expand_as(s))
            chosen.append(dead)
        return chosen


class Kaleidoscope(SharingScheme):
    """Learnable masks for every agent on one set of weights.

    Agent ``i`` uses ``theta_i = sign(theta) relu(|theta| - sigmoid(s_i))``; thresholds ``s_i`` are trained with the
    weights, by the learner's loss and by a diversity loss that pushes the masks apart,
    ``-sum_l 2^l sum_{i,j} || |theta_l| (M_i - M_j) ||_1 / (N (N - 1) |W|)``, in which ``theta`` is constant and the
    indicator's gradient passes through ``tanh`` of the incoming one, as in the authors' code. Its coefficient is
    ``diversity * mean |policy loss| / mean diversity`` over the last ``window`` losses. From time to time, weights that
    no agent uses any more are drawn again.

    On-policy port: the policy loss may pass through zero, so its absolute value is averaged; the denominator is at
    least 1e-4 and the coefficient at most 1000. Weights are drawn again between updates, and their optimiser moments
    become zero; all layers take part, as in the authors' multilayer perceptrons. Thresholds are stepped with the
    epsilon of the authors' optimiser (:mod:`~adaps_agents.schemes.thresholds` says why). The critic is masked by
    thresholds of its own, since it can see an agent's type no better than the actor can; it is one critic, as the
    learner's is, not the authors' ensemble of five. The weights of a recurrent unit are shared and not masked, as the
    authors'.

    The record tells whether it acted: ``kept`` and ``hamming`` of the diagnostics' masks.

    Args:
        diversity: share of the policy loss that the diversity loss is scaled to (the authors' MPE setting).
        window: losses that are averaged.
        reset_interval: environment steps between draws; none in the last interval of a training. None takes a tenth of
            the training (the authors': 1 million of 10 on StarCraft, 200,000 on MPE).
        reset_probability: with which a weight that no agent uses is drawn again.
        offset, scale: thresholds start at ``-(offset + scale u)``, u uniform in (0, 1): nearly nothing is masked.
        threshold_epsilon: of the optimiser, for thresholds; None takes the learner's, beside which they stand still.
        agent_index: networks also read the agent's one-hot index, as in the authors' MPE settings
            (``obs_agent_id: True``); without it, masks hardly part.
        networks: mask ``both`` actor and critic, or the ``actor`` only, with one critic for all agents.
    """

    name = "kaleidoscope"
    summary = "one shared network, a learnt mask over single weights for every agent, pushed apart by a loss"
    source = "Li, Pan and Zhang, NeurIPS 2024, arXiv 2410.08540"
    parameter_formula = "P + 2 N H + N |W|, |W| the weights without biases of the masked networks, index included"

    acts_in_training = True

    losses: Tensor
    written: Tensor
    resets: Tensor

    def __init__(
        self,
        *,
        diversity: float = 0.5,
        window: int = 100,
        reset_interval: int | None = None,
        reset_probability: float = 0.1,
        offset: float = 5.0,
        scale: float = 5.0,
        threshold_epsilon: float | None = EPSILON,
        agent_index: bool = True,
        networks: str = "both",
    ) -> None:
        super().__init__()
        check_number("diversity", diversity, low=0.0)
        check_count("window", window, high=1_000_000)
        if reset_interval is not None:
            check_count("reset_interval", reset_interval)
        check_number("reset_probability", reset_probability, low=0.0, high=1.0)
        check_thresholds(offset, scale, threshold_epsilon)
        check_flag("agent_index", agent_index)
        check_choice("networks", networks, NETWORKS)
        self.diversity, self.window = diversity, window
        self.reset_interval, self.reset_probability = reset_interval, reset_probability
        self.offset, self.scale = offset, scale
        self.threshold_epsilon, self.agent_index, self.networks = threshold_epsilon, agent_index, networks

    def make_networks(self) -> None:
        """Make the masked networks and the memory of recent losses."""
        self.actor_net = self._masked(self.actor_spec)
        both = self.networks == "both"
        self.critic_net = self._masked(self.critic_spec) if both else self.critic_spec.grouped(self.labels)
        if self.threshold_epsilon is not None:
            thresholds = [s for net in self.masked_networks() for s in net.thresholds]
            self.optimizer_eps_groups = {self.threshold_epsilon: thresholds}
        device = self.labels.device
        # Rows: |policy loss|, diversity. The oldest column is overwritten; those not yet written are zero.
        self.register_buffer("losses", torch.zeros(2, self.window, device=device))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64, device=device))
        self.register_buffer("resets", torch.zeros((), dtype=torch.int64, device=device))

    def _masked(self, spec: NetworkSpec) -> ThresholdMLP:
        options: dict[str, Any] = {"offset": self.offset, "scale": self.scale, "agent_index": self.agent_index}
        return ThresholdMLP(num_agents=self.spaces.num_agents, **options, **spec.options)

    def masked_networks(self) -> list[ThresholdMLP]:
        """Return the networks that have masks."""
        return [net for net in (self.actor_net, self.critic_net) if isinstance(net, ThresholdMLP)]

    def aux_loss(self) -> Tensor:
        """Return the diversity loss, a scalar, scaled by the running size of the policy loss."""
        diversity = torch.stack([net.diversity() for net in self.masked_networks()]).sum()
        return -self._coefficient(diversity.detach()) * diversity

    @torch.no_grad()
    def _coefficient(self, diversity: Tensor) -> Tensor:
        """Remember the present losses and return the coefficient of the diversity loss, without gradient."""
        column = self.written % self.window
        self.losses[:, column] = torch.stack([self.learning.policy_loss.abs().to(diversity.device), diversity])
        self.written += 1
        policy, spread = self.losses.sum(dim=1) / self.written.clamp(max=self.window)
        return (self.diversity * policy / spread.clamp(min=SMALLEST_DIVERSITY)).clamp(max=LARGEST_COEFFICIENT)

    def after_update(self, update: int) -> bool:
        """Draw dead weights again when an interval has passed, unless it was the last one."""
        learning = self.learning
        interval = learning.total_timesteps // 10 if self.reset_interval is None else self.reset_interval
        passed = learning.num_timesteps // max(1, interval)
        if passed <= int(self.resets):
            return False
        self.resets.fill_(passed)
        if learning.total_timesteps - learning.num_timesteps >= interval:
            generator = torch_stream(self.seed, "resets", passed)
            for net in self.masked_networks():
                net.reset_dead(self.reset_probability, generator, learning.optimizer)
        return False


class _Indicator(torch.autograd.Function):
    """``1[x > 0]`` with the gradient ``tanh(g)`` for the incoming gradient ``g``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the indicator, 0 or 1 in the shape and dtype of ``x``."""
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of ``x``, of the same shape."""
        return gradient.tanh()


def _pairwise_differences(mask: Tensor) -> Tensor:
    """Return the sum over ordered pairs of ``|M_i - M_j|`` for 0/1 masks ``[N, ...]``, without forming the pairs.

    The gradient is that of the absolute values, zero between equal entries: with c ones in N, a one differs from N - c
    zeros and a zero from c ones, each in two ordered pairs.
    """
    number, ones = mask.shape[0], mask.detach().sum(dim=0, keepdim=True)
    slopes = 2 * torch.where(mask.detach() > 0, number - ones, -ones)
    return (mask * slopes).sum(dim=0)


SCHEME = Kaleidoscope
