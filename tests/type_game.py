"""A game of hidden types whose best scores can be computed by hand."""

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
class TypeGameParams:
    """``groups`` agents of each type; the episode is truncated after ``max_cycles`` steps."""

    groups: tuple[int, ...] = (4, 2)
    max_cycles: int = 10
    reward: str = "individual"


class TypeGame(BatchedEnv):
    """Every agent sees the same coin, ``[1, +-1]``; type ``t`` is paid 1 for the action ``(coin + t) mod 2``.

    Two types want opposite actions for the same observation. Whatever full sharing does, it is right for at most the
    larger type: with groups (4, 2) its score is at most 4/6 a step, and 1 is the optimum.
    """

    family: ClassVar[str] = "type_game"
    default_id: ClassVar[str] = "TypeGame-v0"
    action_names: ClassVar[tuple[str, ...]] = ("tails", "heads")

    params: TypeGameParams

    def _declare(self) -> None:
        groups = self.params.groups
        self.num_agents = sum(groups)
        self.max_cycles = self.params.max_cycles
        self.agent_types = np.repeat(np.arange(len(groups)), groups)
        self._wanted = self.agent_types % 2
        self.sizes = {"N": self.num_agents}
        self.state_table = (
            ArraySpec("cur_steps", (), "int32", 0, self.max_cycles, "steps", "steps since the reset"),
            ArraySpec("coin", (), "int32", 0, 1, "", "what everybody sees"),
        )
        self.obs_fields = (ObsField(0, "one", 1, 1, ""), ObsField(1, "coin", -1, 1, ""))
        self.obs_space_low, self.obs_space_high = np.array([1, -1], np.float32), np.ones(2, np.float32)
        self.state_low, self.state_high = np.zeros(1, np.float32), np.ones(1, np.float32)

    def _toss(self, lane: int) -> None:
        self._arrays["coin"][lane] = int(next_uint64(self._arrays["rng"][lane])) >> 63

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        for lane in np.flatnonzero(mask[start:stop]) + start:
            self._arrays["cur_steps"][lane] = 0
            self._toss(lane)

    def _step_lanes(self, start: int, stop: int, actions: NDArray[np.int64], *outputs: Any) -> None:
        obs, rewards, terminated, truncated = outputs
        lanes = slice(start, stop)
        rewards[lanes] = actions[lanes] == (self._arrays["coin"][lanes, None] + self._wanted) % 2
        self._arrays["cur_steps"][lanes] += 1
        terminated[lanes] = False
        truncated[lanes] = self._arrays["cur_steps"][lanes] >= self.max_cycles
        for lane in range(start, stop):
            self._toss(lane)
        self._observe_lanes(start, stop, obs)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        obs[start:stop, :, 0] = 1.0
        obs[start:stop, :, 1] = 2.0 * self._arrays["coin"][start:stop, None] - 1.0

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        out[:, 0] = self._arrays["coin"]

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a black or white square."""
        return np.full((8, 8, 3), 255 * self._arrays["coin"][lane], np.uint8)


class BlindTypeGame(TypeGame):
    """The game with its truth locked away: whoever asks for the types after construction is caught."""

    def __getattribute__(self, name: str) -> Any:
        if name == "agent_types" and "_ended" in object.__getattribute__(self, "__dict__"):
            raise AssertionError("somebody looks at the true types")
        return super().__getattribute__(name)


def type_game(num_lanes: int = 8, *, kind: type[TypeGame] = TypeGame, **params: Any) -> SharedVecEnv:
    """Return the game as slots of a vectorised environment."""
    return SharedVecEnv(kind(num_lanes, TypeGameParams(**params), seed=0))
