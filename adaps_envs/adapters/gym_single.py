"""Gymnasium face: one lane, all agents as one team that a single controller moves."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from adaps_envs.adapters.common import (
    RENDER_FPS,
    RENDER_MODES,
    TimeLimitedSpec,
    checked_render_mode,
    limited,
    require_state,
    team_action_space,
    team_observation,
    team_observation_space,
    team_reward,
    warn_unknown_options,
)
from adaps_envs.adapters.shown import Shown
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.buffers import as_array
from adaps_envs.core.rng import one_seed
from adaps_envs.errors import InvalidActionError, InvalidParameterError
from adaps_envs.registry import make_batched, spec

__all__ = ["RegisteredTeamEnv", "TeamEnv"]


class TeamEnv(Shown, TimeLimitedSpec, gymnasium.Env[Any, Any]):
    """One lane as a Gymnasium environment: observations ``[N, F]``, actions ``[N]``, one reward for the team.

    Images are ``[N, *obs_shape]``; observations with named parts come as a tuple of N, one an agent.
    Where agents differ, observations are padded (``batched.obs_mask``) and every agent's action counts its own.

    The reward is the sum over agents of their individual rewards (see :func:`~adaps_envs.adapters.common.team_reward`);
    ``info["agent_rewards"]`` is ``[N] float32``. The time limit sets ``truncated``, never ``terminated``.

    Attributes:
        batched: the core, a :class:`~adaps_envs.core.batched.BatchedEnv` of one lane.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}  # type: ignore[misc]

    def __init__(self, batched: BatchedEnv, *, render_mode: str | None = None) -> None:
        """Wrap a batch of one lane.

        Raises:
            InvalidParameterError: more than one lane, or an unknown ``render_mode``.
        """
        if batched.num_envs != 1:
            raise InvalidParameterError(f"this face shows one lane, the batch has {batched.num_envs}; give num_envs=1.")
        self.batched = batched
        self.render_mode = checked_render_mode(render_mode)
        self.observation_space = team_observation_space(batched)
        self.action_space = team_action_space(batched)

    @property
    def agent_types(self) -> NDArray[np.int64]:
        """``[N] int64`` copy: the hidden type of each agent (ground truth, for scoring and oracles only)."""
        return self.batched.agent_types.copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: integer >= 0; None continues the random stream.
            options: none are known; given ones are ignored with a warning.

        Returns:
            Observations ``[N, F] float32`` (a fresh array) and an empty info.

        Raises:
            InvalidParameterError: a negative or non-integer seed.
        """
        warn_unknown_options(options)
        seed = None if seed is None else one_seed(seed)
        obs = self.batched.reset(seed=seed)
        super().reset(seed=seed)
        return team_observation(self.batched, obs[0]), {}

    def step(self, action: NDArray[np.int64]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance all agents by one step.

        Args:
            action: ``[N]`` integers, each below the number of the agent's actions.

        Returns:
            Observations ``[N, F] float32`` (fresh), the team's reward, terminated, truncated and the info.

        Raises:
            InvalidActionError: wrong shape, a non-integer type or an action out of range.
            ResetNeededError: before the first reset, or after the end of the episode.
        """
        array = as_array(action, "action", InvalidActionError)
        if array.shape != (self.batched.num_agents,):
            raise InvalidActionError(f"action has shape {array.shape}; it must be [N] = [{self.batched.num_agents}].")
        obs, rewards, terminated, truncated = self.batched.step(self.batched.padding.from_own(array[None]))
        reward = float(team_reward(self.batched, rewards)[0])
        seen = team_observation(self.batched, obs[0])
        return seen, reward, bool(terminated[0]), bool(truncated[0]), {"agent_rewards": rewards[0]}

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture ``[height, width, 3] uint8``; None without a render mode.

        Raises:
            ResetNeededError: before the first reset.
        """
        require_state(self.batched, "render")
        return None if self.render_mode is None else self.batched.render_frame(0)

    def close(self) -> None:
        """Release the worker threads, if any."""
        self.batched.close()


class RegisteredTeamEnv(TeamEnv):
    """The entry point under which Gymnasium knows every id."""

    def __init__(
        self, env_id: str, *, render_mode: str | None = None, max_episode_steps: int | None = None, **kwargs: Any
    ) -> None:
        """Create one lane of ``env_id``; ``kwargs`` are the family's parameters.

        ``max_episode_steps`` is another name of ``max_cycles``.
        """
        super().__init__(make_batched(env_id, 1, **limited(kwargs, max_episode_steps)), render_mode=render_mode)
        given = {"env_id": env_id, "render_mode": render_mode, **kwargs}
        self.spec = EnvSpec(
            spec(env_id).gym_id,
            f"{__name__}:RegisteredTeamEnv",
            order_enforce=False,
            disable_env_checker=True,
            kwargs=given,
        )
