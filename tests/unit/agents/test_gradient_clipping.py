"""Gradients of private networks are clipped as in learners of their agents alone, those of shared networks jointly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from agents_common import ALGORITHMS, small_model
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from type_game import type_game

from adaps_agents import SharingA2C, list_schemes
from adaps_agents.networks.grouped_mlp import GroupedMLP
from adaps_agents.schemes.base import private_networks

AGENTS = 6
LABELS = {"nops": [0, 1, 2, 3, 4, 5], "oracle": [0, 0, 0, 0, 1, 1], "seps": [0, 1, 1, 0, 2, 1]}
OPTIONS = {"seps": {"labels": LABELS["seps"]}, "random_groups": {"labels": [0, 0, 1, 1, 1, 1]}}
PRIVATE = {"nops", "oracle", "seps", "random_groups", "hypermarl_linear"}
CRITICS: dict[str, dict[str, Any]] = {"local": {}, "central": {"critic": "central"}, "gru": {"recurrent": "gru"}}


def _with_rollout(algorithm: Any, scheme: str, env: VecEnv, policy: dict[str, Any], **settings: Any) -> Any:
    """Return a learner that has a rollout and whose update is one plain gradient step on all of it."""
    if algorithm is SharingA2C:
        settings["use_rms_prop"] = False
    else:
        settings |= {"n_epochs": 1, "batch_size": 10_000, "normalize_advantage": False}
    policy = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}, **policy}
    model = small_model(
        algorithm, scheme, env, policy_options=policy, scheme_options=OPTIONS.get(scheme), ent_coef=0.01, **settings
    )
    _, callback = model._setup_learn(1_000)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model


def _changes(model: Any) -> list[Tensor]:
    """Return by how much each parameter moves in an update."""
    before = [parameter.detach().clone() for parameter in model.scheme.parameters()]
    model.train()
    return [now.detach() - old for now, old in zip(model.scheme.parameters(), before, strict=True)]


def _take_over(alone: Any, team: Any, network: int, members: Tensor) -> None:
    """Give a learner one network of a team and the part of its rollout that the network's agents played."""
    with torch.no_grad():
        for own, all_networks in zip(alone.scheme.parameters(), team.scheme.parameters(), strict=True):
            own.copy_(all_networks[network : network + 1])
    for name, tensor in vars(team.rollout_buffer).items():
        if isinstance(tensor, Tensor):
            axis = {"states": None, "actor_state": 1, "critic_state": 1, "last_critic_state": 1}.get(name, 2)
            setattr(alone.rollout_buffer, name, tensor if axis is None else tensor.index_select(axis, members))


@pytest.mark.parametrize("max_norm", [0.05, 0.5, 1e9])
@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("scheme", LABELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_private_network_is_clipped_as_in_a_learner_of_its_agents_alone(
    algorithm: Any, scheme: str, critic: str, max_norm: float
) -> None:
    team = _with_rollout(
        algorithm, scheme, type_game(4), CRITICS[critic], max_grad_norm=max_norm, learning_rate=float(AGENTS)
    )
    team.rollout_buffer.advantages *= torch.linspace(0.1, 3.0, AGENTS)
    labels, separate = torch.tensor(LABELS[scheme]), []
    for network in range(int(labels.max()) + 1):
        members = (labels == network).nonzero().flatten()
        alone = _with_rollout(
            algorithm, "fups", type_game(4, groups=(len(members),)), CRITICS[critic], max_grad_norm=max_norm,
            learning_rate=float(len(members)),
        )  # fmt: skip
        _take_over(alone, team, network, members)
        separate.append(_changes(alone))
    for change, alone_changes in zip(_changes(team), zip(*separate, strict=True), strict=True):
        torch.testing.assert_close(change, torch.cat(alone_changes), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", [name for name in list_schemes() if name not in PRIVATE])
def test_networks_that_agents_share_are_clipped_jointly(algorithm: Any, scheme: str) -> None:
    model = small_model(algorithm, scheme)
    model.learn(40 if model.policy.prepared() else 240)
    held = [p for group in model.policy.optimizer.param_groups for p in group["params"]]
    generator = torch.Generator().manual_seed(0)
    for parameter in held:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    copies = [parameter.detach().clone() for parameter in held]
    for copy, parameter in zip(copies, held, strict=True):
        assert parameter.grad is not None
        copy.grad = parameter.grad.clone()
    nn.utils.clip_grad_norm_(copies, 0.5)
    model.policy.clip_gradients(0.5)
    assert all(torch.equal(copy.grad, parameter.grad) for copy, parameter in zip(copies, held, strict=True))  # type: ignore[arg-type]


def test_one_group_is_clipped_as_full_sharing() -> None:
    models = [small_model(SharingA2C, name, scheme_options=options, max_grad_norm=0.05) for name, options in (
        ("fups", {}), ("seps", {"labels": [0] * AGENTS})
    )]  # fmt: skip
    for model in models:
        model.learn(60)
    assert all(torch.equal(*pair) for pair in zip(*(model.scheme.parameters() for model in models), strict=True))


def test_groups_that_change_are_clipped_as_they_are_now() -> None:
    model = small_model(SharingA2C, "seps", scheme_options={"labels": LABELS["seps"]})
    assert model.policy._private_agents.tolist() == private_networks(model.scheme).tolist() == [2, 3, 1]
    model.scheme.regroup(torch.tensor([0, 0, 0, 0, 1, 0]))
    model.policy.check_optimizer()
    assert model.policy._private_agents.tolist() == private_networks(model.scheme).tolist() == [5, 1]
    model.learn(20)


def test_actors_and_critics_of_unlike_groups_are_clipped_jointly() -> None:
    model = small_model(SharingA2C, "oracle")
    model.scheme.critic_net = model.scheme.critic_spec.grouped(torch.tensor([0, 1, 1, 1, 1, 1]))
    model.policy.check_optimizer()
    assert model.policy._private_agents is private_networks(model.scheme) is None


def test_a_network_with_a_parameter_for_all_is_clipped_jointly() -> None:
    class WithOffset(GroupedMLP):
        """Private networks that share one number."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.offset = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            """Return outputs ``[B, N, O]``."""
            return super().forward(x) + self.offset

    model = small_model(SharingA2C, "nops")
    scheme = model.scheme
    scheme.actor_net = WithOffset(labels=scheme.labels, **scheme.actor_spec.options)
    model.policy.check_optimizer()
    assert model.policy._private_agents is private_networks(scheme) is None
    model.learn(20)
