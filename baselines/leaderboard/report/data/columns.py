"""The columns of every form of the board, declared once: heading, meaning, how a row is shown and what it sorts by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from baselines.leaderboard.records.held_out import MOST_LUCK
from baselines.leaderboard.report.data.archive import ArchiveRow
from baselines.leaderboard.report.data.comparisons import BASELINE
from baselines.leaderboard.report.data.rows import GAP_ERRORS, BoardRow, TotalRow
from baselines.leaderboard.report.data.values import decimal

__all__ = [
    "ARCHIVE_COLUMNS",
    "AREA",
    "COST_COLUMNS",
    "INTERVAL",
    "LATEX_COLUMNS",
    "LATEX_TOTAL_COLUMNS",
    "LEGEND",
    "ON_SOME_BOARDS",
    "RANK",
    "README_COLUMNS",
    "README_TOTAL_COLUMNS",
    "RUNS",
    "SCHEME",
    "SCORE",
    "SCORE_COLUMNS",
    "TASK",
    "TOTAL_COLUMNS",
    "TOTAL_RUNS",
    "TRAINABLE",
    "TYPES",
    "AnyRow",
    "Column",
    "present",
]


AnyRow: TypeAlias = BoardRow | TotalRow | ArchiveRow

# What stands behind a column. Replayed ones have no mark.
DEEP, TOLD = "‡", "†"

LEGEND = (
    "Columns without a mark follow from recorded actions, which verification replays, from the groups in the stored "
    f"weights and from the hidden types. {DEEP} follows from the stored policies, which deep verification plays and "
    f"measures again. {TOLD} is the word of whoever made the runs, and so is the number of failed ones: no "
    "verification can recompute it. Where the column `held-out` has a number, score and return, and what follows from "
    f"them, are {DEEP}, too. Where a row has light runs, which lack the weights and the actions of the absolute "
    f"episodes, all that follows from these is {TOLD}, too."
)
"""The one explanation of the marks, for pages and tables."""


@dataclass(frozen=True)
class Column:
    """A column of the board.

    Attributes:
        heading: short name, the same in every form of the board.
        meaning: one line.
        show: text of a row.
        key: field of the row that it sorts by.
        numeric: whether it holds numbers.
        best_high: whether a reader who sorts by it wants the highest first.
        interval: whether it shows a score's interval, which a page may draw.
        mark: how far it can be verified, see :data:`LEGEND`.
        light_mark: the same in a table that has light runs.
    """

    heading: str
    meaning: str
    show: Callable[[Any], str]
    key: str
    numeric: bool = True
    best_high: bool = False
    interval: bool = False
    mark: str = ""
    light_mark: str = ""

    def marked(self, rows: Sequence[AnyRow]) -> str:
        """The heading with its mark, over some rows."""
        return f"{self.heading} {self.mark_over(rows)}".rstrip()

    def mark_over(self, rows: Sequence[AnyRow]) -> str:
        """How far the column can be verified in all of some rows."""
        return self.light_mark if any(getattr(row, "light", 0) for row in rows) else self.mark

    def value(self, row: AnyRow) -> Any:
        """Return what the row sorts by; None sorts last."""
        return getattr(row, self.key)


def present(columns: Sequence[Column], rows: Sequence[AnyRow]) -> list[Column]:
    """Return the columns that have something in any of the rows; records need not hold every measurement."""
    return [column for column in columns if any(column.value(row) is not None for row in rows)]


def _plain(
    heading: str, meaning: str, key: str, text: Callable[[Any], str], *, numeric: bool = True, best_high: bool = False,
    mark: str = "", light_mark: str = "",
) -> Column:  # fmt: skip
    """Return a column that shows one field, and nothing where it is None."""

    def show(row: AnyRow) -> str:
        value = getattr(row, key)
        return "" if value is None else text(value)

    light_mark = light_mark or (TOLD if mark == DEEP else mark)
    return Column(heading, meaning, show, key, numeric=numeric, best_high=best_high, mark=mark, light_mark=light_mark)


def _number(
    heading: str, meaning: str, key: str, digits: int = 3, *, best_high: bool = False, mark: str = "",
    light_mark: str = "",
) -> Column:  # fmt: skip
    return _plain(
        heading, meaning, key, lambda value: decimal(value, digits), best_high=best_high, mark=mark,
        light_mark=light_mark,
    )  # fmt: skip


def _count(heading: str, meaning: str, key: str, *, mark: str = "") -> Column:
    return _plain(heading, meaning, key, lambda value: f"{value:,}", mark=mark)


def _interval(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None or high is None else f"[{decimal(low, digits)}, {decimal(high, digits)}]"


def _improvement(row: BoardRow | TotalRow) -> str:
    if row.improvement is None:
        return ""
    return f"{row.improvement:.2f} {_interval(row.improvement_low, row.improvement_high, 2)}".rstrip()


def _runs(row: BoardRow) -> str:
    others = ((row.light, "light"), (row.failed, "failed"), (row.open, "open"))
    return ", ".join([str(row.runs), *(f"{count} {what}" for count, what in others if count)])


def _revealed(row: BoardRow) -> str:
    if row.revealed_iqm is None:
        return ""
    if not row.revealed_gap:
        return decimal(row.revealed_iqm, 3)
    return f"{decimal(row.revealed_iqm, 3)} (gap {row.revealed_difference:+.3f} ± {row.revealed_error:.3f})"


def _held_out_ari(row: BoardRow) -> str:
    if row.held_out_ari is None:
        return ""
    return decimal(row.held_out_ari, 2) + " (no rank)" * row.lucky


def _types(row: BoardRow | TotalRow) -> str:
    return "told" if row.told_types else "given" if row.given_groups else ""


RANK = _plain("#", "rank within its task: one more than the rows whose intervals lie wholly above", "rank", str)
TASK = _plain("task", "environment, budget and evaluation", "task", str, numeric=False)
SCHEME = _plain("scheme", "parameter-sharing scheme", "scheme", str, numeric=False)
SCORE = _number(
    "score",
    "return at the budget, greedy or sampled as the task says: 0 random, 1 scripted; interquartile mean of runs",
    "iqm",
    best_high=True,
)
INTERVAL = Column(
    "95 % interval",
    "of the score: stratified bootstrap over runs; sorts by its lower end",
    lambda row: _interval(row.ci_low, row.ci_high, 3),
    "ci_low",
    best_high=True,
    interval=True,
)
HELD_OUT = _count(
    "held-out",
    "episodes that score and return rest on, drawn when the row was added; where there are none, they rest on the "
    "recorded ones, which the columns `greedy` and `sampled` always show",
    "held_out_episodes",
)
REVEALED = Column(
    "revealed",
    "score in episodes whose seeds were secret until the board was closed; gap: how far the score's mean lies above "
    f"this one's, where that is more than {GAP_ERRORS} standard errors of the episodes",
    _revealed,
    "revealed_iqm",
    best_high=True,
)
AREA = _number(
    "area",
    "mean height of the learning curve up to the budget, identity steps included; its inner points have no actions",
    "auc",
    best_high=True,
    mark=TOLD,
)
BETTER = Column(
    f"P(> {BASELINE})",
    f"probability that a run beats one of {BASELINE}, with 95 % interval",
    _improvement,
    "improvement",
    best_high=True,
)
ARI = _number(
    "ARI",
    "adjusted Rand index of the partition used against the hidden types",
    "ari",
    2,
    best_high=True,
    light_mark=TOLD,
)
HELD_OUT_ARI = Column(
    "held-out ARI",
    "the same of the partitions that the identity phase finds with other seeds, where its settings are the author's; a "
    f"row whose ARI is more than {MOST_LUCK} higher has no rank",
    _held_out_ari,
    "held_out_ari",
    best_high=True,
    mark=DEEP,
    light_mark=TOLD,
)
TYPES = Column(
    "types",
    "told: the scheme is handed the hidden types, so that its ARI is 1 by definition; given: it is handed its groups",
    _types,
    "told_types",
    numeric=False,
    mark=DEEP,
    light_mark=TOLD,
)
RUNS = Column("runs", "finished runs; light, failed and open ones are named", _runs, "runs", best_high=True)
RETRAINED = _count(
    "retrained", "runs that were trained again when the row was added, with the same bytes", "retrained", mark=TOLD
)
TRAINABLE = _count("trainable", "trainable parameters, actor and critic", "trainable_parameters", mark=DEEP)
FLOPS = _count("FLOPs", "floating-point operations of one agent's decision", "flops_per_decision", mark=DEEP)
CPU = _number("CPU s", "processor seconds of a run, evaluation included (mean)", "cpu_seconds", 1, mark=TOLD)
RETURN = _number("return", "mean team return at the budget, not normalised", "return_mean", 1, best_high=True)
MEDIAN = _number("median", "median over runs; over several tasks, of the tasks' means", "median", best_high=True)
MEAN = _number("mean", "mean over runs; over several tasks, of the tasks' means", "mean", best_high=True)
GAP = _number("gap", "optimality gap: how far below 1 on average, runs above 1 counting as 1", "optimality_gap")

SCORE_COLUMNS = (
    RANK,
    SCHEME,
    SCORE,
    INTERVAL,
    HELD_OUT,
    AREA,
    REVEALED,
    RETURN,
    _number("greedy", "score with the most likely actions", "greedy_iqm", best_high=True, mark=DEEP),
    _number("sampled", "score with sampled actions", "sampled_iqm", best_high=True, mark=DEEP),
    _number(
        "best",
        "score of the best point's policy in fresh episodes (absolute metric)",
        "absolute_iqm",
        best_high=True,
        light_mark=TOLD,
    ),
    BETTER,
    ARI,
    HELD_OUT_ARI,
    TYPES,
    RUNS,
    RETRAINED,
)

COST_COLUMNS = (
    SCHEME,
    TRAINABLE,
    _count("actor", "trainable parameters of the actor", "trainable_actor", mark=DEEP),
    _count("critic", "trainable parameters of the critic", "trainable_critic", mark=DEEP),
    _count("fixed", "parameters that are never trained", "fixed_parameters", mark=DEEP),
    _count("fixed bits", "bits of fixed masks", "fixed_bits", mark=DEEP),
    _count("pretraining", "parameters used in the identity phase alone", "pretraining_parameters", mark=DEEP),
    FLOPS,
    _number(
        "SND",
        "System Neural Diversity: mean Jensen-Shannon distance between two agents' action distributions",
        "snd",
        mark=DEEP,
    ),
    _count(
        "identity steps", "environment steps of the identity phase, part of the budget", "identity_steps", mark=TOLD
    ),
    _count("steps", "environment steps in all", "env_steps", mark=TOLD),
    _count("tried", "settings tried in tuning, as declared; 0: defaults", "tuning_configurations", mark=TOLD),
    _count("tuning steps", "environment steps spent on tuning, as declared", "tuning_env_steps", mark=TOLD),
    CPU,
    _number("wall s", "seconds of a run (mean)", "wall_seconds", 1, mark=TOLD),
    _plain(
        "peak MiB",
        "peak memory of the run's process (mean)",
        "peak_memory_bytes",
        lambda size: f"{size / 2**20:.0f}",
        mark=TOLD,
    ),
)

TOTAL_COLUMNS = (RANK, SCHEME, SCORE, INTERVAL, AREA, MEDIAN, MEAN, GAP, BETTER, TYPES, TRAINABLE, FLOPS, CPU)

ON_SOME_BOARDS = (HELD_OUT, REVEALED, HELD_OUT_ARI, RETRAINED)
"""Left out where no row has them; other columns of a table that keeps empty ones stay."""

LATEX_COLUMNS = (RANK, SCHEME, SCORE, INTERVAL, HELD_OUT, REVEALED, AREA, RUNS, TRAINABLE)

README_COLUMNS = (
    RANK, SCHEME, SCORE, INTERVAL, HELD_OUT, REVEALED, ARI, HELD_OUT_ARI, TYPES, RUNS, RETRAINED, TRAINABLE, CPU,
)  # fmt: skip

TOTAL_RUNS = _count("runs", "finished runs", "runs")

README_TOTAL_COLUMNS = (RANK, SCHEME, SCORE, INTERVAL, TYPES, TOTAL_RUNS, TRAINABLE, CPU)

LATEX_TOTAL_COLUMNS = (RANK, SCHEME, SCORE, INTERVAL, AREA, TOTAL_RUNS, TRAINABLE)

ARCHIVE_COLUMNS = (
    _plain(
        "protocol", "version of the rules by which the runs were made and evaluated", "protocol", str, numeric=False
    ),
    TASK,
    SCHEME,
    SCORE,
    INTERVAL,
    RETURN,
    _plain("runs", "runs that could be read", "runs", str, best_high=True),
    _plain("without", "runs without a result", "without", lambda count: str(count or "")),
)
