"""Parameters of level-based foraging: the board, the levels of players and food, and who the players are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from adaps_envs.core.batched import REWARD_MODES
from adaps_envs.core.roster import check_deal_seed, deal_types
from adaps_envs.core.validation import MAX_STEPS, check_observation_size, refuses_oddities
from adaps_envs.errors import InvalidParameterError
from adaps_envs.families.lbf.roster import (
    MAX_LEVEL,
    MAX_SIDE,
    ROSTER_ORDERS,
    LBFType,
    checked_roster,
    ordered_types,
    whole_number,
)

__all__ = ["LBFParams", "LBFType", "lowest_three", "params_from_golden"]

Levels: TypeAlias = "int | tuple[int, ...]"

DEFAULT_PLAYERS = 3
DEFAULT_MAX_LEVEL = 2


@dataclass(frozen=True, kw_only=True)
class LBFParams:
    """Everything that can be set in level-based foraging.

    Names and meanings are lbforaging's; ``roster``, ``roster_order``, ``zero_agent_levels`` and
    ``exclusive_max_food_level`` are added for players whose levels are fixed, and are their hidden types.

    Attributes:
        players: number of players N, all of one type, whose levels are drawn again at every reset; or give ``roster``.
        roster: the types with their levels and sights; levels stay with their players over all episodes.
        roster_order: ``blocks`` numbers the players type after type; ``alternating`` deals the types in turn, so
            that player i of a game with three equally frequent types is of type ``i mod 3``.
        deal_seed: deal the types to the agents in an order drawn from this seed, so that an agent's index does not tell
            its type; None leaves them in the roster's order, as the original has them.
        field_size: rows and columns of the board; one integer for a square board.
        max_num_food: number of foods that are placed, as far as the board has room for them.
        sight: how far players see, in cells; None sees the whole board.
        min_player_level, max_player_level: inclusive range of a drawn level (by default 1 to 2). A list gives N ranges
            that are dealt to the players in a new order at every reset. With a roster, ``max_player_level`` is only the
            bound that the observation space declares, so that types can be dialled at fixed spaces.
        min_food_level, max_food_level: inclusive range of a food's level; a list gives one range per food, drawn again
            at every reset. Without an upper limit it is the sum of the three lowest player levels of the episode.
        exclusive_max_food_level: foods stay below that sum, as in older versions of the game; not with ``force_coop``.
        force_coop: every food has the highest level of its range.
        normalize_reward: divide rewards so that a cleared board pays 1 to all players together.
        penalty: subtracted from each player that takes part in a failed load.
        observe_agent_levels: whether players see levels; if not, the entries are left out of the observation.
        zero_agent_levels: leave the entries of levels in the observation vector, but always 0: types stay hidden.
        grid_observation: observe three layers ``[3, K, K]`` of the surrounding ``K = 2 * sight + 1`` cells instead of
            the vector.
        max_cycles: time limit in steps; reaching it truncates. An empty board terminates.
        reward: ``individual``, ``team_sum`` or ``team_mean``.
    """

    players: int | None = None
    roster: tuple[LBFType, ...] | None = None
    roster_order: str = "blocks"
    deal_seed: int | None = None
    field_size: tuple[int, int] | int = (8, 8)
    max_num_food: int = 3
    sight: int | None = None
    min_player_level: Levels | None = None
    max_player_level: Levels | None = None
    min_food_level: Levels = 1
    max_food_level: Levels | None = None
    exclusive_max_food_level: bool = False
    force_coop: bool = False
    normalize_reward: bool = True
    penalty: float = 0.0
    observe_agent_levels: bool = True
    zero_agent_levels: bool = False
    grid_observation: bool = False
    max_cycles: int = 50
    reward: str = "individual"

    @refuses_oddities
    def __post_init__(self) -> None:
        self._check_choices()
        self._set("field_size", _checked_field_size(self.field_size))
        self._fill_players()
        self._check_numbers()
        self._fill_levels()
        self._check_food_levels()
        self._check_size()

    # -- derived, each fact once ----------------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Number of rows R of the board."""
        return self.field_size[0]  # type: ignore[index]

    @property
    def cols(self) -> int:
        """Number of columns C of the board."""
        return self.field_size[1]  # type: ignore[index]

    @property
    def num_agents(self) -> int:
        """Number of players N."""
        assert self.players is not None
        return self.players

    @property
    def agent_types(self) -> tuple[int, ...]:
        """The hidden type of each player; without a roster all are alike."""
        if self.roster is None:
            return (0,) * self.num_agents
        return tuple(deal_types(ordered_types(self.roster, self.roster_order), self.deal_seed).tolist())

    @property
    def player_levels(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Lowest and highest level of each player, N each (before they are dealt, without a roster)."""
        if self.roster is None:
            lows, highs = (_spread(value, self.num_agents) for value in (self.min_player_level, self.max_player_level))
            return lows, highs
        ranges = [self.roster[index].level_range for index in self.agent_types]
        return tuple(low for low, _ in ranges), tuple(high for _, high in ranges)

    @property
    def food_levels(self) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Lowest and highest level of each food, ``max_num_food`` each; None where players' levels give the highest."""
        highs = None if self.max_food_level is None else _spread(self.max_food_level, self.max_num_food)
        return _spread(self.min_food_level, self.max_num_food), highs

    @property
    def sights(self) -> tuple[int, ...]:
        """How far each player sees."""
        whole = max(self.rows, self.cols)
        common = whole if self.sight is None else self.sight
        if self.roster is None:
            return (common,) * self.num_agents
        own = [self.roster[index].sight for index in self.agent_types]
        return tuple(common if sight is None else sight for sight in own)

    @property
    def highest_player_level(self) -> int:
        """The highest level that any player can have: the bound of the observation space."""
        bound = self.max_player_level
        highest = max(self.player_levels[1])
        return max(highest, bound) if isinstance(bound, int) else highest

    @property
    def highest_food_level(self) -> int:
        """The highest level that any food can have: the bound of the observation space."""
        highs = self.food_levels[1]
        if highs is not None:
            return max(highs)
        bounds = [self.highest_player_level] * self.num_agents if self.roster is not None else self.player_levels[1]
        return lowest_three(bounds)

    @property
    def player_entries(self) -> int:
        """Number of entries of one player in the observation vector: row and column, and the level if there."""
        return 3 if self.observe_agent_levels else 2

    @property
    def levels_are_public(self) -> bool:
        """Whether players see each other's levels."""
        return self.observe_agent_levels and not self.zero_agent_levels

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """Shape of one player's observation before it is flattened."""
        if self.grid_observation:
            side = 2 * max(self.sights) + 1
            return (3, side, side)
        return (3 * self.max_num_food + self.player_entries * self.num_agents,)

    # -- checks -----------------------------------------------------------------------------------------------------

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_choices(self) -> None:
        for name in (
            "exclusive_max_food_level", "force_coop", "normalize_reward",
            "observe_agent_levels", "zero_agent_levels", "grid_observation",
        ):  # fmt: skip
            if not isinstance(getattr(self, name), bool):
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}; it must be True or False.")
        for name, choices in (("reward", REWARD_MODES), ("roster_order", ROSTER_ORDERS)):
            if getattr(self, name) not in choices:
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}.")
        check_deal_seed(self.deal_seed)
        if self.zero_agent_levels and not self.observe_agent_levels:
            raise InvalidParameterError(
                "zero_agent_levels is True, but observe_agent_levels=False leaves no entry for a level; "
                "set one of the two."
            )

    def _check_size(self) -> None:
        way_out = "take fewer players, less food, or a shorter sight with grid_observation"
        check_observation_size(self.num_agents, math.prod(self.obs_shape), way_out)

    def _fill_players(self) -> None:
        if self.roster is None:
            players = DEFAULT_PLAYERS if self.players is None else whole_number("players", self.players, 1)
        else:
            self._set("roster", checked_roster(self.roster))
            players = sum(kind.count for kind in self.roster)
            if self.players is not None and self.players != players:
                raise InvalidParameterError(
                    f"players is {self.players!r}, but the roster has {players}; give only one of the two."
                )
        if players >= self.rows * self.cols:
            raise InvalidParameterError(
                f"{players} players do not fit on a board of {self.rows} x {self.cols} cells with one left for food; "
                "take fewer players or a larger field_size."
            )
        self._set("players", players)

    def _check_numbers(self) -> None:
        # More than fit are legal, as in the original: the board then gets fewer.
        self._set("max_num_food", whole_number("max_num_food", self.max_num_food, 1, self.rows * self.cols))
        self._set("max_cycles", whole_number("max_cycles", self.max_cycles, 1, MAX_STEPS))
        if self.sight is not None:
            self._set("sight", whole_number("sight", self.sight, 0, MAX_SIDE))
        penalty = self.penalty
        if not isinstance(penalty, (int, float)) or isinstance(penalty, bool) or not 0 <= penalty <= 1e6:
            raise InvalidParameterError(f"penalty is {penalty!r}; it must lie in [0, 1e6].")

    def _fill_levels(self) -> None:
        if self.roster is not None:
            self._check_declared_level(self.roster)
            return
        if self.min_player_level is None:
            self._set("min_player_level", 1)
        if self.max_player_level is None:
            self._set("max_player_level", DEFAULT_MAX_LEVEL)
        for name in ("min_player_level", "max_player_level"):
            self._set(name, _checked_levels(name, getattr(self, name), "players", self.num_agents))
        _check_order("player", *self.player_levels)

    def _check_declared_level(self, roster: Sequence[LBFType]) -> None:
        if self.min_player_level is not None:
            raise InvalidParameterError(
                f"min_player_level is {self.min_player_level!r}; with a roster each type has its own level."
            )
        if self.max_player_level is None:
            return
        highest = max(kind.level_range[1] for kind in roster)
        if isinstance(self.max_player_level, (tuple, list)):
            raise InvalidParameterError(
                f"max_player_level is {self.max_player_level!r}; "
                "with a roster it is one integer, the bound of the space."
            )
        self._set("max_player_level", whole_number("max_player_level", self.max_player_level, highest, MAX_LEVEL))

    def _check_food_levels(self) -> None:
        foods = self.max_num_food
        self._set("min_food_level", _checked_levels("min_food_level", self.min_food_level, "foods", foods))
        if self.max_food_level is not None:
            if self.exclusive_max_food_level:
                raise InvalidParameterError(
                    f"exclusive_max_food_level is True and max_food_level is {self.max_food_level!r}; "
                    "an explicit limit is inclusive, give only one of the two."
                )
            self._set("max_food_level", _checked_levels("max_food_level", self.max_food_level, "foods", foods))
            _check_order("food", *self.food_levels)  # type: ignore[arg-type]
            return
        exclusive = self.exclusive_max_food_level and not self.force_coop
        lowest = lowest_three(self.player_levels[0]) - exclusive
        highest_minimum = max(self.food_levels[0])
        if highest_minimum > lowest and not self.force_coop:
            raise InvalidParameterError(
                f"min_food_level is {self.min_food_level!r}, but the three weakest players can be as weak as to allow "
                f"food of level {lowest} only; lower min_food_level, raise the players' levels or give max_food_level."
            )


