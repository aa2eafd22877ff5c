"""The game, its parameters and its scripted policies, in plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import REWARD_MODES, BatchedEnv
from adaps_envs.core.rng import below
from adaps_envs.core.roster import check_deal_seed, deal_types
from adaps_envs.core.validation import MAX_STEPS, refuses_oddities, whole_number
from adaps_envs.errors import InvalidParameterError
from adaps_envs.types import ArraySpec, ObsField

__all__ = ["POLICIES", "Beacons", "BeaconsParams", "ExpertPolicy"]

COLOURS = np.array([[230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167]], np.uint8)


@dataclass(frozen=True, kw_only=True)
class BeaconsParams:
    """Everything that can be set in Beacons.

    Attributes:
        groups: number of agents of each hidden type.
        cells: cells of the ring.
        max_cycles: episode length in steps; reaching it truncates.
        deal_seed: deal the types to the agents in an order drawn from this seed; None leaves them in blocks.
        reward: ``individual``, ``team_sum`` or ``team_mean``.
    """

    groups: tuple[int, ...] = (3, 3)
    cells: int = 12
    max_cycles: int = 20
    deal_seed: int | None = None
    reward: str = "individual"

    @refuses_oddities
    def __post_init__(self) -> None:
        if not self.groups:
            raise InvalidParameterError("groups is empty; give the number of agents of each type, e.g. [3, 3].")
        for size in self.groups:
            whole_number("groups", size, 1, 1000)
        whole_number("cells", self.cells, 3, 1000)
        whole_number("max_cycles", self.max_cycles, 1, MAX_STEPS)
        check_deal_seed(self.deal_seed)
        if self.reward not in REWARD_MODES:
            raise InvalidParameterError(f"reward is {self.reward!r}; choose one of {', '.join(REWARD_MODES)}.")


class Beacons(BatchedEnv):
    """Agents walk on a ring of cells to the beacon of their hidden type, which they do not observe.

    Observations: for each beacon, its offset along the ring, from -1 to 1 (half the ring).

    Rewards: minus the distance to the own type's beacon after the move, as a share of half the ring.

    Start: agents and beacons in cells drawn uniformly.

    End: only by the time limit (truncated).

    Versions: v0, the first.
    """

    family: ClassVar[str] = "beacons"
    default_id: ClassVar[str] = "Beacons-2t-v0"
    action_names = ("stay", "step -", "step +")
    action_keys: ClassVar[tuple[str, ...]] = ("space", "left", "right")

    params: BeaconsParams

    def _declare(self) -> None:
        groups, self.max_cycles = self.params.groups, self.params.max_cycles
        last, types = self.params.cells - 1, len(groups)
        self.num_agents = sum(groups)
        self.agent_types = deal_types(np.repeat(np.arange(types), groups), self.params.deal_seed)
        self.sizes = {"N": self.num_agents, "K": types}
        self.state_table = (
            ArraySpec("agent_cell", ("N",), "int64", 0, last, "cells", "where the agents are"),
            ArraySpec("beacon_cell", ("K",), "int64", 0, last, "cells", "where the beacons are"),
            ArraySpec("cur_steps", (), "int32", 0, self.max_cycles, "steps", "steps since the reset"),
        )
        self.obs_fields = tuple(ObsField(k, f"beacon_{k}", -1, 1, "half a ring") for k in range(types))
        self.obs_space_high = np.ones(types, np.float32)
        self.obs_space_low = -self.obs_space_high
        self.state_high = np.full(self.num_agents + types, last, np.float32)
        self.state_low = np.zeros_like(self.state_high)

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        for lane in np.flatnonzero(mask[start:stop]) + start:
            stream = self._arrays["rng"][lane]  # the lane's own random stream, advanced in place
            for name in ("agent_cell", "beacon_cell"):
                row = self._arrays[name][lane]
                row[:] = [below(stream, self.params.cells) for _ in row]
            self._arrays["cur_steps"][lane] = 0

    def _step_lanes(self, start: int, stop: int, actions: NDArray[np.int64], *outputs: Any) -> None:
        obs, rewards, terminated, truncated = outputs
        lanes = slice(start, stop)
        cell, steps = self._arrays["agent_cell"], self._arrays["cur_steps"]
        cell[lanes] = (cell[lanes] + np.array([0, -1, 1])[actions[lanes]]) % self.params.cells
        steps[lanes] += 1
        self._observe_lanes(start, stop, obs)
        rewards[lanes] = -np.abs(self.offsets(lanes)[:, np.arange(self.num_agents), self.agent_types])
        terminated[lanes] = False
        truncated[lanes] = steps[lanes] >= self.max_cycles

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        obs[start:stop] = self.offsets(slice(start, stop))

    def offsets(self, lanes: slice) -> NDArray[np.float64]:
        """Return every beacon's offset from every agent, ``[B, N, K] float64`` in [-1, 1]."""
        size = self.params.cells
        ahead = self._arrays["beacon_cell"][lanes, None, :] - self._arrays["agent_cell"][lanes, :, None]
        offsets: NDArray[np.float64] = ((ahead + size // 2) % size - size // 2) / (size / 2)
        return offsets

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        np.concatenate([self._arrays["agent_cell"], self._arrays["beacon_cell"]], axis=1, out=out, casting="unsafe")

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a picture of one lane, ``[16 (N + 1), 16 cells, 3] uint8``: beacons on top, an agent in each row."""
        picture = np.full((self.num_agents + 1, self.params.cells, 3), 255, np.uint8)
        picture[0, self._arrays["beacon_cell"][lane]] = COLOURS[np.arange(self.sizes["K"]) % 4]
        picture[np.arange(self.num_agents) + 1, self._arrays["agent_cell"][lane]] = COLOURS[self.agent_types % 4]
        return picture.repeat(16, axis=0).repeat(16, axis=1)


class ExpertPolicy:
    """Walk to the beacon of the agent's true type by the shorter way."""

    def __init__(self, env: Beacons) -> None:
        self._env = env

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return actions ``[B, N] int64`` for observations ``[B, N, F] float32``; nothing is drawn."""
        own = np.take_along_axis(obs, self._env.agent_types[None, :, None], axis=2)[:, :, 0]
        return np.where(own > 0, 2, np.where(own < 0, 1, 0))


POLICIES = {"expert": ExpertPolicy}
