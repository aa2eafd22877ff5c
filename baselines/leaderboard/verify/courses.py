"""Explaining episodes that took another course on another processor: which near tie was decided otherwise?

Two scores may be so close that rounding chooses. The rest of the episode then takes another course, which can be
played here as well, by deciding that tie the other way.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.replay import returns_apart
from baselines.leaderboard.verify.choices import NEAR_TIE, Margins, actions_of

__all__ = ["EPISODES_APART", "course_difference"]

EPISODES_APART = 0.05
"""Share of episodes without recorded actions that may take another course elsewhere, one at least."""

MAX_COURSES = 32
"""Other courses that are tried for one episode."""

# Decisions of one episode that are made otherwise: the action by step and agent.
Turns = dict[tuple[int, int], int]


def course_difference(
    evaluator: Evaluator, policy: Any, name: str, recorded: NDArray[np.float64], *, near: bool
) -> str:
    """Return what is different between recorded episodes and those that a policy plays, or nothing.

    Args:
        evaluator: of the run.
        policy: sharing policy, its weights loaded.
        name: ``greedy`` or ``sampled``.
        recorded: ``[E]`` returns.
        near: whether this is the kind of machine that the record names: every episode must then agree. Elsewhere some
            may differ, each by near ties that were decided otherwise.
    """
    first = _Courses(policy)
    returns = first.play(evaluator, policy, name)
    apart = np.flatnonzero(returns_apart(evaluator.task, returns, recorded)).tolist()
    if not apart:
        return ""
    unexplained = apart
    if not near and len(apart) <= math.ceil(EPISODES_APART * len(recorded)):
        unexplained = _unexplained(evaluator, policy, name, recorded, apart, NEAR_TIE * first.margins.usual)
    if not unexplained:
        return ""
    episode = unexplained[0]
    count = f"{len(apart)} of {len(recorded)} episodes differ"
    return f"{returns[episode]!r} in episode {episode}, which has {recorded[episode]!r} ({count})"


def _unexplained(
    evaluator: Evaluator,
    policy: Any,
    name: str,
    recorded: NDArray[np.float64],
    apart: list[int],
    bounds: NDArray[np.float64],
) -> list[int]:
    """Return the episodes whose recorded returns come out however their near ties are decided."""
    waiting: dict[int, deque[Turns]] = {episode: deque([{}]) for episode in apart}
    for _ in range(MAX_COURSES + 1):
        turns = {episode: courses.popleft() for episode, courses in waiting.items() if courses}
        if not turns:
            break
        courses = _Courses(policy, turns, bounds)
        wrong = returns_apart(evaluator.task, courses.play(evaluator, policy, name), recorded)
        for episode, taken in turns.items():
            if not wrong[episode]:
                del waiting[episode]
            else:
                waiting[episode] += [{**taken, place: action} for place, action in courses.ties[episode]]
    return list(waiting)


class _Courses:
    """Plays the episodes once, with some decisions made otherwise, and notes the near ties that come after them.

    Attributes:
        margins: of all decisions.
        ties: for each episode in ``turns``, the next best action by step and agent.
    """

    def __init__(
        self, policy: Any, turns: dict[int, Turns] | None = None, bounds: NDArray[np.float64] | None = None
    ) -> None:
        self._turns, self._bounds = turns or {}, bounds
        self._step = 0
        self.margins = Margins(policy.num_agents, actions_of(policy))
        self.ties: dict[int, list[tuple[tuple[int, int], int]]] = {episode: [] for episode in self._turns}

    def play(self, evaluator: Evaluator, policy: Any, name: str) -> NDArray[np.float64]:
        """Return the returns ``[E]``."""
        episodes = evaluator.play(policy, name, self._choose)
        for episode, ties in self.ties.items():
            self.ties[episode] = [(place, action) for place, action in ties if place[0] < episodes.lengths[episode]]
        return episodes.returns

    def _choose(self, scores: torch.Tensor) -> NDArray[np.int64]:
        table = scores.numpy()
        chosen: NDArray[np.int64] = table.argmax(axis=-1)
        if self._bounds is None:
            self.margins.add(table)
        for episode, turns in self._turns.items():
            after = max(turns, default=(-1, -1))
            for agent, action in self._near_ties(table[episode], chosen[episode]):
                if (self._step, agent) > after:
                    self.ties[episode].append(((self._step, agent), action))
            for (step, agent), action in turns.items():
                if step == self._step:
                    chosen[episode, agent] = action
        self._step += 1
        return chosen

    def _near_ties(self, scores: NDArray[np.float32], chosen: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Return the agents whose best action is hardly above another one, and that other action."""
        assert self._bounds is not None
        best = np.take_along_axis(scores, chosen[:, None], axis=-1)
        close = best.astype(np.float64) - scores <= self._bounds[:, None]
        np.put_along_axis(close, chosen[:, None], False, axis=-1)
        return [(agent, action) for agent, action in np.argwhere(close).tolist()]
