"""Scripted policies of level-based foraging: teams go to the foods that they can load, wait for each other, and load.

Both policies plan from the present state alone, jointly for all players. The expert knows everybody's level; the blind
one counts every player as an average one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adaps_envs.families.lbf.env import LBF
from adaps_envs.families.lbf.planner import TEAM_SIZE, plan_lanes

__all__ = ["POLICIES", "BlindPolicy", "ExpertPolicy"]


class ExpertPolicy:
    """Send to each food the nearest players that are strong enough together; what is served soonest comes first."""

    def __init__(self, env: LBF) -> None:
        self._env = env

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return actions ``[B, N] int64``; deterministic, the observations and the generator are not used."""
        state = self._env.get_state()
        actions = np.zeros((self._env.num_envs, self._env.num_agents), np.int64)
        strength, wanted = self._strength(state["player_level"], state["current_step"]), state["field"].astype(float)
        self._limit(wanted, strength)
        plan_lanes(state["player_row"], state["player_col"], strength, wanted, state["current_step"], actions)
        return actions

    def _strength(self, level: NDArray[np.int16], current_step: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return what each player counts for, ``[B, N]``."""
        return level.astype(np.float64)

    def _limit(self, wanted: NDArray[np.float64], strength: NDArray[np.float64]) -> None:
        """Lower, in place, what foods ask for, ``wanted [B, R, C]``."""


class BlindPolicy(ExpertPolicy):
    """The same without anybody's level: everyone counts as an average player, in the second half of an episode as the
    weakest possible one, so that teams that were too weak get help. Whatever food asks for, four players try it."""

    def __init__(self, env: LBF) -> None:
        super().__init__(env)
        lows, highs = (np.array(levels, np.float64) for levels in env.params.player_levels)
        self._average = float((lows + highs).mean() / 2)
        self._weakest = float(lows.min())

    def _strength(self, level: NDArray[np.int16], current_step: NDArray[np.int32]) -> NDArray[np.float64]:
        late = current_step >= self._env.max_cycles // 2
        each = np.where(late, self._weakest, self._average)
        return np.repeat(each[:, None], self._env.num_agents, axis=1)

    def _limit(self, wanted: NDArray[np.float64], strength: NDArray[np.float64]) -> None:
        team = min(TEAM_SIZE, self._env.num_agents) * strength[:, :1, None]
        np.minimum(wanted, team, out=wanted)


POLICIES = {"expert": ExpertPolicy, "blind": BlindPolicy}
