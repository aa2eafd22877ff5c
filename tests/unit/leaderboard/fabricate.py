"""Fabricated runs: valid records without any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.records.artifacts import ActionLog, Evaluation, WeightsFile
from baselines.leaderboard.records.metadata_files import Costs, Git, Provenance, Sharing
from baselines.leaderboard.records.reader import Failure
from baselines.leaderboard.records.writer import RunResult, RunWriter
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig, evaluation_marks, seeds_of

TYPES = [0, 0, 1, 1]
PROVENANCE = Provenance(
    environment="BPS-1-v0",
    trace_digest="0" * 64,
    packages={"numpy": "2.0", "torch": "2.13.0"},
    git=Git(commit="a" * 40, modified=False),
    python="3.11.7",
    system="Linux",
    machine="x86_64",
    processor="some processor",
    cores=2,
)
COSTS = Costs(
    started_at="2026-01-01T00:00:00+00:00",
    finished_at="2026-01-01T00:01:00+00:00",
    wall_seconds=60.0,
    cpu_seconds=55.5,
    evaluation_seconds=3.0,
    peak_memory_bytes=300 * 2**20,
)


def suite_data(**changes: Any) -> dict[str, Any]:
    """A small suite as it would come from TOML: two tasks, two schemes, two seeds."""
    task = {
        "env": "BPS-1-v0",
        # Seeds 0 and 1 deal these types alike, so that a forger can pass one run off as the other.
        "params": {"groups": [3, 1]},
        "budget": 2_000,
        "eval_points": 3,
        "eval_episodes": 4,
        "absolute_episodes": 5,
        "random_score": -200.0,
        "scripted_score": -100.0,
    }
    data = {
        "name": "tiny",
        "schemes": ["fups_id", "adaps"],
        "seeds": [0, 1],
        "learner": {"num_lanes": 4, "net_arch": [8], "settings": {"n_steps": 5}},
        "tasks": [{"name": "one", **task}, {"name": "two", **task}],
    }
    return {**data, **changes}


def fabricate_result(config: RunConfig, score: float, identity_steps: int = 0) -> RunResult:
    """A result whose final greedy returns average to the normalised ``score`` exactly."""
    task, seeds = config.task, seeds_of(config)
    assert task.random_score is not None
    assert task.scripted_score is not None
    final = task.random_score + score * (task.scripted_score - task.random_score)
    heights = np.linspace(task.random_score, final, task.eval_points)
    episodes = np.linspace(-1.0, 1.0, task.eval_episodes)
    marks = np.array(evaluation_marks(task), np.int64)
    heights[marks < identity_steps] = task.random_score
    greedy = heights[:, None] + episodes
    evaluation = Evaluation(
        marks=marks,
        steps=np.maximum(marks, identity_steps),
        greedy=greedy,
        sampled=greedy - 1.0,
        seeds=np.arange(task.eval_episodes, dtype=np.int64) + seeds.evaluation_start,
        absolute=np.full(task.absolute_episodes, final),
        absolute_seeds=np.arange(task.absolute_episodes, dtype=np.int64) + seeds.absolute_start,
        best_point=np.array(task.eval_points - 1, np.int64),
    )
    actions = ActionLog(
        final=np.zeros((50, task.eval_episodes, 4), np.uint8),
        final_lengths=np.full(task.eval_episodes, 50, np.int64),
        absolute=np.ones((50, task.absolute_episodes, 4), np.uint8),
        absolute_lengths=np.full(task.absolute_episodes, 50, np.int64),
    )
    arrays = {"actor.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "labels": np.array(TYPES)}
    weights = WeightsFile(arrays, {})
    adaptive = config.scheme.name == "adaps"
    sharing = Sharing(
        scheme=config.scheme.label,
        env_steps=task.budget,
        identity_steps=identity_steps,
        parameters={"trainable": 100, "trainable_actor": 60, "trainable_critic": 40, "fixed_bits": 7},
        assignment=TYPES if adaptive else None,
        agent_types=TYPES,
        ari=1.0 if adaptive else None,
        summary={"groups": 2},
    )
    return RunResult(evaluation, actions, weights, weights, sharing)


def fabricate_run(out: Path, config: RunConfig, score: float, identity_steps: int = 0, costs: Costs = COSTS) -> Path:
    """Write a finished run with the given normalised score; return its directory."""
    directory = out / config.run_id
    writer = RunWriter(directory, config)
    for point in range(config.task.eval_points):
        writer.add_evaluation({"point": point, "learner": {"train/value_loss": float("nan") if point == 0 else 0.5}})
    writer.finish(fabricate_result(config, score, identity_steps), costs, PROVENANCE)
    return directory


def fabricate_failure(out: Path, config: RunConfig, message: str = "loss is NaN") -> Path:
    """Write a failed run; return its directory."""
    directory = out / config.run_id
    RunWriter(directory, config).fail(Failure("ValueError", message, "Traceback ..."), COSTS, PROVENANCE)
    return directory


SCORES = {("fups_id", 0): 0.2, ("fups_id", 1): 0.4, ("adaps", 0): 0.8, ("adaps", 1): 1.0}


def fabricate_suite(out: Path, suite: SuiteConfig) -> None:
    """Write every run of :func:`suite_data`'s suite, with the scores above, and the suite itself."""
    for run in suite.runs():
        identity = 300 if run.scheme.name == "adaps" else 0
        fabricate_run(out, run, SCORES[run.scheme.name, run.seed], identity)
    write_suite_file(suite, out)


def snapshot(directory: Path) -> dict[str, bytes]:
    """All bytes below a directory by relative path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
