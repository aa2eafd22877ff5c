"""Gymnasium adapter by the convention of rware and lbforaging: tuples of spaces, one reward for each agent."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from adaps_envs.adapters.common import (
    RENDER_FPS,
    RENDER_MODES,
    TimeLimitedSpec,
    checked_render_mode,
    limited,
    own_action_space,
    own_observation,
    own_observation_space,
    require_state,
    warn_unknown_options,
)
from adaps_envs.adapters.shown import Shown
from adaps_envs.adapters.window import Window
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.buffers import as_array
from adaps_envs.core.rng import one_seed
from adaps_envs.errors import InvalidActionError, InvalidParameterError, quoted
from adaps_envs.registry import make_batched, spec

__all__ = ["AgentsEnv", "RegisteredAgentsEnv"]

MODES = ("human", *RENDER_MODES)


class AgentsEnv(Shown, TimeLimitedSpec, gymnasium.Env[Any, Any]):
    """One lane as rware and lbforaging show theirs: N observations, N actions, N rewards, flags for all.

    Spaces are tuples of the agents' own ones, so EPyMARL's ``gymma`` and similar wrappers run it as it is. The time
    limit sets ``truncated``, where rware and lbforaging set ``terminated``.

    Attributes:
        batched: the core, a :class:`~adaps_envs.core.batched.BatchedEnv` of one lane.
        n_agents: N.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(MODES), "render_fps": RENDER_FPS}  # type: ignore[misc]

    def __init__(self, batched: BatchedEnv, *, render_mode: str | None = None, old_step: bool = False) -> None:
        """Wrap a batch of one lane.

        Args:
            batched: the lane.
            render_mode: None, ``rgb_array`` or ``human``.
            old_step: keep the calls of gym 0.21, for which rware 1 and lbforaging 1 were written: ``reset()`` returns
                observations alone, and ``step()`` observations, rewards, N equal flags and the info. Where ``gym`` is
                imported, spaces are of its classes.

        Raises:
            InvalidParameterError: more than one lane, an unknown ``render_mode``, or ``old_step`` is no bool.
        """
        if batched.num_envs != 1:
            raise InvalidParameterError(
                f"this adapter shows one lane, the batch has {batched.num_envs}; give num_envs=1."
            )
        if not isinstance(old_step, bool):
            raise InvalidParameterError(f"old_step is {quoted(old_step)}; it must be True or False.")
        self.batched = batched
        self.render_mode = checked_render_mode(render_mode, MODES)
        self.n_agents = batched.num_agents
        self.observation_space = spaces.Tuple([own_observation_space(batched, i) for i in range(self.n_agents)])
        self.action_space = spaces.Tuple([own_action_space(batched, i) for i in range(self.n_agents)])
        if old_step and "gym" in sys.modules:
            self.observation_space = _of_library(sys.modules["gym"].spaces, self.observation_space)
            self.action_space = _of_library(sys.modules["gym"].spaces, self.action_space)
        self._old_step = old_step
        self._next_seed: int | None = None
        self._window: Window | None = None

    @property
    def agent_types(self) -> NDArray[np.int64]:
        """``[N] int64`` copy: the hidden type of each agent (ground truth, for scoring and oracles only)."""
        return self.batched.agent_types.copy()

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the next ``reset()``; None leaves the random stream alone.

        Raises:
            InvalidParameterError: a negative or non-integer seed.
        """
        if seed is not None:
            self._next_seed = one_seed(seed)
        return [seed]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start a new episode.

        Args:
            seed: integer >= 0; None takes that of :meth:`seed`, or else continues the random stream.
            options: none are known; given ones are ignored with a warning.

        Returns:
            N observations, and an empty info unless ``old_step``.

        Raises:
            InvalidParameterError: a negative or non-integer seed.
        """
        warn_unknown_options(options)
        chosen = self._next_seed if seed is None else one_seed(seed)
        obs = self.batched.reset(seed=chosen)
        self._next_seed = None
        super().reset(seed=chosen)
        return self._seen(obs) if self._old_step else (self._seen(obs), {})

    def step(self, action: Sequence[int]) -> Any:
        """Advance all agents by one step.

        Args:
            action: N integers, each below the number of the agent's actions.

        Returns:
            N observations, a list of N rewards, terminated, truncated and an empty info. With ``old_step``, both flags
            are one list of N, and the info tells by ``TimeLimit.truncated`` that the time limit ended the episode.

        Raises:
            InvalidActionError: wrong shape, a non-integer type or an action out of range.
            ResetNeededError: before the first reset, or after the end of the episode.
        """
        array = as_array(action, "action", InvalidActionError)
        if array.shape != (self.n_agents,):
            raise InvalidActionError(f"action has shape {array.shape}; it must be [N] = [{self.n_agents}].")
        obs, rewards, terminated, truncated = self.batched.step(self.batched.padding.from_own(array[None]))
        seen, paid = self._seen(obs), rewards[0].tolist()
        by_rule, by_limit = bool(terminated[0]), bool(truncated[0])
        if self._old_step:
            info = {"TimeLimit.truncated": not by_rule} if by_limit else {}
            return seen, paid, [by_rule or by_limit] * self.n_agents, info
        return seen, paid, by_rule, by_limit, {}

    def render(self, mode: str | None = None) -> Any:
        """Return a picture ``[height, width, 3] uint8``; in ``human`` mode, show it in a window and return None.

        Args:
            mode: ``rgb_array`` or ``human``, as callers of rware and lbforaging give it; None takes ``render_mode``.

        Raises:
            ResetNeededError: before the first reset.
            InvalidParameterError: an unknown ``mode``, or no window can be opened.
        """
        require_state(self.batched, "render")
        chosen = self.render_mode if mode is None else checked_render_mode(mode, MODES)
        if chosen is None:
            return None
        frame = self.batched.render_frame(0)
        if chosen != "human":
            return frame
        self._window = self._window or Window(self.batched.spec_id)
        self._window.show(frame)
        return None

    def close(self) -> None:
        """Close the window and release the worker threads, if any."""
        if self._window is not None:
            self._window.close()
            self._window = None
        self.batched.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the window."""
        return {**self.__dict__, "_window": None}

    def _seen(self, obs: NDArray[np.float32]) -> tuple[Any, ...]:
        return tuple(own_observation(self.batched, agent, obs[0, agent]) for agent in range(self.n_agents))


def _of_library(library: Any, space: spaces.Space[Any]) -> Any:
    """Return ``space`` in the classes of another package's ``spaces``."""
    if isinstance(space, spaces.Tuple):
        return library.Tuple([_of_library(library, inner) for inner in space.spaces])
    if isinstance(space, spaces.Dict):
        inner = [(name, _of_library(library, part)) for name, part in space.spaces.items()]
        return library.Dict(OrderedDict(inner))
    if isinstance(space, spaces.Box):
        return library.Box(space.low, space.high, dtype=space.dtype.type)
    assert isinstance(space, (spaces.Discrete, spaces.MultiBinary)), f"agents have no {type(space).__name__} spaces"
    number: Any = space.n
    return getattr(library, type(space).__name__)(int(number))


class RegisteredAgentsEnv(AgentsEnv):
    """The entry point under which Gymnasium knows every id with ``-tuple``."""

    def __init__(
        self,
        env_id: str,
        *,
        render_mode: str | None = None,
        old_step: bool = False,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Create one lane of ``env_id``; ``kwargs`` are the family's parameters.

        ``max_episode_steps`` is another name of ``max_cycles``.
        """
        batched = make_batched(env_id, 1, **limited(kwargs, max_episode_steps))
        super().__init__(batched, render_mode=render_mode, old_step=old_step)
        given = {"env_id": env_id, "render_mode": render_mode, "old_step": old_step, **kwargs}
        self.spec = EnvSpec(
            spec(env_id).tuple_id, f"{__name__}:RegisteredAgentsEnv",
            order_enforce=False, disable_env_checker=True, kwargs=given,
        )  # fmt: skip
