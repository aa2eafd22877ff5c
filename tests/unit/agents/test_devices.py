"""Learners on another device than the CPU, held without a GPU: nothing mixes devices, and every bit is the CPU's."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, IDENTIFIED, QUICK_IDENTITY, small_model
from pretend_device import AWAY, away
from stable_baselines3 import A2C, PPO
from torch import Tensor
from type_game import type_game

from adaps_agents import IdentityPhase, SharingA2C, SharingPolicy, list_schemes
from adaps_agents.export import TeamPolicy
from adaps_agents.learners.on_policy import SharingOnPolicy
from adaps_agents.learners.resume import capture_training, restore_training
from adaps_agents.networks.grouped_mlp import AgentGroups
from adaps_agents.schemes import SharingScheme
from adaps_envs.adapters.sb3_index import AgentIndexed

Case = tuple[str, dict[str, Any]]

# Two groups of unequal size, out of order.
MIXED = [0, 1, 0, 0, 1, 0]
DISTANCE = {"epochs": 1, "batch_size": 512}
# Options by which a scheme's structure changes within a few updates, and other ways to run one.
CASES: list[Case] = [
    ("adaps", {}),
    ("seps", {"labels": MIXED}),
    ("oracle", {"types": MIXED}),
    ("gradps", {"groups": 2, "interval": 2, "period": 2, "threshold": 0.9, "restore": 0.5}),
    ("madps", {"period": 4, "window": 2, "distance": DISTANCE, "eps0": 0, "eps1": 0, "eps2": 0}),
    ("kaleidoscope", {"reset_interval": 40, "reset_probability": 0.5, "offset": -3.0}),
]
CASES += [(name, {}) for name in list_schemes() if name not in dict(CASES)]
VARIANTS: list[Case] = [
    ("adaps", {"labels": MIXED, "execution": "dense"}),
    ("adaps", {"labels": MIXED, "codes": "sparse", "binarisation": "bernoulli"}),
    ("adaps", {"labels": MIXED, "binarisation": "soft", "masked": "actor"}),
    ("adaps", {"labels": MIXED, "units": "both", "rescale": "inverse"}),
    ("adaps", {"labels": "random", "masked": "same"}),
    ("adaps", {"labels": "each"}),
    ("seps", {}),
    ("madps", {"period": 4, "window": 2, "distance": DISTANCE, "start": "private", "eps1": 50.0, "eps2": 100.0}),
    ("hypermarl_linear", {"bias": True}),
    ("lorasa", {"bias": True, "full_rank": True}),
    ("dico", {"critic": "shared"}),
]


def _arrays(tensors: Any) -> dict[str, Any]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def _story(
    algorithm: Any, case: Case, device: torch.device, folder: Path, **policy_options: Any
) -> tuple[SharingOnPolicy, dict[str, Any]]:
    """Train, look at, store and load a learner on a device; return it, and all numbers that came out."""
    scheme, options = case
    settings: dict[str, Any] = {"scheme_options": options, "policy_options": policy_options, "device": device}
    model = small_model(algorithm, scheme, type_game(4, max_cycles=7), **settings)
    assert {parameter.device for parameter in model.policy.parameters()} == {device}
    model.learn(220)
    told: dict[str, Any] = _arrays(model.policy.state_dict())
    told["map"] = model.sharing_map().as_json()
    # Bytes differ: modules that share a buffer on the CPU get a copy each when they move.
    told["diagnosis"] = {
        name: value for name, value in model.diagnose(types=MIXED).as_json().items() if name != "memory"
    }
    told["conflict"] = model.gradient_conflict(rows=8)
    told["summary"], told["counts"] = model.scheme.sharing_summary(), model.scheme.param_report()
    obs = type_game(3).reset()
    told["actions"], state = model.predict(obs, episode_start=np.ones(18, bool))
    told["next"], _ = model.predict(obs, state, deterministic=True)
    memory = model.policy.new_memory(3)
    memory.forget(np.array([True, False, True]))
    told["act"] = model.policy.act(obs.reshape(3, 6, 2), memory=memory, agents=np.array([0, 4]))
    told["again"] = model.policy.act(obs.reshape(3, 6, 2), memory=memory)
    team = TeamPolicy(model)
    told["team"] = [team.act({"agent_1": obs[0], "agent_3": obs[1]}), team["agent_0"].act(obs[0])]

    model.save_weights(folder / "weights")
    model.load_weights(folder / "weights")
    model.policy.load_state_dict(copy.copy(model.policy.state_dict()))
    model.save(folder / "model")
    loaded = algorithm.load(folder / "model", env=type_game(4, max_cycles=7), device=device)
    resumed = small_model(algorithm, scheme, type_game(4, max_cycles=7), **settings)
    restore_training(resumed, capture_training(model))
    loaded.learn(40, reset_num_timesteps=False)
    resumed.learn(40, reset_num_timesteps=False)
    told |= {f"loaded {name}": array for name, array in _arrays(loaded.policy.state_dict()).items()}
    told |= {f"resumed {name}": array for name, array in _arrays(resumed.policy.state_dict()).items()}
    assert {tensor.device for tensor in (*model.scheme.parameters(), *model.scheme.buffers())} == {device}
    return model, told


def _has_changed(scheme: Any) -> bool:
    """Whether a scheme of which this is asked has changed its structure during training."""
    if scheme.name == "gradps":
        return bool(scheme.actor_net.is_split().any())
    if scheme.name == "madps":
        starts = {"private": range(6), "private_deep": [0] * 6}
        return scheme.shallow.tolist() != list(starts[scheme.start])
    if scheme.name == "kaleidoscope":
        return bool(scheme.resets > 0) and not all(bool(mask.all()) for mask in scheme.actor_net.used_weights())
    if scheme.name == "lorasa":
        return bool(scheme.adapting)
    return not scheme.needs_identity_phase or bool(scheme.identity_steps > 0)


def _check(algorithm: Any, case: Case, folder: Path, **policy_options: Any) -> None:
    _, here = _story(algorithm, case, torch.device("cpu"), folder, **policy_options)
    with away() as device:
        model, there = _story(algorithm, case, device, folder, **policy_options)
        assert _has_changed(model.scheme)
    assert here.keys() == there.keys()
    for name, wanted in here.items():
        np.testing.assert_equal(there[name], wanted, err_msg=name)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[name for name, _ in CASES])
def test_every_scheme_is_the_same_on_another_device(number: int, tmp_path: Path) -> None:
    critic, recurrent = ("local", "central")[number % 2], ("none", "gru", "gru_actor")[number % 3]
    _check(ALGORITHMS[number // 2 % 2], CASES[number], tmp_path, critic=critic, recurrent=recurrent)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", ["none", "gru", "gru_actor"])
@pytest.mark.parametrize("critic", ["local", "central"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", [*CASES, *VARIANTS], ids=lambda case: f"{case[0]}-{len(str(case[1]))}")
def test_in_every_combination(case: Case, algorithm: Any, critic: str, recurrent: str, tmp_path: Path) -> None:
    _check(algorithm, case, tmp_path, critic=critic, recurrent=recurrent)


@pytest.mark.parametrize("algorithm", [A2C, PPO])
def test_under_a_stock_learner(algorithm: Any) -> None:
    def trained(device: torch.device) -> dict[str, Any]:
        policy = {"scheme": "adaps", "net_arch": [16, 12], "scheme_kwargs": {"identity": QUICK_IDENTITY}}
        settings = {"n_steps": 5, "batch_size": 60} if algorithm is PPO else {}
        env = AgentIndexed(type_game(4))
        model = algorithm(SharingPolicy, env, seed=0, policy_kwargs=policy, device=device, **settings)
        # Stock PPO shuffles by a global generator.
        np.random.seed(0)  # noqa: NPY002
        model.learn(1200, callback=IdentityPhase())
        return {**_arrays(model.policy.state_dict()), "actions": model.predict(env.reset())[0]}

    here = trained(torch.device("cpu"))
    with away() as device:
        there = trained(device)
    for name, wanted in here.items():
        np.testing.assert_equal(there[name], wanted, err_msg=name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_learners_stay_on_the_cpu_unless_asked(algorithm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    kwargs = {"policy_kwargs": {"net_arch": [4]}, "n_steps": 5}
    model = algorithm("fups", type_game(4), **kwargs)
    assert model.device == torch.device("cpu")
    model.save(tmp_path / "model")
    assert algorithm.load(tmp_path / "model").device == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert algorithm("fups", type_game(4), device="auto", **kwargs).device == torch.device("cpu")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_gpu_that_is_not_there_is_named(algorithm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="device is 'cuda', but .* runs on the CPU"):
        model = algorithm("fups", type_game(4), device="cuda", policy_kwargs={"net_arch": [8, 8]})
    model.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="device is 'cuda:1', but .* runs on the CPU"):
        algorithm.load(tmp_path / "model", device="cuda:1")


def test_agents_are_dealt_to_networks_on_their_own_device() -> None:
    labels = torch.tensor(MIXED)
    with away() as device:
        groups = AgentGroups(labels.to(device))
        assert groups.number == 2
        assert {buffer.device for buffer in groups.buffers()} == {device}


@pytest.mark.parametrize("recurrent", ["none", "gru"])
@pytest.mark.parametrize("scheme", IDENTIFIED)
def test_new_groups_are_the_same_on_another_device(scheme: str, recurrent: str) -> None:
    def regrouped(device: torch.device) -> dict[str, Any]:
        options = {"recurrent": recurrent, "critic": "central"}
        policy = small_model(SharingA2C, scheme, policy_options=options, device=device).policy
        for labels in (MIXED, range(6), [0] * 6, MIXED):
            policy.scheme.regroup(np.array(labels))
            assert {tensor.device for tensor in (*policy.parameters(), *policy.buffers())} == {device}
        acted = policy.scheme.actor(torch.linspace(0, 1, 36).view(3, 6, 2).to(device))
        return {**_arrays(policy.state_dict()), **_arrays({"acted": acted})}

    here = regrouped(torch.device("cpu"))
    with away() as device:
        there = regrouped(device)
    np.testing.assert_equal(there, here)


class _Planted(SharingScheme):
    """Full sharing with a fault."""

    name, summary, source, parameter_formula = "planted", "planted faults", "this test", "P"
    acts_in_training = True
    fault: str

    def make_networks(self) -> None:
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)

    def aux_loss(self) -> Tensor:
        heads = self.actor_net.biases[-1]
        if self.fault == "mixed":
            return (heads * torch.ones(heads.shape)).sum()
        if self.fault == "index":
            return torch.arange(1)[self.labels].sum() + heads.sum()
        if self.fault == "generator":
            return torch.rand(1, generator=torch.Generator(), device=heads.device).sum() * heads.sum()
        if self.fault == "numpy":
            return heads.sum() * float(self.labels.numpy()[0])
        # CUDA takes a CPU scalar with a tensor, and CPU indices.
        return (heads[torch.zeros(1, dtype=torch.int64)] * torch.tensor(0.5)).sum()


@pytest.mark.parametrize("fault", ["none", "mixed", "index", "generator", "numpy"])
def test_what_a_gpu_would_refuse_is_refused(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Planted, "fault", fault, raising=False)
    monkeypatch.setattr("adaps_agents.policy.policy.make_scheme", lambda name, **options: _Planted())
    small_model(SharingA2C, "fups").learn(20)
    with away() as device:
        model = small_model(SharingA2C, "fups", device=device)
        if fault == "none":
            model.learn(20)
        else:
            with pytest.raises(RuntimeError, match=r"two devices|CPU generator|numpy"):
                model.learn(20)


def test_the_pretended_device_is_strict() -> None:
    with away():
        there, here = torch.arange(4.0, device=AWAY), torch.arange(4.0)
        for faulty in (
            lambda: here + there, lambda: torch.cat([here, there]), lambda: here[there.long()],
            lambda: torch.equal(here, there), lambda: torch.stack([torch.tensor(1.0), there[0]]),
            lambda: torch.tensor(1.0).add_(there[0]), lambda: there.uniform_(generator=torch.Generator()),
            lambda: np.asarray(there), lambda: there.index_select(0, here.long()),
        ):  # fmt: skip
            with pytest.raises((RuntimeError, TypeError)):
                faulty()
        assert (there + torch.tensor(1.0)).tolist() == [1, 2, 3, 4]
        assert here.copy_(there * 2).tolist() == [0, 2, 4, 6]
        assert not isinstance(there.cpu(), type(there))
