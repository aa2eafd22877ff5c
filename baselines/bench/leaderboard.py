"""What a leaderboard run costs beside its bare trainings: CPU seconds of whole process trees, and cores kept busy.

A bare training is ``build_model(run).learn(budget)`` of the same run, in as many processes of one thread as the
leaderboard has workers. It leaves out everything else that ``adaps leaderboard run`` does: evaluation and its action
log, stopping points, partial logs, records with their hashes, provenance and diagnostics, progress display, the check
of the suite, scheduling, and the report with its site. Evaluation is part of the protocol and no training could be
scored without it, so the trainings are run a third time with every evaluation, which is then thrown away.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from baselines.leaderboard.execution.engine import THREAD_VARIABLES
from baselines.leaderboard.spec.config import RunConfig
from baselines.leaderboard.spec.loading import load_suite

__all__ = ["leaderboard_costs", "train_bare"]

WORKERS = 2
_TRAIN_BARE = "from baselines.bench.leaderboard import train_bare; train_bare({suite!r}, {evaluate}, {workers})"


def leaderboard_costs(suite: str = "quick", *, repeats: int = 1, workers: int = WORKERS) -> dict[str, Any]:
    """Return CPU and wall seconds of a suite ``bare``, ``evaluated`` and run by the ``leaderboard``, as medians.

    ``overhead`` and ``overhead_beside_evaluated`` are the medians of what the leaderboard's CPU seconds are above those
    of the same repetition, as shares; ``cores_busy`` is its CPU seconds a wall second, which a loaded machine lowers.

    Args:
        suite: built-in suite or ``.toml`` file; all of its runs are trained.
        repeats: interleaved repetitions of the three.
        workers: processes at once.

    Raises:
        CalledProcessError: one of the three has failed.
    """
    rounds = [_round(suite, workers) for _ in range(repeats)]

    def median(kind: str, unit: str) -> float:
        return statistics.median(one[kind][unit] for one in rounds)

    def above(kind: str) -> float:
        return statistics.median(one["leaderboard"]["cpu"] / one[kind]["cpu"] - 1 for one in rounds)

    costs = {
        f"{kind}_{unit}_seconds": median(kind, unit)
        for kind in ("bare", "evaluated", "leaderboard")
        for unit in ("cpu", "wall")
    }
    return {
        "suite": suite, "runs": len(load_suite(suite).runs()), "workers": workers, **costs,
        "overhead": above("bare"), "overhead_beside_evaluated": above("evaluated"),
        "cores_busy": statistics.median(one["leaderboard"]["cpu"] / one["leaderboard"]["wall"] for one in rounds),
    }  # fmt: skip


def train_bare(suite: str, evaluate: bool, workers: int = WORKERS) -> None:
    """Train every run of a suite in ``workers`` processes and keep nothing.

    Args:
        suite: built-in suite or ``.toml`` file.
        evaluate: whether to play all evaluation episodes of the runs, too.
        workers: processes at once, each started anew.
    """
    jobs = [(config, evaluate) for config in load_suite(suite).runs()]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.starmap(_train, jobs, chunksize=1)
        # Left to themselves they are killed, and what nobody waits for is not counted.
        pool.close()
        pool.join()


def _train(config: RunConfig, evaluate: bool) -> None:
    import torch

    from baselines.leaderboard.execution.evaluation import Evaluator, LeaderboardCallback
    from baselines.leaderboard.execution.learner import build_model

    torch.set_num_threads(1)
    model = build_model(config)
    if not evaluate:
        model.learn(config.task.budget, log_interval=None)
        return
    evaluator = Evaluator(config)
    callback = LeaderboardCallback(evaluator, config, lambda point: None, lambda steps: None)
    model.learn(config.task.budget, callback, log_interval=None)
    evaluator.absolute(model.policy)


def _round(suite: str, workers: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "baselines", "leaderboard", "run", "--suite", suite, "--jobs", str(workers), "--out"]
        return {
            "bare": _spent("-c", _TRAIN_BARE.format(suite=suite, evaluate=False, workers=workers)),
            "evaluated": _spent("-c", _TRAIN_BARE.format(suite=suite, evaluate=True, workers=workers)),
            "leaderboard": _spent(*command, str(Path(folder) / "runs")),
        }


def _spent(*arguments: str) -> dict[str, float]:
    """Run Python and return CPU seconds of it and of all processes that it has waited for, and wall seconds."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    before, started = _children_seconds(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return {"cpu": _children_seconds() - before, "wall": time.perf_counter() - started}


def _children_seconds() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system
