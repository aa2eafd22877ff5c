"""Adding submissions to a board: a directory of runs like any other, which only takes what verifies.

An addition is whole or not at all. Its runs, the report of the board with them and what is checked for both are made
in a folder beside the runs; renaming that folder decides, and moving its content into place can be done again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.leaderboard.errors import ConfigError, ConfigMismatchError
from baselines.leaderboard.execution.plan import SUITE_FILE, differences, read_suite_file, write_suite_file
from baselines.leaderboard.execution.signals import signals_deferred
from baselines.leaderboard.files import fsync_directory, make_directory, writing
from baselines.leaderboard.records.held_out import HeldOut, read_held_out, write_held_out
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.records.reader import (
    REPRODUCIBLE_FILES,
    RunRecord,
    find_runs,
    listed_digests,
    read_run,
)
from baselines.leaderboard.records.revealed import copy_revealed, read_revealed
from baselines.leaderboard.records.writer import install_run, remove_stale_partials
from baselines.leaderboard.report.data.board import Board, board_of
from baselines.leaderboard.report.data.collect import check_comparable, failures_of, read_all
from baselines.leaderboard.report.write import SITE, publish_site, write_site
from baselines.leaderboard.spec.config import HELD_OUT, NAME_PATTERN, PROTOCOL, REVEALED, SuiteConfig
from baselines.leaderboard.spec.loading import BUILTIN_SCHEMES, builtin_tasks
from baselines.leaderboard.verify.checks import own_settings, spelled
from baselines.leaderboard.verify.packing import SubmissionError, unpacked_submission
from baselines.leaderboard.verify.runset import MOST_DECISIONS, ExtraChecks, verify_directory
from baselines.leaderboard.verify.verdict import Fault, Verdict

if TYPE_CHECKING:
    from baselines.leaderboard.verify.retrain import Trainer

__all__ = ["Addition", "add_submission"]

DEFAULT_NAME = "board"
"""What a board is called whose owner gives it no name."""

_PREPARED, _DECIDED = ".prepared", ".adding"
_RUNS = "runs"


@dataclass
class Addition:
    """What became of a submission: its verdict, the runs that were added, and those that were there already.

    ``report`` is the board with them and the first page of its site; None if the submission does not verify.
    """

    verdict: Verdict
    added: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    report: tuple[Board, Path] | None = None


def add_submission(
    file: Path,
    board: Path,
    *,
    deep: ExtraChecks | None = None,
    trainer: Trainer | None = None,
    name: str | None = None,
    new_tasks: bool = False,
    most_decisions: int = MOST_DECISIONS,
) -> Addition:
    """Verify a submitted file, copy its runs into ``board`` and write its report; nothing changes unless all of it can.

    Args:
        file: made by ``submit``.
        board: directory of the board.
        deep: further checks for each finished run. The held-out episodes of these give the score of a run, once.
        trainer: trains some runs again, see :func:`~baselines.leaderboard.verify.runset.verify_directory`.
        name: of the board, the title of its pages; None keeps the one that it has. Submissions cannot choose it.
        new_tasks: whether it may bring tasks that the board has not, and so fix their budget, learner and evaluation.
        most_decisions: see :func:`~baselines.leaderboard.verify.runset.verify_directory`.

    Raises:
        ConfigError: there is no such file, or the name is none.
        ConfigMismatchError: the board has another run under the same name, or one that cannot be compared, or the
            submission adds to a row or a label of the board or takes the name of a built-in scheme, it brings a task
            and ``new_tasks`` is missing, or the board's scores are held-out ones and ``deep`` is.
        DamagedRecordError: a run of the board itself is damaged, or its held-out scores are.
        DirectoryLockedError, OutputDirectoryError: the board is in use or cannot be written.
    """
    if name is not None and not re.fullmatch(NAME_PATTERN, name, re.ASCII):
        raise ConfigError(
            f"{name!r} is no name for a board; give up to 80 letters, digits, dots, underscores, + and -, "
            "with a letter or digit at both ends."
        )
    try:
        with unpacked_submission(file) as directory:
            verdict = verify_directory(
                directory, complete=True, deep=deep, trainer=trainer, target=str(file), most_decisions=most_decisions
            )
            if deep is not None:
                verdict.faults += _unplayable(verdict)
            if not verdict.verified:
                return Addition(verdict)
            make_directory(board)
            with directory_lock(board):
                remove_stale_partials(board)
                _carry_out(board)
                return _merge(directory, board, verdict, name, new_tasks)
    except SubmissionError as error:
        return Addition(Verdict(str(file), deep=deep is not None, faults=error.faults))


def _unplayable(verdict: Verdict) -> Iterator[Fault]:
    """Any actions make a light record that verifies, an expert's too: a board that asks for policies cannot take it."""
    for run in verdict.runs:
        if run.light:
            yield Fault(run.run, "", "light, without the weights that --deep plays; submit the full record")


