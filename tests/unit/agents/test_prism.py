"""Prism: layers in singular-value form with a spectral mask for every agent."""

from __future__ import annotations

from typing import Any

import pytest
import torch
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

from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError


def _everywhere(scheme: Any, value: float) -> Any:
    with torch.no_grad():
        for net in scheme.spectral_networks():
            for thresholds in net.thresholds:
                thresholds.fill_(value)
    return scheme


def test_parameters_on_bps_1() -> None:
    shared = 10 * (10 + 64 + 1) + 64 * (64 + 64 + 1) + 5 * (64 + 5 + 1)
    report = on_bps_1("prism").param_report()
    assert report["trainable_actor"] == shared + 15 * (10 + 64 + 5) + (64 + 64 + 5)
    critic = 10 * 75 + 64 * 129 + 66 + 15 * (10 + 64 + 1) + 129
    assert report["trainable_critic"] == critic
    low = 4 * (75 + 129 + 70) + 15 * 12 + 133
    assert on_bps_1("prism", rank=4).param_report()["trainable_actor"] == low < P_ACTOR
    assert on_bps_1("prism", networks="actor").param_report()["trainable_critic"] == P_CRITIC


@pytest.mark.parametrize("options", [{"networks": "actor"}, {"rank": 2}, {"rank": 4}])
def test_options_keep_the_rules(options: dict[str, Any]) -> None:
    check_scheme("prism", **options).raise_if_failed()


def test_the_decomposition_equals_full_sharings_initial_weights() -> None:
    net, plain = build("prism").actor_net, build("fups").actor_net
    for u, s, v, weight in zip(net.left, net.values, net.right, plain.weights, strict=True):
        torch.testing.assert_close((u * s) @ v.T, weight[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("networks", ["actor", "both"])
def test_open_masks_are_full_sharing(networks: str) -> None:
    ours, plain = _everywhere(build("prism", networks=networks), -torch.inf), build("fups")
    obs = observations()
    torch.testing.assert_close(ours.actor(obs), plain.actor(obs), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(ours.critic(obs), plain.critic(obs), atol=1e-5, rtol=1e-4)


def test_equal_masks_make_equal_agents() -> None:
    scheme, obs = randomised(build("prism", networks="both")), same_observations()
    assert not torch.allclose(scheme.actor(obs)[:, 0], scheme.actor(obs)[:, 1])
    logits, values = _everywhere(scheme, -0.01).actor(obs), scheme.critic(obs)
    torch.testing.assert_close(logits, logits[:, :1].expand_as(logits))
    torch.testing.assert_close(values, values[:, :1].expand_as(values))


def test_an_agents_spectrum_is_the_masked_one() -> None:
    net = randomised(build("prism")).actor_net
    for s, t, mask, spectrum in zip(net.values, net.thresholds, net.spectral_masks(), net.spectra(), strict=True):
        threshold = torch.sigmoid(t)
        soft = torch.where(s.abs() > threshold, s - s.sign() * threshold, torch.zeros(()))
        torch.testing.assert_close(spectrum, soft)
        torch.testing.assert_close(s * mask, soft)
        assert 0 <= float(mask.detach().min()) < float(mask.detach().max()) < 1


def test_the_largest_masked_singular_value_bounds_a_layers_stretch() -> None:
    scheme = build("prism")
    with torch.no_grad():
        for thresholds in scheme.actor_net.thresholds:
            thresholds.copy_(torch.linspace(-6, 1, thresholds.numel()).view_as(thresholds))
    spectra = scheme.actor_net.spectra()
    for agent in range(NUM_AGENTS):
        for (weight, _), spectrum in zip(scheme.actor_net.effective_params(agent), spectra, strict=True):
            stretch = float(torch.linalg.matrix_norm(weight.detach(), ord=2))
            assert stretch == pytest.approx(float(spectrum[agent].detach().abs().max()), abs=1e-5)


def test_a_loss_of_one_agent_stays_in_its_masks() -> None:
    scheme = randomised(build("prism"))
    gradient = agent_gradient(scheme, 0, scheme.actor_net.thresholds[1])
    assert gradient[0].abs().sum() > 0
    assert float(gradient[1:].abs().sum()) == 0.0


def test_orthogonality_is_zero_at_first_and_the_residual_after() -> None:
    net = build("prism").actor_net
    assert float(net.orthogonality().detach()) == pytest.approx(0.0, abs=1e-9)
    randomised(net)
    factors = [*net.left, *net.right]
    residuals = [torch.linalg.matrix_norm(factor.T @ factor - torch.eye(factor.shape[1])) for factor in factors]
    expected = sum(residual**2 for residual in residuals)
    torch.testing.assert_close(net.orthogonality(), expected)


def test_diversity_is_the_mean_squared_difference_of_pairs() -> None:
    net = randomised(build("prism")).actor_net
    layers = []
    for mask in net.spectral_masks():
        pairs = [(mask[i] - mask[j]).square().mean() for i in range(NUM_AGENTS) for j in range(NUM_AGENTS) if i != j]
        layers.append(torch.stack(pairs).mean())
    torch.testing.assert_close(net.diversity(), torch.stack(layers).mean())


def test_the_loss_keeps_vectors_orthogonal_and_drives_masks_apart() -> None:
    scheme = randomised(build("prism", networks="both", orthogonality=0.5, diversity=0.25))
    nets = scheme.spectral_networks()
    assert len(nets) == 2
    expected = sum(0.5 * net.orthogonality() - 0.25 * net.diversity() for net in nets)
    torch.testing.assert_close(scheme.aux_loss(), expected)
    grads = torch.autograd.grad(sum(net.diversity() for net in nets), list(scheme.parameters()), allow_unused=True)
    named = dict(zip([name for name, _ in scheme.named_parameters()], grads, strict=True))
    assert {name.split(".")[1] for name, gradient in named.items() if gradient is not None} == {"thresholds"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"orthogonality": -1}, "orthogonality is -1"),
        ({"diversity": float("inf")}, "diversity is inf"),
        ({"offset": "5"}, "offset is '5'; it must be a finite number"),
        ({"scale": -0.5}, "scale is -0.5"),
        ({"threshold_epsilon": -1e-8}, "threshold_epsilon is -1e-08"),
        ({"networks": "critic"}, "networks is 'critic'; choose one of both, actor"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("prism", SMALL, **options)
