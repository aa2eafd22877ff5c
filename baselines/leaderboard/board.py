"""Adding submissions to a board: a directory of runs like any other, which only takes what verifies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from baselines.leaderboard.errors import ConfigMismatchError
from baselines.leaderboard.files import make_directory
from baselines.leaderboard.lock import directory_lock
from baselines.leaderboard.plan import differences, read_suite_file, write_suite_file
from baselines.leaderboard.record import REPRODUCIBLE_FILES, RunRecord, find_runs, read_run
from baselines.leaderboard.report.collect import check_comparable
from baselines.leaderboard.verify.beside import doubled_runs
from baselines.leaderboard.verify.runset import ExtraChecks, verify_directory
from baselines.leaderboard.verify.submission import SubmissionError, unpacked_submission
from baselines.leaderboard.verify.verdict import Verdict
from baselines.leaderboard.writer import install_run, remove_stale_partials

__all__ = ["Addition", "add_submission"]


@dataclass
class Addition:
    """What became of a submission: its verdict, the runs that were added, and those that were there already."""

    verdict: Verdict
    added: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)


def add_submission(file: Path, board: Path, *, deep: ExtraChecks | None = None) -> Addition:
    """Verify a submitted file and copy its runs into ``board``; nothing is written unless all of it verifies.

    Raises:
        ConfigError: there is no such file.
        ConfigMismatchError: the board has another run under the same name, or one that cannot be compared.
        DamagedRecordError: a run of the board itself is damaged.
        DirectoryLockedError, OutputDirectoryError: the board is in use or cannot be written.
    """
    try:
        with unpacked_submission(file) as directory:
            verdict = verify_directory(directory, complete=True, deep=deep, target=str(file))
            if not verdict.verified:
                return Addition(verdict)
            make_directory(board)
            with directory_lock(board):
                return _merge(directory, board, verdict)
    except SubmissionError as error:
        return Addition(Verdict(str(file), deep=deep is not None, faults=error.faults))


def _merge(directory: Path, board: Path, verdict: Verdict) -> Addition:
    remove_stale_partials(board)
    standing = {record.config.run_id: record for record in map(read_run, find_runs(board))}
    offered = [read_run(path) for path in find_runs(directory)]
    addition = Addition(verdict)
    for record in offered:
        run = record.config.run_id
        if run in standing:
            _check_same(standing[run], record)
        (addition.present if run in standing else addition.added).append(run)
    fresh = [record for record in offered if record.config.run_id not in standing]
    try:
        check_comparable([*standing.values(), *fresh])
    except ConfigMismatchError as error:
        raise ConfigMismatchError(str(error).replace(f"{directory}/", f"{verdict.target}:")) from None
    verdict.faults += doubled_runs([*standing.values(), *fresh])
    if not verdict.verified:
        return Addition(verdict)
    for record in fresh:
        install_run(record.directory, board / record.config.run_id)
    suite = read_suite_file(directory)
    if suite is not None and read_suite_file(board) is None:
        write_suite_file(suite, board)
    return addition


def _check_same(standing: RunRecord, offered: RunRecord) -> None:
    """A name stands for one result: the same again is no news, another one is refused."""
    run = offered.config.run_id
    if standing.config.digest != offered.config.digest:
        apart = differences(standing.config, offered.config)
        raise ConfigMismatchError(f"the board has {run} with another configuration ({apart}); nothing was added.")
    for name in REPRODUCIBLE_FILES:
        mine, theirs = standing.directory / name, offered.directory / name
        if mine.exists() != theirs.exists() or (mine.exists() and mine.read_bytes() != theirs.read_bytes()):
            raise ConfigMismatchError(
                f"the board has {run} with another {name}; nothing was added. "
                "Give the scheme a label of its own, or take that run off the board first."
            )