def _merge(directory: Path, board: Path, verdict: Verdict, name: str | None, new_tasks: bool) -> Addition:
    standing = {record.config.run_id: record for record in map(read_run, find_runs(board))}
    held_out = read_held_out(board, standing.values())
    if held_out and not verdict.deep:
        raise ConfigMismatchError(
            f"scores of {board} are those of held-out episodes, which the recorded ones of {verdict.target} cannot be "
            "compared with; nothing was added. Add it with --deep."
        )
    # Code of a plug-in could have put other runs beside those that were verified.
    offered = [read_run(directory / run.run) for run in verdict.runs]
    addition = Addition(verdict)
    for record in offered:
        run = record.config.run_id
        if run in standing:
            _check_same(standing[run], record)
        (addition.present if run in standing else addition.added).append(run)
    fresh = [record for record in offered if record.config.run_id not in standing]
    _check_rows(list(standing.values()), fresh)
    _check_labels(list(standing.values()), fresh)
    if standing and not new_tasks:
        _check_tasks(read_suite_file(board), list(standing.values()), fresh)
    if addition.added:
        _check_open(directory, board, standing=bool(standing))
    try:
        check_comparable([*standing.values(), *fresh])
    except ConfigMismatchError as error:
        raise ConfigMismatchError(str(error).replace(f"{directory}/", f"{verdict.target}:")) from None
    # What is added first decides: a later submission must not choose the tasks of the totals, nor bring its seeds.
    suite = read_suite_file(board) if standing else _suite_of_board(read_suite_file(directory))
    if not standing and suite is not None:
        own = any(task.name not in builtin_tasks() for task in suite.tasks)
        taken = ["the tasks of its totals"] * own + ["its seed_commitment"] * (suite.seed_commitment is not None)
        if taken:
            verdict.notes.append(
                f"the board takes {' and '.join(taken)} from this submission, whose author chose them. Begin a board "
                "with runs of your own"
            )
    if suite is not None and name is not None:
        suite = suite.model_copy(update={"name": name})
    played = {run.run: run.held_out for run in verdict.runs if run.held_out is not None}
    for run in held_out.keys() & played.keys():
        played[run] = held_out[run].model_copy(update={"retrained": held_out[run].retrained or played[run].retrained})
    held_out = {**held_out, **played}
    recorded = sorted(run for run, record in standing.items() if record.status == "done" and run not in held_out)
    if held_out and recorded:
        verdict.notes.append(
            f"{len(recorded)} runs of the board ({recorded[0]}) have scores of recorded episodes, others of held-out "
            "ones, which do not compare. Add their files again with --deep"
        )
    addition.report = _add(fresh, suite, board, directory, held_out)
    return addition


def _suite_of_board(suite: SuiteConfig | None) -> SuiteConfig | None:
    """Return a board's suite from that of its first addition, whose name and description are the author's to choose."""
    return None if suite is None else suite.model_copy(update={"name": DEFAULT_NAME, "description": ""})


def _check_tasks(suite: SuiteConfig | None, standing: list[RunRecord], fresh: list[RunRecord]) -> None:
    """Who brings a task fixes its budget, learner and evaluation for all who follow: that is for the keeper to do."""
    known = {record.config.task.name for record in standing} | {task.name for task in (suite.tasks if suite else ())}
    for record in fresh:
        if record.config.task.name not in known:
            raise ConfigMismatchError(
                f"the board has no task {record.config.task.name}; nothing was added. The first runs of a task fix its "
                "budget, learner and evaluation for all who follow: add them with --new-tasks if these are yours."
            )


def _check_rows(standing: list[RunRecord], fresh: list[RunRecord]) -> None:
    """A row belongs to one submission, and the name of a built-in scheme to that scheme with its default settings.

    Seeds are not chosen: they deal the hidden types, and with some of many a random partition is the right one.
    Rows of built-in schemes are whole: a few finished runs among failed ones would keep others off the board.
    """
    rows = {_row(record) for record in standing}
    finished = {_row(record) for record in fresh if record.status == "done"}
    seeds: dict[tuple[str, str], set[int]] = {}
    for record in fresh:
        seeds.setdefault(_row(record), set()).add(record.config.seed)
    for row, chosen in seeds.items():
        if row not in rows and chosen != set(range(len(chosen))):
            raise ConfigMismatchError(
                f"the row {'/'.join(row)} has the seeds {sorted(chosen)[:8]}, chosen by its author; nothing was added. "
                "On a board they are 0, 1, 2 and so on."
            )
    for record in fresh:
        if record.config.protocol != PROTOCOL:
            raise ConfigMismatchError(
                f"{record.config.run_id} is a run of protocol {record.config.protocol}, which no board of protocol "
                f"{PROTOCOL} has on its tables; nothing was added."
            )
        if _row(record) not in finished:
            raise ConfigMismatchError(
                f"no run of the row {'/'.join(_row(record))} has finished, so it would only keep others off the board; "
                "nothing was added. Leave the scheme out, or submit it with a finished run."
            )
        if record.status == "failed" and spelled(record.config.scheme.label, BUILTIN_SCHEMES) is not None:
            raise ConfigMismatchError(
                f"{record.config.run_id} has failed, and rows of built-in schemes are taken whole; nothing was added. "
                "Run it again by --retry-failed, or leave the scheme out."
            )
        if _row(record) in rows:
            raise ConfigMismatchError(
                f"the board has runs of the row {'/'.join(_row(record))}, and {record.config.run_id} would add to it; "
                "nothing was added. A row belongs to one submission: give the scheme a label of its own, or, if these "
                f"runs are yours, take the folder {'/'.join(_row(record))} off the board first."
            )
        if own_settings(record.config.scheme):
            raise ConfigMismatchError(
                f"{record.config.run_id} has settings of its own under the name of a built-in scheme; nothing was "
                f"added. Give it a label, for example {record.config.scheme.name}-mine."
            )


