"""Checks of what recurrent networks remember. As in ``function_checks``, a fault raises."""

from __future__ import annotations

import torch
from torch import Tensor

from adaps_agents.schemes import SharingScheme
from adaps_agents.schemes.base import network
from adaps_agents.testing.subject import (
    SEQUENCE_LANES,
    Subject,
    half_way,
    part_inputs,
    randomise,
    require,
    running_state,
)

__all__ = ["check_memory"]

RTOL, ATOL = 1e-4, 1e-5
STEPS = 6


def check_memory(subject: Subject) -> str | None:
    """A sequence equals its steps one by one; an agent's memory lasts to the end of the episode, and is its own."""
    scheme, fresh = (subject.make(activation=torch.tanh) for _ in range(2))
    if not scheme.recurrent_parts:
        return "no recurrent networks"
    randomise(scheme)
    for part in scheme.recurrent_parts:
        _check_part(subject, scheme, part)
        # Noise may close what a scheme can close (thresholds); what it starts with must remember.
        _check_lasting(subject, fresh, part)
    return None


def _check_part(subject: Subject, scheme: SharingScheme, part: str) -> None:
    rows, starts, state = _running(subject, scheme, part)
    out, states = network(scheme, part).sequence(rows, starts, state)
    sizes = (*rows.shape[:3], network(scheme, part).state_width)
    require(states.shape == sizes, f"{part}: states are {list(states.shape)}; the rule is {list(sizes)}")
    _check_first(scheme, part, rows)
    _check_steps(scheme, part, rows, starts, state, out)
    _check_episodes(scheme, part, rows, starts, state, out)
    _check_privacy(scheme, part, rows, starts, state, out)


def _running(subject: Subject, scheme: SharingScheme, part: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, starts and state of a sequence; in lane 0 an episode begins half-way, in the others none does."""
    rows = part_inputs(scheme, part, subject.observations(STEPS * SEQUENCE_LANES)).unflatten(0, (STEPS, SEQUENCE_LANES))
    starts = half_way(rows)
    state = running_state(network(scheme, part).state_width).expand(*rows.shape[1:3], -1)
    return rows, starts, state


def _check_lasting(subject: Subject, scheme: SharingScheme, part: str) -> None:
    rows, starts, state = _running(subject, scheme, part)
    kept, _ = network(scheme, part).sequence(rows, starts, state)
    changed, _ = network(scheme, part).sequence(torch.cat([rows[:1] + 1, rows[1:]]), starts, state - 0.3)
    felt = (changed[-1, 1:] - kept[-1, 1:]).abs().amax(dim=(0, 2))
    require(bool((felt > 0).all()), f"{part}: agents {felt.eq(0).nonzero().flatten().tolist()} remember nothing")


def _check_first(scheme: SharingScheme, part: str, rows: Tensor) -> None:
    net, starts = network(scheme, part), torch.ones_like(rows[:1, ..., 0], dtype=torch.bool)
    first, _ = net.sequence(rows[:1], starts, net.initial_state(rows.shape[1]))
    decided = scheme.actor(rows[0]) if part == "actor" else scheme.critic(rows[0])[..., None]
    require(_close(decided, first[0]), f"{part}: {part}() is not the first step of the sequences that train it")


def _check_steps(scheme: SharingScheme, part: str, rows: Tensor, starts: Tensor, state: Tensor, whole: Tensor) -> None:
    steps, carried = [], state
    for row, begins in zip(rows, starts, strict=True):
        out, states = network(scheme, part).sequence(row[None], begins[None], carried)
        steps.append(out[0])
        carried = states[0]
    require(_close(torch.stack(steps), whole), f"{part}: a sequence differs from the same steps taken one by one")


def _check_episodes(
    scheme: SharingScheme, part: str, rows: Tensor, starts: Tensor, state: Tensor, whole: Tensor
) -> None:
    begins = len(rows) // 2
    changed = torch.cat([rows[:begins] + 1, rows[begins:]])
    out, _ = network(scheme, part).sequence(changed, starts, state - 0.3)
    require(_close(out[begins:, 0], whole[begins:, 0]), f"{part}: an episode remembers what was before its start")


def _check_privacy(
    scheme: SharingScheme, part: str, rows: Tensor, starts: Tensor, state: Tensor, whole: Tensor
) -> None:
    others = torch.cat([rows[:, :, :1], rows[:, :, 1:] + 1], dim=2)
    states = torch.cat([state[:, :1], state[:, 1:] - 0.3], dim=1)
    out, _ = network(scheme, part).sequence(others, starts, states)
    require(_close(out[:, :, 0], whole[:, :, 0]), f"{part}: an agent remembers what others have seen")


def _close(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=RTOL, atol=ATOL)
