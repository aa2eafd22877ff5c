"""A tiny family whose agents differ in what they sense and do: the padding layer's test piece.

Three agents on a ring of cells, each of which holds a light that is on or off. A ``near`` agent sees its own cell and
may step or wait; a ``far`` agent also sees the cells beside it, and may step back or leap two cells too. Being in a lit
cell is paid 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.rng import next_uint64
from adaps_envs.types import ArraySpec, ObsField

__all__ = ["CELLS", "UnevenEnv", "UnevenParams", "uneven_env"]

CELLS = 6
# The common layout: left cell, own cell, right cell, and the heat of the own cell, never 0.
FIELDS = (
    ObsField(0, "left", 0, 1, "lit"),
    ObsField(1, "own", 0, 1, "lit"),
    ObsField(2, "right", 0, 1, "lit"),
    ObsField(3, "heat", 1, 2, "degrees"),
)
MOVES = (-1, 2, 0, 1)


@dataclass(frozen=True)
class UnevenParams:
    """Parameters; ``far`` tells for each agent whether it is of the far-seeing type."""

    far: tuple[bool, ...] = (False, True, False)
    max_cycles: int = 6
    reward: str = "individual"


class UnevenEnv(BatchedEnv):
    """See the module."""

    family: ClassVar[str] = "uneven"
    default_id: ClassVar[str] = "Uneven-v0"
    action_names: ClassVar[tuple[str, ...]] = ("back", "leap", "wait", "step")

    params: UnevenParams

    def _declare(self) -> None:
        far = np.array(self.params.far)
        self.num_agents = len(far)
        self.max_cycles = self.params.max_cycles
        self.agent_types = far.astype(np.int64)
        self.sizes = {"N": self.num_agents}
        self.state_table = (
            ArraySpec("cell", ("N",), "int64", 0, CELLS - 1, "cells", "where the agents are"),
            ArraySpec("lit", (CELLS,), "int64", 0, 1, "", "which lights are on"),
            ArraySpec("cur_steps", (), "int32", 0, self.max_cycles, "steps", "steps since the reset"),
        )
        self.obs_fields = FIELDS
        self.obs_space_low = np.array([item.low for item in FIELDS], np.float32)
        self.obs_space_high = np.array([item.high for item in FIELDS], np.float32)
        if far.any() and not far.all():
            # Near agents see entries 1 and 3, and have the actions 2 (wait) and 3 (step).
            self.obs_mask = far[:, None] | np.array([False, True, False, True])
            self.action_mask = far[:, None] | np.array([False, False, True, True])
        self.state_low = np.zeros(CELLS, np.float32)
        self.state_high = np.ones(CELLS, np.float32)

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        for lane in np.flatnonzero(mask[start:stop]) + start:
            word = int(next_uint64(self._arrays["rng"][lane]))
            self._arrays["lit"][lane] = [word >> cell & 1 for cell in range(CELLS)]
            self._arrays["cell"][lane] = [(word >> 8 * (2 + agent)) % CELLS for agent in range(self.num_agents)]
            self._arrays["cur_steps"][lane] = 0

    def _step_lanes(self, start: int, stop: int, actions: NDArray[np.int64], *outputs: Any) -> None:
        obs, rewards, terminated, truncated = outputs
        lanes, arrays = slice(start, stop), self._arrays
        arrays["cell"][lanes] = (arrays["cell"][lanes] + np.array(MOVES)[actions[lanes]]) % CELLS
        arrays["cur_steps"][lanes] += 1
        rewards[lanes] = np.take_along_axis(arrays["lit"][lanes], arrays["cell"][lanes], axis=1)
        terminated[lanes] = False
        truncated[lanes] = arrays["cur_steps"][lanes] >= self.max_cycles
        self._observe_lanes(start, stop, obs)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        lanes = slice(start, stop)
        for entry, offset in enumerate((-1, 0, 1)):
            seen = (self._arrays["cell"][lanes] + offset) % CELLS
            obs[lanes, :, entry] = np.take_along_axis(self._arrays["lit"][lanes], seen, axis=1)
        obs[lanes, :, 3] = 1.5

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        out[:] = self._arrays["lit"]

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a row of squares, bright where the light is on."""
        row = np.repeat(np.repeat(self._arrays["lit"][lane][None] * 200, 8, axis=0), 8, axis=1)
        return np.repeat(row[..., None], 3, axis=2).astype(np.uint8)


def uneven_env(num_envs: int, **params: Any) -> UnevenEnv:
    """Return ``num_envs`` lanes."""
    return UnevenEnv(num_envs, UnevenParams(**params))
