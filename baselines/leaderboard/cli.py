"""``adaps leaderboard``: run, report, references, suites."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from baselines.leaderboard.config import SuiteConfig

__all__ = ["app"]

app = typer.Typer(help="Run suites of tasks and schemes, and report them.", no_args_is_help=True)

EXIT_FAILED_RUNS = 1
EXIT_INTERRUPTED = 130


@app.command()
def run(
    suite: Annotated[str, typer.Option(help="Built-in suite, or the path of a .toml file.")] = "quick",
    out: Annotated[Path, typer.Option(help="Output directory; the same one continues an interrupted run.")] = Path(
        "runs/quick"
    ),
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; default: one a core.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task (repeat for more).")] = None,
    scheme: Annotated[list[str] | None, typer.Option(help="Only this scheme (repeat for more).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed (repeat for more).")] = None,
    retry_failed: Annotated[bool, typer.Option(help="Run failed jobs again.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show what would be run, and stop.")] = False,
) -> None:
    """Run a suite, write its report and print the board.

    Runs that have finished are kept: the same command continues an interrupted suite. Exit codes: 0 all runs are done,
    1 some have failed (the board is written all the same), 2 wrong use or an unusable directory, 130 interrupted.
    """
    from baselines.leaderboard.suite import load_suite, select

    console = _console()
    whole = load_suite(suite)
    chosen = select(whole, tasks=task, schemes=scheme, seeds=seed)
    if dry_run:
        _print_plan(console, chosen, out)
        return

    from baselines.leaderboard.check import check_suite
    from baselines.leaderboard.run import RunInterrupted, run_suite

    check_suite(chosen)
    try:
        summary = run_suite(whole, out, part=chosen, jobs=jobs, retry_failed=retry_failed, console=console)
    except RunInterrupted as stop:
        again = shlex.join(_command(suite, out, jobs, task, scheme, seed))
        typer.echo(f"\ninterrupted: {stop.done} of {stop.total} runs are done. To go on: {again}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _report(console, out)
    if summary.failed:
        typer.echo(f"{summary.failed} runs failed; --retry-failed runs them again.", err=True)
        raise typer.Exit(EXIT_FAILED_RUNS)


@app.command()
def report(directory: Annotated[Path, typer.Argument(help="Output directory of `run`.")]) -> None:
    """Compute the board of a directory, write board.json, board.md, board.csv and site/index.html, and print it."""
    from baselines.leaderboard.errors import ConfigError

    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory; give the --out of a run.")
    _report(_console(), directory)


@app.command()
def suites() -> None:
    """List the built-in suites."""
    from baselines.leaderboard.suite import list_suites, load_suite

    for name in list_suites():
        loaded = load_suite(name)
        runs = loaded.runs()
        steps = sum(run.task.budget for run in runs)
        typer.echo(f"{name:<10} {loaded.description} ({len(runs)} runs, {steps:,} environment steps)")


@app.command()
def references(
    tasks: Annotated[list[str] | None, typer.Argument(help="Built-in tasks or environment ids; default: all.")] = None,
    episodes: Annotated[int, typer.Option(min=2, max=100_000, help="Episodes a policy.")] = 2_000,
) -> None:
    """Measure random_score and scripted_score of tasks anew, beside the frozen values."""
    from baselines.leaderboard.references import measure_references
    from baselines.leaderboard.suite import builtin_tasks

    known = builtin_tasks()
    for name in tasks or list(known):
        definition = known.get(name, {"env": name})
        for field, found in measure_references(definition["env"], definition.get("params"), episodes=episodes).items():
            frozen = f"(frozen {definition[field]})" if field in definition else "(not frozen)"
            typer.echo(f"{name:<24} {field:<15} {found.mean:10.1f} +- {found.standard_error:.1f} {frozen}")


def _console() -> Console:
    """The terminal; a log file, which has no width of its own, gets lines that hold the whole board."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)


def _report(console: Console, out: Path) -> None:
    from baselines.leaderboard.report import print_board, write_report

    board, page = write_report(out)
    print_board(board, console)
    console.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)


def _print_plan(console: Console, suite: SuiteConfig, out: Path) -> None:
    from baselines.leaderboard.plan import make_plan

    for job in make_plan(suite, out).jobs:
        line = f"{job.state.value:<7} {job.run_id}  {job.config.task.budget:,} environment steps"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _command(
    suite: str,
    out: Path,
    jobs: int | None,
    tasks: list[str] | None,
    schemes: list[str] | None,
    seeds: list[int] | None,
) -> list[str]:
    """The command that continues a run, word by word."""
    words = ["adaps", "leaderboard", "run", "--suite", suite, "--out", str(out)]
    if jobs is not None:
        words += ["--jobs", str(jobs)]
    for option, values in (("--task", tasks), ("--scheme", schemes), ("--seed", seeds)):
        for value in values or []:
            words += [option, str(value)]
    return words
