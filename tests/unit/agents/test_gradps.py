"""GradPS: finding futile neurons, and splitting and merging them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from methods_common import (
    NUM_AGENTS,
    P_ACTOR,
    P_CRITIC,
    SMALL,
    agent_gradient,
    build,
    observations,
    on_bps_1,
    randomised,
)
from sklearn.cluster import SpectralClustering
from type_game import type_game

from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError
from baselines.schemes.gradps import GradPS, agent_groups

PAIRS = np.array([0, 0, 1, 1])


class AlreadySplit(GradPS):
    """GradPS after two splits."""

    fups_options = None

    def make_networks(self) -> None:
        super().make_networks()
        groups = np.arange(self.spaces.num_agents) % 3
        for net in self.split_networks():
            net.split(2, groups)
            net.split(5, (groups > 0).astype(np.int64))


def _opposed(scheme: Any, updates: int) -> list[bool]:
    """Let agents 0, 1 and agents 2, 3 ask for opposite logits on equal observations; return what each update said."""
    obs = observations()[:, :1].expand(-1, NUM_AGENTS, -1).contiguous()
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0])[:, None]
    answers = []
    for update in range(updates):
        (scheme.actor(obs) * signs).sum().backward()
        answers.append(scheme.after_update(update))
    return answers


def _note(net: Any, pull: Any) -> None:
    net.asked += pull
    net.note()


def test_parameters_on_bps_1() -> None:
    scheme = on_bps_1("gradps")
    assert scheme.param_report()["trainable"] == P_ACTOR + P_CRITIC
    scheme.actor_net.split(7, np.arange(15) % 3)
    assert scheme.param_report()["trainable_actor"] == P_ACTOR + 2 * 10


def test_a_split_scheme_keeps_the_rules() -> None:
    check_scheme(AlreadySplit).raise_if_failed()


def test_without_splits_it_is_full_sharing_in_training_too() -> None:
    ours, plain, obs = build("gradps"), build("fups"), observations()
    for scheme in (ours, plain):
        (scheme.actor(obs).square().sum() + scheme.critic(obs).square().sum()).backward()
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)


def test_what_an_agent_asks_is_activation_times_gradient() -> None:
    scheme, obs = randomised(build("gradps")), observations()
    net = scheme.actor_net
    (scheme.actor(obs) ** 2).sum().backward()
    h = torch.relu(obs @ net.weights[0][0].T + net.biases[0][0]).detach().requires_grad_()
    second = torch.relu(h @ net.weights[1][0].T + net.biases[1][0])
    ((second @ net.weights[2][0].T + net.biases[2][0]) ** 2).sum().backward()
    torch.testing.assert_close(net.pull(), (h * h.grad).sum(dim=0).detach())
    assert net.pull() is None


def test_conflict_and_efficiency_by_hand() -> None:
    net = build("gradps").actor_net
    pull = torch.zeros(NUM_AGENTS, 16)
    pull[:, 0] = torch.tensor([1.0, 1.0, 1.0, 1.0])
    pull[:, 1] = torch.tensor([1.0, 1.0, -1.0, -1.0])
    pull[:, 2] = torch.tensor([3.0, 0.0, -1.0, 0.0])
    _note(net, pull)
    assert net.efficiency[:4].tolist() == [1.0, 0.0, 0.5, 1.0]
    assert float(net.conflict[0].abs().max()) == 0.0
    assert net.conflict[1].tolist() == [[0, 0, 2, 2], [0, 0, 2, 2], [2, 2, 0, 0], [2, 2, 0, 0]]
    assert float(net.conflict[2][0, 2]) == 2.0
    torch.testing.assert_close(net.conflict, net.conflict.transpose(1, 2))
    _note(net, pull)
    assert float(net.conflict[1][0, 2]) == 4.0


def test_agents_are_grouped_by_their_conflict() -> None:
    pull = np.array([1.0, -0.9, 1.1, -1.0, 0.95])
    conflict = np.abs(pull)[:, None] + np.abs(pull)[None] - np.abs(pull[:, None] + pull[None])
    assert agent_groups(conflict, 2, seed=0).tolist() == [0, 1, 0, 1, 0]
    assert agent_groups(np.zeros((4, 4)), 3, seed=0).tolist() == [0, 0, 0, 0]
    assert agent_groups(np.zeros((1, 1)), 3, seed=0).tolist() == [0]
    assert set(agent_groups(np.array([[0.0, 2.0], [2.0, 0.0]]), 3, seed=0).tolist()) == {0, 1}


def test_agents_are_clustered_as_in_the_authors_code(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Spy(SpectralClustering):
        def fit_predict(self, X: Any, y: Any = None) -> Any:
            given.append((self.assign_labels, X))
            return super().fit_predict(X, y)

    monkeypatch.setattr("baselines.schemes.gradps.SpectralClustering", Spy)
    # Most pairs agree, as where few agents differ from the rest; the width is that of those that do not.
    conflict = np.zeros((6, 6))
    for one, other, size in ((0, 1, 1.0), (2, 3, 2.0), (4, 5, 6.0)):
        conflict[one, other] = conflict[other, one] = size
    agent_groups(conflict, 3, seed=0)
    ((labels, kernel),) = given
    assert labels == "discretize"
    np.testing.assert_allclose(kernel, np.exp(-(conflict**2) / (2 * 2.0**2)))


def test_a_split_leaves_outputs_as_they_are_and_lets_copies_part() -> None:
    scheme, obs = randomised(build("gradps")), observations()
    before = scheme.actor(obs).detach()
    scheme.actor_net.split(3, PAIRS)
    torch.testing.assert_close(scheme.actor(obs), before)
    with torch.no_grad():
        scheme.actor_net.clones.add_(1.0)
    changed = (scheme.actor(obs).detach() - before).abs().amax(dim=(0, 2)) > 1e-4
    assert changed.tolist() == [False, False, True, True]
    assert scheme.actor_net.is_split().nonzero().flatten().tolist() == [3]
    assert scheme.sharing_summary()["actor_split_neurons"] == 1


def test_every_group_gets_a_row_of_its_own() -> None:
    net = build("gradps").actor_net
    net.split(3, np.array([0, 1, 2, 1]))
    net.split(4, np.array([0, 0, 1, 0]))
    assert net.rows[:, 3].tolist() == [3, 16, 17, 16]
    assert net.rows[:, 4].tolist() == [4, 4, 18, 4]
    assert net.split(5, np.zeros(NUM_AGENTS, np.int64)) is False


def test_a_neuron_is_futile_by_its_mean_efficiency_over_the_period() -> None:
    net = build("gradps").actor_net
    assert not bool(net.futile(1.0).any())
    pull = torch.ones(NUM_AGENTS, 16)
    pull[:, 2] = torch.tensor([3.0, 0.0, -1.0, 0.0])
    for _ in range(3):
        _note(net, pull)
    assert net.futile(0.6).nonzero().flatten().tolist() == [2]
    assert not bool(net.futile(0.4).any())
    # Fifteen neurons of efficiency 1 and one of 0.5 have a mean of 0.97, of which 0.5 is a share of 0.516.
    assert net.futile(0.52, relative=True).nonzero().flatten().tolist() == [2]
    assert not bool(net.futile(0.51, relative=True).any())
    net.split(7, PAIRS)
    net.efficiency[7] = 0.0
    assert net.futile(0.52, relative=True).nonzero().flatten().tolist() == [2]


def test_a_measurement_sums_updates_so_that_noise_is_no_conflict() -> None:
    """Agents agree on the mean; single updates are noise that a measurement of many averages out."""
    scheme = build("gradps", interval=50, period=2)
    net, generator = scheme.actor_net, torch.Generator().manual_seed(0)
    single = build("gradps", interval=1, period=100)
    for _ in range(100):
        pull = 1.0 + 3.0 * torch.randn(NUM_AGENTS, 16, generator=generator)
        for each in (scheme, single):
            each.actor_net._fresh_gate(torch.zeros(1, NUM_AGENTS, 16)).grad = pull.clone()
        noted = [int(each.actor_net.notes) for each in (scheme, single)]
        if int(scheme.noted) < 99:
            scheme.after_update(1)
            single.after_update(1)
    assert noted == [1, 99]
    assert float(net.efficiency.min()) > 0.99
    assert float(single.actor_net.efficiency.max()) / 99 < 0.8


def test_the_defaults_are_the_published_ones() -> None:
    scheme = build("gradps")
    assert (scheme.groups_wanted, scheme.period) == (3, 20)
    assert (scheme.threshold, scheme.relative, scheme.restore) == (0.2, False, 0.0)


def test_copies_get_no_gradient_of_other_groups() -> None:
    scheme = randomised(build("gradps"))
    # A neuron that is alive for agent 2.
    neuron = int(agent_gradient(scheme, 2, scheme.actor_net.weights[0])[0].abs().sum(dim=1).argmax())
    scheme.actor_net.split(neuron, PAIRS)
    assert float(agent_gradient(scheme, 0, scheme.actor_net.clones).abs().sum()) == 0.0
    assert agent_gradient(scheme, 2, scheme.actor_net.clones).abs().sum() > 0
    assert float(agent_gradient(scheme, 2, scheme.actor_net.weights[0])[0, neuron].abs().sum()) == 0.0


def test_a_merge_takes_the_mean_of_the_copies_and_keeps_other_splits() -> None:
    scheme, obs = randomised(build("gradps")), observations()
    net = scheme.actor_net
    for neuron in (3, 8):
        net.split(neuron, PAIRS)
    with torch.no_grad():
        net.clones.add_(torch.tensor([[2.0], [5.0]]))
    shared, other = net.weights[0][0, 3].detach().clone(), net.first_weights()[:, 8].detach().clone()
    net.merge(3)
    torch.testing.assert_close(net.weights[0][0, 3], shared + 1.0)
    torch.testing.assert_close(net.first_weights()[:, 8], other)
    assert net.clones.shape == (1, 5)
    assert net.is_split().nonzero().flatten().tolist() == [8]
    net.merge(8)
    assert net.clones is None
    assert torch.equal(net.rows, torch.arange(16).repeat(NUM_AGENTS, 1))
    assert scheme.actor(obs).shape == (6, NUM_AGENTS, 3)


def test_opposed_agents_split_their_neurons_at_the_end_of_a_period() -> None:
    scheme = randomised(build("gradps", groups=2, interval=1, period=3))
    assert _opposed(scheme, 3) == [False, False, True]
    net = scheme.actor_net
    split = net.is_split()
    assert int(split.sum()) > 8
    for neuron in split.nonzero().flatten().tolist():
        rows = net.rows[:, neuron].tolist()
        assert rows[0] == rows[1] == neuron
        assert rows[2] == rows[3] >= 16
    assert float(net.efficiency.abs().max()) == float(net.conflict.abs().max()) == 0.0


def test_agreeing_agents_split_nothing() -> None:
    scheme = randomised(build("gradps", interval=1, period=1))
    obs = observations()[:, :1].expand(-1, NUM_AGENTS, -1).contiguous()
    scheme.actor(obs).sum().backward()
    assert scheme.after_update(1) is False
    assert scheme.actor_net.clones is None


def test_copies_are_merged_with_the_given_probability() -> None:
    scheme = randomised(build("gradps", groups=2, interval=1, period=1, restore=1.0))
    _opposed(scheme, 1)
    split = int(scheme.actor_net.is_split().sum())
    assert split > 8
    assert _opposed(scheme, 1) == [True]
    assert int(scheme.actor_net.is_split().sum()) < split


def test_one_seed_splits_alike() -> None:
    first, second = (randomised(build("gradps", groups=3, interval=1, period=1, restore=0.5)) for _ in range(2))
    for scheme in (first, second):
        _opposed(scheme, 3)
    assert fingerprint(first.state_dict()) == fingerprint(second.state_dict())


@pytest.mark.parametrize("other_way", [False, True])
def test_clones_are_in_the_state(other_way: bool) -> None:
    origin, copy, obs = randomised(build("gradps")), build("gradps", seed=9), observations()
    (copy if other_way else origin).actor_net.split(3, PAIRS)
    if not other_way:
        origin.critic_net.split(1, np.array([0, 1, 2, 0]))
    copy.load_state_dict(origin.state_dict())
    assert torch.equal(copy.actor(obs), origin.actor(obs))
    assert torch.equal(copy.critic(obs), origin.critic(obs))
    assert copy.param_report() == origin.param_report()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_learners_split_keep_moments_and_resume(algorithm: Any, tmp_path: Path) -> None:
    model = small_model(algorithm, "gradps")
    model.scheme.interval, model.scheme.period, model.scheme.threshold = 1, 2, 0.9
    model.learn(80)
    optimizer = model.policy.optimizer
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert model.scheme.actor_net.clones is not None
    assert sum(p.numel() for p in held) == model.scheme.param_report()["trainable"]
    shared, copies = model.scheme.actor_net.weights[1], model.scheme.actor_net.clones
    assert any(parameter is copies for parameter in held)
    # Four rollouts: one gradient step each, or two epochs of two minibatches; a rebuilt optimiser goes on counting.
    assert float(optimizer.state[shared]["step"]) == (4 if algorithm is ALGORITHMS[0] else 16)
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=type_game(4), device="cpu")
    assert fingerprint(loaded.scheme.state_dict()) == fingerprint(model.scheme.state_dict())
    loaded.learn(40, reset_num_timesteps=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": 1}, "groups is 1; it must be an integer >= 2"),
        ({"interval": 0}, "interval is 0"),
        ({"period": 0}, "period is 0"),
        ({"relative": 1}, "relative is 1"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"restore": -0.1}, "restore is -0.1"),
        ({"networks": "critic"}, "networks is 'critic'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("gradps", SMALL, **options)


def test_a_network_without_hidden_neurons_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="no hidden neuron to split"):
        build("gradps", SMALL, ())
