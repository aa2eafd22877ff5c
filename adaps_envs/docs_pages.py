"""The pages on environments, written from their declarations: nothing on them is typed twice.

Tables come from the spaces, the parameters and the registry; the story comes from the environment class's docstring. In
it, a sentence that begins with one of :data:`SECTIONS` and a colon opens that section; a page needs all of
:data:`REQUIRED`.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.policies import list_policies
from adaps_envs.registry import EnvFamily, EnvSpec, families, load, make_batched, spec
from adaps_envs.testing.digest import trace_digest

__all__ = ["REQUIRED", "SECTIONS", "env_page", "family_page", "index_table", "missing_sections", "story"]

REQUIRED = ("Rewards", "Start", "End", "Versions")
SECTIONS = ("Actions", "Observations", "Rules", *REQUIRED, "Source")
_SECTION = re.compile(rf"(?:\A|(?<=\n)|(?<=\. ))({'|'.join(SECTIONS)}):\s+")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?(?:[\w.]*\.)?(\w+)`")


def env_page(env_id: str, **params: Any) -> str:
    """Return the page of one id, Markdown: spaces with meaning and range, rewards, ends, start, versions, digest.

    Args:
        env_id: the environment.
        **params: parameters in place of the id's own, for example ``groups=[2, 2]``.

    Raises:
        UnknownNameError: unknown id.
        InvalidParameterError: a parameter that the environment does not take, or a value outside its rule.
    """
    known, env = spec(env_id), make_batched(env_id, 1, **params)
    told = story(type(env))
    parts = [
        f"# {known.id}",
        f"{_description(known, env, params)} {families()[known.family].title.capitalize()}.",
        _facts(known, env, params),
        f"## Observation\n\n{_prose(told, 'Observations')}{_shape(env)}\n\n{_observation_table(env)}",
        f"## Actions\n\n{_prose(told, 'Actions')}{_action_table(env)}",
        *(f"## {name}\n\n{told[name]}" for name in ("Rewards", "Start", "End", "Versions") if name in told),
        f"## Trace digest\n\n`{trace_digest(env_id, **params)}`\n\n"
        f"The same digest, the same game: `{_digest_command(known, params)}`.",
    ]
    return "\n\n".join(parts) + "\n"


def family_page(name: str) -> str:
    """Return what is generated of a family's page, Markdown: its ids, rules and parameters.

    Args:
        name: a key of :func:`adaps_envs.registry.families`.
    """
    family = families()[name]
    told = story(load(family.env))
    parts = [told[""], _id_table(family)]
    parts += [f"**{section}.** {told[section]}" for section in SECTIONS if section in told and section != "Source"]
    parts.append(f"**Parameters**, each a keyword of every constructor:\n\n{_parameter_table(load(family.params))}")
    kind = _roster_type(family)
    if kind is not None:
        intro = f"**Types**: `roster` is a list of `{kind.__name__}`, or of dictionaries with"
        parts.append(f"{intro}\n\n{_parameter_table(kind)}")
    if "Source" in told:
        parts.append(f"**Source.** {told['Source']}")
    return "\n\n".join(parts) + "\n"


def index_table(names: Mapping[str, str]) -> str:
    """Return the table of all ids of the families ``names`` (family name to the file of its page), Markdown."""
    rows = [
        (f"[{env_id}](envs/{env_id}.md)", f"[{family.title}]({names[family.name]})", preset.description)
        for family in families().values()
        if family.name in names
        for env_id, preset in family.presets.items()
    ]
    return _table(("id", "game", "what"), rows) + "\n"


def story(env_class: type[BatchedEnv]) -> dict[str, str]:
    """Return the sections of an environment class's docstring; the text before the first has the key ``""``.

    A section runs to the next one, or to the end of its paragraph; paragraphs without a section belong to the story.
    """
    parts: dict[str, list[str]] = {"": []}
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(env_class.__doc__ or "")):
        name = ""
        pieces = _SECTION.split(paragraph)
        for index, piece in enumerate(pieces):
            if index % 2:
                name = piece
            elif piece.strip():
                parts.setdefault(name, []).append(_markdown(piece))
    return {name: "\n\n".join(texts) for name, texts in parts.items()}


def missing_sections(env_class: type[BatchedEnv]) -> list[str]:
    """Return the sections that a class's page lacks."""
    return [name for name in REQUIRED if name not in story(env_class)]


def _markdown(text: str) -> str:
    """Turn a docstring's paragraph into Markdown on one line that begins as a sentence does."""
    line = _one_line(text)
    # A version's name is not a word.
    return line if re.match(r"v\d", line) else line[:1].upper() + line[1:]


