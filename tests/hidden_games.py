"""Games in which something matters that an agent does not see, with values that can be computed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.adapters.sb3 import SharedVecEnv
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.rng import next_uint64
from adaps_envs.types import ArraySpec, ObsField


@dataclass(frozen=True)
class HiddenParams:
    """``groups`` agents of each type; the episode is truncated after ``max_cycles`` steps."""

    groups: tuple[int, ...] = (1, 1)
    max_cycles: int = 5
    reward: str = "individual"


class LuckGame(BatchedEnv):
    """A coin is tossed at the reset; heads pays everybody 1 a step for ever, whatever they do, tails nothing.

    Observations are constant; the global state is the coin. Beyond the time limit the coin stays as it is, so with
    discount g the value of heads is 1 / (1 - g) and that of tails 0.
    """

    family: ClassVar[str] = "luck_game"
    default_id: ClassVar[str] = "LuckGame-v0"
    action_names: ClassVar[tuple[str, ...]] = ("left", "right")

    params: HiddenParams

    def _declare(self) -> None:
        groups = self.params.groups
        self.num_agents = sum(groups)
        self.max_cycles = self.params.max_cycles
        self.agent_types = np.repeat(np.arange(len(groups)), groups)
        self.sizes = {"N": self.num_agents}
        self.state_table = (
            ArraySpec("cur_steps", (), "int32", 0, self.max_cycles, "steps", "steps since the reset"),
            ArraySpec("coin", (), "int32", 0, 1, "", "1 for heads"),
        )
        self._declare_observations()
        self.state_low, self.state_high = np.zeros(1, np.float32), np.ones(1, np.float32)

    def _declare_observations(self) -> None:
        self.obs_fields = (ObsField(0, "one", 1, 1, ""),)
        self.obs_space_low, self.obs_space_high = np.ones(1, np.float32), np.ones(1, np.float32)

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        for lane in np.flatnonzero(mask[start:stop]) + start:
            self._arrays["cur_steps"][lane] = 0
            self._arrays["coin"][lane] = int(next_uint64(self._arrays["rng"][lane])) >> 63

    def _step_lanes(self, start: int, stop: int, actions: NDArray[np.int64], *outputs: Any) -> None:
        obs, rewards, terminated, truncated = outputs
        lanes = slice(start, stop)
        rewards[lanes] = self._pay(lanes, actions)
        self._arrays["cur_steps"][lanes] += 1
        terminated[lanes] = False
        truncated[lanes] = self._arrays["cur_steps"][lanes] >= self.max_cycles
        self._observe_lanes(start, stop, obs)

    def _pay(self, lanes: slice, actions: NDArray[np.int64]) -> Any:
        return self._arrays["coin"][lanes, None]

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        obs[start:stop] = 1.0

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        out[:, 0] = self._arrays["coin"]

    def render_frame(self, lane: int = 0) -> NDArray[np.uint8]:
        """Return a black or white square."""
        return np.full((8, 8, 3), 255 * self._arrays["coin"][lane], np.uint8)


def luck_game(num_lanes: int = 8, *, kind: type[LuckGame] = LuckGame, **params: Any) -> SharedVecEnv:
    """Return a game as slots of a vectorised environment."""
    return SharedVecEnv(kind(num_lanes, HiddenParams(**params), seed=0))
