"""What the faces share: spaces from the core's declarations, the team's reward, resets with some seeds, options."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.observation_form import Form, Part
from adaps_envs.core.rng import listed_seeds, one_seed
from adaps_envs.errors import InvalidParameterError, ResetNeededError, quoted

__all__ = [
    "RENDER_FPS",
    "RENDER_MODES",
    "agent_action_space",
    "agent_observation_space",
    "checked_render_mode",
    "TimeLimitedSpec",
    "global_state_space",
    "limited",
    "module_name",
    "own_action_space",
    "own_observation",
    "own_observation_space",
    "require_state",
    "seeded_reset",
    "shows_vectors",
    "team_action_space",
    "team_observation",
    "team_observation_space",
    "team_reward",
    "warn_unknown_options",
]

RENDER_MODES = ("rgb_array",)
RENDER_FPS = 10


def agent_observation_space(env: BatchedEnv) -> spaces.Box:
    """Return the space that every agent's padded observation lies in, ``[F] float32``."""
    return spaces.Box(env.obs_space_low, env.obs_space_high, dtype=np.float32)


def agent_action_space(env: BatchedEnv) -> spaces.Discrete:
    """Return the space of every agent's padded action, A choices."""
    return spaces.Discrete(env.num_actions)


def shows_vectors(env: BatchedEnv) -> bool:
    """Return whether agents' observations are shown as flat vectors, not as images or named parts."""
    form = env.obs_form
    return isinstance(form, Part) and len(form.shape) == 1


def own_observation_space(env: BatchedEnv, agent: int) -> spaces.Space[Any]:
    """Return the space of one agent's own observation: of its form, or of the vector ``[F] float32`` or shorter where
    observations are unequal."""
    low, high = env.padding.own_low, env.padding.own_high
    if not shows_vectors(env):
        assert env.padding.blanks is None, "images and named parts cannot be cut to size"
        return _form_space(env.obs_form, low, high)
    own = env.padding.own_entries(agent)
    return spaces.Box(low[own], high[own], dtype=np.float32)


def own_observation(env: BatchedEnv, agent: int, obs: NDArray[np.float32]) -> Any:
    """Return one agent's padded observation ``[F] float32`` as it lies in its own space."""
    return obs[env.padding.own_entries(agent)] if shows_vectors(env) else env.structure(obs)


def _form_space(form: Form, low: NDArray[np.float32], high: NDArray[np.float32]) -> spaces.Space[Any]:
    """Return the space of observations in a form, given the bounds ``[F]`` of their entries."""
    if isinstance(form, tuple):
        return spaces.Tuple([_form_space(inner, low, high) for inner in form])
    if not isinstance(form, Part):
        # Gymnasium sorts the keys of a plain dictionary, and with them the entries of a flattened observation.
        return spaces.Dict(OrderedDict((name, _form_space(inner, low, high)) for name, inner in form.items()))
    if form.kind == "choice":
        return spaces.Discrete(form.shape[0])
    if form.kind == "flags":
        return spaces.MultiBinary(form.shape[0])
    least, most = (bound[form.entries].reshape(form.shape).astype(form.dtype) for bound in (low, high))
    return spaces.Box(least, most, dtype=np.dtype(form.dtype).type)


def own_action_space(env: BatchedEnv, agent: int) -> spaces.Discrete:
    """Return the space of one agent's own actions, A choices or fewer where actions are unequal."""
    return spaces.Discrete(env.padding.own_counts()[agent])


def global_state_space(env: BatchedEnv) -> spaces.Box:
    """Return the space of the global state, ``[S] float32``."""
    return spaces.Box(env.state_low, env.state_high, dtype=np.float32)


def team_observation_space(env: BatchedEnv) -> spaces.Space[Any]:
    """Return the space of all agents' observations together: a Box ``[N, *obs_shape] float32``, or a Tuple of N spaces
    where observations have named parts."""
    form, agents = env.obs_form, env.num_agents
    if not isinstance(form, Part):
        return spaces.Tuple([own_observation_space(env, agent) for agent in range(agents)])
    low, high = (
        np.broadcast_to(bound.reshape(form.shape), (agents, *form.shape)).copy()
        for bound in (env.obs_space_low, env.obs_space_high)
    )
    return spaces.Box(low, high, dtype=np.float32)


def team_observation(env: BatchedEnv, obs: NDArray[np.float32]) -> Any:
    """Return observations ``[..., N, F]`` as they lie in the team's space (batched over the leading axes)."""
    if isinstance(env.obs_form, Part):
        return env.structure(obs)
    return tuple(env.structure(obs[..., agent, :]) for agent in range(env.num_agents))


