"""Regressions of the agents' and the team's reward: types where the decoder fails, one group where there are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from adaps_agents.identity.collect import Collector, Steps, Transitions
from adaps_agents.identity.encoder import EncoderConfig
from adaps_agents.identity.exchange_test import group_agents
from adaps_agents.identity.phase import IdentityConfig, identify
from adaps_agents.identity.reward_regression import RewardRegression, TeamRegression
from adaps_envs import make

# Too small and too briefly trained to learn which of twelve landmarks pays.
POOR = EncoderConfig(latent=4, hidden=16, updates=100, batch_size=256)
SIZES = 6, 5


def _data(kinds: NDArray[np.int64], seed: int = 0) -> Transitions:
    """Return 600 steps, each a block of its own, in which an agent's reward is the entry of its kind, squared."""
    rng = np.random.default_rng(seed)
    agents = np.tile(np.arange(len(kinds)), 600)
    obs = rng.normal(size=(len(agents), 8)).astype(np.float32)
    rewards = -(obs[np.arange(len(agents)), kinds[agents]] ** 2) + 0.1 * rng.normal(size=len(agents)).astype(np.float32)
    actions = rng.integers(0, SIZES[1], len(agents))
    return Transitions(agents, actions, rewards, np.repeat(np.arange(600), len(kinds)), obs, obs.copy())


def _groups(evidence: Any, num_agents: int = SIZES[0]) -> list[int]:
    return group_agents({"evidence": evidence}, num_agents).labels.tolist()


def _regression(kinds: list[int]) -> RewardRegression:
    return RewardRegression(*Steps.of(_data(np.array(kinds)), SIZES[0]).halves(), SIZES[1])


@pytest.mark.parametrize("kinds", [[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 7], [3] * 6])
def test_agents_paid_for_different_entries_differ(kinds: list[int]) -> None:
    assert adjusted_rand_score(kinds, _groups(_regression(kinds))) == 1.0


@pytest.mark.parametrize("kinds", [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 7], [3] * 6])
def test_a_team_reward_is_taken_apart(kinds: list[int]) -> None:
    data = _data(np.array(kinds))
    team = data.rewards.reshape(-1, SIZES[0]).sum(axis=1).repeat(SIZES[0])
    fit, test = Steps.of(replace(data, rewards=team), SIZES[0]).halves()
    assert TeamRegression.feasible(fit, SIZES[1]) is False  # 300 steps for 126 weights
    assert adjusted_rand_score(kinds, _groups(TeamRegression(fit, test, SIZES[1]))) == 1.0


def test_pairs_of_groups_are_compared_by_their_members() -> None:
    regression = _regression([0, 0, 0, 1, 1, 1])
    assert regression.log_chance((0, 1), (2,)) > -5
    assert regression.log_chance((0, 1, 2), (3, 4, 5)) < -50


def test_constant_entries_and_few_steps_do_no_harm() -> None:
    data = _data(np.array([0, 0, 0, 1, 1, 1]))
    data.obs[:, 7] = 3.0
    regression = RewardRegression(*Steps.of(data, SIZES[0]).halves(), SIZES[1])
    assert np.isfinite(regression.codes).all()
    assert adjusted_rand_score([0, 0, 0, 1, 1, 1], _groups(regression)) == 1.0
    few = Steps.of(data.take(slice(0, 12)), SIZES[0]).halves()
    assert _groups(RewardRegression(*few, SIZES[1])) == [0] * 6


def _types_found(roster: list[dict[str, int]], *, regression: bool = True, shuffle: bool = False) -> int:
    env = make("BPS-1", api="sb3", num_envs=8, roster=roster, num_landmarks=12)
    env.seed(1)
    collector = Collector(env, env.num_agents, 5, np.random.default_rng(1))
    config = IdentityConfig(env_steps=4_000, encoder=POOR, regression=regression, shuffle_agents=shuffle)
    return identify(collector, config, 1).num_groups


def test_twelve_types_are_found_where_the_encoder_fails() -> None:
    roster = [{"count": 1}] * 12
    assert _types_found(roster) == 12
    assert _types_found(roster, regression=False) < 12
    assert _types_found(roster, shuffle=True) == 1


def test_one_type_among_many_landmarks_is_one_group() -> None:
    assert _types_found([{"count": 12}]) == 1
