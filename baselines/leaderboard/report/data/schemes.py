"""What a page says of a scheme: the words of its class, with a link to the paper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = ["SchemeText", "scheme_text"]

_ARXIV = re.compile(r"(arXiv (\d{4}\.\d{4,5}))")
_SITE = "https://arxiv.org/abs/"


@dataclass(frozen=True)
class SchemeText:
    """One line about a scheme, and where it comes from: pieces of text, each with a link or ""."""

    summary: str
    source: tuple[tuple[str, str], ...]


@cache
def scheme_text(name: str) -> SchemeText | None:
    """Return what a scheme of the suite says of itself.

    None for any other name: a record may hold one, and a plug-in's code is not run for a page.
    """
    # Imports torch, which the tables do not need.
    from adaps_agents.schemes.registry import is_builtin, scheme_spec

    if not is_builtin(name):
        return None
    spec = scheme_spec(name)
    return SchemeText(spec.summary, tuple(_pieces(spec.source)))


def _pieces(source: str) -> list[tuple[str, str]]:
    pieces, end = [], 0
    for match in _ARXIV.finditer(source):
        pieces += [(source[end : match.start()], ""), (match[1], _SITE + match[2])]
        end = match.end()
    return [piece for piece in [*pieces, (source[end:], "")] if piece[0]]
