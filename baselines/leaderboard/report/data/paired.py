"""Two schemes side by side, pair by pair: the same seeds, in the same evaluation episodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import UnknownNameError, suggest
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.records.reader import FinishedRun
from baselines.leaderboard.report.data.collect import check_comparable, read_all
from baselines.leaderboard.report.data.values import finite
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.bootstrap import named_generator

__all__ = ["Comparison", "compare_schemes", "comparison_line"]


@dataclass(frozen=True)
class Comparison:
    """Scheme ``a`` against scheme ``b`` on one task, at the budget.

    Attributes:
        task, a, b: names.
        seeds: run seeds that both have finished; only these count.
        episodes: evaluation episodes that all these runs have in common.
        difference: mean normalised return of ``a`` minus that of ``b`` over seeds and episodes.
        low, high: 95 % interval of it, seeds and episodes resampled in pairs; None with fewer than two seeds.
        runs_better: share of the seeds in which ``a`` is ahead, ties half.
        episodes_better: share of the pairs of episodes in which ``a`` is ahead, ties half.
        effect_size: Cohen's d_z, the mean difference of the seeds over its standard deviation; None with fewer than two
            seeds, or where all seeds differ by the same.
        superiority: probability that a run of ``a`` beats one of ``b``, whatever their seeds; ties half.
        p: of the exact two-sided sign-flip test over seeds.
        p_smallest: the smallest p that so many seeds can give.
    """

    task: str
    a: str
    b: str
    seeds: tuple[int, ...]
    episodes: int
    difference: float
    low: float | None
    high: float | None
    runs_better: float
    episodes_better: float
    effect_size: float | None
    superiority: float
    p: float
    p_smallest: float

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**asdict(self), "seeds": list(self.seeds)}


def compare_schemes(out: Path, a: str, b: str) -> list[Comparison]:
    """Compare two schemes, by their labels in the board, on every task where both have a seed in common.

    Raises:
        UnknownNameError: ``out`` has no finished run of one of them.
        ConfigError: the two are one, or no seed of any task is finished for both.
        ConfigMismatchError: runs of a task differ in more than scheme and seed.
    """
    if a == b:
        raise ConfigError(f"{a!r} cannot be compared with itself; give two schemes.")
    records = [record for record in read_all(out)[0] if record.status == "done"]
    check_comparable(records)
    labels = list(dict.fromkeys(record.config.scheme.label for record in records))
    for label in (a, b):
        if label not in labels:
            raise UnknownNameError(f"{out} has no finished run of {label!r}. {suggest(label, labels)}")
    tasks = dict.fromkeys(record.config.task.name for record in records)
    found = [comparison for task in tasks for comparison in _compare_on(task, a, b, records)]
    if not found:
        raise ConfigError(f"{out}: {a} and {b} have no finished seed in common on any scored task; run them both.")
    return found


def comparison_line(comparison: Comparison) -> str:
    """Return the comparison as one line of text."""
    interval = "" if comparison.low is None else f" [{comparison.low:+.3f}, {comparison.high:+.3f}]"
    effect = "" if comparison.effect_size is None else f"; d_z = {comparison.effect_size:+.2f}"
    return (
        f"{comparison.task}: {comparison.a} - {comparison.b} = {comparison.difference:+.3f}{interval}; ahead in "
        f"{comparison.runs_better:.0%} of {len(comparison.seeds)} seeds and "
        f"{comparison.episodes_better:.0%} of {len(comparison.seeds) * comparison.episodes} paired episodes"
        f"{effect}; P(a run beats one of the other) = {comparison.superiority:.2f}; sign-flip test over seeds: "
        f"p = {comparison.p:.3g}, the smallest possible is {comparison.p_smallest:.3g}"
    )


def _compare_on(task: str, a: str, b: str, records: list[FinishedRun]) -> Iterator[Comparison]:
    runs = {
        label: {
            record.config.seed: record
            for record in records
            if (record.config.task.name, record.config.scheme.label) == (task, label)
        }
        for label in (a, b)
    }
    seeds = tuple(sorted(runs[a].keys() & runs[b].keys()))
    if not seeds or runs[a][seeds[0]].config.task.random_score is None:
        return
    mine, theirs = (_final_returns([runs[label][seed] for seed in seeds]) for label in (a, b))
    differences = mine - theirs
    by_seed = differences.mean(axis=1)
    p, p_smallest = stats.sign_flip_test(by_seed, named_generator("sign flips", task, a, b))
    low, high = stats.paired_interval(differences, named_generator("compare", task, a, b))
    yield Comparison(
        task, a, b, seeds, differences.shape[1], float(differences.mean()),
        finite(low), finite(high),
        _ahead(by_seed), _ahead(differences),
        finite(stats.standardised_difference(by_seed)), stats.superiority(mine.mean(axis=1), theirs.mean(axis=1)),
        p, p_smallest,
    )  # fmt: skip


def _final_returns(runs: list[FinishedRun]) -> NDArray[np.float64]:
    """Normalised returns of the last point, ``[R, E]``; all runs of a task meet the same episodes."""
    rows = []
    for record in runs:
        rows.append(record.config.task.normalise(record.evaluation.scored(record.config.task)[-1]))
    return np.stack(rows)


def _ahead(differences: NDArray[np.float64]) -> float:
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())
