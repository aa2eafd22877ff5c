"""A policy that was fitted to its public episodes is a fault of ``verify --deep``: it plays worse in new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memoriser import cheating_model

from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.records.reader import FinishedRun, read_run, read_weights
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
from baselines.leaderboard.verify import deep, fresh, verify_directory
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.verdict import Fault

RUN = "one/fups_id/seed-0"


def with_episodes(record: FinishedRun, scored: str, episodes: int) -> RunConfig:
    task = record.config.task.model_copy(update={"scored": scored, "eval_episodes": episodes})
    return record.config.model_copy(update={"task": task})


@pytest.mark.parametrize("scored", ["greedy", "sampled"])
def test_a_policy_that_knows_the_public_episodes_is_a_fault(honest_runs: Path, scored: str) -> None:
    record = read_run(honest_runs / RUN)
    assert isinstance(record, FinishedRun)
    config = with_episodes(record, scored, 12)
    weights = {name: torch.from_numpy(array) for name, array in read_weights(record).items()}
    found = {}
    for name, build in (("honest", build_model), ("fitted", cheating_model)):
        policy, evaluator = build(config).policy, Evaluator(config)
        policy.load_state_dict(weights)
        returns = getattr(evaluator, scored)(policy).returns
        found[name] = fresh.fresh(policy, evaluator, "policy.safetensors", scored, returns, play=scored)
    assert found["honest"].chance > fresh.MOST_BY_CHANCE
    chance, fault, _, returns = found["fitted"]
    error = np.sqrt(2 * found["honest"].returns.var() / len(returns))
    assert abs(returns.mean() - found["honest"].returns.mean()) < 5 * error, "it plays new episodes as it has learnt"
    assert chance < fresh.MOST_BY_CHANCE
    assert f"evaluation.npz's {scored}: " in fault.message
    assert "in 288 episodes whose seeds and noise were drawn just now, its weights get" in fault.message


@pytest.mark.parametrize("episodes", [4, 12])
@pytest.mark.parametrize(("by", "scored"), [("noise", "sampled"), ("digits", "sampled"), ("digits", "greedy")])
def test_a_policy_that_knows_the_public_noise_or_rounding_is_a_fault(
    honest_runs: Path, by: str, scored: str, episodes: int
) -> None:
    record = read_run(honest_runs / RUN)
    assert isinstance(record, FinishedRun)
    config = with_episodes(record, scored, episodes)
    weights = {name: torch.from_numpy(array) for name, array in read_weights(record).items()}
    found = {}
    for knows in ("episodes", by):
        policy, evaluator = cheating_model(config, knows).policy, Evaluator(config)
        policy.load_state_dict(weights)
        returns = getattr(evaluator, scored)(policy).returns
        assert config.task.normalise(returns.mean()) > 0.9, "an expert's"
        found[knows] = fresh.again(policy, evaluator, "file", f"{scored}[2]", returns, play=scored)
    assert found["episodes"].chance > fresh.MOST_BY_CHANCE, "it plays them with any noise and rounding"
    chance, fault, *_ = found[by]
    assert chance < fresh.MOST_BY_CHANCE
    assert f"evaluation.npz's {scored}[2]: " in fault.message
    assert "with noise and last digits of weights that were drawn just now, its weights get" in fault.message


def test_deep_looks_at_both_policies_and_both_kinds_of_play(honest_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[str, str, int, str]] = []

    def noted(*args: object, play: str) -> fresh.Anew:
        looked.append((args[-3], args[-2], len(args[-1]), play))  # type: ignore[arg-type]
        return fresh.Anew(next(chances), Fault("policy.safetensors", "", "worse"), 1, np.arange(2.0) + len(looked))

    chances = iter([1.0, 1e-4, 1e-6, 1.0, 1.0])
    monkeypatch.setattr(deep, "fresh", noted)
    monkeypatch.setattr(deep, "again", noted)
    record = read_run(honest_runs / RUN)
    assert isinstance(record, FinishedRun)
    found = deep_checks(record)
    assert [fault.message for fault in found.faults] == ["worse"]
    assert [note.message for note in found.notes] == ["worse; chance alone does that once in 10,000 times"]
    assert found.held_out is not None
    assert found.held_out.mean == 2.5, "of the second look"
    task = record.config.task
    last = len(record.evaluation.marks) - 1
    assert looked == [
        ("policy_best.safetensors", "absolute", task.absolute_episodes, "greedy"),
        *[("policy.safetensors", f"greedy[{last}]", task.eval_episodes, "greedy")] * 2,
        *[("policy.safetensors", f"sampled[{last}]", task.eval_episodes, "sampled")] * 2,
    ]


def test_each_look_draws_other_seeds(honest_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can train on them, and none of them are public or revealed."""
    starts: list[int] = []
    scored = Evaluator.scored

    def noted(self: Evaluator, policy: object, first_seed: int | None = None, **given: Any) -> object:
        starts.append(given["noise_seed"] if first_seed is None else first_seed)
        return scored(self, policy, first_seed, **given)

    monkeypatch.setattr(Evaluator, "scored", noted)
    for _ in range(2):
        assert verify_directory(honest_runs / RUN, deep=deep_checks).verified
    assert len(set(starts)) == len(starts) == 2 * 5 * fresh.PLAYS
    assert min(starts) >= fresh.FIRST_SEED


