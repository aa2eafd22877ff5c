"""Random games of foraging for tests: every parameter, legal combinations only."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["games"]


@st.composite
def _levels(draw: st.DrawFn, count: int, highest: int) -> tuple[Any, Any]:
    """Draw lowest and highest level, as numbers or as one entry each."""
    if draw(st.booleans()):
        low = draw(st.integers(1, highest))
        return low, draw(st.integers(low, highest))
    lows = draw(st.lists(st.integers(1, highest), min_size=count, max_size=count))
    return tuple(lows), tuple(draw(st.integers(low, highest)) for low in lows)


@st.composite
def _types(draw: st.DrawFn, sides: tuple[int, int]) -> list[dict[str, Any]]:
    kinds = []
    for _ in range(draw(st.integers(1, 3))):
        low = draw(st.integers(1, 3))
        level = draw(st.sampled_from([low, (low, low + 2)]))
        sight = draw(st.none() | st.integers(0, max(sides)))
        kinds.append({"count": draw(st.integers(1, 2)), "level": level, "sight": sight})
    return kinds


@st.composite
def games(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the parameters of a small game."""
    sides = (draw(st.integers(3, 7)), draw(st.integers(3, 7)))
    grid = draw(st.booleans())
    seen = grid or draw(st.booleans())
    params: dict[str, Any] = {
        "field_size": sides,
        "max_num_food": draw(st.integers(1, (sides[0] - 2) * (sides[1] - 2))),
        "sight": draw(st.none() | st.integers(0, 7)),
        "force_coop": draw(st.booleans()),
        "normalize_reward": draw(st.booleans()),
        "penalty": draw(st.sampled_from([0.0, 0.1, 2.5])),
        "grid_observation": grid,
        "observe_agent_levels": seen,
        "zero_agent_levels": seen and draw(st.booleans()),
        "max_cycles": draw(st.integers(1, 12)),
    }
    if draw(st.booleans()):
        players = draw(st.integers(1, 5))
        low, high = draw(_levels(players, 4))
        params |= {"players": players, "min_player_level": low, "max_player_level": high}
    else:
        params |= {"roster": draw(_types(sides)), "roster_order": draw(st.sampled_from(["blocks", "alternating"]))}
    if draw(st.booleans()):
        low, high = draw(_levels(params["max_num_food"], 6))
        params |= {"min_food_level": low, "max_food_level": high}
    else:
        # The weakest possible players are of level 1 and may be one alone: food of level 1 below 2 is always possible.
        alone = params.get("players", sum(kind["count"] for kind in params.get("roster", []))) == 1
        params["exclusive_max_food_level"] = not alone and draw(st.booleans())
    return params
