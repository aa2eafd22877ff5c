"""Saving and loading, as stable-baselines3's users know it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from type_game import type_game

from adaps_agents import SharingA2C, SharingPolicy, SharingPPO, list_schemes
from adaps_envs import make
from adaps_envs.errors import InvalidParameterError


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_a_loaded_model_predicts_the_same_and_goes_on_learning(algorithm: Any, scheme: str, tmp_path: Path) -> None:
    model = small_model(algorithm, scheme)
    model.learn(240)
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=type_game(2))
    assert fingerprint(loaded.policy.state_dict()) == fingerprint(model.policy.state_dict())
    assert loaded.scheme.param_report() == model.scheme.param_report()
    obs = type_game(4).reset()
    ours, theirs = (one.predict(obs, deterministic=True)[0] for one in (model, loaded))
    np.testing.assert_array_equal(ours, theirs)
    values = [one.policy.predict_values(torch.as_tensor(obs)) for one in (model, loaded)]
    assert torch.equal(*values)
    spent, updates = loaded.num_timesteps, loaded._n_updates
    loaded.learn(40, reset_num_timesteps=False)
    assert (loaded.num_timesteps, loaded.num_lanes) == (spent + 40, 2)
    assert loaded._n_updates > updates
    assert int(loaded.scheme.identity_steps) == int(model.scheme.identity_steps)


def test_the_optimiser_travels_with_the_model(tmp_path: Path) -> None:
    model = small_model(SharingA2C, "adaps")
    model.learn(240)
    model.save(tmp_path / "model")
    loaded = SharingA2C.load(tmp_path / "model")
    ours, theirs = (one.policy.optimizer.state_dict()["state"] for one in (model, loaded))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key]["square_avg"], theirs[key]["square_avg"]) for key in ours)
    held = [id(p) for group in loaded.policy.optimizer.param_groups for p in group["params"]]
    assert held == [id(parameter) for parameter in loaded.scheme.parameters()]


@pytest.mark.parametrize("scheme", ["adaps", "seps"])
def test_a_fresh_process_predicts_the_same(scheme: str, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    env = make("BPS-1", api="sb3", num_envs=2, groups=(2, 1))
    identity = {"env_steps": 100, "num_groups": 2, "encoder": {"updates": 5}}
    model = SharingA2C(scheme, env, seed=0, policy_kwargs={"scheme_kwargs": {"identity": identity}})
    model.learn(200)
    model.save(tmp_path / "model")
    obs = env.reset()
    np.savez(tmp_path / "expected", obs=obs, actions=model.predict(obs, deterministic=True)[0])
    code = (
        "import sys, numpy as np; from adaps_agents import SharingA2C; folder = sys.argv[1]\n"
        "data = np.load(folder + '/expected.npz'); model = SharingA2C.load(folder + '/model')\n"
        "assert (model.predict(data['obs'], deterministic=True)[0] == data['actions']).all()\n"
        "assert len(set(model.scheme.assignment().tolist())) == 2"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=clean_environment)


def test_a_policy_is_a_file_of_its_own(tmp_path: Path) -> None:
    model = small_model(SharingPPO, "adaps")
    model.learn(200)
    model.policy.save(tmp_path / "policy")
    policy = SharingPolicy.load(tmp_path / "policy")
    obs = type_game(3).reset().reshape(3, 6, 2)
    np.testing.assert_array_equal(policy.act(obs, deterministic=True), model.policy.act(obs, deterministic=True))
    assert fingerprint(policy.state_dict()) == fingerprint(model.policy.state_dict())


@pytest.mark.parametrize("groups", [(3,), (4, 4)])
def test_another_team_is_refused(groups: tuple[int, ...], tmp_path: Path) -> None:
    model = small_model(SharingA2C, "fups")
    model.save(tmp_path / "model")
    with pytest.raises(InvalidParameterError, match="num_agents is 6"):
        SharingA2C.load(tmp_path / "model", env=type_game(6, groups=groups))
    with pytest.raises(InvalidParameterError, match="num_agents is 6"):
        model.set_env(type_game(6, groups=groups))


def test_another_task_is_refused(tmp_path: Path) -> None:
    small_model(SharingA2C, "fups").save(tmp_path / "model")
    with pytest.raises(ValueError, match="Observation spaces do not match"):
        SharingA2C.load(tmp_path / "model", env=make("BPS-1", api="sb3", num_envs=1, groups=(4, 2)))


@pytest.mark.parametrize(
    ("origin", "target"), [("nops", "fups"), ("oracle", "nops"), ("snp_ps", "fups"), ("fups", "adaps")]
)
def test_weights_of_another_scheme_are_refused(origin: str, target: str) -> None:
    state = small_model(SharingA2C, origin).policy.state_dict()
    with pytest.raises(RuntimeError, match="loading state_dict"):
        small_model(SharingA2C, target).policy.load_state_dict(state)
