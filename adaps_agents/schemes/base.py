"""The interface by which a sharing scheme plugs into any learner.

A scheme decides which weights an agent uses. The learner calls one batched forward with the agent axis kept and cannot
tell which scheme runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaps_agents.identity.collect import Collector
from adaps_agents.networks.agent_groups import Activation
from adaps_agents.networks.agent_network import AgentNetwork
from adaps_agents.networks.build import NetworkSpec
from adaps_agents.schemes.group_source import GroupSource, checked_labels
from adaps_agents.schemes.options import check_choice
from adaps_envs.errors import InvalidParameterError

__all__ = ["PARTS", "RECURRENT", "AgentSpaces", "LearningState", "SharingScheme", "network", "private_networks"]

PARTS = ("actor", "critic")

RECURRENT: Mapping[str, tuple[str, ...]] = {"none": (), "gru": PARTS, "gru_actor": ("actor",)}
"""Values of ``recurrent``, and the parts that then hold a recurrent unit."""

# As stable-baselines3 initialises them: a nearly uniform first policy, a value head of unit scale.
ACTOR_GAIN = 0.01
CRITIC_GAIN = 1.0


@dataclass(frozen=True)
class AgentSpaces:
    """What a scheme may know of the task: sizes, never types.

    Attributes:
        num_agents: N.
        obs_dim: F.
        num_actions: A.
        state_dim: entries that the critic reads beside an observation: S with a centralised critic, else 0.
    """

    num_agents: int
    obs_dim: int
    num_actions: int
    state_dim: int = 0

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N, F and A."""
        return self.num_agents, self.obs_dim, self.num_actions


@dataclass(frozen=True)
class LearningState:
    """What a learner tells its scheme before each call of ``aux_loss``; it still stands in ``after_update``.

    Attributes:
        num_timesteps: environment steps so far.
        total_timesteps: environment steps at which the present ``learn`` ends; 0 before the first.
        policy_loss: scalar without gradient, of the present minibatch.
        observations: ``[M, N, F]`` of the present minibatch, ``[T, M, N, F]`` of a recurrent policy; None before the
            first.
        optimizer: of the scheme's trainable parameters, for methods that change entries outside gradient steps.
        episode_starts: ``[T, M, N] bool`` of the present minibatch of a recurrent policy, else None.
        action_mask: ``[N, A] bool``, the actions that each agent has; None where everybody has all. What an actor
            returns for the others means nothing.
    """

    num_timesteps: int = 0
    total_timesteps: int = 0
    policy_loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    observations: Tensor | None = None
    optimizer: torch.optim.Optimizer | None = None
    episode_starts: Tensor | None = None
    action_mask: Tensor | None = None


