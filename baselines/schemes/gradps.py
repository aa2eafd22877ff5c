"""GradPS: full sharing in which first-layer neurons whose agents pull in opposite directions are split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import SpectralClustering
from torch import Tensor, nn
from torch.nn import functional

from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers
from adaps_agents.networks.grouped_mlp import Activation, entries, orthogonal_stack
from adaps_agents.random_streams import derived_seed, torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import (
    NETWORKS,
    check_choice,
    check_count,
    check_fires,
    check_flag,
    check_number,
)
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "GradPS", "SplitMLP", "agent_groups"]

# scikit-learn takes 32-bit seeds.
MAX_SEED = 2**32


class SplitMLP(GeneratedMLP):
    """One network whose first-layer neurons may have several copies of their input weights.

    Agent ``i`` computes neuron ``u`` with row ``rows[i, u]`` of the first layer's weights followed by the clones;
    biases and all later layers are shared. Without clones this is full sharing, bit for bit.

    In training a gate of ones stands behind every neuron of each agent; its gradient is what the agent's loss asks of
    the neuron, activation times incoming gradient, summed over samples.

    Args:
        sizes, num_agents, activation: as for :class:`~adaps_agents.networks.generated_mlp.GeneratedMLP`.
        head_gain: gain of the last layer.
        seed, name: key of the random streams.
    """

    rows: Tensor
    asked: Tensor
    conflict: Tensor
    efficiency: Tensor
    notes: Tensor
    clones: nn.Parameter | None

    def __init__(
        self, sizes: Sequence[int], num_agents: int, activation: Activation, *, head_gain: float, seed: int, name: str
    ) -> None:
        super().__init__(sizes, num_agents, activation)
        if len(sizes) < 3:
            raise InvalidParameterError("there is no hidden neuron to split; give net_arch a layer, e.g. [64, 64].")
        stack = orthogonal_stack(sizes, 1, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])
        self.register_parameter("clones", None)
        self.register_buffer("rows", torch.arange(sizes[1]).repeat(num_agents, 1))
        self.register_buffer("asked", torch.zeros(num_agents, sizes[1]))
        self.register_buffer("conflict", torch.zeros(sizes[1], num_agents, num_agents))
        self.register_buffer("efficiency", torch.zeros(sizes[1]))
        self.register_buffer("notes", torch.zeros((), dtype=torch.int64))
        self._gate: Tensor | None = None

    def first_weights(self) -> Tensor:
        """Return the agents' first-layer weights ``[N, H, F]``."""
        table = self.weights[0][0]
        if self.clones is not None:
            table = torch.cat([table, self.clones])
        return table[self.rows]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        h = self._hidden(x)
        return functional.linear(h, self.weights[-1][0], self.biases[-1][0])

    def recurrent_sequence(self, x: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``[T, B, N, O]`` and the unit's states; see the base class."""
        features = self._hidden(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        states = self.remember(features, starts, state)
        return functional.linear(states, self.weights[-1][0], self.biases[-1][0]), states

    def _hidden(self, x: Tensor) -> Tensor:
        """Return the last hidden layer ``[B, N, H]`` for inputs ``[B, N, F]``."""
        weights, biases = entries(self.weights), entries(self.biases)
        if self.clones is None:
            h = functional.linear(x, weights[0][0], biases[0][0])
        else:
            stacked = torch.bmm(x.transpose(0, 1), self.first_weights().transpose(1, 2))
            h = stacked.transpose(0, 1) + biases[0][0]
        h = self.activation(h)
        if self.training and torch.is_grad_enabled():
            h = h * self._fresh_gate(h)
        for w, b in zip(weights[1:-1], biases[1:-1], strict=True):
            h = self.activation(functional.linear(h, w[0], b[0]))
        return h

    def _fresh_gate(self, h: Tensor) -> Tensor:
        if self._gate is None or self._gate.device != h.device:
            self._gate = torch.ones(h.shape[1:], device=h.device, requires_grad=True)
        return self._gate

    def subnetworks(self) -> Layers:
        """Return the agents' weights ``[N, out, in]`` and biases ``[N, out]``."""
        number = len(self.rows)
        later = [w.expand(number, -1, -1) for w in entries(self.weights)[1:]]
        return [self.first_weights(), *later], [b.expand(number, -1) for b in entries(self.biases)]

    def pull(self) -> Tensor | None:
        """Return what agents asked of neurons since the last call, ``[N, H]``, and forget it; None if nothing."""
        if self._gate is None or self._gate.grad is None:
            return None
        pull, self._gate.grad = self._gate.grad, None
        return pull

    def add_pull(self) -> None:
        """Add what agents asked of neurons in this update to the present measurement."""
        pull = self.pull()
        if pull is not None:
            self.asked += pull

    def note(self) -> None:
        """End a measurement: add its conflict ``|p_i| + |p_j| - |p_i + p_j|``, efficiency ``|sum p| / sum |p|``."""
        by_neuron = self.asked.T
        size = by_neuron.abs()
        together = (by_neuron[:, :, None] + by_neuron[:, None, :]).abs()
        self.notes += 1
        self.conflict += size[:, :, None] + size[:, None, :] - together
        total = size.sum(dim=1)
        # Nobody asks anything of a dead neuron: splitting it would not help.
        self.efficiency += torch.where(total > 0, by_neuron.sum(dim=1).abs() / total.clamp(min=1e-30), 1.0)
        self.asked.zero_()

    def forget(self) -> None:
        """Start a new period."""
        self.conflict.zero_()
        self.efficiency.zero_()
        self.notes.zero_()

    def futile(self, threshold: float, *, relative: bool = False) -> Tensor:
        """Return which neurons without clones had a mean efficiency below ``threshold`` in this period, ``[H] bool``.

        Args:
            threshold: an efficiency, or a share of the mean one of the neurons without clones.
            relative: whether it is such a share.
        """
        whole = ~self.is_split()
        unit = self.efficiency[whole].mean() if relative else self.notes
        return (self.efficiency < threshold * unit) & whole

    def is_split(self) -> Tensor:
        """Return which neurons have clones, ``[H] bool``."""
        return (self.rows != self.rows[:1]).any(dim=0) | (self.rows[0] >= self.sizes[1])

    @torch.no_grad()
    def split(self, neuron: int, groups: NDArray[np.int64]) -> bool:
        """Give each group ``[N]`` but the first a copy of a neuron's input weights; False if there is but one group.

        Outputs stay as they are.
        """
        extra = int(groups.max())
        if extra == 0:
            return False
        copies = self.weights[0][0, neuron].expand(extra, -1)
        old = copies[:0] if self.clones is None else self.clones
        start = self.sizes[1] + len(old)
        chosen = torch.from_numpy(groups).to(self.rows.device)
        self.rows[:, neuron] = torch.where(chosen == 0, neuron, start + chosen - 1)
        self.clones = nn.Parameter(torch.cat([old, copies]))
        return True

    @torch.no_grad()
    def merge(self, neuron: int) -> None:
        """Replace the copies of a neuron by their mean."""
        if self.clones is None:
            return
        table = torch.cat([self.weights[0][0], self.clones])
        self.weights[0][0, neuron] = table[self.rows[:, neuron].unique()].mean(dim=0)
        self.rows[:, neuron] = neuron
        kept = self.rows[self.rows >= self.sizes[1]].unique()
        place = torch.arange(len(table), device=self.rows.device)
        place[kept] = self.sizes[1] + torch.arange(len(kept), device=self.rows.device)
        self.rows.copy_(place[self.rows])
        self.clones = nn.Parameter(table[kept]) if len(kept) else None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Make room for the stored clones first."""
        stored = state_dict.get(f"{prefix}clones")
        count = None if self.clones is None else len(self.clones)
        if stored is None:
            self.clones = None
        elif count != len(stored):
            self.clones = nn.Parameter(torch.zeros_like(stored, device=self.rows.device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class GradPS(SharingScheme):
    """Resolving futile neurons of full sharing.

    A shared neuron on which the agents' gradients cancel out learns nothing. A measurement sums ``p_i``, what agent
    ``i``'s loss asks of a first-layer neuron, over ``interval`` updates; the neuron's efficiency is
    ``|sum_i p_i| / sum_i |p_i|``. Every ``period`` measurements, a neuron whose mean efficiency was below ``threshold``
    is futile: its agents are clustered by their pairwise conflict ``sum_t |p_i| + |p_j| - |p_i + p_j|`` (spectral
    clustering with discretised labels, Gaussian kernel as wide as the median of the conflicts above zero), and every
    group gets a copy of the neuron's input weights; its bias stays shared. Copies start equal, and only who uses them
    tells them apart. Agents carry no index.

    A split neuron is not split again until its copies are merged: at every check, each split neuron is so with
    probability ``restore``, its copies replaced by their mean at once (the authors draw them together first). The
    optimiser's moments survive splits and merges, but for those of the copies, which start at zero.

    Deviations: where nobody conflicts a neuron stays whole (the code clusters agents that are all alike); similarities
    are at least 1e-6, which keeps the graph connected.

    On-policy port: gradients are those of the learner's whole loss, and the critic is split as the actor is (the
    authors' network is both at once). There is no target network, between two updates of which the authors sum: updates
    are summed for as long as the training has room for. Sums matter: where six agents pull at random, single updates
    show an efficiency of about 0.4, and no conflict would be seen behind the noise. A training that would end before
    its first check is refused: it would be full sharing. A recurrent unit is shared and never split, as theirs.

    Conflicts of every two agents are kept for every neuron, H N^2 numbers a network: 10 MiB for 200 agents and 64
    neurons, 256 MiB for 1,000.

    The record tells whether it acted: ``actor_split_neurons`` and ``critic_split_neurons`` of the summary.

    Args:
        groups: copies a futile neuron ends up with (the authors' StarCraft setting).
        interval: updates a measurement; None spreads ``checks`` over the training (the authors' target network is
            updated every 200, by which the first check comes after 4,000).
        period: measurements between two checks (the authors' StarCraft setting); fewer in a training of fewer updates
            than measurements, if ``interval`` is None.
        checks: how many a training has, evenly spread, if ``interval`` is None.
        threshold: efficiency below which a neuron is futile (0.2 in the paper).
        relative: take ``threshold`` as a share of the mean efficiency of the neurons that are not split (the authors'
            code, with 0.5).
        restore: probability with which a split neuron is merged at a check (the authors use 0 to 0.05).
        networks: split ``both`` actor and critic, or the ``actor`` only.
    """

    name = "gradps"
    summary = "full sharing; first-layer neurons on which agents' gradients cancel are split among groups of agents"
    source = "Qin et al., ICML 2025"
    parameter_formula = "P + F (copies), at most P + 2 F H (groups - 1)"
    fups_options: ClassVar[Mapping[str, Any] | None] = {}

    acts_in_training = True

    noted: Tensor

    def __init__(
        self,
        *,
        groups: int = 3,
        interval: int | None = None,
        period: int = 20,
        checks: int = 10,
        threshold: float = 0.2,
        relative: bool = False,
        restore: float = 0.0,
        networks: str = "both",
    ) -> None:
        super().__init__()
        check_count("groups", groups, low=2)
        if interval is not None:
            check_count("interval", interval)
        check_count("period", period)
        check_count("checks", checks)
        check_number("threshold", threshold, low=0.0, high=1.0)
        check_flag("relative", relative)
        check_number("restore", restore, low=0.0, high=1.0)
        check_choice("networks", networks, NETWORKS)
        self.groups_wanted, self.interval, self.period, self.checks = groups, interval, period, checks
        self._updates = 0
        self.threshold, self.relative, self.restore, self.networks = threshold, relative, restore, networks

    def make_networks(self) -> None:
        """Make one actor and one critic."""
        number = self.spaces.num_agents
        self.register_buffer("noted", torch.zeros((), dtype=torch.int64, device=self.labels.device))
        self.actor_net = SplitMLP(num_agents=number, **self.actor_spec.options)
        both = self.networks == "both"
        spec = self.critic_spec
        self.critic_net = SplitMLP(num_agents=number, **spec.options) if both else spec.grouped(self.labels)

    def split_networks(self) -> list[SplitMLP]:
        """Return the networks whose neurons may be split."""
        return [net for net in (self.actor_net, self.critic_net) if isinstance(net, SplitMLP)]

    def plan_training(self, updates: int) -> None:
        """Spread the checks over the training, or see whether a given interval leaves an update after the first."""
        self._updates = int(self.noted) + updates
        interval, period = self._schedule()
        way_out = f"give interval and period of a product below {self._updates:,}, or leave interval out"
        event = "trains copies of neurons for the first time"
        check_fires(self.name, event, interval * period + 1, self._updates, way_out)

    def _schedule(self) -> tuple[int, int]:
        """Return the updates a measurement and the measurements between two checks."""
        if self.interval is not None:
            return self.interval, self.period
        between = max(1, self._updates // self.checks)
        period = min(self.period, between)
        return between // period, period

    def after_update(self, update: int) -> bool:
        """Add the update's gradients; at the end of a period split and merge, and say whether anything changed."""
        nets = self.split_networks()
        interval, period = self._schedule()
        self.noted += 1
        for net in nets:
            net.add_pull()
            if int(self.noted) % interval == 0:
                net.note()
        if int(self.noted) % (interval * period):
            return False
        check = int(self.noted) // (interval * period)
        changed = [self._check(net, part, check) for part, net in enumerate(nets)]
        return any(changed)

    def _check(self, net: SplitMLP, part: int, check: int) -> bool:
        draws = torch.rand(net.sizes[1], generator=torch_stream(self.seed, "restore", part, check))
        merged = (net.is_split() & (draws.to(net.rows.device) < self.restore)).nonzero().flatten().tolist()
        futile = net.futile(self.threshold, relative=self.relative).nonzero().flatten().tolist()
        for neuron in merged:
            net.merge(neuron)
        changed = bool(merged)
        for neuron in futile:
            seed = derived_seed(self.seed, "groups", part, check, neuron) % MAX_SEED
            groups = agent_groups(net.conflict[neuron].cpu().numpy(), self.groups_wanted, seed)
            changed |= net.split(neuron, groups)
        net.forget()
        return changed

    def sharing_summary(self) -> dict[str, Any]:
        """Add how many neurons of each network are split."""
        summary = super().sharing_summary()
        for part, net in (("actor", self.actor_net), ("critic", self.critic_net)):
            if isinstance(net, SplitMLP):
                summary[f"{part}_split_neurons"] = int(net.is_split().sum())
        return summary


def agent_groups(conflict: NDArray[np.float32], number: int, seed: int) -> NDArray[np.int64]:
    """Return groups ``[N]`` of agents that conflict little, numbered by their first agents.

    Args:
        conflict: ``[N, N]``, symmetric, zero on the diagonal.
        number: groups wanted; at most N are made, and one if nobody conflicts.
        seed: of the clustering, below 2**32.
    """
    agents = len(conflict)
    if not (conflict > 0).any():
        return np.zeros(agents, np.int64)
    if number >= agents:
        return np.arange(agents)
    width = float(np.median(conflict[conflict > 0]))
    # A floor keeps the graph connected, as spectral clustering needs.
    kernel = np.maximum(np.exp(-(conflict.astype(np.float64) ** 2) / (2 * width**2)), 1e-6)
    clustering = SpectralClustering(number, affinity="precomputed", assign_labels="discretize", random_state=seed)
    found = clustering.fit_predict(kernel)
    order = {group: place for place, group in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([order[group] for group in found.tolist()], np.int64)


SCHEME = GradPS
