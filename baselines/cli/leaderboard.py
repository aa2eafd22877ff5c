"""``adaps leaderboard``: run, report, verify, submit, board, compare, export and all the others."""

from __future__ import annotations

import json
import secrets
import shlex
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baselines.leaderboard.errors import InterruptedCommandError
from baselines.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from baselines.leaderboard.execution.engine import EngineFactory
    from baselines.leaderboard.report import Board
    from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
    from baselines.leaderboard.verify import Verdict
    from baselines.leaderboard.verify.retrain import Trainer
    from baselines.leaderboard.verify.runset import ExtraChecks

__all__ = ["app"]

app = typer.Typer(help="Run suites of tasks and schemes, verify and report them.", no_args_is_help=True)
board_app = typer.Typer(help="A board of submissions.", no_args_is_help=True)
app.add_typer(board_app, name="board")

MostDecisions = Annotated[
    int | None, typer.Option(min=1, help="Agents' decisions that are played, of all runs; default: 2^32.")
]

TRAINING_SECONDS = 3_600.0
RetrainSeconds = Annotated[
    float, typer.Option(min=0, help="Processor seconds, by their records, that the runs of --retrain may take in all.")
]

EXIT_FAILED_RUNS = 1
EXIT_FAULTS = 1
EXIT_ELSEWHERE = 3


class EngineName(StrEnum):
    """What runs the jobs."""

    LOCAL = "local"
    RAY = "ray"


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="Built-in suite, or the path of a .toml file.")] = "quick",
    out: Annotated[Path, typer.Option(help="Output directory; the same one continues an interrupted run.")] = Path(
        "runs/quick"
    ),
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at once; default: one a core.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task (repeat for more).")] = None,
    scheme: Annotated[list[str] | None, typer.Option(help="Only this scheme (repeat for more).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed (repeat for more).")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed jobs again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the suite, show what would run, and stop.")] = False,
    shard: Annotated[str, typer.Option(help="i/n: run the i-th of n shares, one a machine, in one --out.")] = "1/1",
    skip_probe: Annotated[
        bool, typer.Option("--skip-probe", help="Do not tell beforehand about how long a large suite takes.")
    ] = False,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(min=0, help="Time between two stopping points of a run; default: half a minute.")
    ] = None,
    logger: Annotated[
        list[str] | None,
        typer.Option("--logger", "--sink", help="Also show runs while they train: tensorboard, wandb (repeatable)."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which a run that has not ended fails; default: none.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Processes of this machine, or Ray tasks; the records are the same.")
    ] = EngineName.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster, as ray.init takes it; default: RAY_ADDRESS, or Ray on this machine."),
    ] = None,
) -> None:
    """Run a suite, write its report and print the board.

    Runs that have finished are kept: the same command continues an interrupted suite. Exit codes: 0 all runs are done,
    1 some have failed (the board is written all the same), 2 wrong use or an unusable directory, 130 interrupted.
    """
    try:
        from baselines.leaderboard.execution.signals import end_on_signal

        with end_on_signal():
            from baselines.leaderboard.execution.loggers import require_loggers
            from baselines.leaderboard.execution.plan import JobOptions, parse_shard
            from baselines.leaderboard.spec.loading import load_suite, select

            console = _console()
            share = parse_shard(shard)
            start = _engine(engine, address)
            loggers = require_loggers(logger or [])
            whole = load_suite(suite)
            chosen = select(whole, tasks=task, schemes=scheme, seeds=seed)
            from baselines.leaderboard.execution.suite_runner import look_over, refuse_foreign, run_suite

            refuse_foreign(out)  # run_suite asks as well, but only after a probe
            if dry_run:
                look_over(chosen, out, retry_failed=retry_failed, timeout=timeout)
                _print_plan(console, chosen, out, share, jobs, retry_failed, not skip_probe)
                return
            if not skip_probe:
                _print_cost(console, chosen, out, share, jobs, retry_failed)

            options = JobOptions(loggers=loggers, timeout=timeout)
            if checkpoint_seconds is not None:
                options = replace(options, checkpoint_seconds=checkpoint_seconds)
            summary = run_suite(
                whole, out, part=chosen, jobs=jobs, retry_failed=retry_failed, console=console, shard=share,
                options=options, engine=start, check=True,
            )  # fmt: skip
            _report(console, out)
    except KeyboardInterrupt as stop:
        raise InterruptedCommandError(f"{str(stop) or 'interrupted'}. To go on: {_same_command(context)}") from None
    if summary.failed:
        typer.echo(f"{counted(summary.failed, 'run')} failed; --retry-failed repeats what has failed.", err=True)
        raise typer.Exit(EXIT_FAILED_RUNS)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Output directory of `run`.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the site; default: site/ in the directory.")] = None,
    pictures: Annotated[
        int | None, typer.Option(min=0, help="Schemes shown at play, a task; default: about 24 in all.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table for a README instead.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX tables (booktabs) for a paper instead.")] = False,
) -> None:
    """Compute the board of a directory, write board.json, board.md, board.csv and a site of static pages, and print it.

    The site is one folder without a server, which can be put anywhere. --markdown and --latex print tables and write
    nothing.
    """
    from baselines.leaderboard.errors import ConfigError
    from baselines.leaderboard.report import collect_board, latex_tables, markdown_table

    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory; give the --out of a run.")
    if markdown and latex:
        raise ConfigError("--markdown and --latex print different tables; give one of them.")
    if latex:
        typer.echo(latex_tables(collect_board(directory)), nl=False)
    elif markdown:
        typer.echo(markdown_table(collect_board(directory)), nl=False)
    else:
        _report(_console(), directory, site=out, pictures=pictures)


