"""A scheme under test: how it is built on a small team, and what the checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from adaps_agents.diagnostics.parameter_usage import gradients, used_entries
from adaps_agents.networks.grouped_mlp import Activation
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes import AgentSpaces, SharingScheme, make_scheme
from adaps_agents.schemes.base import PARTS, network
from adaps_envs.errors import AdapsError, InvalidParameterError

__all__ = [
    "PARTS",
    "FullSharing",
    "SchemeCheckError",
    "Subject",
    "forward",
    "gradients",
    "loop_over_agents",
    "randomise",
    "require",
    "twin_classes",
    "used_entries",
]

# Two hidden layers of unequal width, so that a transposed or exchanged layer is noticed.
HIDDEN = (16, 12)
OBS_DIM = 5
NUM_ACTIONS = 3
SEED = 7
# Rows of observations are dealt to so many lanes of a sequence where networks are recurrent.
SEQUENCE_LANES = 2
# By these options a scheme takes groups from outside; the first that it accepts is used.
GROUP_OPTIONS = ("labels", "types")


class SchemeCheckError(AdapsError):
    """A scheme breaks a rule; the message names the rule and what was seen."""


def require(condition: bool, message: str) -> None:
    """Raise SchemeCheckError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise SchemeCheckError(message)


class FullSharing(SharingScheme):
    """The yardstick of the limits: one network for all agents."""

    name = "full_sharing"
    summary = "one network for all agents"
    source = "definition"
    parameter_formula = "P"

    def make_networks(self) -> None:
        """Make one actor and one critic."""
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)


@dataclass(frozen=True)
class Subject:
    """A scheme, its options and the team that it is tried on.

    Attributes:
        scheme: registered name, or a class that is not registered.
        options: the scheme's options.
        team: ``[N]`` groups, handed over if the scheme takes groups from outside.
        state_dim: entries that a centralised critic reads beside an observation; 0 for a local one.
        recurrent: which parts hold a recurrent unit, see :meth:`SharingScheme.build`.
    """

    scheme: str | type[SharingScheme]
    options: Mapping[str, Any]
    team: tuple[int, ...]
    state_dim: int = 0
    recurrent: str = "none"

    def __str__(self) -> str:
        """Say what differs from subject to subject."""
        critic = ", centralised critic" if self.state_dim else ""
        return f"groups {list(self.team)}{critic}" + (", recurrent" if self.recurrent != "none" else "")

    @property
    def spaces(self) -> AgentSpaces:
        """Sizes of the task."""
        return AgentSpaces(len(self.team), OBS_DIM, NUM_ACTIONS, self.state_dim)

    @property
    def group_option(self) -> str | None:
        """The option by which the scheme takes groups from outside, if there is one."""
        return next((option for option in GROUP_OPTIONS if self.accepts(**{option: list(self.team)})), None)

    def accepts(self, **changes: Any) -> bool:
        """Whether the scheme takes these options; nothing is built."""
        try:
            self._unbuilt({**self.options, **changes})
        except InvalidParameterError:
            return False
        return True

    def make(self, *, seed: int = SEED, activation: Activation = torch.relu, **changes: Any) -> SharingScheme:
        """Return the scheme, built on the team; ``changes`` replace options, None takes the scheme's own default."""
        options = dict(self.options)
        if self.group_option is not None:
            options.setdefault(self.group_option, list(self.team))
        options.update(changes)
        scheme = self._unbuilt({name: value for name, value in options.items() if value is not None})
        return self._built(scheme, seed, activation)

    def full_sharing(self, *, seed: int = SEED) -> FullSharing:
        """Return full sharing on the same team with the same seed."""
        scheme = FullSharing()
        self._built(scheme, seed, torch.relu)
        return scheme

    def _built(self, scheme: SharingScheme, seed: int, activation: Activation) -> SharingScheme:
        # Only where it is asked for: a scheme with a build() of its own may not know of it.
        options: dict[str, Any] = {} if self.recurrent == "none" else {"recurrent": self.recurrent}
        scheme.build(self.spaces, HIDDEN, torch_stream(seed, "scheme"), activation, **options)
        return scheme

    def observations(self, lanes: int | None = None, seed: int = SEED) -> Tensor:
        """Return observations ``[B, N, F] float32``; by default 4 lanes, or what :func:`forward` takes for 5 steps."""
        lanes = lanes or (4 if self.recurrent == "none" else 5 * SEQUENCE_LANES)
        return torch.randn(lanes, len(self.team), OBS_DIM, generator=torch_stream(seed, "observations"))

    def _unbuilt(self, options: Mapping[str, Any]) -> SharingScheme:
        if isinstance(self.scheme, str):
            return make_scheme(self.scheme, **options)
        try:
            return self.scheme(**options)
        except TypeError as error:
            raise InvalidParameterError(f"{self.scheme.__name__} does not take {sorted(options)}: {error}") from error


