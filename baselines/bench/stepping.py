"""Stepping speed: our faces, the peers that are installed, and two yardsticks of the machine, measured in turns."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import adaps_envs
from adaps_envs.testing.throughput import measure_rate

__all__ = ["Work", "stepping_rates", "works"]

ENV_ID = "BPS-1"
LANES = (1, 64, 1024)
PEER_COPIES = 8
MEMCPY_BYTES = 64 * 2**20
LOOP_ITERATIONS = 200_000


@dataclass(frozen=True)
class Work:
    """Something to time.

    Attributes:
        run: does one piece of work, mostly an episode.
        units: what one piece amounts to, in ``unit``.
        unit: ``agent-steps``, ``bytes`` or ``iterations``.
        agents: agents of an environment, 0 for a yardstick.
    """

    run: Callable[[], None]
    units: float
    unit: str = "agent-steps"
    agents: int = 0


def works() -> dict[str, Work]:
    """Return everything that can be timed here, by name; peers that are not installed are left out."""
    found = {"pure-Python loop": Work(_python_loop, LOOP_ITERATIONS, "iterations"), "memcpy": _memcpy()}
    found |= {f"{ENV_ID} batched, {lanes} lane{'s' * (lanes > 1)}": _batched(lanes) for lanes in LANES}
    found[f"{ENV_ID} PettingZoo parallel"] = _parallel(adaps_envs.make(ENV_ID))
    found[f"{ENV_ID} PettingZoo AEC"] = _turns()
    found[f"{ENV_ID} Gymnasium vector, 64 lanes"] = _gym_vector(64)
    found |= {f"{ENV_ID} SB3 VecEnv, {lanes} lanes": _sb3(lanes) for lanes in (PEER_COPIES, 64)}
    if importlib.util.find_spec("supersuit"):
        found[f"{ENV_ID} by SuperSuit, {PEER_COPIES} copies"] = _supersuit()
    if importlib.util.find_spec("mpe2"):
        found["mpe2 simple_spread N=15"] = _parallel(_simple_spread())
    return found


def stepping_rates(*, quick: bool) -> list[dict[str, Any]]:
    """Return one row for each of :func:`works`: name, unit, units per second of CPU time, environment steps per second.

    Args:
        quick: shorter repetitions, for a first impression.
    """
    candidates = works()
    rates = measure_rate(
        {name: work.run for name, work in candidates.items()},
        seconds=0.05 if quick else 0.4,
        repetitions=3 if quick else 7,
    )
    return [
        {
            "name": name,
            "unit": work.unit,
            "per_second": rates[name] * work.units,
            "env_steps_per_second": rates[name] * work.units / work.agents if work.agents else None,
        }
        for name, work in candidates.items()
    ]


def _python_loop() -> None:
    total = 0
    for index in range(LOOP_ITERATIONS):
        total += index


def _memcpy() -> Work:
    source, target = np.ones(MEMCPY_BYTES, np.uint8), np.empty(MEMCPY_BYTES, np.uint8)
    return Work(lambda: np.copyto(target, source), MEMCPY_BYTES, "bytes")


def _actions(steps: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (steps, *shape))


def _batched(lanes: int) -> Work:
    env = adaps_envs.make_batched(ENV_ID, lanes, seed=0)
    actions = _actions(env.max_cycles, lanes, env.num_agents)

    def episode() -> None:
        env.reset()
        for step_actions in actions:
            env.step(step_actions)

    return Work(episode, actions.size, agents=env.num_agents)


def _parallel(env: Any) -> Work:
    """Time any PettingZoo parallel environment over whole episodes."""
    env.reset(seed=0)
    agents = list(env.agents)
    steps = [dict(zip(agents, row.tolist(), strict=True)) for row in _actions(50, len(agents))]

    def episodes() -> None:
        env.reset()
        for actions in steps:
            env.step(actions)
            if not env.agents:
                env.reset()

    return Work(episodes, len(steps) * len(agents), agents=len(agents))


def _turns() -> Work:
    env = adaps_envs.make(ENV_ID, api="aec", max_cycles=10)
    env.reset(seed=0)
    num_agents = len(env.possible_agents)

    def episode() -> None:
        env.reset()
        for agent in env.agent_iter():
            _, _, terminated, truncated, _ = env.last()
            env.step(None if terminated or truncated else 1)
            assert agent in env.possible_agents

    return Work(episode, 10 * num_agents, agents=num_agents)


def _gym_vector(lanes: int) -> Work:
    env = adaps_envs.make(ENV_ID, api="gym_vector", num_envs=lanes, autoreset_mode="SameStep")
    env.reset(seed=0)
    actions = _actions(50, lanes, env.batched.num_agents)

    def episode() -> None:
        for step_actions in actions:
            env.step(step_actions)

    return Work(episode, actions.size, agents=env.batched.num_agents)


def _vec_env(venv: Any, agents: int) -> Work:
    """Time any stable-baselines3 vector environment of one slot an agent."""
    venv.reset()
    actions = _actions(50, venv.num_envs)

    def episode() -> None:
        for step_actions in actions:
            venv.step(step_actions)

    return Work(episode, actions.size, agents=agents)


def _sb3(lanes: int) -> Work:
    venv = adaps_envs.make(ENV_ID, api="sb3", num_envs=lanes, seed=0)
    return _vec_env(venv, venv.num_agents)


def _supersuit() -> Work:
    import supersuit

    env = adaps_envs.make(ENV_ID)
    venv = supersuit.pettingzoo_env_to_vec_env_v1(env)
    venv = supersuit.concat_vec_envs_v1(venv, PEER_COPIES, num_cpus=0, base_class="stable_baselines3")
    return _vec_env(venv, len(env.possible_agents))


def _simple_spread() -> Any:
    from mpe2 import simple_spread_v3

    return simple_spread_v3.parallel_env(N=15, max_cycles=25)