@app.command()
def verify(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Output directory of `run`, one run directory, a submitted file, or a folder of such files alone.",
        ),
    ],
    deep: Annotated[bool, typer.Option("--deep", help="Play the stored policies, too; needs torch.")] = False,
    retrain: Annotated[
        int, typer.Option(min=0, help="With --deep: runs of each row, drawn now, that are trained again; 0: none.")
    ] = 1,
    retrain_seconds: RetrainSeconds = TRAINING_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    most_decisions: MostDecisions = None,
) -> None:
    """Check files, hashes, seeds and counts, and replay the recorded actions: the returns must come out.

    Needs neither weights nor torch, except for --deep, which plays the policies and trains a drawn run of each row
    again. Exit codes: 0 everything verifies, 1 it does not and every fault
    was named, 2 there is nothing to verify. Of a folder, each
    file has the limit of --most-decisions to itself, and --json gives a list.
    """
    from baselines.leaderboard.verify import MOST_DECISIONS, submissions_in, verify_directory, verify_submission

    checks, trainer, most = (
        _deep_checks(deep),
        _trainer(deep, retrain, retrain_seconds),
        most_decisions or MOST_DECISIONS,
    )
    if files := submissions_in(target):
        verdicts = [verify_submission(file, deep=checks, trainer=trainer, most_decisions=most) for file in files]
    else:
        look = verify_directory if target.is_dir() else verify_submission
        verdicts = [look(target, deep=checks, trainer=trainer, most_decisions=most)]
    if as_json:
        told = [verdict.to_json() for verdict in verdicts]
        typer.echo(json.dumps(told if files else told[0], indent=2))
    for line in () if as_json else (line for verdict in verdicts for line in verdict.lines()):
        typer.echo(line)
    if not all(verdict.verified for verdict in verdicts):
        raise typer.Exit(EXIT_FAULTS)


