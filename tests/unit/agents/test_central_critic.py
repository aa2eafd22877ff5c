"""Centralised critics: what they read, how they are counted, stored and refused, in every scheme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, scheme_kwargs
from hidden_games import luck_game
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecMonitor
from type_game import type_game

from adaps_agents import SharingA2C, SharingPolicy, SharingPPO, list_schemes
from adaps_agents.policy import rollout
from adaps_envs import make
from adaps_envs.errors import InvalidParameterError


def central(algorithm: Any, scheme: str, env: Any = None, **policy: Any) -> Any:
    """Return an untrained learner with a centralised critic."""
    kwargs = {"net_arch": [16, 12], "critic": "central", "scheme_kwargs": scheme_kwargs(scheme), **policy}
    settings = {"n_epochs": 2, "batch_size": 60} if algorithm is SharingPPO else {}
    return algorithm(
        scheme, type_game(4) if env is None else env, seed=0, n_steps=5, policy_kwargs=kwargs, device="cpu", **settings
    )


def _states(lanes: int, number: int = 1) -> torch.Tensor:
    return torch.randn(lanes, number, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_every_scheme_trains_is_stored_and_comes_back(algorithm: Any, scheme: str, tmp_path: Path) -> None:
    model = central(algorithm, scheme)
    before = fingerprint(model.policy.state_dict())
    model.learn(240)
    assert fingerprint(model.policy.state_dict()) != before
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=type_game(2))
    obs, states = torch.as_tensor(type_game(3).reset()).view(3, 6, 2), _states(3)
    assert torch.equal(model.policy.values(obs, states), loaded.policy.values(obs, states))
    assert loaded.scheme.param_report() == model.scheme.param_report()
    spent = loaded.num_timesteps
    loaded.learn(40, reset_num_timesteps=False)
    assert loaded.num_timesteps == spent + 40


def test_the_state_is_read_by_the_critic_alone() -> None:
    local, model = (central(SharingA2C, "nops", critic=kind) for kind in ("local", "central"))
    report, plain = model.scheme.param_report(), local.scheme.param_report()
    assert report["trainable_actor"] == plain["trainable_actor"]
    # Six private critics, one more input to 16 neurons.
    assert report["trainable_critic"] == plain["trainable_critic"] + 6 * 16
    assert report["flops_per_decision"] == plain["flops_per_decision"]
    obs = torch.as_tensor(type_game(3).reset()).view(3, 6, 2)
    values = [model.policy.values(obs, states) for states in (torch.zeros(3, 1), torch.ones(3, 1))]
    assert values[0].shape == (3, 6)
    assert bool((values[0] != values[1]).all())
    assert torch.equal(local.policy.values(obs), local.scheme.critic(obs))


@pytest.mark.parametrize("wrapper", [lambda env: env, VecMonitor])
def test_rollouts_hold_the_state_before_each_step(wrapper: Any) -> None:
    env = type_game(4)
    seen: list[np.ndarray[Any, Any]] = []
    step = env.batched.step
    env.batched.step = lambda actions: seen.append(env.batched.global_state()) or step(actions)  # type: ignore[method-assign, func-returns-value]
    model = central(SharingA2C, "fups", wrapper(env))
    model.learn(20)
    np.testing.assert_array_equal(model.rollout_buffer.states, np.stack(seen))
    assert 0 < np.mean(seen) < 1


def test_ends_are_valued_in_the_state_before_the_reset() -> None:
    env = luck_game(6, max_cycles=2)
    model = central(SharingA2C, "fups", env)
    model.learn(1)
    _, callback = model._setup_learn(1)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 5)
    buffer = model.rollout_buffer
    ended = {end.step: end for end in buffer._bootstrap}
    assert sorted(ended) == [step for step in range(5) if bool(buffer.dones[step].any())]
    for step, end in ended.items():
        # The coin of an episode does not change before its end.
        assert torch.equal(end.states, buffer.states[step])
        paid = buffer.states[step]
        following = model.gamma * model.policy.values(end.observations, end.states).detach()
        torch.testing.assert_close(buffer.rewards[step], paid + following)


def test_many_rows_are_valued_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def values(block: int) -> torch.Tensor:
        monkeypatch.setattr(rollout, "BLOCK", block)
        model = central(SharingA2C, "nops", luck_game(6, max_cycles=2))
        model.learn(30)
        stored: torch.Tensor = model.rollout_buffer.values
        return stored

    torch.testing.assert_close(values(2**25), values(20))


def test_a_policy_file_knows_its_critic(tmp_path: Path) -> None:
    model = central(SharingA2C, "seps")
    model.learn(200)
    model.policy.save(tmp_path / "policy")
    policy = SharingPolicy.load(tmp_path / "policy")
    obs, states = torch.as_tensor(type_game(3).reset()).view(3, 6, 2), _states(3)
    assert torch.equal(policy.values(obs, states), model.policy.values(obs, states))


def test_wrong_environments_and_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="critic is 'global'; choose one of local, central"):
        central(SharingA2C, "fups", critic="global")
    with pytest.raises(InvalidParameterError, match="critic is 'local' and state_dim is 3"):
        central(SharingA2C, "fups", critic="local", state_dim=3)
    with pytest.raises(InvalidParameterError, match="DummyVecEnv has no global state"):
        central(SharingA2C, "fups", make_vec_env("CartPole-v1", n_envs=4), num_agents=2)
    model = central(SharingA2C, "fups", make("BPS-1", api="sb3", num_envs=1))
    model.save(tmp_path / "model")
    with pytest.raises(InvalidParameterError, match="reads global states of 66 entries, the environment has 67"):
        SharingA2C.load(tmp_path / "model", env=_LargerState(make("BPS-1", api="sb3", num_envs=1)))


class _LargerState(VecMonitor):
    state_dim = 67


def test_values_need_the_state() -> None:
    policy = central(SharingA2C, "fups").policy
    obs = torch.ones(12, 2)
    for ask in (lambda: policy.predict_values(obs), lambda: policy(obs), lambda: policy.values(obs.view(2, 6, 2))):
        with pytest.raises(InvalidParameterError, match=r"policy.values\(observations \[B, N, F\], states \[B, S\]\)"):
            ask()
