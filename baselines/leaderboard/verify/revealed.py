"""Checks of what was played after the seeds were revealed: salt, seeds, files, returns, and the weights with --deep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.execution.plan import read_suite_file
from baselines.leaderboard.execution.replay import ReplayError, first_difference, replay
from baselines.leaderboard.records.reader import FinishedRun, RunRecord
from baselines.leaderboard.records.revealed import (
    play_path,
    read_play,
    revealed_salt,
    revealed_seeds,
    unexpected_files,
)
from baselines.leaderboard.spec.config import REVEALED
from baselines.leaderboard.verify.verdict import Fault, Verdict

__all__ = ["revealed_faults"]


def revealed_faults(directory: Path, sound: list[RunRecord], verdict: Verdict) -> Iterator[Fault]:
    """Yield what is wrong with the revealed plays of an output directory; add a note where seeds are still secret.

    Args:
        directory: with the runs.
        sound: runs without a fault of their own; the play of others is not looked at.
        verdict: of all runs.
    """
    try:
        suite = read_suite_file(directory)
        salt = revealed_salt(directory, suite)
    except DamagedRecordError as error:
        if error.file.startswith(REVEALED):  # the suite's own faults are named elsewhere
            yield Fault(error.file, "", error.fault)
        return
    if salt is None:
        if suite is not None and suite.seed_commitment is not None:
            verdict.notes.append("the suite commits to seeds that are not revealed yet")
        return
    runs = [outcome.run for outcome in verdict.runs if outcome.status != "failed"]
    for name in unexpected_files(directory, runs):
        yield Fault(name, "", "not the play of a finished run")
    # With deep checks, in their order: runs that need code of plug-ins come last.
    played = [record for record in sound if isinstance(record, FinishedRun)]
    verdict.notes.append(f"seeds are revealed; the plays of {len(played)} runs were replayed")
    for record in played:
        yield from _play_faults(directory, record, salt, deep=verdict.deep and not record.light)


def _play_faults(directory: Path, record: FinishedRun, salt: str, *, deep: bool) -> Iterator[Fault]:
    name = play_path(record.config.run_id)
    seeds = revealed_seeds(salt, record.config.task)
    try:
        play = read_play(directory, record.config)
        returns = replay(record.config, "actions", seeds, play.actions, play.lengths)
    except DamagedRecordError as error:
        yield Fault(error.file, "", error.fault)
        return
    except ReplayError as error:
        yield Fault(name, error.where, str(error))
        return
    count, first = first_difference(record.config.task, returns, play.returns)
    if count:
        message = f"{play.returns[first]!r}; replaying its actions gives {returns[first]!r} ({count} episodes differ)"
        yield Fault(name, f"returns[{first}]", message)
    elif deep:
        from baselines.leaderboard.verify.deep import revealed_checks

        for fault in revealed_checks(record, play, int(seeds[0])):
            message = fault.message.replace("actions.npz", name).replace("final[", "actions[")
            yield replace(fault, file=f"{record.config.run_id}/{fault.file}", message=message)
