"""Weights as safetensors: the round trip of every scheme, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, scheme_kwargs, small_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO, list_schemes
from adaps_agents.export.weights import METADATA_KEY
from adaps_envs import make
from adaps_envs.errors import InvalidWeightsError


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_a_round_trip_keeps_every_bit(algorithm: Any, scheme: str, tmp_path: Path) -> None:
    model = small_model(algorithm, scheme)
    model.learn(240)
    model.save_weights(tmp_path / "policy")
    other = small_model(algorithm, scheme, seed=1)
    other.load_weights(tmp_path / "policy.safetensors")
    assert fingerprint(other.policy.state_dict()) == fingerprint(model.policy.state_dict())
    assert other.scheme.param_report() == model.scheme.param_report()
    obs = torch.as_tensor(type_game(4).reset())
    assert torch.equal(model.policy.predict_values(obs), other.policy.predict_values(obs))
    other.save_weights(tmp_path / "again")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "policy.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.safetensors", "policy.safetensors"]


@pytest.mark.parametrize("scheme", ["adaps", "seps"])
def test_loaded_groups_are_not_found_anew(scheme: str, tmp_path: Path) -> None:
    model = small_model(SharingA2C, scheme)
    model.learn(240)
    model.save_weights(tmp_path / "policy")
    other = small_model(SharingA2C, scheme, seed=1)
    other.load_weights(tmp_path / "policy")
    held = [id(p) for group in other.policy.optimizer.param_groups for p in group["params"]]
    assert held == [id(parameter) for parameter in other.scheme.parameters()]
    other.learn(40)
    assert other.num_timesteps == 40
    assert other.scheme.labels.tolist() == model.scheme.labels.tolist()


@pytest.mark.parametrize("scheme", ["adaps", "kaleidoscope", "nops"])
def test_a_fresh_process_plays_the_same(scheme: str, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    env = make("BPS-1", api="sb3", num_envs=2, groups=(2, 1))
    identity = {"env_steps": 100, "num_groups": 2, "encoder": {"updates": 5}}
    options = {"scheme_kwargs": {"identity": identity}} if scheme == "adaps" else {}
    model = SharingA2C(scheme, env, seed=0, policy_kwargs=options)
    model.learn(200)
    model.save_weights(tmp_path / "policy")
    obs = env.reset().reshape(2, 3, -1)
    np.savez(tmp_path / "expected", obs=obs, actions=model.policy.act(obs, deterministic=True))
    code = (
        "import sys, numpy as np, adaps_envs; from adaps_agents import SharingPPO; folder, scheme = sys.argv[1:]\n"
        "env = adaps_envs.make('BPS-1', api='sb3', num_envs=1, groups=(2, 1))\n"
        "model = SharingPPO(scheme, env); model.load_weights(folder + '/policy')\n"
        "data = np.load(folder + '/expected.npz')\n"
        "assert (model.policy.act(data['obs'], deterministic=True) == data['actions']).all()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), scheme], check=True, env=clean_environment)


def _target(name: str) -> Any:
    """A learner that the file of ``adaps`` on the game of hidden types does not fit."""
    if name == "other scheme":
        return small_model(SharingA2C, "snp_ps")
    if name == "other team":
        return small_model(SharingA2C, "adaps", type_game(2, groups=(2, 2)))
    if name == "other parameters":
        return small_model(SharingA2C, "adaps", type_game(2, max_cycles=20))
    if name in ("other environment", "other entries"):
        env = make("LBF-8x8-2p-3f" if name == "other entries" else "BPS-1", api="sb3", num_envs=1)
        return small_model(SharingA2C, "adaps", env)
    options = scheme_kwargs("adaps")
    policy: dict[str, Any] = {"net_arch": [16, 12], "scheme_kwargs": options}
    if name == "other widths":
        policy["net_arch"] = [12, 16]
    if name == "other activation":
        policy["activation_fn"] = torch.nn.Tanh
    if name == "other options":
        policy["scheme_kwargs"] = {**options, "rescale": "inverse"}
    return SharingA2C("adaps", type_game(2), n_steps=5, seed=0, device="cpu", policy_kwargs=policy)


@pytest.fixture(scope="module")
def adaps_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a trained ``adaps`` on the game of hidden types."""
    path = tmp_path_factory.mktemp("weights") / "adaps.safetensors"
    model = small_model(SharingA2C, "adaps")
    model.learn(200)
    model.save_weights(path)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other scheme", r"is for scheme 'adaps', the policy runs 'snp_ps'"),
        ("other team", r"is for 6 agents, the policy has 4"),
        ("other environment", r"is for 6 agents, the policy has 15"),
        ("other parameters", r"is for another TypeGame-v0: max_cycles is 10, not 20\. Pass other_environment=True"),
        ("other widths", r"has other networks: net_arch is \[16, 12\], not \[12, 16\]"),
        ("other activation", r"has other networks: activation_fn is 'torch.*ReLU', not 'torch.*Tanh'"),
        ("other options", r"is for 'adaps' with other options: rescale is 'none', not 'inverse'"),
    ],
)
def test_a_file_for_something_else_is_refused(name: str, message: str, adaps_file: Path) -> None:
    model = _target(name)
    before = fingerprint(model.policy.state_dict())
    with pytest.raises(InvalidWeightsError, match=message):
        model.load_weights(adaps_file)
    assert fingerprint(model.policy.state_dict()) == before


