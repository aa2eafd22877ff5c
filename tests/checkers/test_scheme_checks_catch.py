"""Every check of ``check_scheme`` is fed a scheme that breaks exactly its rule, and must say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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


class FalseEffectiveParams(FuPS):
    def effective_params(self, agent: int) -> Any:
        layers = super().effective_params(agent)
        return {**layers, "critic": [(weight, bias + 1) for weight, bias in layers["critic"]]}


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


class DetachedEffectiveParams(FuPS):
    def effective_params(self, agent: int) -> Any:
        layers = super().effective_params(agent)
        return {part: [(w.detach(), b.detach()) for w, b in layers[part]] for part in layers}


class HalfTheGradient(NoPS):
    """As a loss that is summed in one scheme and averaged in another: no limit shows it, its pattern is right."""

    def critic(self, obs: Tensor) -> Tensor:
        values = super().critic(obs)
        return values.detach() + 0.5 * (values - values.detach())


class LeansOnWeightsWithoutGradient(NoPS):
    """Agents lean on the first agent's weights, in the forward and in what they say of it, but pass no gradient."""

    def _leaning(self) -> Tensor:
        return 0.1 * self.actor_net.biases[-1][0].detach()

    def actor(self, obs: Tensor) -> Tensor:
        return super().actor(obs) + self._leaning()

    def effective_params(self, agent: int) -> Any:
        layers = super().effective_params(agent)
        *hidden, (head, offset) = layers["actor"]
        return {**layers, "actor": [*hidden, (head, offset + self._leaning())]}


class OneAgentsThresholds(Kaleidoscope):
    """The shapes are right, the masks are the first agent's for all."""

    def effective_params(self, agent: int) -> Any:
        return super().effective_params(0)


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


class SpectraInTheNeighboursPlace(Prism):
    def effective_params(self, agent: int) -> Any:
        return super().effective_params((agent + 1) % self.spaces.num_agents)


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


class ClonesOfTheOtherGroup(_Split):
    """Who uses which copy is turned round in what the scheme says of itself."""

    def effective_params(self, agent: int) -> Any:
        return super().effective_params((agent + 1) % self.spaces.num_agents)


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
        self.seed = 3
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
    def aux_loss(self) -> Tensor | None:
        return torch.zeros(3, requires_grad=True)


class SilentUpdate(FuPS):
    def after_update(self, update: int) -> Any:
        return None


class NeverForgets(FuPS):
    def actor_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
        return super().actor_sequence(obs, torch.zeros_like(starts), state)


class RemembersNothing(FuPS):
    def critic_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
        return super().critic_sequence(obs, torch.ones_like(starts), state)


class LooksAhead(FuPS):
    def actor_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
        logits, states = super().actor_sequence(obs, starts, state)
        return logits + 0.1 * obs.mean(dim=(0, 3), keepdim=True), states


class RemembersForOthers(FuPS):
    def actor_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
        logits, states = super().actor_sequence(obs, starts, state)
        return logits + 0.1 * logits.roll(1, dims=2), states


class DropsTheState(FuPS):
    def critic_sequence(self, obs: Tensor, starts: Tensor, state: Tensor) -> Any:
        values, states = super().critic_sequence(obs, starts, state)
        return values, torch.zeros_like(states)


class PrivateMemoryLeaks(SePS):
    def unit_labels(self, net: Any) -> Tensor:
        return torch.arange(self.spaces.num_agents)


class FalseUnit(FuPS):
    def effective_params(self, agent: int) -> Any:
        layers = super().effective_params(agent)
        if self.recurrent_parts:
            weight, bias = layers["actor"][-2]
            layers["actor"][-2] = (weight * 1.1, bias)
        return layers


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
    class OwnActor(FuPS):
        def actor(self, obs: Tensor) -> Tensor:
            return super().actor(obs)

    report = check_scheme(OwnActor)
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
