"""Environment speed beside the original packages, by team size, by threads, and from a cold start."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import adaps_envs
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.testing.throughput import measure_rate

__all__ = ["PAIRS", "Pair", "beside_originals", "by_team_size", "by_threads", "from_cold"]

LANES = 1024
STEPS = 50
# Agents in flight at a time are alike for every team size, so that all sizes meet the same caches.
AGENT_ROWS = 16_384


@dataclass(frozen=True)
class Pair:
    """One of our environments and the original that plays the same game.

    Attributes:
        name: what to call it.
        env_id: our id.
        params: our parameters.
        package: module of the original; the pair is left out where it is not installed.
        original: builds the original, an environment with Gymnasium's or PettingZoo's parallel API.
    """

    name: str
    env_id: str
    params: dict[str, Any]
    package: str
    original: Callable[[], Any]


def _rware(agents: int, rows: int, columns: int) -> Any:
    from rware.warehouse import RewardType, Warehouse

    # Two coloured queues of half the team each carry as many requests as one queue of the whole team.
    return Warehouse(columns, 8, rows, agents, 0, 1, agents, None, 500, RewardType.INDIVIDUAL)


def _foraging(size: int, players: int, foods: int) -> Any:
    from lbforaging.foraging.environment import ForagingEnv

    return ForagingEnv(players, 1, 2, 1, None, (size, size), foods, size, 50, False)


def _spread() -> Any:
    from mpe2 import simple_spread_v3

    return simple_spread_v3.parallel_env(N=15, max_cycles=50)


PAIRS: tuple[Pair, ...] = (
    *(
        Pair(f"C-RWARE {size}", f"CRWARE-{size}-{agents}a-2c", {}, "rware", partial(_rware, agents, rows, columns))
        for size, agents, rows, columns in (("tiny", 4, 1, 3), ("small", 8, 2, 3), ("medium", 16, 2, 5))
    ),
    *(
        Pair(
            f"LBF {size}x{size}-{players}p-{foods}f",
            f"LBF-{size}x{size}-{players}p-{foods}f",
            {},
            "lbforaging",
            partial(_foraging, size, players, foods),
        )
        for size, players, foods in ((8, 2, 3), (10, 3, 3), (15, 4, 5), (20, 12, 10))
    ),
    Pair("BPS-1 (beside simple_spread N=15)", "BPS-1", {}, "mpe2", _spread),
)


def beside_originals(*, quick: bool) -> list[dict[str, Any]]:
    """Return a row for each installed pair: agent-steps per second of CPU time, measured in turns.

    The keys are ``name``, ``batched`` (1,024 lanes), ``parallel`` (one PettingZoo environment), ``original``.
    """
    return [_beside(pair, quick) for pair in PAIRS if importlib.util.find_spec(pair.package)]


def _beside(pair: Pair, quick: bool) -> dict[str, Any]:
    env = adaps_envs.make_batched(pair.env_id, LANES, seed=0, **pair.params)
    single = adaps_envs.make(pair.env_id, **pair.params)
    rates = measure_rate(
        {
            "batched": _episodes_of_lanes(env),
            "parallel": _episodes_of_teams(single, env.num_actions),
            "original": _episodes_of_teams(pair.original(), env.num_actions),
        },
        seconds=0.05 if quick else 0.4,
        repetitions=3 if quick else 7,
    )
    agent_steps = {"batched": LANES * env.num_agents, "parallel": env.num_agents, "original": env.num_agents}
    return {"name": pair.name} | {name: rate * STEPS * agent_steps[name] for name, rate in rates.items()}


def _episodes_of_lanes(env: BatchedEnv) -> Callable[[], None]:
    """Return a piece of work: ``STEPS`` steps of random play of all lanes; those that end are reset."""
    generator = np.random.default_rng(0)
    steps = generator.integers(0, env.num_actions, (STEPS, env.num_envs, env.num_agents))
    env.reset()

    def play() -> None:
        for actions in steps:
            _, _, terminated, truncated = env.step(actions)
            ended = terminated | truncated
            if ended.any():
                env.reset(mask=ended)

    return play


def _episodes_of_teams(env: Any, num_actions: int) -> Callable[[], None]:
    """Return ``STEPS`` steps of random play of one environment: PettingZoo's parallel API, or Gymnasium's for teams."""
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    keyed = hasattr(env, "possible_agents")
    agents = list(env.possible_agents) if keyed else list(range(len(env.action_space)))
    rows = generator.integers(0, num_actions, (STEPS, len(agents))).tolist()
    steps = [dict(zip(agents, row, strict=True)) for row in rows] if keyed else rows

    def play() -> None:
        for actions in steps:
            _, _, terminated, truncated, _ = env.step(actions)
            if (not env.agents) if keyed else (np.all(terminated) or truncated):
                env.reset()

    return play


def by_team_size(*, quick: bool) -> list[dict[str, Any]]:
    """Return agent-steps per second of teams of all sizes, with as many agents at a time: BPS to 999, RWARE to 200."""
    groups = {15: (5, 5, 5), 99: (33, 33, 33), 999: (333, 333, 333)}
    teams: dict[str, tuple[str, dict[str, Any]]] = {
        f"BPS, {count} agents": ("BPS-1", {"groups": sizes}) for count, sizes in groups.items()
    }
    floor = {"shelf_rows": 5, "shelf_columns": 15, "column_height": 8}
    for count in (15, 60, 200):
        params = {**floor, "num_agents": count, "request_queue_size": count}
        teams[f"RWARE on a large floor, {count} robots"] = ("RWARE-tiny-4a", params)
    envs = {name: adaps_envs.make_batched(env_id, 1, **params) for name, (env_id, params) in teams.items()}
    lanes = {name: max(1, AGENT_ROWS // env.num_agents) for name, env in envs.items()}
    works = {
        name: _episodes_of_lanes(adaps_envs.make_batched(env_id, lanes[name], seed=0, **params))
        for name, (env_id, params) in teams.items()
    }
    rates = measure_rate(works, seconds=0.05 if quick else 0.4, repetitions=3 if quick else 7)
    return [
        {
            "name": name,
            "agents": envs[name].num_agents,
            "per_second": rate * STEPS * lanes[name] * envs[name].num_agents,
        }
        for name, rate in rates.items()
    ]


def by_threads(*, quick: bool) -> list[dict[str, Any]]:
    """Return the wall-clock speed-up of two threads over one, at few and at many lanes; needs a quiet machine."""
    rows = []
    for lanes in (LANES, 16 * LANES):
        for pair in PAIRS:
            works = {
                str(threads): _episodes_of_lanes(
                    adaps_envs.make_batched(pair.env_id, lanes, seed=0, num_threads=threads, **pair.params)
                )
                for threads in (1, 2)
            }
            rates = measure_rate(
                works, seconds=0.1 if quick else 0.3, repetitions=3 if quick else 9, clock=time.perf_counter
            )
            name = pair.name.partition(" (")[0]
            rows.append({"name": f"{name}, {lanes:,} lanes", "speed_up": rates["2"] / rates["1"]})
    return rows


_FIRST_STEPS = """
import adaps_envs
env = adaps_envs.make({env_id!r})
env.reset(seed=0)
for _ in range(100):
    env.step({{agent: 0 for agent in env.agents}})
    if not env.agents:
        env.reset()
"""


def from_cold(*, quick: bool) -> list[dict[str, Any]]:
    """Return wall seconds of fresh processes: the import, and make + reset + 100 steps with an empty and a warm cache.

    Process start is part of all three.
    """
    rows = [{"name": "import adaps_envs", "empty": None, "warm": _seconds("import adaps_envs", quick)}]
    for env_id in ("BPS-1", "CRWARE-tiny-4a-2c", "RWARE-tiny-4a", "LBF-8x8-2p-3f"):
        with tempfile.TemporaryDirectory() as cache:
            program = _FIRST_STEPS.format(env_id=env_id)
            empty = _run(program, cache)
            rows.append({"name": env_id, "empty": empty, "warm": _seconds(program, quick, cache)})
    return rows


def _seconds(program: str, quick: bool, cache: str | None = None) -> float:
    return statistics.median(_run(program, cache) for _ in range(3 if quick else 5))


def _run(program: str, cache: str | None) -> float:
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    command: Sequence[str] = (sys.executable, "-c", program)
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    return time.perf_counter() - start
