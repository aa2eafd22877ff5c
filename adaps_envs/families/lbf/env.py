"""Level-based foraging (LBF)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.roster import action_mask
from adaps_envs.errors import InvalidStateError
from adaps_envs.families.lbf import kernel
from adaps_envs.families.lbf.params import LBFParams
from adaps_envs.families.lbf.roster import ACTIONS
from adaps_envs.families.lbf.state import Levels, Rules, State, global_fields, obs_fields, state_table

if TYPE_CHECKING:
    from adaps_envs.core.drawing import Scene

__all__ = ["LBF"]


class LBF(BatchedEnv):
    """Players of different levels collect food of different levels; strong food needs several of them at once.

    N players walk on a board. By default levels are drawn again in every episode and observed. With a roster they stay
    with their players, and with ``zero_agent_levels`` nobody sees them: levels are the hidden types.

    Rules: players next to a food that load in the same step add up their levels; if they reach the food's level it is
    collected. Moves are simultaneous: a player moves if it alone wants to be in a cell, else it stays (so swaps and
    following are possible, and two players can come to share a cell).

    Actions: what is impossible counts as none. Positions are (row, column), row 0 on top.

    Observations: foods in view row by row, then the player itself, then the others in view by index; coordinates count
    from the upper left corner of the view, and (-1, -1, 0) stands for an empty slot.

    Rewards: each player of a successful load gets its own level times the food's, with ``normalize_reward`` divided by
    the loaders' levels and by all food of the episode, so that a cleared board pays 1 in all. A failed load costs the
    ``penalty``.

    Start: players uniform on free cells; food uniform off the border, no two of them within two cells of each other.

    End: no food is left (terminated), or the time limit (truncated).

    Versions: v0, the first.

    Source: lbforaging 2.0 (Papoudakis et al., "Benchmarking multi-agent deep reinforcement learning algorithms in
    cooperative tasks", NeurIPS Datasets and Benchmarks 2021, arXiv 2006.07869), and its fixed-level branch used by
    Christianos et al., "Scaling multi-agent reinforcement learning with selective parameter sharing", ICML 2021.
    """

    family: ClassVar[str] = "lbf"
    default_id: ClassVar[str] = "LBF-8x8-2p-3f-v0"
    action_names: tuple[str, ...] = ACTIONS
    action_keys: ClassVar[tuple[str, ...]] = ("space", "up", "down", "left", "right", "return")

    params: LBFParams

    def _declare(self) -> None:
        params = self.params
        self.num_agents = params.num_agents
        self.max_cycles = params.max_cycles
        self.agent_types = np.array(params.agent_types, np.int64)
        allowed = action_mask(params.roster or (), self.agent_types, [ACTIONS] * len(params.roster or ()))
        if allowed is not None:
            self.action_mask = allowed
        self.sizes = {"N": self.num_agents, "R": params.rows, "C": params.cols, "A": self.num_actions}
        self.state_table = state_table(params)
        self.obs_fields = obs_fields(params)
        self.obs_space_low = np.array([field.low for field in self.obs_fields], np.float32)
        self.obs_space_high = np.array([field.high for field in self.obs_fields], np.float32)
        fields = global_fields(params)
        self.state_low = np.array([field.low for field in fields], np.float32)
        self.state_high = np.array([field.high for field in fields], np.float32)
        # Lists of foods, as the kernels keep them beside the state.
        self._foods = np.zeros((self.num_envs, 3 * params.max_num_food + int(kernel.BLOCK)), np.float32)

    @cached_property
    def _state(self) -> State:
        return State(foods=self._foods, **{name: self._arrays[name] for name in State._fields if name != "foods"})

    @cached_property
    def _levels(self) -> Levels:
        params = self.params
        lows, highs = params.player_levels
        food_lows, food_highs = params.food_levels
        return Levels(
            min_player=np.array(lows, np.int64),
            max_player=np.array(highs, np.int64),
            players_dealt=params.roster is None and len({*zip(lows, highs, strict=True)}) > 1,
            min_food=np.array(food_lows, np.int64),
            max_food=np.array(food_highs or (), np.int64),
            foods_dealt=len({*food_lows}) > 1 or len({*(food_highs or ())}) > 1,
            exclusive=params.exclusive_max_food_level,
            force_coop=params.force_coop,
        )

    @cached_property
    def _rules(self) -> Rules:
        params = self.params
        return Rules(
            sight=np.array(params.sights, np.int64),
            is_grid=params.grid_observation,
            reach=max(params.sights),
            player_entries=params.player_entries,
            show_levels=params.observe_agent_levels if params.grid_observation else params.levels_are_public,
            normalize=params.normalize_reward,
            penalty=float(params.penalty),
            max_cycles=params.max_cycles,
        )

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """``(F,)``, or ``(3, K, K)`` with ``grid_observation``: agents' levels, foods' levels, free cells."""
        return self.params.obs_shape

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        self._threads.run(kernel.reset_lanes, start, stop, self._state, self._levels, mask)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        self._threads.run(kernel.observe_lanes, start, stop, self._state, self._rules, obs)

    def _step_lanes(self, start: int, stop: int, *call: Any) -> None:
        self._threads.run(kernel.step_lanes, start, stop, self._state, self._rules, *call)

    def _publish_state(self) -> None:
        a = self._arrays
        kernel.valid_action_lanes(a["player_row"], a["player_col"], a["field"], a["valid_actions"])

    def _adopt_state(self, mask: NDArray[np.bool_]) -> None:
        kernel.index_food_lanes(mask, self._arrays["field"], self._foods)

    def _check_state(self, state: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_]) -> None:
        if "field" not in state:
            return
        counts = np.count_nonzero(state["field"], axis=(1, 2))
        if (counts[mask] > self.params.max_num_food).any():
            raise InvalidStateError(
                f"state array 'field' holds {counts[mask].max()} foods in a lane; max_num_food is "
                f"{self.params.max_num_food}, make the environment with a larger one."
            )

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        a, entries = self._arrays, 3 if self.params.levels_are_public else 2
        num_food_entries = 3 * self.params.max_num_food
        out[:, :num_food_entries] = self._foods[:, :num_food_entries]
        players = out[:, num_food_entries:].reshape(self.num_envs, self.num_agents, entries)
        for entry, name in enumerate(("player_row", "player_col", "player_level")[:entries]):
            players[..., entry] = a[name]

    def agent_pixels(self, lane: int = 0) -> NDArray[np.float64]:
        """Return where the players are in the picture, ``[N, 2]`` pixels; those that share a cell at its middle."""
        from adaps_envs.families.lbf.render import cell_size

        cells = np.stack([self._arrays["player_col"][lane], self._arrays["player_row"][lane]], axis=1)
        return (cells + 0.5) * cell_size(self.params.rows, self.params.cols)

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a picture of one lane, ``[height, width, 3] uint8``: types as colours, levels as numbers."""
        from adaps_envs.core.drawing import raster

        return raster(self._scene(lane))

    def _scene(self, lane: int) -> Scene:
        from adaps_envs.families.lbf.render import scene

        a = self._arrays
        return scene(
            a["field"][lane], a["player_row"][lane], a["player_col"][lane], a["player_level"][lane], self.agent_types
        )