def lowest_three(levels: Sequence[int]) -> int:
    """Return the sum of the three lowest levels (of all, if fewer): the highest level of food by default."""
    return sum(sorted(levels)[:3])


def params_from_golden(config: Mapping[str, Any]) -> LBFParams:
    """Return the parameters of a recorded trajectory's ``config``, of lbforaging 2.0 (``lbf``) or of the fixed-level
    branch (``lbfseps``), where player i has level ``i mod 3 + 1``, unseen, and food stays below its limit."""
    names = (
        "field_size", "sight", "force_coop", "normalize_reward", "grid_observation", "penalty",
        "observe_agent_levels", "max_player_level",
    )  # fmt: skip
    common = _given(config, *names)
    common["max_cycles"] = config.get("max_episode_steps", 50)
    if config["family"] == "lbfseps":
        counts = [len(range(level, config["players"], 3)) for level in range(min(3, config["players"]))]
        roster = tuple(LBFType(count=count, level=level + 1) for level, count in enumerate(counts))
        return LBFParams(
            roster=roster, roster_order="alternating", zero_agent_levels=True,
            exclusive_max_food_level=True, max_num_food=config["max_food"], **common,
        )  # fmt: skip
    common |= _given(config, "min_player_level", "min_food_level", "max_food_level")
    return LBFParams(players=config["players"], max_num_food=config["max_num_food"], **common)


