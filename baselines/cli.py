"""The ``adaps`` command. Heavy imports wait until a command needs them, so that ``--help`` answers at once.

To add a command, write a function below with ``@app.command()``; to add a group, give it a module with a
``typer.Typer`` named ``app`` that imports nothing heavy, and add it with ``app.add_typer``.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from adaps_envs.errors import AdapsError
from baselines import EXIT_INTERRUPTED
from baselines.env_tools import Params, parse_params
from baselines.env_tools import add_commands as add_env_commands
from baselines.leaderboard.cli import app as leaderboard_app
from baselines.leaderboard.errors import InterruptedCommandError

__all__ = ["app", "main"]

EXIT_USAGE = 2

app = typer.Typer(
    name="adaps",
    help="Heterogeneous multi-agent environments, parameter-sharing schemes and a leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(leaderboard_app, name="leaderboard")
add_env_commands(app)


@app.command()
def schemes() -> None:
    """List the parameter-sharing schemes: what they do, where they come from, how many parameters they train."""
    import adaps_agents

    for name in adaps_agents.list_schemes():
        spec = adaps_agents.scheme_spec(name)
        typer.echo(f"{name:<17}{spec.summary}")
        typer.echo(f"{'':<17}source: {spec.source}")
        typer.echo(f"{'':<17}trainable: {spec.parameter_formula}")


@app.command()
def train(
    env: Annotated[str, typer.Argument(metavar="ID", help="Environment id, see `adaps envs`.")],
    out: Annotated[Path, typer.Option(help="New directory for the model.")],
    scheme: Annotated[str, typer.Option(help="Sharing scheme, see `adaps schemes`.")] = "adaps",
    steps: Annotated[int, typer.Option(min=1, help="Environment steps, identity steps included.")] = 600_000,
    seed: Annotated[int, typer.Option(min=0, max=99_999, help="Seed of learner and environment.")] = 0,
    suite: Annotated[str, typer.Option(help="Suite, built-in or .toml, whose learner settings to use.")] = "quick",
    recurrent: Annotated[str | None, typer.Option(help="none, gru or gru_actor, in place of the suite's.")] = None,
) -> None:
    """Train one scheme on one environment with the learner of a suite; writes model.zip and metrics.jsonl."""
    from rich.console import Console

    from baselines.leaderboard.train import train_once, training_config

    config = training_config(env, scheme, steps, seed, suite=suite, recurrent=recurrent)
    train_once(config, out=out, console=Console())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Measure stepping and learning speed beside the installed peers."""
    from importlib import import_module

    raise typer.Exit(import_module("baselines.bench").main(list(context.args)) or 0)


@app.command()
def identify(
    env: Annotated[str, typer.Argument(metavar="ID", help="Environment id, see `adaps envs`.")],
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
    """Run the identity phase alone and compare the groups that it finds with the hidden types."""
    from dataclasses import replace

    from adaps_agents.identity.labels import identity_config
    from baselines.identify import print_study

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
            _say(_interrupted(arguments))
    except InterruptedCommandError as stop:
        _say(str(stop))
        code = EXIT_INTERRUPTED
    except AdapsError as error:
        typer.echo(f"error: {error}", err=True)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        _say(_interrupted(arguments))
        code = EXIT_INTERRUPTED
    if arguments is None and code == EXIT_INTERRUPTED:
        _end_process(EXIT_INTERRUPTED)
    sys.exit(code)


def _interrupted(arguments: Sequence[str] | None) -> str:
    words = sys.argv[1:] if arguments is None else arguments
    return f"interrupted. To go on: {shlex.join(['adaps', *words])}"


def _say(message: str) -> None:
    """On a line of its own: the terminal has just shown ^C."""
    typer.echo(f"\n{message}", err=True)


def _end_process(code: int) -> NoReturn:
    """End without taking torch apart, which takes a second: whoever presses Ctrl-C wants the prompt back."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
