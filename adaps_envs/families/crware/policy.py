"""Scripted policies of the warehouses: one that knows the types, and one that takes everybody for the commonest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adaps_envs.families.crware.env import Warehouse
from adaps_envs.families.crware.params import MOVES
from adaps_envs.families.crware.planner import plan_lanes
from adaps_envs.families.crware.tables import TURN_LEFT, TURN_RIGHT

__all__ = ["POLICIES", "BlindPolicy", "ExpertPolicy"]


class ExpertPolicy:
    """Fetch, deliver, bring back: plans with the whole state and the true types, see :mod:`.planner`."""

    def __init__(self, env: Warehouse) -> None:
        self._env = env
        self._types = self._assumed_types(env)
        # The action that an agent of the assumed type takes for a move; with message bits, message 0.
        self._action_of = env.action_map[:, : len(MOVES)].argsort(axis=1)[self._example_of(env)]

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return actions ``[B, N] int64``; deterministic, the observations and the generator are not used."""
        env, state, floor = self._env, self._env.get_state(), self._env.floor

        def cells(x: NDArray[np.int16], y: NDArray[np.int16]) -> NDArray[np.int64]:
            """Return the numbers of cells, int64, of agents ``[B, N] int16`` or shelves ``[B, M] int16``."""
            return (y.astype(np.int64) + floor.pad) * floor.width + x + floor.pad

        requested = np.zeros(state["shelf_x"].shape, bool)
        np.put_along_axis(requested, state["request_queue"].astype(np.int64), True, axis=1)
        moves = np.empty((env.num_envs, env.num_agents), np.int64)
        plan_lanes(
            cells(state["agent_x"], state["agent_y"]), state["agent_dir"].astype(np.int64),
            state["carrying"].astype(np.int64), cells(state["shelf_x"], state["shelf_y"]), requested,
            env.delivers[self._types][:, env.shelf_colours()].swapaxes(0, 1).copy(), floor.inside, floor.highway,
            floor.goals, floor.steps[1], np.array(TURN_LEFT), np.array(TURN_RIGHT), moves,
        )  # fmt: skip
        return np.take_along_axis(self._action_of[None], moves[..., None], axis=2)[..., 0]

    def _assumed_types(self, env: Warehouse) -> NDArray[np.int64]:
        """Return the type ``[N]`` that each agent is taken for."""
        return env.agent_types

    def _example_of(self, env: Warehouse) -> NDArray[np.int64]:
        """Return, for each agent, the first agent of the type that it is taken for."""
        first: NDArray[np.int64] = (env.agent_types[None] == self._types[:, None]).argmax(axis=1)
        return first


class BlindPolicy(ExpertPolicy):
    """The same plan with everybody taken for the commonest type: one shared policy without identity.

    Robots of other types get actions that are meant for another body, and shelves that they cannot deliver stay.
    """

    def _assumed_types(self, env: Warehouse) -> NDArray[np.int64]:
        return np.full(env.num_agents, np.bincount(env.agent_types).argmax())


POLICIES = {"expert": ExpertPolicy, "blind": BlindPolicy}
