"""The compiled rules against the readable ones over random rosters, states and actions; and without the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaps_envs import InvalidParameterError, make_batched
from adaps_envs.bps.params import observation_size
from adaps_envs.testing import compare_with_reference, trace_digest

NUM_LANDMARKS = 3


@st.composite
def rosters(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw one to three types with any capability."""
    kinds = []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.none() | st.permutations(range(observation_size(NUM_LANDMARKS))).map(tuple))
        kinds.append(
            {
                "count": draw(st.integers(1, 4)),
                "landmark": draw(st.integers(0, NUM_LANDMARKS - 1)),
                "acceleration": draw(st.floats(0.1, 20.0)),
                "max_speed": draw(st.none() | st.floats(0.05, 3.0)),
                "obs_permutation": order,
            }
        )
    return kinds


@given(
    roster=rosters(),
    cooperative=st.booleans(),
    local_ratio=st.floats(0.0, 1.0),
    max_cycles=st.integers(1, 9),
    seed=st.integers(0, 2**32),
)
def test_kernel_equals_reference(
    roster: list[dict[str, Any]], cooperative: bool, local_ratio: float, max_cycles: int, seed: int
) -> None:
    env = make_batched(
        "BPS-1", 2, roster=roster, num_landmarks=NUM_LANDMARKS,
        cooperative=cooperative, local_ratio=local_ratio, max_cycles=max_cycles,
    )  # fmt: skip
    report = compare_with_reference(env, 12, np.random.default_rng(seed))
    assert report.mismatches == dict.fromkeys(report.mismatches, 0)
    assert {"pos", "vel", "rewards", "obs", "ended", "cur_steps"} <= set(report.mismatches)


@given(scale=st.sampled_from([0.0, 1e-300, 1e-6, 1.0]), seed=st.integers(0, 2**32))
def test_kernel_equals_reference_from_injected_states(scale: float, seed: int) -> None:
    env = make_batched("BPS-1", 4, roster=[{"count": 3, "max_speed": 1.0}, {"count": 2}])
    generator = np.random.default_rng(seed)
    report_before = compare_with_reference(env, 1, generator)
    env.set_state({"vel": generator.uniform(-scale, scale, (4, 5, 2)), "pos": np.zeros((4, 5, 2))})
    assert np.isfinite(env.step(generator.integers(0, 5, (4, 5)))[0]).all()
    assert report_before.total == 0


def test_a_fault_in_the_rules_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from adaps_envs.bps import reference

    monkeypatch.setattr(reference, "FORCES", ((0, 0), (1, 0), (-1, 0), (0, -1), (0, 1)))
    report = compare_with_reference(make_batched("BPS-1", 2), 3, np.random.default_rng(0))
    assert report.mismatches["pos"] > 0
    assert report.total > 0


def test_team_rewards_are_not_the_rules_business() -> None:
    with pytest.raises(InvalidParameterError, match="reward is 'team_sum'"):
        compare_with_reference(make_batched("BPS-1", 1, reward="team_sum"), 1, np.random.default_rng(0))


@pytest.mark.parametrize("switch", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_same_game_without_the_compiler_and_with_bounds_checks(
    switch: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    program = (
        "from adaps_envs.testing import digest; digest._STEPS = 12\n"
        "ids = {'BPS-1': dict(max_cycles=5), 'BPS-6': dict(max_cycles=5, cooperative=True)}\n"
        "print(*(digest.trace_digest(name, **params) for name, params in ids.items()))"
    )
    answers = []
    for extra in ({}, {switch: "1", "NUMBA_CACHE_DIR": str(tmp_path)}):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**clean_environment, **extra}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers.append(done.stdout)
    assert answers[0] == answers[1]
    assert len(answers[0].split()) == 2


def test_snapshot_goes_on_in_another_process(clean_environment: dict[str, str], tmp_path: Path) -> None:
    env = make_batched("BPS-4", 3, seed=5, max_cycles=12)
    env.reset()
    generator = np.random.default_rng(0)
    for _ in range(7):
        env.step(generator.integers(0, 5, (3, 30)))
    np.savez(tmp_path / "state.npz", **env.get_state())
    program = (
        "import sys, numpy as np, adaps_envs\n"
        "env = adaps_envs.make_batched('BPS-4', 3, max_cycles=12)\n"
        "env.set_state(dict(np.load(sys.argv[1])))\n"
        "rows = [env.step(np.full((3, 30), step % 5))[0] for step in range(5)] + [env.reset()]\n"
        "np.save(sys.argv[2], np.stack(rows))"
    )
    arguments = [str(tmp_path / "state.npz"), str(tmp_path / "rows.npy")]
    subprocess.run([sys.executable, "-c", program, *arguments], env=clean_environment, check=True)
    ours = [env.step(np.full((3, 30), step % 5))[0] for step in range(5)] + [env.reset()]
    assert np.array_equal(np.load(tmp_path / "rows.npy"), np.stack(ours))


def test_digest_does_not_depend_on_the_hash_seed(clean_environment: dict[str, str]) -> None:
    program = "from adaps_envs.testing import trace_digest; print(trace_digest('BPS-1'))"
    for hash_seed in ("0", "7"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**clean_environment, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == trace_digest("BPS-1")
