"""Verifying a directory of runs: each run by itself, then the set as a whole."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.testing.digest import LANE_STEPS, trace_digest
from baselines.leaderboard.errors import ConfigError, ConfigMismatchError, DamagedRecordError
from baselines.leaderboard.execution.plan import SUITE_FILE, differences, read_suite_file
from baselines.leaderboard.execution.replay import ReplayError, first_difference, lane_bytes, open_environment, replay
from baselines.leaderboard.files import canonical_json, parse_json
from baselines.leaderboard.records.held_out import HeldOut, read_held_out
from baselines.leaderboard.records.reader import (
    FinishedRun,
    RunRecord,
    checked_files,
    places_of_runs,
    read_actions,
    read_final_actions,
    read_run,
    read_weights,
)
from baselines.leaderboard.records.run_files import LIGHT_SUMS, RUN_FILES, SUMS, files_of
from baselines.leaderboard.records.writer import UNFINISHED_NAME
from baselines.leaderboard.report.data.archive import ARCHIVE
from baselines.leaderboard.report.data.collect import check_comparable
from baselines.leaderboard.spec.config import HELD_OUT, REVEALED, RunConfig, SuiteConfig
from baselines.leaderboard.spec.loading import builtin_tasks
from baselines.leaderboard.verify import checks
from baselines.leaderboard.verify.revealed import revealed_faults
from baselines.leaderboard.verify.run_and_set import (
    alike_rows,
    copied_answers,
    doubled_runs,
    equal_play,
    lucky_groups,
    set_notes,
    unequal_diagnostics,
)
from baselines.leaderboard.verify.verdict import Examined, Fault, RunVerdict, Verdict
from baselines.leaderboard.verify.weights import LABELS, check_weights

if TYPE_CHECKING:
    from baselines.leaderboard.verify.retrain import Trainer

__all__ = ["MOST_DECISIONS", "ExtraChecks", "verify_directory"]

Game = tuple[str, bytes]

ExtraChecks = Callable[[FinishedRun, HeldOut | None], Examined]
"""Checks of a finished run that passed all others, and of what a board stores of it.

See :mod:`baselines.leaderboard.verify.deep`.
"""

Copies = list[tuple[tuple[FinishedRun, FinishedRun], Fault]]
"""Two runs of a row of which one acts as the other, and what this is if they were not trained so."""

MOST_DECISIONS = 1 << 32
"""Decisions of single agents in the episodes of all runs together, unless the caller allows more.

What else takes as long counts as well; see :func:`_decisions`.
"""

METRICS = "metrics.jsonl"
MOST_METRICS_BYTES = 1 << 14
"""Of each point. Those of the built-in learners take some 500; nobody looks into those of a failed run."""

FEWEST_EPISODES = 32
"""Fewer returns of an evaluation are parted too often by chance to show that a policy was fitted to them.