def _check_labels(standing: list[RunRecord], fresh: list[RunRecord]) -> None:
    """A label that is no built-in scheme belongs to one submission: a stranger's row would change the author's total.

    Nothing in a submission tells whose it is: records are public, so whoever hands them in again may be anybody.
    """
    owners = {record.config.scheme.label: record.config.run_id for record in standing}
    for record in fresh:
        label = record.config.scheme.label
        if label in owners and spelled(label, BUILTIN_SCHEMES) is None:
            raise ConfigMismatchError(
                f"the board has the label {label} by another submission ({owners[label]}), and {record.config.run_id} "
                "would add a row to it; nothing was added. A label that is no built-in scheme belongs to one "
                "submission: give the scheme another label, or ask the keeper of the board to take its rows off first "
                "and submit them all at once."
            )


def _row(record: RunRecord) -> tuple[str, str]:
    return record.config.task.name, record.config.scheme.label


def _check_open(directory: Path, board: Path, *, standing: bool) -> None:
    """Once seeds are revealed, anybody can train on them: such a board is closed, and such a submission begins one."""
    closed = (board / REVEALED).exists()
    if closed or (standing and (directory / REVEALED).exists()):
        what = "the board is closed" if closed else "the submission can only begin a board"
        raise ConfigMismatchError(f"seeds are revealed, so {what}; nothing was added. Choose another --board.")


def _add(
    fresh: list[RunRecord], suite: SuiteConfig | None, board: Path, source: Path, held_out: dict[str, HeldOut]
) -> tuple[Board, Path]:
    """Make everything in a folder of its own; only then change the board."""
    prepared = board / _PREPARED
    shutil.rmtree(prepared, ignore_errors=True)
    try:
        make_directory(prepared)
        found = read_all(board)
        revealed = read_revealed(source if fresh else board, suite, fresh or found.records)
        problems = [*found.problems, *failures_of(fresh)]
        records = [*found.records, *fresh]
        whole = board_of(found._replace(records=records, problems=problems), suite, revealed, held_out)
        write_site(whole, prepared / SITE)
        for record in fresh:
            install_run(record.directory, prepared / _RUNS / record.config.run_id)
        if suite is not None:
            write_suite_file(suite, prepared)
        if held_out:
            write_held_out(prepared, held_out)
        copy_revealed(source, prepared, [record.config.run_id for record in fresh])
        with writing(board), signals_deferred():
            os.rename(prepared, board / _DECIDED)
            fsync_directory(board)
            page = _carry_out(board)
    finally:
        shutil.rmtree(prepared, ignore_errors=True)
    assert page is not None
    return whole, page


def _carry_out(board: Path) -> Path | None:
    """Move an addition that was decided into place; what an earlier process has moved already is there."""
    decided = board / _DECIDED
    if not decided.is_dir():
        return None
    with writing(board):
        for run in find_runs(decided / _RUNS):
            place = board / run.relative_to(decided / _RUNS)
            make_directory(place.parent)
            os.rename(run, place)
            fsync_directory(place.parent)
        for name in (SUITE_FILE, HELD_OUT):
            if (decided / name).exists():
                os.replace(decided / name, board / name)
        if (decided / REVEALED).exists():
            os.rename(decided / REVEALED, board / REVEALED)
        page = publish_site(decided / SITE, board)
        shutil.rmtree(decided)
    return page


def _check_same(standing: RunRecord, offered: RunRecord) -> None:
    """A name stands for one result: the same again is no news, another one is refused."""
    run = offered.config.run_id
    if standing.config.digest != offered.config.digest:
        apart = differences(standing.config, offered.config)
        raise ConfigMismatchError(f"the board has {run} with another configuration ({apart}); nothing was added.")
    # Hashes, because one of the two may be light.
    mine, theirs = listed_digests(standing.directory), listed_digests(offered.directory)
    for name in REPRODUCIBLE_FILES:
        if mine.get(name) != theirs.get(name):
            raise ConfigMismatchError(
                f"the board has {run} with another {name}; nothing was added. "
                "Give the scheme a label of its own, or take that run off the board first."
            )
