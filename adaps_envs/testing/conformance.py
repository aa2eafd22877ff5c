"""The gate that every environment of the suite passes: rules that the usual API tests do not look at.

>>> report = check_env("BPS-1")
>>> [result.name for result in report.results if not result.passed]
[]
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.registry import make_batched, spec
from adaps_envs.testing import determinism
from adaps_envs.testing.determinism import BatchedFactory
from adaps_envs.testing.rollout import ConformanceError

__all__ = ["BATCHED_CHECKS", "PARALLEL_CHECKS", "CheckReport", "CheckResult", "ParallelFactory", "check_env"]

ParallelFactory = Callable[[], Any]
SEEDS = range(20)
STEPS = 60


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome; ``message`` is empty where it passed."""

    name: str
    passed: bool
    message: str


@dataclass(frozen=True)
class CheckReport:
    """All checks of one environment."""

    env_id: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """True if every check passed."""
        return all(result.passed for result in self.results)


def check_spaces(make: ParallelFactory) -> None:
    """Observations and states lie in their spaces with the exact dtype, rewards are finite floats, flags are bools."""
    env = make()
    for agent, obs, reward, terminated, truncated in _played(env, seed=1, steps=STEPS):
        _require(env.observation_space(agent).contains(obs), f"observation of {agent} is outside its space: {obs!r}")
        _require(obs.dtype == env.observation_space(agent).dtype, f"observation of {agent} has dtype {obs.dtype}")
        _require(type(reward) is float and np.isfinite(reward), f"reward of {agent} is {reward!r}, not a finite float")
        flags = (terminated, truncated)
        _require(all(type(flag) is bool for flag in flags), f"flags of {agent} are {flags!r}, not two bools")
        _require(env.state_space.contains(env.state()), "the global state is outside state_space")


def check_same_spaces(make: ParallelFactory) -> None:
    """Each agent's space is the same object at each call, before and after a reset."""
    env = make()
    before = {agent: (env.observation_space(agent), env.action_space(agent)) for agent in env.possible_agents}
    env.reset(seed=0)
    for agent, (obs_space, action_space) in before.items():
        same = env.observation_space(agent) is obs_space and env.action_space(agent) is action_space
        _require(same, f"the spaces of {agent} are other objects at the next call")


def check_no_aliasing(make: ParallelFactory) -> None:
    """What was returned stays as it is, and writing into it changes nothing."""
    env, twin = make(), make()
    kept, _ = env.reset(seed=2)
    twin.reset(seed=2)
    copies = {agent: obs.copy() for agent, obs in kept.items()}
    actions = _actions(env, np.random.default_rng(0))
    later = env.step(actions)[0]
    twin.step(actions)
    _require(all(np.array_equal(kept[agent], copies[agent]) for agent in kept), "step() writes into old observations")
    for obs in (*kept.values(), *later.values(), env.state()):
        obs[...] = 123.0
    same = _equal(env.step(actions), twin.step(actions))
    _require(same, "writing into returned observations changed what the environment does next")


def check_actions_kept(make: ParallelFactory) -> None:
    """The caller's actions are not written to."""
    env = make()
    env.reset(seed=2)
    actions = _actions(env, np.random.default_rng(0))
    copy = dict(actions)
    env.step(actions)
    _require(actions == copy, "step() changed the caller's actions")


def check_deterministic(make: ParallelFactory) -> None:
    """Twenty seeds, whole episodes: two environments agree at every step, and seeds differ from each other."""
    starts = set()
    for seed in SEEDS:
        left, right = make(), make()
        first = left.reset(seed=seed)
        _require(_equal(first, right.reset(seed=seed)), f"reset(seed={seed}) gives different starts")
        starts.add(b"".join(obs.tobytes() for obs in first[0].values()))
        generator = np.random.default_rng(seed)
        for step in range(STEPS):
            if not left.agents:
                break
            actions = _actions(left, generator)
            _require(_equal(left.step(actions), right.step(actions)), f"seed {seed}: step {step} differs")
    _require(len(starts) == len(SEEDS), "different seeds give the same start")


def check_reseed_after_use(make: ParallelFactory) -> None:
    """``reset(seed)`` in the middle of an episode equals a fresh environment."""
    used, fresh = make(), make()
    used.reset(seed=5)
    generator = np.random.default_rng(5)
    for _ in range(5):
        used.step(_actions(used, generator))
    _require(_equal(used.reset(seed=6), fresh.reset(seed=6)), "reset(seed) after use differs from a fresh environment")
    actions = _actions(used, generator)
    _require(
        _equal(used.step(actions), fresh.step(actions)), "a step after reset(seed) differs from a fresh environment"
    )


def check_reset_continues(make: ParallelFactory) -> None:
    """``reset()`` without a seed starts another episode, the same one for two environments with the same past."""
    left, right = make(), make()
    first, _ = left.reset(seed=7)
    right.reset(seed=7)
    second, _ = left.reset()
    _require(_equal(second, right.reset()[0]), "reset() without a seed is not determined by the past")
    _require(not _equal(first, second), "reset() without a seed starts the same episode again")


