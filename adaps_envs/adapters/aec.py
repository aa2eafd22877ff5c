"""PettingZoo agent-environment-cycle face: the parallel face, one agent's turn at a time."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec_wrapper
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from adaps_envs.adapters.parallel import ParallelFace, make_parallel
from adaps_envs.adapters.shown import Shown
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidActionError, ResetNeededError, quoted

__all__ = ["AECFace", "TurnOrder", "make_aec", "make_raw_aec"]


class AECFace(Shown, parallel_to_aec_wrapper):
    """Collects the agents' actions in turn; the world moves, and rewards are paid, after the last one's.

    A wrong action is refused in the turn of the agent that gave it.
    """

    env: ParallelFace

    @property
    def batched(self) -> BatchedEnv:  # type: ignore[override]
        """The core, one lane."""
        return self.env.batched

    def step(self, action: int | None) -> None:
        """Take the action of the agent whose turn it is; None from an agent whose episode is over.

        Raises:
            InvalidActionError: not an integer below A, or an action from an agent whose episode is over.
        """
        agent = self.agent_selection
        over = self.terminations[agent] or self.truncations[agent]
        if over and action is not None:
            raise InvalidActionError(
                f"action {quoted(action)} of {agent}, whose episode is over; its only action is None."
            )
        if not over and not self._legal(agent, action):
            last = self.action_space(agent).n - 1
            raise InvalidActionError(f"action {quoted(action)} of {agent} is not legal; give an integer in 0..{last}.")
        super().step(action)

    def observe(self, agent: str) -> Any:
        """Return the agent's observation, ``[F] float32`` or in the environment's form, a copy."""
        self.env.observation_space(agent)
        seen = self._observations[agent]
        return seen.copy() if isinstance(seen, np.ndarray) else copy.deepcopy(seen)

    def _legal(self, agent: str, action: int | None) -> bool:
        if type(action) is int:
            return 0 <= action < int(self.env.action_spaces[agent].n)
        try:
            return bool(self.action_space(agent).contains(action))
        except Exception:  # an object of anybody's class
            return False


class TurnOrder(Shown, OrderEnforcingWrapper[str, Any, int]):
    """Refuses calls before the first reset, and turns after the last agent has left."""

    def __init__(self, env: AECEnv[str, Any, int]) -> None:
        super().__init__(env)
        self._begun = False

    @property
    def batched(self) -> BatchedEnv:  # type: ignore[override]
        """The core, one lane."""
        core: BatchedEnv = self.unwrapped.batched
        return core

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a new episode; see :meth:`ParallelFace.reset`."""
        super().reset(seed=seed, options=options)
        self._begun = True

    def step(self, action: int | None) -> None:
        """Take the action of the agent whose turn it is; see :meth:`AECFace.step`.

        Raises:
            ResetNeededError: before the first reset, or after the last agent has left.
        """
        self._require_reset("step")
        if not self.env.agents:
            raise ResetNeededError("step() after the end of the episode: call reset() first.")
        super().step(action)

    def last(self, observe: bool = True) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return what the agent to move sees: observation (None without ``observe``), reward, flags and info.

        Raises:
            ResetNeededError: before the first reset.
        """
        self._require_reset("last")
        return self.env.last(observe)

    def observe(self, agent: str) -> Any:
        """Return the agent's observation, a copy; see :meth:`AECFace.observe`.

        Raises:
            ResetNeededError: before the first reset.
        """
        self._require_reset("observe")
        return super().observe(agent)

    def state(self) -> NDArray[Any]:
        """Return the global state, ``[S] float32``, a fresh array.

        Raises:
            ResetNeededError: before the first reset.
        """
        self._require_reset("state")
        return super().state()

    def render(self) -> Any:
        """Return a picture, or show it in a window; see :meth:`ParallelFace.render`."""
        self._require_reset("render")
        return super().render()

    def agent_iter(self, max_iter: int = 2**63) -> Any:
        """Iterate over the agents' turns, at most ``max_iter`` of them.

        Raises:
            ResetNeededError: before the first reset.
        """
        self._require_reset("agent_iter")
        return super().agent_iter(max_iter)

    def __str__(self) -> str:
        """Return the environment's name, e.g. ``bps_1_v0``."""
        return str(self.env)

    def _require_reset(self, call: str) -> None:
        if not self._begun:
            raise ResetNeededError(f"{call}() before the first reset(): call reset(seed=...) first.")


def make_raw_aec(env_id: str, *, render_mode: str | None = None, **kwargs: Any) -> AECFace:
    """Create one lane behind PettingZoo's AEC API without the order checks."""
    return AECFace(make_parallel(env_id, render_mode=render_mode, **kwargs))


def make_aec(env_id: str, *, render_mode: str | None = None, **kwargs: Any) -> TurnOrder:
    """Create one lane behind PettingZoo's AEC API; ``kwargs`` are the family's parameters."""
    return TurnOrder(make_raw_aec(env_id, render_mode=render_mode, **kwargs))
