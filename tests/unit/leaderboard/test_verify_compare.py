"""Differences of JSON values are named by their leaves."""

from __future__ import annotations

from typing import Any

import pytest

from baselines.leaderboard.verify.compare import different_leaves

VALUE: dict[str, Any] = {"a": {"b": [1, 2.5, None]}, "c": "text", "d": True}


def test_equal_values_have_no_different_leaves() -> None:
    assert list(different_leaves(VALUE, VALUE)) == []
    assert list(different_leaves({"a": {"b": [1, 2.5001, None]}}, {"a": VALUE["a"]}, tolerance=1e-3)) == []


@pytest.mark.parametrize(
    ("changes", "where", "found", "rule"),
    [
        ({"a": {"b": [1, 2.6, None]}}, "a.b[1]", "2.6", "2.5"),
        ({"a": {"b": [2, 2.5, None]}}, "a.b[0]", "2", "1"),
        ({"a": {"b": [True, 2.5, None]}}, "a.b[0]", "True", "1"),
        ({"a": {"b": [1, 2.5]}}, "a.b", "[1, 2.5]", "[1, 2.5, None]"),
        ({"a": {}}, "a.b", "nothing", "[1, 2.5, None]"),
        ({"e": 0}, "e", "0", "nothing"),
        ({"d": 1}, "d", "1", "True"),
        ({"c": 1}, "c", "1", "'text'"),
    ],
)
def test_a_different_leaf_is_named(changes: dict[str, Any], where: str, found: str, rule: str) -> None:
    leaves = list(different_leaves({**VALUE, **changes}, VALUE, tolerance=1e-3))
    assert [(place, repr(left), repr(right)) for place, left, right in leaves] == [(where, found, rule)]
