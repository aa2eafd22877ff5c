"""Weights that came from elsewhere are trained on: the identity phase neither replaces them nor charges them twice."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from agents_common import ALGORITHMS, IDENTIFIED, QUICK_IDENTITY, fingerprint, small_model
from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import BaseCallback
from type_game import type_game

from adaps_agents import IdentityPhase, SharingA2C, SharingPolicy, SharingScheme
from adaps_envs.adapters.sb3_index import AgentIndexed

LABELS = [0, 1, 2, 2, 1, 0]


class _AtTheStart(BaseCallback):
    """Notes the weights and the step count with which training begins."""

    def _on_training_start(self) -> None:
        policy: Any = self.model.policy
        self.weights, self.steps = fingerprint(policy.state_dict()), self.num_timesteps
        held = {id(p) for group in policy.optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in policy.scheme.parameters() if p.requires_grad}

    def _on_step(self) -> bool:
        return True


def _set_parameters(source: Any, target: Any, folder: Path) -> None:
    target.set_parameters(source.get_parameters())


def _optimiser_first(source: Any, target: Any, folder: Path) -> None:
    parameters = source.get_parameters()
    target.set_parameters({name: parameters[name] for name in ("policy.optimizer", "policy")})


def _policy_alone(source: Any, target: Any, folder: Path) -> None:
    target.set_parameters({"policy": source.policy.state_dict()}, exact_match=False)


def _file(source: Any, target: Any, folder: Path) -> None:
    source.save(folder / "model")
    target.set_parameters(str(folder / "model"))


def _policy_state(source: Any, target: Any, folder: Path) -> None:
    target.policy.load_state_dict(source.policy.state_dict())


def _scheme_state(source: Any, target: Any, folder: Path) -> None:
    target.scheme.load_state_dict(source.scheme.state_dict())


def _weights_file(source: Any, target: Any, folder: Path) -> None:
    source.save_weights(folder / "weights")
    target.load_weights(folder / "weights")


WAYS = (_set_parameters, _optimiser_first, _policy_alone, _file, _policy_state, _scheme_state, _weights_file)


def _learnt(model: Any, steps: int = 40, **options: Any) -> _AtTheStart:
    noted = _AtTheStart()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(steps, callback=noted, **options)
    return noted


@pytest.mark.parametrize("scheme", IDENTIFIED)
@pytest.mark.parametrize("way", WAYS)
def test_loaded_weights_are_trained_on(way: Any, scheme: str, tmp_path: Path) -> None:
    source, target = small_model(SharingA2C, scheme), small_model(SharingA2C, scheme, seed=7)
    source.learn(240)
    way(source, target, tmp_path)
    wanted = fingerprint(source.policy.state_dict())
    noted = _learnt(target)
    assert (noted.weights, noted.steps, target.num_timesteps) == (wanted, 0, 40)
    assert fingerprint(target.policy.state_dict()) != wanted
    assert int(target.scheme.identity_steps) == int(source.scheme.identity_steps) == 160
    kept = fingerprint(target.policy.state_dict())
    noted = _learnt(target, reset_num_timesteps=False)
    assert (noted.weights, noted.steps, target.num_timesteps) == (kept, 40, 80)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", [name for name in IDENTIFIED if name != "adaps_gates"])  # it plays for given groups
def test_weights_with_given_groups_bring_their_groups(algorithm: Any, scheme: str) -> None:
    """No identity step was spent on them, and yet there is nothing left to find."""
    source = small_model(algorithm, scheme, scheme_options={"labels": LABELS})
    target = small_model(algorithm, scheme, seed=7)
    source.learn(40)
    target.set_parameters(source.get_parameters())
    noted = _learnt(target)
    assert (noted.weights, noted.steps) == (fingerprint(source.policy.state_dict()), 0)
    assert target.scheme.labels.tolist() == source.scheme.labels.tolist()
    assert int(target.scheme.identity_steps) == 0


def test_weights_for_other_groups_regroup_a_model_that_has_some() -> None:
    source = small_model(SharingA2C, "seps", scheme_options={"labels": LABELS})
    target = small_model(SharingA2C, "seps", scheme_options={"labels": [0, 0, 0, 0, 0, 1]})
    target.learn(40)
    target.set_parameters(source.get_parameters())
    assert _learnt(target).weights == fingerprint(source.policy.state_dict())
    assert target.scheme.assignment().tolist() == LABELS


def test_groups_made_by_hand_are_kept() -> None:
    model = small_model(SharingA2C, "seps")
    model.scheme.regroup(torch.tensor(LABELS))
    wanted = fingerprint(model.policy.state_dict())
    assert _learnt(model).weights == wanted


def test_a_loaded_optimiser_goes_on() -> None:
    source, target = small_model(SharingA2C, "seps"), small_model(SharingA2C, "seps", seed=7)
    source.learn(240)
    target.set_parameters(source.get_parameters())
    stored = source.policy.optimizer.state_dict()["state"]
    held = target.policy.optimizer.state_dict()["state"]
    assert stored.keys() == held.keys() != set()
    assert all(torch.equal(stored[key]["square_avg"], held[key]["square_avg"]) for key in stored)
    before = target.policy.optimizer
    _learnt(target)
    assert target.policy.optimizer is before


def test_a_model_loaded_into_another_environment_goes_on(tmp_path: Path) -> None:
    source = small_model(SharingA2C, "adaps")
    source.learn(240)
    source.save(tmp_path / "model")
    for reset in (True, False):
        loaded = SharingA2C.load(tmp_path / "model", env=type_game(2))
        loaded.set_env(type_game(2))
        noted = _learnt(loaded, reset_num_timesteps=reset)
        assert (noted.weights, noted.steps) == (fingerprint(source.policy.state_dict()), 0 if reset else 240)


def test_a_model_saved_before_its_identity_phase_still_has_it_to_come(tmp_path: Path) -> None:
    two = {"identity": {**QUICK_IDENTITY, "num_groups": 2}}
    model = small_model(SharingA2C, "seps", scheme_options=two)
    model.save(tmp_path / "model")
    noted = _learnt(SharingA2C.load(tmp_path / "model", env=type_game(4)), 200)
    assert noted.steps == 160
    twin = small_model(SharingA2C, "seps", scheme_options=two)
    twin.set_parameters(model.get_parameters())
    assert _learnt(twin, 200).steps == 160


def test_the_identity_phase_says_which_weights_it_replaces() -> None:
    source, target = small_model(SharingA2C, "adaps"), small_model(SharingA2C, "adaps", seed=7)
    target.set_parameters(source.get_parameters())
    with pytest.warns(UserWarning, match=r"has not run for the weights that this policy holds, and replaces them"):
        target.learn(200)
    assert int(target.scheme.identity_steps) == 160


def test_files_from_before_the_flag_are_read() -> None:
    source, target = small_model(SharingA2C, "seps"), small_model(SharingA2C, "seps", seed=7)
    source.learn(240)
    state = source.policy.state_dict()
    del state["scheme.prepared"]
    target.policy.load_state_dict(state)
    assert target.policy.prepared()
    assert _learnt(target).weights == fingerprint(source.policy.state_dict())


def test_stock_learners_keep_loaded_weights() -> None:
    def model(seed: int) -> Any:
        policy = {"scheme": "seps", "net_arch": [16], "seed": seed, "scheme_kwargs": {"identity": {"env_steps": 160}}}
        return A2C(SharingPolicy, AgentIndexed(type_game(4)), device="cpu", policy_kwargs=policy)

    source, target = model(0), model(7)
    source.learn(6 * 160 + 240, callback=IdentityPhase())
    target.set_parameters(source.get_parameters())
    noted = _AtTheStart()
    target.learn(240, callback=[IdentityPhase(), noted])
    assert (noted.weights, noted.steps) == (fingerprint(source.policy.state_dict()), 0)


class _Free(SharingScheme):
    """Regroups without playing."""

    name, summary, source, parameter_formula = "free", "groups for nothing", "none", "K P"
    needs_identity_phase = True

    def make_networks(self) -> None:
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)

    def prepare(self, collector: Any) -> int:
        self.regroup(torch.tensor(LABELS))
        return 0


def test_a_preparation_that_costs_nothing_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from adaps_agents.policy import policy

    make = policy.make_scheme
    monkeypatch.setattr(
        policy, "make_scheme", lambda name, **kwargs: _Free() if name == "nops" else make(name, **kwargs)
    )
    source, target = small_model(SharingA2C, "nops"), small_model(SharingA2C, "nops", seed=7)
    source.learn(40)
    assert source.scheme.labels.tolist() == LABELS
    wanted = fingerprint(source.policy.state_dict())
    assert _learnt(source).weights == wanted
    wanted = fingerprint(source.policy.state_dict())
    target.policy.load_state_dict(source.policy.state_dict())
    assert _learnt(target).weights == wanted
