"""Hidden types dealt to agents by a seed: the same game with other agents in the roles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adaps_envs
from adaps_envs.core.roster import deal_types
from adaps_envs.errors import InvalidParameterError

FAMILIES = ["BPS-3", "CRWARE-small-9a-3c", "LBF-15x15-12p-6f-3t"]


@pytest.mark.parametrize("env_id", FAMILIES)
def test_a_deal_changes_who_has_which_type_and_nothing_of_the_roster(env_id: str) -> None:
    plain = adaps_envs.make_batched(env_id, 1).agent_types
    deals = [adaps_envs.make_batched(env_id, 1, deal_seed=seed).agent_types for seed in range(5)]
    assert len({tuple(deal.tolist()) for deal in deals}) == 5
    for deal in deals:
        assert np.bincount(deal).tolist() == np.bincount(plain).tolist()
    again = adaps_envs.make_batched(env_id, 1, deal_seed=3).agent_types
    assert again.tolist() == deals[3].tolist()


@pytest.mark.parametrize("env_id", FAMILIES)
def test_the_scripted_policy_plays_as_well_whoever_has_which_type(env_id: str) -> None:
    """What belongs to a type goes with it: landmark, colours, order of entries and actions, level."""
    totals = []
    for deal in (None, 1, 2):
        env = adaps_envs.make_batched(env_id, 64, deal_seed=deal)
        policy = adaps_envs.make_policy("expert", env)
        generator = np.random.default_rng(0)
        obs, total = env.reset(seed=0), np.zeros(64)
        running = np.ones(64, bool)
        for _ in range(env.max_cycles):
            obs, rewards, terminated, truncated = env.step(policy(obs, generator))
            total += np.where(running, rewards.sum(axis=1), 0.0)
            running &= ~(terminated | truncated)
            if not running.all():
                obs = env.reset(mask=terminated | truncated)
        totals.append(total)
    means = [total.mean() for total in totals]
    error = max(total.std() for total in totals) / 8
    assert max(means) - min(means) <= 4 * error + 1e-6


@pytest.mark.parametrize("env_id", FAMILIES)
@pytest.mark.parametrize("value", [-1, 1.5, "a", True])
def test_other_seeds_are_refused(env_id: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"deal_seed is .* must be an integer from 0 to 2\^63 - 1, or None"):
        adaps_envs.make_batched(env_id, 1, deal_seed=value)


def test_the_deal_is_fixed_for_good() -> None:
    """Records of runs depend on it."""
    assert deal_types([0, 0, 0, 1, 1, 1, 2, 2], 7).tolist() == [1, 0, 0, 1, 2, 0, 2, 1]