def test_a_gap_that_chance_makes_is_no_fault() -> None:
    """With four episodes of 12, one deal in 495 has the four highest on one side: no fault, whatever the gap."""
    rng = np.random.default_rng(0)
    high, low = np.ones(4), np.zeros(8)
    assert fresh._chance_of_ranks(high, low, rng) == pytest.approx(1 / 495, rel=0.2)
    assert fresh._chance_of_ranks(high - 1, low, rng) > 0.1
    wild = np.concatenate([high[1:], [-1e9]])
    assert fresh._chance_of_ranks(wild, low, rng) < 0.2
    assert fresh._chance_of_ranks_again(high, np.zeros((2, 4))) == pytest.approx(1 / 81)
    assert fresh._chance_of_ranks_again(high, np.ones((2, 4))) == pytest.approx(1.0)
    assert fresh._chance_of_ranks(np.ones(32), np.zeros(64), rng) < fresh.MOST_BY_CHANCE


def test_small_gaps_are_faults_and_roundings_none(suite: SuiteConfig) -> None:
    """Whoever makes a task of his own chooses its span; another processor rounds some returns up and others down."""

    class Played:
        """Plays all episodes alike."""

        task = suite.tasks[0]

        def scored(self, *_: object, **__: object) -> object:
            return type("Played", (), {"returns": np.zeros(32)})

    policy = build_model(suite.runs()[0]).policy
    rounded = np.resize([5e-7, -5e-7], 32)
    for recorded, known in ((np.zeros(32), False), (np.full(32, 1e-3), True), (rounded, False)):
        given: Any = Played(), "file", "name", recorded
        for look in (fresh.fresh, fresh.again):
            assert (look(policy, *given, play="greedy")[0] < fresh.MOST_BY_CHANCE) == known


def test_a_policy_that_is_perfect_in_some_episodes_and_bad_in_others_is_found() -> None:
    """Mean ranks alone do not show it: an episode that is played badly on purpose pays for one that is known."""
    rng = np.random.default_rng(3)
    honest, known = rng.normal(0.3, 0.1, size=(1 + fresh.PLAYS, 32)), np.full(22, 1.0)
    recorded = np.concatenate([known, np.full(10, 0.0)])
    others = honest[1:]
    assert fresh._chance_of_ranks(recorded, others.ravel(), rng) > fresh.MOST_BY_CHANCE
    assert fresh._chance_of_ranks_again(recorded, others) > fresh.MOST_BY_CHANCE
    assert fresh._chance_of_best(recorded, others.ravel()) < 1e-20
    assert fresh._chance_of_best_again(recorded, others) < 1e-15
    for count, found in ((2, False), (6, True)):
        some = np.concatenate([known[:count], honest[0, count:]])
        assert (fresh._chance_of_best(some, others.ravel()) < fresh.MOST_BY_CHANCE) == found
    # Equal returns count against a suspicion: nothing is paid in most episodes of a policy that has not learnt.
    rare = np.concatenate([np.ones(2), np.zeros(30)])
    assert fresh._chance_of_best(rare, np.tile(rare, fresh.PLAYS)) == 1.0
    assert fresh._chance_of_best_again(rare, np.tile(rare, (fresh.PLAYS, 1))) == 1.0


