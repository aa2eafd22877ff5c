"""Gymnasium vector face: B lanes in one call, all agents of a lane as one team."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from adaps_envs.adapters.common import (
    RENDER_FPS,
    RENDER_MODES,
    TimeLimitedSpec,
    checked_render_mode,
    limited,
    require_state,
    seeded_reset,
    team_action_space,
    team_observation,
    team_observation_space,
    team_reward,
    warn_unknown_options,
)
from adaps_envs.adapters.shown import Shown
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.buffers import as_array
from adaps_envs.core.rng import lane_seeds, one_seed
from adaps_envs.errors import InvalidActionError, InvalidParameterError, quoted, suggest
from adaps_envs.registry import make_batched

__all__ = ["TeamVectorEnv", "make_gym_vector"]

VECTOR_RENDER_MODES = (*RENDER_MODES, "rgb_array_list")

StepReturn = tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class TeamVectorEnv(Shown, TimeLimitedSpec, VectorEnv[Any, NDArray[np.int64], NDArray[Any]]):
    """B lanes as a Gymnasium vector environment: observations ``[B, N, F]``, actions ``[B, N]``, rewards ``[B]``.

    Images are ``[B, N, *obs_shape]``; observations with named parts come as a tuple of N, batched inside.
    Rewards are the team's (see :func:`~adaps_envs.adapters.common.team_reward`); ``infos["agent_rewards"]`` is
    ``[B, N] float32``. It behaves as Gymnasium's own ``SyncVectorEnv`` over the single face does, only faster:

    - ``NextStep`` (default): a lane that has ended is reset by the next ``step``, which ignores its action and
      pays it 0.
    - ``SameStep``: it is reset at once; the last observation and info are in ``infos["final_obs"]`` and
      ``infos["final_info"]``.
    - ``Disabled``: the caller resets it by ``reset(options={"reset_mask": mask})``.

    Attributes:
        batched: the core, a :class:`~adaps_envs.core.batched.BatchedEnv` of B lanes.
        autoreset_mode: the mode, also in ``metadata["autoreset_mode"]``.
    """

    def __init__(
        self,
        batched: BatchedEnv,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        """Wrap ``batched``, which must not be stepped by anybody else afterwards.

        Raises:
            InvalidParameterError: an unknown ``autoreset_mode`` or ``render_mode``.
        """
        self.batched = batched
        self.num_envs = batched.num_envs
        self.render_mode = checked_render_mode(render_mode, VECTOR_RENDER_MODES)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": list(VECTOR_RENDER_MODES),
            "render_fps": RENDER_FPS,
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = team_observation_space(batched)
        self.single_action_space = team_action_space(batched)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        # With "rgb_array_list", the pictures of each lane's episode that nobody has asked for yet.
        self._pictures: list[list[NDArray[np.uint8]]] = [[] for _ in range(self.num_envs)]

    @property
    def agent_types(self) -> NDArray[np.int64]:
        """``[N] int64`` copy: the hidden type of each agent (ground truth, for scoring and oracles only)."""
        return self.batched.agent_types.copy()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: integer ``s`` (lane ``b`` is seeded ``s + b``) or one a lane; None continues the streams.
            options: ``reset_mask``, ``[B] bool``, resets only those lanes; others are ignored with a warning.

        Returns:
            Observations ``[B, N, F] float32`` (a fresh array) and an empty info.

        Raises:
            InvalidParameterError: a bad seed, or a mask of another shape or type, or one without a lane.
            ResetNeededError: a mask at the first reset leaves out lanes.
        """
        warn_unknown_options(options, known=("reset_mask",))
        mask = (options or {}).get("reset_mask")
        if mask is not None:
            mask = as_array(mask, "options['reset_mask']", InvalidParameterError)
        if mask is not None and mask.dtype.kind == "b" and not mask.any():
            raise InvalidParameterError(
                "options['reset_mask'] has no lane; give [B] booleans, at least one of them True."
            )
        if seed is None:
            obs = self.batched.reset(mask=mask)
        elif isinstance(seed, (int, np.integer)):
            obs = self.batched.reset(seed=lane_seeds(seed, self.num_envs), mask=mask)
            super().reset(seed=one_seed(seed))
        else:
            obs = seeded_reset(self.batched, seed, mask)
        self._picture(mask)
        return team_observation(self.batched, obs), {}

    def step(self, actions: NDArray[np.int64]) -> StepReturn:
        """Advance every lane by one step, or reset it, by the rule of ``autoreset_mode``.

        Args:
            actions: ``[B, N]`` integers, each below the number of the agent's actions.

        Returns:
            Fresh arrays: observations ``[B, N, F] float32``, the teams' rewards ``[B] float64``, terminated
            ``[B] bool``, truncated ``[B] bool``, and the infos.

        Raises:
            InvalidActionError: wrong shape, a non-integer type or an action out of range.
            ResetNeededError: before the first reset; with ``Disabled``, also while a lane that has ended was not reset.
        """
        actions = self.batched.padding.from_own(as_array(actions, "the array of actions", InvalidActionError))
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            return self._step_next(actions)
        obs, rewards, terminated, truncated = self.batched.step(actions)
        team = team_reward(self.batched, rewards)
        ended = terminated | truncated
        if self.autoreset_mode is AutoresetMode.DISABLED or not ended.any():
            self._picture(np.zeros_like(ended))
            seen = team_observation(self.batched, obs)
            return seen, team, terminated, truncated, _agent_infos(rewards, np.ones_like(ended))
        infos = {
            "final_obs": self._final_obs(obs, ended),
            "_final_obs": ended,
            "final_info": _agent_infos(rewards, ended),
            "_final_info": ended.copy(),
            **_agent_infos(rewards, ~ended),
        }
        seen = team_observation(self.batched, self.batched.reset(mask=ended))
        self._picture(ended)
        return seen, team, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """Return one picture a lane, ``[height, width, 3] uint8``; None without a render mode.

        With ``rgb_array_list``, return one list a lane, of the pictures of its episode since the last call.

        Raises:
            ResetNeededError: before the first reset.
        """
        require_state(self.batched, "render")
        if self.render_mode is None:
            return None
        if self.render_mode == "rgb_array_list":
            taken, self._pictures = self._pictures, [[] for _ in range(self.num_envs)]
            return tuple(taken)
        return tuple(self.batched.render_frame(lane) for lane in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Release the worker threads, if any."""
        self.batched.close()

    def _step_next(self, actions: NDArray[np.int64]) -> StepReturn:
        waiting = self.batched.ended
        if not waiting.any():
            obs, rewards, terminated, truncated = self.batched.step(actions)
            running = np.ones(self.num_envs, dtype=bool)
        else:
            # Moving the others first keeps the batch as it was when the actions turn out to be illegal.
            running = ~waiting
            obs, rewards, terminated, truncated = self.batched.step(actions, mask=running)
            obs[waiting] = self.batched.reset(mask=waiting)[waiting]
        self._picture(waiting)
        seen, team = team_observation(self.batched, obs), team_reward(self.batched, rewards)
        return seen, team, terminated, truncated, _agent_infos(rewards, running)

    def _picture(self, begins: NDArray[np.bool_] | None) -> None:
        """Keep pictures for ``rgb_array_list``; the lanes of ``begins [B]`` (all if None) start again with one."""
        if self.render_mode != "rgb_array_list":
            return
        for lane in range(self.num_envs):
            if begins is None or begins[lane]:
                self._pictures[lane].clear()
            self._pictures[lane].append(self.batched.render_frame(lane))

    def _final_obs(self, obs: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.object_]:
        rows = np.full(len(obs), None, dtype=object)
        for lane in np.flatnonzero(chosen):
            rows[lane] = team_observation(self.batched, obs[lane].copy())
        return rows


def _agent_infos(rewards: NDArray[np.float32], present: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the agents' rewards ``[B, N]`` of the lanes of ``present [B]`` as Gymnasium lays infos out."""
    if not present.any():
        return {}
    return {"agent_rewards": np.where(present[:, None], rewards, np.float32(0.0)), "_agent_rewards": present.copy()}


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    known = {known.value: known for known in AutoresetMode}
    value = mode.value if isinstance(mode, AutoresetMode) else mode
    if not isinstance(value, str) or value not in known:
        raise InvalidParameterError(f"autoreset_mode is {quoted(mode)}. {suggest(mode, known)}")
    return known[value]


def make_gym_vector(
    env_id: str,
    *,
    num_envs: int = 1,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    **kwargs: Any,
) -> TeamVectorEnv:
    """Create ``num_envs`` lanes behind Gymnasium's vector API; ``kwargs`` as for ``make_batched``.

    ``max_episode_steps`` is another name of ``max_cycles``.
    """
    batched = make_batched(env_id, num_envs, **limited(kwargs, max_episode_steps))
    return TeamVectorEnv(batched, autoreset_mode=autoreset_mode, render_mode=render_mode)
