"""Our gate on anybody's parallel environment: rules that the usual API tests do not look at.

Each check takes a factory of the environment and raises :class:`~adaps_envs.testing.rollout.ConformanceError`, or
:class:`~adaps_envs.testing.report.NotApplicableError` where it has nothing to say.
"""

from __future__ import annotations

import copy
import random
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from adaps_envs.errors import InvalidParameterError
from adaps_envs.testing.play_through import RandomPlayer, equal, leaves, played
from adaps_envs.testing.report import FULL, Effort, NotApplicableError, require
from adaps_envs.testing.rollout import ConformanceError

__all__ = ["PARALLEL_CHECKS", "ParallelFactory"]

ParallelFactory = Callable[..., Any]
# Long enough to see several kinds of moments, short enough to end early where an episode is short.
LIMIT = 9
_NAME = re.compile(r"[a-z]+_[0-9]+")


def check_spaces(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Observations and states lie in their spaces with the exact dtype, rewards are finite floats, flags are bools."""
    env = make()
    has_state = _has_state(env)
    other: set[str] = set()
    for obs, rewards, terminated, truncated, _ in played(env, seed=1, steps=effort.steps):
        for agent, value in obs.items():
            space = env.observation_space(agent)
            require(space.contains(value), f"observation of {agent} is outside its space: {value!r}")
            require(_same_dtype(space, value), f"observation of {agent} has dtype {getattr(value, 'dtype', None)}")
        for agent, reward in rewards.items():
            finite = _is_number(reward) and bool(np.isfinite(reward))
            require(finite, f"reward of {agent} is {reward!r}, not a finite float")
            if not isinstance(reward, float):
                other.add(type(reward).__name__)
        for flags in (terminated, truncated):
            for agent, flag in flags.items():
                require(type(flag) is bool, f"flags of {agent} are {flag!r} and the like, not two bools")
        require(not has_state or env.state_space.contains(env.state()), "the global state is outside state_space")
    if other:
        warnings.warn(f"rewards are {' and '.join(sorted(other))}; PettingZoo's are float.", UserWarning, stacklevel=1)
    return f"1 seed of {effort.steps} steps"


def check_same_spaces(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Each agent's space is the same object at each call, before and after a reset."""
    env = make()
    before = {agent: (env.observation_space(agent), env.action_space(agent)) for agent in env.possible_agents}
    env.reset(seed=0)
    for agent, (obs_space, action_space) in before.items():
        same = env.observation_space(agent) is obs_space and env.action_space(agent) is action_space
        require(same, f"the spaces of {agent} are other objects at the next call")
    return "1 reset"


def check_no_aliasing(make: ParallelFactory, effort: Effort = FULL) -> str:
    """What was returned stays as it is, and writing into it changes nothing."""
    env, twin = make(), make()
    kept, infos = env.reset(seed=2)
    twin.reset(seed=2)
    copies = copy.deepcopy(kept)
    player = RandomPlayer(env, 0)
    actions = player.actions(kept, infos)
    later, *_, infos = env.step(copy.deepcopy(actions))
    twin.step(actions)
    require(equal(kept, copies), "step() writes into old observations")
    actions = player.actions(later, infos)
    for value in leaves([kept, later, env.state() if _has_state(env) else None]):
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = 1 if value.dtype.kind == "b" else 123
    same = not env.agents or equal(env.step(copy.deepcopy(actions)), twin.step(actions))
    require(same, "writing into returned observations changed what the environment does next")
    return "1 seed of 2 steps"


def check_actions_kept(make: ParallelFactory, effort: Effort = FULL) -> str:
    """The caller's actions are not written to."""
    env = make()
    actions = RandomPlayer(env, 0).actions(*env.reset(seed=2))
    before = copy.deepcopy(actions)
    env.step(actions)
    require(equal(actions, before), "step() changed the caller's actions")
    return "1 step"


def check_deterministic(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Two environments with the same seed and actions agree at every step, on every seed, over resets too."""
    for seed in range(effort.seeds):
        pair = (played(make(), seed=seed, steps=effort.steps, action_seed=seed) for _ in range(2))
        for step, (left, right) in enumerate(zip(*pair, strict=False)):
            what = f"step {step - 1} differs" if step else "the starts differ"
            require(equal(left, right), f"seed {seed}: {what} between two environments")
    return f"{effort.seeds} seeds of {effort.steps} steps"


def check_reseed_after_use(make: ParallelFactory, effort: Effort = FULL) -> str:
    """``reset(seed)`` in the middle of an episode equals a fresh environment."""
    for seed in range(effort.seeds):
        used, fresh = make(), make()
        for _ in played(used, seed=100 + seed, steps=7):
            pass
        pair = (played(env, seed=seed, steps=3, action_seed=seed) for env in (used, fresh))
        for step, (left, right) in enumerate(zip(*pair, strict=True)):
            what = f"a step after reset(seed={seed})" if step else f"reset(seed={seed}) after use"
            require(equal(left, right), f"{what} differs from a fresh environment")
    return f"{effort.seeds} seeds of 3 steps, after 7"


def check_reset_continues(make: ParallelFactory, effort: Effort = FULL) -> str:
    """``reset()`` without a seed starts another episode, the same one for two environments with the same past."""
    left, right = make(), make()
    first = left.reset(seed=7)
    right.reset(seed=7)
    more = [left.reset() for _ in range(4)]
    require(equal(more, [right.reset() for _ in range(4)]), "reset() without a seed is not determined by the past")
    if all(equal(first, make().reset(seed=seed)) for seed in range(100, 104)):
        raise NotApplicableError("every episode starts alike, so that nothing shows whether the stream continues.")
    require(not all(equal(first, start) for start in more), "reset() without a seed starts the same episode again")
    return "1 seed, 5 resets"


def check_options(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Unknown reset options are ignored (a warning is welcome), and change nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = make().reset(seed=8, options={"no_such_option": 1})
    require(equal(given, make().reset(seed=8)), "an unknown reset option changes the episode")
    return "1 reset"


def check_time_limit(make: ParallelFactory, effort: Effort = FULL) -> str:
    """At the time limit ``truncated`` is set, ``terminated`` is not, and no agent is left."""
    env, limit = _limited(make)
    verdicts = []
    for seed in range(5):
        moments = list(_episode(env, seed, limit))
        if len(moments) < limit and not env.agents:
            continue
        require(not env.agents, f"agents are left after max_cycles = {limit} steps")
        terminated, truncated = moments[-1][2], moments[-1][3]
        if all(terminated.values()) and all(truncated.values()):
            verdicts.append("the last step sets both terminated and truncated")
        elif not any(truncated.values()):
            verdicts.append("the time limit does not set truncated")
        else:
            return f"{seed + 1} episodes of at most {limit} steps"
    if not verdicts:
        raise NotApplicableError("no episode of random play lasted until the time limit.")
    raise ConformanceError(f"{verdicts[0]}.")


def check_global_generators(make: ParallelFactory, effort: Effort = FULL) -> str:
    """No global generator is touched, neither NumPy's nor Python's."""

    def states() -> tuple[Any, ...]:
        return (random.getstate(), *map(repr, np.random.get_state(legacy=True)))  # noqa: NPY002  (it is what we watch)

    before = states()
    for _ in played(make(), seed=None, steps=5):
        pass
    for _ in played(make(), seed=3, steps=5):
        pass
    require(states() == before, "a global random generator was used")
    return "2 episodes of 5 steps"


def check_agent_names(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Agents are named ``word_0``: other libraries group and index them by such names."""
    odd = [agent for agent in make().possible_agents if not (isinstance(agent, str) and _NAME.fullmatch(agent))]
    require(not odd, f"agents are named {odd[:4]}; use one lowercase word, an underscore and a number, as in 'agent_0'")
    return ""


PARALLEL_CHECKS: Mapping[str, Callable[..., str]] = {
    "spaces": check_spaces,
    "same_spaces": check_same_spaces,
    "no_aliasing": check_no_aliasing,
    "actions_kept": check_actions_kept,
    "deterministic": check_deterministic,
    "reseed_after_use": check_reseed_after_use,
    "reset_continues": check_reset_continues,
    "options": check_options,
    "time_limit": check_time_limit,
    "global_generators": check_global_generators,
    "agent_names": check_agent_names,
}


def _is_number(reward: Any) -> bool:
    return isinstance(reward, (int, float, np.integer)) and not isinstance(reward, bool)


def _has_state(env: Any) -> bool:
    return getattr(env, "state_space", None) is not None


def _same_dtype(space: Any, value: Any) -> bool:
    if isinstance(space, spaces.Dict):
        return all(_same_dtype(inner, value[key]) for key, inner in space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return all(_same_dtype(inner, item) for inner, item in zip(space.spaces, value, strict=True))
    if isinstance(space, (spaces.Box, spaces.MultiBinary, spaces.MultiDiscrete)):
        return isinstance(value, np.ndarray) and value.dtype == space.dtype
    return True


def _limited(make: ParallelFactory) -> tuple[Any, int]:
    """Return an environment and its time limit: a short one if the factory takes ``max_cycles``, else its own."""
    try:
        return make(max_cycles=LIMIT), LIMIT
    except (TypeError, InvalidParameterError):
        env = make()
    known = (getattr(holder, "max_cycles", None) for holder in (env, env.unwrapped))
    limit = next((int(value) for value in known if isinstance(value, (int, np.integer)) and value > 0), None)
    if limit is None:
        raise NotApplicableError("the environment neither takes nor has max_cycles.")
    return env, limit


def _episode(env: Any, seed: int, limit: int) -> Any:
    """Yield the moments of one episode of random play, at most ``limit`` steps."""
    player = RandomPlayer(env, seed)
    obs, infos = env.reset(seed=seed)
    for _ in range(limit):
        moment = env.step(player.actions(obs, infos))
        obs, infos = moment[0], moment[4]
        yield moment
        if not env.agents:
            return
