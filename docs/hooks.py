"""What mkdocs generates while it builds: a page for every public name, and the page of the command line.

The pages exist in the built site alone. A name is public if its package's ``__all__`` has it; :data:`ALSO` adds the
classes that authors of plug-ins derive from or fill in.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGES = (
    "adaps_envs",
    "adaps_envs.testing",
    "adaps_agents",
    "adaps_agents.testing",
    "adaps_agents.diagnostics",
    "adaps_agents.export",
)
ALSO = {
    "adaps_envs": (
        "adaps_envs.core.batched.BatchedEnv",
        "adaps_envs.registry.EnvFamily",
        "adaps_envs.registry.Preset",
        "adaps_envs.types.ArraySpec",
        "adaps_envs.types.ObsField",
    )
}
CLI = "reference/cli.md"
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?(?:[\w.]*\.)?(\w+)`")


class PlainRoles(griffe.Extension):
    """Show Sphinx roles in docstrings as code: ``:class:`~a.b.C``` becomes ``C``."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value.replace("``", "`"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation, under Reference."""
    (reference,) = (entry["Reference"] for entry in config.nav or [] if "Reference" in entry)
    api = [
        {package: [_index(package), *({_last(name): page} for name, page in _pages(package))]} for package in PACKAGES
    ]
    reference[1:1] = [{"API": api}, {"Command line": CLI}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for package in PACKAGES:
        files.append(File.generated(config, _index(package), content=_overview(package)))
        for name, page in _pages(package):
            files.append(File.generated(config, page, content=f"::: {name}\n"))
    files.append(File.generated(config, CLI, content=_command_line()))
    return files


def _pages(package: str) -> list[tuple[str, str]]:
    """Return the public names of a package and the page of each."""
    public = importlib.import_module(package).__all__
    names = [f"{package}.{name}" for name in public] + list(ALSO.get(package, ()))
    return [(name, f"reference/api/{package}/{_last(name)}.md") for name in names]


def _index(package: str) -> str:
    return f"reference/api/{package}/index.md"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _overview(package: str) -> str:
    lines = [
        f"# {package}",
        "",
        importlib.import_module(package).__doc__.partition("\n")[0],
        "",
        "| name | what |",
        "|---|---|",
    ]
    for name, _ in _pages(package):
        module, _, attribute = name.rpartition(".")
        value = getattr(importlib.import_module(module), attribute)
        text = value.__doc__ if callable(value) and value.__doc__ else ""
        summary = _ROLE.sub(r"`\1`", text.strip().partition("\n")[0]).replace("``", "`").replace("|", "\\|")
        lines.append(f"| [`{attribute}`]({attribute}.md) | {summary} |")
    return "\n".join(lines) + "\n"


def _command_line() -> str:
    """Return the page of ``adaps``, from the commands' own help."""
    import typer.main

    from baselines.cli.main import app

    completion = "`adaps --install-completion` lets your shell complete commands, options and environment ids with Tab."
    parts = ["# Command line", f"`adaps COMMAND --help` prints the same. {completion}"]
    parts += _command(typer.main.get_command(app), "adaps")
    return "\n\n".join(parts) + "\n"


def _command(command: Any, name: str) -> list[str]:
    inner = getattr(command, "commands", {})
    depth = min(2 + max(0, name.count(" ") - 1), 4)
    parts = [] if name == "adaps" else [f"{'#' * depth} {name}"]
    parts.append(" ".join((command.help or "").replace("\f", "").split()))
    rows = [_option(item) for item in command.params if item.name != "help"]
    if rows:
        parts.append("| argument | meaning | default |\n|---|---|---|\n" + "\n".join(rows))
    for word, sub in inner.items():
        parts += _command(sub, f"{name} {word}")
    return parts


def _option(item: Any) -> str:
    names = (
        ", ".join(f"`{word}`" for word in item.opts) if item.param_type_name == "option" else f"`{item.name.upper()}`"
    )
    default = "required" if item.required else item.default
    shown = "" if default in (None, False, (), []) or callable(default) else str(default)
    help_text = " ".join((getattr(item, "help", None) or "").split()).replace("|", "\\|")
    return f"| {names} | {help_text} | {shown} |"
