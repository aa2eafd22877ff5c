"""Random games of every family for tests: every parameter of the rules and of observations, legal values only."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from adaps_envs.families.bps.params import ACTIONS, observation_size
from adaps_envs.families.crware.params import IMAGE_LAYERS, MOVES, OBSERVATION_TYPES, REWARD_TYPES
from adaps_envs.families.lbf.roster import ACTIONS as LBF_ACTIONS

__all__ = ["coloured_warehouses", "foraging", "particles", "warehouses"]

NUM_LANDMARKS = 3
_DEALS = st.none() | st.integers(0, 99)


def _actions(names: tuple[str, ...]) -> st.SearchStrategy[list[str] | None]:
    """Draw the actions of a type, mostly all."""
    return st.none() | st.none() | st.lists(st.sampled_from(names), min_size=1, unique=True)


@st.composite
def particles(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a game of BPS with one to three types of any capability."""
    kinds = []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.none() | st.permutations(range(observation_size(NUM_LANDMARKS))).map(tuple))
        kinds.append(
            {
                "count": draw(st.integers(1, 4)),
                "landmark": draw(st.integers(0, NUM_LANDMARKS - 1)),
                "acceleration": draw(st.floats(0.1, 20.0)),
                "max_speed": draw(st.none() | st.floats(0.05, 3.0)),
                "obs_permutation": order,
                "actions": draw(_actions(ACTIONS)),
            }
        )
    return {
        "roster": kinds,
        "num_landmarks": NUM_LANDMARKS,
        "cooperative": draw(st.booleans()),
        "local_ratio": draw(st.floats(0.0, 1.0)),
        "shuffle_obs": draw(st.booleans()),
        "max_cycles": draw(st.integers(1, 9)),
        "deal_seed": draw(_DEALS),
    }


@st.composite
def _floors(draw: st.DrawFn) -> str:
    """Draw a small floor as text, crowded enough for deliveries, rings and queues in random play."""
    width, height = draw(st.integers(3, 6)), draw(st.integers(2, 5))
    signs = draw(st.lists(st.sampled_from("xx...g"), min_size=width * height, max_size=width * height))
    # At least one goal and two shelves.
    signs[:3] = "gxx"
    order = draw(st.permutations(range(width * height)))
    cells = [signs[k] for k in order]
    return "\n".join("".join(cells[row * width : (row + 1) * width]) for row in range(height))


@st.composite
def _any_warehouse(draw: st.DrawFn, layout: str) -> dict[str, Any]:
    """Draw the options that both warehouses have."""
    shelves = layout.count("x")
    return {
        "layout": layout,
        "request_queue_size": draw(st.integers(max(1, shelves - 3), shelves - 1)),
        "sensor_range": draw(st.integers(0, 3)),
        "reward_type": draw(st.sampled_from(REWARD_TYPES)),
        "max_cycles": draw(st.integers(5, 60)),
        "max_inactivity_steps": draw(st.none() | st.integers(3, 20)),
        "normalised_coordinates": draw(st.booleans()),
    }


@st.composite
def coloured_warehouses(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a game of C-RWARE with any roster."""
    layout = draw(_floors())
    params = draw(_any_warehouse(layout))
    colours = draw(st.integers(1, 3))
    cells = len(layout.replace("\n", ""))
    roster = []
    for index in range(colours):
        others = draw(st.lists(st.integers(0, colours - 1), max_size=1))
        roster.append(
            {
                "count": draw(st.integers(1, max(1, min(4, cells // (colours + 1))))),
                "colours": [index, *others],
                "sensor_range": draw(st.integers(0, params["sensor_range"])),
                "action_rotation": draw(st.none() | st.integers(0, 4)),
                "actions": draw(_actions(MOVES)),
            }
        )
    return {
        **params,
        "num_colours": colours,
        "roster": roster,
        "type_seed": draw(st.integers(0, 9)),
        "shuffle_obs": draw(st.booleans()),
        "unequal_spaces": draw(st.booleans()),
        "deal_seed": draw(_DEALS),
    }


@st.composite
def warehouses(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a game of RWARE with any kind of observation."""
    layout = draw(_floors())
    layers = draw(st.lists(st.sampled_from(IMAGE_LAYERS), min_size=1, unique=True))
    return {
        **draw(_any_warehouse(layout)),
        "num_agents": draw(st.integers(1, min(8, len(layout.replace("\n", "")) - 1))),
        "msg_bits": draw(st.integers(0, 2)),
        "observation_type": draw(st.sampled_from(OBSERVATION_TYPES)),
        "image_observation_layers": layers,
        "image_observation_directional": draw(st.booleans()),
    }


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
        actions = draw(_actions(LBF_ACTIONS))
        kinds.append({"count": draw(st.integers(1, 2)), "level": level, "sight": sight, "actions": actions})
    return kinds


@st.composite
def foraging(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a small game of foraging, with drawn levels or with a roster."""
    sides = (draw(st.integers(3, 7)), draw(st.integers(3, 7)))
    grid = draw(st.booleans())
    seen = grid or draw(st.booleans())
    params: dict[str, Any] = {
        "field_size": sides,
        "max_num_food": draw(st.integers(1, sides[0] * sides[1])),
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
        params["deal_seed"] = draw(_DEALS)
    if draw(st.booleans()):
        low, high = draw(_levels(params["max_num_food"], 6))
        params |= {"min_food_level": low, "max_food_level": high}
    else:
        # The weakest possible players are of level 1 and may be one alone: food of level 1 below 2 is always possible.
        alone = params.get("players", sum(kind["count"] for kind in params.get("roster", []))) == 1
        params["exclusive_max_food_level"] = not alone and draw(st.booleans())
    return params
