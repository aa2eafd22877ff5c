"""Sharing policies on rows in any order, as stock learners give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import QUICK_IDENTITY
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from type_game import type_game

from adaps_agents import IdentityPhase, SharingA2C, SharingPolicy
from adaps_agents.identity.collect import Collector
from adaps_agents.policy import sb3_policy as stock
from adaps_agents.policy.sb3_policy import scatter_by_agent
from adaps_envs import make
from adaps_envs.adapters.sb3_index import AgentIndexed
from adaps_envs.errors import InvalidParameterError


def _model(scheme: str, env: Any = None, algorithm: Any = A2C, **options: Any) -> Any:
    policy = {"scheme": scheme, "net_arch": [16, 12], "scheme_kwargs": options}
    settings = {"n_steps": 5, "batch_size": 60} if algorithm is PPO else {}
    env = env or AgentIndexed(type_game(4))
    return algorithm(SharingPolicy, env, seed=0, policy_kwargs=policy, device="cpu", **settings)


def test_rows_of_any_order_are_valued_by_their_agents_networks() -> None:
    policy = _model("nops").policy
    rows = torch.randn(37, 3, generator=torch.Generator().manual_seed(0))
    # Agent 5 has no row, agent 0 many.
    rows[:, -1] = torch.randint(0, 5, (37,), generator=torch.Generator().manual_seed(1)) * (torch.arange(37) % 3 > 0)
    actions = torch.arange(37) % 2
    values, log_probs, entropy = policy.evaluate_actions(rows, actions)
    for index, row in enumerate(rows):
        frame = row[:-1].expand(1, 6, 2)
        agent = int(row[-1])
        torch.testing.assert_close(values[index, 0], policy.values(frame)[0, agent])
        wanted = policy.scheme.actor(frame)[0, agent].log_softmax(dim=-1)
        torch.testing.assert_close(log_probs[index], wanted[actions[index]])
        torch.testing.assert_close(entropy[index], -(wanted.exp() * wanted).sum())
    torch.testing.assert_close(policy.predict_values(rows), values)
    torch.testing.assert_close(policy(rows, deterministic=True)[1], values)


def test_the_index_rides_on_every_observation() -> None:
    env, plain = AgentIndexed(type_game(2, max_cycles=2)), type_game(2, max_cycles=2)
    obs, bare = env.reset(), plain.reset()
    assert env.observation_space.contains(obs[7])
    for _ in range(2):
        np.testing.assert_array_equal(obs, np.column_stack([bare, np.tile(np.arange(6), 2)]))
        obs, _, dones, infos = env.step(np.zeros(12, int))
        bare, _, _, ours = plain.step(np.zeros(12, int))
    assert dones.all()
    for slot, (info, other) in enumerate(zip(infos, ours, strict=True)):
        np.testing.assert_array_equal(info["terminal_observation"], [*other["terminal_observation"], slot % 6])
    assert make("BPS-1", api="sb3", num_envs=2, agent_index=True).observation_space.shape == (11,)


@pytest.mark.parametrize("wrap", [lambda env: env, VecMonitor])
def test_the_identity_phase_runs_once_and_is_charged(wrap: Any, tmp_path: Path) -> None:
    model = _model("seps", wrap(AgentIndexed(type_game(4))), identity=QUICK_IDENTITY)
    model.learn(6 * 160 + 240, callback=IdentityPhase())
    assert int(model.policy.scheme.identity_steps) == 160
    assert model.num_timesteps == 6 * 160 + 240
    groups = model.policy.scheme.assignment().tolist()
    model.learn(120, callback=IdentityPhase(), reset_num_timesteps=False)
    assert model.num_timesteps == 6 * 160 + 360
    model.save(tmp_path / "model")
    loaded = A2C.load(tmp_path / "model", env=AgentIndexed(type_game(2)))
    assert loaded.policy.scheme.assignment().tolist() == groups
    obs = model.env.reset()
    for ours, theirs in zip(*(one.policy.evaluate_actions(*_rows(obs)) for one in (model, loaded)), strict=True):
        assert torch.equal(ours, theirs)
    loaded.learn(120, callback=IdentityPhase(), reset_num_timesteps=False)


def test_the_encoder_is_not_told_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[Any] = []

    class Spy(Collector):
        def __init__(self, env: Any, *args: Any) -> None:
            played.append(env)
            super().__init__(env, *args)

    monkeypatch.setattr(stock, "Collector", Spy)
    model = _model("seps", identity=QUICK_IDENTITY)
    with pytest.raises(InvalidParameterError, match="may spend 0 environment steps"):
        model.learn(1, callback=IdentityPhase())
    model.learn(6 * 164, callback=IdentityPhase())
    assert {env.observation_space.shape for env in played} == {(2,)}
    assert model.observation_space.shape == (3,)


def _rows(obs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(obs), torch.zeros(len(obs))


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="agent_index=True"):
        _model("fups", type_game(4))
    with pytest.raises(InvalidParameterError, match="without agent_index=True"):
        SharingA2C("fups", AgentIndexed(type_game(4)))
    with pytest.raises(
        InvalidParameterError, match=r"'kaleidoscope' needs aux_loss\(\) or after_update\(\), which stock learners"
    ):
        _model("kaleidoscope")
    with pytest.raises(InvalidParameterError, match=r"'gradps' needs aux_loss\(\) or after_update\(\)"):
        _model("gradps")
    with pytest.raises(InvalidParameterError, match=r"callback=adaps_agents\.IdentityPhase"):
        _model("adaps").learn(240)
    with pytest.raises(InvalidParameterError, match="is no index of 6 agents"):
        _model("nops", VecNormalize(AgentIndexed(type_game(4)))).learn(240)
    with pytest.raises(InvalidParameterError, match="slots of teams"):
        AgentIndexed(make_vec_env("CartPole-v1", n_envs=4))
    with pytest.raises(InvalidParameterError, match="wrap once"):
        AgentIndexed(AgentIndexed(type_game(4)))
    for wrong in (6.0, -1.0, 0.5):
        with pytest.raises(InvalidParameterError, match="is no index"):
            scatter_by_agent(torch.tensor([[1.0, 0.0], [1.0, wrong]]), 6)


def test_given_groups_need_no_callback_and_normalisers_go_inside() -> None:
    env = AgentIndexed(VecNormalize(type_game(4)))
    model = _model("adaps", env, PPO, labels=[0, 0, 0, 1, 1, 1])
    model.learn(240)
    assert model.num_timesteps == 240
