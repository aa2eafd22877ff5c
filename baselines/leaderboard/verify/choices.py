"""Holding recorded actions to the policy that is said to have chosen them, decision by decision.

Returns alone would not do: on another processor some episodes may take another course, and a forger would put
better ones in their place. In the recorded course every greedy action is the most likely one, wherever it is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.policy.policy import with_noise
from adaps_agents.schemes.registry import is_builtin
from baselines.leaderboard.execution.episodes import play_episodes
from baselines.leaderboard.execution.evaluation import action_noise
from baselines.leaderboard.execution.replay import open_environment
from baselines.leaderboard.records.artifacts import FinalActions
from baselines.leaderboard.spec.config import RunConfig, seeds_of
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["MOST_SHAKEN", "MOST_TIES", "NEAR_TIE", "SHAKEN", "Margins", "actions_of", "choice_faults", "shaken"]

NEAR_TIE = 1e-4
"""On another processor a recorded action may be below the best by this share of the agent's usual margin.

The margin is what lies between the best and the next best logit; it does not depend on a constant that all logits
share, and scales with the weights. Other instruction sets of one processor move logits by 2e-6 of it at most.
"""

MOST_TIES = 1e-4
"""Share of the decisions that may be such ties, one at least."""

TIED = 1e-5
"""Logits tie everywhere if their usual margin is below this share of their size, a hundred times what float32 rounds.

Networks of 27 short runs lay above 0.2; with layers of many thousand neurons and few updates it may be 1e-4.
"""

SHAKEN = 1e-6
"""Share of its size by which every weight, gate or soft mask may be another without other decisions.

