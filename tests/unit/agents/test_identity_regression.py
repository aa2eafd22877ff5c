"""Regressions of the agents' rewards: heard where the decoder fails, one group where there are no types."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from adaps_agents.identity.collect import Collector, Transitions
from adaps_agents.identity.encoder import EncoderConfig, IdentityEncoder, Standardiser
from adaps_agents.identity.phase import IdentityConfig, identify
from adaps_agents.identity.reward_regression import RewardRegression
from adaps_agents.identity.swap_test import ExchangeTest
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


def _regression(kinds: list[int]) -> RewardRegression:
    return RewardRegression(*_data(np.array(kinds)).split(0.2), *SIZES)


@pytest.mark.parametrize("kinds", [[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 7], [3] * 6])
def test_agents_paid_for_different_entries_differ(kinds: list[int]) -> None:
    regression = _regression(kinds)
    assert adjusted_rand_score(kinds, regression.groups()) == 1.0
    assert regression.unexplained() < 0.05


def test_pairs_of_groups_are_compared_by_their_members() -> None:
    regression = _regression([0, 0, 0, 1, 1, 1])
    assert regression.ratio((0, 1), (2,)) < 1
    assert regression.ratio((0, 1, 2), (3, 4, 5)) > 1


def test_constant_entries_and_single_rows_do_no_harm() -> None:
    data = _data(np.array([0, 0, 0, 1, 1, 1]))
    data.obs[:, 7] = 3.0
    regression = RewardRegression(*data.split(0.2), *SIZES)
    assert np.isfinite(regression.codes).all()
    assert adjusted_rand_score([0, 0, 0, 1, 1, 1], regression.groups()) == 1.0
    few = data.take(slice(0, 12))
    assert RewardRegression(few.take(slice(0, 6)), few.take(slice(6, 12)), *SIZES).groups().tolist() == [0] * 6


def test_it_is_heard_only_where_it_predicts_much_better() -> None:
    training, held_out = _data(np.array([0, 0, 0, 1, 1, 1])).split(0.2)
    regression = RewardRegression(training, held_out, *SIZES)
    standardiser = Standardiser(training)
    untrained = IdentityEncoder(SIZES[0], 8, SIZES[1], POOR, torch.Generator().manual_seed(0))
    codes = np.zeros((SIZES[0], POOR.latent), np.float32)
    assert regression.beats(ExchangeTest(untrained, held_out, standardiser, SIZES[0]), codes)

    class Knowing:
        """A decoder that knows the two rules; its code ``[1]`` is the entry that pays."""

        def decode(self, code: torch.Tensor, obs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
            entry = obs.gather(1, code.long()) * standardiser._obs[1][0] + standardiser._obs[0][0]
            reward = (-(entry**2) - standardiser._targets[0][-1]) / standardiser._targets[1][-1]
            return torch.cat([torch.zeros_like(obs), reward], dim=1)

    known = np.array([[0.0]] * 3 + [[1.0]] * 3, np.float32)
    assert not regression.beats(ExchangeTest(Knowing(), held_out, standardiser, SIZES[0]), known)


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