With 32, a policy that knows four of them may not be found; with 16, four; with eight, three; with three, all.
"""

# Larger networks take their time to decide; most of those of the built-in suites are smaller.
_WEIGHTS_PER_DECISION = 1 << 13
# So do long observations; those of the built-in tasks are shorter.
_ENTRIES_PER_DECISION = 1 << 6
# A step of all episodes at once takes as long as so many decisions, however few there are, and each network more.
_DECISIONS_PER_STEP, _DECISIONS_PER_NETWORK = 1 << 8, 1 << 6
# An episode begins with a lane of its own: a large board takes longer to make than a short episode to play.
_BYTES_PER_DECISION = 1 << 6
# A step of the digest's rollout draws each action by itself and hashes all that is seen: it takes so much longer.
_DECISIONS_PER_DIGESTED = 1 << 6
# Initial weights are drawn some eight times; a decomposition takes a second for 2^32 multiplications.
_MULTIPLICATIONS_PER_DECISION = 1 << 7
# Records of all runs stay in memory, 2 GiB at most: decisions for a byte, and bytes that one of JSON takes at most.
_DECISIONS_PER_BYTE, _BYTES_PER_JSON = 1 << 1, 1 << 5

_RUN_NAME = re.compile(r"seed-(0|[1-9]\d*)")
# Larger files are compared by their size.
_MOST_HASHED = 1 << 30


def verify_directory(
    directory: Path,
    *,
    complete: bool = False,
    deep: ExtraChecks | None = None,
    trainer: Trainer | None = None,
    target: str | None = None,
    most_decisions: int = MOST_DECISIONS,
) -> Verdict:
    """Verify every run below ``directory``, or ``directory`` itself if it is one run. Nothing is written.

    Args:
        directory: output directory of ``run``, or one run directory.
        complete: whether runs of the suite that are missing, and runs beside it, are faults; else they are notes.
        deep: further checks for each finished run.
        trainer: trains some of the runs that pass these again.
        target: what to call it in the verdict; default: its path.
        most_decisions: decisions of single agents that are played, of all runs together; runs beyond are refused.

    Raises:
        ConfigError: ``directory`` is none, or holds no runs.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory; give the --out of a run, or a submitted file.")
    verdict = Verdict(target or str(directory), deep=deep is not None)
    alone = (directory / SUMS).exists()
    if alone:
        found = {"/".join(directory.resolve().parts[-3:]): directory}
    else:
        found = {path.relative_to(directory).as_posix(): path for path in sorted(_run_directories(directory, verdict))}
    if not found and not complete:
        raise ConfigError(f"{directory} holds no runs; give the --out of a run, or one run directory.")
    records, sound = _verify_runs(found, verdict, most_decisions)
    held_out = {} if alone else _held_out(directory, sound, verdict)
    places_of_files = [directory / name for name in (SUITE_FILE, HELD_OUT, REVEALED)]
    places_of_files += [record.directory for record in sound]
    kept = {} if deep is None else {place: _contents(place) for place in places_of_files}
    if deep is not None:
        # After the last check that needs no code of theirs.
        drawn = [] if trainer is None else _drawn(sound, trainer, verdict)
        sound, copies = _verify_deeply(sound, deep, verdict, held_out)
        if trainer is not None:
            drawn = trainer.with_suspects(drawn, [run for pair, _ in copies for run in pair])
            sound = _train_again(sound, trainer, drawn, verdict)
        _judge_copies(copies, verdict)
        sound = _unchanged(directory, sound, kept, verdict)
    if not alone:
        verdict.faults += [*doubled_runs(sound), *unequal_diagnostics(sound)]
        verdict.faults += _set_faults(directory, records, verdict, complete)
        verdict.faults += revealed_faults(directory, sound, verdict)
        verdict.notes += [*set_notes(records, complete=complete), *equal_play(sound)]
        if os.path.lexists(directory / ARCHIVE):
            verdict.notes.append(
                f"{ARCHIVE}/ is there and was not verified: a report shows its runs apart, and says so"
            )
    _unchanged(directory, sound, kept, verdict)
    verdict.notes += _notes(records, verdict.deep)
    return verdict


def _verify_runs(
    found: Mapping[str, Path], verdict: Verdict, most_decisions: int
) -> tuple[list[RunRecord], list[RunRecord]]:
    """Verify run by run, by name; return the records that can be read, and those of them that are sound."""
    records, sound = [], []
    rows: Counter[str] = Counter()
    left = most_decisions
    digested: set[Game] = set()
    for run, path in found.items():
        row = run.rpartition("/")[0]
        record, outcome, spent = _verify_run(path, run, left, digested, verdict.deep, rows[row])
        left -= spent
        rows[row] += 1
        verdict.runs.append(outcome)
        if record is not None:
            records.append(record)
            sound += [] if outcome.faults else [record]
    return records, sound


def _notes(records: list[RunRecord], deep: bool) -> Iterator[str]:
    """Yield what a reader should know of schemes, light runs and tasks."""
    for scheme in {record.config.scheme.label: record.config.scheme for record in records}.values():
        if checks.own_settings(scheme):
            yield f"{scheme.label} has settings of its own; a board takes it under a label that is no built-in scheme"
    light = sum(record.light for record in records)
    if light:
        yield light_note(light, len(records))
    for task in {record.config.task.name: record.config.task for record in records}.values():
        if task.name not in builtin_tasks():
            yield f"task {task.name} is not built in: its reference scores are those of its author"
        fewest = min(task.eval_episodes, task.absolute_episodes)
        if deep and fewest < FEWEST_EPISODES:
            yield (
                f"task {task.name} is evaluated in {fewest} episodes: with fewer than {FEWEST_EPISODES} a "
                "policy that was fitted to them may not be found"
            )


def light_note(light: int, runs: int) -> str:
    """Say what cannot be checked of so many light records."""
    return (
        f"{light} of {runs} runs are light: of their weights and the actions of their absolute episodes only the "
        "hashes are there, so nothing that rests on them was checked: absolute returns, groups, counts, diagnostics, "
        "and all that --deep does"
    )


