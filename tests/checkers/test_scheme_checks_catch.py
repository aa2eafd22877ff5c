"""Every check of ``check_scheme`` is fed a scheme that breaks exactly its rule, and must say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaps_agents.networks.grouped_mlp import GroupedMLP
from adaps_agents.schemes import SharingScheme
from adaps_agents.testing import CHECKS, SchemeCheckError, check_scheme
from baselines.schemes.fups import FuPS
from baselines.schemes.gradps import GradPS
from baselines.schemes.kaleidoscope import Kaleidoscope
from baselines.schemes.madps import MADPS
from baselines.schemes.nops import NoPS
from baselines.schemes.oracle import Oracle
from baselines.schemes.prism import Prism
from baselines.schemes.seps import SePS
from baselines.schemes.snp_ps import SNPPS


class WrongShape(FuPS):
    def critic(self, obs: Tensor) -> Tensor:
        return super().critic(obs)[..., None]


class WritesIntoObservations(FuPS):
    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs.mul_(2.0))


class DoublePrecision(FuPS):
    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs).double()


class WrongAgentOrder(NoPS):
    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs.flip(1))


def faulty(
    name: str, base: type[SharingScheme], method: str, fault: Callable[..., Any], part: str = "actor"
) -> type[SharingScheme]:
    """Return a scheme of which one network answers ``fault(network, its own method, *arguments)``."""

    def make_networks(self: Any) -> None:
        base.make_networks(self)
        net = getattr(self, f"{part}_net")
        setattr(net, method, partial(fault, net, getattr(net, method)))

    return type(name, (base,), {"make_networks": make_networks})


def next_agents(net: Any, own: Any, agent: int) -> Any:
    return own((agent + 1) % len(net.groups.labels))


FalseEffectiveParams = faulty(
    "FalseEffectiveParams",
    FuPS,
    "effective_params",
    lambda net, own, agent: [(w, b + 1) for w, b in own(agent)],
    "critic",
)


class KnowsItsIndex(SePS):
    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs) + torch.arange(obs.shape[1])[:, None]


class FalseAssignment(NoPS):
    def assignment(self) -> Any:
        return np.zeros(self.spaces.num_agents, np.int64)


class LeansOnTheNeighbour(SePS):
    def actor(self, obs: Tensor) -> Tensor:
        logits = super().actor(obs)
        return logits + 0.1 * logits.roll(1, dims=1)


class SeesTheTeam(SePS):
    def critic(self, obs: Tensor) -> Tensor:
        values = super().critic(obs)
        return values + values.detach().mean(dim=1, keepdim=True)


class BlockedGradient(FuPS):
    def actor(self, obs: Tensor) -> Tensor:
        agents = torch.arange(obs.shape[1])[:, None]
        logits = super().actor(obs)
        return torch.where(agents == 0, logits.detach(), logits)


DetachedEffectiveParams = faulty(
    "DetachedEffectiveParams",
    FuPS,
    "effective_params",
    lambda net, own, agent: [(w.detach(), b.detach()) for w, b in own(agent)],
)


class HalfTheGradient(NoPS):
    """As a loss that is summed in one scheme and averaged in another: no limit shows it, its pattern is right."""

    def critic(self, obs: Tensor) -> Tensor:
        values = super().critic(obs)
        return values.detach() + 0.5 * (values - values.detach())


def leaning(net: Any) -> Tensor:
    return 0.1 * net.biases[-1][0].detach()


class LeansOnWeightsWithoutGradient(
    faulty(
        "Leaning",
        NoPS,
        "effective_params",
        lambda net, own, agent: [*own(agent)[:-1], (own(agent)[-1][0], own(agent)[-1][1] + leaning(net))],
    )
):
    """Agents lean on the first agent's weights, in the forward and in what they say of it, but pass no gradient."""

    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs) + leaning(self.actor_net)


# The shapes are right, the masks are the first agent's for all.
OneAgentsThresholds = faulty("OneAgentsThresholds", Kaleidoscope, "effective_params", lambda net, own, agent: own(0))


class ThresholdsOfTheNeighbour(Kaleidoscope):
    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs.roll(1, dims=1)).roll(-1, dims=1)


class ThresholdsWithoutGradient(Kaleidoscope):
    def actor(self, obs: Tensor) -> Tensor:
        thresholds = list(self.actor_net.thresholds)
        for threshold in thresholds:
            threshold.requires_grad_(False)
        logits = super().actor(obs)
        for threshold in thresholds:
            threshold.requires_grad_(True)
        return logits


