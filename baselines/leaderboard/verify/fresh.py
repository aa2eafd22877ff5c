"""Does a policy play as well in episodes that nobody can have trained on?

Evaluation seeds are public, and so are the noise by which actions are sampled and how sums are rounded: a policy can be
fitted to all three, and know by them what it must not see. Here seeds and noise are drawn anew each time, weights are
changed by up to a millionth, and play is computed in float64.

Two things are looked at, because each can be hidden from the other. A policy that is a little better in all public
episodes has too high a mean rank; one that is perfect in some and bad on purpose in others has too many of the best.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom, norm, rankdata

from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.replay import tolerance
from baselines.leaderboard.verify.choices import shaken
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["MOST_BY_CHANCE", "PLAYS", "RARE", "Anew", "again", "chance_of", "fresh", "held_out_returns"]

PLAYS = 24
"""How often E new episodes are played, or those of the last evaluation again."""

MOST_BY_CHANCE, RARE = 1e-5, 1e-3
"""Returns are a fault, or worth a note, if those that are dealt at random are as rarely so far apart."""

FIRST_SEED = 1 << 49
"""Above those of revealed episodes; as many follow."""

# What normal tails call more usual is not dealt.
_USUAL = 1e-2
# The sum of the ranks of more episodes is as good as normal, and takes long to be convolved.
_CONVOLVED = 1_000
_DRAWS, _DRAWN_AT_ONCE = 1 << 18, 1 << 22


class Anew(NamedTuple):
    """What came of playing anew.

    Attributes:
        chance: how rarely chance alone makes recorded returns so much better.
        fault: that it is if it is too small.
        seed: by which :func:`held_out_returns` gives the episodes and their noise again.
        returns: team returns, ``[24 E]`` of new episodes or ``[24, E]`` of the same ones.
    """

    chance: float
    fault: Fault
    seed: int
    returns: NDArray[np.float64]


def fresh(policy: Any, evaluator: Evaluator, file: str, name: str, recorded: NDArray[np.float64], *, play: str) -> Anew:
    """Play :data:`PLAYS` times E new episodes, and compare the recorded ones with them.

    Args:
        policy: its weights loaded.
        evaluator: of the run.
        file: where the weights come from, for the message.
        name: field of ``evaluation.npz`` with the recorded returns, for the message.
        recorded: returns of public episodes, ``[E]``.
        play: how they were played, ``greedy`` or ``sampled``.
    """
    seed = _seed(np.random.default_rng())
    others = held_out_returns(policy, evaluator, seed, play=play)
    chance = chance_of(_least(evaluator, recorded), others)
    where = f"in {len(others)} episodes whose seeds and noise were drawn just now"
    return Anew(chance, _fault(file, name, recorded, others, where), seed, others)


def held_out_returns(policy: Any, evaluator: Evaluator, seed: int, *, play: str) -> NDArray[np.float64]:
    """Play :data:`PLAYS` times E new episodes, which follow from a seed with their noise; return ``[24 E]`` returns."""
    rng = np.random.default_rng(seed)
    return np.concatenate([_play(policy, evaluator, rng, play, first_seed=_seed(rng)) for _ in range(PLAYS)])


def chance_of(recorded: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return how rarely chance alone makes the returns ``[E]`` so much better than others ``[N]``, in one respect."""
    return min(_chance_of_best(recorded, others), _chance_of_ranks(recorded, others, np.random.default_rng()))


def again(policy: Any, evaluator: Evaluator, file: str, name: str, recorded: NDArray[np.float64], *, play: str) -> Anew:
    """Play the last evaluation ``[E]`` again :data:`PLAYS` times; arguments are those of :func:`fresh`.

    Episodes are compared with themselves, so how easy they are is of no account and a smaller gap is found.
    """
    seed = _seed(np.random.default_rng())
    rng = np.random.default_rng(seed)
    others = np.stack([_play(policy, evaluator, rng, play, noise_seed=_seed(rng)) for _ in range(PLAYS)])
    least = _least(evaluator, recorded)
    chance = min(_chance_of_best_again(least, others), _chance_of_ranks_again(least, others))
    where = f"played again {PLAYS} times, with noise and last digits of weights that were drawn just now"
    return Anew(chance, _fault(file, name, recorded, others, where), seed, others)