def _run_directories(directory: Path, verdict: Verdict) -> Iterator[Path]:
    """Yield the run directories; what only looks like one is a fault, what a run has not finished yet a note."""
    for path in places_of_runs(directory):
        name = path.relative_to(directory).as_posix()
        if any(part.is_symlink() for part in (path, *path.parents[:2])):
            verdict.faults.append(Fault(name, "", "a link; runs are plain directories"))
        elif UNFINISHED_NAME.fullmatch(path.name):
            verdict.notes.append(f"{name} is not finished")
        elif not path.is_dir() or not _RUN_NAME.fullmatch(path.name):
            verdict.faults.append(Fault(name, "", "not the directory of a run, seed-<s>"))
        else:
            yield path


def _held_out(directory: Path, sound: list[RunRecord], verdict: Verdict) -> dict[str, HeldOut]:
    """Return what a board stores of its runs' held-out episodes; say of how many it is not checked."""
    try:
        stored = read_held_out(directory, sound)
    except DamagedRecordError as error:
        verdict.faults.append(Fault(error.file, "", error.fault))
        return {}
    unplayed = sum(record.config.run_id in stored and (record.light or not verdict.deep) for record in sound)
    if unplayed:
        verdict.notes.append(
            f"{unplayed} runs have scores in held-out episodes by the word of the board's keeper: only --deep, which "
            "needs their weights, plays these again"
        )
    return stored


def _verify_deeply(
    sound: list[RunRecord], deep: ExtraChecks, verdict: Verdict, held_out: Mapping[str, HeldOut]
) -> tuple[list[RunRecord], Copies]:
    """Play the stored policies of sound runs; return the runs that are still sound, and those that act as another."""
    from adaps_agents.schemes.registry import is_builtin, scheme_class
    from baselines.leaderboard.verify.apart import needs_plugin
    from baselines.leaderboard.verify.fresh import MOST_BY_CHANCE

    answers, deals, elsewhere, formed, left = {}, {}, [], [], []
    places = {outcome.run: place for place, outcome in enumerate(verdict.runs)}
    # Code of a plug-in could change the files of runs that are still to be examined: its own runs come last.
    for record in sorted(sound, key=lambda record: needs_plugin(record.config)):
        run = record.config.run_id
        examined = Examined(())
        if isinstance(record, FinishedRun) and not record.light:
            try:
                examined = deep(record, held_out.get(run))
            except Exception as error:  # foreign content must never end the verification of the other runs
                examined = Examined((_cannot_be_verified(error),))
        outcome = verdict.runs[places[run]]
        outcome = replace(outcome, faults=_named(run, examined.faults), held_out=examined.held_out)
        verdict.runs[places[run]] = outcome
        if outcome.faults:
            continue
        left.append(record)
        if examined.as_elsewhere:
            elsewhere.append(run)
        scheme = record.config.scheme.name
        if is_builtin(scheme) and scheme_class(scheme).acts_in_training:
            formed.append(run)
        verdict.notes += map(str, _named(run, examined.notes))
        deals[run] = examined.other_deals
        if examined.answers is not None:
            answers[run] = examined.answers
    verdict.notes += alike_rows(left, answers)
    for chance, fault in lucky_groups(left, deals):
        if chance < MOST_BY_CHANCE:
            verdict.faults.append(fault)
        else:
            verdict.notes.append(f"{fault}: on a board it has no rank")
    if elsewhere:
        verdict.notes.append(
            f"{len(elsewhere)} runs ({elsewhere[0]}) name another machine, other packages or another commit than here: "
            "near ties may differ, or groups and initial weights are the word of their author"
        )
    if formed:
        verdict.notes.append(
            f"{len(formed)} runs ({formed[0]}) form groups, copies or corrections while they train: "
            "these can hold the hidden types, and training them again alone checks them"
        )
    return left, list(copied_answers(left, answers))


def _judge_copies(copies: Copies, verdict: Verdict) -> None:
    """What acts as another run of its row is a copy, unless both come out of training again."""
    trained = {outcome.run for outcome in verdict.runs if outcome.retrained}
    for (run, other), fault in copies:
        if {run.config.run_id, other.config.run_id} <= trained:
            verdict.notes.append(f"{run.config.run_id} acts as {other.config.run_id} does; both come out of training")
        else:
            settled = "none if both come out of training again: --retrain, --retrain-seconds"
            verdict.faults.append(replace(fault, message=f"{fault.message} ({settled})"))