@pytest.mark.parametrize("episodes", [32, 48, 128])
def test_returns_that_are_rarely_anything_are_no_fault(episodes: int) -> None:
    """Two lucky episodes of an untrained policy: by normal tails they would be five standard errors."""
    rng, least = np.random.default_rng(5), 1.0
    for _ in range(300):
        played = rng.binomial(1, 1e-3, size=(1 + fresh.PLAYS, episodes)).astype(float)
        least = min(least, fresh._chance_of_ranks(played[0], played[1:].ravel(), rng))
    assert least > 1e-4
    few = np.concatenate([np.ones(2), np.zeros(episodes - 2)])
    chance = fresh._chance_of_ranks(few, np.zeros(fresh.PLAYS * episodes), rng)
    assert chance == pytest.approx(1 / (1 + fresh.PLAYS) ** 2, rel=0.1)


def test_chances_are_those_of_dealing_at_random() -> None:
    """Of two good ones among six that are dealt to sets of two and four; of two episodes played three times."""
    assert fresh._chance_of_best(np.array([3.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0])) == pytest.approx(2 / 15)
    assert fresh._chance_of_best_again(np.ones(2), np.zeros((2, 2))) == pytest.approx(2 / 9)
    rng, below = np.random.default_rng(4), [0, 0]
    for _ in range(1000):
        played = rng.normal(size=(1 + fresh.PLAYS, 8))
        below[0] += fresh._chance_of_best(played[0], played[1:].ravel()) < 0.1
        below[1] += fresh._chance_of_best_again(played[0], played[1:]) < 0.1
    assert max(below) < 130, "as rare as they say, or rarer"


def test_ranks_of_very_many_episodes_are_not_convolved() -> None:
    """A hundred thousand would take hours; the normal tail of so many is the exact one."""
    rng = np.random.default_rng(6)
    played = rng.normal(size=(5, 1_100))
    played[0] += 0.12
    exact = fresh._chance_of_ranks_again(played[0, :1_000], played[1:, :1_000])
    usual = fresh._chance_of_ranks_again(played[0], played[1:])
    assert 1e-5 < usual < 5 * exact < 1e-2
    many = rng.normal(size=(3, 200_000))
    assert 1e-3 < fresh._chance_of_ranks_again(many[0], many[1:]) < 1.0
    still = np.zeros((3, 200_000))
    still[:, :4] = [[1.0] * 4, [0.0] * 4, [0.0] * 4]
    assert fresh._chance_of_ranks_again(still[0], still[1:]) == pytest.approx(1 / 81)


def test_many_returns_are_judged_by_normal_tails() -> None:
    """Equal returns are no gap."""
    rng, many = np.random.default_rng(1), np.random.default_rng(2).normal(size=(5, 300))
    for shift, least, most in ((0.0, 1e-2, 1.0), (0.25, 1e-6, 1e-2), (1.0, 0.0, 1e-20)):
        assert least <= fresh._chance_of_ranks(many[0] + shift, many[1:].ravel(), rng) <= most
        assert least <= fresh._chance_of_ranks_again(many[0] + shift, many[1:]) <= most
    assert fresh._chance_of_ranks_again(many[0], np.tile(many[0], (4, 1))) == pytest.approx(1.0)
