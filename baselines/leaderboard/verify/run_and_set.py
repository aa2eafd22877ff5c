"""Cross-run checks: duplicates and inconsistencies that a single run cannot show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.files import sha256_hex
from baselines.leaderboard.records.artifacts import Weights, encode_arrays
from baselines.leaderboard.records.reader import (
    FinishedRun,
    RunRecord,
    listed_digests,
    read_final_actions,
    read_weights,
)
from baselines.leaderboard.verify.verdict import Fault
from baselines.leaderboard.verify.weights import FINAL

__all__ = ["doubled_runs", "equal_play", "set_notes", "unequal_diagnostics"]

# Two seeds' weights have nothing in common but their distribution; a copy with some noise on it stays far below.
_CLOSE = 5e-2
_FEWEST_WEIGHTS = 32

Print = NDArray[np.float64]
Row = tuple[str, str]


def doubled_runs(records: list[RunRecord]) -> Iterator[Fault]:
    """Yield a fault for each of some sound runs that was handed in as another one, too.

    Two seeds of one scheme never learn the same weights, nor the same ones but for some noise. Of a light run, the hash
    must do.
    """
    seen: dict[Row, list[tuple[RunRecord, str, Print | None]]] = {}
    for record in records:
        if not isinstance(record, FinishedRun):
            continue
        listed = listed_digests(record.directory)[FINAL]
        own = None if record.light else _print(read_weights(record))
        others = seen.setdefault(_row(record), [])
        first = next((other for other, sha, theirs in others if sha == listed or _is_copy(own, theirs)), None)
        if first is not None:
            where = f"{record.config.run_id}/{FINAL}"
            yield Fault(where, "", f"the weights of {first.config.run_id} once more")
        others.append((record, listed, own))


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


def _print(weights: Weights) -> Print:
    values = [array.ravel() for _, array in sorted(weights.items()) if array.dtype.kind == "f"]
    return np.concatenate([np.zeros(0), *values]).astype(np.float64)


def _is_copy(own: Print | None, theirs: Print | None) -> bool:
    if own is None or theirs is None:
        return False
    if len(own) != len(theirs):
        return False
    if len(own) < _FEWEST_WEIGHTS:
        return bool(np.array_equal(own, theirs))
    return bool(np.linalg.norm(own - theirs) <= _CLOSE * np.linalg.norm(theirs))