def _play(policy: Any, evaluator: Evaluator, rng: np.random.Generator, play: str, **seeds: int) -> NDArray[np.float64]:
    with shaken(policy, rng) as dtype:
        return evaluator.scored(policy, dtype=dtype, play=play, **seeds).returns


def _least(evaluator: Evaluator, recorded: NDArray[np.float64]) -> NDArray[np.float64]:
    # Of equal play, one that another processor rounded up must not count as the better one.
    return recorded - tolerance(evaluator.task, recorded)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(FIRST_SEED, 2 * FIRST_SEED))


def _fault(file: str, name: str, recorded: NDArray[np.float64], others: NDArray[np.float64], where: str) -> Fault:
    message = f"{recorded.mean():.6g} on average; {where}, its weights get {others.mean():.6g}"
    return Fault(file, "", f"evaluation.npz's {name}: {message}")


def _chance_of_best(recorded: NDArray[np.float64], fresh: NDArray[np.float64]) -> float:
    """Return how often returns dealt at random give the first set so many of the best, for the most telling number.

    For each j: of the returns down to the j-th best recorded one, j are recorded; the number of them in random deals is
    hypergeometric. Worse returns further down change nothing. Times the number of j.
    """
    size, all_ = len(recorded), len(recorded) + len(fresh)
    best = np.arange(1, size + 1)
    above = len(fresh) - np.searchsorted(np.sort(fresh), np.sort(recorded)[::-1])
    return float(min(1.0, size * hypergeom.sf(best - 1, all_, size, best + above).min()))


def _chance_of_best_again(recorded: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return how often as many episodes ``[E]`` stand so high among all times ``[K, E]``, for the most telling place.

    Which of its 1 + K times is the recorded one is random in each episode, so the number of episodes in which fewer
    than k are as good is binomial. Times the number of k.
    """
    times, episodes = others.shape
    places = (others >= recorded).sum(axis=0)
    below = np.arange(1, times + 1)
    found = (places < below[:, None]).sum(axis=1)
    return float(min(1.0, times * binom.sf(found - 1, episodes, below / (times + 1)).min()))


def _chance_of_ranks(recorded: NDArray[np.float64], fresh: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Return how often returns dealt at random to two sets of these sizes give the first one as high a mean rank.

    Ranks, because one wild episode on purpose would otherwise hide the gap of all others. Their sum is as good as
    normal, unless more than half of the returns are equal, as where most episodes bring nothing.
    """
    ranks, size = rankdata(np.concatenate([recorded, fresh])), len(recorded)
    number, total = len(ranks), ranks[:size].sum()
    variance = size * (number - size) / (number - 1) * ranks.var()
    chance = float(norm.sf((total - size * ranks.mean()) / np.sqrt(variance))) if variance > 0.0 else 1.0
    values, counts = np.unique(ranks, return_counts=True)
    if chance > _USUAL or 2 * counts.max() <= number:
        return chance
    # Ranks are multiples of one half: their sums are exact.
    chunk = max(1, _DRAWN_AT_ONCE // len(values))
    parts = [min(chunk, _DRAWS - start) for start in range(0, _DRAWS, chunk)]
    sums = np.concatenate([rng.multivariate_hypergeometric(counts, size, part) @ values for part in parts])
    return float((1 + (sums >= total).sum()) / (1 + len(sums)))


def _chance_of_ranks_again(recorded: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return how often one return of each episode, drawn at random, gives as high a mean rank as the recorded ones.

    They are ``[E]``, others ``[K, E]``, of the same episodes; ranks are within an episode.
    """
    # Twice a rank is a whole number, so the distribution of the sum is one convolution after the other.
    ranks = np.rint(2 * rankdata(np.concatenate([recorded[None], others]), axis=0)).astype(np.int64)
    # Episodes that always end alike tell nothing.
    ranks = ranks[:, (ranks != ranks[0]).any(axis=0)]
    if ranks.shape[1] > _CONVOLVED:
        above = ranks[0].sum() - ranks.mean(axis=0).sum()
        return float(norm.sf(above / np.sqrt(ranks.var(axis=0).sum())))
    chances = np.ones(1)
    for episode in ranks.T:
        chances = np.convolve(chances, np.bincount(episode) / len(ranks))
    return float(chances[ranks[0].sum() :].sum())
