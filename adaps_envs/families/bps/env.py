"""Blind-particle spread (BPS)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.roster import action_mask, deal_types
from adaps_envs.families.bps import kernel
from adaps_envs.families.bps.params import ACTIONS, BPSParams
from adaps_envs.families.bps.state import (
    AGENT_RANGE,
    LANDMARK_RANGE,
    Rules,
    State,
    obs_fields,
    position_limit,
    speed_limit,
    state_table,
)

if TYPE_CHECKING:
    from adaps_envs.core.drawing import Scene
    from adaps_envs.families.bps.render import Trails

__all__ = ["BPS"]


class BPS(BatchedEnv):
    """Agents fly to the landmark of their hidden type, which they do not observe.

    N agents of G types and G landmarks live in an unbounded plane. An agent observes its own velocity and position and
    the offset of every landmark, but neither its own type nor the other agents. Without identity, a policy can do no
    better than fly to the best compromise between the landmarks, which makes BPS a clean test of parameter sharing.
    Where observations are shuffled by type (BPS-5 and BPS-6), the order of the entries betrays the type.

    Rules: physics in float64, time step 0.1: ``v' = 0.75 v + 0.1 force``, ``p' = p + 0.1 v'``; a push is a force of 5
    along its axis. No noise, no collisions, no walls.

    Observations: landmarks are offsets from the agent. Bounds are exact for the time limit, so a longer ``max_cycles``
    has wider ones.

    Rewards: ``-local_ratio`` times the distance to the own type's landmark, on the position after the move; with
    ``cooperative=True`` everybody gets ``-(1 - local_ratio)`` times the sum of all agents' distances.

    Start: agents uniform in [-1, 1] x [-1, 1] at rest, landmarks uniform in [-3, 3] x [-3, 3].

    End: only by the time limit (truncated).

    Versions: v0, the first.

    Source: ``large_spread`` of the PettingZoo fork used by Christianos et al., "Scaling multi-agent reinforcement
    learning with selective parameter sharing", ICML 2021 (arXiv 2102.07475).
    """

    family: ClassVar[str] = "bps"
    default_id: ClassVar[str] = "BPS-1-v0"
    action_names: tuple[str, ...] = ACTIONS
    action_keys: ClassVar[tuple[str, ...]] = ("space", "left", "right", "down", "up")

    params: BPSParams

    def _declare(self) -> None:
        params = self.params
        assert params.roster is not None
        assert params.num_landmarks is not None
        counts = [kind.count for kind in params.roster]
        self.num_agents = sum(counts)
        self.max_cycles = params.max_cycles
        self.agent_types = deal_types(np.repeat(np.arange(len(counts)), counts), params.deal_seed)
        self.sizes = {"N": self.num_agents, "G": params.num_landmarks}
        self.state_table = state_table(params)
        self.obs_fields = obs_fields(params)
        self.obs_space_low = np.array([field.low for field in self.obs_fields], np.float32)
        self.obs_space_high = np.array([field.high for field in self.obs_fields], np.float32)
        self._declare_agents()
        limits = [position_limit(params)] * 2 * self.num_agents + [speed_limit(params)] * 2 * self.num_agents
        self.state_high = np.array(limits + [LANDMARK_RANGE] * 2 * params.num_landmarks, np.float32)
        self.state_low = -self.state_high

    def _declare_agents(self) -> None:
        assert self.params.roster is not None
        allowed = action_mask(self.params.roster, self.agent_types, [ACTIONS] * len(self.params.roster))
        if allowed is not None:
            self.action_mask = allowed
        kinds = [self.params.roster[index] for index in self.agent_types]
        self.landmark_of = np.array([kind.landmark for kind in kinds], np.int64)

    @cached_property
    def _state(self) -> State:
        return State(**self._arrays)

    @cached_property
    def _rules(self) -> Rules:
        params = self.params
        assert params.roster is not None
        kinds = [params.roster[index] for index in self.agent_types]
        order = np.array([kind.obs_permutation for kind in kinds], np.int64)
        return Rules(
            landmark_of=self.landmark_of,
            acceleration=np.array([kind.acceleration for kind in kinds], np.float64),
            max_speed=np.array([kind.max_speed or np.inf for kind in kinds], np.float64),
            order=order,
            shuffled=bool((order != np.arange(self.obs_dim)).any()),
            local_ratio=float(params.local_ratio),
            cooperative=params.cooperative,
            max_cycles=params.max_cycles,
        )

    @cached_property
    def _trails(self) -> Trails:
        from adaps_envs.families.bps.render import Trails

        return Trails()

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        self._threads.run(kernel.reset_lanes, start, stop, self._state, mask, AGENT_RANGE, LANDMARK_RANGE)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        self._threads.run(kernel.observe_lanes, start, stop, self._state, self._rules, obs)

    def _step_lanes(self, start: int, stop: int, *call: Any) -> None:
        self._threads.run(kernel.step_lanes, start, stop, self._state, self._rules, *call)

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        parts = [self._arrays[name].reshape(self.num_envs, -1) for name in ("pos", "vel", "landmark_pos")]
        np.concatenate(parts, axis=1, out=out, casting="same_kind")

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a picture of one lane, ``[height, width, 3] uint8``: agents and landmarks in their type's colour."""
        from adaps_envs.core.drawing import raster

        return raster(self._scene(lane))

    def _scene(self, lane: int) -> Scene:
        from adaps_envs.families.bps.render import scene

        pos, landmark_pos = self._arrays["pos"][lane], self._arrays["landmark_pos"][lane]
        past = self._trails.before(lane, int(self._arrays["cur_steps"][lane]), landmark_pos, pos)
        return scene(pos, landmark_pos, self.agent_types, self.landmark_of, past)

    def agent_pixels(self, lane: int = 0) -> NDArray[np.float64] | None:
        """Return where the agents are in the picture, ``[N, 2]`` pixels; at its border if they are outside."""
        from adaps_envs.families.bps.render import pixels

        return pixels(self._arrays["pos"][lane])
