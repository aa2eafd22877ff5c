"""Does a policy play as well in episodes that nobody can have trained on?

Evaluation seeds are public, and so are the noise by which actions are sampled and how sums are rounded: a policy can be
fitted to all three, and know by them what it must not see. Here seeds and noise are drawn anew each time, weights are
changed by up to a millionth, and play is computed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.verify.choices import shaken
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["again_faults", "fresh_faults", "played_anew"]

LEAST_GAP = 0.05
"""A lower mean in new episodes is a fault from this part of the task's span on: public ones may be a little easier."""

MOST_BY_CHANCE = 1e-5
"""And only if returns that are dealt at random are as rarely so far apart: fewer than four episodes are too few."""

FIRST_SEED = 1 << 49
"""Above those of revealed episodes; as many follow."""

# How often all episodes are played, and how many that makes, at least: with few of them, more times show as much.
_NEW, _NEW_EPISODES = 2, 64
_AGAIN, _AGAIN_EPISODES = 4, 128
# Sums of more ranks are as good as normal, and take long to deal.
_MOST_DEALT = 256
_DRAWS, _CHUNK = 1 << 18, 1 << 12


def played_anew(episodes: int) -> int:
    """Return how often both policies of a run play so many episodes in all."""
    return 2 * _times_new(episodes) + _times_again(episodes)


def _times_new(episodes: int) -> int:
    return max(_NEW, _NEW_EPISODES // episodes)


def _times_again(episodes: int) -> int:
    return max(_AGAIN, _AGAIN_EPISODES // episodes)


def fresh_faults(
    policy: Any, evaluator: Evaluator, file: str, name: str, recorded: NDArray[np.float64]
) -> Iterator[Fault]:
    """Yield a fault if a policy plays worse, as its task is scored, in new episodes, at least twice as many.

    Args:
        policy: its weights loaded.
        evaluator: of the run.
        file: where the weights come from, for the message.
        name: field of ``evaluation.npz`` with the recorded returns, for the message.
        recorded: returns of public episodes, ``[E]``.
    """
    rng = np.random.default_rng()
    task, span = evaluator.task, 0.0
    times = range(_times_new(task.eval_episodes))
    fresh = np.concatenate([_play(policy, evaluator, rng, first_seed=_seed(rng)) for _ in times])
    if task.random_score is not None and task.scripted_score is not None:
        span = task.scripted_score - task.random_score
    far = recorded.mean() - fresh.mean() > LEAST_GAP * span
    if far and _chance_of_sets(recorded, fresh, rng) < MOST_BY_CHANCE:
        yield _fault(file, name, recorded, fresh, f"in {len(fresh)} episodes whose seeds and noise were drawn just now")


def again_faults(
    policy: Any, evaluator: Evaluator, file: str, name: str, recorded: NDArray[np.float64]
) -> Iterator[Fault]:
    """Yield a fault if a policy plays its last evaluation ``[E]`` worse when it plays it again.

    Arguments are those of :func:`fresh_faults`. Episodes are compared with themselves, so how easy they are is of no
    account and a smaller gap is found.
    """
    rng = np.random.default_rng()
    times = _times_again(len(recorded))
    others = np.stack([_play(policy, evaluator, rng, noise_seed=_seed(rng)) for _ in range(times)])
    if _chance_of_times(recorded, others, rng) < MOST_BY_CHANCE:
        where = f"played again {times} times, with noise and last digits of weights that were drawn just now"
        yield _fault(file, name, recorded, others, where)


def _play(policy: Any, evaluator: Evaluator, rng: np.random.Generator, **seeds: int) -> NDArray[np.float64]:
    with shaken(policy, rng) as dtype:
        return evaluator.scored(policy, dtype=dtype, **seeds).returns


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(FIRST_SEED, 2 * FIRST_SEED))


def _fault(file: str, name: str, recorded: NDArray[np.float64], others: NDArray[np.float64], where: str) -> Fault:
    message = f"{recorded.mean():.6g} on average; {where}, its weights get {others.mean():.6g}"
    return Fault(file, "", f"evaluation.npz's {name}: {message}")


def _chance_of_sets(recorded: NDArray[np.float64], fresh: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Return how often returns dealt at random to two sets of these sizes give the first one as high a mean rank.

    Ranks, because one wild episode on purpose would otherwise hide the gap of all others.
    """
    ranks, size = rankdata(np.concatenate([recorded, fresh])), len(recorded)
    number, total = len(ranks), ranks[:size].sum()
    if number > _MOST_DEALT:
        variance = size * (number - size) / (number - 1) * ranks.var()
        return _normal_tail(total - size * ranks.mean(), variance)
    dealt = (rng.permuted(np.tile(ranks, (_CHUNK, 1)), axis=1)[:, :size] for _ in range(_DRAWS // _CHUNK))
    return _share(total, np.concatenate([part.sum(axis=1) for part in dealt]))


def _chance_of_times(recorded: NDArray[np.float64], others: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Return how often one return of each episode, drawn at random, gives as high a mean rank as the recorded ones.

    They are ``[E]``, others ``[K, E]``, of the same episodes; ranks are within an episode.
    """
    ranks, episodes = rankdata(np.concatenate([recorded[None], others]), axis=0), np.arange(len(recorded))
    total = ranks[0].sum()
    if len(episodes) > _MOST_DEALT:
        return _normal_tail(total - ranks.mean(axis=0).sum(), ranks.var(axis=0).sum())
    picks = (rng.integers(len(ranks), size=(_CHUNK, len(episodes))) for _ in range(_DRAWS // _CHUNK))
    return _share(total, np.concatenate([ranks[pick, episodes].sum(axis=1) for pick in picks]))


def _share(total: float, drawn: NDArray[np.float64]) -> float:
    # Ranks are multiples of one half: their sums are exact.
    return float((1 + (drawn >= total).sum()) / (1 + len(drawn)))


def _normal_tail(excess: float, variance: float) -> float:
    return float(norm.sf(excess / np.sqrt(variance))) if variance > 0.0 else 1.0
