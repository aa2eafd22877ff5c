"""Checks and completion of what the caller of a sharing learner gives."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from adaps_agents.policy.policy import SharingPolicy
from adaps_agents.schemes.registry import scheme_class
from adaps_envs.adapters.sb3_index import AgentIndexBox, declared_action_mask
from adaps_envs.errors import InvalidParameterError, quoted, suggest

__all__ = [
    "check_actions",
    "check_keywords",
    "check_slots",
    "check_states",
    "check_team",
    "check_steps",
    "checked_seed",
    "sharing_arguments",
]


def sharing_arguments(
    policy: str | type[SharingPolicy],
    env: Any,
    num_lanes: int,
    seed: int | None,
    policy_kwargs: dict[str, Any] | None,
    env_kwargs: dict[str, Any] | None = None,
    *,
    from_file: bool = False,
) -> tuple[type[SharingPolicy], Any, dict[str, Any]]:
    """Return policy class, environment and complete policy keywords from what the caller of a learner gave.

    Args:
        env_kwargs: parameters of the environment where ``env`` is an id.
        from_file: the model is being loaded: its keywords come from the file, nothing is completed.

    Raises:
        UnknownNameError: ``policy`` names no scheme.
        InvalidParameterError: the number of agents is not known, or another argument does not fit.
    """
    options = dict(policy_kwargs or {})
    if isinstance(policy, str):
        if policy != SharingPolicy.__name__:
            scheme_class(policy)
            options["scheme"] = policy
        policy = SharingPolicy
    if isinstance(env, str):
        from adaps_envs import make

        env = make(env, api="sb3", num_envs=num_lanes, **_checked_env_kwargs(env_kwargs))
    elif env_kwargs is not None:
        raise InvalidParameterError(
            f"env_kwargs is {quoted(env_kwargs)}, but env is an environment, a {type(env).__name__}, that has its "
            "parameters already; give env_kwargs with an id, or make the environment with them."
        )
    if from_file:
        return policy, env, options
    if not (isinstance(policy, type) and issubclass(policy, SharingPolicy)) or "scheme" not in options:
        raise InvalidParameterError('no sharing scheme: pass its name as policy, for example SharingA2C("adaps", env).')
    if env is None:
        raise InvalidParameterError("env is None; give a vectorised environment or an id such as 'BPS-1'.")
    check_slots(env)
    if "num_agents" not in options:
        options["num_agents"] = _num_agents(env)
    options["seed"] = checked_seed(options.get("seed", seed))
    if options.get("action_mask") is None:
        declared = declared_action_mask(env)
        options["action_mask"] = None if declared is None else declared.tolist()
    scheme_kwargs = dict(options.get("scheme_kwargs") or {})
    labels = scheme_kwargs.get("labels")
    told = scheme_class(options["scheme"]).uses_true_types or (isinstance(labels, str) and labels == "true")
    if told and "types" not in scheme_kwargs:
        scheme_kwargs["types"] = _true_types(env)
    options["scheme_kwargs"] = scheme_kwargs
    if options.get("critic") == "central":
        options["state_dim"] = check_states(env, getattr(env, "state_dim", None))
    return policy, env, options


def check_keywords(env: Any, kwargs: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> None:
    """Raise InvalidParameterError if a learner is given a keyword that it does not take.

    Args:
        env: an id, or an environment; an id's own parameters are told where they belong.
        kwargs: what the learner is given beside the arguments of :class:`SharingOnPolicy`.
        known: what the algorithm takes.
    """
    from adaps_envs import spec

    parameters = spec(env).parameters if isinstance(env, str) else ()
    unknown = [name for name in kwargs if name not in known]
    misplaced = {name: kwargs[name] for name in unknown if name in parameters}
    if misplaced:
        raise InvalidParameterError(
            f"{', '.join(map(repr, misplaced))} belongs to the environment, not to the learner; use "
            f"env_kwargs={quoted(misplaced)}."
        )
    if unknown and not any(item.kind is inspect.Parameter.VAR_KEYWORD for item in known.values()):
        names = {*known, "num_lanes", "env_kwargs", "torch_threads"} - {"_init_setup_model"}
        raise InvalidParameterError(f"the learner has no argument {unknown[0]!r}. {suggest(unknown[0], names)}")


def _checked_env_kwargs(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict) or "num_envs" in given:
        raise InvalidParameterError(
            f"env_kwargs is {quoted(given)}; give a dictionary of parameters such as {{'groups': [2, 2]}}, and the "
            "number of lanes as num_lanes."
        )
    return given


def check_slots(env: Any) -> None:
    """Raise InvalidParameterError if ``env`` is no environment with one slot per agent, but one of another API."""
    inner = getattr(env, "unwrapped", env)
    batched = inner if hasattr(inner, "spec_id") else getattr(inner, "batched", None)
    if isinstance(env, VecEnv) or (isinstance(env, gymnasium.Env) and batched is None):
        return
    task = repr(getattr(batched, "spec_id", "BPS-1"))
    raise InvalidParameterError(
        f"env is a {type(env).__name__}, but a sharing learner plays a stable-baselines3 VecEnv with one slot per "
        f"agent; make it with adaps_envs.make({task}, api='sb3', num_envs=8), or pass the id {task} itself."
    )


def check_actions(env: Any, action_mask: Any) -> None:
    """Raise InvalidParameterError if a policy with this mask ``[N, A]`` may choose actions that agents lack."""
    declared = declared_action_mask(env)
    allowed = True if action_mask is None else np.asarray(action_mask)
    if declared is not None and bool((allowed & ~declared).any()):
        agent = int(np.argwhere((allowed & ~declared).any(axis=1))[0, 0])
        raise InvalidParameterError(
            f"agent_{agent} lacks an action that the policy may choose for it; give an environment whose agents have "
            "the actions of the one that the policy was made for, or make a new policy."
        )


def check_team(env: Any, num_agents: int) -> None:
    """Raise InvalidParameterError unless the slots of ``env`` are whole teams of ``num_agents`` agents."""
    if isinstance(getattr(env, "observation_space", None), AgentIndexBox):
        raise InvalidParameterError(
            "observations carry the agent's index, which is for stock learners; make the environment of a sharing "
            "learner without agent_index=True."
        )
    declared, slots = getattr(env, "num_agents", num_agents), getattr(env, "num_envs", 1)
    if not isinstance(num_agents, int) or num_agents < 1 or declared != num_agents or slots % num_agents:
        raise InvalidParameterError(
            f"num_agents is {num_agents!r}, but the environment has {slots} slots for teams of {declared}; "
            "slots are lane * num_agents + agent, so give an environment of the same team."
        )


def check_states(env: Any, state_dim: Any) -> int:
    """Return S, or raise InvalidParameterError unless ``env`` tells global states of that size."""
    found = getattr(env, "state_dim", None)
    if not isinstance(found, int) or found < 1 or not hasattr(env, "report_states"):
        raise InvalidParameterError(
            f"{type(env).__name__} has no global state, which critic='central' reads; make the environment with "
            "adaps_envs.make(id, api='sb3', num_envs=...), or take critic='local'."
        )
    if found != state_dim:
        raise InvalidParameterError(
            f"the critic reads global states of {state_dim} entries, the environment has {found}; give an environment "
            "of the same task."
        )
    return found


def checked_seed(seed: Any) -> int:
    """Return a seed as an int, drawn from the system if it is None.

    Raises:
        InvalidParameterError: neither None nor an integer >= 0 of any integer type.
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    try:
        value = operator.index(seed)
    except Exception:  # whatever the object's own conversion raises
        value = -1
    if value < 0 or isinstance(seed, bool | np.bool_):
        raise InvalidParameterError(f"seed is {_shown(seed)}; it must be None or an integer >= 0.")
    return value


def check_steps(steps: Any) -> None:
    """Refuse what is no number of environment steps.

    Raises:
        InvalidParameterError: no number >= 0.
    """
    number = isinstance(steps, int | float | np.integer | np.floating) and not isinstance(steps, bool)
    if not (number and steps >= 0):
        raise InvalidParameterError(f"total_timesteps is {quoted(steps)}; it must be a number of steps >= 0.")


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # an object that cannot even be shown
        return f"a {type(value).__name__}"


def _num_agents(env: Any) -> int:
    number = getattr(env, "num_agents", None)
    if not isinstance(number, int):
        raise InvalidParameterError(
            f"{type(env).__name__} does not say how its slots divide into agents; make it with "
            "adaps_envs.make(id, api='sb3', num_envs=...), or pass policy_kwargs=dict(num_agents=...)."
        )
    return number


def _true_types(env: Any) -> list[int]:
    batched = getattr(env, "batched", None)
    if batched is None:
        raise InvalidParameterError(
            "the oracle needs the true types, and so does labels='true'; pass "
            "policy_kwargs=dict(scheme_kwargs=dict(types=...))."
        )
    types: list[int] = np.unique(batched.agent_types, return_inverse=True)[1].tolist()
    return types
