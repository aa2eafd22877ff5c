"""The exchange test: false splits of teams of one type are rare, whatever their size and however rare the rewards."""

from __future__ import annotations

from math import comb, log

import numpy as np
import pytest
import torch

from adaps_agents.identity.collect import Outcomes, Steps, Transitions
from adaps_agents.identity.decoder import DecoderEvidence
from adaps_agents.identity.encoder import Standardiser
from adaps_agents.identity.exchange_test import Evidence, Group, group_agents, log_chance
from adaps_agents.identity.reward_events import RewardEvents
from adaps_agents.identity.reward_regression import RewardRegression, TeamRegression

BLOCKS, STEPS, ACTIONS = 120, 8, 3


def _outcomes(rng: np.random.Generator, num_agents: int, kind: str) -> Outcomes:
    """Return the play of a team of one type, paid rarely, in bursts that one agent gets, or all the time."""
    shape = (BLOCKS, STEPS, num_agents)
    if kind == "dense":
        rewards = rng.normal(size=(BLOCKS, 1, num_agents)) + rng.normal(size=shape)
    else:
        rate = 0.02 * (rng.exponential(size=(BLOCKS, 1, num_agents)) ** 2 if kind == "bursts" else 1.0)
        rewards = (rng.random(shape) < rate) * rng.integers(1, 4, shape)
    agents, blocks = np.broadcast_to(np.arange(num_agents), shape), np.arange(BLOCKS).repeat(STEPS * num_agents)
    actions = rng.integers(0, ACTIONS, shape)
    return Outcomes(agents.reshape(-1), actions.reshape(-1), rewards.reshape(-1).astype(np.float32), blocks)


@pytest.mark.parametrize("kind", ["sparse", "bursts", "dense"])
@pytest.mark.parametrize(("num_agents", "teams"), [(15, 20), (60, 5), (200, 1)])
def test_equal_rewards_split_no_team(num_agents: int, teams: int, kind: str) -> None:
    for seed in range(teams):
        data = _outcomes(np.random.default_rng(seed), num_agents, kind)
        assert group_agents({"events": RewardEvents(data, num_agents, ACTIONS)}, num_agents).labels.max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sparse", "bursts", "dense"])
def test_equal_rewards_split_no_team_of_five_hundred(kind: str) -> None:
    data = _outcomes(np.random.default_rng(0), 500, kind)
    assert group_agents({"events": RewardEvents(data, 500, ACTIONS)}, 500).labels.max() == 0


class _Learnt:
    """A decoder that knows its half by heart: every agent's code is the mean of what it was paid there."""

    def decode(self, code: torch.Tensor, obs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return torch.cat([obs * 0, code[:, :1].expand(-1, 1)], dim=1)


@pytest.mark.parametrize(("num_agents", "teams"), [(15, 8), (60, 2), (150, 1)])
def test_equal_answers_split_no_team(num_agents: int, teams: int) -> None:
    for seed in range(teams):
        rng = np.random.default_rng(seed)
        data = _transitions(rng, num_agents)
        fit, test = Steps.of(data, num_agents).halves()
        standardiser = Standardiser(fit.sample(10_000))
        codes = data.rewards[fit.rows].mean(axis=0)[:, None].astype(np.float32)
        evidence: dict[str, Evidence] = {
            "decoder": DecoderEvidence(_Learnt(), codes, test, standardiser),
            "regression": RewardRegression(fit, test, ACTIONS),
        }
        assert group_agents(evidence, num_agents).labels.max() == 0


def test_one_team_reward_splits_no_team() -> None:
    for seed in range(5):
        data = _transitions(np.random.default_rng(seed), 12)
        team = data.rewards.reshape(-1, 12).sum(axis=1).repeat(12)
        fit, test = Steps.of(
            Transitions(data.agents, data.actions, team, data.blocks, data.obs, data.next_obs), 12
        ).halves()
        assert group_agents({"team": TeamRegression(fit, test, ACTIONS)}, 12).labels.max() == 0


def _transitions(rng: np.random.Generator, num_agents: int) -> Transitions:
    played = _outcomes(rng, num_agents, "dense")
    obs = rng.normal(size=(len(played.agents), 3)).astype(np.float32)
    landed = obs + rng.normal(size=obs.shape).astype(np.float32)
    rewards = played.rewards + obs[:, 0]
    return Transitions(played.agents, played.actions, rewards, played.blocks, obs, landed)


def test_the_bound_is_the_exact_chance_of_one_sided_coins() -> None:
    """All of n events to one of two agents: one chance in 2^n, twice for the two forms of the test."""
    scores = np.zeros((30, 2))
    scores[:20, 0] = 1
    assert log_chance(scores, 1) == pytest.approx(-20 * log(2) + log(2), rel=0.02)
    assert log_chance(scores[:, ::-1].copy(), 1) == 0.0
    assert log_chance(np.zeros((30, 2)), 1) == 0.0


@pytest.mark.parametrize(("some", "others", "events"), [(1, 1, 40), (1, 9, 100), (9, 1, 100), (3, 5, 64)])
def test_the_bound_holds_for_groups_of_any_sizes(some: int, others: int, events: int) -> None:
    """One event a block, at a random agent: the number at the first group is binomial."""
    team = some + others
    chances = [comb(events, k) * some**k * others ** (events - k) / team**events for k in range(events + 1)]
    tails = np.cumsum(chances[::-1])[::-1]
    for count in range(events + 1):
        scores = np.zeros((events, team))
        scores[:count, 0] = 1
        scores[count:, -1] = 1
        assert log_chance(scores, some) >= log(tails[count]) - 1e-9


def test_an_agent_that_does_not_fit_is_taken_out_of_its_group() -> None:
    assert _Vote([0] * 9 + [1], misled=True).grouped() == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9]]
    assert _Vote([0, 0, 1, 1, 2, 2], misled=False).grouped() == [[0, 1], [2, 3], [4, 5]]


class _Vote:
    """Evidence that knows the types; misled, it cannot tell single agents apart."""

    def __init__(self, types: list[int], misled: bool) -> None:
        self.types, self.misled = np.array(types), misled
        self.codes = np.arange(len(types), dtype=np.float32)[:, None]

    def log_chance(self, some: Group, others: Group) -> float:
        if self.misled and max(len(some), len(others)) < len(self.types) - 1:
            return 0.0
        a, b = self.types[list(some)].mean(), self.types[list(others)].mean()
        return -100.0 if abs(a - b) > 0.5 else 0.0

    def grouped(self) -> list[list[int]]:
        labels = group_agents({"vote": self}, len(self.types)).labels
        return sorted(np.flatnonzero(labels == label).tolist() for label in np.unique(labels))


def test_decisions_near_the_threshold_are_doubts() -> None:
    class Near(_Vote):
        chance = 0.0

        def log_chance(self, some: Group, others: Group) -> float:
            return self.chance if super().log_chance(some, others) < 0 else 0.0

    threshold = log(0.01 / 16)
    for change, groups, doubtful in ((-6, 2, False), (-1, 2, True), (1, 1, True), (6, 1, False)):
        vote = Near([0, 0, 1, 1], misled=False)
        vote.chance = threshold + change
        grouping = group_agents({"vote": vote}, 4)
        assert (int(grouping.labels.max()) + 1, bool(grouping.doubts)) == (groups, doubtful)
        assert (bool(grouping.within), bool(grouping.between)) == (change == 1, change == -1)
    vote.chance = threshold - 0.5
    assert group_agents({"vote": vote}, 4).labels.max() == 1
    assert group_agents({"vote": vote}, 4, accepted=0.005).labels.max() == 0
