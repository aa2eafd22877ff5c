"""Cross-run checks: duplicates and inconsistencies that a single run cannot show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from baselines.leaderboard.files import sha256_hex
from baselines.leaderboard.records.artifacts import encode_arrays
from baselines.leaderboard.records.held_out import MOST_LUCK
from baselines.leaderboard.records.reader import (
    FinishedRun,
    RunRecord,
    listed_digests,
    read_final_actions,
    read_weights,
)
from baselines.leaderboard.verify.copies import (
    SAME_ANSWERS,
    SAME_NEURONS,
    Values,
    WeightsPrint,
    answers_apart,
    neurons_apart,
    print_of,
    same_weights,
)
from baselines.leaderboard.verify.verdict import Fault
from baselines.leaderboard.verify.weights import FINAL

__all__ = [
    "alike_rows",
    "copied_answers",
    "doubled_runs",
    "equal_play",
    "lucky_groups",
    "set_notes",
    "unequal_diagnostics",
]

Row = tuple[str, str]


def doubled_runs(records: list[RunRecord]) -> Iterator[Fault]:
    """Yield a fault for each of some sound runs that was handed in as another one, too.

    Two seeds of one scheme never learn the same weights, nor the same ones but for noise and the order of neurons. Of
    a light run, the hash of its weights must do.
    """
    finished = [record for record in records if isinstance(record, FinishedRun)]
    yield from (fault for _, fault in _copies(finished, _print, _same_print))


def copied_answers(
    records: list[RunRecord], answers: Mapping[str, Values]
) -> Iterator[tuple[tuple[FinishedRun, FinishedRun], Fault]]:
    """Yield every two of some sound runs of a row of which one acts by the function of the other, but for noise.

    Where an optimum is simple and exploration is rewarded, honest runs come to one function, too: the fault that goes
    with them is none if both come out of training again.

    Args:
        records: the runs.
        answers: how they act, by run; see :func:`~baselines.leaderboard.verify.copies.answers_of`.
    """
    known = [record for record in records if isinstance(record, FinishedRun) and record.config.run_id in answers]
    yield from _copies(known, lambda record: answers[record.config.run_id], _same_answers, every=True)


def alike_rows(records: list[RunRecord], answers: Mapping[str, Values]) -> Iterator[str]:
    """Yield a note for two rows of a task if a run of one acts by the function of a run of the other, but for noise.

    Two schemes may do the same on a task, by other settings of one scheme for example; or the weights of one were
    handed in as the other's, in networks of another shape.

    Args:
        records: the runs.
        answers: how they act, by run.
    """
    seen: dict[str, list[RunRecord]] = {}
    noted: set[tuple[Row, Row]] = set()
    for record in records:
        own = answers.get(record.config.run_id)
        if own is None:
            continue
        others = seen.setdefault(record.config.task.name, [])
        for other in others:
            rows = _row(other), _row(record)
            if rows[0] == rows[1] or rows in noted:
                continue
            apart = answers_apart(own, answers[other.config.run_id])
            if apart <= SAME_ANSWERS:
                noted.add(rows)
                yield (
                    f"{record.config.run_id} acts as {other.config.run_id} does (scores apart by {apart:.2g}): the "
                    "schemes do the same here, or the weights of one were handed in as the other's"
                )
        others.append(record)


def lucky_groups(records: list[RunRecord], deals: Mapping[str, tuple[float, ...]]) -> Iterator[tuple[float, Fault]]:
    """Yield rows whose groups are better than their phases find with other seeds, and how rarely chance does that.

    Seeds are known and deal the types, so that among many settings some find groups that are right for them alone.

    Args:
        records: the runs.
        deals: ARI of the groups found with other seeds, by run.
    """
    from baselines.leaderboard.verify.fresh import chance_of  # it needs torch, as what found these does

    rows: dict[Row, list[FinishedRun]] = {}
    for record in records:
        if isinstance(record, FinishedRun) and deals.get(record.config.run_id) and record.sharing.ari is not None:
            rows.setdefault(_row(record), []).append(record)
    for (task, scheme), runs in rows.items():
        own = np.array([run.sharing.ari for run in runs], np.float64)
        others = np.concatenate([deals[run.config.run_id] for run in runs])
        if own.mean() - others.mean() > MOST_LUCK:
            message = (
                f"its groups agree with the hidden types by an ARI of {own.mean():.2f} on average; with {len(others)} "
                f"other seeds its identity phase finds groups of {others.mean():.2f}"
            )
            yield chance_of(own, others), Fault(f"{task}/{scheme}", "", message)


def unequal_diagnostics(records: list[RunRecord]) -> Iterator[Fault]:
    """Yield a fault for runs without diagnostics in a row that has some: a mean over the rest would be a choice."""
    measured = {_row(record) for record in records if record.sharing is not None and record.sharing.diagnostics}
    for record in records:
        if record.sharing is not None and record.sharing.diagnostics is None and _row(record) in measured:
            message = "missing; other runs of this scheme have them"
            yield Fault(f"{record.config.run_id}/sharing.json", "diagnostics", message)


def set_notes(records: list[RunRecord], *, complete: bool) -> list[str]:
    """Return what is no fault, but leaves its author a choice that a reader should know of.

    Args:
        records: the runs of a set.
        complete: whether no others are to come.
    """
    notes = []
    failed = sorted(record.config.run_id for record in records if record.status == "failed")
    if failed:
        notes.append(f"{len(failed)} runs are recorded as failed ({failed[0]}): that is the word of their author")
    seeds: dict[Row, set[int]] = {}
    for record in records:
        seeds.setdefault(_row(record), set()).add(record.config.seed)
    for (task, scheme), found in seeds.items():
        if complete and found != set(range(len(found))):
            notes.append(f"{task}/{scheme} has the seeds {sorted(found)}: chosen by their author, not the first ones")
    return notes


def equal_play(records: list[RunRecord]) -> Iterator[str]:
    """Yield a note for each of some sound runs that plays its last evaluation as another run of its row does.

    Two policies may well solve a simple game alike; or one was disguised as another seed's.
    """
    seen: dict[tuple[Row, str], RunRecord] = {}
    for record in records:
        if isinstance(record, FinishedRun):
            played = sha256_hex(encode_arrays(read_final_actions(record)))
            first = seen.setdefault((_row(record), played), record)
            if first is not record:
                yield f"{record.config.run_id} takes every action of {first.config.run_id} in the last evaluation"


def _row(record: RunRecord) -> Row:
    return record.config.task.name, record.config.scheme.label


def _copies(
    records: list[FinishedRun],
    print_of_run: Callable[[FinishedRun], Any],
    copied: Callable[[Any, Any], str],
    *,
    every: bool = False,
) -> Iterator[tuple[tuple[FinishedRun, FinishedRun], Fault]]:
    """Compare each run with those before it in its row, until one is alike, or with ``every`` one of them.

    ``copied`` says what of two is the same, or nothing.
    """
    seen: dict[Row, list[tuple[FinishedRun, Any]]] = {}
    for record in records:
        own, others = print_of_run(record), seen.setdefault(_row(record), [])
        for other, theirs in others:
            if what := copied(own, theirs):
                fault = Fault(f"{record.config.run_id}/{FINAL}", "", f"{what.format(other.config.run_id)} once more")
                yield (record, other), fault
                if not every:
                    break
        others.append((record, own))


def _print(record: FinishedRun) -> tuple[str, WeightsPrint | None]:
    """Return the hash of a run's weights and, where they are there, what copies of them have in common."""
    return listed_digests(record.directory)[FINAL], None if record.light else print_of(read_weights(record))


def _same_print(mine: tuple[str, WeightsPrint | None], others: tuple[str, WeightsPrint | None]) -> str:
    own, theirs = mine[1], others[1]
    if mine[0] == others[0] or (own is not None and theirs is not None and same_weights(own, theirs)):
        return "the weights of {}"
    if own is None or theirs is None:
        return ""
    apart = neurons_apart(own, theirs)
    return (
        f"the neurons of {{}} in another order (apart by {apart:.2g} of what is usual)" if apart <= SAME_NEURONS else ""
    )


def _same_answers(own: Values, theirs: Values) -> str:
    apart = answers_apart(own, theirs)
    return f"the policy of {{}} (scores apart by {apart:.2g})" if apart <= SAME_ANSWERS else ""