def _given(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return what ``config`` says of ``names``, lists as tuples."""
    values = {name: config[name] for name in names if name in config}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _spread(value: Any, size: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * size


def _checked_field_size(size: Any) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, (int, np.integer)) else size
    if isinstance(sides, (str, bytes)) or not isinstance(sides, Sequence) or len(sides) != 2:
        raise InvalidParameterError(f"field_size is {size!r}; give rows and columns, for example (8, 8).")
    # Food is never placed on the border, so a board needs an inside.
    rows, cols = (whole_number("field_size", side, 3, MAX_SIDE) for side in sides)
    return rows, cols


def _checked_levels(name: str, levels: Any, owners: str, count: int) -> Levels:
    if isinstance(levels, Sequence) and not isinstance(levels, (str, bytes)):
        if len(levels) != count:
            raise InvalidParameterError(
                f"{name} has {len(levels)} entries; give one integer, or one entry for each of the {count} {owners}."
            )
        return tuple(whole_number(name, level, 1, MAX_LEVEL) for level in levels)
    return whole_number(name, levels, 1, MAX_LEVEL)


def _check_order(owner: str, lows: Sequence[int], highs: Sequence[int]) -> None:
    for index, (low, high) in enumerate(zip(lows, highs, strict=True)):
        if low > high:
            raise InvalidParameterError(
                f"min_{owner}_level is {low} and max_{owner}_level is {high} (entry {index}); raise the highest level "
                "or lower the lowest."
            )