@app.command("retrain")
def retrain_command(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Output directory of `run`, light records, or a submitted file.")
    ],
    runs: Annotated[int, typer.Option(min=1, help="Finished runs to draw at random.")] = 3,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the draw; default: a new one.")] = None,
    run_names: Annotated[
        list[str] | None, typer.Option("--run", help="This run instead, <task>/<scheme>/seed-<s> (repeat for more).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New directory for the new runs; default: none is kept.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at once; default: one a core.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds after which a run is given up.")] = TRAINING_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Train some finished runs again from their configurations, and compare the bytes of all files that repeat.

    It runs the code of the learners and schemes that are installed here, and changes nothing of TARGET. Exit codes: 0
    all are the same, 1 a run differs on the machine and versions that it names, or does not verify, 2 wrong use, 3 a
    run differs, and names another machine or other versions, or was given up: nothing is shown.
    """
    from contextlib import ExitStack

    from rich.console import Console

    from baselines.leaderboard.execution.signals import end_on_signal
    from baselines.leaderboard.verify import SubmissionError, Verdict, unpacked_submission, verify_directory
    from baselines.leaderboard.verify.retrain import draw_runs, retrain

    console = Console(stderr=True, width=140) if as_json else _console()
    chosen = secrets.randbelow(1 << 32) if seed is None else seed
    try:
        with end_on_signal(), ExitStack() as stack:
            directory = target if target.is_dir() else stack.enter_context(unpacked_submission(target))
            paths, among = draw_runs(directory, runs, chosen, run_names or ())
            how = "named" if run_names else f"drawn by --seed {chosen}"
            console.print(f"{len(paths)} of {counted(among, 'finished run')}, {how}", markup=False, highlight=False)
            for verdict in map(verify_directory, paths):
                if not verdict.verified:
                    _print_verdict(verdict, as_json)
                    raise typer.Exit(EXIT_FAULTS)
            found = retrain(paths, console=console, out=out, jobs=jobs, seconds=timeout)
    except SubmissionError as error:
        _print_verdict(Verdict(str(target), faults=error.faults), as_json)
        raise typer.Exit(EXIT_FAULTS) from None
    except KeyboardInterrupt:
        raise InterruptedCommandError("interrupted; nothing was compared") from None
    if as_json:
        told = {"target": str(target), "seed": None if run_names else chosen, "drawn_from": among}
        typer.echo(json.dumps({**told, "runs": [asdict(each) for each in found]}, indent=2))
    for line in () if as_json else (line for each in found for line in each.lines()):
        typer.echo(line)
    verdicts = {each.verdict for each in found}
    if verdicts != {"same"}:
        raise typer.Exit(EXIT_FAULTS if "fault" in verdicts else EXIT_ELSEWHERE)


@app.command()
def submit(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Output directory of a finished `run`.")],
    out: Annotated[Path, typer.Option(help="New file, by custom ending in .zip; .zip.xz compresses it.")],
    light: Annotated[
        bool, typer.Option("--light", help="Leave out weights and actions of absolute episodes; their hashes stay.")
    ] = False,
) -> None:
    """Verify a finished suite and pack its runs into one file, which `verify` and `board add` read on any machine.

    Exit codes: 0 the file is written, 1 the runs do not verify, 2 wrong use or no place for the file.
    """
    from baselines.leaderboard.verify import pack_submission, verify_directory

    verdict = verify_directory(directory, complete=True)
    if not verdict.verified:
        _print_verdict(verdict, as_json=False)
        raise typer.Exit(EXIT_FAULTS)
    digest = pack_submission(directory, out, light=light)
    typer.echo(f"{digest}  {out}")


@app.command()
def lighten(
    directory: Annotated[Path, typer.Argument(help="Output directory of `run`; the suite need not have finished.")],
    out: Annotated[Path, typer.Option(help="Directory of light records; runs that it has already are kept.")],
) -> None:
    """Verify runs and copy them without weights and actions of absolute episodes, small enough for a repository.

    The copy is a directory of runs like any other, for `verify`, `report` and `compare`. Exit codes: 0 written, 1 the
    runs do not verify, 2 wrong use, or the directory has another run of that name.
    """
    from baselines.leaderboard.execution.plan import read_suite_file, write_suite_file
    from baselines.leaderboard.records.held_out import copy_held_out
    from baselines.leaderboard.records.light import write_light_runs
    from baselines.leaderboard.records.revealed import copy_revealed
    from baselines.leaderboard.verify import verify_directory

    verdict = verify_directory(directory)
    if not verdict.verified:
        _print_verdict(verdict, as_json=False)
        raise typer.Exit(EXIT_FAULTS)
    runs = [directory / outcome.run for outcome in verdict.runs]
    new = write_light_runs(runs, directory, out)
    suite = read_suite_file(directory)
    if suite is not None:
        write_suite_file(suite, out)
    copy_revealed(directory, out, [outcome.run for outcome in verdict.runs])
    copy_held_out(directory, out)
    typer.echo(f"{counted(new, 'light run')} written, {len(runs) - new} were there already: {out}")


@app.command()
def commit(
    out: Annotated[Path, typer.Option(help="New file for the salt, to be kept secret until the board is closed.")],
) -> None:
    """Draw a salt, and print the line by which a suite commits to it: seeds that nobody can train on.

    The file is readable for you alone. Who knows it knows the seeds; who loses it can never reveal them.
    """
    import os

    from baselines.leaderboard.errors import OutputDirectoryError
    from baselines.leaderboard.files import make_directory, writing
    from baselines.leaderboard.records.revealed import commitment_of, new_salt

    salt = new_salt()
    make_directory(out.parent)
    with writing(out):
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise OutputDirectoryError(f"{out} exists and is never overwritten; choose another --out.") from None
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{salt}\n")
    typer.echo(f'seed_commitment = "{commitment_of(salt)}"')


@app.command("reveal")
def reveal_command(
    directory: Annotated[
        Path, typer.Argument(help="Output directory of a finished `run` whose suite commits to a salt.")
    ],
    salt: Annotated[Path, typer.Option(help="The file of `commit`.")],
) -> None:
    """Play the final policy of every finished run in the episodes of the salt, and write them to revealed/.

    Needs torch and the weights. Afterwards `report` shows a second score and marks gaps, and `verify` replays it.
    """
    from baselines.leaderboard.execution.reveal import reveal

    typer.echo(f"{counted(reveal(directory, salt), 'run')} played in revealed episodes: {directory / 'revealed'}")


@board_app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file made by `submit`.")],
    board: Annotated[Path, typer.Option(help="Directory of the board; created where it is missing.")],
    deep: Annotated[bool, typer.Option("--deep", help="Play the stored policies, too; needs torch.")] = False,
    retrain: Annotated[
        int | None, typer.Option(min=0, help="With --deep: so many drawn runs of each row alone are trained again.")
    ] = None,
    retrain_seconds: RetrainSeconds = TRAINING_SECONDS,
    name: Annotated[str | None, typer.Option(help="Name of the board, for its title; default: the one it has.")] = None,
    new_tasks: Annotated[
        bool,
        typer.Option("--new-tasks", help="Take tasks that the board has not; their first runs fix their settings."),
    ] = False,
    most_decisions: MostDecisions = None,
) -> None:
    """Add a submission to a board, if all of it verifies, and write the board's report again: both or neither.

    With --deep, the score of each run is the one in held-out episodes, which are drawn now, and every run is trained
    again.

    Exit codes: 0 added, 1 it does not verify and nothing was added, 2 wrong use, or the board has other runs of its
    names or rows.
    """
    from baselines.leaderboard.verify import MOST_DECISIONS
    from baselines.leaderboard.verify.submissions import add_submission

    trainer = _trainer(deep, retrain, retrain_seconds)
    addition = add_submission(
        file, board, deep=_deep_checks(deep), trainer=trainer, name=name, new_tasks=new_tasks,
        most_decisions=most_decisions or MOST_DECISIONS,
    )  # fmt: skip
    if addition.report is None:
        _print_verdict(addition.verdict, as_json=False)
        raise typer.Exit(EXIT_FAULTS)
    for note in addition.verdict.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    typer.echo(f"{counted(len(addition.added), 'run')} added, {len(addition.present)} were there already")
    _show(_console(), *addition.report)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Scheme, by its name in the board.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The scheme that it is compared with.")],
    runs: Annotated[Path, typer.Option(help="Output directory of `run`.")] = Path("runs/quick"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two schemes pair by pair: the same seeds, in the same evaluation episodes, at the budget."""
    from baselines.leaderboard.report.data.paired import compare_schemes, comparison_line

    comparisons = compare_schemes(runs, first, second)
    if as_json:
        typer.echo(json.dumps([comparison.to_json() for comparison in comparisons], indent=2))
        return
    for comparison in comparisons:
        typer.echo(comparison_line(comparison))


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Output directory of `run`.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write finished runs, episode by episode, in the JSON format that marl-eval reads.

    It wants the same schemes and seeds on every task: there are those of the suite, and what else has all of them.
    """
    from baselines.leaderboard.errors import OutputDirectoryError
    from baselines.leaderboard.files import canonical_json, make_directory, replace_file
    from baselines.leaderboard.report.data.marl_eval_file import marl_eval

    if out.exists() and not force:
        raise OutputDirectoryError(f"{out} exists; give another name, or --force to replace it.")
    exported = marl_eval(directory)
    data = canonical_json(exported)
    make_directory(out.parent)
    replace_file(out, data)
    (tasks,) = exported.values()
    schemes = max(map(len, tasks.values()), default=0)
    typer.echo(f"{counted(len(tasks), 'task')}, {counted(schemes, 'scheme')}, {len(data):,} bytes: {out}")


@app.command()
def suites() -> None:
    """List the built-in suites."""
    from baselines.leaderboard.spec.loading import list_suites, load_suite

    for name in list_suites():
        loaded = load_suite(name)
        runs = loaded.runs()
        steps = sum(run.task.budget for run in runs)
        typer.echo(f"{name:<10} {loaded.description} ({counted(len(runs), 'run')}, {steps:,} environment steps)")


@app.command()
def references(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="TASK", help="Built-in tasks or environment ids; default: all.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=2, max=100_000, help="Episodes per policy.")] = 2_000,
    suite: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Measure the tasks that this suite defines itself.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the scores into --suite; its other lines stay.")
    ] = False,
) -> None:
    """Measure random_score and scripted_score of tasks, next to the frozen values.

    With --suite, prints the lines that your own tasks need, or writes them into the file with --write.
    """
    from baselines.leaderboard.errors import ConfigError
    from baselines.leaderboard.execution.references import measure_references
    from baselines.leaderboard.spec.loading import builtin_tasks

    if suite is not None:
        if tasks:
            raise ConfigError(f"--suite and the task {tasks[0]!r} both say what to measure; give one of them.")
        _suite_references(suite, episodes, write)
        return
    if write:
        raise ConfigError("--write needs --suite FILE.toml, the file to write into.")
    known = builtin_tasks()
    for name in tasks or list(known):
        definition = known.get(name, {"env": name})
        for field, found in measure_references(definition["env"], definition.get("params"), episodes=episodes).items():
            frozen = f"(frozen {definition[field]})" if field in definition else "(not frozen)"
            typer.echo(f"{name:<24} {field:<15} {found.mean:10.1f} +- {found.standard_error:.1f} {frozen}")


def _suite_references(suite: Path, episodes: int, write: bool) -> None:
    from baselines.leaderboard.execution.references import measure_references
    from baselines.leaderboard.spec.task_scores import own_tasks, score_lines, write_scores

    scores: dict[int, dict[str, float]] = {}
    for place, task in own_tasks(suite).items():
        found = measure_references(task["env"], task.get("params"), episodes=episodes)
        scores[place] = {field: reference.mean for field, reference in found.items()}
        typer.echo(f"# {task.get('name', task['env'])}: {episodes:,} episodes per policy")
        for line, reference in zip(score_lines(scores[place]), found.values(), strict=True):
            typer.echo(f"{line}  # standard error {reference.standard_error:.2g}")
    if write:
        write_scores(suite, scores)
        typer.echo(f"written into {suite}")


def _engine(name: EngineName, address: str | None) -> EngineFactory | None:
    """The engine that was asked for; None is the local one."""
    from baselines.leaderboard.errors import ConfigError

    if name is EngineName.LOCAL:
        if address is not None:
            raise ConfigError(f"--address {address} belongs to --engine ray; give both, or neither.")
        return None
    from functools import partial

    from baselines.leaderboard.execution.ray_engine import RayEngine, require_ray

    require_ray()
    return partial(RayEngine, address=address)


def _deep_checks(deep: bool) -> ExtraChecks | None:
    if not deep:
        return None
    from baselines.leaderboard.verify.deep import deep_checks

    return deep_checks


def _trainer(deep: bool, count: int | None, seconds: float) -> Trainer | None:
    if not deep or count == 0:
        return None
    from rich.console import Console

    from baselines.leaderboard.verify.retrain import Trainer

    return Trainer(count, Console(stderr=True, width=140), seconds)


def _print_verdict(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(verdict.to_json(), indent=2))
    else:
        for line in verdict.lines():
            typer.echo(line)


def _console() -> Console:
    """The terminal; a log file, which has no width of its own, gets lines that hold the whole board."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)


