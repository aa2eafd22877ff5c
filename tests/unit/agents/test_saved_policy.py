"""Opening saved policies: every scheme plays as before, from every kind of file, and what does not fit is refused."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import small_model
from safetensors.torch import load_file, save_file
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO, list_schemes
from adaps_agents.export import load_policy, saved_header
from adaps_agents.export.weights import METADATA_KEY
from adaps_envs import make, make_batched
from adaps_envs.errors import InvalidParameterError, InvalidWeightsError, UnknownNameError


def _actions(policy: Any) -> Any:
    obs = type_game(3).reset().reshape(3, 6, -1)
    return policy.act(obs, deterministic=True, memory=policy.new_memory(3))


@pytest.mark.parametrize("scheme", list_schemes())
def test_every_scheme_plays_as_it_was_saved(scheme: str, tmp_path: Path) -> None:
    model = small_model(SharingA2C, scheme)
    model.learn(240)
    model.save(tmp_path / "model")
    model.save_weights(tmp_path / "policy.safetensors")
    for path in (tmp_path / "model.zip", tmp_path / "policy.safetensors", tmp_path):
        opened = load_policy(path, type_game(1))
        assert np.array_equal(_actions(opened), _actions(model.policy)), path.name
        assert opened.scheme_name == scheme


@pytest.mark.parametrize(
    "options",
    [
        {"recurrent": "gru"},
        {"critic": "central"},
        {"activation_fn": torch.nn.Tanh},
        {"net_arch": []},
    ],
)
def test_every_kind_of_network_comes_back(options: dict[str, Any], tmp_path: Path) -> None:
    model = SharingPPO("fups", type_game(2), seed=0, n_steps=2, batch_size=24, policy_kwargs=options)
    model.save(tmp_path / "model.zip")
    opened = load_policy(tmp_path / "model.zip", type_game(1).batched)
    assert np.array_equal(_actions(opened), _actions(model.policy))


def test_save_still_loads_as_stable_baselines3_has_it(tmp_path: Path) -> None:
    model = small_model(SharingA2C, "fups")
    stream = io.BytesIO()
    model.save(stream)
    model.save(tmp_path / "new folder" / "model")
    for source in (io.BytesIO(stream.getvalue()), tmp_path / "new folder" / "model.zip"):
        assert np.array_equal(_actions(SharingA2C.load(source, type_game(2)).policy), _actions(model.policy))


def test_the_header_tells_the_environment(tmp_path: Path) -> None:
    env = make("BPS-1", api="sb3", num_envs=1, groups=[2, 1], max_cycles=7)
    SharingA2C("nops", env, seed=0).save(tmp_path / "m.zip")
    header = saved_header(tmp_path / "m.zip")
    assert (header.environment, header.scheme) == ("BPS-1-v0", "nops")
    again = make_batched("BPS-1", 1, **header.environment_params)
    assert again.params == env.batched.params
    assert load_policy(tmp_path / "m.zip", make("BPS-1", groups=[2, 1])).num_agents == 3


class _Bomb:
    def __reduce__(self) -> Any:
        return pytest.fail, ("something was unpickled",)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    model = small_model(SharingA2C, "fups")
    model.save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    bomb = pickle.dumps(_Bomb())
    with zipfile.ZipFile(tmp_path / "trap.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content if name == "policy.safetensors" else bomb)
    assert np.array_equal(_actions(load_policy(tmp_path / "trap.zip", type_game(1))), _actions(model.policy))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "fups.safetensors"
    small_model(SharingA2C, "fups").save_weights(path)
    return path


def test_what_does_not_fit_is_refused(file: Path) -> None:
    with pytest.raises(
        InvalidWeightsError, match=r"is for 6 agents, TypeGame-v0 here has 4; it was trained in TypeGame"
    ):
        load_policy(file, type_game(1, groups=(2, 2)))
    with pytest.raises(InvalidWeightsError, match="was trained in TypeGame-v0, which is no bps; play it there"):
        load_policy(file, make("BPS-1"))
    with pytest.raises(InvalidParameterError, match="is not an environment of adaps_envs"):
        load_policy(file, object())


def _changed(file: Path, tmp_path: Path, **header: Any) -> Path:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        said = json.loads(opened.metadata()[METADATA_KEY])
    said.update(header)
    save_file(load_file(file), tmp_path / "changed.safetensors", {METADATA_KEY: json.dumps(said)})
    return tmp_path / "changed.safetensors"


@pytest.mark.parametrize(
    "network",
    [
        {"net_arch": [1 << 40]},
        {"net_arch": "wide"},
        {"net_arch": [-3]},
        {"net_arch": [16, 12], "state_dim": 1 << 40},
        {"net_arch": [8]},
        {"net_arch": [16, 12], "activation_fn": "os.system"},
        {"net_arch": [16, 12], "activation_fn": "torch.nn.modules.activation.functional"},
        {"net_arch": [16, 12], "critic": "none"},
        {"net_arch": [16, 12], "recurrent": 3},
    ],
)
def test_headers_that_lie_are_refused(file: Path, tmp_path: Path, network: dict[str, Any]) -> None:
    with pytest.raises(InvalidWeightsError):
        load_policy(_changed(file, tmp_path, network=network), type_game(1))


def test_damage_and_absence(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="fuups"):
        load_policy(_changed(file, tmp_path, scheme="fuups"), type_game(1))
    with pytest.raises(FileNotFoundError):
        load_policy(tmp_path / "none.zip", type_game(1))
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InvalidWeightsError, match=r"is not a whole \.zip"):
        load_policy(tmp_path / "cut.zip", type_game(1))
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(InvalidWeightsError, match=r"holds no policy\.safetensors"):
        load_policy(tmp_path / "old.zip", type_game(1))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidWeightsError, match=r"holds neither policy\.safetensors nor model\.zip"):
        load_policy(tmp_path / "empty", type_game(1))
