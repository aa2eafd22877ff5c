"""What a page says of a scheme: the words of its class, with a link to the paper."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from adaps_envs.installation import SITE

__all__ = ["SchemeText", "scheme_text"]

_ARXIV = re.compile(r"(arXiv (\d{4}\.\d{4,5}))")
_PAPERS = "https://arxiv.org/abs/"
_FOLDERS = ("adaps_agents/schemes", "baselines/schemes")


@dataclass(frozen=True)
class SchemeText:
    """One line about a scheme, and where it comes from: pieces of text, each with a link or ""."""

    summary: str
    source: tuple[tuple[str, str], ...]


@cache
def scheme_text(name: str) -> SchemeText | None:
    """Return what a scheme of the suite says of itself; None for any other name, which a record may hold.

    It is read from the source: a report runs no scheme and needs no torch.
    """
    source = {path.stem: path for folder in _FOLDERS for path in (SITE / folder).glob("*.py")}.get(name)
    told = {} if source is None else _class_texts(source.read_text("utf-8"))
    if not {"summary", "source"} <= told.keys():
        return None
    return SchemeText(told["summary"], tuple(_pieces(told["source"])))


def _class_texts(source: str) -> dict[str, str]:
    """Return the texts that the class of a scheme's module gives its attributes."""
    module = ast.parse(source).body
    chosen = {name: value.id for name, value in _assigned(module) if isinstance(value, ast.Name)}.get("SCHEME")
    found = [statement for statement in module if isinstance(statement, ast.ClassDef) and statement.name == chosen]
    texts = [pair for statement in found for pair in _assigned(statement.body)]
    return {name: value.value for name, value in texts if isinstance(value, ast.Constant) and type(value.value) is str}


def _assigned(statements: Sequence[ast.stmt]) -> list[tuple[str, ast.expr]]:
    return [
        (target.id, statement.value)
        for statement in statements
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]


def _pieces(source: str) -> list[tuple[str, str]]:
    pieces, end = [], 0
    for match in _ARXIV.finditer(source):
        pieces += [(source[end : match.start()], ""), (match[1], _PAPERS + match[2])]
        end = match.end()
    return [piece for piece in [*pieces, (source[end:], "")] if piece[0]]