def test_an_environment_of_another_name_is_refused_unless_meant(adaps_file: Path) -> None:
    model = _target("other parameters")
    model.load_weights(adaps_file, other_environment=True)
    env = type_game(2)
    env.batched.spec_id = "OtherGame-v0"
    other = small_model(SharingA2C, "adaps", env)
    with pytest.raises(InvalidWeightsError, match=r"is for 'TypeGame-v0', not 'OtherGame-v0'\. Pass other_env"):
        other.load_weights(adaps_file)
    other.load_weights(adaps_file, other_environment=True)
    assert fingerprint(other.policy.state_dict()) == fingerprint(model.policy.state_dict())


def test_options_are_compared_with_their_defaults_filled_in(tmp_path: Path) -> None:
    spelt = {"net_arch": [8], "scheme_kwargs": {"keep": 0.5, "labels": np.array([0, 0, 0, 1, 1, 1])}}
    model = SharingA2C("adaps", type_game(2), seed=0, policy_kwargs=spelt)
    model.save_weights(tmp_path / "policy")
    other = SharingA2C("adaps", type_game(2), seed=0, policy_kwargs={"net_arch": [8]})
    other.load_weights(tmp_path / "policy")
    assert other.scheme.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_weights_of_the_oracle_of_another_roster_are_refused(tmp_path: Path) -> None:
    small_model(SharingA2C, "oracle").save_weights(tmp_path / "policy")
    model = small_model(SharingA2C, "oracle", type_game(2, groups=(3, 3)))
    with pytest.raises(InvalidWeightsError, match="oracle has the groups"):
        model.load_weights(tmp_path / "policy", other_environment=True)


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def _edited(path: Path, target: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    header = json.loads(_metadata(path)[METADATA_KEY])
    edit(header)
    save_file(load_file(path), target, {METADATA_KEY: json.dumps(header)})
    return target


def _damaged(name: str, good: Path, folder: Path) -> Path:
    path, data = folder / "bad.safetensors", good.read_bytes()
    if name == "directory":
        path.mkdir()
    elif name == "no header":
        save_file(load_file(good), path)
    elif name == "header no JSON":
        save_file(load_file(good), path, {METADATA_KEY: "{"})
    elif name == "a tensor less":
        tensors = load_file(good)
        del tensors["scheme.actor_net.biases.0"]
        save_file(tensors, path, _metadata(good))
    elif name == "future":
        _edited(good, path, lambda header: header.update(format=2, library="9.0"))
    elif name == "missing key":
        _edited(good, path, lambda header: header.pop("scheme"))
    elif name == "wrong type":
        _edited(good, path, lambda header: header.update(scheme_options=[1]))
    elif name == "unknown option":
        _edited(good, path, lambda header: header["scheme_options"].update(sesame=1))
    else:
        path.write_bytes({"truncated": data[:-7], "cut header": data[:30], "empty": b"", "zip": b"PK\3\4" * 90}[name])
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated", "not a whole safetensors file"),
        ("cut header", "not a whole safetensors file"),
        ("empty", "not a whole safetensors file"),
        ("zip", "not a whole safetensors file"),
        ("directory", "is a directory"),
        ("no header", "does not say for which scheme it is"),
        ("header no JSON", "has a header that cannot be read"),
        ("missing key", "header that cannot be read .*scheme"),
        ("wrong type", "header that cannot be read .*scheme_options"),
        ("future", "format 2, written by version 9.0 of this library; this one reads format 1"),
        ("unknown option", "options that 'adaps' does not take: .*sesame"),
        ("a tensor less", "does not fit the policy: .*Missing key"),
    ],
)
def test_a_damaged_file_is_refused(name: str, message: str, adaps_file: Path, tmp_path: Path) -> None:
    model = small_model(SharingA2C, "adaps", seed=2)
    before = fingerprint(model.policy.state_dict())
    with pytest.raises(InvalidWeightsError, match=message):
        model.load_weights(_damaged(name, adaps_file, tmp_path))
    assert fingerprint(model.policy.state_dict()) == before


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        small_model(SharingA2C, "fups").load_weights(tmp_path / "none")


def test_both_learners_read_each_others_files(tmp_path: Path) -> None:
    model = small_model(SharingPPO, "snp_ps")
    model.save_weights(tmp_path / "new" / "folder" / "policy.safetensors")
    other = small_model(SharingA2C, "snp_ps", seed=4)
    other.load_weights(tmp_path / "new" / "folder" / "policy.safetensors")
    assert fingerprint(other.policy.state_dict()) == fingerprint(model.policy.state_dict())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(SharingA2C, "fups")
    model.save_weights(tmp_path / "policy")
    before = (tmp_path / "policy.safetensors").read_bytes()

    def refuse(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="No space left"):
        small_model(SharingA2C, "fups", seed=9).save_weights(tmp_path / "policy")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["policy.safetensors"]
    assert (tmp_path / "policy.safetensors").read_bytes() == before