class MovedThresholds(Kaleidoscope):
    def aux_loss(self) -> Any:
        return super().aux_loss().expand(2)


class SpectrumOfTheFirst(Prism):
    """In the forward every agent has the first agent's singular values, of the right shape."""

    def actor(self, obs: Tensor) -> Tensor:
        net = self.actor_net
        spectra = net.spectra
        net.spectra = lambda: [s[:1].expand_as(s) for s in spectra()]
        logits = super().actor(obs)
        del net.spectra
        return logits


SpectraInTheNeighboursPlace = faulty("SpectraInTheNeighboursPlace", Prism, "effective_params", next_agents)


class CountsRankOnce(Prism):
    def param_report(self) -> dict[str, int]:
        report = super().param_report()
        lost = sum(s.numel() for s in self.actor_net.thresholds)
        return {**report, "trainable_actor": report["trainable_actor"] - lost, "trainable": report["trainable"] - lost}


class _Split(GradPS):
    """GradPS with a neuron split between the first agent and the rest."""

    fups_options = None

    def make_networks(self) -> None:
        super().make_networks()
        self.actor_net.split(3, (np.arange(self.spaces.num_agents) > 0).astype(np.int64))


# Who uses which copy is turned round in what the network says of itself.
ClonesOfTheOtherGroup = faulty("ClonesOfTheOtherGroup", _Split, "effective_params", next_agents)


class RowsNotInState(_Split):
    made = 0

    def make_networks(self) -> None:
        super().make_networks()
        self.actor_net._non_persistent_buffers_set.add("rows")
        type(self).made += 1
        self.actor_net.rows.copy_(self.actor_net.rows.roll(self.made, dims=0))


class CopiesUncounted(_Split):
    def param_report(self) -> dict[str, int]:
        report = super().param_report()
        return {**report, "trainable_actor": report["trainable_actor"] - self.spaces.obs_dim}


class UnusedPartsReported(MADPS):
    def param_report(self) -> dict[str, int]:
        report = super().param_report()
        return {**report, "trainable": report["trainable"] // self.spaces.num_agents}


class PartsOfTheNeighbour(MADPS):
    def critic(self, obs: Tensor) -> Tensor:
        return super().critic(obs.roll(1, dims=1)).roll(-1, dims=1)


class UnlikeExecution(SNPPS):
    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs) * (1.001 if self.execution == "dense" else 1.0)


class NoFullSharingLimit(Oracle):
    def critic(self, obs: Tensor) -> Tensor:
        return super().critic(obs) * 1.0001


class NoFullSharingGradient(FuPS):
    def actor(self, obs: Tensor) -> Tensor:
        logits = super().actor(obs)
        return logits.detach() + 0.5 * (logits - logits.detach())


class OtherRoot(FuPS):
    def make_networks(self) -> None:
        super().make_networks()
        with torch.no_grad():
            self.actor_net.weights[0].mul_(2.0)


class ForgetsTheCritic(FuPS):
    def param_report(self) -> dict[str, int]:
        report = super().param_report()
        return {**report, "trainable": report["trainable_actor"]}


class MixesUpTheParts(FuPS):
    def param_report(self) -> dict[str, int]:
        report = super().param_report()
        return {**report, "trainable_actor": report["trainable_critic"], "trainable_critic": report["trainable_actor"]}


class MissingCount(FuPS):
    def param_report(self) -> dict[str, int]:
        report = super().param_report()
        del report["fixed_bits"]
        return report


class HiddenParameters(FuPS):
    def make_networks(self) -> None:
        super().make_networks()
        self.extra = nn.Parameter(torch.zeros(3))


class DrawsGlobally(FuPS):
    def make_networks(self) -> None:
        super().make_networks()
        torch.rand(1)


class DrawsGloballyInNumpy(FuPS):
    def make_networks(self) -> None:
        super().make_networks()
        np.random.rand()  # noqa: NPY002  (the fault)


class NeverTheSame(FuPS):
    made = 0

    def make_networks(self) -> None:
        super().make_networks()
        type(self).made += 1
        self.register_buffer("number", torch.tensor(type(self).made))


class IgnoresTheSeed(FuPS):
    def make_networks(self) -> None:
        self.actor_spec, self.critic_spec = (replace(spec, seed=3) for spec in (self.actor_spec, self.critic_spec))
        super().make_networks()


class MasksNotInState(SNPPS):
    def make_networks(self) -> None:
        super().make_networks()
        for net in (self.actor_net, self.critic_net):
            for name in [name for name, _ in net.named_buffers() if name.startswith("mask_")]:
                net._non_persistent_buffers_set.add(name)


