"""Diversity, masks, conflict, clusters and memory, against values computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from methods_common import NUM_AGENTS, build, observations, randomised
from torch import Tensor

from adaps_agents import list_schemes
from adaps_agents.diagnostics import (
    DISTANCES,
    action_disagreement,
    cluster_quality,
    diagnose,
    gradient_conflict,
    group_gradients,
    mask_hamming,
    mask_jaccard,
    mask_statistics,
    memory_of,
    policy_distances,
    system_neural_diversity,
    within_and_between,
)
from adaps_agents.diagnostics.diagnose import spread_rows
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import mask_overlap
from adaps_agents.schemes.registry import scheme_class
from adaps_envs.errors import InvalidParameterError

POOL = observations(40).flatten(0, 1)
PREFERS_0, PREFERS_1, UNDECIDED = [100.0, 0.0], [0.0, 100.0], [0.0, 0.0]


def _logits(*agents: list[float], pool: int = 3) -> Tensor:
    return torch.tensor(agents).expand(pool, -1, -1)


# Distance of certainty from a fair coin: JSD = 1 - H(3/4) + ... in bits, by hand below.
_HALF = 0.5 * math.log2(1 / 0.75) + 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25))


@pytest.mark.parametrize(
    ("distance", "against_coin"),
    [("jensen_shannon", math.sqrt(_HALF)), ("hellinger", math.sqrt(1 - math.sqrt(0.5))), ("total_variation", 0.5)],
)
def test_distances_of_certainty_and_a_fair_coin(distance: str, against_coin: float) -> None:
    found = policy_distances(_logits(PREFERS_0, PREFERS_1, UNDECIDED, PREFERS_0), distance)
    expected = np.full((4, 4), against_coin)
    expected[:2, :2] = 1 - np.eye(2)
    expected[3], expected[:, 3] = expected[0], expected[:, 0]
    expected[0, 3] = expected[3, 0] = expected[2, 2] = expected[3, 3] = 0
    expected[1, 3] = expected[3, 1] = 1
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.dtype == np.float64


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_policies_are_exactly_0_apart_and_distances_are_symmetric(distance: str) -> None:
    logits = torch.randn(50, 1, 6, generator=torch_stream(0, "x")).expand(-1, 3, -1)
    assert policy_distances(logits, distance).max() == 0.0
    found = policy_distances(torch.randn(50, 5, 6, generator=torch_stream(0, "y")), distance)
    np.testing.assert_array_equal(found, found.T)
    assert ((found >= 0) & (found <= 1)).all()


def test_distances_are_means_over_the_pool() -> None:
    logits = torch.tensor([[PREFERS_0, PREFERS_1], [PREFERS_0, PREFERS_0], [PREFERS_1, PREFERS_0], [UNDECIDED] * 2])
    assert policy_distances(logits, "total_variation")[0, 1] == pytest.approx(0.5)
    assert action_disagreement(logits) == 0.5


def test_many_pairs_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(7, 9, 4, generator=torch_stream(0, "z"))
    whole = policy_distances(logits)
    monkeypatch.setattr("adaps_agents.diagnostics.diversity._PAIRS_AT_ONCE", 30)
    np.testing.assert_allclose(policy_distances(logits), whole, rtol=1e-12)


def test_two_types_of_unequal_number_dilute_diversity_as_the_formula_says() -> None:
    types = [0, 0, 0, 1, 1]
    distances = policy_distances(_logits(*[PREFERS_0 if kind == 0 else PREFERS_1 for kind in types]))
    assert system_neural_diversity(distances) == pytest.approx(2 * 3 * 2 / (5 * 4))
    assert within_and_between(distances, types) == pytest.approx((0.0, 1.0))
    assert within_and_between(distances, [0] * 5)[1] is None
    assert within_and_between(distances, range(5))[0] is None
    order = [4, 0, 3, 1, 2]
    assert system_neural_diversity(distances[order][:, order]) == pytest.approx(0.6)


def test_a_lone_agent_has_no_diversity() -> None:
    alone = _logits(PREFERS_0)
    assert system_neural_diversity(policy_distances(alone)) == 0.0
    assert action_disagreement(alone) == 0.0


def test_action_disagreement_counts_pairs() -> None:
    # Of the pairs of (0, 0, 1) two disagree, of (0, 1, 1) two, of (0, 0, 0) none: 4 of 9.
    rows = [[PREFERS_0, PREFERS_0, PREFERS_1], [PREFERS_0, PREFERS_1, PREFERS_1], [PREFERS_0] * 3]
    assert action_disagreement(torch.tensor(rows)) == pytest.approx(4 / 9)


def test_bad_logits_and_labels_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="distance is 'euclid'; choose one of jensen_shannon"):
        policy_distances(_logits(PREFERS_0), "euclid")
    with pytest.raises(InvalidParameterError, match=r"logits have shape \[3, 2\]"):
        policy_distances(torch.zeros(3, 2))
    with pytest.raises(InvalidParameterError, match="2 groups for 1 agents"):
        within_and_between(np.zeros((1, 1)), [0, 1])


MASKS = [torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]], dtype=torch.bool), torch.tensor([[1, 0]] * 3)]


def test_mask_overlap_by_hand() -> None:
    # Rows over six units: 110010, 011010, 110010.
    np.testing.assert_allclose(mask_hamming(MASKS), [[0, 2 / 6, 0], [2 / 6, 0, 2 / 6], [0, 2 / 6, 0]])
    np.testing.assert_allclose(mask_jaccard(MASKS), [[1, 0.5, 1], [0.5, 1, 0.5], [1, 0.5, 1]])
    found = mask_statistics(MASKS)
    assert found.hamming == pytest.approx(2 / 9)
    assert found.jaccard == pytest.approx(2 / 3)
    assert (found.kept, found.kept_by_layer) == (pytest.approx(0.5), (0.5, 0.5))
    assert found.unused == pytest.approx(2 / 6)
    assert found.private == pytest.approx(1 / 6)
    assert found.distinct == 2


def test_soft_gates_generalise_hard_ones() -> None:
    soft = [torch.tensor([[0.5, 1.0, 0.0], [1.0, 0.25, 0.0]])]
    assert mask_hamming(soft)[0, 1] == pytest.approx((0.5 + 0.75) / 3)
    assert mask_jaccard(soft)[0, 1] == pytest.approx((0.5 + 0.25) / 2)
    hard = [mask.double() * 1.0 for mask in MASKS]
    nearly = [mask * 0.999999 for mask in hard]
    np.testing.assert_allclose(mask_jaccard(nearly), mask_jaccard(hard), atol=1e-5)


def test_one_mask_and_empty_masks() -> None:
    one = mask_statistics([torch.ones(1, 4)])
    assert (one.hamming, one.jaccard, one.private, one.unused, one.distinct) == (None, None, 0.0, 0.0, 1)
    np.testing.assert_array_equal(mask_jaccard([torch.zeros(2, 4)]), np.ones((2, 2)))
    with pytest.raises(InvalidParameterError, match=r"masks have the shapes \[\[2, 3\], \[1, 3\]\]"):
        mask_statistics([torch.ones(2, 3), torch.ones(1, 3)])


def test_gradient_conflict_by_hand() -> None:
    # On the entries that both move: (3, 4) against (3, 4), (1) against (-1), nothing in common.
    gradients = torch.tensor([[3.0, 4.0, 1.0, 0.0, 0.0], [6.0, 8.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 2.0, 0.0]])
    found = gradient_conflict(gradients)
    assert found.pairs == 2
    assert found.cosine == pytest.approx((1 - 1) / 2)
    assert found.opposed == 0.5
    assert gradient_conflict(gradients[[1, 2]]) == type(found)(None, None, 0)


def _loss_inputs() -> tuple[Tensor, Tensor, Tensor]:
    obs = observations(12)
    actions = torch.randint(0, 3, obs.shape[:2], generator=torch_stream(0, "actions"))
    return obs, actions, torch.randn(obs.shape[:2], generator=torch_stream(0, "advantages"))


def test_group_gradients_are_those_of_the_groups_losses() -> None:
    scheme = randomised(build("fups"))
    obs, actions, advantages = _loss_inputs()
    found = group_gradients(scheme, obs, actions, advantages, np.array([0, 1, 0, -1]))
    log_probs = scheme.actor(obs).log_softmax(-1).gather(-1, actions[..., None]).squeeze(-1)
    for group, members in ((0, [0, 2]), (1, [1])):
        loss = -(advantages * log_probs)[:, members].mean()
        expected = torch.autograd.grad(loss, list(scheme.actor_net.parameters()), retain_graph=True)
        torch.testing.assert_close(found[group], torch.cat([tensor.flatten() for tensor in expected]))
    assert all(parameter.grad is None for parameter in scheme.parameters())


def test_opposite_advantages_oppose_and_private_networks_never_do() -> None:
    obs = observations(12)[:, :1].expand(-1, NUM_AGENTS, -1).contiguous()
    actions = torch.zeros(obs.shape[:2], dtype=torch.int64)
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(12, -1)
    each = np.arange(NUM_AGENTS)
    shared = gradient_conflict(group_gradients(randomised(build("fups")), obs, actions, advantages, each))
    assert shared.pairs == 6
    assert shared.opposed == pytest.approx(4 / 6)
    assert shared.cosine == pytest.approx((2 - 4) / 6, abs=1e-5)
    private = gradient_conflict(group_gradients(randomised(build("nops")), obs, actions, advantages, each))
    assert private.pairs == 0


def test_cluster_quality_by_hand() -> None:
    distances = np.array([[0, 1, 4, 4], [1, 0, 4, 4], [4, 4, 0, 2], [4, 4, 2, 0]], float)
    found = cluster_quality([0, 0, 1, 1], distances=distances, types=[5, 5, 7, 7])
    # Silhouettes are 1 - 1/4 twice and 1 - 2/4 twice.
    assert found.policy_silhouette == pytest.approx(0.625)
    assert (found.groups, found.ari, found.code_silhouette) == (2, 1.0, None)
    line = np.array([[0.0], [1.0], [4.0], [6.0]], np.float32)
    by_code = cluster_quality([0, 0, 1, 1], codes=line)
    expected = np.mean([1 - 1 / 5, 1 - 1 / 4, 1 - 2 / 3.5, 1 - 2 / 5.5])
    assert by_code.code_silhouette == pytest.approx(expected)
    assert by_code.ari is None
    assert cluster_quality([0, 0, 0, 0], distances=distances).policy_silhouette is None
    assert cluster_quality([0, 1, 2, 3], distances=distances).policy_silhouette is None
    with pytest.raises(InvalidParameterError, match="types are for 3 agents, labels for 4"):
        cluster_quality([0, 0, 1, 1], types=[0, 1, 1])


def test_memory_by_hand() -> None:
    scheme = build("fups")
    parameters = scheme.param_report()["trainable"]
    assert memory_of(scheme).parameters == 4 * parameters
    assert memory_of(scheme).optimiser == 0
    optimizer = torch.optim.Adam(scheme.parameters())
    (scheme.actor(observations()).sum() + scheme.critic(observations()).sum()).backward()
    optimizer.step()
    found = memory_of(scheme, optimizer)
    tensors = len(list(scheme.parameters()))
    # Two moments a parameter, and one float32 count of steps a tensor.
    assert found.optimiser == 2 * 4 * parameters + 4 * tensors
    assert found.total == found.parameters + found.buffers + found.optimiser
    # Beside the masks, which add a byte a neuron and group.
    assert memory_of(build("snp_ps", execution="dense")).buffers - memory_of(build("nops")).buffers >= 0


def _built(name: str) -> Any:
    return randomised(build(name, **({"types": [0, 0, 1, 1]} if scheme_class(name).uses_true_types else {})))


@pytest.mark.parametrize("name", list_schemes())
def test_every_scheme_can_be_diagnosed_and_is_left_as_it_is(name: str) -> None:
    scheme = _built(name).train()
    before = {key: value.clone() for key, value in scheme.state_dict().items()}
    state = torch.get_rng_state()
    found = diagnose(scheme, POOL, types=[0, 0, 1, 1])
    assert scheme.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in scheme.state_dict().items())
    assert (found.pool, found.agents) == (len(POOL), NUM_AGENTS)
    assert 0 <= found.snd <= 1
    assert found.within_type is not None
    assert found.between_type is not None
    assert found.snd == pytest.approx((2 * found.within_type + 4 * found.between_type) / 6)
    assert all(math.isfinite(value) for value in found.scalars().values())
    assert found == diagnose(scheme, POOL, types=[0, 0, 1, 1])
    assert found.as_json()["parameters"] == scheme.param_report()


def test_full_sharing_has_no_diversity_and_groups_have_none_within() -> None:
    assert diagnose(_built("fups"), POOL).snd == 0.0
    found = diagnose(_built("oracle"), POOL, types=[0, 0, 1, 1])
    assert (found.within_group, found.within_type) == (0.0, 0.0)
    assert found.between_group is not None
    assert found.between_group > 0.05
    assert found.clusters is not None
    assert (found.clusters.ari, found.clusters.policy_silhouette) == (1.0, 1.0)
    assert found.masks == {}


def test_masks_are_measured_where_there_are_any() -> None:
    found = diagnose(randomised(build("adaps", labels=[0, 0, 1, 1], codes="disjoint")), POOL)
    assert found.masks["actor"].jaccard == 0.0
    assert found.masks["critic"].hamming == pytest.approx(1.0)
    assert found.scalars()["actor_mask_jaccard"] == 0.0
    assert set(diagnose(_built("kaleidoscope"), POOL).masks) == {"actor", "critic"}
    assert set(diagnose(_built("prism"), POOL).masks) == {"actor", "critic"}


def test_signs_count_as_differences_and_not_as_gates() -> None:
    masks = [torch.tensor([[1, -1, 0, 0], [1, 1, 0, -1]], dtype=torch.int8)]
    assert mask_hamming(masks)[0].tolist() == [0.0, 0.5]
    assert mask_jaccard(masks)[0, 1] == pytest.approx(2 / 3)
    found = mask_statistics(masks)
    assert (found.kept, found.kept_by_layer, found.unused, found.private) == (0.625, (0.625,), 0.25, 0.25)
    assert (found.hamming, found.distinct) == (0.5, 2)
    assert mask_overlap(masks) == [[1.0, 1.0], [0.6667, 1.0]]
    assert mask_statistics([mask.repeat(2, 1) for mask in masks]).distinct == 2


def test_signed_codes_are_measured_and_counted() -> None:
    scheme = randomised(build("adaps", labels=[0, 0, 1, 1], codes="sparse"))
    found = diagnose(scheme, POOL)
    assert found.masks["actor"].kept == pytest.approx(0.5, abs=0.05)
    assert found.parameters["fixed_bits"] == 2 * sum(
        mask.numel() for mask in (*scheme.actor_net.masks, *scheme.critic_net.masks)
    )
    assert found.parameters["fixed_parameters"] == 0


def test_agents_can_be_chosen_and_pools_have_any_leading_axes() -> None:
    scheme = _built("nops")
    pair = diagnose(scheme, POOL, agents=[1, 3], types=[0, 0, 1, 1])
    whole = policy_distances(scheme.actor(POOL[:, None].expand(-1, NUM_AGENTS, -1)))
    assert pair.snd == pytest.approx(whole[1, 3])
    assert (pair.agents, pair.within_type) == (2, None)
    assert diagnose(scheme, POOL.view(40, NUM_AGENTS, 5).numpy()).snd == diagnose(scheme, POOL).snd
    for bad in (torch.zeros(3, 4), torch.zeros(5), torch.zeros(0, 5)):
        with pytest.raises(InvalidParameterError, match=r"give \[S, F\] or \[\.\.\., N, F\], F = 5"):
            diagnose(scheme, bad)


def test_rows_are_spread_over_agents_and_time() -> None:
    rows = spread_rows(3000, 100)
    assert len(np.unique(rows)) == len(rows) >= 95
    assert np.bincount(rows % 15, minlength=15).min() > 0
    assert np.histogram(rows, bins=10, range=(0, 3000))[0].min() >= 8
    assert spread_rows(5, 100).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(spread_rows(3000, 100), rows)
