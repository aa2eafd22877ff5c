"""The interface by which a sharing scheme plugs into any learner.

A scheme decides which weights an agent uses. The learner calls one batched forward with the agent axis kept and cannot
tell which scheme runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaps_agents.identity.collect import Collector
from adaps_agents.networks.generated_mlp import GeneratedMLP
from adaps_agents.networks.grouped_mlp import Activation, GroupedMLP, MaskedMLP
from adaps_agents.networks.gru import AgentNetwork, GRUCell
from adaps_agents.networks.two_part_mlp import PartedMLP
from adaps_agents.networks.weight_masked_mlp import WeightMaskedMLP
from adaps_agents.schemes.options import check_choice
from adaps_envs.errors import InvalidParameterError

__all__ = ["PARTS", "RECURRENT", "AgentSpaces", "LearningState", "SharingScheme"]

PARTS = ("actor", "critic")

RECURRENT: Mapping[str, tuple[str, ...]] = {"none": (), "gru": PARTS, "gru_actor": ("actor",)}
"""Values of ``recurrent``, and the parts that then hold a recurrent unit."""

Network = GroupedMLP | MaskedMLP | WeightMaskedMLP | GeneratedMLP | PartedMLP

# Entries of 0 and 1; of -1, 0 and 1; gates.
MASK_BITS = {torch.bool: 1, torch.int8: 2, torch.float32: 32}

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
    :meth:`make_networks`; it overrides :meth:`prepare`, :meth:`aux_loss` and :meth:`after_update` only if its method
    needs them. ``self.labels`` is the group of each agent: assign it with :meth:`regroup`.

    Attributes:
        name: registered name, equal to the module's.
        summary: one line.
        source: paper.
        parameter_formula: trainable parameters in the letters N, K, P (one actor plus one critic), H.
        needs_types: True only for oracles, which are handed the true types.
        fups_options: options under which the scheme is full sharing, if any; ``check_scheme`` holds it to them.
        labels: ``[N] int64`` buffer, group of each agent; part of ``state_dict``.
        identity_steps: environment steps spent by :meth:`prepare`, as the collector counted them; learners set it.
        prepared: int64 buffer, 1 once the groups are those to train with: :meth:`prepare` has run, or they came from
            elsewhere, with loaded weights or by :meth:`regroup`. It is part of ``state_dict``.
        learning: what the learner last told of its training; not part of ``state_dict``.
        recurrent_parts: which of actor and critic hold a recurrent unit.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    parameter_formula: ClassVar[str]
    needs_types: ClassVar[bool] = False
    fups_options: ClassVar[Mapping[str, Any] | None] = None

    labels: Tensor
    identity_steps: Tensor
    prepared: Tensor
    learning: LearningState = LearningState()
    recurrent_parts: tuple[str, ...] = ()

    spaces: AgentSpaces
    hidden: tuple[int, ...]
    activation: Activation
    seed: int
    actor_net: Network
    critic_net: Network

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
            InvalidParameterError: an unknown ``recurrent``, no hidden layer to make a unit for, or a scheme that does
                not say how it runs one.
        """
        self.recurrent_parts = checked_parts(recurrent, hidden)
        self.spaces, self.hidden, self.activation = spaces, tuple(hidden), activation
        self.seed = generator.initial_seed()
        self.register_buffer("identity_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("labels", self.initial_labels())
        self.register_buffer("prepared", torch.tensor(int(not self.waits())))
        self.build_networks()

    def initial_labels(self) -> Tensor:
        """Return the groups ``[N] int64`` before :meth:`prepare`; one group unless a scheme says otherwise."""
        return torch.zeros(self.spaces.num_agents, dtype=torch.int64)

    @abstractmethod
    def make_networks(self) -> None:
        """Set ``self.actor_net`` and ``self.critic_net`` for the present ``self.labels``."""

    def build_networks(self) -> None:
        """Make the networks, and give the recurrent parts their units."""
        self.make_networks()
        for part in self.recurrent_parts:
            self.check_sequences(part)
            self.add_unit(part, self.network(part))

    def network(self, part: str) -> Network:
        """Return the network of the ``actor`` or the ``critic``."""
        return self.actor_net if part == "actor" else self.critic_net

    def add_unit(self, part: str, net: Network, name: str | None = None) -> None:
        """Give a network of ``part`` its recurrent unit, from the random stream ``name`` (the part's by default)."""
        net.cell = GRUCell(self.hidden[-1], self.unit_labels(net), seed=self.seed, name=name or part)

    def unit_labels(self, net: Network) -> Tensor:
        """Return which agents share a recurrent unit in a network, ``[N]``.

        Private networks have private units. Where weights are shared in part (masked, generated, corrected), all agents
        share one unit.
        """
        return net.groups.labels if isinstance(net, GroupedMLP) else torch.zeros_like(self.labels)

    def check_sequences(self, part: str) -> None:
        """Raise InvalidParameterError unless the scheme can run a recurrent ``part``."""
        own = type(self)
        calls, sequences = getattr(own, part), getattr(own, f"{part}_sequence")
        overridden = calls is not getattr(SharingScheme, part)
        if not isinstance(self.network(part), AgentNetwork) or (
            overridden and sequences is getattr(SharingScheme, f"{part}_sequence")
        ):
            raise InvalidParameterError(
                f"scheme {self.name!r} does not say how its {part} runs with a recurrent unit; derive its network from "
                f"adaps_agents.networks.gru.AgentNetwork and override {part}_sequence() beside {part}(), or take "
                "recurrent='none'."
            )

    def regroup(self, labels: NDArray[np.int64] | Tensor) -> None:
        """Deal the agents to new groups ``[N]`` and make fresh networks for them.

        Raises:
            InvalidParameterError: not N labels, or they are not 0..K-1 with every value used.
        """
        self.labels = checked_labels(labels, self.spaces.num_agents).to(self.labels.device)
        self.prepared.fill_(1)
        self.build_networks()
        self.to(self.labels.device)

    def prepare(self, collector: Collector) -> int:
        """Do what must precede training and return the environment steps spent.

        The budget is charged with ``collector.env_steps``, whatever is returned; ``check_scheme`` compares the two.
        """
        return 0

    def least_steps(self, lanes: int) -> int:
        """Return how many environment steps :meth:`prepare` spends at least in an environment of B = ``lanes``."""
        return 0

    def actor(self, obs: Tensor) -> Tensor:
        """Return logits ``[B, N, A]`` for observations ``[B, N, F]``; a recurrent actor's in a first step."""
        if "actor" in self.recurrent_parts:
            return self._first_step("actor", obs)
        logits: Tensor = self.actor_net(obs)
        return logits

    def critic(self, obs: Tensor) -> Tensor:
        """Return values ``[B, N]`` for observations ``[B, N, F]``, with a centralised critic ``[B, N, F + S]``.

        A recurrent critic values them as the first step of an episode.
        """
        if "critic" in self.recurrent_parts:
            return self._first_step("critic", obs)
        values: Tensor = self.critic_net(obs)
        return values.squeeze(-1)

    def state_width(self, part: str) -> int:
        """Return the length of an agent's recurrent state in the ``actor`` or the ``critic``, 0 without a unit."""
        return self.hidden[-1] if part in self.recurrent_parts else 0

    def initial_state(self, part: str, lanes: int) -> Tensor:
        """Return the recurrent state ``[B, N, state_width]`` before the first step of an episode: zeros."""
        return torch.zeros(lanes, self.spaces.num_agents, self.state_width(part), device=self.labels.device)

    def actor_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``[T, B, N, A]``, and recurrent states ``[T, B, N, state_width]`` after each of T steps.

        Args:
            obs: ``[T, B, N, F]``.
            starts: ``[T, B, N] bool``, True where an episode begins: the state before that step is zero.
            state: ``[B, N, state_width]`` before the first step.
        """
        if "actor" in self.recurrent_parts:
            return self.actor_net.sequence(obs, starts, state)
        return self.actor(obs.flatten(0, 1)).unflatten(0, obs.shape[:2]), state.expand(len(obs), *state.shape)

    def critic_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values ``[T, B, N]`` and recurrent states, from what :meth:`critic` reads at each of T steps."""
        if "critic" in self.recurrent_parts:
            values, states = self.critic_net.sequence(obs, starts, state)
            return values.squeeze(-1), states
        return self.critic(obs.flatten(0, 1)).unflatten(0, obs.shape[:2]), state.expand(len(obs), *state.shape)

    def _first_step(self, part: str, inputs: Tensor) -> Tensor:
        starts = torch.ones(1, *inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        run = self.actor_sequence if part == "actor" else self.critic_sequence
        return run(inputs[None], starts, self.initial_state(part, len(inputs)))[0][0]

    def aux_loss(self) -> Tensor | None:
        """Return a scalar to add to the learner's loss, or None."""
        return None

    def after_update(self, update: int) -> bool:
        """React to the learner's ``update``-th update; return True if the optimiser must be rebuilt.

        It must where parameters were added, removed or frozen. Those that stay keep their running statistics.
        """
        return False

    def plan_training(self, updates: int) -> None:
        """Fit what happens at certain updates to a training of so many more; learners call it before the first.

        Raises:
            InvalidParameterError: what the method is named for cannot happen in so few; the message gives the numbers.
        """

    def waits(self) -> bool:
        """Whether :meth:`prepare` must have run before training; a subclass may know that there is nothing to do."""
        return type(self).prepare is not SharingScheme.prepare

    def told_types(self) -> bool:
        """Whether the scheme was handed the true types of the agents, which boards must say."""
        return self.needs_types

    def fine_parameters(self) -> Mapping[float, Sequence[nn.Parameter]]:
        """Return parameters whose gradients are too small for the optimiser's epsilon, by the epsilon they need.

        In units of a gradient, as Adam has it. All other settings of the optimiser hold for them too.
        """
        return {}

    def extra_state(self) -> dict[str, NDArray[Any]]:
        """Return arrays that ``state_dict`` does not hold and that a stopped training needs to go on, by name.

        Empty for a scheme that keeps all that changes in parameters and buffers, as is best.
        """
        return {}

    def load_extra_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what :meth:`extra_state` gave; weights, buffers and groups have been loaded before."""

    def assignment(self) -> NDArray[np.int64] | None:
        """Return the group of each agent ``[N]`` if this scheme groups agents, else None."""
        return None

    def effective_params(self, agent: int) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Return actor and critic layers, (weight ``[out, in]``, bias ``[out]``) each, as agent ``agent`` uses them.

        A recurrent unit stands as two layers, of its inputs and of its state, before the output layer.
        """
        return {"actor": self.actor_net.effective_params(agent), "critic": self.critic_net.effective_params(agent)}

    def masks(self, part: str) -> list[Tensor] | None:
        """Return which units the ``actor`` or ``critic`` uses, ``[K, units]`` a layer, or None without masks.

        A row belongs to a group of ``labels``, or to an agent where a scheme masks agents within their groups; whatever
        is not 0 is used, -1 with its sign turned. Units are hidden neurons, or what else the scheme masks.
        """
        net = self.network(part)
        return net.masks if isinstance(net, MaskedMLP | WeightMaskedMLP) else None

    def private_stacks(self) -> bool:
        """Return True if the leading axis of every parameter counts independent networks, to be clipped one by one."""
        if not isinstance(self.actor_net, GroupedMLP) or self.actor_net.groups.number == 1:
            return False
        units = [net.cell for net in (self.actor_net, self.critic_net) if net.cell is not None]
        return all(unit.groups.number == self.actor_net.groups.number for unit in units)

    def param_report(self) -> dict[str, int]:
        """Return counts: trainable (actor, critic, all), fixed parameters and bits, pretraining, cost of a decision."""
        actor = sum(p.numel() for p in self.actor_net.parameters() if p.requires_grad)
        critic = sum(p.numel() for p in self.critic_net.parameters() if p.requires_grad)
        nets = (self.actor_net, self.critic_net)
        masks = [mask for net in nets if isinstance(net, MaskedMLP | WeightMaskedMLP) for mask in net.masks]
        return {
            "trainable_actor": actor,
            "trainable_critic": critic,
            "trainable": sum(p.numel() for p in self.parameters() if p.requires_grad),
            "fixed_parameters": 0,
            "fixed_bits": sum(mask.numel() * MASK_BITS[mask.dtype] for mask in masks),
            "pretraining_parameters": 0,
            "flops_per_decision": self.actor_net.flops_per_decision,
        }

    def sharing_summary(self) -> dict[str, Any]:
        """Return who shares what with whom, as JSON values."""
        labels = self.labels.tolist()
        agents = {f"agent_{index}": group for index, group in enumerate(labels)}
        summary: dict[str, Any] = {"scheme": self.name, "agents": agents, "told_types": self.told_types()}
        for part in PARTS:
            masks = self.masks(part)
            if masks is not None:
                summary[f"{part}_mask_overlap"] = mask_overlap(masks)
        return summary

    def actor_sizes(self, extra_inputs: int = 0) -> list[int]:
        """Return the actor's layer sizes ``[F + extra, H, ..., A]``."""
        return [self.spaces.obs_dim + extra_inputs, *self.hidden, self.spaces.num_actions]

    def critic_sizes(self, extra_inputs: int = 0) -> list[int]:
        """Return the critic's layer sizes ``[F + S + extra, H, ..., 1]``, S = 0 unless it is centralised."""
        return [self.spaces.obs_dim + self.spaces.state_dim + extra_inputs, *self.hidden, 1]

    def mask_widths(self, part: str) -> list[int]:
        """Return how many neurons each mask of ``part`` is over: hidden layers, and what is read of a recurrent state.

        Recurrent states and gates themselves are never masked.
        """
        return [*self.hidden, *([self.hidden[-1]] if part in self.recurrent_parts else [])]

    def network_options(self, part: str) -> dict[str, Any]:
        """Return sizes, activation, gain of the last layer and random stream of the ``actor`` or the ``critic``."""
        sizes, gain = (self.actor_sizes(), ACTOR_GAIN) if part == "actor" else (self.critic_sizes(), CRITIC_GAIN)
        return {"sizes": sizes, "activation": self.activation, "head_gain": gain, "seed": self.seed, "name": part}

    def make_parts(self, make: Callable[[str], Network], networks: str) -> None:
        """Set ``both`` actor and critic to what ``make`` returns, or the ``actor`` only, with one plain critic."""
        self.actor_net = make("actor")
        if networks == "both":
            self.critic_net = make("critic")
        else:
            self.critic_net = GroupedMLP(labels=torch.zeros_like(self.labels), **self.network_options("critic"))

    def make_grouped_networks(self) -> None:
        """Set actor and critic to one private network a group of ``self.labels``."""
        options: dict[str, Any] = {"seed": self.seed, "activation": self.activation}
        self.actor_net = GroupedMLP(self.actor_sizes(), self.labels, head_gain=ACTOR_GAIN, name="actor", **options)
        self.critic_net = GroupedMLP(self.critic_sizes(), self.labels, head_gain=CRITIC_GAIN, name="critic", **options)

    def make_masked_networks(
        self,
        actor: Sequence[Tensor],
        critic: Sequence[Tensor],
        execution: str = "auto",
        activation: Activation | None = None,
    ) -> None:
        """Set actor and critic to one network each, its hidden neurons masked for every group of ``self.labels``."""
        options: dict[str, Any] = {
            "seed": self.seed, "activation": activation or self.activation, "execution": execution
        }  # fmt: skip
        self.actor_net = MaskedMLP(
            self.actor_sizes(), self.labels, actor, head_gain=ACTOR_GAIN, name="actor", **options
        )
        self.critic_net = MaskedMLP(
            self.critic_sizes(), self.labels, critic, head_gain=CRITIC_GAIN, name="critic", **options
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take over the stored groups first, so that networks of the stored number and shape await their weights."""
        stored = state_dict.get(f"{prefix}labels")
        fits = isinstance(stored, Tensor) and stored.shape == self.labels.shape
        # Files of weights are read on the CPU, whatever the device of the scheme.
        if fits and stored is not None and not torch.equal(stored.cpu(), self.labels.cpu()):
            if self._finds_groups():
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

    def _finds_groups(self) -> bool:
        """Whether groups can change after ``build``, in :meth:`prepare` or :meth:`after_update`."""
        own = type(self)
        return own.prepare is not SharingScheme.prepare or own.after_update is not SharingScheme.after_update


def checked_parts(recurrent: Any, hidden: Sequence[int]) -> tuple[str, ...]:
    """Return the parts that ``recurrent`` names, or raise InvalidParameterError."""
    check_choice("recurrent", recurrent, RECURRENT)
    if RECURRENT[recurrent] and not hidden:
        raise InvalidParameterError(
            f"recurrent is {recurrent!r} without a hidden layer; the unit is as wide as the last one, so give net_arch "
            "one, e.g. [64]."
        )
    return RECURRENT[recurrent]


def checked_labels(labels: Any, num_agents: int) -> Tensor:
    """Return group labels as ``[N] int64``, or say what is wrong with them.

    Raises:
        InvalidParameterError: not N integers, or they are not 0..K-1 with every value used.
    """
    array = torch.as_tensor(np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels))
    if array.shape != (num_agents,) or array.is_floating_point():
        raise InvalidParameterError(
            f"labels have shape {tuple(array.shape)} and type {array.dtype}; "
            f"give one integer for each of {num_agents} agents."
        )
    used = array.unique()
    if not torch.equal(used.long(), torch.arange(len(used))):
        raise InvalidParameterError(f"labels use the groups {used.tolist()}; number them 0..K-1 without gaps.")
    return array.long().clone()


def mask_overlap(masks: Sequence[Tensor]) -> list[list[float]]:
    """Return the share ``[K, K]`` of a group's kept neurons (or weights) that another group keeps as well.

    It is the same whatever the signs with which they keep them: gradients of both reach the weights.
    """
    joined = torch.cat([mask.float().abs() for mask in masks], dim=1)
    shared = joined @ joined.T / joined.sum(dim=1, keepdim=True)
    rows: list[list[float]] = [[round(value, 4) for value in row] for row in shared.tolist()]
    return rows
