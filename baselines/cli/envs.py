"""The commands around environments: ``adaps envs``, ``check``, ``digest`` and ``play``; heavy imports wait."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaps_envs.errors import InvalidParameterError

if TYPE_CHECKING:
    from adaps_envs.testing import CheckReport

__all__ = ["add_commands", "check", "digest", "envs", "parse_params", "play"]

PARAMS_HELP = "A parameter, name=value with a JSON value, e.g. -p groups=[2,2]; may be repeated."


def _ids(begun: str) -> list[str]:
    """The environment ids that begin so, for the shell's completion."""
    from adaps_envs import list_envs

    return [name for name in list_envs() if name.lower().startswith(begun.lower())]


EnvId = Annotated[str, typer.Argument(metavar="ID", help="Environment id, see `adaps envs`.", autocompletion=_ids)]
Params = Annotated[list[str] | None, typer.Option("--params", "-p", metavar="K=V", help=PARAMS_HELP)]
_STYLE = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    for command in (envs, check, digest, play):
        app.command()(command)


def envs(
    env: Annotated[
        str | None, typer.Argument(metavar="ID", help="Show this environment's page.", autocompletion=_ids)
    ] = None,
    params: Params = None,
    write_docs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the generated pages into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the environments, or show one's page: spaces with meaning and range, rewards, ends, start, digest."""
    if write_docs is not None:
        from baselines.cli.docs import write_docs as write

        changed = write(write_docs)
        typer.echo("\n".join(str(path) for path in changed) or "every page is up to date")
    elif env is not None:
        from adaps_envs.docs_pages import env_page

        _show_markdown(env_page(env, **parse_params(params)))
    elif params:
        raise InvalidParameterError(f"-p {params[0]} changes one environment's page; give its ID, for example BPS-1.")
    else:
        _list_envs(as_json)


def check(
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Our id, an id of PettingZoo's registry, module:callable, or a module."),
    ] = None,
    params: Params = None,
    faces: Annotated[bool, typer.Option("--faces", help="Also check all faces of one of our ids.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="3 seeds of 80 steps instead of 20 of 1,000.")] = False,
    select: Annotated[
        list[str] | None, typer.Option("--select", "-k", metavar="PATTERN", help="Only checks like 'parallel/*'.")
    ] = None,
    imports: Annotated[
        list[str] | None, typer.Option("--import", metavar="MODULE", help="Import this first: it registers the id.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    show_rules: Annotated[bool, typer.Option("--list", help="List all checks and their rules, and leave.")] = False,
) -> None:
    """Check any PettingZoo environment strictly. Exit status: 0 passed, 1 a check failed, 2 it cannot be checked."""
    from adaps_envs.testing import FULL, QUICK, check_target

    # Also an environment beside the caller is found, as with `python -m`.
    sys.path.insert(0, "")
    for module in imports or []:
        _import(module)
    if show_rules:
        _list_rules()
        return
    if target is None:
        raise InvalidParameterError(
            "nothing to check; give a TARGET, for example BPS-1 or my_package.env:parallel_env."
        )
    effort = QUICK if quick else FULL
    options: dict[str, Any] = {"params": parse_params(params), "effort": effort, "faces": faces, "select": select or ()}
    if as_json:
        report = check_target(target, **options)
        typer.echo(json.dumps(_as_dict(report), indent=2))
    else:
        report = _checked_with_progress(target, options)
        _print_report(report)
    raise typer.Exit(0 if report.passed else 1)


def digest(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Environment ids.", autocompletion=_ids)],
    params: Params = None,
) -> None:
    """Print the SHA-256 of a scripted rollout: the same digest, the same game."""
    from adaps_envs.testing import trace_digest

    overrides = parse_params(params)
    for env_id in ids:
        found = trace_digest(env_id, **overrides)
        typer.echo(found if len(ids) == 1 else f"{found}  {env_id}")


def play(
    env: EnvId,
    policy: Annotated[
        str | None,
        typer.Option(help="Scripted policy of the agents that you don't drive: expert (default), blind or random."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="A trained model in its place, watched: model.zip, policy.safetensors, or a run's directory. "
            "Needs the extra `agents`.",
        ),
    ] = None,
    sampled: Annotated[
        bool | None,
        typer.Option(
            "--sampled/--greedy",
            help="Sample the model's actions, or take the most probable ones; default: as the built-in task of ID is "
            "scored, else greedy.",
        ),
    ] = None,
    agent: Annotated[
        int | None, typer.Option(min=0, help="The agent that you drive first; default: 0, with --model nobody.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Drive nobody, only watch.")] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="OUT.gif", help="Write a GIF of the policy; opens no window.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps to play; by default one episode if recorded, else no end.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the environment and the policy.")] = 0,
    fps: Annotated[float, typer.Option(min=0.5, max=50, help="Pictures a second.")] = 10.0,
    params: Params = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Drive agents in a window (needs the extra `render`), or record a policy or a trained model as a GIF without one.

    Keys: arrows, space and digits act for your agent, one step a press; Tab and Shift+Tab choose the agent; a lets the
    policy drive it; p runs or pauses; r restarts; h lists all keys; q leaves.
    """
    from adaps_envs import make_batched
    from baselines.cli import play as player

    driven = None if watch or record is not None or (model is not None and agent is None) else agent or 0
    if model is None:
        if sampled is not None:
            raise InvalidParameterError(
                f"--{'sampled' if sampled else 'greedy'} says how a trained model plays; add --model, or leave it out."
            )
        batched = make_batched(env, 1, **parse_params(params))
        session = player.Session(batched, policy or "expert", seed=seed, driven=driven)
    else:
        if policy is not None:
            raise InvalidParameterError("--model and --policy both say who plays; give one of them.")
        import adaps_agents  # noqa: F401  (says which extra is missing)
        from baselines.cli.play_model import open_model

        batched, trained = open_model(model, env, parse_params(params), sampled=sampled)
        if trained.note:
            typer.echo(trained.note, err=True)
        session = player.Session(batched, trained.name, seed=seed, driven=driven, model=trained)
    if record is not None:
        length = batched.max_cycles if steps is None else steps
        frames = player.record(session, record, steps=length, fps=fps, overwrite=force)
        typer.echo(f"{record}: {frames} pictures")
        return
    if driven is not None:
        typer.echo(player.help_text(batched))
    player.play(session, fps=fps, steps=steps, say=typer.echo)


def parse_params(given: list[str] | None) -> dict[str, Any]:
    """Return the parameters of ``["name=value", ...]``; a value that is no JSON is taken as text.

    Raises:
        InvalidParameterError: no ``=``, or a name given twice.
    """
    params: dict[str, Any] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InvalidParameterError(f"parameter {text!r} is not of the form name=value, e.g. max_cycles=100.")
        if name.strip() in params:
            raise InvalidParameterError(f"parameter {name.strip()!r} is given twice; give it once.")
        try:
            params[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            params[name.strip()] = value
    return params


def _list_envs(as_json: bool) -> None:
    import adaps_envs
    from adaps_envs.registry import broken_plugins

    specs = [adaps_envs.spec(name) for name in adaps_envs.list_envs()]
    for plugin, reason in broken_plugins().items():
        typer.echo(f"plug-in {plugin!r} failed to load and is left out ({reason})", err=True)
    if as_json:
        rows = [
            {"id": known.id, "family": known.family, "gymnasium": known.gym_id, "pettingzoo": known.pz_id,
             "description": known.description, "params": dict(known.kwargs)}
            for known in specs
        ]  # fmt: skip
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max((len(known.id) for known in specs), default=0)
    for known in specs:
        typer.echo(f"{known.id:<{width}}  {known.description}")


def _show_markdown(text: str) -> None:
    """Print a page as text that fits the terminal; with colours only there."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    # Rich puts code on black, which is a row of boxes where the terminal is light.
    Console(theme=Theme({"markdown.code": "bold cyan"})).print(Markdown(text))


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise InvalidParameterError(
            f"cannot import {module!r} ({error}); install it, or leave --import out."
        ) from error


def _list_rules() -> None:
    from adaps_envs.testing import list_checks

    for name, rule in list_checks().items():
        typer.echo(f"{name:<30} {rule}")


def _checked_with_progress(target: str, options: dict[str, Any]) -> CheckReport:
    from rich.console import Console

    from adaps_envs.testing import check_target

    with Console(stderr=True).status("starting") as status:
        return check_target(target, **options, progress=lambda name: status.update(name))


def _print_report(report: CheckReport) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(report.env_id), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("check", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("rule, or what was seen", overflow="fold")
    for result in report.results:
        status = f"[{_STYLE[result.status]}]{result.status}[/]"
        played = f" [{result.played}]" if result.played else ""
        told = _first_line(result.message) or result.rule.replace("``", "") + played
        table.add_row(result.name, status, escape(told))
    counts = ", ".join(f"{count} {status}" for status, count in report.counts().items())
    verdict, style = ("PASSED", "green") if report.passed else ("FAILED", "bold red")
    console = Console()
    console.print(table)
    console.print(f"{verdict}: {counts}", style=style)
    for result in report.results:
        # Other people's tests warn of much that is no fault.
        for note in result.notes if result.name.startswith("parallel/") else ():
            console.print(escape(f"Warning, {result.name}: {_first_line(note)}"), style="yellow")
    console.print(
        f"Asked for: {report.effort.seeds} seeds of {report.effort.steps} steps; in brackets, what was played."
    )


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] + (" ..." if len(lines) > 1 else "") if lines else ""


def _as_dict(report: CheckReport) -> dict[str, Any]:
    from importlib.metadata import version

    from adaps_envs.installation import version as own_version

    checks = [
        {"name": result.name, "status": result.status, "message": result.message, "rule": result.rule,
         "played": result.played, "notes": list(result.notes)}
        for result in report.results
    ]  # fmt: skip
    libraries = {"adaps": own_version()} | {name: version(name) for name in ("pettingzoo", "gymnasium", "numpy")}
    effort = {"seeds": report.effort.seeds, "steps": report.effort.steps}
    return {"target": report.env_id, "passed": report.passed, "counts": report.counts(), "effort": effort,
            "checks": checks, "versions": libraries}  # fmt: skip
