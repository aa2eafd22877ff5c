"""The direct comparison of what agents are paid, and how long the phase plays for its sake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from adaps_agents.identity.collect import Outcomes
from adaps_agents.identity.encoder import EncoderConfig
from adaps_agents.identity.exchange_test import group_agents, ordered_labels
from adaps_agents.identity.phase import EVENTS_NEEDED, IdentityConfig, steps_wanted
from adaps_agents.identity.reward_events import RewardEvents, event_counts, reward_bins, uneven_groups
from baselines.cli.identify import identity_study

BLOCKS, STEPS, ACTIONS = 400, 20, 3


def _played(rates: NDArray[np.float64], amounts: NDArray[np.float64], seed: int = 0) -> Outcomes:
    """Return outcomes in which action 1 is paid ``amounts[i]`` at rate ``rates[i]``, and nothing else is."""
    rng = np.random.default_rng(seed)
    shape = (BLOCKS, STEPS, len(rates))
    actions = rng.integers(0, ACTIONS, shape)
    rewards = np.where((actions == 1) & (rng.random(shape) < rates), amounts, 0.0)
    agents, blocks = np.broadcast_to(np.arange(len(rates)), shape), np.arange(BLOCKS).repeat(STEPS * len(rates))
    return Outcomes(agents.reshape(-1), actions.reshape(-1), rewards.reshape(-1).astype(np.float32), blocks)


def _groups(rates: list[float], amounts: list[float], seed: int = 0) -> list[int]:
    data = _played(np.array(rates), np.array(amounts), seed)
    return _found(data, len(rates))


def _found(data: Outcomes, num_agents: int, num_actions: int = ACTIONS) -> list[int]:
    events = RewardEvents(data, num_agents, num_actions)
    return ordered_labels(group_agents({"events": events}, num_agents).labels).tolist()


def test_rates_tell_types_apart() -> None:
    assert _groups([0.01, 0.06, 0.01, 0.06], [1, 1, 1, 1]) == [0, 1, 0, 1]


def test_amounts_tell_types_apart() -> None:
    assert _groups([0.03] * 6, [0.2, 0.3, 0.5] * 2) == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_equal_agents_are_one_group(seed: int) -> None:
    assert _groups([0.03] * 12, [1] * 12, seed) == [0] * 12


def test_where_nobody_is_paid_all_are_one_group() -> None:
    events = RewardEvents(_played(np.zeros(3), np.ones(3)), 3, ACTIONS)
    assert events.codes.shape == (3, 1)
    assert events.log_chance((0,), (1, 2)) == 0.0
    assert group_agents({"events": events}, 3).labels.tolist() == [0, 0, 0]


def test_few_events_decide_nothing() -> None:
    """Ten events of one agent and none of the other are a chance of one in a thousand: not enough to split a team."""
    data = _played(np.array([0.004, 0.0]), np.ones(2))
    assert 0 < event_counts(data, 2)[0] < 20
    assert _found(data, 2) == [0, 0]


def test_dependent_events_of_one_block_count_as_one() -> None:
    """A pool that pays one agent a hundred times in a row says no more than a single payment."""
    rng = np.random.default_rng(0)
    winner = rng.integers(0, 2, 40).repeat(200)
    agents, blocks = np.tile([0, 1], 40 * 100), np.arange(40).repeat(200)
    data = Outcomes(agents, np.zeros(8000, np.int64), (agents == winner).astype(np.float32), blocks)
    assert _found(data, 2, 1) == [0, 0]


def test_counts_of_one_half_weigh_those_of_the_other() -> None:
    """With nothing but noise in the first half the second tells nothing apart, whatever it holds."""
    rates = np.array([0.01, 0.01, 0.06, 0.06])
    halves = [_played(np.full(4, 0.03), np.ones(4), seed=1), _played(rates, np.ones(4))]
    mixed = [np.where(halves[1].blocks % 2 == odd, halves[1].rewards, halves[0].rewards) for odd in (0, 1)]
    told = [
        RewardEvents(Outcomes(halves[1].agents, halves[1].actions, rewards, halves[1].blocks), 4, ACTIONS)
        for rewards in mixed
    ]
    assert all(events.log_chance((0, 1), (2, 3)) > -15 for events in told)
    assert RewardEvents(halves[1], 4, ACTIONS).log_chance((0, 1), (2, 3)) < -40


def test_bins_are_equally_full_and_equally_wide() -> None:
    full, wide = reward_bins(np.array([1, 2, 3, 4, 5, 6, 7, 100], np.float32))
    assert np.bincount(full).tolist() == [2, 2, 2, 2]
    assert wide.tolist() == [0] * 7 + [3]
    assert reward_bins(np.zeros(0, np.float32)) == []


@pytest.mark.parametrize(
    ("counts", "spent", "wanted"),
    [
        ([EVENTS_NEEDED, 500], 10_000, 0),  # enough
        ([40, 500], 10_000, 10_000),  # twice as much will do
        ([1, 500], 10_000, 10_000),  # never more than twice as much at a time
        ([79, 79], 10_000, 2_500),  # nor less than a quarter more
        ([1, 500], 310_000, 10_000),  # up to the limit
        ([1, 500], 320_000, 0),
        ([0, 0], 10_000, 0),  # hopeless
        ([0, 1], 10_000, 0),
        ([0, 4000], 40_000, 0),  # a type that is never paid
        ([79, 79], 200, 0),  # not rare
    ],
)
def test_play_goes_on_while_rewards_are_rare(counts: list[int], spent: int, wanted: int) -> None:
    assert steps_wanted(np.array(counts), spent, IdentityConfig(env_steps=10_000, patience=32)) == wanted


def test_twice_the_play_where_a_rare_reward_leaves_doubts() -> None:
    config = IdentityConfig(env_steps=10_000, patience=32)
    for counts, spent, wanted in (
        ([500, 500], 10_000, 10_000),
        ([500, 500], 310_000, 10_000),  # up to the limit
        ([500, 500], 320_000, 0),
        ([5_000, 5_000], 10_000, 0),  # not rare
        ([0, 1], 10_000, 0),  # hopeless
    ):
        assert steps_wanted(np.array(counts), spent, config, in_doubt=True) == wanted


def test_a_group_that_is_paid_unevenly_is_named() -> None:
    said = "the 4 agents of one group are paid unevenly"
    often = _played(np.array([0.03, 0.03, 0.05, 0.03]), np.ones(4))
    assert uneven_groups(often, np.zeros(4, np.int64)) == [said, said]  # in number and in sum
    assert uneven_groups(often, np.array([0, 0, 1, 0])) == []
    much = _played(np.full(4, 0.03), np.array([0.2, 0.2, 0.5, 0.5]))
    assert uneven_groups(much, np.zeros(4, np.int64)) == [said]


def test_equal_agents_are_hardly_ever_uneven() -> None:
    """One team in a thousand: two of a hundred would be too many."""
    teams = [_played(np.full(5, 0.03), np.ones(5), seed) for seed in range(100)]
    assert sum(bool(uneven_groups(team, np.zeros(5, np.int64))) for team in teams) <= 1


def test_foragers_of_four_levels_are_told_apart_by_playing_on() -> None:
    """At 13,024 steps the two of levels 3 and 4 are one group, and no split of it is suspect."""
    roster = [{"count": 5, "level": 1}, *({"count": 1, "level": level} for level in (2, 3, 4))]
    params = {"roster": roster, "field_size": 9, "max_num_food": 4, "max_food_level": 4, "deal_seed": 502061879}
    config = IdentityConfig(encoder=EncoderConfig(latent=2, hidden=4, updates=5))
    once = identity_study("LBF-15x15-12p-6f-3t", 14, replace(config, patience=1.3), **params)
    assert (once["verdict"], once["found"]) == ("ambiguous", 3)
    assert "paid unevenly" in once["reason"]
    on = identity_study("LBF-15x15-12p-6f-3t", 14, config, **params)
    assert (on["verdict"], on["ari"]) == ("found", 1.0)
    assert on["env_steps"] > 2 * once["env_steps"]