def team_action_space(env: BatchedEnv) -> spaces.MultiDiscrete:
    """Return the space of all agents' own actions together, ``[N]`` integers, each below what the agent has."""
    return spaces.MultiDiscrete(env.padding.own_counts())


def team_reward(env: BatchedEnv, rewards: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the team's reward ``[B] float64`` of the agents' rewards ``[B, N] float32``.

    It is the sum over agents of their individual rewards. Where every agent is already paid the team's reward
    (``reward="team_sum"`` or ``"team_mean"``), it is that reward, counted once.
    """
    exact = rewards.astype(np.float64)
    total: NDArray[np.float64] = exact.sum(axis=1) if env.params.reward == "individual" else exact[:, 0].copy()
    return total


def module_name(env: BatchedEnv) -> str:
    """Return the PettingZoo-style name of an environment: ``BPS-1-v0`` is ``bps_1_v0``."""
    return env.spec_id.lower().replace("-", "_")


def checked_render_mode(render_mode: str | None, modes: Sequence[str] = RENDER_MODES) -> str | None:
    """Return ``render_mode``.

    Raises:
        InvalidParameterError: it is neither None nor one of ``modes``.
    """
    if render_mode is not None and not (isinstance(render_mode, str) and render_mode in set(modes)):
        raise InvalidParameterError(f"render_mode is {quoted(render_mode)}; choose None or one of {', '.join(modes)}.")
    return render_mode


def require_state(env: BatchedEnv, call: str) -> None:
    """Refuse ``call`` before the first reset.

    Raises:
        ResetNeededError: there is no state yet.
    """
    if not env.begun:
        raise ResetNeededError(f"{call}() before the first reset(): call reset(seed=...) first.")


class TimeLimitedSpec:
    """Gymnasium's ``spec``, with the environment's own time limit as ``max_episode_steps``.

    Ids are registered without a limit: Gymnasium would then cut episodes there whatever ``max_cycles`` says. Wrappers
    such as ``TimeAwareObservation`` read it here.
    """

    batched: BatchedEnv
    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium makes this environment again; None where it was not made from an id."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        # The old gym package has a class of its own.
        if isinstance(spec, EnvSpec):
            limit, kwargs = self.batched.max_cycles, spec.kwargs
            if "vectorization_mode" in kwargs:  # make_vec() hands a limit on as a keyword, and notes the keywords
                kwargs = {**kwargs, "max_episode_steps": limit}
            spec = replace(spec, max_episode_steps=limit, kwargs=kwargs)
        self._spec = spec


def limited(params: dict[str, Any], max_episode_steps: int | None) -> dict[str, Any]:
    """Return parameters whose ``max_cycles`` is ``max_episode_steps``, Gymnasium's name for it, where that is given.

    Raises:
        InvalidParameterError: both are given, and differ.
    """
    if max_episode_steps is None:
        return params
    other = params.get("max_cycles", max_episode_steps)
    if other is not max_episode_steps and quoted(other) != quoted(max_episode_steps):
        raise InvalidParameterError(
            f"max_cycles is {quoted(other)} and max_episode_steps is {quoted(max_episode_steps)}; "
            "they are the same limit, give one."
        )
    return {**params, "max_cycles": max_episode_steps}


def seeded_reset(
    env: BatchedEnv, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Reset the lanes of ``mask`` (all if None), each with its seed; those without one continue their streams.

    Args:
        env: B lanes.
        seeds: one a lane.
        mask: ``[B] bool``.

    Returns:
        Observations of all lanes, ``[B, N, F] float32``, a fresh array.

    Raises:
        InvalidParameterError: the number of seeds is not B, or a seed is not an integer >= 0.
    """
    listed = listed_seeds(seeds, env.num_envs)
    seeded = np.array([seed is not None for seed in listed])
    filled = [0 if seed is None else one_seed(seed) for seed in listed]
    if seeded.all():
        return env.reset(seed=filled, mask=mask)
    obs = env.reset(mask=mask)
    chosen = seeded if mask is None else seeded & mask
    return env.reset(seed=filled, mask=chosen) if chosen.any() else obs


def warn_unknown_options(options: Mapping[str, Any] | None, known: Sequence[str] = ()) -> None:
    """Tell the caller of ``reset(options=...)`` which options nobody will look at.

    Raises:
        InvalidParameterError: ``options`` is no dictionary.
    """
    if options is not None and not isinstance(options, dict):
        raise InvalidParameterError(f"options is {quoted(options)}; give a dictionary, or None.")
    unknown = [name if isinstance(name, str) else quoted(name) for name in options or {} if name not in known]
    if unknown:
        warnings.warn(f"reset options {unknown} are not known and are ignored.", UserWarning, stacklevel=3)
