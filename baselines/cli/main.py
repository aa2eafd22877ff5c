"""The ``adaps`` command. Heavy imports wait until a command needs them, so that ``--help`` answers at once.

To add a command, write a function below with ``@app.command()``; to add a group, give it a module with a
``typer.Typer`` named ``app`` that imports nothing heavy, and add it with ``app.add_typer``.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from adaps_envs.errors import AdapsError, MissingExtraError
from adaps_envs.installation import version as installed_version
from adaps_envs.launcher import EXIT_INTERRUPTED, EXIT_USAGE
from baselines.bench import Part
from baselines.cli.envs import EnvId, Params, parse_params
from baselines.cli.envs import add_commands as add_env_commands
from baselines.errors import InterruptedCommandError
from baselines.text import printable

__all__ = ["app", "main"]

app = typer.Typer(
    name="adaps",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_env_commands(app)
_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _add_leaderboard() -> None:
    try:
        from baselines.cli.leaderboard import app as leaderboard
    except MissingExtraError as error:
        missing = error

        @app.command("leaderboard", help="Needs the extra `leaderboard`.", context_settings=_ANYTHING)
        def explain() -> None:
            raise missing
    else:
        app.add_typer(leaderboard, name="leaderboard")


_add_leaderboard()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adaps {installed_version()}")
        raise typer.Exit


@app.callback()
def adaps(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Heterogeneous multi-agent environments, parameter-sharing schemes and a leaderboard."""


@app.command()
def schemes() -> None:
    """List the parameter-sharing schemes: what they do, where they come from, how many parameters they train.

    Needs the extra `agents`.
    """
    from adaps_agents.schemes.registry import list_schemes, refused_plugins, scheme_spec

    for name in list_schemes():
        try:
            spec = scheme_spec(name)
        except AdapsError as error:
            typer.echo(f"{name:<17}{error}", err=True)
            continue
        typer.echo(f"{name:<17}{spec.summary}")
        typer.echo(f"{'':<17}source: {spec.source}")
        typer.echo(f"{'':<17}trainable: {spec.parameter_formula}")
    for plugin in refused_plugins():
        typer.echo(f"refused plug-in: {plugin}", err=True)


class Algorithm(StrEnum):
    """What ``adaps train`` trains with."""

    A2C = "a2c"
    PPO = "ppo"


