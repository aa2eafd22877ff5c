"""Comparing JSON values leaf by leaf, so that a fault names the one that differs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["ABSENT", "different_leaves"]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
"""Stands for a leaf that one of two values does not have."""


def different_leaves(found: Any, rule: Any, tolerance: float = 0.0, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the leaves in which two JSON values differ: where, what is there, what should be.

    Args:
        found: JSON value.
        rule: what it should be.
        tolerance: by how much, absolutely, a number may differ from a ``rule`` that is no whole number.
        where: name of the values themselves.
    """
    if isinstance(found, dict) and isinstance(rule, dict):
        for name in sorted(found.keys() | rule.keys()):
            inner = f"{where}.{name}" if where else name
            yield from different_leaves(found.get(name, ABSENT), rule.get(name, ABSENT), tolerance, inner)
    elif isinstance(found, list) and isinstance(rule, list) and len(found) == len(rule):
        for place, (left, right) in enumerate(zip(found, rule, strict=True)):
            yield from different_leaves(left, right, tolerance, f"{where}[{place}]")
    elif not _same(found, rule, tolerance):
        yield where, found, rule


def _same(found: Any, rule: Any, tolerance: float) -> bool:
    if isinstance(rule, float) and isinstance(found, (int, float)) and not isinstance(found, bool):
        return math.isclose(found, rule, rel_tol=0.0, abs_tol=tolerance)
    return bool(type(found) is type(rule) and found == rule)
