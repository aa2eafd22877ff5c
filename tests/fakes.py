"""A tiny environment family with outcomes that can be computed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.rng import next_uint64
from adaps_envs.types import ArraySpec, ObsField

NUM_AGENTS = 2


@dataclass(frozen=True)
class ConstantParams:
    """Parameters; with ``ragged`` a lane's episode ends by itself after a random number of steps, if the
    limit is not reached before."""

    max_cycles: int = 8
    ragged: bool = False
    reward: str = "individual"


class ConstantEnv(BatchedEnv):
    """Two agents, reward 1 a step whatever they do. Observation: the constant 1 and the episode's own length, if it
    has one."""

    family: ClassVar[str] = "constant"
    default_id: ClassVar[str] = "Constant-v0"
    action_names: ClassVar[tuple[str, ...]] = ("left", "right")

    params: ConstantParams

    def _declare(self) -> None:
        self.num_agents = NUM_AGENTS
        self.max_cycles = self.params.max_cycles
        self.agent_types = np.zeros(NUM_AGENTS, np.int64)
        self.sizes = {"N": NUM_AGENTS}
        self.state_table = (
            ArraySpec("cur_steps", (), "int32", 0, self.max_cycles, "steps", "steps since the reset"),
            ArraySpec("length", (), "int32", 0, self.max_cycles + 2, "steps", "when the episode ends by itself"),
        )
        self.obs_fields = (ObsField(0, "one", 1, 1, ""), ObsField(1, "length", 0, 1, ""))
        self.obs_space_low = np.zeros(2, np.float32)
        self.obs_space_high = np.ones(2, np.float32)
        self.state_low, self.state_high = np.zeros(1, np.float32), np.full(1, self.max_cycles, np.float32)

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        for lane in range(start, stop):
            if mask[lane]:
                word = int(next_uint64(self._arrays["rng"][lane]))
                self._arrays["length"][lane] = 1 + word % (self.max_cycles + 2)
                self._arrays["cur_steps"][lane] = 0

    def _step_lanes(self, start: int, stop: int, actions: NDArray[np.int64], *outputs: Any) -> None:
        obs, rewards, terminated, truncated = outputs
        steps = self._arrays["cur_steps"][start:stop]
        steps += 1
        rewards[start:stop] = 1.0
        by_rule = self.params.ragged & (steps >= self._arrays["length"][start:stop])
        terminated[start:stop] = by_rule
        truncated[start:stop] = ~by_rule & (steps >= self.max_cycles)
        self._observe_lanes(start, stop, obs)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        obs[start:stop, :, 0] = 1.0
        share = self._arrays["length"][start:stop] / (self.max_cycles + 2) if self.params.ragged else 0.0
        obs[start:stop, :, 1] = np.broadcast_to(np.asarray(share), stop - start)[:, None]

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        out[:, 0] = self._arrays["cur_steps"]

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a grey square, darker with each step."""
        return np.full((8, 8, 3), 200 - int(self._arrays["cur_steps"][lane]), np.uint8)


def constant_env(num_envs: int, **params: Any) -> ConstantEnv:
    """Return ``num_envs`` lanes."""
    return ConstantEnv(num_envs, ConstantParams(**params))
