"""Learners tell what they share and how diverse they are, and training does not notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from stable_baselines3.common.logger import KVWriter, Logger
from type_game import BlindTypeGame, type_game

from adaps_agents import SharingA2C, SharingPPO, list_schemes
from adaps_agents.learners import inspection
from adaps_envs.errors import InvalidParameterError


class _Memory(KVWriter):
    """Keeps what is dumped."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append(dict(key_values))


def _grouped(algorithm: Any, **kwargs: Any) -> Any:
    policy = {"net_arch": [16, 12], "scheme_kwargs": {"labels": [0, 0, 0, 0, 1, 1]}}
    return algorithm("adaps", type_game(4), n_steps=5, seed=0, policy_kwargs=policy, device="cpu", **kwargs)


def _listening(model: Any) -> _Memory:
    memory = _Memory()
    model.set_logger(Logger(None, [memory]))
    return memory


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_training_is_the_same_to_the_last_bit_whether_somebody_listens(
    algorithm: Any, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "LOG_EVERY", 0)
    silent = small_model(algorithm, scheme)
    silent.learn(300, log_interval=1)
    heard = small_model(algorithm, scheme, verbose=1)
    memory = _listening(heard)
    before = torch.get_rng_state()
    heard.learn(300, log_interval=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all("sharing/snd" in row for row in memory.rows)
    assert fingerprint(heard.policy.state_dict()) == fingerprint(silent.policy.state_dict())
    assert torch.equal(heard.generator.get_state(), silent.generator.get_state())
    assert torch.equal(heard.policy.generator.get_state(), silent.policy.generator.get_state())


def test_what_is_logged() -> None:
    model = _grouped(SharingA2C)
    memory = _listening(model)
    model.learn(300, log_interval=1)
    names = {name.removeprefix("sharing/") for name in memory.rows[0] if name.startswith("sharing/")}
    assert names >= {
        "snd", "action_disagreement", "within_group", "trainable_parameters", "fixed_parameters", "flops_per_decision",
        "memory_bytes", "groups", "actor_mask_hamming", "critic_mask_jaccard", "actor_unused_units",
    }  # fmt: skip
    assert not any("type" in name or name == "ari" for name in names)
    # Dumps are many, diagnoses few.
    assert len(memory.rows) > 3
    assert sum("sharing/snd" in row for row in memory.rows) == 1


def test_agents_of_one_network_that_want_opposite_things_pull_against_each_other() -> None:
    model = small_model(SharingA2C, "fups", n_steps=100)
    model.learn(800)
    found = model.gradient_conflict()
    assert found.pairs == 15
    assert found.opposed is not None
    # 8 of the 15 pairs are of different types, and what is right for one is wrong for the other.
    assert found.opposed == pytest.approx(8 / 15)
    private = small_model(SharingA2C, "nops", n_steps=20)
    private.learn(80)
    assert private.gradient_conflict().cosine is None
    assert model.gradient_conflict(max_groups=2).pairs <= 1


def test_nobody_looks_at_the_types_while_training_is_logged() -> None:
    model = small_model(SharingA2C, "adaps", type_game(4, kind=BlindTypeGame))
    memory = _listening(model)
    model.learn(300, log_interval=1)
    assert "sharing/snd" in memory.rows[0]


def test_a_learner_is_diagnosed_on_its_own_rollout_or_on_what_it_is_given() -> None:
    model = small_model(SharingPPO, "oracle")
    with pytest.raises(InvalidParameterError, match="there is no rollout yet"):
        model.diagnose()
    with pytest.raises(InvalidParameterError, match="there is no rollout yet"):
        model.gradient_conflict()
    obs = type_game(4).reset()
    assert model.diagnose(obs).pool == len(obs)
    model.learn(200)
    found = model.diagnose(types=[0, 0, 0, 0, 1, 1])
    assert found.within_type == 0.0
    assert found.clusters is not None
    assert found.clusters.ari == 1.0
    assert found.memory.optimiser > 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_table_opens_a_talkative_run(algorithm: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _grouped(algorithm, verbose=1).learn(200)
    lines = capsys.readouterr().out.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("adaps: 6 agents in 2 groups"))
    assert lines[start + 1].split()[:4] == ["set", "agents", "actor", "uses"]
    small_model(algorithm, "adaps", verbose=1).learn(200)
    assert "(160 environment steps to find them)" in capsys.readouterr().out
    small_model(algorithm, "adaps").learn(200)
    assert capsys.readouterr().out == ""


def test_a_learner_draws_its_sharing(tmp_path: Path) -> None:
    small_model(SharingA2C, "snp_ps").sharing_picture(tmp_path / "map.svg")
    assert b"snp_ps: 6 agents, 6 different sets" in (tmp_path / "map.svg").read_bytes()
