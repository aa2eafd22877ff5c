"""AdaPS with relevance gates: every group reads the entries of the observation that its reward depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from adaps_agents.identity.collect import Collector
from adaps_agents.identity.phase import IdentityConfig
from adaps_agents.identity.reward_effects import Effects, measured_effects, relevance_gates
from adaps_agents.networks.agent_network import AgentNetwork
from adaps_agents.networks.build import NetworkSpec
from adaps_agents.networks.gated_mlp import GatedMLP
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.adaps import AdaPS
from adaps_agents.schemes.mask_mapping import PAPER_KEEP, MappingConfig
from adaps_agents.schemes.options import MAX_UNITS, check_choice, check_count
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "AdaPSGates"]

MASKS = ("auto", "always", "never")
# Where trained gains come from, and how many parameters they are in F inputs, K groups and codes of D numbers.
GAINS = {"none": "0", "groups": "K F", "mapped": "D F"}
# What a group keeps of each layer where gates tell all groups apart, and masks only keep their readings apart.
KEPT_BESIDE_GATES = 0.8
# Two groups whose gates differ by this much at some entry are told apart by their gates.
TOLD_APART = 0.5


class AdaPSGates(AdaPS):
    """Adaptive parameter sharing with gates at the input.

    AdaPS masks hidden neurons, so every group must learn its own reading of the observation with a part of the first
    layer, and with many groups each neuron serves many of them. Here a group differs in what it *reads*: entry ``f`` of
    its observation is multiplied by a fixed gate in [0, 1], the root of the share of reward variance that the entry
    explains in this group over the greatest share in any group; entries that explain nothing are open where they move
    one that does. The shares come from ridge regressions on the transitions that the identity phase has played anyway:
    nothing is trained, no parameter is added and no further step is spent. All neurons stay shared.

    Where gates do not tell all groups apart (types that differ in their dynamics, rewards too rare to explain), and
    where an entry means other things to other groups (types that see entries in another order), AdaPS's masks over
    hidden neurons are a second factor: without any relevance the scheme is ``adaps``, and with one group it
    is full sharing, both exactly.

    Args:
        masks: masks over hidden neurons too: ``auto`` where gates do not suffice, ``always`` or ``never``.
        gains: train the gates from there: one gain for each group and entry (``groups``, K F parameters a network),
            or a linear map from a fixed random code of the group to its gains (``mapped``, F D parameters a network
            whatever K); ``none`` keeps the gates fixed.
        gain_code: D, length of the codes of ``mapped`` gains; at least K.
        labels, types, identity, **options: as for :class:`~adaps_agents.schemes.adaps.AdaPS`, all but ``units``; where
            gates tell all groups apart, ``keep`` is 0.8 unless given. With
            groups from outside the phase only plays ``identity.env_steps`` steps to measure relevance.
            ``labels="each"`` with ``masks="never"`` gates every agent by itself, without clustering.
    """

    name = "adaps_gates"
    summary = "one shared network that each group found by the identity phase reads through fixed relevance gates"
    source = "this project (docs/explanation/adaps-gates.md); groups and masks: Li et al., arXiv 2312.09009"
    parameter_formula = "P"
    fups_options: ClassVar[Mapping[str, Any] | None] = {"masks": "never"}

    def __init__(
        self,
        *,
        masks: str = "auto",
        gains: str = "none",
        gain_code: int = 32,
        labels: Sequence[int] | str | None = None,
        identity: IdentityConfig | Mapping[str, Any] | None = None,
        types: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        check_choice("masks", masks, MASKS)
        check_choice("gains", gains, GAINS)
        check_count("gain_code", gain_code, high=MAX_UNITS)
        if "units" in options:
            raise InvalidParameterError("adaps_gates masks neurons only; leave units out, or take scheme 'adaps'.")
        super().__init__(labels=labels, identity=identity, types=types, **options)
        self.group_source.uses_effects = True
        self.masks_wanted, self.gains, self.gain_code = masks, gains, gain_code
        if gains != "none":
            self.parameter_formula = f"P + {GAINS[gains]} an actor or critic"  # type: ignore[misc]
            self.fups_options = {"masks": "never", "gains": "none"}  # type: ignore[misc]
        # Not for disjoint masks, nor for those whose values say how much is kept.
        self._free_keep = options.get("keep") is None and self.mapping.keep == PAPER_KEEP
        self._free_keep &= self.mapping.binarisation in ("top_k", "bernoulli")
        self._effects: Effects | None = None

    def initial_labels(self) -> Tensor:
        """Return the source's groups ``[N] int64``; with several given, relevance must be measured before training."""
        labels = super().initial_labels()
        self.needs_identity_phase |= int(labels.max()) > 0
        return labels

    def prepare(self, collector: Collector) -> int:
        """Run the identity phase, or where groups are given play its steps, and make the gates."""
        if self.group_source.needs_phase or not self.needs_identity_phase:
            return super().prepare(collector)
        before = collector.env_steps
        self._effects = measured_effects(collector.collect(self.group_source.config.env_steps), self.spaces.num_agents)
        self.identity_steps.fill_(collector.env_steps - before)
        self.regroup(self.labels)
        return collector.env_steps - before

    def group_gates(self) -> Tensor:
        """Return the gates ``[K, F]`` of the present groups; ones where nothing is known."""
        labels, effects = self.labels.cpu().numpy(), self.effects
        if effects is None or labels.max() == 0:
            return torch.ones(int(labels.max()) + 1, self.spaces.obs_dim)
        return torch.from_numpy(relevance_gates(effects, labels))

    @property
    def used_mapping(self) -> MappingConfig:
        """The settings that masks are made by; where gates tell groups apart, they keep more unless told how much."""
        more = self._free_keep and told_apart(self.group_gates())
        return replace(self.mapping, keep=KEPT_BESIDE_GATES) if more else self.mapping

    @property
    def effects(self) -> Effects | None:
        """What was measured, None before."""
        identity = self.group_source.identity
        return self._effects if identity is None else identity.effects

    def gates_suffice(self, gates: Tensor) -> bool:
        """Whether gates ``[K, F]`` tell all groups apart, and entries mean the same to all."""
        effects = self.effects
        return told_apart(gates) and (effects is None or effects.entries_mean_the_same(self.labels.cpu().numpy()))

    def _masked_network(self, spec: NetworkSpec, masks: Sequence[Tensor]) -> AgentNetwork:
        """Return a network with gates, and with masks ``[K, width]`` a layer where they are wanted."""
        gates = self.group_gates()
        masked = self.masks_wanted == "always" or (self.masks_wanted == "auto" and not self.gates_suffice(gates))
        used = masks if masked else [torch.ones_like(mask, dtype=torch.bool) for mask in masks]
        own = torch.cat([norm_kept(gates), torch.ones(len(gates), spec.sizes[0] - gates.shape[1])], dim=1)
        options = {"labels": self.labels, "masks": used, "execution": self.execution, **spec.options}
        return GatedMLP(gates=own, gains=self._gain_codes(), **options)

    def _gain_codes(self) -> Tensor | None:
        """Return the codes of the groups ``[K, D]`` that trained gains are mapped from, or None for fixed gates."""
        number = int(self.labels.max()) + 1
        if self.gains == "none" or number == 1:
            return None
        if self.gains == "groups":
            return torch.eye(number)
        if number > self.gain_code:
            raise InvalidParameterError(
                f"gain_code is {self.gain_code} for {number} groups; a code shorter than the number of groups cannot "
                f"give each its own gains, so take gain_code={number} or more."
            )
        codes = torch.empty(number, self.gain_code)
        return torch.nn.init.orthogonal_(codes, generator=torch_stream(self.seed, "gains"))

    def sharing_summary(self) -> dict[str, Any]:
        """Add how many entries each group reads."""
        net = self.actor_net
        assert isinstance(net, GatedMLP)
        read = (net.current_gates() != 0).sum(dim=1).tolist()
        return {**super().sharing_summary(), "entries_read": read}


def told_apart(gates: Tensor) -> bool:
    """Whether every two groups' gates ``[K, F]`` differ clearly at some entry."""
    if len(gates) < 2:
        return True
    differences = (gates[:, None] - gates[None]).abs().amax(dim=2)
    return bool((differences + torch.eye(len(gates)) >= TOLD_APART).all())


def norm_kept(gates: Tensor) -> Tensor:
    """Return gates ``[K, F]`` scaled so that each row's squares add up to F, as those of open gates do.

    A group that reads few of many entries then starts with signals, and learns at a speed, as of full sharing.
    """
    return gates * (gates.shape[1] / gates.square().sum(dim=1, keepdim=True)).sqrt()


SCHEME = AdaPSGates
