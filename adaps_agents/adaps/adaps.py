"""AdaPS: every group of agents uses its own subnetwork of one shared network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.adaps.mapping import MappingConfig, group_masks
from adaps_agents.identity.labels import IdentifiedScheme
from adaps_agents.identity.phase import Identity, IdentityConfig
from adaps_envs.errors import InvalidParameterError, suggest

__all__ = ["SCHEME", "AdaPS"]

MASKED = ("separate", "same", "actor")


class AdaPS(IdentifiedScheme):
    """Adaptive parameter sharing.

    The identity phase gives every agent a code and clusters the codes; a fixed mapping network turns each cluster's
    centre into a mask over the hidden neurons of ONE actor and ONE critic. Hidden layer ``l`` of an agent in group
    ``k`` computes ``m_k^l * activation(W_l h + b_l)``. Agents of a group share all they learn, groups overlap in part,
    and the optimiser holds exactly the parameters of full sharing.

    Args:
        masked: ``separate`` masks for actor and critic (default: the critic cannot see the type either), the ``same``
            mask for both, or ``actor`` only.
        execution: ``auto``, ``compact`` or ``dense``, see :class:`~adaps_agents.sharing.layers.MaskedMLP`.
        labels: groups from outside; their centres are then one-hot vectors.
        identity: settings of the identity phase.
        **mapping: fields of :class:`~adaps_agents.adaps.mapping.MappingConfig`, e.g. ``keep=0.25``.
    """

    name = "adaps"
    summary = "one shared network, a mask over hidden neurons for each group found by the identity phase"
    source = "Li et al., ICASSP 2024, arXiv 2312.09009"
    parameter_formula = "P"

    def __init__(
        self,
        *,
        masked: str = "separate",
        execution: str = "auto",
        labels: Sequence[int] | None = None,
        identity: IdentityConfig | Mapping[str, Any] | None = None,
        **mapping: Any,
    ) -> None:
        super().__init__(labels=labels, identity=identity)
        names = [item.name for item in fields(MappingConfig)]
        for option in mapping:
            if option not in names:
                raise InvalidParameterError(f"AdaPS has no option {option!r}. {suggest(option, names)}")
        if masked not in MASKED:
            raise InvalidParameterError(f"masked is {masked!r}; choose one of {', '.join(MASKED)}.")
        self.masked = masked
        self.execution = execution
        self.mapping = MappingConfig(**mapping)
        self._centres: NDArray[np.float32] | None = None

    def use_identity(self, identity: Identity) -> None:
        """Keep the centres, from which the masks are made, and regroup."""
        self._centres = identity.centres
        super().use_identity(identity)

    def make_networks(self) -> None:
        """Make actor and critic with the masks of the present groups."""
        number = int(self.labels.max()) + 1
        centres = self._centres
        if centres is None or len(centres) != number:
            centres = np.eye(number, dtype=np.float32)
        width = list(self.hidden)
        if self.masked == "separate":
            masks = group_masks(centres, width * 2, self.mapping, self.seed, "masks")
            actor, critic = masks[: len(width)], masks[len(width) :]
        else:
            actor = group_masks(centres, width, self.mapping, self.seed, "masks")
            critic = actor if self.masked == "same" else [torch.ones_like(mask) for mask in actor]
        self.make_masked_networks(actor, critic, self.execution)

    def param_report(self) -> dict[str, int]:
        """Add the frozen mapping network (weights and biases as published counts have them)."""
        report = super().param_report()
        if self.mapping.codes == "mapped" and int(self.labels.max()) > 0:
            outputs = sum(self.hidden) * (2 if self.masked == "separate" else 1)
            inputs = self._centres.shape[1] if self._centres is not None else int(self.labels.max()) + 1
            hidden = self.mapping.hidden
            report["fixed_parameters"] = (inputs + 1) * hidden + (hidden + 1) * outputs
        return report


SCHEME = AdaPS
