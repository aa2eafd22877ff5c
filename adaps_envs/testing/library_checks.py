"""PettingZoo's own tests, and the libraries through which people train: each must accept the environment.

Each check takes a :class:`~adaps_envs.testing.target.Target`. Libraries are optional; without one its check is skipped.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from gymnasium import spaces

from adaps_envs.errors import InvalidParameterError
from adaps_envs.testing.parallel_checks import ParallelFactory
from adaps_envs.testing.play_through import RandomPlayer, equal, played
from adaps_envs.testing.report import FULL, Effort, NotApplicableError, require
from adaps_envs.testing.target import Target

__all__ = ["LIBRARY_CHECKS", "PETTINGZOO_CHECKS"]


def check_parallel_api(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``parallel_api_test`` passes."""
    _pettingzoo_test("parallel_test").parallel_api_test(target.parallel(), num_cycles=effort.steps)
    return f"num_cycles={effort.steps}"


def check_aec_api(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``api_test`` passes on the turn-by-turn API."""
    _pettingzoo_test("api_test").api_test(target.aec(), num_cycles=effort.steps)
    return f"num_cycles={effort.steps}"


def check_seed(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``seed_test`` passes."""
    _pettingzoo_test("seed_test").seed_test(target.aec, num_cycles=effort.steps)
    return f"num_cycles={effort.steps}"


def check_parallel_seed(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``parallel_seed_test`` passes."""
    env = target.parallel()
    if _has_masks(env):
        raise NotApplicableError("the test ignores action masks, which this environment has.")
    _pettingzoo_test("seed_test").parallel_seed_test(target.parallel, num_cycles=effort.steps)
    return f"num_cycles={effort.steps}"


def check_state(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``state_test`` passes."""
    env = target.parallel()
    if getattr(env, "state_space", None) is None:
        raise NotApplicableError("the environment has no state_space.")
    if _has_masks(env):
        raise NotApplicableError("the test ignores action masks, which this environment has.")
    _pettingzoo_test("state_test").state_test(target.aec(), env, num_cycles=min(effort.steps, 50))
    return f"num_cycles={min(effort.steps, 50)}"


def check_render(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``render_test`` passes: ``rgb_array`` gives pictures ``[height, width, 3] uint8``."""
    modes = target.aec().metadata.get("render_modes")
    if not modes:
        raise NotApplicableError("the environment declares no render_modes.")
    if "human" in modes:
        _installed("pygame")
    if not _takes(target.aec, render_mode=None):
        raise NotApplicableError("the environment takes no render_mode.")
    with _no_display():
        _pettingzoo_test("render_test").render_test(target.aec)
    return "one episode a mode"


def check_max_cycles(target: Target, effort: Effort = FULL) -> str:
    """PettingZoo's ``max_cycles_test`` passes: ``max_cycles=4`` ends after exactly 4 steps."""
    if not _takes(target.parallel, max_cycles=4):
        raise NotApplicableError("the environment takes no max_cycles.")
    module = SimpleNamespace(parallel_env=target.parallel, env=target.aec)
    _pettingzoo_test("max_cycles_test").max_cycles_test(module)
    return "1 episode of 4 steps"


def check_cloudpickle(target: Target, effort: Effort = FULL) -> str:
    """An environment that went through ``cloudpickle`` plays as a fresh one does."""
    copied = _installed("cloudpickle").loads(_installed("cloudpickle").dumps(target.parallel()))
    pair = (played(env, seed=3, steps=10) for env in (copied, target.parallel()))
    same = all(equal(left, right) for left, right in zip(*pair, strict=True))
    require(same, "after pickling, the environment plays another game than a fresh one")
    return "1 seed of 10 steps"


def check_supersuit(target: Target, effort: Effort = FULL) -> str:
    """SuperSuit's pipeline pads, indicates agents and makes a stable-baselines3 vector of two copies."""
    supersuit = _installed("supersuit")
    env = target.parallel()
    agents = len(env.possible_agents)
    _require_plain_spaces(env)
    _require_lasting_agents(target.parallel)
    env = supersuit.pad_action_space_v0(supersuit.pad_observations_v0(env))
    env = supersuit.agent_indicator_v0(env, type_only=False)
    env = supersuit.pettingzoo_env_to_vec_env_v1(env)
    vector = supersuit.concat_vec_envs_v1(env, 2, num_cpus=0, base_class="stable_baselines3")
    require(vector.num_envs == 2 * agents, f"the vector has {vector.num_envs} slots, not 2 x {agents}")
    obs = vector.reset()
    vector.action_space.seed(0)
    for _ in range(min(effort.steps, 100)):
        require(bool(np.isfinite(obs).all()), "observations are not finite behind SuperSuit")
        obs, rewards, _, _ = vector.step(np.stack([vector.action_space.sample() for _ in range(2 * agents)]))
        require(bool(np.isfinite(rewards).all()), "rewards are not finite behind SuperSuit")
    return f"{min(effort.steps, 100)} steps of 2 copies"


def check_torchrl(target: Target, effort: Effort = FULL) -> str:
    """TorchRL's ``PettingZooWrapper`` accepts it (an AECEnv as such), ``check_env_specs`` passes, a rollout runs."""
    torchrl = _installed("torchrl.envs")
    inner = target.aec() if target.turns else target.parallel()
    _require_plain_spaces(inner, dictionaries=True)
    # Agents whose names begin alike form a group, which needs equal spaces; turns need a mask and groups of one.
    groups = None if _equal_spaces(inner) and not target.turns else torchrl.MarlGroupMapType.ONE_GROUP_PER_AGENT
    masked = target.turns or not _lasting(target.parallel)
    env = torchrl.PettingZooWrapper(inner, group_map=groups, use_mask=masked)
    _installed("torchrl.envs.utils").check_env_specs(env)
    env.set_seed(3)
    env.rollout(10)
    return "at most 10 steps, and those of check_env_specs"


def check_rllib(target: Target, effort: Effort = FULL) -> str:
    """RLlib's ``ParallelPettingZooEnv`` accepts it, and observations stay in the spaces that it declares."""
    wrapper = _installed("ray.rllib.env.wrappers.pettingzoo_env").ParallelPettingZooEnv
    inner = target.parallel()
    env = wrapper(inner)
    obs, infos = env.reset(seed=3)
    player = RandomPlayer(inner, 3)
    for step in range(min(effort.steps, 300)):
        for agent, value in obs.items():
            space = env.get_observation_space(agent)
            require(space.contains(value), f"observation of {agent} is outside the space that RLlib is given")
        obs, _, terminated, truncated, infos = env.step(player.actions(obs, infos))
        require("__all__" in terminated, "RLlib misses terminated['__all__']")
        if not inner.agents:
            over = terminated["__all__"] or truncated["__all__"]
            require(over, "agents end in different ways, so that RLlib never sees the end of the episode")
            return f"1 episode of {step + 1} steps"
    return f"{min(effort.steps, 300)} steps"


PETTINGZOO_CHECKS: Mapping[str, Callable[..., str]] = {
    "parallel_api": check_parallel_api,
    "aec_api": check_aec_api,
    "seed": check_seed,
    "parallel_seed": check_parallel_seed,
    "state": check_state,
    "render": check_render,
    "max_cycles": check_max_cycles,
}

LIBRARY_CHECKS: Mapping[str, Callable[..., str]] = {
    "cloudpickle": check_cloudpickle,
    "supersuit": check_supersuit,
    "torchrl": check_torchrl,
    "rllib": check_rllib,
}


def _pettingzoo_test(name: str) -> ModuleType:
    return importlib.import_module(f"pettingzoo.test.{name}")


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotApplicableError(f"{module.split('.')[0]} is not installed or cannot be imported ({error}).") from error


def _takes(factory: Callable[..., Any], **kwargs: Any) -> bool:
    try:
        factory(**kwargs)
    except (TypeError, InvalidParameterError):
        return False
    return True


def _has_masks(env: Any) -> bool:
    obs, infos = env.reset(seed=0)
    parts = [*obs.values(), *infos.values()]
    return any(isinstance(part, Mapping) and "action_mask" in part for part in parts)


def _require_plain_spaces(env: Any, *, dictionaries: bool = False) -> None:
    """Skip an environment whose spaces a library does not take; some take dictionaries of plain spaces too."""
    for agent in env.possible_agents:
        obs, actions = env.observation_space(agent), env.action_space(agent)
        plain = _is_tree(obs) if dictionaries else isinstance(obs, spaces.Box)
        if not (plain and isinstance(actions, (spaces.Box, spaces.Discrete))):
            kinds = f"{type(obs).__name__} and {type(actions).__name__}"
            taken = "Box or dictionaries without tuples" if dictionaries else "Box"
            raise NotApplicableError(f"{agent} has {kinds} spaces; the library takes {taken}, and Box or Discrete.")


def _is_tree(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict):
        return all(_is_tree(inner) for inner in space.values())
    return isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete))


def _equal_spaces(env: Any) -> bool:
    agents = env.possible_agents
    pairs = [(env.observation_space(agent), env.action_space(agent)) for agent in agents]
    return all(pair == pairs[0] for pair in pairs)


def _lasting(make: ParallelFactory) -> bool:
    """Return whether all agents lived to the end of an episode of random play."""
    env = make()
    for *_, _ in played(env, seed=0, steps=200):
        if env.agents and set(env.agents) != set(env.possible_agents):
            return False
        if not env.agents:
            return True
    return True


def _require_lasting_agents(make: ParallelFactory) -> None:
    if not _lasting(make):
        raise NotApplicableError("agents leave before the end; SuperSuit's vector needs its black_death wrapper first.")


@contextmanager
def _no_display() -> Iterator[None]:
    """Let pygame draw into memory, so that a declared ``human`` mode opens no window."""
    before = os.environ.get("SDL_VIDEODRIVER")
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SDL_VIDEODRIVER"]
        else:
            os.environ["SDL_VIDEODRIVER"] = before
