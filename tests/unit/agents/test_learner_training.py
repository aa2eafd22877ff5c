"""Both learners with every scheme: counts, budget, determinism, and who may know the types."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, IDENTIFIED, SEVEN, fingerprint, scheme_kwargs, small_model
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from type_game import BlindTypeGame, type_game

import adaps_envs
from adaps_agents import SharingA2C, SharingPPO, list_schemes
from adaps_envs.errors import InvalidParameterError

# BPS-1: 15 agents, 3 types, F = 10, A = 5, two layers of 64.
ON_BPS_1 = {
    "nops": (77_835, 151_770), "fups": (5_189, 10_118), "fups_id": (6_149, 12_038), "oracle": (15_567, 30_354),
    "seps": (15_567, 30_354), "snp_ps": (5_189, 10_118), "adaps": (5_189, 10_118),
}  # fmt: skip
TYPES = [0] * 5 + [1] * 5 + [2] * 5


def _in_optimizer(model: Any) -> int:
    return sum(p.numel() for group in model.policy.optimizer.param_groups for p in group["params"])


@pytest.mark.parametrize("scheme", SEVEN)
def test_the_optimiser_holds_exactly_the_published_number_of_parameters(scheme: str) -> None:
    options = {"labels": TYPES} if scheme in IDENTIFIED else {}
    env = adaps_envs.make("BPS-1", api="sb3", num_envs=2)
    model = SharingA2C(scheme, env, seed=0, policy_kwargs={"net_arch": [64, 64], "scheme_kwargs": options})
    model.learn(20)
    report = model.scheme.param_report()
    actor, everything = ON_BPS_1[scheme]
    assert _in_optimizer(model) == everything
    assert (report["trainable_actor"], report["trainable"]) == (actor, everything)
    updated = [p for group in model.policy.optimizer.param_groups for p in group["params"] if p.grad is not None]
    assert sum(p.numel() for p in updated) == everything


def test_fixed_parts_of_masked_schemes_are_reported() -> None:
    def report(scheme: str, **options: Any) -> dict[str, int]:
        env = adaps_envs.make("BPS-1", api="sb3", num_envs=4)
        model = SharingA2C(scheme, env, seed=0, policy_kwargs={"scheme_kwargs": options})
        model.learn(400)
        return model.scheme.param_report()

    identity = {"env_steps": 200, "num_groups": 3, "encoder": {"updates": 5}}
    adaps, snp_ps = report("adaps", identity=identity), report("snp_ps")
    assert (adaps["fixed_bits"], adaps["fixed_parameters"], adaps["pretraining_parameters"]) == (3 * 256, 17_344, 8_863)
    assert (snp_ps["fixed_bits"], snp_ps["fixed_parameters"], snp_ps["pretraining_parameters"]) == (15 * 256, 0, 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_timesteps_are_environment_steps_identity_included(algorithm: Any, scheme: str) -> None:
    model = small_model(algorithm, scheme)
    model.learn(300)
    spent = int(model.scheme.identity_steps)
    assert spent == (160 if scheme in IDENTIFIED else 0)
    assert model.num_timesteps == spent + 20 * -(-max(0, 300 - spent) // 20)
    assert model._n_updates > 0
    model.learn(100, reset_num_timesteps=False)
    assert int(model.scheme.identity_steps) == spent


@pytest.mark.parametrize("steps", [0, 100, 160])
def test_a_budget_that_the_identity_phase_takes_whole_is_refused(steps: int) -> None:
    model = small_model(SharingA2C, "seps")
    said = rf"may spend {steps} environment steps, and the identity phase of scheme 'seps' takes at least 160 of them"
    with pytest.raises(InvalidParameterError, match=said):
        model.learn(steps)
    assert (model.num_timesteps, model._n_updates, int(model.scheme.identity_steps)) == (0, 0, 0)
    model.learn(161)
    assert model._n_updates == 1


def test_steps_of_all_lanes_are_whole() -> None:
    model = small_model(SharingA2C, "seps", type_game(48))
    with pytest.raises(InvalidParameterError, match="takes at least 192 of them"):
        model.learn(192)


def test_a_phase_that_outgrows_the_budget_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(SharingA2C, "seps")
    prepare = model.scheme.prepare
    monkeypatch.setattr(model.scheme, "prepare", lambda collector: collector.collect(800) and prepare(collector))
    with pytest.warns(UserWarning, match="took 960 environment steps and training may spend 500: nothing"):
        model.learn(500)
    assert (model.num_timesteps, model._n_updates) == (960, 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", SEVEN)
def test_one_seed_one_set_of_weights_to_the_byte(algorithm: Any, scheme: str) -> None:
    prints = []
    for seed in (3, 3, 4):
        # What the global generators hold must not matter.
        torch.manual_seed(len(prints))
        model = small_model(algorithm, scheme, seed=seed)
        model.learn(260)
        prints.append(fingerprint(model.policy.state_dict()))
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_learning_and_predicting_touch_no_global_generator(algorithm: Any) -> None:
    def states() -> tuple[bytes, bytes, Any]:
        legacy: Any = np.random.get_state()  # noqa: NPY002  (looked at, not drawn from)
        return torch.random.get_rng_state().numpy().tobytes(), legacy[1].tobytes(), random.getstate()

    before = states()
    model = small_model(algorithm, "adaps", seed=None)
    model.learn(260)
    obs = model.env.reset()
    model.predict(obs)
    model.policy.act(obs.reshape(4, 6, 2))
    model.policy(torch.as_tensor(obs))
    assert states() == before


def test_without_a_seed_two_runs_differ() -> None:
    first, second = (small_model(SharingA2C, "fups", seed=None) for _ in range(2))
    assert fingerprint(first.policy.state_dict()) != fingerprint(second.policy.state_dict())


@pytest.mark.parametrize("scheme", ["adaps", "snp_ps", "seps", "nops"])
def test_groups_and_masks_do_not_change_while_training(scheme: str) -> None:
    def structure() -> str:
        buffers = dict(model.scheme.named_buffers())
        return fingerprint({name: value for name, value in buffers.items() if not value.is_floating_point()})

    model = small_model(SharingPPO, scheme)
    model.learn(200)
    before, weights = structure(), fingerprint(model.policy.state_dict())
    model.learn(200, reset_num_timesteps=False)
    assert structure() == before
    assert fingerprint(model.policy.state_dict()) != weights


@pytest.mark.parametrize("scheme", [name for name in list_schemes() if name != "oracle"])
def test_no_scheme_but_the_oracle_looks_at_the_true_types(scheme: str) -> None:
    model = small_model(SharingA2C, scheme, type_game(4, kind=BlindTypeGame))
    model.learn(240)
    model.predict(model.env.reset())
    model.scheme.sharing_summary()


def test_the_trap_for_curious_schemes_works() -> None:
    with pytest.raises(AssertionError, match="looks at the true types"):
        small_model(SharingA2C, "oracle", type_game(4, kind=BlindTypeGame))
    assert small_model(SharingA2C, "oracle").scheme.assignment().tolist() == [0, 0, 0, 0, 1, 1]


def test_adaps_and_seps_with_one_seed_find_the_same_groups() -> None:
    models = [small_model(SharingA2C, scheme) for scheme in ("adaps", "seps")]
    for model in models:
        model.learn(200)
    first, second = (model.scheme.assignment() for model in models)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("wrapper", [VecMonitor, VecNormalize])
@pytest.mark.parametrize("scheme", ["adaps", "oracle"])
def test_wrapped_environments_train(wrapper: Any, scheme: str) -> None:
    model = small_model(SharingA2C, scheme, wrapper(type_game(4)))
    model.learn(240)
    actions, _ = model.predict(model.env.reset(), deterministic=True)
    assert actions.shape == (24,)


def test_slots_without_a_declared_team_train_when_told_its_size() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env("CartPole-v1", n_envs=4, seed=0)
    policy = {"num_agents": 2, "net_arch": [8], "scheme_kwargs": {}}
    model = SharingA2C("nops", env, seed=0, policy_kwargs=policy)
    model.learn(40)
    assert (model.num_lanes, model.num_agents, model.num_timesteps) == (2, 2, 40)


def test_a_scheme_may_add_a_loss_and_ask_for_a_new_optimiser() -> None:
    model = small_model(SharingA2C, "fups")
    net = model.scheme.actor_net
    model.scheme.aux_loss = lambda: 1e6 * net.biases[0].sum()
    model.scheme.after_update = lambda update: update == 2
    model.learn(20)
    before = model.policy.optimizer
    assert float(net.biases[0].detach().max()) < 0
    model.learn(20, reset_num_timesteps=False)
    assert model._n_updates == 2
    assert model.policy.optimizer is not before


def test_options_reach_the_scheme() -> None:
    policy = {"net_arch": [16], "scheme_kwargs": scheme_kwargs("adaps", keep=0.25, labels=[0, 0, 1, 1, 2, 2])}
    model = SharingPPO("adaps", type_game(2), seed=0, policy_kwargs=policy)
    assert model.scheme.actor_net.masks[0].sum(dim=1).tolist() == [4, 4, 4]
    assert model.scheme.sharing_summary()["agents"]["agent_5"] == 2
