"""The identity phase on games whose types are known, with its controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from type_game import type_game

from adaps_agents.identity.clustering import candidate_numbers, cluster_codes, selection_curve, tree_curve
from adaps_agents.identity.collect import BLOCK_STEPS, STRETCHES, SYNCHRONISED, Collector, Steps, Transitions
from adaps_agents.identity.encoder import EncoderConfig, Standardiser
from adaps_agents.identity.exchange_test import ordered_labels
from adaps_agents.identity.phase import SEPS_ORIGINAL, Identity, IdentityConfig, identify
from adaps_agents.schemes.group_source import identity_config
from adaps_envs.errors import InvalidParameterError

QUICK = EncoderConfig(latent=4, hidden=32, updates=400, batch_size=256)
LANES = 8


def _collector(groups: tuple[int, ...], seed: int = 0, **params: Any) -> Collector:
    env = type_game(LANES, groups=groups, **params)
    env.seed(seed)
    return Collector(env, env.num_agents, 2, np.random.default_rng(seed))


def _identify(groups: tuple[int, ...], seed: int = 0, **options: Any) -> Identity:
    config = IdentityConfig(**{"env_steps": 800, "encoder": QUICK, **options})
    return identify(_collector(groups, seed), config, seed)


@pytest.mark.parametrize("seed", range(3))
def test_two_types_are_found_and_the_steps_charged(seed: int) -> None:
    found = _identify((3, 3), seed)
    assert adjusted_rand_score([0, 0, 0, 1, 1, 1], found.labels) == 1.0
    assert found.env_steps == 800
    assert found.codes.shape == (6, 4)
    assert found.centres.shape == (2, 4)
    assert set(found.curve) == {2, 3}

    assert (found.verdict, found.reason[:11]) == ("found", "every two o")


def test_a_homogeneous_team_is_one_group() -> None:
    found = _identify((6,))
    assert found.labels.tolist() == [0] * 6
    assert found.verdict == "nothing differs"


def test_a_few_steps_decide_nothing() -> None:
    found = _identify((3, 3), env_steps=8)
    assert (found.num_groups, found.verdict) == (1, "ambiguous")


def test_nothing_is_read_from_the_numbers_of_agents() -> None:
    """Codes of a team of one type say nothing of who is next to whom, and renaming agents renames the result."""
    collector = _collector((6,))
    data = collector.collect(800)
    fit, test = Steps.of(data.renamed(np.array([3, 1, 0, 2, 5, 4])), 6).halves()
    again, _ = Steps.of(data, 6).halves()
    for new, old in enumerate([2, 1, 3, 0, 5, 4]):
        np.testing.assert_array_equal(fit.rows[:, new], again.rows[:, old])
    assert not set(fit.blocks) & set(test.blocks)


def test_shuffled_agents_have_no_identity() -> None:
    assert _identify((3, 3), shuffle_agents=True).labels.tolist() == [0] * 6


@pytest.mark.parametrize(("groups", "expected"), [((1, 1), [0, 1]), ((2,), [0, 0]), ((1,), [0])])
def test_the_smallest_teams(groups: tuple[int, ...], expected: list[int]) -> None:
    assert _identify(groups).labels.tolist() == expected


@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_a_given_number_of_groups_is_kept(number: int) -> None:
    found = _identify((3, 3), num_groups=number)
    assert found.num_groups == number
    assert found.curve == {}


def test_more_groups_than_agents_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="num_groups is 7, but there are 6 agents"):
        _identify((3, 3), num_groups=7)


def test_davies_bouldin_and_sampled_codes_are_options() -> None:
    found = _identify((3, 3), method="paper", code="sample")
    assert adjusted_rand_score([0, 0, 0, 1, 1, 1], found.labels) == 1.0
    assert found.verdict == "untested"
    assert all(score <= 0 for score in found.curve.values())
    assert set(found.curve) == {2, 3}
    assert set(_identify((3, 3), method="paper", most_groups="all").curve) == {2, 3, 4, 5}
    assert not np.array_equal(found.codes, _identify((3, 3)).codes)


def test_the_original_of_seps_has_a_name() -> None:
    assert identity_config("seps-original") == SEPS_ORIGINAL
    assert (SEPS_ORIGINAL.env_steps, SEPS_ORIGINAL.encoder.passes) == (5_000 * 8 * 5, 10)
    small = replace(SEPS_ORIGINAL, env_steps=800, encoder=replace(SEPS_ORIGINAL.encoder, hidden=16, passes=2))
    found = identify(_collector((3, 3)), small, 0)
    assert found.env_steps == 800
    assert set(found.curve) == {2, 3, 4, 5}
    with pytest.raises(InvalidParameterError, match="identity is 'seps'; choose one of seps-original"):
        identity_config("seps")


def test_plain_play_is_whole_episodes_of_independent_agents() -> None:
    data = _collector((2, 2), max_cycles=200).collect(300 * LANES, plain=True)
    actions = data.actions.reshape(-1, 4)
    assert float((actions == actions[:, :1]).all(axis=1).mean()) == pytest.approx(1 / 8, abs=0.03)
    obs, landed = (array.reshape(300, -1, 2) for array in (data.obs, data.next_obs))
    joints = (obs[1:] == landed[:-1]).all(axis=(1, 2))
    assert np.flatnonzero(~joints).tolist() in ([], [199])  # the only start in between is that of the second episode


def test_one_seed_one_result() -> None:
    first, second, other = _identify((3, 3), 1), _identify((3, 3), 1), _identify((3, 3), 2)
    np.testing.assert_array_equal(first.codes, second.codes)
    assert first.curve == second.curve
    assert not np.array_equal(first.codes, other.codes)


def test_no_global_generator_is_touched() -> None:
    state, legacy = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002  (looked at, not drawn from)
    _identify((2, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(legacy[1], np.random.get_state()[1])  # noqa: NPY002


def test_groups_are_numbered_by_their_smallest_agent() -> None:
    assert ordered_labels(np.array([5, 2, 5, 0, 2])).tolist() == [0, 1, 0, 2, 1]


def test_clusters_of_separated_codes() -> None:
    codes = np.array([[9.0], [0.0], [9.1], [0.1], [-9.0], [-9.1]], np.float32)
    assert cluster_codes(codes, 3, 0).tolist() == [0, 1, 0, 1, 2, 2]
    for curve in (selection_curve(codes, "silhouette", 0), tree_curve(codes)):
        assert max(curve, key=lambda number: curve[number]) == 3


def test_candidates_run_from_two_to_half_the_team() -> None:
    numbers = [list(candidate_numbers(team)) for team in (1, 2, 3, 4, 7, 10)]
    assert numbers == [[], [], [2], [2], [2, 3], [2, 3, 4, 5]]


def test_transitions_end_at_the_terminal_observation() -> None:
    collector = _collector((1, 1))
    data = collector.collect(12 * LANES)
    assert collector.env_steps == 12 * LANES
    assert data.agents.tolist() == [0, 1] * (12 * LANES)
    frames = data.obs.reshape(12, LANES, 2, 2)
    landed = data.next_obs.reshape(12, LANES, 2, 2)
    within = [step for step in range(11) if step != 9]
    np.testing.assert_array_equal(frames[1:][within], landed[:-1][within])
    assert not np.array_equal(frames[10], landed[9])


def test_blocks_are_stretches_of_one_episode() -> None:
    collector = _collector((1, 1))
    blocks = collector.collect(12 * LANES).blocks.reshape(12, LANES, 2)
    assert (blocks[:, :, 0] == blocks[:, :, 1]).all()
    assert (blocks[:10] == blocks[0]).all()
    assert (blocks[10:] == blocks[10]).all()  # episodes are 10 steps long
    assert len(np.unique(blocks)) == 2 * LANES
    assert collector.outcomes(LANES).blocks.min() > blocks.max()
    steps = sum(STRETCHES[:2])
    short = _collector((1,), max_cycles=1000).collect(steps * LANES)  # all lanes start anew in between
    of_lane = short.blocks.reshape(steps, LANES)[:, 0]
    assert np.flatnonzero(np.diff(of_lane)).tolist() == [STRETCHES[0] - 1]


def test_long_episodes_are_cut_into_blocks() -> None:
    steps = sum(STRETCHES) + STRETCHES[0]
    blocks = _collector((1,), max_cycles=1000).collect(steps * LANES).blocks
    assert np.bincount(blocks).max() == BLOCK_STEPS == max(STRETCHES)


def test_teams_often_act_as_one_and_each_agent_uniformly() -> None:
    actions = _collector((2, 2)).collect(4000).actions.reshape(-1, 4)
    alike = float((actions == actions[:, :1]).all(axis=1).mean())
    assert alike == pytest.approx(SYNCHRONISED + (1 - SYNCHRONISED) / 8, abs=0.03)
    np.testing.assert_allclose(actions.mean(axis=0), 0.5, atol=0.05)
    alone = Collector(type_game(LANES, groups=(2, 2)), 4, 2, np.random.default_rng(0), synchronised=0.0)
    own = alone.collect(4000).actions.reshape(-1, 4)
    assert float((own == own[:, :1]).all(axis=1).mean()) == pytest.approx(1 / 8, abs=0.03)


def test_steps_are_rounded_up_to_whole_steps_of_all_lanes() -> None:
    collector = _collector((1, 1))
    collector.collect(9)
    assert collector.env_steps == 2 * LANES


def test_standardised_columns_and_constant_ones() -> None:
    generator = np.random.default_rng(0)
    obs = generator.normal(5, 3, (200, 2)).astype(np.float32)
    obs[:, 1] = 4.0
    agents, rewards = np.zeros(200, np.int64), generator.normal(-100, 20, 200).astype(np.float32)
    landed = obs + generator.normal(1, 2, obs.shape).astype(np.float32)
    data = Transitions(agents, agents, rewards, agents, obs, landed)
    scaled, _, targets = Standardiser(data)(data)
    assert float(scaled[:, 0].mean()) == pytest.approx(0, abs=1e-4)
    assert float(scaled[:, 0].std()) == pytest.approx(1, abs=1e-4)
    assert float(scaled[:, 1].abs().max()) == 0
    torch.testing.assert_close(targets.std(dim=0), torch.ones(3), atol=1e-4, rtol=0)
    _, _, raw = Standardiser(data, "raw")(data)
    np.testing.assert_array_equal(raw[:, -1], rewards)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": 5}, "no identity setting 'steps'"),
        ({"env_step": 5}, "Did you mean 'env_steps'"),
        ({"env_steps": 0}, "env_steps is 0"),
        ({"num_groups": "two"}, "num_groups is 'two'"),
        ({"num_groups": 0}, "num_groups is 0"),
        ({"selection": "elbow"}, "selection is 'elbow'"),
        ({"method": "vae"}, "method is 'vae'"),
        ({"most_groups": 3}, "most_groups is 3"),
        ({"play": "own"}, "play is 'own'"),
        ({"patience": 0.5}, "patience is 0.5"),
        ({"patience": float("inf")}, "patience is inf"),
        ({"code": "mode"}, "code is 'mode'"),
        ({"encoder": {"latents": 3}}, "Did you mean 'latent'"),
        ({"encoder": {"updates": 0}}, "updates is 0"),
        ({"encoder": {"passes": 0}}, "passes is 0"),
        ({"encoder": {"targets": "scaled"}}, "targets is 'scaled'"),
        ({"encoder": [["updates", 3]]}, "encoder is .*as a mapping"),
        ([["env_steps", 5]], "identity is .*as a mapping"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: Any, said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        identity_config(settings)
