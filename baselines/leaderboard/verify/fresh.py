"""Does a policy play as well in episodes that nobody can have trained on?

Evaluation seeds are public, and so is the noise by which actions are sampled: a policy can be fitted to both, and know
by them what it must not see. Here seeds are drawn anew each time, and the noise follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.spec.config import TaskConfig
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["fresh_faults"]

LEAST_GAP = 0.05
"""A lower mean is a fault from this part of the task's span on: public episodes may be a little easier than most."""

MOST_BY_CHANCE = 1e-5
"""And only if episodes that are dealt at random to the two sets are as rarely so far apart."""

FIRST_SEED = 1 << 49
"""Above those of revealed episodes; as many follow."""

_SETS, _DRAWS, _CHUNK = 2, 1 << 18, 1 << 12


def fresh_faults(
    task: TaskConfig, policy: Any, evaluator: Evaluator, file: str, name: str, recorded: NDArray[np.float64]
) -> Iterator[Fault]:
    """Yield a fault if a policy plays worse, as its task is scored, in 2 E new episodes, E those of an evaluation.

    Args:
        task: of the run.
        policy: its weights loaded.
        evaluator: of the run.
        file: where the weights come from, for the message.
        name: field of ``evaluation.npz`` with the recorded returns, for the message.
        recorded: returns of public episodes, one-dimensional.
    """
    rng = np.random.default_rng()
    starts = rng.integers(FIRST_SEED, 2 * FIRST_SEED, size=_SETS).tolist()
    fresh = np.concatenate([evaluator.scored(policy, start).returns for start in starts])
    gap = float(recorded.mean() - fresh.mean())
    least = 0.0
    if task.random_score is not None and task.scripted_score is not None:
        least = LEAST_GAP * (task.scripted_score - task.random_score)
    if gap > least and _chance(recorded, fresh, rng) < MOST_BY_CHANCE:
        told = f"{recorded.mean():.6g} on average; in {len(fresh)} episodes whose seeds and noise were drawn just now"
        yield Fault(file, "", f"evaluation.npz's {name}: {told}, its weights get {fresh.mean():.6g}")


def _chance(recorded: NDArray[np.float64], fresh: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Return how often returns dealt at random to two sets of these sizes give the first one as high a mean.

    A gap of less than three standard errors is not looked at more closely: 1.
    """
    both, size = np.concatenate([recorded, fresh]), len(recorded)
    error = both.std() * np.sqrt(1 / size + 1 / len(fresh))
    if recorded.mean() - fresh.mean() < 3 * error:
        return 1.0
    total, as_high = recorded.sum(), 0
    for _ in range(_DRAWS // _CHUNK):
        dealt = rng.permuted(np.tile(both, (_CHUNK, 1)), axis=1)[:, :size]
        # Equal sums may be added up in another order.
        as_high += int((dealt.sum(axis=1) >= total - 1e-9 * abs(total)).sum())
    return (1 + as_high) / (1 + _DRAWS)
