"""HyperMARL: generated networks."""

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

from adaps_agents.schemes import AgentSpaces
from adaps_agents.schemes.base import network, private_networks
from adaps_envs.errors import InvalidParameterError


def test_parameters_on_bps_1() -> None:
    assert on_bps_1("hypermarl").param_report()["trainable_actor"] == 340_741 + 15 * 8
    linear = on_bps_1("hypermarl_linear").param_report()
    assert (linear["trainable_actor"], linear["trainable"]) == (15 * P_ACTOR, 15 * (P_ACTOR + P_CRITIC))
    assert on_bps_1("hypermarl_linear", bias=True).param_report()["trainable"] == 16 * (P_ACTOR + P_CRITIC)
    for name in ("hypermarl", "hypermarl_linear"):
        assert on_bps_1(name, networks="actor").param_report()["trainable_critic"] == P_CRITIC


@pytest.mark.parametrize(("embedding", "width"), [(1, 5), (4, 16)])
def test_parameters_follow_the_formula(embedding: int, width: int) -> None:
    report = build("hypermarl", embedding=embedding, width=width).param_report()
    tensors = (5 * 16, 16, 16 * 12, 12, 12 * 3, 3)
    trunks_and_heads = sum((embedding + 1) * width + (width + 1) * size for size in tensors)
    assert report["trainable_actor"] == NUM_AGENTS * embedding + trunks_and_heads


def test_without_bias_a_linear_hypernetwork_is_private_networks() -> None:
    ours, plain, obs = build("hypermarl_linear"), build("nops"), observations()
    assert torch.equal(ours.actor(obs), plain.actor(obs))
    assert torch.equal(ours.critic(obs), plain.critic(obs))
    grads = [
        torch.autograd.grad(scheme.actor(obs).square().sum(), list(scheme.actor_net.parameters()))
        for scheme in (ours, plain)
    ]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*grads, strict=True))
    assert torch.equal(private_networks(ours), private_networks(plain))


def test_a_linear_hypernetwork_equals_the_product_with_one_hot_vectors() -> None:
    scheme, obs = randomised(build("hypermarl_linear", bias=True)), observations()
    net = scheme.actor_net
    for agent in range(NUM_AGENTS):
        one_hot = torch.eye(NUM_AGENTS)[agent]
        layers = scheme.actor_net.effective_params(agent)
        for (weight, bias), table, base, offsets, offset in zip(
            layers, net.weights, net.base_weights, net.biases, net.base_biases, strict=True
        ):
            torch.testing.assert_close(weight, torch.einsum("koi,k->oi", table, one_hot) + base[0])
            torch.testing.assert_close(bias, one_hot @ offsets + offset[0])
    assert scheme.actor(obs).shape == (6, NUM_AGENTS, 3)


@pytest.mark.parametrize("bias", [False, True])
def test_a_loss_of_one_agent_stays_in_its_column(bias: bool) -> None:
    scheme = randomised(build("hypermarl_linear", bias=bias))
    gradient = agent_gradient(scheme, 2, scheme.actor_net.weights[1])
    assert gradient[2].abs().sum() > 0
    assert float(gradient[[0, 1, 3]].abs().sum()) == 0.0


def test_equal_embeddings_make_identical_agents() -> None:
    scheme = randomised(build("hypermarl"))
    obs = same_observations()
    assert not torch.allclose(scheme.actor(obs)[:, 0], scheme.actor(obs)[:, 1])
    with torch.no_grad():
        for net in (scheme.actor_net, scheme.critic_net):
            net.embeddings.copy_(net.embeddings[:1].expand_as(net.embeddings))
    logits, values = scheme.actor(obs), scheme.critic(obs)
    torch.testing.assert_close(logits, logits[:, :1].expand_as(logits))
    torch.testing.assert_close(values, values[:, :1].expand_as(values))


@pytest.mark.parametrize("num_agents", [4, 30, 60, 200], ids=lambda number: f"N={number}")
def test_generated_networks_start_as_the_authors(num_agents: int) -> None:
    scheme = build("hypermarl", AgentSpaces(num_agents, 5, 3))
    for part, head_gain in (("actor", 0.01), ("critic", 1.0)):
        net = network(scheme, part)
        for head, size, gain in zip(
            net.heads[::2], ((16, 5), (12, 16), (None, 12)), (2**0.5, 2**0.5, head_gain), strict=True
        ):
            for row in head.detach().view(64, -1, size[1]):
                wide, high = (row, row.T) if len(row) <= size[1] else (row.T, row)
                torch.testing.assert_close(wide @ high, gain**2 * torch.eye(len(wide)), atol=1e-4, rtol=0)
        weights, biases = net.subnetworks()
        # Of the size of private networks, whatever the number of agents, and different for each.
        for made, gain in zip(weights, (2**0.5, 2**0.5, head_gain), strict=True):
            private = gain / max(made.shape[1:]) ** 0.5
            sizes = made.detach().square().mean(dim=(1, 2)).sqrt() / private
            assert 0.1 < float(sizes.min()) <= float(sizes.max()) < 5
            assert 0.4 < float(sizes.mean()) < 4
            flat = made.detach().flatten(1)
            apart = torch.cdist(flat, flat) + 1e9 * torch.eye(num_agents)
            assert float(apart.min()) > 0.02 * float(flat.norm(dim=1).mean())
        assert not any(bool(bias.any()) for bias in biases)
    obs, spaces = observations(spaces=scheme.spaces), scheme.spaces
    ours, private = (build(name, spaces).critic(obs).detach().square().mean().sqrt() for name in ("hypermarl", "nops"))
    # The size of three layers multiplies: 2.7 each in small teams, less than one each in large ones.
    assert 0.2 < float(ours / private) < 30


def test_generated_weights_are_kept_only_where_nothing_can_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, obs, calls = build("hypermarl"), observations(), []
    generate = type(scheme.actor_net).subnetworks
    monkeypatch.setattr(type(scheme.actor_net), "subnetworks", lambda net: calls.append(1) or generate(net))

    def generated() -> int:
        calls.clear()
        scheme.actor(obs)
        return len(calls)

    with torch.no_grad():
        assert generated() == generated() == 1
        scheme.eval()
        assert [generated(), generated()] == [1, 0]
        before = scheme.actor(obs)
        scheme.actor_net.embeddings.mul_(2.0)
        assert [generated(), generated()] == [1, 0]
        assert not torch.equal(scheme.actor(obs), before)
        scheme.load_state_dict(build("hypermarl", seed=9).state_dict())
        assert [generated(), generated()] == [1, 0]
        scheme.train()
        scheme.eval()
        assert [generated(), generated()] == [1, 0]
    assert generated() == generated() == 1


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hypermarl", {"embedding": 0}, "embedding is 0; it must be an integer >= 1"),
        ("hypermarl", {"width": 2.5}, "width is 2.5"),
        ("hypermarl", {"networks": "all"}, "networks is 'all'; choose one of both, actor"),
        ("hypermarl_linear", {"bias": 1}, "bias is 1; it must be True or False"),
        ("hypermarl_linear", {"networks": None}, "networks is None"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build(name, SMALL, **options)
