"""Recurrent units: PyTorch's arithmetic, private and shared units, masks where states are read, and every count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from methods_common import BPS_1, P_ACTOR, P_CRITIC, SMALL, build, randomised
from torch import Tensor, nn

from adaps_agents import list_schemes
from adaps_agents.networks.grouped_mlp import GroupedMLP
from adaps_agents.networks.gru import GRUCell, gated_recurrence
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes import AgentSpaces
from adaps_agents.schemes.base import private_networks
from adaps_envs.errors import InvalidParameterError
from baselines.schemes.lorasa import LowRankCell

STEPS, LANES, WIDTH = 5, 3, 12
UNIT_64 = 6 * 64 * 65


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch_stream(seed, "noise"))


def _cell(labels: list[int]) -> GRUCell:
    cell = GRUCell(WIDTH, torch.tensor(labels), seed=0, name="actor")
    with torch.no_grad():
        for index, parameter in enumerate(cell.parameters()):
            parameter.copy_(0.5 * _noise(*parameter.shape, seed=index))
    return cell


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [1, 0, 1, 0], [1, 0, 1]])
def test_every_agent_is_a_torch_gru_that_forgets_at_starts(labels: list[int]) -> None:
    cell, agents = _cell(labels), len(labels)
    x, state = _noise(STEPS, LANES, agents, WIDTH), _noise(LANES, agents, WIDTH, seed=1)
    starts = _noise(STEPS, LANES, agents, seed=2) > 0.8
    states = cell(x, starts, state)
    for agent in range(agents):
        (weight_ih, bias_ih), (weight_hh, bias_hh) = cell.effective_params(agent)
        h = state[:, agent]
        for step in range(STEPS):
            h = torch.where(starts[step, :, agent, None], torch.zeros_like(h), h)
            h = torch.gru_cell(x[step, :, agent], h, weight_ih, weight_hh, bias_ih, bias_hh)
            torch.testing.assert_close(states[step, :, agent], h)


def test_a_shared_unit_is_torch_s_gru_gradients_included() -> None:
    cell = _cell([0, 0])
    stock = nn.GRU(WIDTH, WIDTH)
    own = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    with torch.no_grad():
        for theirs, ours in zip(stock.parameters(), own, strict=True):
            theirs.copy_(ours[0])
    x, state = _noise(STEPS, LANES, 2, WIDTH), _noise(LANES, 2, WIDTH, seed=1)
    ours = cell(x, torch.zeros(STEPS, LANES, 2, dtype=torch.bool), state)
    theirs, _ = stock(x.flatten(1, 2), state.flatten(0, 1)[None])
    torch.testing.assert_close(ours.flatten(1, 2), theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for parameter, wanted in zip(own, stock.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad[0], wanted.grad)


@pytest.mark.parametrize("forgets", [False, True])
def test_the_written_out_gradient_is_the_true_one(forgets: bool) -> None:
    units, rows, width = 2, 3, 2
    shapes = ((units, STEPS, rows, 3 * width), (units, 3 * width, width), (units, 3 * width), (units, rows, width))
    inputs = [_noise(*shape, seed=index).double().requires_grad_() for index, shape in enumerate(shapes)]
    keep = (_noise(units, STEPS, rows, 1, seed=9) > 0).double() if forgets else None
    assert torch.autograd.gradcheck(lambda *given: gated_recurrence(*given, keep), inputs)


@pytest.mark.parametrize("scheme", list_schemes())
def test_hidden_and_output_layers_start_as_without_a_unit(scheme: str) -> None:
    plain, recurrent = build(scheme), build(scheme, recurrent="gru")
    ours, theirs = dict(recurrent.named_parameters()), dict(plain.named_parameters())
    for name, parameter in theirs.items():
        assert torch.equal(ours[name], parameter), name
    assert all(".cell." in name for name in ours.keys() - theirs.keys())


@pytest.mark.parametrize(
    ("scheme", "units"),
    [
        ("fups", 2), ("snp_ps", 2), ("adaps", 2), ("fups_id", 2), ("kaleidoscope", 2), ("gradps", 2), ("prism", 2),
        ("hypermarl", 2), ("hypermarl_linear", 2), ("nops", 30), ("dico", 31),
    ],
)  # fmt: skip
def test_units_that_each_method_holds(scheme: str, units: int) -> None:
    plain, recurrent = (build(scheme, BPS_1, (64, 64), recurrent=value) for value in ("none", "gru"))
    before, after = plain.param_report(), recurrent.param_report()
    assert after["trainable"] - before["trainable"] == units * UNIT_64
    assert after["trainable_actor"] + after["trainable_critic"] == after["trainable"]


def test_full_sharing_s_counts_and_arithmetic() -> None:
    plain, recurrent = (build("fups", BPS_1, (64, 64), recurrent=value) for value in ("none", "gru"))
    report = recurrent.param_report()
    assert (report["trainable_actor"], report["trainable_critic"]) == (P_ACTOR + UNIT_64, P_CRITIC + UNIT_64)
    extra = report["flops_per_decision"] - plain.param_report()["flops_per_decision"]
    assert extra == 2 * (64 * 192 + 64 * 192)


def test_an_actor_alone_may_remember() -> None:
    scheme = build("adaps", labels=[0, 1, 0, 1], recurrent="gru_actor")
    assert (scheme.actor_net.state_width, scheme.critic_net.state_width) == (12, 0)
    x, starts = _noise(STEPS, LANES, 4, 5), torch.zeros(STEPS, LANES, 4, dtype=torch.bool)
    values, states = scheme.critic_net.sequence(x, starts, scheme.critic_net.initial_state(LANES))
    assert torch.equal(values, scheme.critic(x.flatten(0, 1)).view(STEPS, LANES, 4, 1))
    assert states.shape == (STEPS, LANES, 4, 0)
    assert (len(scheme.actor_net.masks), len(scheme.critic_net.masks)) == (3, 2)


@pytest.mark.parametrize("execution", ["compact", "dense"])
def test_masks_cut_what_is_read_and_never_the_state(execution: str) -> None:
    scheme = randomised(build("snp_ps", execution=execution, recurrent="gru"))
    net = scheme.actor_net
    x, starts = _noise(STEPS, LANES, 4, 5), torch.zeros(STEPS, LANES, 4, dtype=torch.bool)
    logits, states = scheme.actor_net.sequence(x, starts, scheme.actor_net.initial_state(LANES))
    assert (states[-1] != 0).all()
    read = states * net.masks[-1][net.groups.labels]
    torch.testing.assert_close(logits, nn.functional.linear(read, net.weights[-1][0], net.biases[-1][0]))
    assert not torch.equal(net.masks[-1], net.masks[-2])
    for name in ("weight_ih", "weight_hh"):
        logits[:, :, 0].sum().backward(retain_graph=True)
        assert (getattr(net.cell, name).grad != 0).any(dim=-1).all(), "a gate of a masked neuron moves the others too"


def test_masks_make_recurrent_decisions_cheaper() -> None:
    compact, dense = (build("snp_ps", execution=value, recurrent="gru") for value in ("compact", "dense"))
    assert compact.actor_net.execution == "compact"
    assert compact.param_report()["flops_per_decision"] < dense.param_report()["flops_per_decision"]


def test_low_rank_units_start_as_the_shared_one_and_stay_near_it() -> None:
    scheme = build("lorasa", recurrent="gru", rank=2)
    x, starts = _noise(STEPS, LANES, 4, 5), torch.zeros(STEPS, LANES, 4, dtype=torch.bool)
    state = scheme.actor_net.initial_state(LANES)
    before, _ = scheme.actor_net.sequence(x, starts, state)
    shared = [tensor.detach().clone() for tensor in scheme.actor_net.cell.layers()]
    scheme.adapt()
    after, _ = scheme.actor_net.sequence(x, starts, state)
    torch.testing.assert_close(before, after)
    unit = scheme.actor_net.cell
    assert isinstance(unit, LowRankCell)
    randomised(scheme)
    assert all(torch.equal(*pair) for pair in zip(unit.frozen(), shared, strict=True))
    for frozen, now in zip(unit.frozen()[::2], unit.layers()[::2], strict=True):
        assert int(torch.linalg.matrix_rank(now[0] - frozen[0])) == 2
    counted = sum(parameter.numel() for parameter in scheme.actor_net.parameters())
    sizes = [(5, 16), (16, 12), (12, 36), (12, 36), (12, 3)]
    assert counted == 4 * sum(2 * (fan_in + out) for fan_in, out in sizes)


def test_low_rank_units_travel_through_state_dict() -> None:
    origin, target = (build("lorasa", recurrent="gru", seed=seed) for seed in (3, 4))
    origin.adapt()
    randomised(origin)
    target.load_state_dict(origin.state_dict())
    x, starts = _noise(STEPS, LANES, 4, 5), torch.zeros(STEPS, LANES, 4, dtype=torch.bool)
    outs = [one.actor_net.sequence(x, starts, one.actor_net.initial_state(LANES))[0] for one in (origin, target)]
    assert torch.equal(*outs)


def test_private_units_are_clipped_one_by_one_and_shared_ones_together() -> None:
    assert private_networks(build("nops", recurrent="gru")) is not None
    assert private_networks(build("hypermarl_linear", recurrent="gru")) is None
    assert private_networks(build("hypermarl_linear")) is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [({"recurrent": "lstm"}, "'lstm'; choose one of none, gru, gru_actor"), ({"recurrent": None}, "None; choose one")],
)
def test_unknown_units_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("fups", **options)


def test_a_unit_needs_a_hidden_layer() -> None:
    with pytest.raises(InvalidParameterError, match="without a hidden layer"):
        build("fups", SMALL, (), recurrent="gru")


def test_a_network_of_its_own_kind_is_refused() -> None:
    class WithoutUnit(GroupedMLP):
        takes_unit = False

    class Alone(type(build("fups"))):  # type: ignore[misc]
        def make_networks(self) -> None:
            super().make_networks()
            self.critic_net = self.kind(labels=self.labels, **self.critic_spec.options)

    def made(kind: Any, recurrent: str) -> None:
        scheme = type("Kind", (Alone,), {"kind": staticmethod(kind)})()
        scheme.build(AgentSpaces(4, 5, 3), (8,), torch_stream(0, "scheme"), recurrent=recurrent)

    made(WithoutUnit, "gru_actor")
    with pytest.raises(InvalidParameterError, match=r"how its critic runs.*takes_unit on WithoutUnit"):
        made(WithoutUnit, "gru")
    with pytest.raises(InvalidParameterError, match=r"critic_net .* is a Linear; derive it from .*AgentNetwork"):
        made(lambda **options: nn.Linear(5, 1), "none")