class SharingScheme(nn.Module, ABC):
    """Base of all sharing schemes.

    A subclass sets the class attributes, takes its own options as keyword arguments of ``__init__`` and fills in
    :meth:`make_networks`. What it may override stands under its own banner; each hook does nothing by default. What a
    network runs and reports is the network's, see :class:`~adaps_agents.networks.agent_network.AgentNetwork`.

    Attributes:
        name: registered name, equal to the module's.
        summary: one line.
        source: paper.
        parameter_formula: trainable parameters in the letters N, K, P (one actor plus one critic), H.
        fups_options: options under which the scheme is full sharing, if any; ``check_scheme`` holds it to them.
        forms_groups: whether agents of one label act by the same function, so that labels are an :meth:`assignment`.
        acts_in_training: whether :meth:`aux_loss` or :meth:`after_update` does anything; stock learners call neither.
        needs_identity_phase: whether :meth:`prepare` must have run before training.
        uses_true_types: whether the scheme is handed the true types, which boards must say. True for a class whose
            option ``types`` learners always fill in.
        group_source: where the groups come from, if not from :meth:`initial_labels` of the scheme's own.
        optimizer_eps_groups: parameters whose gradients are too small for the optimiser's epsilon, by the epsilon they
            need, in units of a gradient as in Adam. All other settings of the optimiser hold for them too.
        labels: ``[N] int64`` buffer, group of each agent; part of ``state_dict``. Assign it with :meth:`regroup`.
        identity_steps: environment steps spent by :meth:`prepare`, as the collector counted them; learners set it.
        prepared: int64 buffer, 1 once the groups are those to train with: :meth:`prepare` has run, or they came from
            elsewhere, with loaded weights or by :meth:`regroup`. It is part of ``state_dict``.
        learning: what the learner last told of its training; not part of ``state_dict``.
        recurrent_parts: which of actor and critic hold a recurrent unit.
        actor_spec, critic_spec: what their networks are made from.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    parameter_formula: ClassVar[str]
    fups_options: ClassVar[Mapping[str, Any] | None] = None
    forms_groups: ClassVar[bool] = False
    acts_in_training: ClassVar[bool] = False

    needs_identity_phase: bool = False
    uses_true_types: bool = False
    group_source: GroupSource | None = None
    optimizer_eps_groups: Mapping[float, Sequence[nn.Parameter]] = MappingProxyType({})

    labels: Tensor
    identity_steps: Tensor
    prepared: Tensor
    learning: LearningState = LearningState()
    recurrent_parts: tuple[str, ...] = ()

    spaces: AgentSpaces
    hidden: tuple[int, ...]
    activation: Activation
    seed: int
    actor_spec: NetworkSpec
    critic_spec: NetworkSpec
    actor_net: AgentNetwork
    critic_net: AgentNetwork

    def __init__(self, group_source: GroupSource | None = None) -> None:
        super().__init__()
        if group_source is not None:
            self.group_source = group_source
            self.needs_identity_phase = group_source.needs_phase
            self.uses_true_types = group_source.kind == "true"

    # -- must fill in -------------------------------------------------------------------------------------------------

    @abstractmethod
    def make_networks(self) -> None:
        """Set ``self.actor_net`` and ``self.critic_net`` for the present ``self.labels``, from their specs."""

    # -- may override: groups, and what precedes training -------------------------------------------------------------

    def initial_labels(self) -> Tensor:
        """Return the groups ``[N] int64`` before :meth:`prepare`: the source's, or one group without a source."""
        if self.group_source is None:
            return torch.zeros(self.spaces.num_agents, dtype=torch.int64)
        return self.group_source.initial_labels(self.spaces.num_agents, self.seed)

    def prepare(self, collector: Collector) -> int:
        """Do what must precede training and return the environment steps spent; find the groups if there is a source.

        Called if ``needs_identity_phase``. The budget is charged with ``collector.env_steps``, whatever is returned;
        ``check_scheme`` compares the two.
        """
        if self.group_source is None or not self.group_source.needs_phase:
            return 0
        identity = self.group_source.identify(collector, self.seed, self.name)
        self.identity_steps.fill_(identity.env_steps)
        self.regroup(self.group_source.handed_out(identity.labels, self.seed))
        return identity.env_steps

    # -- may override: training ---------------------------------------------------------------------------------------

    def plan_training(self, updates: int) -> None:
        """Fit what happens at certain updates to a training of so many more; learners call it before the first.

        Raises:
            InvalidParameterError: what the method is named for cannot happen in so few; the message gives the numbers.
        """

    def aux_loss(self) -> Tensor | None:
        """Return a scalar to add to the learner's loss, or None."""
        return None

    def after_update(self, update: int) -> bool:
        """React to the learner's ``update``-th update; return True if the optimiser must be rebuilt.

        It must where parameters were added, removed or frozen. Those that stay keep their running statistics.
        """
        return False

    def extra_state(self) -> dict[str, NDArray[Any]]:
        """Return arrays of any shapes that ``state_dict`` lacks and a stopped training needs to go on, by name.

        They are the group source's; a scheme best keeps all that changes in parameters and buffers.
        """
        return {} if self.group_source is None else self.group_source.to_arrays()

    def load_extra_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what :meth:`extra_state` gave, shapes unchanged; weights, buffers and groups were loaded before."""
        if self.group_source is not None:
            self.group_source.load_arrays(arrays)

    # -- may override: reports; extend what super() returns -----------------------------------------------------------

    def param_report(self) -> dict[str, int]:
        """Return counts: trainable (actor, critic, all), fixed parameters and bits, pretraining, cost of a decision."""
        nets = (self.actor_net, self.critic_net)
        source = self.group_source if self.identity_steps else None
        return {
            "trainable_actor": self.actor_net.trainable_parameters,
            "trainable_critic": self.critic_net.trainable_parameters,
            "trainable": sum(p.numel() for p in self.parameters() if p.requires_grad),
            "fixed_parameters": sum(net.fixed_parameters for net in nets),
            "fixed_bits": sum(net.fixed_bits for net in nets),
            "pretraining_parameters": 0 if source is None else source.encoder_parameters(*self.spaces.sizes),
            "flops_per_decision": self.actor_net.flops_per_decision,
        }

    def sharing_summary(self) -> dict[str, Any]:
        """Return who shares what with whom, as JSON values."""
        labels, steps = self.labels.tolist(), int(self.identity_steps)
        agents = {f"agent_{index}": group for index, group in enumerate(labels)}
        summary: dict[str, Any] = {"scheme": self.name, "agents": agents, "told_types": self.uses_true_types}
        for part in PARTS:
            masks = network(self, part).masks
            if masks is not None:
                summary[f"{part}_mask_overlap"] = mask_overlap(masks)
        if self.group_source is not None:
            summary |= {"groups_from": self.group_source.kind, "identity_steps": steps}
            summary |= {"groups_found": max(labels) + 1} if steps else {}
            summary |= self.group_source.summary()
        return summary

    # -- for learners -------------------------------------------------------------------------------------------------

    def build(
        self,
        spaces: AgentSpaces,
        hidden: Sequence[int],
        generator: torch.Generator,
        activation: Activation = torch.relu,
        recurrent: str = "none",
    ) -> None:
        """Create the networks. Every draw comes from streams derived from ``generator``'s seed.

        Args:
            spaces: sizes of the task.
            hidden: widths of the hidden layers of actor and critic.
            generator: the scheme's own generator.
            activation: elementwise function after hidden layers.
            recurrent: one of :data:`RECURRENT`: which of actor and critic get a GRU between the last hidden layer and
                the output layer, as wide as that hidden layer.

        Raises:
            InvalidParameterError: an unknown ``recurrent``, no hidden layer to make a unit for, or a network that does
                not take one.
        """
        self.recurrent_parts = checked_parts(recurrent, hidden)
        self.spaces, self.hidden, self.activation = spaces, tuple(hidden), activation
        self.seed = generator.initial_seed()
        ends = ((spaces.obs_dim, spaces.num_actions, ACTOR_GAIN), (spaces.obs_dim + spaces.state_dim, 1, CRITIC_GAIN))
        self.actor_spec, self.critic_spec = (
            NetworkSpec([inputs, *hidden, outputs], activation, gain, self.seed, part, part in self.recurrent_parts)
            for part, (inputs, outputs, gain) in zip(PARTS, ends, strict=True)
        )
        self.register_buffer("identity_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("labels", self.initial_labels())
        self.register_buffer("prepared", torch.tensor(int(not self.needs_identity_phase)))
        self._build_networks()

    def regroup(self, labels: NDArray[np.int64] | Tensor) -> None:
        """Assign the agents to new groups ``[N]`` and make fresh networks for them.

        Raises:
            InvalidParameterError: not N labels, or they are not 0..K-1 with every value used.
        """
        labels, device = checked_labels(labels, self.spaces.num_agents), self.labels.device
        self.cpu()  # networks are made there, as the first ones were
        self.labels = labels
        self.prepared.fill_(1)
        self._build_networks()
        self.to(device)

    def actor(self, obs: Tensor) -> Tensor:
        """Return logits ``[B, N, A]`` for observations ``[B, N, F]``; a recurrent actor's in a first step."""
        return self.actor_net.first_step(obs)

    def critic(self, obs: Tensor) -> Tensor:
        """Return values ``[B, N]`` for observations ``[B, N, F]``, with a centralised critic ``[B, N, F + S]``.

        A recurrent critic values them as the first step of an episode.
        """
        return self.critic_net.first_step(obs).squeeze(-1)

    def assignment(self) -> NDArray[np.int64] | None:
        """Return the group of each agent ``[N]`` if this scheme groups agents, else None."""
        return np.asarray(self.labels.cpu()) if self.forms_groups else None

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _build_networks(self) -> None:
        """Make the networks, and give the recurrent parts their units."""
        self.make_networks()
        for part in PARTS:
            net = network(self, part)
            if not isinstance(net, AgentNetwork):
                raise InvalidParameterError(
                    f"the {part}_net of scheme {self.name!r} is a {type(net).__name__}; derive it from "
                    "adaps_agents.networks.agent_network.AgentNetwork."
                )
            if part in self.recurrent_parts and not net.takes_unit:
                raise InvalidParameterError(
                    f"scheme {self.name!r} does not say how its {part} runs with a recurrent unit; set takes_unit on "
                    f"{type(net).__name__} and fill in what AgentNetwork asks for then, or take recurrent='none'."
                )
            if part in self.recurrent_parts:
                net.add_unit(self.seed, part)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take over the stored groups first, so that networks of the stored number and shape await their weights."""
        stored = state_dict.get(f"{prefix}labels")
        fits = isinstance(stored, Tensor) and stored.shape == self.labels.shape
        # Files of weights are read on the CPU, whatever the device of the scheme.
        if fits and stored is not None and not torch.equal(stored.cpu(), self.labels.cpu()):
            if self.needs_identity_phase or self.acts_in_training or self.group_source is not None:
                self.regroup(stored)
            else:
                error_messages: list[str] = args[-1]
                error_messages.append(
                    f"{self.name} has the groups {self.labels.tolist()}, the file {stored.tolist()}; "
                    "it was written by another scheme or for another team."
                )
        if f"{prefix}prepared" not in state_dict and f"{prefix}identity_steps" in state_dict:
            # Files from before there was this buffer. Their groups, if they have any, were taken over above.
            prepared = bool(self.prepared) or int(state_dict[f"{prefix}identity_steps"]) > 0
            state_dict[f"{prefix}prepared"] = torch.tensor(int(prepared))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def network(scheme: SharingScheme, part: str) -> AgentNetwork:
    """Return the network of the ``actor`` or the ``critic``."""
    return scheme.actor_net if part == "actor" else scheme.critic_net


def private_networks(scheme: SharingScheme) -> Tensor | None:
    """Return the number of agents ``[K] int64`` of each of K actors with their critics, or None where agents share.

    The leading axis of every trainable parameter counts these K.
    """
    actors, critics = (network(scheme, part).private_labels() for part in PARTS)
    if actors is None or critics is None or not torch.equal(actors, critics):
        return None
    agents = torch.bincount(actors)
    fits = all(p.shape[:1] == agents.shape for p in scheme.parameters() if p.requires_grad)
    return agents if fits else None


def checked_parts(recurrent: Any, hidden: Sequence[int]) -> tuple[str, ...]:
    """Return the parts that ``recurrent`` names, or raise InvalidParameterError."""
    check_choice("recurrent", recurrent, RECURRENT)
    if RECURRENT[recurrent] and not hidden:
        raise InvalidParameterError(
            f"recurrent is {recurrent!r} without a hidden layer; the unit is as wide as the last one, so give net_arch "
            "one, e.g. [64]."
        )
    return RECURRENT[recurrent]


def mask_overlap(masks: Sequence[Tensor]) -> list[list[float]]:
    """Return the share ``[K, K]`` of a group's kept neurons (or weights) that another group keeps as well.

    It is the same whatever the signs with which they keep them: gradients of both reach the weights.
    """
    joined = torch.cat([mask.float().abs() for mask in masks], dim=1)
    shared = joined @ joined.T / joined.sum(dim=1, keepdim=True)
    rows: list[list[float]] = [[round(value, 4) for value in row] for row in shared.tolist()]
    return rows
