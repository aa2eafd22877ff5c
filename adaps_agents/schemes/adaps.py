"""AdaPS: every group of agents uses its own subnetwork of one shared network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.identity.phase import IdentityConfig
from adaps_agents.networks.agent_network import AgentNetwork
from adaps_agents.networks.build import NetworkSpec
from adaps_agents.networks.grouped_mlp import EXECUTION, Activation
from adaps_agents.networks.weight_masked_mlp import WeightMaskedMLP
from adaps_agents.schemes.base import AgentSpaces, SharingScheme
from adaps_agents.schemes.group_source import GroupSource
from adaps_agents.schemes.mask_mapping import MappingConfig, group_masks
from adaps_envs.errors import InvalidParameterError, suggest

__all__ = ["SCHEME", "AdaPS"]

MASKED = ("separate", "same", "actor")
MAX_WIDTH = 64
UNITS = ("neurons", "weights", "both")
RESCALE = {"none": 0.0, "inverse": 1.0, "inverse_sqrt": 0.5}


Centres: TypeAlias = "NDArray[np.float32]"


class Rescaled:
    """An activation whose output is multiplied by ``factor``, to make up for masked neurons."""

    def __init__(self, activation: Activation, factor: float) -> None:
        self.activation, self.factor = activation, factor

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``factor * activation(x)``."""
        return self.activation(x) * self.factor


