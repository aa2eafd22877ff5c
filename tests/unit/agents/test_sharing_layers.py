"""Networks with an agent axis, against loops written out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from adaps_agents.networks.grouped_mlp import AgentGroups, GroupedMLP, MaskedMLP, orthogonal_stack
from adaps_envs.errors import InvalidParameterError

SIZES = (4, 6, 5, 3)


def _grouped(labels: list[int], seed: int = 0) -> GroupedMLP:
    net = GroupedMLP(SIZES, torch.tensor(labels), torch.relu, head_gain=1.0, seed=seed, name="net")
    with torch.no_grad():
        for bias in net.biases:
            bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
    return net


def _obs(agents: int, lanes: int = 3) -> Tensor:
    return torch.randn(lanes, agents, SIZES[0], generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "labels",
    [[0, 0, 0], [0, 1, 2], [2, 0, 1], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [2, 0, 0, 1, 2, 0], [0]],
    ids=["K=1", "K=N", "K=N-unsorted", "equal", "equal-unsorted", "unequal", "unequal-unsorted", "one-agent"],
)
def test_every_agent_gets_its_own_network(labels: list[int]) -> None:
    net, obs = _grouped(labels), _obs(len(labels))
    out = net(obs)
    assert out.shape == (3, len(labels), SIZES[-1])
    for agent, group in enumerate(labels):
        h = obs[:, agent]
        for layer in range(3):
            h = functional.linear(h, net.weights[layer][group], net.biases[layer][group])
            h = torch.relu(h) if layer < 2 else h
        torch.testing.assert_close(out[:, agent], h)


def test_a_group_without_agents_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError, match="every network must serve"):
        AgentGroups(torch.tensor([0, 2]))


def test_networks_without_hidden_layers_are_linear() -> None:
    net = GroupedMLP((4, 2), torch.tensor([1, 0]), torch.relu, head_gain=1.0, seed=0, name="net")
    obs = _obs(2)
    torch.testing.assert_close(net(obs)[:, 0], obs[:, 0] @ net.weights[0][1].T)


def test_the_root_network_is_the_same_whatever_the_number_of_groups() -> None:
    alone, many = (orthogonal_stack(SIZES, number, 0.01, 5, "actor") for number in (1, 4))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, many, strict=True))
    assert not torch.equal(many[0][0], many[0][1])


def test_weights_are_orthogonal_with_the_usual_gains() -> None:
    first, second, head = (layer[0] for layer in orthogonal_stack((4, 6, 6, 3), 1, 0.01, 0, "actor"))
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(4))
    torch.testing.assert_close(second.T @ second, 2 * torch.eye(6))
    torch.testing.assert_close(head @ head.T, 1e-4 * torch.eye(3))


def _masked(masks: list[Tensor], labels: list[int], execution: str = "auto") -> MaskedMLP:
    return MaskedMLP(
        SIZES, torch.tensor(labels), masks, torch.relu, head_gain=1.0, seed=0, name="net", execution=execution
    )


EQUAL = [
    torch.tensor([[1, 1, 0, 0, 1, 0], [0, 1, 1, 1, 0, 0]]).bool(),
    torch.tensor([[1, 0, 1, 0, 0], [0, 1, 1, 0, 0]]).bool(),
]
SIGNED = [EQUAL[0] * torch.tensor([1, -1, 1, -1, -1, 1], dtype=torch.int8), EQUAL[1] * torch.tensor([[-1], [1]]).char()]
UNEQUAL = [torch.tensor([[1, 1, 0, 0, 1, 0], [0, 1, 1, 1, 1, 1]]).bool(), EQUAL[1]]


@pytest.mark.parametrize("activation", [torch.relu, torch.sigmoid], ids=["relu", "sigmoid"])
@pytest.mark.parametrize("masks", [EQUAL, UNEQUAL, SIGNED], ids=["equal", "unequal", "signed"])
@pytest.mark.parametrize("execution", ["auto", "dense"])
def test_a_mask_multiplies_after_the_activation(masks: list[Tensor], execution: str, activation: object) -> None:
    labels = [1, 0, 1]
    net = _masked(masks, labels, execution)
    net.activation = activation  # type: ignore[assignment]
    obs = _obs(3)
    for agent, group in enumerate(labels):
        h = obs[:, agent]
        for layer in range(2):
            h = net.activation(functional.linear(h, net.weights[layer][0], net.biases[layer][0])) * masks[layer][group]
        expected = functional.linear(h, net.weights[2][0], net.biases[2][0])
        torch.testing.assert_close(net(obs)[:, agent], expected)


def test_how_masks_are_run() -> None:
    ones = [torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)]
    assert _masked(EQUAL, [0, 1]).execution == "compact"
    assert _masked(EQUAL, [0, 1], "dense").execution == "dense"
    assert _masked(UNEQUAL, [0, 1]).execution == "compact"
    assert _masked(UNEQUAL, [0, 1]).flops_per_decision < _masked(UNEQUAL, [0, 1], "dense").flops_per_decision
    assert _masked(ones, [0, 1]).execution == "full"
    assert _masked([mask.float() * 0.5 for mask in ones], [0, 1]).execution == "dense"


def test_compact_execution_costs_less() -> None:
    assert _masked(EQUAL, [0, 1]).flops_per_decision == 2 * (4 * 3 + 3 * 2 + 2 * 3)
    assert _masked(EQUAL, [0, 1], "dense").flops_per_decision == 2 * (4 * 6 + 6 * 5 + 5 * 3)


@given(data=st.data(), signed=st.booleans(), groups=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_compact_and_dense_execution_are_one_function(data: st.DataObject, signed: bool, groups: int) -> None:
    values = st.sampled_from([-1, 0, 1] if signed else [0, 1])
    masks = []
    for width in SIZES[1:-1]:
        row = st.lists(values, min_size=width, max_size=width).filter(any)
        drawn = torch.tensor(data.draw(st.lists(row, min_size=groups, max_size=groups)))
        masks.append(drawn.char() if signed else drawn.bool())
    labels = [*range(groups), *data.draw(st.lists(st.integers(0, groups - 1), max_size=3))]
    compact, dense = (_masked(masks, labels, execution) for execution in ("compact", "dense"))
    assert compact.execution in ("compact", "full")
    obs = _obs(len(labels))
    ours, theirs = compact(obs), dense(obs)
    torch.testing.assert_close(ours, theirs)
    for out in (ours, theirs):
        out.square().sum().backward()
    for (name, p), q in zip(compact.named_parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=lambda text, name=name: f"{name}: {text}")
    for agent in range(len(labels)):
        h = obs[:, agent]
        *hidden, head = compact.effective_params(agent)
        for w, b in hidden:
            h = torch.relu(functional.linear(h, w, b))
        torch.testing.assert_close(functional.linear(h, *head), ours[:, agent])


def test_a_sign_turns_what_the_next_layer_reads() -> None:
    net, plain = _masked(SIGNED, [0, 1]), _masked([mask != 0 for mask in SIGNED], [0, 1])
    assert net.execution == plain.execution == "compact"
    assert net.flops_per_decision == plain.flops_per_decision
    weights, biases = net.subnetworks()
    kept = EQUAL[0][1].nonzero().flatten()
    rows = EQUAL[1][1].nonzero().flatten()
    signs = SIGNED[0][1][kept].float()
    torch.testing.assert_close(weights[1][1], net.weights[1][0][rows][:, kept] * signs)
    torch.testing.assert_close(biases[1][1], net.biases[1][0][rows])


def test_soft_gates_have_true_effective_parameters() -> None:
    gates = [torch.tensor([[0.2, 0.5, 0.9, 0.1, 0.7, 0.3]]), torch.tensor([[0.6, 0.4, 0.8, 0.0, 0.5]])]
    net, obs = _masked(gates, [0]), _obs(1)
    h = obs[:, 0]
    layers = net.effective_params(0)
    for w, b in layers[:-1]:
        h = torch.relu(functional.linear(h, w, b))
    torch.testing.assert_close(net(obs)[:, 0], functional.linear(h, *layers[-1]))


def test_loaded_masks_decide_anew_how_they_are_run() -> None:
    source, target = _masked(UNEQUAL, [0, 1]), _masked(EQUAL, [0, 1])
    target.load_state_dict(source.state_dict())
    assert target.flops_per_decision == source.flops_per_decision
    torch.testing.assert_close(target(_obs(2)), source(_obs(2)))


def test_small_networks_are_gathered_only_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    net, obs, calls = _masked(EQUAL, [0, 1]), _obs(2), []
    gather = MaskedMLP.subnetworks
    monkeypatch.setattr(MaskedMLP, "subnetworks", lambda one: calls.append(1) or gather(one))

    def gathered() -> int:
        calls.clear()
        net(obs)
        return len(calls)

    assert gathered() == gathered() == 1
    net.eval()
    with torch.no_grad():
        assert [gathered(), gathered()] == [1, 0]
        before = net(obs)
        net.biases[1].add_(1.0)
        assert [gathered(), gathered()] == [1, 0]
        assert not torch.equal(net(obs), before)
        exchanged = _masked([mask.flip(0) for mask in EQUAL], [0, 1])
        net.load_state_dict(exchanged.state_dict())
        torch.testing.assert_close(net(obs), exchanged(obs))
        net.train()
        net.eval()
        assert gathered() == 1


@pytest.mark.parametrize(
    ("masks", "execution", "said"), [(EQUAL, "fast", "execution is 'fast'"), ([], "auto", "no hidden")]
)
def test_masks_that_cannot_be_run_are_refused(masks: list[Tensor], execution: str, said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        _masked(masks, [0, 1], execution)
