"""Kaleidoscope: learnt masks, their diversity, and drawing dead weights anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from agents_common import small_model
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
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import Tensor

from adaps_agents import SharingA2C
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes import LearningState, SharingScheme
from adaps_agents.schemes.thresholds import soft_threshold
from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError


def _build(**options: Any) -> Any:
    return build("kaleidoscope", SMALL, **{"agent_index": False, **options})


def _everywhere(scheme: Any, value: float) -> Any:
    with torch.no_grad():
        for net in scheme.masked_networks():
            for thresholds in net.thresholds:
                thresholds.fill_(value)
    return scheme


def _learning(steps: int, total: int, scheme: SharingScheme, loss: float = 0.0) -> LearningState:
    return LearningState(steps, total, torch.tensor(loss), None, torch.optim.Adam(scheme.parameters(), lr=0.1))


def test_parameters_on_bps_1() -> None:
    report = on_bps_1("kaleidoscope", agent_index=False).param_report()
    assert report["trainable_actor"] == 81_029 == P_ACTOR + 15 * 5_056
    assert report["trainable_critic"] == P_CRITIC + 15 * (640 + 4_096 + 64)
    # 15 more columns of 64 weights, each with 15 agents' thresholds.
    indexed = on_bps_1("kaleidoscope").param_report()
    assert indexed["trainable_actor"] == 81_029 + 15 * 64 * (1 + 15)
    assert on_bps_1("kaleidoscope", networks="actor").param_report()["trainable_critic"] == P_CRITIC


@pytest.mark.parametrize("name", ["kaleidoscope", "prism"])
@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_networks_read_the_agents_index_if_asked(name: str, recurrent: str) -> None:
    scheme = randomised(build(name, agent_index=True, recurrent=recurrent))
    same = same_observations()
    assert not torch.allclose(scheme.actor(same)[:, 0], scheme.actor(same)[:, 1])
    check_scheme(name, agent_index=True).raise_if_failed()
    net = scheme.actor_net
    with torch.no_grad():
        table = (
            (net.left[0] * net.spectra()[0][:, None]) @ net.right[0].T
            if name == "prism"
            else soft_threshold(net.weights[0], net.thresholds[0])
        )
    for agent in range(NUM_AGENTS):
        one_hot = torch.eye(NUM_AGENTS)[agent]
        inputs = torch.cat([same[:, agent], one_hot.expand(len(same), -1)], dim=1)
        weight, bias = scheme.actor_net.effective_params(agent)[0]
        offset = net.biases[0].view(-1)
        torch.testing.assert_close(same[:, agent] @ weight.T + bias, inputs @ table[agent].T + offset)


def test_kaleidoscope_reads_the_index_as_its_authors_and_prism_does_not() -> None:
    assert build("kaleidoscope").agent_index
    assert not build("prism").agent_index


def test_without_thresholds_it_is_full_sharing() -> None:
    ours, plain, obs = _everywhere(_build(), -torch.inf), build("fups"), observations()
    torch.testing.assert_close(ours.actor(obs), plain.actor(obs))
    torch.testing.assert_close(ours.critic(obs), plain.critic(obs))
    loss, same = ours.actor(obs).square().sum(), plain.actor(obs).square().sum()
    grads = torch.autograd.grad(loss, list(ours.actor_net.weights))
    for ours_grad, plain_grad in zip(grads, torch.autograd.grad(same, list(plain.actor_net.weights)), strict=True):
        torch.testing.assert_close(ours_grad, plain_grad)


def test_weights_are_soft_thresholded_and_masks_are_their_support() -> None:
    scheme = randomised(_build())
    net = scheme.actor_net
    for agent in range(NUM_AGENTS):
        layers = scheme.actor_net.effective_params(agent)
        for (weight, bias), w, b, s, mask in zip(
            layers, net.weights, net.biases, net.thresholds, net.used_weights(), strict=True
        ):
            threshold = torch.sigmoid(s[agent])
            below = torch.where(w[0] < -threshold, w[0] + threshold, 0.0)
            expected = torch.where(w[0] > threshold, w[0] - threshold, below)
            torch.testing.assert_close(weight, expected)
            assert torch.equal(bias, b[0])
            assert torch.equal(weight != 0, mask[agent])
            assert 0 < int(mask[agent].sum()) < mask[agent].numel()


def test_thresholds_start_where_nearly_nothing_is_masked() -> None:
    thresholds = torch.cat([s.detach().flatten() for s in on_bps_1("kaleidoscope").actor_net.thresholds])
    assert -10 <= float(thresholds.min()) < -9.9
    assert -5.1 < float(thresholds.max()) <= -5
    assert float(thresholds.mean()) == pytest.approx(-7.5, abs=0.05)


def test_the_defaults_are_the_published_ones() -> None:
    scheme = build("kaleidoscope")
    assert (scheme.diversity, scheme.window, scheme.offset, scheme.scale) == (0.5, 100, 5.0, 5.0)
    assert (scheme.reset_interval, scheme.reset_probability) == (None, 0.1)
    assert torch.optim.Adam([torch.zeros(1)]).defaults["eps"] == scheme.threshold_epsilon


# A reset would move thresholds much further.
@pytest.mark.parametrize(("name", "options"), [("kaleidoscope", {"reset_probability": 0.0}), ("prism", {})])
def test_thresholds_move_as_far_as_weights_under_their_own_epsilon_alone(name: str, options: dict[str, Any]) -> None:
    moved = {}
    for epsilon in (1e-8, None):
        model = small_model(
            SharingA2C, name, scheme_options={**options, "threshold_epsilon": epsilon}, use_rms_prop=False
        )
        before = [threshold.detach().clone() for threshold in model.scheme.actor_net.thresholds]
        held = [p for group in model.policy.optimizer.param_groups for p in group["params"]]
        assert sum(p.numel() for p in held) == model.scheme.param_report()["trainable"]
        model.learn(200)
        steps = zip(before, model.scheme.actor_net.thresholds, strict=True)
        moved[epsilon] = float(torch.stack([(new.detach() - old).abs().mean() for old, new in steps]).max())
    assert moved[1e-8] > 5 * moved[None]


@pytest.mark.parametrize(("kind", "expected"), [(torch.optim.Adam, 1e-8), (RMSpropTFLike, 1e-16)])
def test_the_epsilon_is_in_units_of_a_gradient(kind: Any, expected: float) -> None:
    options = {"optimizer_class": kind, "optimizer_kwargs": {"eps": 1e-5}}
    model = small_model(SharingA2C, "kaleidoscope", policy_options=options, use_rms_prop=False)
    weights, thresholds = model.policy.optimizer.param_groups
    assert (weights["eps"], thresholds["eps"]) == (1e-5, pytest.approx(expected))
    assert {id(p) for p in thresholds["params"]} == {
        id(p) for net in model.scheme.masked_networks() for p in net.thresholds
    }


def test_an_optimiser_without_epsilon_takes_all_alike() -> None:
    model = small_model(
        SharingA2C, "kaleidoscope", policy_options={"optimizer_class": torch.optim.SGD}, use_rms_prop=False
    )
    assert len(model.policy.optimizer.param_groups) == 1


def test_a_loss_of_one_agent_reaches_its_thresholds_only_where_weights_survive() -> None:
    scheme = randomised(_build())
    net = scheme.actor_net
    gradient = agent_gradient(scheme, 1, net.thresholds[2])
    assert float(gradient[[0, 2, 3]].abs().sum()) == 0.0
    assert float(gradient[1][~net.used_weights()[2][1]].abs().sum()) == 0.0
    assert gradient[1].abs().sum() > 0


def test_diversity_is_the_weighted_distance_of_all_ordered_pairs() -> None:
    net = randomised(_build()).actor_net
    expected, count = torch.zeros(()), sum(w.numel() for w in net.weights)
    for layer, (w, mask) in enumerate(zip(net.weights, net.used_weights(), strict=True)):
        for i in range(NUM_AGENTS):
            for j in range(NUM_AGENTS):
                expected = expected + 2**layer * (w[0].abs() * (mask[i].float() - mask[j].float())).abs().sum()
    expected = expected / (NUM_AGENTS * (NUM_AGENTS - 1) * count)
    torch.testing.assert_close(net.diversity(), expected)


def test_the_diversity_gradient_is_that_of_the_pairs_through_tanh() -> None:
    net = randomised(_build()).actor_net
    ours = torch.autograd.grad(100.0 * net.diversity(), list(net.thresholds))
    count = sum(w.numel() for w in net.weights)
    for layer, (w, s, mask, gradient) in enumerate(
        zip(net.weights, net.thresholds, net.used_weights(), ours, strict=True)
    ):
        leaf = mask.float().requires_grad_()
        pairs = (w.detach().abs() * (leaf[:, None] - leaf[None])).abs().sum()
        (incoming,) = torch.autograd.grad(100.0 * 2**layer * pairs / (NUM_AGENTS * (NUM_AGENTS - 1) * count), leaf)
        slope = torch.sigmoid(s) * (1 - torch.sigmoid(s))
        torch.testing.assert_close(gradient, -incoming.tanh() * slope)
    assert torch.autograd.grad(net.diversity(), list(net.weights), allow_unused=True) == (None,) * 3


def test_equal_masks_have_no_diversity_and_one_departing_agent_has_some() -> None:
    net = _everywhere(_build(), -3.0).actor_net
    assert float(net.diversity().detach()) == 0.0
    seen = [0.0]
    for value in (-2.5, -2.0, -1.0):
        with torch.no_grad():
            net.thresholds[1][0] = value
        seen.append(float(net.diversity().detach()))
    assert seen == sorted(seen)
    assert seen[1] > 0


def test_the_diversity_loss_is_scaled_to_the_policy_loss() -> None:
    scheme = randomised(_build(diversity=0.5, window=3))
    spread = sum(float(net.diversity().detach()) for net in scheme.masked_networks())
    for loss, mean in ((-0.2, 0.2), (0.4, 0.3), (0.0, 0.2), (0.0, 0.4 / 3)):
        scheme.learning = LearningState(policy_loss=torch.tensor(loss))
        assert float(scheme.aux_loss().detach()) == pytest.approx(-0.5 * mean, rel=1e-4)
    assert spread > 1e-4


def test_a_vanishing_diversity_does_not_blow_the_coefficient_up() -> None:
    scheme = _everywhere(_build(diversity=1.0, window=2), -3.0)
    scheme.learning = LearningState(policy_loss=torch.tensor(1e-3))
    for _ in range(5):
        assert float(scheme._coefficient(torch.zeros(()))) == pytest.approx(10.0)
    scheme.learning = LearningState(policy_loss=torch.tensor(1e6))
    assert float(scheme._coefficient(torch.zeros(()))) == 1e3


def _dead_everywhere(scheme: Any) -> list[Tensor]:
    """Give every second weight of each layer thresholds above it, for all agents; return these sets."""
    dead = []
    with torch.no_grad():
        for w, s in zip(scheme.actor_net.weights, scheme.actor_net.thresholds, strict=True):
            s.fill_(-30.0)
            s[0].fill_(30.0)
            every_second = torch.arange(w.numel()).view(w.shape) % 2 == 0
            s.masked_fill_(every_second.expand_as(s), 30.0)
            w.clamp_(min=-0.9, max=0.9)
            dead.append(every_second)
    return dead


def test_a_reset_touches_exactly_what_no_agent_uses_and_its_moments() -> None:
    scheme = _build()
    dead = _dead_everywhere(scheme)
    net = scheme.actor_net
    optimizer = torch.optim.Adam(scheme.parameters(), lr=0.0)
    for parameter in scheme.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = [(w.detach().clone(), s.detach().clone()) for w, s in zip(net.weights, net.thresholds, strict=True)]
    chosen = net.reset_dead(1.0, torch_stream(0, "reset"), optimizer)
    for w, s, (old_w, old_s), expected, drawn in zip(net.weights, net.thresholds, before, dead, chosen, strict=True):
        assert torch.equal(drawn, expected)
        assert torch.equal(w != old_w, expected)
        assert torch.equal(s != old_s, expected.expand_as(s))
        assert float(w[expected].detach().abs().max()) <= w.shape[-1] ** -0.5
        assert bool((s[expected.expand_as(s)] <= -5).all())
        for parameter, where in ((w, expected), (s, expected.expand_as(s))):
            for moment in ("exp_avg", "exp_avg_sq"):
                assert torch.equal(optimizer.state[parameter][moment] == 0, where)


def test_a_reset_draws_each_dead_weight_with_its_probability() -> None:
    scheme = on_bps_1("kaleidoscope")
    _dead_everywhere(scheme)
    drawn = torch.cat([d.flatten() for d in scheme.actor_net.reset_dead(0.25, torch_stream(0, "reset"), None)])
    assert float(drawn.float().mean()) == pytest.approx(0.125, abs=0.02)


def test_resets_come_once_an_interval_and_not_in_the_last() -> None:
    scheme = _build(reset_interval=100, reset_probability=1.0)
    _dead_everywhere(scheme)
    weight = scheme.actor_net.weights[1]
    seen = []
    for steps in (50, 99, 101, 150, 250, 299, 301, 399, 400):
        before = weight.detach().clone()
        scheme.learning = _learning(steps, 400, scheme)
        assert scheme.after_update(steps) is False
        seen.append(not torch.equal(before, weight))
        _dead_everywhere(scheme)
    assert seen == [False, False, True, False, True, False, False, False, False]


def test_one_seed_resets_alike() -> None:
    first, second = (_build(reset_interval=100, reset_probability=0.5) for _ in range(2))
    for scheme in (first, second):
        _dead_everywhere(scheme)
        scheme.learning = _learning(100, 1000, scheme)
        scheme.after_update(1)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_memory_of_losses_and_resets_is_in_the_state() -> None:
    origin, copy = _build(reset_interval=200_000), _build(seed=8)
    origin.learning = _learning(200_000, 10**6, origin, loss=0.3)
    origin.aux_loss()
    origin.after_update(1)
    copy.load_state_dict(origin.state_dict())
    assert (int(copy.resets), int(copy.written)) == (1, 1)
    copy.learning = origin.learning
    torch.testing.assert_close(copy.aux_loss(), origin.aux_loss())


def test_the_summary_tells_the_masks_overlap() -> None:
    overlap = randomised(_build()).sharing_summary()["actor_mask_overlap"]
    assert [overlap[i][i] for i in range(NUM_AGENTS)] == [1.0] * NUM_AGENTS
    assert 0 < overlap[0][1] < 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"diversity": -1.0}, "diversity is -1.0; it must be a finite number >= 0"),
        ({"window": 0}, "window is 0"),
        ({"reset_interval": 0.5}, "reset_interval is 0.5"),
        ({"reset_probability": 1.5}, "reset_probability is 1.5; it must be a finite number >= 0 and <= 1"),
        ({"offset": float("nan")}, "offset is nan"),
        ({"scale": -1}, "scale is -1"),
        ({"threshold_epsilon": 0.0}, "threshold_epsilon is 0.0; it must be a finite number > 0"),
        ({"networks": "critic"}, "networks is 'critic'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("kaleidoscope", SMALL, **options)
