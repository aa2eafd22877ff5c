"""Every legal outcome of a warehouse step: the readable rules with ties settled in all possible ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adaps_envs.families.crware import reference
from adaps_envs.families.crware.params import WarehouseParams


def legal_outcomes(params: WarehouseParams, state: dict[str, Any], moves: list[int]) -> Iterator[dict[str, Any]]:
    """Yield the states after carrying out ``moves``, before deliveries, one for each way to settle the ties."""
    script: list[int] = []
    while True:
        asked: list[int] = []

        def pick(leaders: Sequence[int], asked: list[int] = asked, script: list[int] = script) -> int:
            position = len(asked)
            asked.append(len(leaders))
            return leaders[script[position] if position < len(script) else 0]

        after = {name: np.array(value) for name, value in state.items()}
        reference.execute(params, after, moves, pick)
        yield after
        script = script[: len(asked)] + [0] * (len(asked) - len(script))
        while script and script[-1] + 1 >= asked[len(script) - 1]:
            script.pop()
        if not script:
            return
        script[-1] += 1


PLACES = ("agent_x", "agent_y", "agent_dir", "carrying", "shelf_x", "shelf_y")


def is_legal(params: WarehouseParams, before: dict[str, Any], moves: list[int], after: dict[str, Any]) -> bool:
    """Return whether agents and shelves may stand as in ``after`` when ``moves`` are carried out in ``before``."""
    return any(
        all(np.array_equal(outcome[name], after[name]) for name in PLACES)
        for outcome in legal_outcomes(params, before, moves)
    )