def _one_line(text: str) -> str:
    return _ROLE.sub(r"`\1`", " ".join(text.split())).replace("``", "`")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _prose(told: Mapping[str, str], section: str) -> str:
    return f"{told[section]}\n\n" if section in told else ""


def _description(known: EnvSpec, env: BatchedEnv, params: Mapping[str, Any]) -> str:
    """Return the id's own words, which other parameters would make untrue."""
    if not params:
        return _sentence(known.description)
    return f"{known.id} with other parameters: {env.num_agents} agents, {len(np.unique(env.agent_types))} hidden types."


def _digest_command(known: EnvSpec, params: Mapping[str, Any]) -> str:
    words = [f"-p {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in params.items()]
    return " ".join(["adaps digest", known.id, *words])


def _facts(known: EnvSpec, env: BatchedEnv, params: Mapping[str, Any]) -> str:
    given = "".join(f", {name}={value!r}" for name, value in params.items())
    used = {**known.kwargs, **params}
    rows = [
        ("agents N", str(env.num_agents)),
        ("agents of each hidden type", _counts(env)),
        ("observation F", str(env.obs_dim)),
        ("actions A", str(env.num_actions)),
        ("global state S", str(env.state_dim)),
        ("time limit `max_cycles`", str(env.max_cycles)),
        ("reward", f"`{env.params.reward}`"),
        ("scripted policies", ", ".join(list_policies(known.id))),
        ("parameters", ", ".join(f"`{name}={value!r}`" for name, value in used.items()) or "the defaults"),
        ("here", f'`adaps_envs.make("{known.id}"{given})`'),
        ("Gymnasium", f'`gymnasium.make("{known.gym_id}"{given})`'),
        ("PettingZoo 1.27 or newer", f'`pettingzoo.make("parallel", "{known.pz_id}"{given})`'),
    ]
    return _table(("", ""), rows)


def _counts(env: BatchedEnv) -> str:
    return ", ".join(str(count) for count in np.bincount(env.agent_types))


def _shape(env: BatchedEnv) -> str:
    shape = "" if len(env.obs_shape) == 1 else f", flattened from {list(env.obs_shape)}"
    own = "" if env.padding.blanks is None else " Entries that an agent lacks are left out of its own observation."
    return f"`[{env.obs_dim}] float32` per agent{shape}, before any permutation of its type's entries.{own}"


def _observation_table(env: BatchedEnv) -> str:
    rows = [(str(item.index), item.name, f"{item.low:g}", f"{item.high:g}", item.unit) for item in env.obs_fields]
    return _table(("index", "meaning", "low", "high", "unit"), rows)


def _action_table(env: BatchedEnv) -> str:
    return _table(("action", "meaning"), [(str(index), name) for index, name in enumerate(env.action_names)])


def _id_table(family: EnvFamily) -> str:
    rows = []
    for env_id, preset in family.presets.items():
        env = make_batched(env_id, 1)
        sizes = (str(env.num_agents), _counts(env), str(env.obs_dim), str(env.num_actions), str(env.max_cycles))
        rows.append((f"[{env_id}](envs/{env_id}.md)", *sizes, preset.description))
    return _table(("id", "agents", "of each type", "observation", "actions", "steps", "what"), rows)


def _roster_type(family: EnvFamily) -> type | None:
    """Return the class of a roster's entries, from the annotation of the parameter ``roster``."""
    params = load(family.params)
    annotations = {item.name: str(item.type) for item in fields(params)}
    entry = re.search(r"tuple\[(\w+), \.\.\.\]", annotations.get("roster", ""))
    return getattr(sys.modules[params.__module__], entry[1]) if entry else None


def _parameter_table(kind: type) -> str:
    described = dict(_described(kind))
    rows = [(f"`{item.name}`", _default(item), described.get(item.name, "")) for item in fields(kind)]
    return _table(("name", "default", "meaning"), rows)


def _default(item: Any) -> str:
    return "required" if item.default is MISSING and item.default_factory is MISSING else f"`{item.default!r}`"


def _described(kind: type) -> Iterator[tuple[str, str]]:
    """Yield names and meanings from the ``Attributes`` sections of a class and its bases, the bases' first."""
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(vars(base).get("__doc__") or "")
        body = text.partition("Attributes:\n")[2]
        for match in re.finditer(r"^    ([\w, ]+): (.*(?:\n {5,}.*)*)", body, re.MULTILINE):
            for name in match[1].split(", "):
                yield name, _one_line(match[2])


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
