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

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a black or white square."""
        return np.full((8, 8, 3), 255 * self._arrays["coin"][lane], np.uint8)


class MemoryGame(LuckGame):
    """A coin is shown at the first step alone; at the last, type ``t`` is paid 1 for the action ``(coin + t) mod 2``.

    Observations are ``[1, cue, last]``: the cue is +-1 for the coin at first and 0 afterwards, ``last`` is 1 in the
    step that pays. Without memory the paying action cannot depend on the coin, so it is right half of the time whatever
    the sharing: 1/2. With memory but one policy for all, it is right for the larger type: groups (4, 2) give 4/6. The
    optimum is 1.
    """

    family: ClassVar[str] = "memory_game"
    default_id: ClassVar[str] = "MemoryGame-v0"

    def _declare_observations(self) -> None:
        self.obs_fields = (ObsField(0, "one", 1, 1, ""), ObsField(1, "cue", -1, 1, ""), ObsField(2, "last", 0, 1, ""))
        self.obs_space_low, self.obs_space_high = np.array([1, -1, 0], np.float32), np.ones(3, np.float32)

    def _pay(self, lanes: slice, actions: NDArray[np.int64]) -> Any:
        wanted = (self._arrays["coin"][lanes, None] + self.agent_types % 2) % 2
        return (actions[lanes] == wanted) & self._last(lanes)[:, None]

    def _last(self, lanes: slice) -> NDArray[np.bool_]:
        last: NDArray[np.bool_] = self._arrays["cur_steps"][lanes] == self.max_cycles - 1
        return last

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        lanes = slice(start, stop)
        shown = np.where(self._arrays["cur_steps"][lanes] == 0, 2.0 * self._arrays["coin"][lanes] - 1.0, 0.0)
        obs[lanes, :, 0] = 1.0
        obs[lanes, :, 1] = shown[:, None]
        obs[lanes, :, 2] = self._last(lanes)[:, None]


def luck_game(num_lanes: int = 8, *, kind: type[LuckGame] = LuckGame, **params: Any) -> SharedVecEnv:
    """Return a game as slots of a vectorised environment."""
    return SharedVecEnv(kind(num_lanes, HiddenParams(**params), seed=0))
