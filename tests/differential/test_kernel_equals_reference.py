"""Every family's compiled kernel against its readable rules, over random games; and without the compiler."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_games import coloured_warehouses, foraging, particles, warehouses

import adaps_envs
from adaps_envs import InvalidParameterError, make_batched
from adaps_envs.registry import families
from adaps_envs.testing import compare_with_reference, random_rollout, trace_digest
from adaps_envs.testing.differential import reference_of
from adaps_envs.testing.rollout import Trace, assert_same_trace

LANES = 2


@dataclass(frozen=True)
class Game:
    """How a family is compared with its reference.

    Attributes:
        env_id: an id of the family; its parameters are replaced by random ones.
        params: draws parameters.
        steps: steps of each random game.
        examples: random games in a short run.
        fault: a name in the reference, a wrong value for it, and the state array that then differs.
    """

    env_id: str
    params: st.SearchStrategy[dict[str, Any]]
    steps: int
    examples: int
    fault: tuple[str, Any, str]


TURNS = ("CLOCKWISE", (0, 2, 1, 3), "agent_dir")
GAMES = {
    "bps": Game("BPS-1", particles(), 12, 100, ("FORCES", ((0, 0), (1, 0), (-1, 0), (0, -1), (0, 1)), "pos")),
    "crware": Game("CRWARE-tiny-4a-2c", coloured_warehouses(), 50, 40, TURNS),
    "rware": Game("RWARE-tiny-4a", warehouses(), 50, 40, TURNS),
    "lbf": Game(
        "LBF-8x8-2p-3f", foraging(), 20, 150,
        ("STEPS", ((0, 0), (1, 0), (-1, 0), (0, -1), (0, 1), (0, 0)), "player_row"),
    ),
}  # fmt: skip
# Games in which much happens, one or more a family: what the runs without the compiler and the snapshots play.
FLOOR = {"layout": ".xx.x\n.....\nx.gxx\n..g..", "request_queue_size": 3}
BUSY: list[tuple[str, dict[str, Any]]] = [
    ("BPS-1", {"max_cycles": 5}),
    ("BPS-6", {"max_cycles": 5, "cooperative": True}),
    ("CRWARE-tiny-4a-2c", {"num_agents": 9, "max_cycles": 6, **FLOOR}),
    ("CRWARE-small-9a-3c", {"sensor_range": 3, "unequal_spaces": True, "max_cycles": 40}),
    ("CRWARE-tiny-4a-2c", {"num_agents": 9, "sensor_range": 0, "max_cycles": 6, **FLOOR}),
    ("RWARE-tiny-4a", {"num_agents": 10, "msg_bits": 1, "reward_type": "two_stage", "max_cycles": 15, **FLOOR}),
    ("RWARE-tiny-4a", {"observation_type": "image_dict", "max_inactivity_steps": 9, **FLOOR}),
    ("LBF-8x8-2p-3f", {"max_cycles": 9}),
    ("LBF-10x10-3p-3f-2s", {"field_size": (6, 7), "penalty": 0.1}),
    ("LBF-10x10-6p-5f-3t", {"max_cycles": 9, "grid_observation": True, "sight": 2}),
    ("LBF-8x8-2p-2f-coop", {
        "field_size": (3, 4), "players": 5, "max_num_food": 1, "sight": 1, "min_player_level": [1, 2, 3, 1, 1],
        "max_player_level": [2, 2, 9, 9, 1],
    }),
]  # fmt: skip


def _compare(env_id: str, params: dict[str, Any], steps: int, seed: int) -> int:
    env = make_batched(env_id, LANES, **params)
    report = compare_with_reference(env, steps, np.random.default_rng(seed))
    assert report.mismatches == dict.fromkeys(report.mismatches, 0), params
    assert set(report.mismatches) | {"rng"} == {*env.get_state(), "rewards", "ended", "obs"}
    return report.steps


def _compare_at_random(game: Game, examples: int, steps: int) -> int:
    done = 0

    @settings(max_examples=examples)
    @given(params=game.params, seed=st.integers(0, 2**32))
    def compare(params: dict[str, Any], seed: int) -> None:
        nonlocal done
        done += _compare(game.env_id, params, steps, seed)

    compare()
    return done


def test_no_family_is_left_out() -> None:
    ours = {name for name, family in families().items() if family.env.startswith("adaps_envs.")}
    assert set(GAMES) == ours
    assert {make_batched(env_id, 1).family for env_id, _ in BUSY} == ours


@pytest.mark.parametrize("name", GAMES)
def test_kernel_equals_reference(name: str) -> None:
    game = GAMES[name]
    assert _compare_at_random(game, game.examples, game.steps) >= game.examples * LANES * game.steps


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_kernel_equals_reference_over_a_hundred_thousand_steps(name: str) -> None:
    game = GAMES[name]
    assert _compare_at_random(game, math.ceil(100_000 / (LANES * 2 * game.steps)), 2 * game.steps) >= 100_000


@pytest.mark.parametrize("env_id", [next(iter(families()[name].presets)) for name in GAMES])
def test_presets_equal_reference(env_id: str) -> None:
    _compare(env_id, {}, 40, 0)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_every_preset_equals_reference(env_id: str) -> None:
    _compare(env_id, {}, 120, 1)


@pytest.mark.parametrize("name", GAMES)
def test_a_fault_in_the_rules_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, wrong, array = GAMES[name].fault
    env = make_batched(GAMES[name].env_id, LANES)
    monkeypatch.setattr(reference_of(env), attribute, wrong)
    report = compare_with_reference(env, 5, np.random.default_rng(0))
    assert report.mismatches[array] > 0
    assert report.total >= report.mismatches[array]


def test_team_rewards_are_not_the_rules_business() -> None:
    with pytest.raises(InvalidParameterError, match="reward is 'team_sum'"):
        compare_with_reference(make_batched("BPS-1", 1, reward="team_sum"), 1, np.random.default_rng(0))


def _answer(program: str, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


# Without the compiler, NumPy 1 turns unsigned and Python's integers together into floats.
PLAIN = pytest.param("NUMBA_DISABLE_JIT", marks=pytest.mark.skipif(np.__version__ < "2", reason="needs NumPy 2"))


@pytest.mark.parametrize("switch", [PLAIN, "NUMBA_BOUNDSCHECK"])
def test_same_game_without_the_compiler_and_with_bounds_checks(
    switch: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    program = (
        "from adaps_envs import make_batched, make_policy\n"
        "from adaps_envs.testing import digest; digest._STEPS = 12\n"
        f"for name, params in {BUSY!r}: print(digest.trace_digest(name, **params))\n"
        "for name in ('CRWARE-tiny-4a-2c', 'LBF-15x15-12p-6f-3t'):\n"
        "    env = make_batched(name, 1, seed=0); obs = env.reset(); plan = make_policy('expert', env)\n"
        "    print(sum(env.step(plan(obs))[0].sum() for _ in range(5)))"
    )
    plain = _answer(program, clean_environment)
    switched = _answer(program, {**clean_environment, switch: "1", "NUMBA_CACHE_DIR": str(tmp_path)})
    assert plain == switched
    assert len(set(plain.split())) == len(BUSY) + 2


def _future(env_id: str, params: dict[str, Any], state: dict[str, np.ndarray]) -> Trace:
    env = make_batched(env_id, 3, **params)
    env.set_state(state)
    return random_rollout(env, 30, action_seeds=range(3))


def test_snapshots_go_on_in_another_process(clean_environment: dict[str, str], tmp_path: Path) -> None:
    """From the middle of an episode over its end and the next start, random streams included."""
    for index, (env_id, params) in enumerate(BUSY):
        env = make_batched(env_id, 3, seed=5, **params)
        env.reset()
        random_rollout(env, 4, action_seeds=range(7, 10))
        assert not env.ended.all()
        np.savez(tmp_path / f"state{index}.npz", **env.get_state())
    program = (
        "import sys, numpy as np\n"
        "from adaps_envs import make_batched\n"
        "from adaps_envs.testing import random_rollout\n"
        f"for index, (env_id, params) in enumerate({BUSY!r}):\n"
        "    env = make_batched(env_id, 3, **params)\n"
        "    env.set_state(dict(np.load(f'{sys.argv[1]}/state{index}.npz')))\n"
        "    trace = random_rollout(env, 30, action_seeds=range(3))\n"
        "    np.savez(f'{sys.argv[1]}/trace{index}.npz', **vars(trace))"
    )
    _answer(program, clean_environment, str(tmp_path))
    for index, (env_id, params) in enumerate(BUSY):
        with np.load(tmp_path / f"state{index}.npz") as state, np.load(tmp_path / f"trace{index}.npz") as there:
            assert_same_trace(Trace(**there), _future(env_id, params, dict(state)), env_id)


def test_digest_does_not_depend_on_the_hash_seed(clean_environment: dict[str, str]) -> None:
    program = "from adaps_envs.testing import trace_digest; print(trace_digest('BPS-1'))"
    for hash_seed in ("0", "7"):
        found = _answer(program, {**clean_environment, "PYTHONHASHSEED": hash_seed})
        assert found.strip() == trace_digest("BPS-1")