class AdaPS(SharingScheme):
    """Adaptive parameter sharing.

    The identity phase gives every agent a code and clusters the codes; a fixed mapping network turns each cluster's
    centre into a mask over the hidden neurons of ONE actor and ONE critic. Hidden layer ``l`` of an agent in group
    ``k`` computes ``m_k^l * activation(W_l h + b_l)``. Agents of a group share all they learn, groups overlap in part,
    and the optimiser holds exactly the parameters of full sharing.

    No code of the authors is public, and the full text was not at hand. What is stated is the code, the cluster's
    centre, a mapping network with a sigmoid, and the mask. Decided here: masks keep exactly a share of each layer
    (equal capacity; a sigmoid cut at .5 leaves single layers with a third); neurons are masked, not weights, as in
    SNP-PS; centres are standardised over groups and the mapping is drawn again until masks differ (centres have much in
    common, and masks would nearly coincide); the mapping is random and fixed (nothing is trained); groups are found
    by tests, down to one (K-means finds at least two); masks stay as they are from the start of training on.

    Args:
        masked: ``separate`` masks for actor and critic (default: the critic cannot see the type either), the ``same``
            mask for both, or ``actor`` only.
        units: what is masked: hidden ``neurons`` (default), single ``weights``, or ``both``.
        rescale: multiply hidden activations by ``1/keep`` (``inverse``) or its root (``inverse_sqrt``), or ``none``.
            ``keep`` is the nominal share, also where binarisation keeps more or less.
        width: hidden layers are this many times as wide as ``net_arch`` says (rounded). ``width=2`` with ``keep=0.5``
            runs as many neurons for each agent as full sharing does, and stores twice as many.
        execution: ``auto``, ``compact`` or ``dense``, see :class:`~adaps_agents.networks.grouped_mlp.MaskedMLP`.
        labels, types: where the groups come from, see :class:`~adaps_agents.schemes.group_source.GroupSource`.
            Groups that the identity phase does not find have one-hot vectors as centres; with ``random`` labels the
            centres are those of the groups as found, and with ``each`` the agents' own codes.
        identity: settings of the identity phase.
        **mapping: fields of :class:`~adaps_agents.schemes.mask_mapping.MappingConfig`, e.g. ``keep=0.25``.
    """

    name = "adaps"
    summary = "one shared network, a mask over hidden neurons for each group found by the identity phase"
    source = "Li et al., ICASSP 2024, arXiv 2312.09009"
    parameter_formula = "P"
    forms_groups = True
    fups_options: ClassVar[Mapping[str, Any] | None] = {
        "keep": 1.0, "codes": "mapped", "binarisation": "top_k", "units": "neurons"
    }  # fmt: skip

    group_source: GroupSource

    def __init__(
        self,
        *,
        masked: str = "separate",
        units: str = "neurons",
        rescale: str = "none",
        width: float = 1.0,
        execution: str = "auto",
        labels: Sequence[int] | str | None = None,
        identity: IdentityConfig | Mapping[str, Any] | None = None,
        types: Sequence[int] | None = None,
        **mapping: Any,
    ) -> None:
        names = [item.name for item in fields(MappingConfig)]
        for option in mapping:
            if option not in names:
                raise InvalidParameterError(f"AdaPS has no option {option!r}. {suggest(option, names)}")
        for option, value, allowed in (
            ("masked", masked, MASKED), ("units", units, UNITS), ("rescale", rescale, RESCALE),
            ("execution", execution, EXECUTION),
        ):  # fmt: skip
            if value not in allowed:
                raise InvalidParameterError(f"{option} is {value!r}; choose one of {', '.join(allowed)}.")
        if not isinstance(width, (int, float)) or isinstance(width, bool) or not 0 < width <= MAX_WIDTH:
            raise InvalidParameterError(f"width is {width!r}; it must be a number above 0, at most {MAX_WIDTH}.")
        if masked == "same" and units != "neurons":
            raise InvalidParameterError(
                f"masked='same' with units={units!r}: actor and critic have different weights; "
                "mask neurons, or use 'separate'."
            )
        settings = MappingConfig(**mapping)
        groups = GroupSource(labels, identity, types)
        groups.uses_codes = settings.codes == "mapped"
        super().__init__(groups)
        self.masked, self.units, self.rescale, self.width = masked, units, rescale, width
        self.execution, self.mapping = execution, settings

    def build(self, spaces: AgentSpaces, hidden: Sequence[int], *args: Any, **kwargs: Any) -> None:
        """Create the networks, ``width`` times as wide as ``hidden`` says."""
        super().build(spaces, [max(1, round(self.width * layer)) for layer in hidden], *args, **kwargs)

    def make_networks(self) -> None:
        """Make actor and critic with the masks of the present groups."""
        number = int(self.labels.max()) + 1
        identity = self.group_source.identity
        centres = np.eye(number, dtype=np.float32) if identity is None else identity.centres
        if len(centres) != number:
            centres = np.eye(number, dtype=np.float32)
        exponent = RESCALE[self.rescale] if number > 1 else 0.0
        specs = self.actor_spec, self.critic_spec
        keep = self.used_mapping.kept(number, min(specs[0].mask_widths, default=1))
        rescaled = Rescaled(self.activation, keep**-exponent) if exponent else self.activation
        if self.units == "neurons":
            masks = self._masks(centres, *(spec.mask_widths for spec in specs))
            plain = self.activation if self.masked == "actor" else rescaled
            self.actor_net = self._masked_network(replace(specs[0], activation=rescaled), masks[0])
            self.critic_net = self._masked_network(replace(specs[1], activation=plain), masks[1])
        else:
            self._make_weight_masked(centres, rescaled)

    @property
    def used_mapping(self) -> MappingConfig:
        """The settings that masks are made by."""
        return self.mapping

    def _masked_network(self, spec: NetworkSpec, masks: Sequence[Tensor]) -> AgentNetwork:
        """Return a network with these masks, ``[K, width]`` a layer."""
        return spec.masked(self.labels, masks, self.execution)

    def _masks(self, centres: Centres, actor: list[int], critic: list[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the masks of layers of the given widths, for actor and critic as ``masked`` says."""
        if self.masked == "separate":
            masks = group_masks(centres, actor + critic, self.used_mapping, self.seed, "masks")
            return masks[: len(actor)], masks[len(actor) :]
        shared = group_masks(centres, actor, self.used_mapping, self.seed, "masks")
        if self.masked == "same":
            return shared, shared[: len(critic)]
        return shared, [torch.ones(len(centres), width, dtype=torch.bool) for width in critic]

    def _make_weight_masked(self, centres: Centres, activation: Activation) -> None:
        """Make networks whose single weights are masked, under masked neurons or not."""
        both = list(self.hidden) if self.units == "both" else []
        specs = [replace(spec, activation=activation) for spec in (self.actor_spec, self.critic_spec)]
        widths = [both + [fan_in * out for fan_in, out in pairwise(spec.sizes)] for spec in specs]
        nets = []
        for spec, masks in zip(specs, self._masks(centres, *widths), strict=True):
            neurons = masks[: len(both)] or None
            weight_masks, bias_masks = joined_masks(spec.sizes, masks[len(both) :], neurons)
            options = {"labels": self.labels, "weight_masks": weight_masks, "bias_masks": bias_masks, **spec.options}
            nets.append(WeightMaskedMLP(**options))
        self.actor_net, self.critic_net = nets

    def param_report(self) -> dict[str, int]:
        """Add the frozen mapping network (weights and biases as published counts have them)."""
        report = super().param_report()
        if self.mapping.codes == "mapped" and int(self.labels.max()) > 0:
            nets = (self.actor_net, self.critic_net) if self.masked == "separate" else (self.actor_net,)
            outputs = sum(mask.shape[1] for net in nets for mask in net.masks or ())
            inputs = self.group_source.config.encoder.latent if self.identity_steps else int(self.labels.max()) + 1
            hidden = self.mapping.hidden
            report["fixed_parameters"] = (inputs + 1) * hidden + (hidden + 1) * outputs
        return report


def joined_masks(
    sizes: Sequence[int], weights: Sequence[Tensor], neurons: Sequence[Tensor] | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return weight masks ``[K, out, in]`` and bias masks ``[K, out]``; a masked neuron loses all it is joined to.

    A neuron's gate or sign multiplies its activation, so it goes to the weights that read the neuron.
    """
    groups = len(weights[0])
    gates = list(neurons or [torch.ones(groups, width, dtype=torch.bool) for width in sizes[1:-1]])
    ends = [torch.ones(groups, width, dtype=torch.bool) for width in (sizes[0], sizes[-1])]
    before, after = [ends[0], *gates], [*(gate != 0 for gate in gates), ends[1]]
    # The product of booleans is boolean, of signs and booleans a sign, of anything and a gate a gate.
    weight_masks = [
        mask.view(groups, out, fan_in) * into[:, :, None] * out_of[:, None, :]
        for mask, (fan_in, out), out_of, into in zip(weights, pairwise(sizes), before, after, strict=True)
    ]
    return weight_masks, after


SCHEME = AdaPS