def _drawn(sound: list[RunRecord], trainer: Trainer, verdict: Verdict) -> list[FinishedRun]:
    try:
        return trainer.draw([record for record in sound if isinstance(record, FinishedRun) and not record.light])
    except ConfigError as error:
        verdict.faults.append(Fault("", "", str(error)))
        return []


def _train_again(
    sound: list[RunRecord], trainer: Trainer, drawn: list[FinishedRun], verdict: Verdict
) -> list[RunRecord]:
    """Train the drawn runs that are still sound again; return all that are then."""
    places = {outcome.run: place for place, outcome in enumerate(verdict.runs)}
    for found in trainer.train([record for record in drawn if not verdict.runs[places[record.config.run_id]].faults]):
        outcome = verdict.runs[places[found.run]]
        if found.verdict == "same":
            held_out = outcome.held_out and outcome.held_out.model_copy(update={"retrained": True})
            outcome = replace(outcome, retrained=True, held_out=held_out)
        elif found.verdict == "fault":
            outcome = replace(outcome, faults=_named(found.run, found.faults()))
            remarks = found.remarks if found.different else ()  # else the fault holds them
            verdict.notes += [f"{found.run}: {part}" for part in (*found.provenance, *remarks)]
        else:
            verdict.notes += found.notes()
        verdict.runs[places[found.run]] = outcome
    return [record for record in sound if not verdict.runs[places[record.config.run_id]].faults]


def _contents(place: Path) -> dict[Path, str]:
    """Return the SHA-256 of a file, or of every file of a directory; of one that is too large to be read, its size."""
    files = place.rglob("*") if place.is_dir() else [place]
    return {file: _content(file) for file in files if file.is_file() and not file.is_symlink()}


def _content(file: Path) -> str:
    if (size := file.stat().st_size) > _MOST_HASHED:
        return f"{size} bytes"
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unchanged(
    directory: Path, records: list[RunRecord], kept: dict[Path, dict[Path, str]], verdict: Verdict
) -> list[RunRecord]:
    """Name, once, what is no longer as it was kept, and return the runs of which nothing is.

    Code of plug-ins has run, which may have put other files in the place of those that were verified.
    """
    changed = set()
    for place, before in tuple(kept.items()):
        now = _contents(place)
        for file in sorted(file for file in before.keys() | now.keys() if before.get(file) != now.get(file)):
            name = file.relative_to(directory).as_posix()
            verdict.faults.append(Fault(name, "", "it was changed while the policies of all runs were played"))
            changed.add(place)
    for place in changed:
        del kept[place]
    return [record for record in records if record.directory not in changed]


def _verify_run(
    directory: Path, run: str, allowed: int, digested: set[Game], deep: bool, before: int
) -> tuple[RunRecord | None, RunVerdict, int]:
    """Return the record, what is wrong with it, and how many decisions it takes; note whose digest is ``digested``.

    ``before`` runs of its row were verified before it. It is compared with each, and each neuron counts once for that.
    """
    record: RunRecord | None = None
    faults: list[Fault] = []
    replayed = spent = 0
    try:
        read = read_run(directory)
        spent = _affordable("its files count as", _memory_decisions(read), allowed, "")
        record = read
        faults += _file_faults(directory, record, run)
        if isinstance(record, FinishedRun):
            game = _game(record)
            decisions = _decisions(record, deep, digest=game not in digested)
            decisions += before * sum(record.config.learner.net_arch)
            spent = _affordable("its checks take up to", spent + decisions, allowed)
            digested.add(game)
            with np.errstate(all="ignore"):  # a forged 1e308 overflows in a mean, which is then a fault
                replayed, found = _result_faults(record)
            faults += found
    except DamagedRecordError as error:
        faults.append(Fault(error.file, "", error.fault))
    except ReplayError as error:
        faults.append(Fault("config.json", error.where, str(error)))
    except Exception as error:  # foreign content must never end the verification of the other runs
        faults.append(_cannot_be_verified(error))
    status, light = (None, False) if record is None else (record.status, record.light)
    recorded = None
    if isinstance(record, FinishedRun) and not faults:
        recorded = float(record.evaluation.scored(record.config.task)[-1].mean())
    return record, RunVerdict(run, status, replayed, _named(run, faults), light, recorded), spent


