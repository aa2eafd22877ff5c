"""What environments of this suite must do beyond the gate for everybody: hidden types, streams, pinned digests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

import numpy as np

from adaps_envs.testing.digest import pinned_digest, trace_digest
from adaps_envs.testing.parallel_checks import ParallelFactory
from adaps_envs.testing.play_through import RandomPlayer
from adaps_envs.testing.report import FULL, Effort, NotApplicableError, require

__all__ = ["OWN_CHECKS"]

HEAVY = ("torch", "stable_baselines3", "numba")


def check_no_leak(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Names are ``agent_0`` ..., infos hold no types: what an agent may see does not name its hidden type."""
    env = make()
    names = [f"agent_{index}" for index in range(len(env.possible_agents))]
    require(list(env.possible_agents) == names, f"agents are named {env.possible_agents}, not {names}")
    obs, infos = env.reset(seed=0)
    stepped = env.step(RandomPlayer(env, 0).actions(obs, infos))[4]
    keys = {key for info in (*infos.values(), *stepped.values()) for key in info}
    require(not any("type" in key.lower() for key in keys), f"infos hold {sorted(keys)}")
    require(hasattr(env.unwrapped, "agent_types"), "env.unwrapped.agent_types is missing")
    return "1 step"


def check_exact_types(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Rewards are Python floats, vectors and images float32, and all agents end together."""
    env = make()
    obs, infos = env.reset(seed=1)
    player = RandomPlayer(env, 1)
    for step in range(effort.steps):
        obs, rewards, terminated, truncated, infos = env.step(player.actions(obs, infos))
        require(all(type(reward) is float for reward in rewards.values()), f"rewards are {rewards!r}, not floats")
        dtypes = {str(value.dtype) for value in obs.values() if isinstance(value, np.ndarray)}
        require(dtypes <= {"float32"}, f"observations have the dtypes {sorted(dtypes)}, not float32")
        together = len(set(terminated.values())) == len(set(truncated.values())) == 1
        require(together, "agents of one episode end at different steps")
        if not env.agents:
            return f"1 episode of {step + 1} steps"
    return f"{effort.steps} steps"


def check_seeds_matter(make: ParallelFactory, effort: Effort = FULL) -> str:
    """Different seeds give different episodes."""
    env = make()
    starts = []
    for seed in range(20):
        env.reset(seed=seed)
        state = {name: array for name, array in env.get_state().items() if name != "rng"}
        starts.append(b"".join(array.tobytes() for array in state.values()))
    # Tiny games may start alike now and then; a seed that is not used makes all of them equal.
    require(len(set(starts)) > len(starts) // 2, "different seeds give the same start")
    return "20 resets"


def check_digest(env_id: str, effort: Effort = FULL) -> str:
    """The trace digest is the one pinned for this id: nobody has changed the game under its name."""
    pinned = pinned_digest(env_id)
    if pinned is None:
        raise NotApplicableError(f"no digest is pinned for {env_id} in its family's digests.py.")
    found = trace_digest(env_id)
    require(found == pinned, f"the digest is {found}, pinned is {pinned}; a changed game needs a new version of the id")
    return "the scripted rollout of `adaps digest`"


def check_light_import(module: str = "adaps_envs", effort: Effort = FULL) -> str:
    """Importing the package loads no learner, no compiler and compiles nothing."""
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    require(result.returncode == 0, f"import {module} fails: {result.stderr.strip()[-300:]}")
    require(not result.stdout.split(), f"import {module} loads {', '.join(result.stdout.split())}")
    return ""


# Takes a factory of the parallel face; an id; a package.
OWN_CHECKS: Mapping[str, Callable[..., str]] = {
    "no_leak": check_no_leak,
    "exact_types": check_exact_types,
    "seeds_matter": check_seeds_matter,
    "digest": check_digest,
    "light_import": check_light_import,
}
