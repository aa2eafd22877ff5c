"""Level-based foraging: what the registry needs to know without importing anything heavy."""

from __future__ import annotations

from adaps_envs.registry import EnvFamily, Preset

__all__ = ["FAMILY"]


def _three_types(count: int) -> tuple[dict[str, int], ...]:
    """Levels 1, 2 and 3, ``count`` players each."""
    return tuple({"count": count, "level": level} for level in (1, 2, 3))


# Levels are the hidden types: fixed to the players, dealt in turn, never seen.
_HIDDEN = {"roster_order": "alternating", "zero_agent_levels": True, "max_player_level": 3}

FAMILY = EnvFamily(
    name="lbf",
    title="level-based foraging",
    env="adaps_envs.families.lbf.env:LBF",
    params="adaps_envs.families.lbf.params:LBFParams",
    policies="adaps_envs.families.lbf.policy:POLICIES",
    golden={
        "lbf": "adaps_envs.families.lbf.params:params_from_golden",
        "lbfseps": "adaps_envs.families.lbf.params:params_from_golden",
    },
    roster_replaces=("players", "min_player_level", "max_player_level"),
    presets={
        "LBF-8x8-2p-3f-v0": Preset(
            "8 x 8, 2 players, 3 foods", {"field_size": (8, 8), "players": 2, "max_num_food": 3}
        ),
        "LBF-10x10-3p-3f-v0": Preset(
            "10 x 10, 3 players, 3 foods", {"field_size": (10, 10), "players": 3, "max_num_food": 3}
        ),
        "LBF-15x15-4p-5f-v0": Preset(
            "15 x 15, 4 players, 5 foods", {"field_size": (15, 15), "players": 4, "max_num_food": 5}
        ),
        "LBF-20x20-12p-10f-v0": Preset(
            "20 x 20, 12 players, 10 foods", {"field_size": (20, 20), "players": 12, "max_num_food": 10}
        ),
        "LBF-8x8-2p-2f-coop-v0": Preset(
            "8 x 8, 2 players, 2 foods that need both",
            {"field_size": (8, 8), "players": 2, "max_num_food": 2, "force_coop": True},
        ),
        "LBF-10x10-3p-3f-2s-v0": Preset(
            "10 x 10, 3 players that see 2 cells far, 3 foods",
            {"field_size": (10, 10), "players": 3, "max_num_food": 3, "sight": 2},
        ),
        "LBF-10x10-6p-5f-3t-v0": Preset(
            "10 x 10, 6 players of 3 hidden levels, 5 foods of level 1 to 3",
            {
                "field_size": (10, 10),
                "roster": _three_types(2),
                "max_num_food": 5,
                "exclusive_max_food_level": True,
                **_HIDDEN,
            },
        ),
        # With seven players or more the sum of the three lowest levels is 3, what one player of level 3 can carry:
        # explicit levels keep food that needs several.
        "LBF-15x15-12p-6f-3t-v0": Preset(
            "15 x 15, 12 players of 3 hidden levels, 6 foods of level 1 to 5",
            {
                "field_size": (15, 15),
                "roster": _three_types(4),
                "max_num_food": 6,
                "max_food_level": 5,
                **_HIDDEN,
            },
        ),
        "LBF-15x15-12p-6f-3t-coop-v0": Preset(
            "15 x 15, 12 players of 3 hidden levels, 6 foods of level 6",
            {
                "field_size": (15, 15),
                "roster": _three_types(4),
                "max_num_food": 6,
                "max_food_level": 6,
                "force_coop": True,
                **_HIDDEN,
            },
        ),
    },
)
