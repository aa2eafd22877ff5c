"""Relevance gates: what is measured, what becomes of it, and the limits that are AdaPS or full sharing, exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import QUICK_IDENTITY, fingerprint, small_model
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents import SharingA2C
from adaps_agents.identity.collect import Transitions
from adaps_agents.identity.reward_effects import Effects, measured_effects, relevance_gates
from adaps_agents.networks.gated_mlp import GatedMLP
from adaps_agents.networks.grouped_mlp import MaskedMLP
from adaps_agents.schemes import AgentSpaces
from adaps_agents.schemes.adaps_gates import AdaPSGates, told_apart
from adaps_agents.schemes.registry import make_scheme
from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError

KINDS = np.array([0, 0, 1, 1, 2, 2])
SPACES = AgentSpaces(num_agents=6, obs_dim=8, num_actions=3)


def _data(kinds: NDArray[np.int64], *, noise: float = 0.3, steps: int = 800, seed: int = 0) -> Transitions:
    """Return play in which agents are paid for the entry of their kind, squared, and all of them for entry 7."""
    rng = np.random.default_rng(seed)
    agents = np.tile(np.arange(len(kinds)), steps)
    obs = rng.normal(size=(len(agents), 8)).astype(np.float32)
    paid = -(obs[np.arange(len(agents)), kinds[agents]] ** 2) + obs[:, 7]
    rewards = (paid + noise * rng.normal(size=len(agents))).astype(np.float32)
    blocks = np.repeat(np.arange(steps), len(kinds))
    landed = (obs + 0.1 * rng.normal(size=obs.shape)).astype(np.float32)
    return Transitions(agents, rng.integers(0, 3, len(agents)), rewards, blocks, obs, landed)


def _gates(data: Transitions, labels: NDArray[np.int64] = KINDS) -> NDArray[np.float32]:
    return relevance_gates(measured_effects(data, len(KINDS)), labels)


def test_groups_read_what_pays_them_what_pays_everybody_and_what_moves_it() -> None:
    data = _data(KINDS)
    # Entry 3 moves entry 4, which moves what pays the second group; entry 5 moves what pays nobody.
    data.next_obs[:, 4] += 0.5 * data.obs[:, 3]
    data.next_obs[:, 1] += 0.5 * data.obs[:, 4]
    data.next_obs[:, 6] += 0.5 * data.obs[:, 5]
    gates = _gates(data)
    assert np.array_equal(gates[:, :3], np.eye(3, dtype=np.float32))
    assert np.array_equal(gates[:, 3:7], np.array([[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], np.float32))
    assert np.all(gates[:, 7] > 0.9)


def test_each_group_reads_what_moves_what_pays_in_its_own_order_of_entries() -> None:
    data = _data(KINDS)
    own = 3 + KINDS[data.agents]
    data.next_obs[:, 7] += 0.5 * data.obs[np.arange(len(own)), own]
    assert np.array_equal(_gates(data)[:, 3:6], np.eye(3, dtype=np.float32))


def test_units_of_the_rewards_do_not_matter() -> None:
    data = _data(KINDS)
    scale = np.array([1.0, 100.0, 1.0, 1.0, 0.01, 1.0], np.float32)[data.agents]
    rescaled = Transitions(**{**vars(data), "rewards": data.rewards * scale})
    assert np.allclose(_gates(rescaled), _gates(data), atol=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_rewards_without_a_pattern_open_every_gate(seed: int) -> None:
    data = _data(KINDS, seed=seed)
    noise = np.random.default_rng(seed).normal(size=len(data.rewards)).astype(np.float32)
    assert np.all(_gates(Transitions(**{**vars(data), "rewards": noise})) == 1.0)
    assert np.all(_gates(Transitions(**{**vars(data), "rewards": np.zeros_like(noise)})) == 1.0)


def test_constant_entries_do_no_harm() -> None:
    data = _data(KINDS)
    data.obs[:, 5] = 3.0
    gates = _gates(data)
    assert np.isfinite(gates).all()
    assert np.array_equal(gates[:, :3], np.eye(3, dtype=np.float32))


def test_a_group_to_which_every_entry_matters_little_still_reads() -> None:
    """Ten agents are paid for two entries each, the last for all of them, by less than a gate lets through."""
    rewards = np.zeros((11, 2, 2, 20), np.float32)
    for agent in range(10):
        rewards[agent, :, 0, 2 * agent : 2 * agent + 2] = 0.7
    rewards[10, :, 0] = 0.055
    effects = Effects(rewards, np.zeros((20, 20), np.float32))
    gates = relevance_gates(effects, np.arange(11))
    assert np.array_equal(gates[:10], np.kron(np.eye(10), [[1, 1]]))
    assert np.all(gates[10] == 1)


class FixedGates(AdaPSGates):
    """Gates that no relevance can give: some closed, some half open, one row as another."""

    def group_gates(self) -> torch.Tensor:
        number, inputs = int(self.labels.max()) + 1, self.spaces.obs_dim
        rows = torch.rand(number, inputs, generator=torch.Generator().manual_seed(3))
        return torch.where(rows < 0.3, 0.0, rows)


@pytest.mark.parametrize(
    "options",
    [{}, {"masks": "always"}, {"masks": "never"}, {"gains": "groups"}, {"gains": "mapped"}, {"labels": "each"}],
)
def test_gates_keep_every_rule_of_a_scheme(options: dict[str, Any]) -> None:
    options = {**options, "labels": [0, 1, 2, 3]} if options.get("labels") == "each" else options
    failed = {result.name for result in check_scheme(FixedGates, **options).results if not result.passed}
    assert failed <= {"fups_limit"}  # the limit is that of open gates


@pytest.mark.parametrize("gains", ["none", "groups", "mapped"])
def test_registered_scheme_keeps_every_rule(gains: str) -> None:
    check_scheme("adaps_gates", gains=gains).raise_if_failed()


def _built(name: str, **options: Any) -> Any:
    scheme = make_scheme(name, **options)
    scheme.build(SPACES, [16, 12], torch.Generator().manual_seed(5))
    return scheme


def _outputs(scheme: Any) -> tuple[torch.Tensor, torch.Tensor]:
    obs = torch.rand(4, 6, 8, generator=torch.Generator().manual_seed(1))
    return scheme.actor(obs), scheme.critic(obs)


def _same(ours: Any, theirs: Any) -> bool:
    return all(torch.equal(p, q) for p, q in zip(_outputs(ours), _outputs(theirs), strict=True))


def test_without_relevance_it_is_adaps_bit_for_bit() -> None:
    assert _same(_built("adaps_gates", labels=KINDS.tolist()), _built("adaps", labels=KINDS.tolist()))


def test_with_one_group_it_is_full_sharing_bit_for_bit() -> None:
    assert _same(_built("adaps_gates", labels=[0] * 6), _built("fups"))
    assert not _built("adaps_gates", labels=[0] * 6).needs_identity_phase


def test_masks_come_in_where_gates_do_not_tell_groups_apart() -> None:
    apart, alike = torch.eye(3), torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert told_apart(apart)
    assert not told_apart(alike)
    scheme = _built("adaps_gates", labels=KINDS.tolist())
    assert scheme.actor_net.execution == "compact"
    scheme._effects = measured_effects(_data(KINDS), 6)
    scheme.regroup(scheme.labels)
    assert scheme.actor_net.execution == "full"
    assert scheme.param_report()["trainable"] == _built("fups").param_report()["trainable"]


def test_a_group_that_reads_few_entries_starts_with_signals_as_strong_as_full_sharing() -> None:
    scheme = make_scheme("adaps_gates", labels=KINDS.tolist())
    scheme.build(replace(SPACES, state_dim=3), [16, 12], torch.Generator().manual_seed(5))
    scheme._effects = measured_effects(_data(KINDS), 6)
    scheme.regroup(scheme.labels)
    assert scheme.group_gates().square().sum(dim=1).max() < 3
    assert scheme.critic_net.gates.shape == (3, 8 + 3)
    for net in (scheme.actor_net, scheme.critic_net):
        assert torch.allclose(net.gates[:, :8].square().sum(dim=1), torch.tensor(8.0))
        assert torch.all(net.gates[:, 8:] == 1)  # a centralised critic reads the state as it is


def test_masks_come_in_where_entries_mean_other_things_to_other_groups() -> None:
    data = _data(KINDS)
    moved = KINDS == 2
    alike, other = (Transitions(**{**vars(data), "next_obs": data.next_obs.copy()}) for _ in range(2))
    alike.next_obs[:, 5] += 0.5 * data.obs[:, 6]
    other.next_obs[:, 5] += 0.5 * data.obs[:, 6] * moved[data.agents]
    for play, execution in ((alike, "full"), (other, "compact")):
        scheme = _built("adaps_gates", labels=KINDS.tolist())
        scheme._effects = measured_effects(play, 6)
        scheme.regroup(scheme.labels)
        assert told_apart(scheme.group_gates())
        assert scheme.actor_net.execution == execution


def test_masks_keep_more_where_gates_tell_groups_apart_unless_told_how_much() -> None:
    def kept(**options: Any) -> set[int]:
        scheme = _built("adaps_gates", labels=KINDS.tolist(), masks="always", **options)
        before = scheme.actor_net.masks[0].sum(dim=1).tolist()
        scheme._effects = measured_effects(_data(KINDS), 6)
        scheme.regroup(scheme.labels)
        assert options or set(before) == {8}
        return set(scheme.actor_net.masks[0].sum(dim=1).tolist())

    assert kept() == {13}  # of 16
    assert kept(keep=0.5) == {8}
    assert kept(codes="disjoint") == {5}


def _trained(**options: Any) -> Any:
    return small_model(SharingA2C, "adaps_gates", scheme_options={"identity": QUICK_IDENTITY, **options})


@pytest.mark.parametrize(
    "options", [{}, {"labels": "each"}, {"labels": "random"}, {"gains": "groups"}, {"labels": [0, 1, 0, 1, 2, 2]}]
)
def test_it_trains_charges_its_steps_and_comes_back_from_a_file(options: dict[str, Any], tmp_path: Any) -> None:
    model = _trained(**options).learn(400)
    assert model.scheme.identity_steps == 160
    assert model.num_timesteps >= 400
    model.save(tmp_path / "model")
    again = SharingA2C.load(tmp_path / "model", env=model.get_env())
    assert fingerprint(again.policy.state_dict()) == fingerprint(model.policy.state_dict())
    assert isinstance(again.scheme.actor_net, GatedMLP)
    again.learn(400, reset_num_timesteps=False)
    assert again.scheme.identity_steps == 160


def test_options_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="masks neurons only"):
        make_scheme("adaps_gates", units="weights")
    with pytest.raises(InvalidParameterError, match="masks is 'some'"):
        make_scheme("adaps_gates", masks="some")
    with pytest.raises(InvalidParameterError, match="gain_code is 2 for 3 groups"):
        _built("adaps_gates", labels=KINDS.tolist(), gains="mapped", gain_code=2)


@pytest.mark.parametrize("gated", [0, 1])
def test_a_network_that_loads_full_masks_keeps_nothing_of_those_before(gated: int) -> None:
    """Costs of stored weights are those of the network that stored them."""
    kept = torch.arange(8)[None] % 2 == torch.arange(2)[:, None]

    def network(masks: Tensor) -> MaskedMLP:
        labels = torch.tensor([0, 1, 1])
        return MaskedMLP((4, 8, 2), labels, [masks] * (1 + gated), torch.relu, head_gain=1.0, seed=0, name="x")

    full, loaded = network(torch.ones(2, 8, dtype=torch.bool)), network(kept)
    loaded.load_state_dict(full.state_dict())
    names = [[name for name, _ in net.named_buffers()] for net in (full, loaded)]
    assert names[0] == names[1]