def _report(console: Console, out: Path, *, site: Path | None = None, pictures: int | None = None) -> None:
    from baselines.leaderboard.report import write_report

    _show(console, *write_report(out, site=site, pictures=pictures))


def _show(console: Console, board: Board, page: Path) -> None:
    from baselines.leaderboard.report import print_board

    print_board(board, console)
    console.print(printable(f"page: {page}"), markup=False, highlight=False, soft_wrap=True)


def _print_plan(
    console: Console, suite: SuiteConfig, out: Path, shard: tuple[int, int], jobs: int | None, retry_failed: bool,
    probe: bool,
) -> None:  # fmt: skip
    """Show every job with its state, and what the rest will cost."""
    from baselines.leaderboard.execution.estimate import estimate_rest
    from baselines.leaderboard.execution.local_engine import available_cores
    from baselines.leaderboard.execution.plan import ledger, make_plan
    from baselines.leaderboard.execution.probe import probe as measure
    from baselines.leaderboard.records.reader import find_runs, read_run

    plan = make_plan(suite, out).shard(*shard)
    lines = ledger(suite) if suite.tuning_budget else []
    lines += [f"{job.state.value:<7} {job.run_id}  {job.config.task.budget:,} environment steps" for job in plan.jobs]
    todo, finished = plan.to_do(retry_failed=retry_failed), [read_run(path) for path in find_runs(out)]
    estimate = estimate_rest(todo, finished, measure if probe else None)
    for line in [*lines, *estimate.lines(jobs or available_cores())]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_cost(
    console: Console, suite: SuiteConfig, out: Path, shard: tuple[int, int], jobs: int | None, retry_failed: bool
) -> None:
    """Say what a large suite will cost that has no finished run; otherwise its progress does, soon enough."""
    from baselines.leaderboard.execution.estimate import estimate_rest
    from baselines.leaderboard.execution.local_engine import available_cores
    from baselines.leaderboard.execution.plan import make_plan
    from baselines.leaderboard.execution.probe import probe as measure
    from baselines.leaderboard.records.reader import find_runs

    if find_runs(out):
        return

    def timed(configs: Sequence[RunConfig]) -> dict[str, float]:
        console.print("timing a run of each task for some seconds")
        return measure(configs)

    estimate = estimate_rest(make_plan(suite, out).shard(*shard).to_do(retry_failed=retry_failed), [], timed)
    if estimate.probed:
        for line in estimate.lines(jobs or available_cores()):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _same_command(context: typer.Context) -> str:
    """The command with the options that it was given, and where it writes, to be typed again."""
    words = ["adaps", "leaderboard", "run"]
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        if value in (None, [], False) or (value == parameter.default and name not in ("suite", "out")):
            continue
        for entry in value if isinstance(value, (list, tuple)) else [value]:
            words += [parameter.opts[0]] if entry is True else [parameter.opts[0], str(entry)]
    return shlex.join(words)
