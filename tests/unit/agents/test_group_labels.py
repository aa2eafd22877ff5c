"""Where groups come from, by name: found, true, random or of each agent; and who is told the types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents_common import IDENTIFIED, small_model
from stable_baselines3 import PPO
from type_game import type_game

from adaps_agents import SharingA2C, SharingPolicy
from adaps_agents.schemes import make_scheme
from adaps_envs.adapters.sb3_index import AgentIndexed
from adaps_envs.errors import InvalidParameterError

QUICK = {"env_steps": 160, "num_groups": 2, "encoder": {"updates": 60}}
TYPES = [0, 0, 0, 0, 1, 1]


def _trained(scheme: str, labels: Any = None, seed: int = 0, **options: Any) -> Any:
    settings: dict[str, Any] = {"identity": QUICK, **options} if scheme in IDENTIFIED else options
    if labels is not None:
        settings["labels"] = labels
    model = small_model(SharingA2C, scheme, seed=seed, scheme_options=settings)
    return model.learn(2_000)


@pytest.mark.parametrize("scheme", IDENTIFIED)
@pytest.mark.parametrize(
    ("labels", "groups", "steps"), [("found", 2, 160), ("true", 2, 0), ("random", 2, 160), ("each", 6, 0)]
)
def test_groups_by_name(scheme: str, labels: str, groups: int, steps: int) -> None:
    model = _trained(scheme, labels)
    # AdaPS maps each agent's code; gates are measured in the phase's steps, whoever gives the groups.
    needed = scheme == "adaps_gates" or (labels == "each" and scheme == "adaps")
    assert int(model.scheme.labels.max()) + 1 == groups
    assert int(model.scheme.identity_steps) == (160 if needed else steps)
    summary = model.scheme.sharing_summary()
    assert summary["groups_from"] == labels
    assert summary["told_types"] is (labels == "true")
    if labels == "true" and scheme != "random_groups":
        assert model.scheme.assignment().tolist() == TYPES


def test_found_is_the_default() -> None:
    named, default = _trained("adaps", "found"), _trained("adaps")
    assert named.scheme.labels.tolist() == default.scheme.labels.tolist()
    assert default.scheme.sharing_summary()["groups_from"] == "found"


def test_the_verdict_is_told_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    quick = {"env_steps": 800, "encoder": {"updates": 60}}
    with caplog.at_level("INFO", logger="adaps_agents"):
        scheme = _trained("adaps", identity=quick).scheme
    summary = scheme.sharing_summary()
    assert summary["identity_verdict"] == scheme.group_source.identity.verdict == "found"
    assert summary["identity_reason"] == scheme.group_source.identity.reason
    assert "identity phase of adaps: found: 2 groups in 800 environment steps" in caplog.text
    assert type(scheme.group_source.identity).from_arrays(scheme.extra_state()).verdict == "found"


@pytest.mark.parametrize("scheme", ["adaps", "seps"])
def test_one_group_for_want_of_evidence_is_warned_of(scheme: str) -> None:
    with pytest.warns(
        UserWarning, match=f"^{scheme} goes on with one group: ambiguous: 8 environment steps are too few"
    ):
        _trained(scheme, identity={"env_steps": 8, "encoder": {"updates": 10}})


@pytest.mark.parametrize("scheme", ["seps", "adaps", "group_id"])
def test_random_groups_have_the_found_sizes_and_masks_but_other_agents(scheme: str) -> None:
    found, dealt = _trained(scheme), _trained(scheme, "random")
    ours, theirs = found.scheme.assignment(), dealt.scheme.assignment()
    assert sorted(ours.tolist()) == sorted(theirs.tolist())
    assert ours.tolist() != theirs.tolist()
    assert theirs.tolist() == _trained(scheme, "random").scheme.assignment().tolist()
    other = _trained(scheme, "random", seed=1).scheme.assignment()
    assert theirs.tolist() != other.tolist()
    masks = found.scheme.actor_net.masks
    if masks is not None:
        for mask, again in zip(masks, dealt.scheme.actor_net.masks, strict=True):
            assert np.array_equal(mask, again)


def test_random_groups_are_seps_with_random_labels() -> None:
    control, named = _trained("random_groups"), _trained("seps", "random")
    assert control.scheme.assignment().tolist() == named.scheme.assignment().tolist()


def test_each_agent_maps_its_own_code() -> None:
    """Agents of one type have similar codes, and so masks that are more alike than those of other types."""
    options = {"identity": {"env_steps": 1_600, "encoder": {"updates": 600}}, "distinctness": "none"}
    masks = np.concatenate(
        [mask.numpy() for mask in _trained("adaps", "each", **options).scheme.actor_net.masks], axis=1
    )
    assert len(masks) == len(TYPES)
    apart = (masks[:, None] != masks[None]).mean(axis=-1)
    same = np.equal.outer(TYPES, TYPES) & ~np.eye(6, dtype=bool)
    assert apart[same].mean() < apart[~np.equal.outer(TYPES, TYPES)].mean()


def test_only_the_oracle_and_true_labels_are_told() -> None:
    assert _trained("oracle").scheme.uses_true_types
    assert not _trained("fups").scheme.uses_true_types
    assert not _trained("seps", TYPES).scheme.uses_true_types
    assert _trained("seps", TYPES).scheme.sharing_summary()["groups_from"] == "given"


def test_true_labels_outside_a_sharing_learner_need_types() -> None:
    with pytest.raises(InvalidParameterError, match=r"needs types=\[...\]"):
        make_scheme("seps", labels="true")
    make_scheme("seps", labels="true", types=TYPES)
    with pytest.raises(InvalidParameterError, match="labels is 'all'; choose one of found, true, random, each"):
        make_scheme("adaps", labels="all")


def test_weights_travel_with_the_groups(tmp_path: Path) -> None:
    source = _trained("adaps", "random", codes="sparse", keep="auto")
    source.save_weights(tmp_path / "weights")
    target = small_model(
        SharingA2C, "adaps", seed=1, scheme_options={"codes": "sparse", "keep": "auto", "identity": QUICK}
    )
    target.load_weights(tmp_path / "weights")
    obs = np.random.default_rng(0).standard_normal((3, 6, source.scheme.spaces.obs_dim)).astype(np.float32)
    assert np.array_equal(source.policy.act(obs, deterministic=True), target.policy.act(obs, deterministic=True))
    assert source.scheme.param_report() == target.scheme.param_report()


def test_stock_learners_know_when_there_is_nothing_to_find() -> None:
    policy = {"scheme": "seps", "scheme_kwargs": {"labels": "each"}, "net_arch": [8]}
    PPO(SharingPolicy, AgentIndexed(type_game(4)), policy_kwargs=policy, n_steps=8, batch_size=48, device="cpu").learn(
        1
    )
