"""Checks of a board's scores in held-out episodes: the weights must do as well in others that are drawn now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.records.held_out import HeldOut, read_held_out
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.spec.config import HELD_OUT
from baselines.leaderboard.verify.verdict import Fault, Verdict

__all__ = ["held_out_faults"]

MOST_ERRORS = 4.5
"""Standard errors by which two means of the same policy may differ; chance alone does that once in 150,000 times."""

_ROUNDING = 1e-6


def held_out_faults(directory: Path, sound: list[RunRecord], verdict: Verdict) -> Iterator[Fault]:
    """Yield what is wrong with the held-out scores of a board; add a note where their policies were not played.

    Args:
        directory: with the runs.
        sound: runs without a fault of their own.
        verdict: of all runs.
    """
    try:
        stored = read_held_out(directory, sound)
    except DamagedRecordError as error:
        yield Fault(error.file, "", error.fault)
        return
    drawn = {run.run: run.held_out for run in verdict.runs}
    for run, told in stored.items():
        now = drawn[run]
        if now is not None and abs(told.mean - now.mean) > _most_apart(now):
            yield Fault(
                HELD_OUT,
                run,
                f"{told.mean:.6g} in {told.episodes} episodes; in {now.episodes} that were drawn just now, its "
                f"weights get {now.mean:.6g}",
            )
    unplayed = sum(drawn[run] is None for run in stored)
    if unplayed:
        verdict.notes.append(
            f"{unplayed} runs have scores in held-out episodes by the word of the board's keeper: only --deep, which "
            "needs their weights, plays others"
        )


def _most_apart(now: HeldOut) -> float:
    # How much episodes differ is asked of those of now: a board could tell of any spread.
    error = now.std * (2 / now.episodes) ** 0.5
    return MOST_ERRORS * error + _ROUNDING * (1 + abs(now.mean))