def _affordable(what: str, decisions: int, allowed: int, where: str = "config.task") -> int:
    if decisions > allowed:
        message = f"{what} {decisions:,} decisions, and {allowed:,} are left of those of all runs"
        raise ReplayError(where, f"{message}; --most-decisions allows more")
    return decisions


def _memory_decisions(record: RunRecord) -> int:
    """Return as how many decisions the memory counts that a record takes while the others are verified."""
    files = (record.directory / name for name in RUN_FILES if name.endswith((".json", ".jsonl")))
    # Blanks take none.
    held = _BYTES_PER_JSON * sum(len(b"".join(file.read_bytes().split())) for file in files if file.is_file())
    if isinstance(record, FinishedRun):
        held += sum(values.nbytes for values in vars(record.evaluation).values())
    return _DECISIONS_PER_BYTE * held


def _decisions(record: FinishedRun, deep: bool, *, digest: bool) -> int:
    """Return how many decisions of single agents a run takes, at most: those of the episodes that are played.

    Where networks decide or observations are long, those of a large one count as many. The rollout of the game's
    ``digest`` counts as well and, where networks are looked at, each observation on which two agents are compared,
    what the scripted policy does to find these, and what its identity phase takes.
    """
    env, task = open_environment(record.config), record.config.task
    episodes = task.eval_episodes + task.absolute_episodes
    if deep:
        # It also plays the first point, greedy and sampled, the last one sampled, and the best one, follows the
        # recorded actions with the weights as they are and, in a batch of twice as many, with changed ones, plays
        # anew, and plays what a board has held out.
        batches = 7 + 6 * _plays(), 4
        episodes = task.eval_episodes * batches[0] + task.absolute_episodes * batches[1]
    seen = max(1, env.obs_dim // _ENTRIES_PER_DECISION)
    each = max(seen, checks.actor_weights(record.config, env) // _WEIGHTS_PER_DECISION) if deep else seen
    rollout = LANE_STEPS * env.num_agents * seen * _DECISIONS_PER_DIGESTED if digest else 0
    lane = env.max_cycles * env.num_agents * each + lane_bytes(env) // _BYTES_PER_DECISION
    decisions = episodes * lane + rollout
    if deep:
        decisions += sum(batches) * env.max_cycles * (_DECISIONS_PER_STEP + _DECISIONS_PER_NETWORK * _networks(record))
        decisions += checks.initial_work(record.config, env) // _MULTIPLICATIONS_PER_DECISION
        decisions += _observed(env) + _phase_decisions(record.config, env, record.sharing.identity_steps)
    return decisions


def _networks(record: FinishedRun) -> int:
    """Return how many networks decide one after the other in what is played: those of groups of unequal sizes."""
    most = 1
    for best in () if record.light else (False, True):
        with suppress(DamagedRecordError):  # named when the weights are checked
            _, sizes = np.unique(read_weights(record, best=best).get(LABELS, 0), return_counts=True)
            most = max(most, len(sizes) if len(set(sizes.tolist())) > 1 else 1)
    return most


def _plays() -> int:
    from baselines.leaderboard.verify.fresh import PLAYS  # it needs torch, as the deep checks do

    return PLAYS


def _phase_decisions(config: RunConfig, env: BatchedEnv, steps: int) -> int:
    from baselines.leaderboard.verify.groups import phase_decisions  # it needs torch, as the deep checks do

    return phase_decisions(config, env, steps)


def _observed(env: BatchedEnv) -> int:
    # It needs torch, as the deep checks do.
    from baselines.leaderboard.execution.diagnosis import comparisons, scripted_work

    return comparisons(env.num_agents) + scripted_work(env)


def _cannot_be_verified(error: Exception) -> Fault:
    return Fault("", "", f"cannot be verified ({type(error).__name__}: {error})")


def _named(run: str, faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(Fault(f"{run}/{fault.file}".rstrip("/"), fault.where, fault.message) for fault in faults)


def _file_faults(directory: Path, record: RunRecord, run: str) -> Iterator[Fault]:
    """The directory must hold the files of its kind and no others."""
    if record.config.run_id != run:
        yield Fault("config.json", "config", f"it belongs to {record.config.run_id}, not to this directory")
    files = files_of(failed=record.failure is not None, light=record.light)
    expected = {SUMS, *([LIGHT_SUMS] if record.light else []), *(file.name for file in files)}
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.name not in expected:
            yield Fault(entry.name, "", f"a {'light ' if record.light else ''}run has no such file")
        elif not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            yield Fault(entry.name, "", "not a plain file")
        expected.discard(entry.name)
    for name in sorted(expected):
        yield Fault(name, "", "missing")
    metrics, most = directory / METRICS, MOST_METRICS_BYTES * record.config.task.eval_points
    if metrics.is_file() and (size := metrics.stat().st_size) > most:
        yield Fault(METRICS, "", f"{size:,} bytes; at most {most:,} for {record.config.task.eval_points} evaluations")
    yield from checks.check_task(record.config)
    yield from checks.check_label(record.config.scheme)


def _result_faults(record: FinishedRun) -> tuple[int, list[Fault]]:
    """Return how many episodes were replayed, and everything wrong with the results of a finished run."""
    config, evaluation, sharing = record.config, record.evaluation, record.sharing
    env = open_environment(config)
    files = checked_files(record.directory)
    faults = list(
        chain(
            checks.check_deal(config, env),
            checks.check_evaluation(config, evaluation, sharing),
            checks.check_metrics(record.metrics, evaluation),
            checks.check_sharing(config, sharing, evaluation, env.agent_types),
            () if record.light else check_weights(record, files, env),
            checks.check_costs(record.costs),
            checks.environment_faults(record, _digest(*_game(record))),
        )
    )
    replayed, differences_found = _replay_faults(record)
    return replayed, faults + differences_found


def _replay_faults(record: FinishedRun) -> tuple[int, list[Fault]]:
    evaluation, task = record.evaluation, record.config.task
    actions = read_final_actions(record) if record.light else read_actions(record)
    file = "actions_final.npz" if record.light else "actions.npz"
    faults, replayed = [], 0
    last = len(evaluation.marks) - 1
    logs = [("final", evaluation.seeds, evaluation.scored(task)[last], f"{task.scored}[{last}, {{}}]")]
    if not record.light:
        logs.append(("absolute", evaluation.absolute_seeds, evaluation.absolute, "absolute[{}]"))
    for log, seeds, recorded, field in logs:
        steps, lengths = getattr(actions, log), getattr(actions, f"{log}_lengths")
        try:
            returns = replay(record.config, log, seeds, steps, lengths)
        except ReplayError as error:
            faults.append(Fault(file, error.where, str(error)))
            continue
        replayed += len(returns)
        count, first = first_difference(record.config.task, returns, recorded)
        if count:
            message = f"{recorded[first]!r}; replaying {file} gives {returns[first]!r} ({count} episodes differ)"
            faults.append(Fault("evaluation.npz", field.format(first), message))
    return replayed, faults


def _game(record: RunRecord) -> Game:
    return record.config.task.env, canonical_json(record.config.task.params)


# Nothing is forgotten: a digest is counted once.
@cache
def _digest(env: str, params: bytes) -> str:
    """The trace digest of an environment as it stands here; its parameters come as canonical JSON."""
    return trace_digest(env, **parse_json(params))


def _set_faults(directory: Path, records: list[RunRecord], verdict: Verdict, complete: bool) -> Iterator[Fault]:
    try:
        check_comparable(records)
    except ConfigMismatchError as error:
        yield Fault("", "", str(error).replace(f"{directory}/", ""))
    try:
        suite = read_suite_file(directory)
    except DamagedRecordError as error:
        yield Fault(SUITE_FILE, "", error.fault)
        return
    if suite is not None:
        yield from _suite_faults(suite, records, verdict, complete)
    elif complete:
        yield Fault(SUITE_FILE, "", "missing")


def _suite_faults(suite: SuiteConfig, records: list[RunRecord], verdict: Verdict, complete: bool) -> Iterator[Fault]:
    planned = {config.run_id: config for config in suite.runs()}
    for record in records:
        run = record.config.run_id
        wanted = planned.get(run)
        if wanted is not None and wanted.digest != record.config.digest:
            yield Fault(
                f"{run}/config.json", "config", f"not what {SUITE_FILE} asks for: {differences(record.config, wanted)}"
            )
        elif wanted is None and complete:
            yield Fault(run, "", f"{SUITE_FILE} names no such run")
        elif wanted is None:
            verdict.notes.append(f"{run} is beside {SUITE_FILE}")
    missing = sorted(planned.keys() - {outcome.run for outcome in verdict.runs})
    if missing and complete:
        yield Fault(missing[0], "", f"missing; {SUITE_FILE} names it ({len(missing)} runs are missing)")
    elif missing:
        verdict.notes.append(f"{len(missing)} of {len(planned)} runs of {SUITE_FILE} are still to come")