def randomise(scheme: SharingScheme, seed: int = SEED) -> SharingScheme:
    """Fill all parameters with noise, biases and heads included, and return the scheme: nothing hides behind a zero."""
    generator = torch_stream(seed, "noise")
    with torch.no_grad():
        for parameter in scheme.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return scheme


def forward(scheme: SharingScheme, part: str, obs: Tensor) -> Tensor:
    """Return logits ``[B, N, A]`` or values ``[B, N, 1]`` for observations ``[B, N, F]``.

    Rows of a recurrent part are the steps of a sequence, begun from a state that is not zero; an episode starts
    half-way in one of its lanes.
    """
    inputs = part_inputs(scheme, part, obs)
    if part not in scheme.recurrent_parts:
        return scheme.actor(inputs) if part == "actor" else scheme.critic(inputs)[..., None]
    rows = inputs.unflatten(0, (-1, SEQUENCE_LANES))
    net = network(scheme, part)
    state = running_state(net.state_width).expand(*rows.shape[1:3], -1)
    return net.sequence(rows, half_way(rows), state)[0].flatten(0, 1)


def half_way(inputs: Tensor) -> Tensor:
    """Return starts ``[T, B, N]`` of sequences ``[T, B, N, F]``: an episode of the first lane begins half-way."""
    starts = torch.zeros(inputs.shape[:-1], dtype=torch.bool)
    starts[len(starts) // 2, 0] = True
    return starts


def running_state(width: int) -> Tensor:
    """Return the state ``[H]`` of every agent in the middle of an episode."""
    return 0.5 * torch.sin(1.0 + torch.arange(width))


def part_inputs(scheme: SharingScheme, part: str, obs: Tensor) -> Tensor:
    """Return what the part reads: observations ``[B, N, F]``, for a centralised critic ``[B, N, F + S]``.

    S of their entries come once more. The agents' states differ, as they never do in a game: the checks exchange and
    follow rows, and need not know.
    """
    if part == "actor" or not scheme.spaces.state_dim:
        return obs
    return torch.cat([obs, 0.5 * obs[..., torch.arange(scheme.spaces.state_dim) % obs.shape[-1]].roll(1, -1)], dim=-1)


def loop_over_agents(scheme: SharingScheme, part: str, obs: Tensor) -> Tensor:
    """Return what ``forward`` must return, of its shapes, agent by agent from the effective parameters alone."""
    activation = network(scheme, part).activation
    inputs = part_inputs(scheme, part, obs)
    columns = []
    for agent in range(scheme.spaces.num_agents):
        *hidden, (head, offset) = network(scheme, part).effective_params(agent)
        unit = [hidden.pop() for _ in range(2)][::-1] if part in scheme.recurrent_parts else []
        h = inputs[:, agent]
        for w, b in hidden:
            h = activation(functional.linear(h, w, b))
        h = _loop_over_steps(h, unit, network(scheme, part).state_width) if unit else h
        columns.append(functional.linear(h, head, offset))
    return torch.stack(columns, dim=1)


def _loop_over_steps(features: Tensor, unit: list[tuple[Tensor, Tensor]], width: int) -> Tensor:
    """Return what a gated recurrent unit makes of rows ``[T * B, H]``, step by step, in PyTorch's own arithmetic."""
    (weight_ih, bias_ih), (weight_hh, bias_hh) = unit
    rows = features.unflatten(0, (-1, SEQUENCE_LANES))
    starts = half_way(rows[:, :, None])[..., 0]
    state = running_state(width)[: weight_hh.shape[1]].expand(SEQUENCE_LANES, -1)
    states = []
    for row, begins in zip(rows, starts, strict=True):
        state = torch.where(begins[:, None], torch.zeros_like(state), state)
        state = torch.gru_cell(row, state, weight_ih, weight_hh, bias_ih, bias_hh)
        states.append(state)
    return torch.cat(states)


def twin_classes(scheme: SharingScheme) -> list[list[int]]:
    """Return the agents grouped by equal effective parameters, in agent order."""
    classes: dict[bytes, list[int]] = {}
    for agent in range(scheme.spaces.num_agents):
        layers = [layer for part in PARTS for layer in network(scheme, part).effective_params(agent)]
        tensors = [tensor for layer in layers for tensor in layer]
        key = b"".join(tensor.detach().contiguous().numpy().tobytes() for tensor in tensors)
        classes.setdefault(key, []).append(agent)
    return list(classes.values())