@app.command()
def train(
    env: EnvId,
    out: Annotated[Path, typer.Option(help="New directory for the model.")],
    scheme: Annotated[str, typer.Option(help="Sharing scheme, see `adaps schemes`.")] = "adaps",
    steps: Annotated[int, typer.Option(min=1, help="Environment steps, identity steps included.")] = 600_000,
    seed: Annotated[int, typer.Option(min=0, max=99_999, help="Seed of learner and environment.")] = 0,
    params: Params = None,
    suite: Annotated[str, typer.Option(help="Suite, built-in or .toml, whose learner settings to use.")] = "quick",
    algo: Annotated[Algorithm | None, typer.Option(help="In place of the suite's; its own settings then hold.")] = None,
    lanes: Annotated[int | None, typer.Option(min=1, help="Parallel copies, in place of the suite's.")] = None,
    net_arch: Annotated[
        str | None, typer.Option(metavar="W,W", help="Widths of the hidden layers, as 64,64, in place of the suite's.")
    ] = None,
    recurrent: Annotated[str | None, typer.Option(help="none, gru or gru_actor, in place of the suite's.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--setting", metavar="K=V", help="An option of the scheme (repeat for more).")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also log there (needs the extra `tensorboard`).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted training in --out.")] = False,
) -> None:
    """Train one scheme on one environment with the learner of a suite.

    Writes model.zip, policy.safetensors, config.json and metrics.jsonl. An interrupted training goes on with the same
    command and --resume. Needs the extra `leaderboard`.
    """
    from rich.console import Console

    import baselines.leaderboard  # noqa: F401  (says which extra is missing)
    from adaps_envs.installation import require
    from baselines.cli.train import parse_widths, train_once, training_config
    from baselines.leaderboard.execution.signals import end_on_signal

    if tensorboard is not None:
        require("--tensorboard", "tensorboard", "tensorboard")
    config = training_config(
        env, scheme, steps, seed, suite=suite, params=parse_params(params), algorithm=algo, lanes=lanes,
        net_arch=None if net_arch is None else parse_widths(net_arch), recurrent=recurrent,
        settings=parse_params(setting),
    )  # fmt: skip
    with end_on_signal():
        train_once(config, out=out, console=Console(), tensorboard=tensorboard, resume=resume)


@app.command()
def bench(
    only: Annotated[Part | None, typer.Option(help="Measure this part alone.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter repetitions.")] = False,
    out: Annotated[Path | None, typer.Option(help="New JSON file for the figures.")] = None,
) -> None:
    """Measure stepping and learning speed next to the installed peers, as ratios from one run.

    Needs the extra `leaderboard`.
    """
    from importlib import import_module

    import_module("baselines.bench.main").run_bench(out, quick, parts=list(Part) if only is None else [only])


@app.command()
def identify(
    env: EnvId,
    params: Params = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of seeds, from 0.")] = 10,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            "--identity",
            "-i",
            metavar="K=V",
            help="A setting of the phase, as -i method=paper; or its name, -i seps-original.",
        ),
    ] = None,
    env_steps: Annotated[int | None, typer.Option(min=1, help="Environment steps of random play.")] = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Control: deal the transitions to random agents.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list with one entry per seed.")] = False,
) -> None:
    """Run the identity phase alone and compare the groups that it finds with the hidden types.

    Needs the extra `agents`.
    """
    from dataclasses import replace

    import adaps_agents  # noqa: F401  (says which extra is missing)
    from adaps_agents.schemes.group_source import identity_config
    from baselines.cli.identify import print_study

    named = identity is not None and len(identity) == 1 and "=" not in identity[0]
    config = identity_config(identity[0] if identity and named else parse_params(identity))
    config = replace(config, env_steps=env_steps or config.env_steps, shuffle_agents=shuffle or config.shuffle_agents)
    print_study(env, range(seeds), config=config, params=parse_params(params), as_json=as_json, say=typer.echo)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error of the suite is one line on standard error and exit code 2.

    Args:
        arguments: words after ``adaps``; None takes those of this process, which ends at once if it is interrupted.
    """
    code: int | str | None
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=True)
    except SystemExit as stop:
        code = stop.code
        if code == EXIT_INTERRUPTED:  # typer's, for a Ctrl-C outside of what a command does
            _say_below(_interrupted(arguments))
    except InterruptedCommandError as stop:
        _say_below(str(stop))
        code = EXIT_INTERRUPTED
    except AdapsError as error:
        _say(f"error: {error}")
        code = EXIT_USAGE
    except OSError as error:  # a path that no system takes, a full disk behind standard output
        _say(f"error: {_refused(error)}")
        code = EXIT_USAGE
    except KeyboardInterrupt:
        _say_below(_interrupted(arguments))
        code = EXIT_INTERRUPTED
    if not _flushed():
        code = code or EXIT_USAGE
    if arguments is None and code == EXIT_INTERRUPTED:
        _end_process(EXIT_INTERRUPTED)
    sys.exit(code)


def _interrupted(arguments: Sequence[str] | None) -> str:
    words = sys.argv[1:] if arguments is None else arguments
    return f"interrupted. To go on: {shlex.join(['adaps', *words])}"


def _say(message: str) -> None:
    """Print one line on standard error; there is no other place left to say that even this cannot be written."""
    with suppress(OSError):
        typer.echo(printable(message), err=True)


def _say_below(message: str) -> None:
    """On a line of its own: the terminal has just shown ^C."""
    with suppress(OSError):
        typer.echo("", err=True)
    _say(message)


def _refused(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is None:
        return f"the system refuses: {reason}. Is there room for the output, and memory?"
    return f"{error.filename}: {reason}; give another path, or mend this one."


def _flushed() -> bool:
    """Write out what standard output still holds; if it takes nothing, Python would complain again as it ends."""
    try:
        sys.stdout.flush()
        return True
    except OSError as error:
        _say(f"error: standard output cannot be written: {error.strerror}; send it to another place.")
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False


def _end_process(code: int) -> NoReturn:
    """End without taking torch apart, which takes a second: whoever presses Ctrl-C wants the prompt back."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
