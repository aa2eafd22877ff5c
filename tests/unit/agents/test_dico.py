"""DiCo: deviations scaled to a wanted diversity of the logits."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from agents_common import ALGORITHMS, small_model
from methods_common import (
    NUM_AGENTS,
    P_ACTOR,
    P_CRITIC,
    SMALL,
    agent_gradient,
    build,
    observations,
    on_bps_1,
    randomised,
    same_observations,
)
from torch import Tensor

from adaps_agents.networks.grouped_mlp import GroupedMLP
from adaps_agents.schemes import AgentSpaces, LearningState
from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError
from baselines.schemes.dico import logit_diversity


def _everybody(observations: Tensor) -> Tensor:
    """Return observations ``[S, F]`` as seen by each of N agents."""
    return observations[:, None].expand(-1, NUM_AGENTS, -1)


def _calibrated(scheme: Any, seen: Tensor) -> Any:
    """Estimate the diversity exactly, on ``seen [S, F]``, as tau = 1 does on one batch."""
    scheme.estimate.copy_(scheme.deviation_diversity(seen))
    scheme.measurements.fill_(1)
    return scheme


def test_parameters_on_bps_1() -> None:
    report = on_bps_1("dico").param_report()
    assert (report["trainable_actor"], report["trainable_critic"]) == (83_024, 15 * P_CRITIC)
    assert report["trainable_actor"] == P_ACTOR + 15 * P_ACTOR
    assert on_bps_1("dico", critic="shared").param_report()["trainable"] == 83_024 + P_CRITIC


@pytest.mark.parametrize("options", [{"desired": None}, {"desired": 0.0}, {"critic": "shared"}, {"desired": 0.5}])
def test_options_keep_the_rules(options: dict[str, Any]) -> None:
    check_scheme("dico", **options).raise_if_failed()


def test_diversity_is_the_mean_distance_of_centred_logits() -> None:
    logits = torch.randn(5, NUM_AGENTS, 3, generator=torch.Generator().manual_seed(0))
    expected = []
    for row in logits:
        centred = [agent - agent.mean() for agent in row]
        expected += [float((a - b).norm()) for a, b in combinations(centred, 2)]
    assert float(logit_diversity(logits)) == pytest.approx(sum(expected) / len(expected))


def test_what_the_softmax_ignores_is_no_diversity_and_the_measure_is_homogeneous() -> None:
    logits = torch.randn(5, NUM_AGENTS, 3, generator=torch.Generator().manual_seed(0))
    offsets = torch.arange(NUM_AGENTS)[:, None].float()
    torch.testing.assert_close(logit_diversity(logits + offsets), logit_diversity(logits))
    torch.testing.assert_close(logit_diversity(3 * logits), 3 * logit_diversity(logits))
    assert float(logit_diversity(logits[:, :1].expand(-1, NUM_AGENTS, -1))) == 0.0


@pytest.mark.parametrize("desired", [0.3, 5.0])
def test_the_measured_diversity_is_the_desired_one(desired: float) -> None:
    seen = observations(20)[:, 0]
    scheme = _calibrated(randomised(build("dico", desired=desired)), seen)
    assert float(logit_diversity(scheme.actor(_everybody(seen))).detach()) == pytest.approx(desired, abs=1e-5)


def test_by_default_two_agents_of_opposite_minds_act_on_them_nine_times_in_ten() -> None:
    logits = torch.zeros(1, 2, 2)
    gap = build("dico").desired / 2**0.5
    logits[0, 0, 0], logits[0, 1, 1] = gap, gap
    assert float(logit_diversity(logits)) == pytest.approx(build("dico").desired)
    torch.testing.assert_close(logits.softmax(-1)[0], torch.tensor([[0.9, 0.1], [0.1, 0.9]]))


def test_the_scale_of_deviations_is_immaterial() -> None:
    seen = observations(20)[:, 0]
    scheme = _calibrated(randomised(build("dico")), seen)
    before = scheme.actor(_everybody(seen))
    with torch.no_grad():
        scheme.deviation_net.weights[-1].mul_(2.0)
        scheme.deviation_net.biases[-1].mul_(2.0)
    torch.testing.assert_close(_calibrated(scheme, seen).actor(_everybody(seen)), before)


def test_without_diversity_agents_act_alike() -> None:
    scheme = randomised(build("dico", desired=0.0))
    logits = scheme.actor(same_observations())
    torch.testing.assert_close(logits, logits[:, :1].expand_as(logits))
    assert torch.equal(scheme.actor(observations()), scheme.actor_net(observations()))


def test_unconstrained_deviations_are_just_added() -> None:
    scheme, obs = randomised(build("dico", desired=None)), observations()
    scheme.learning = LearningState(observations=obs)
    scheme.after_update(1)
    shared = GroupedMLP.forward(scheme.actor_net, obs)
    torch.testing.assert_close(scheme.actor(obs), shared + scheme.deviation_net(obs))
    assert int(scheme.measurements) == 0


def test_the_estimate_starts_from_a_measurement_and_follows_slowly() -> None:
    scheme = randomised(build("dico", tau=0.25, pool=4000))
    assert float(scheme.kappa) == 1.0
    flat = observations(200).flatten(0, 1)
    scheme.learning = LearningState(observations=observations(200))
    exact = float(scheme.deviation_diversity(flat))
    assert scheme.after_update(1) is False
    first = float(scheme.estimate)
    assert first == pytest.approx(exact, rel=0.05)
    assert float(scheme.kappa) == pytest.approx(scheme.desired / first)
    with torch.no_grad():
        scheme.deviation_net.weights[-1].mul_(3.0)
        scheme.deviation_net.biases[-1].mul_(3.0)
    scheme.after_update(2)
    assert float(scheme.estimate) == pytest.approx(0.75 * first + 0.25 * 3 * first, rel=0.05)
    assert int(scheme.measurements) == 2


def test_one_seed_measures_alike_and_kappa_stands_still_in_between() -> None:
    first, second = (randomised(build("dico", pool=3)) for _ in range(2))
    for scheme in (first, second):
        scheme.learning = LearningState(observations=observations(50))
        scheme.after_update(1)
        scheme.after_update(2)
    assert torch.equal(first.estimate, second.estimate)
    before = first.kappa.clone()
    first.actor(observations(9)).sum().backward()
    assert torch.equal(first.kappa, before)


def test_no_deviations_at_all_do_not_blow_up() -> None:
    scheme = build("dico")
    with torch.no_grad():
        for parameter in scheme.deviation_net.parameters():
            parameter.zero_()
    scheme.learning = LearningState(observations=observations())
    scheme.after_update(1)
    assert bool(scheme.actor(observations()).isfinite().all())


def test_deviations_get_no_gradient_of_other_agents() -> None:
    scheme = _calibrated(randomised(build("dico")), observations(20)[:, 0])
    gradient = agent_gradient(scheme, 1, scheme.deviation_net.weights[1])
    assert gradient[1].abs().sum() > 0
    assert float(gradient[[0, 2, 3]].abs().sum()) == 0.0


def test_the_estimate_is_in_the_state() -> None:
    origin, copy, obs = _calibrated(build("dico"), observations(20)[:, 0]), build("dico", seed=9), observations()
    copy.load_state_dict(origin.state_dict())
    assert torch.equal(copy.actor(obs), origin.actor(obs))
    assert float(copy.kappa) == float(origin.kappa) != 1.0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_learners_feed_the_estimate(algorithm: Any) -> None:
    model = small_model(algorithm, "dico")
    model.learn(100)
    assert int(model.scheme.measurements) == 5
    assert float(model.scheme.kappa) != 1.0


def test_one_agent_has_no_diversity_to_control() -> None:
    with pytest.raises(InvalidParameterError, match="a team of 1 has no diversity"):
        build("dico", AgentSpaces(1, 5, 3))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"desired": -1}, "desired is -1; it must be a finite number >= 0"),
        ({"tau": 0.0}, "tau is 0.0; it must be a finite number > 0 and <= 1"),
        ({"pool": 0}, "pool is 0"),
        ({"critic": "none"}, "critic is 'none'; choose one of private, shared"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("dico", SMALL, **options)