class ReportForgets(FuPS):
    def param_report(self) -> dict[str, int]:
        return {**super().param_report(), "pretraining_parameters": self.seed % 1000}


class DriftingMask(SNPPS):
    def actor(self, obs: Tensor) -> Tensor:
        logits = super().actor(obs)
        self.actor_net.masks[0].logical_not_()
        return logits


class VectorLoss(FuPS):
    acts_in_training = True

    def aux_loss(self) -> Tensor | None:
        return torch.zeros(3, requires_grad=True)


class SilentUpdate(FuPS):
    def after_update(self, update: int) -> Any:
        return None


NeverForgets = faulty(
    "NeverForgets", FuPS, "sequence", lambda net, own, obs, starts, state: own(obs, torch.zeros_like(starts), state)
)
RemembersNothing = faulty(
    "RemembersNothing",
    FuPS,
    "sequence",
    lambda net, own, obs, starts, state: own(obs, torch.ones_like(starts), state),
    "critic",
)


def looks_ahead(net: Any, own: Any, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
    logits, states = own(obs, starts, state)
    return logits + 0.1 * obs.mean(dim=(0, 3), keepdim=True), states


def remembers_for_others(net: Any, own: Any, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
    logits, states = own(obs, starts, state)
    return logits + 0.1 * logits.roll(1, dims=2), states


def drops_the_state(net: Any, own: Any, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
    values, states = own(obs, starts, state)
    return values, torch.zeros_like(states)


def false_unit(net: Any, own: Any, agent: int) -> Any:
    layers = own(agent)
    if net.cell is not None:
        layers[-2] = (layers[-2][0] * 1.1, layers[-2][1])
    return layers


LooksAhead = faulty("LooksAhead", FuPS, "sequence", looks_ahead)
RemembersForOthers = faulty("RemembersForOthers", FuPS, "sequence", remembers_for_others)
DropsTheState = faulty("DropsTheState", FuPS, "sequence", drops_the_state, "critic")
FalseUnit = faulty("FalseUnit", FuPS, "effective_params", false_unit)
PrivateMemoryLeaks = faulty(
    "PrivateMemoryLeaks", SePS, "unit_labels", lambda net, own: torch.arange(len(net.groups.labels))
)


class ForgottenByTheActor(FuPS):
    """Decides otherwise than the sequences do that it is trained on."""

    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs) * (1.1 if self.recurrent_parts else 1.0)


class UndeclaredUpdate(FuPS):
    """Stock learners would leave out what it does after updates."""

    def after_update(self, update: int) -> bool:
        with torch.no_grad():
            self.actor_net.biases[0].add_(1.0)
        return False


class UndeclaredPhase(FuPS):
    """Plays before training, which learners do not know."""

    def prepare(self, collector: Any) -> int:
        collector.collect(20)
        return collector.env_steps


class Nameless(FuPS):
    summary = " "


TWINS: list[tuple[type[SharingScheme], str, str]] = [
    (WrongShape, "shapes", "critic returns"),
    (WritesIntoObservations, "shapes", "writes into the observations"),
    (DoublePrecision, "shapes", "float64"),
    (WrongAgentOrder, "batch_equals_loop", "actor: agent"),
    (FalseEffectiveParams, "batch_equals_loop", "critic: agent"),
    (KnowsItsIndex, "same_group_same_output", "equal inputs of agents"),
    (FalseAssignment, "same_group_same_output", "share a group but not all parameters"),
    (KnowsItsIndex, "permutation", "inside their groups"),
    (LeansOnTheNeighbour, "gradient_reach", "leaks into"),
    (BlockedGradient, "gradient_reach", "does not reach"),
    (DetachedEffectiveParams, "gradient_reach", "detached copies"),
    (HalfTheGradient, "gradient_scale", "away from that of the agents' mean"),
    (LeansOnWeightsWithoutGradient, "outside_is_inert", "without a gradient"),
    (OneAgentsThresholds, "batch_equals_loop", "actor: agent"),
    (ThresholdsOfTheNeighbour, "batch_equals_loop", "actor: agent"),
    (ThresholdsOfTheNeighbour, "gradient_reach", "leaks into"),
    (ThresholdsWithoutGradient, "gradient_reach", "does not reach"),
    (MovedThresholds, "hooks", "aux_loss()"),
    (SpectrumOfTheFirst, "batch_equals_loop", "actor: agent"),
    (SpectraInTheNeighboursPlace, "batch_equals_loop", "actor: agent"),
    (SpectraInTheNeighboursPlace, "gradient_reach", "leaks into"),
    (CountsRankOnce, "counts", "the optimiser holds"),
    (ClonesOfTheOtherGroup, "batch_equals_loop", "actor: agent"),
    (ClonesOfTheOtherGroup, "gradient_reach", "does not reach"),
    (RowsNotInState, "checkpoint", "outputs change"),
    (CopiesUncounted, "counts", "its output depends on"),
    (UnusedPartsReported, "counts", "the optimiser holds"),
    (PartsOfTheNeighbour, "batch_equals_loop", "critic: agent"),
    (SeesTheTeam, "outside_is_inert", "feels a change"),
    (UnlikeExecution, "execution", "compact and dense"),
    (NoFullSharingLimit, "fups_limit", "outputs are not those"),
    (NoFullSharingGradient, "fups_limit", "gradients are not those"),
    (OtherRoot, "fups_limit", "weights are not those"),
    (OtherRoot, "root_weights", "actor_net.weights.0"),
    (ForgetsTheCritic, "counts", "the optimiser holds"),
    (MixesUpTheParts, "counts", "its output depends on"),
    (MissingCount, "counts", "'fixed_bits'"),
    (HiddenParameters, "counts", "parameter_formula 'P'"),
    (DrawsGlobally, "determinism", "global generator"),
    (DrawsGloballyInNumpy, "determinism", "global generator"),
    (NeverTheSame, "determinism", "differ in number"),
    (IgnoresTheSeed, "determinism", "does not reach the weights"),
    (MasksNotInState, "checkpoint", "state_dict"),
    (ReportForgets, "checkpoint", "param_report() changes"),
    (DriftingMask, "structure_is_fixed", "mask_0 changes"),
    (VectorLoss, "hooks", "aux_loss()"),
    (SilentUpdate, "hooks", "after_update() returns None"),
    (Nameless, "hooks", "summary"),
    (UndeclaredUpdate, "hooks", "acts_in_training is False"),
    (UndeclaredPhase, "preparation", "needs_identity_phase is False"),
    (ForgottenByTheActor, "memory", "first step"),
    (NeverForgets, "memory", "remembers what was before its start"),
    (RemembersNothing, "memory", "remember nothing"),
    (LooksAhead, "memory", "one by one"),
    (RemembersForOthers, "memory", "what others have seen"),
    (DropsTheState, "memory", "one by one"),
    (FalseUnit, "batch_equals_loop", "recurrent"),
    (PrivateMemoryLeaks, "same_group_same_output", "share a group but not all parameters"),
]


@pytest.mark.parametrize(("twin", "check", "said"), TWINS, ids=[f"{twin.__name__}-{check}" for twin, check, _ in TWINS])
def test_the_fault_is_found_by_its_check(twin: type[SharingScheme], check: str, said: str) -> None:
    result = next(result for result in check_scheme(twin).results if result.name == check)
    assert not result.passed
    assert said in result.message


def test_every_check_has_a_broken_twin() -> None:
    assert {check for _, check, _ in TWINS} == set(CHECKS)


def test_a_scheme_that_cannot_remember_is_checked_without_memory() -> None:
    class WithoutUnit(GroupedMLP):
        takes_unit = False

    class OwnNetwork(FuPS):
        def make_networks(self) -> None:
            self.actor_net = WithoutUnit(labels=self.labels, **self.actor_spec.options)
            self.critic_net = self.critic_spec.grouped(self.labels)

    report = check_scheme(OwnNetwork)
    report.raise_if_failed()
    assert {result.name: result.message for result in report.results}["memory"] == (
        "not applicable: no recurrent networks"
    )


@pytest.mark.parametrize("sound", [FuPS, NoPS, SePS, Oracle, SNPPS])
def test_the_unbroken_schemes_pass(sound: type[SharingScheme]) -> None:
    check_scheme(sound).raise_if_failed()


def test_an_error_inside_a_check_is_a_failure_not_a_crash() -> None:
    class Crashes(FuPS):
        def assignment(self) -> Any:
            raise RuntimeError("boom")

    report = check_scheme(Crashes)
    assert {result.name for result in report.results if not result.passed} == {"same_group_same_output", "checkpoint"}
    failed: Callable[[], None] = report.raise_if_failed
    with pytest.raises(SchemeCheckError, match=r"(?s)fails 2 checks.*boom"):
        failed()