def check_options(make: ParallelFactory) -> None:
    """Unknown reset options are ignored (a warning is welcome), and change nothing."""
    import warnings

    env = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = env.reset(seed=8, options={"no_such_option": 1})
    _require(_equal(given, make().reset(seed=8)), "an unknown reset option changes the episode")


def check_time_limit(make: ParallelFactory) -> None:
    """At the time limit ``truncated`` is set, ``terminated`` is not, and no agent is left."""
    env = make()
    limit = env.max_cycles
    env.reset(seed=9)
    generator = np.random.default_rng(9)
    for _ in range(limit):
        _, _, terminated, truncated, _ = env.step(_actions(env, generator))
        if not env.agents:
            break
    _require(not env.agents, f"agents are left after max_cycles = {limit} steps")
    if not any(terminated.values()):
        _require(all(truncated.values()), "the time limit does not set truncated")
    else:
        _require(not any(truncated.values()), "the last step sets both terminated and truncated")


def check_global_generators(make: ParallelFactory) -> None:
    """No global generator is touched, neither NumPy's nor Python's."""

    def states() -> tuple[Any, ...]:
        return (random.getstate(), *map(repr, np.random.get_state(legacy=True)))  # noqa: NPY002  (it is what we watch)

    before = states()
    env = make()
    for _ in _played(env, seed=None, steps=5):
        pass
    _require(states() == before, "a global random generator was used")


def check_no_leak(make: ParallelFactory) -> None:
    """Names are ``agent_0`` ..., infos hold no types: what an agent may see does not name its hidden type."""
    env = make()
    names = [f"agent_{index}" for index in range(len(env.possible_agents))]
    _require(list(env.possible_agents) == names, f"agents are named {env.possible_agents}, not {names}")
    _, infos = env.reset(seed=0)
    stepped = env.step(_actions(env, np.random.default_rng(0)))[4]
    keys = {key for info in (*infos.values(), *stepped.values()) for key in info}
    _require(not any("type" in key.lower() for key in keys), f"infos hold {sorted(keys)}")
    _require(hasattr(env.unwrapped, "agent_types"), "env.unwrapped.agent_types is missing")


PARALLEL_CHECKS: Mapping[str, Callable[[ParallelFactory], None]] = {
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
    "no_leak": check_no_leak,
}

BATCHED_CHECKS: Mapping[str, Callable[[BatchedFactory], None]] = {
    "lanes_equal_singles": determinism.check_lanes_equal_singles,
    "threads": determinism.check_threads,
    "reseed_equals_fresh": determinism.check_reseed_equals_fresh,
    "stream_continues": determinism.check_stream_continues,
    "snapshot": determinism.check_snapshot,
    "pickle": determinism.check_pickle,
}


def check_env(env_id: str, **params: Any) -> CheckReport:
    """Run every check on an id and report all failures, not only the first.

    Raises:
        UnknownNameError: unknown id.
        InvalidParameterError: an unknown keyword or an illegal value.
    """
    make_batched(env_id, 1, **params)

    def batched(num_envs: int, *, num_threads: int = 1) -> Any:
        return make_batched(env_id, num_envs, num_threads=num_threads, **params)

    def parallel() -> ParallelFace:
        return ParallelFace(batched(1))

    results = [_result(f"parallel/{name}", check, parallel) for name, check in PARALLEL_CHECKS.items()]
    results += [_result(f"batched/{name}", check, batched) for name, check in BATCHED_CHECKS.items()]
    return CheckReport(spec(env_id).id, tuple(results))


def _result(name: str, check: Callable[[Any], None], make: Any) -> CheckResult:
    try:
        check(make)
    except ConformanceError as error:
        return CheckResult(name, False, str(error))
    except Exception as error:  # an environment may break in any way; the other checks still run
        return CheckResult(name, False, f"{type(error).__name__}: {error}")
    return CheckResult(name, True, "")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConformanceError(f"{message}.")


def _actions(env: Any, generator: np.random.Generator) -> dict[str, int]:
    return {agent: int(generator.integers(env.action_space(agent).n)) for agent in env.agents}


def _played(env: Any, seed: int | None, steps: int) -> Any:
    """Yield ``(agent, obs, reward, terminated, truncated)`` over ``steps`` random steps; ended episodes start again."""
    generator = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    yield from ((agent, value, 0.0, False, False) for agent, value in obs.items())
    for _ in range(steps):
        obs, rewards, terminated, truncated, _ = env.step(_actions(env, generator))
        for agent, value in obs.items():
            yield agent, value, rewards[agent], terminated[agent], truncated[agent]
        if not env.agents:
            env.reset()


def _equal(left: Any, right: Any) -> bool:
    """Return whether nested dicts, tuples and arrays are equal, NaN included."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(_equal(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    return bool(left == right)