Float32 rounds at 6e-8.
"""

MORE_LANES = (16, 48)
"""How many lanes, from and below, are played beside those of a log and as many copies of them, to move every row."""

MOST_SHAKEN = 1e-3
"""Share of the decisions that may differ then."""


class Margins:
    """By how much each agent's best score lies above its next best, on average over all decisions.

    Args:
        num_agents: N.
        own: ``[N, A] bool``, the actions that each agent has; None if they have all. With one action an agent has no
            margin.
    """

    def __init__(self, num_agents: int, own: NDArray[np.bool_] | None = None) -> None:
        self._margins, self._sizes = np.zeros(num_agents), np.zeros(num_agents)
        self._lacking = None if own is None else ~own
        self._choosing = np.ones(num_agents, np.bool_) if own is None else own.sum(axis=1) > 1
        self._decisions = 0

    def add(self, scores: NDArray[np.float32]) -> None:
        """Count decisions by their scores ``[M, N, A]``."""
        self._decisions += len(scores)
        if scores.shape[-1] > 1:
            table = scores.astype(np.float64)
            if self._lacking is not None:
                table[:, self._lacking] = -np.inf
            ordered = np.partition(table, -2, axis=-1)
            best, next_best = ordered[..., -1], ordered[..., -2]
            self._margins += np.where(self._choosing, best - next_best, 0.0).sum(axis=0)
            self._sizes += np.abs(best).sum(axis=0)

    @property
    def usual(self) -> NDArray[np.float64]:
        """The average margin of each agent, ``[N]``."""
        return self._margins / max(self._decisions, 1)

    @property
    def size(self) -> float:
        """The average size of the best score, over all agents that have a choice."""
        return float(self._sizes[self._choosing].mean() / max(self._decisions, 1)) if self._choosing.any() else 0.0

    def tie(self) -> bool:
        """Whether scores are so close everywhere that rounding chooses between them; zeros are not rounded."""
        return bool(self._choosing.any() and self.usual[self._choosing].mean() < TIED * self.size)


def actions_of(policy: Any) -> NDArray[np.bool_] | None:
    """Return the actions ``[N, A] bool`` that the agents of a policy have; None if they have all."""
    return None if policy.own_actions is None else np.asarray(policy.own_actions.cpu())


@dataclass
class _Course:
    """What a policy would have chosen along recorded actions."""

    decisions: int
    margins: Margins
    differing: int = 0
    others: list[tuple[str, int, float]] = field(default_factory=list)
    """The first other choices: what differs, the agent, and how far the recorded action lies below the best."""
    broken: str = ""
    """Where logits are not finite."""


def choice_faults(
    config: RunConfig,
    policy: Any,
    file: str,
    log: str,
    actions: FinalActions,
    *,
    near: bool,
    first_seed: int | None = None,
) -> Iterator[Fault]:
    """Yield a fault if the policy would not have taken all actions of a log.

    The action is that of the highest logit, or of the highest sum of logit and noise where the task is scored by
    sampled play; of equals the first counts, as in evaluation.

    Args:
        config: the run.
        policy: sharing policy, its weights loaded.
        file: where its weights come from, for the message.
        log: ``final`` or ``absolute``.
        actions: logs that the environment can replay.
        near: whether this is the kind of machine that the record names: no decision may differ.
        first_seed: environment seed of the first episode; default: that of the log.
    """
    allowed = 0 if near else MOST_TIES
    course = _course(config, policy, log, actions, first_seed, allowed)
    if course.broken:
        yield Fault(file, "", f"its logits are not finite at actions.npz's {course.broken}")
        return
    if course.margins.tie():
        size, usual = course.margins.size, course.margins.usual.mean()
        told = f"the best is {size:.3g} on average and {usual:.3g} above the next best"
        yield Fault(file, "", f"its logits cannot be told apart: {told}")
        return
    usual_margins = course.margins.usual
    wrong = [text for text, agent, below in course.others if not below <= NEAR_TIE * usual_margins[agent]]
    if wrong or course.differing > math.ceil(allowed * course.decisions):
        first = wrong[0] if wrong else course.others[0][0]
        told = f"{course.differing:,} of {course.decisions:,} decisions differ"
        yield Fault(file, "", f"actions.npz: {first} ({told})")
        return
    shaken = _shaken_course(config, policy, log, actions, first_seed)
    if shaken.differing > math.ceil(MOST_SHAKEN * shaken.decisions):
        yield Fault(
            file,
            "",
            "it hangs on rounding: with weights changed by a millionth, in a larger batch and in float64, "
            f"{shaken.differing:,} of {shaken.decisions:,} decisions of actions.npz's {log} differ",
        )


def _shaken_course(config: RunConfig, policy: Any, log: str, actions: FinalActions, first_seed: int | None) -> _Course:
    """Return what the policy would choose if every weight were another by up to a millionth, in a larger batch.

    One network for all agents can tell them apart by the last bits of a sum, which depend on an agent's place in the
    batch, if its weights make them large. Some weights do so whatever their last digits: products add up in another
    order in the last rows of a batch, or in every second one, and may overflow in one order alone. So each lane of the
    log is played at a place drawn among copies of them, in float64.
    The changes are drawn anew each time: nobody can build weights for them.
    """
    rng = np.random.default_rng()
    episodes = len(getattr(actions, f"{log}_lengths"))
    copies = rng.integers(episodes, size=episodes + rng.integers(*MORE_LANES))
    lanes = rng.permutation(np.concatenate([np.arange(episodes), copies]))
    with shaken(policy, rng) as dtype:
        return _course(config, policy, log, actions, first_seed, 0.0, lanes, dtype)


@contextmanager
def shaken(policy: Any, rng: np.random.Generator) -> Iterator[torch.dtype]:
    """Change every weight by up to a millionth; gives the type to compute in, float64 where that is possible."""
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    # Code from another package may insist on the types that it has.
    double = is_builtin(policy.scheme_name)
    if double:
        policy.double()
    try:
        for tensor in policy.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.double() * torch.as_tensor(rng.uniform(1.0 - SHAKEN, 1.0 + SHAKEN, tensor.shape)))
        yield torch.float64 if double else torch.float32
    finally:
        if double:
            policy.float()
        policy.load_state_dict(before)


def _course(
    config: RunConfig,
    policy: Any,
    log: str,
    actions: FinalActions,
    first_seed: int | None,
    noted: float,
    lanes: NDArray[np.int64] | None = None,
    dtype: torch.dtype = torch.float32,
) -> _Course:
    """Follow the recorded actions and compare the policy's with them.

    Args:
        config, policy, log, actions, first_seed: as in :func:`choice_faults`.
        noted: share of the differing decisions that is told singly.
        lanes: ``[L]``, which episode the policy sees at each place of its batch, every one of E at least once; default:
            0 to E - 1.
        dtype: of the policy's weights.
    """
    recorded, lengths = getattr(actions, log), getattr(actions, f"{log}_lengths")
    seeds = seeds_of(config)
    if first_seed is None:
        first_seed = seeds.evaluation_start if log == "final" else seeds.absolute_start
    lanes = np.arange(len(lengths)) if lanes is None else lanes
    _, places = np.unique(lanes, return_index=True)
    env, memory = open_environment(config, len(lengths)), policy.new_memory(len(lanes))
    memory.state = memory.state.to(dtype)
    # With one action an agent has no margin.
    own = actions_of(policy) if env.num_actions > 1 else np.ones((recorded.shape[2], 1), np.bool_)
    lacking = np.zeros(1, np.bool_) if own is None else ~own
    margins = Margins(recorded.shape[2], own)
    course = _Course(int(lengths.sum()) * recorded.shape[2], margins)
    most = math.ceil(noted * course.decisions) + 1
    generator = action_noise(config, first_seed) if config.task.scored == "sampled" else None
    step = 0

    def act(obs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the recorded actions ``[E, N] int64``; note where the policy's for ``[E, N, F] float32`` differ."""
        nonlocal step
        chosen: NDArray[np.int64] = recorded[step].astype(np.int64)
        logits, running = policy.logits(obs[lanes], memory=memory, dtype=dtype)[places].float(), lengths > step
        scores = (logits if generator is None else with_noise(logits, generator)).numpy()
        highest, best = scores.max(axis=-1), scores.argmax(axis=-1)
        if not (torch.isfinite(logits).numpy() | lacking)[running].all():
            course.broken = course.broken or f"{log}[{step}]"
        elif not course.broken:
            margins.add(scores[running])
        differ = (best != chosen) & running[:, None]
        for episode, agent in np.argwhere(differ)[: most - len(course.others)].tolist():
            place = f"{log}[{step}, {episode}, {agent}] is {chosen[episode, agent]}"
            below = float(highest[episode, agent]) - float(scores[episode, agent, chosen[episode, agent]])
            course.others.append((f"{place}; its weights choose {best[episode, agent]}", agent, below))
        course.differing += int(differ.sum())
        step += 1
        return chosen

    was_training = policy.training
    policy.set_training_mode(False)
    try:
        play_episodes(env, act, first_seed)
    finally:
        policy.set_training_mode(was_training)
    return course
