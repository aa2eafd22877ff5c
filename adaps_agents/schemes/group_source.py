"""Where a grouping scheme takes its groups from: the identity phase, or labels given from outside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.identity.collect import Collector
from adaps_agents.identity.encoder import EncoderConfig, IdentityEncoder
from adaps_agents.identity.phase import SEPS_ORIGINAL, Identity, IdentityConfig, identify
from adaps_agents.random_streams import numpy_stream
from adaps_agents.schemes.base import SharingScheme, checked_labels
from adaps_agents.schemes.options import check_choice
from adaps_envs.errors import InvalidParameterError, suggest

__all__ = ["IdentifiedScheme"]

SOURCES = ("found", "true", "random", "each")
# Settings of the identity phase that have a name.
PRESETS = {"seps-original": SEPS_ORIGINAL}

logger = logging.getLogger(__name__)


class IdentifiedScheme(SharingScheme):
    """A scheme whose groups come from the identity phase.

    Args:
        labels: groups ``[N]`` from outside, or where they come from: ``found`` by the identity phase (None means the
            same); the ``true`` types, which a sharing learner hands over and the run's record then tells; ``random``,
            as many groups of the same sizes as the identity phase finds, dealt to random agents; or ``each`` agent its
            own group. Only ``found`` and ``random`` spend steps, and ``each`` if the scheme needs the agents' codes.
        identity: settings of the identity phase: an :class:`IdentityConfig`, its fields as a mapping, or the name
            ``"seps-original"``.
        types: true type of each agent, ``[N]`` integers 0..K-1; read for ``labels="true"`` alone.

    Raises:
        InvalidParameterError: ``labels="true"`` without types, or settings that do not exist.
    """

    def __init__(
        self,
        *,
        labels: Sequence[int] | str | None = None,
        identity: IdentityConfig | Mapping[str, Any] | str | None = None,
        types: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(labels, str):
            check_choice("labels", labels, SOURCES)
        self.groups_from = "found" if labels is None else labels if isinstance(labels, str) else "given"
        if self.groups_from == "true" and types is None:
            raise InvalidParameterError(
                "labels='true' needs types=[...], the true type of each agent; SharingA2C and SharingPPO find them."
            )
        given = labels if self.groups_from == "given" else types if self.groups_from == "true" else None
        self.given_labels = None if given is None else np.asarray(given)
        self.identity_config = identity_config(identity)
        self.identity: Identity | None = None

    def initial_labels(self) -> torch.Tensor:
        """Return the groups that are known from the start, or one group until the identity phase has run."""
        if self.groups_from == "each":
            return torch.arange(self.spaces.num_agents)
        if self.given_labels is None:
            return super().initial_labels()
        return checked_labels(self.given_labels, self.spaces.num_agents)

    def waits(self) -> bool:
        """Whether the identity phase has something to find."""
        return self.groups_from in ("found", "random") or (self.groups_from == "each" and self.needs_codes())

    def needs_codes(self) -> bool:
        """Whether the scheme uses the agents' codes beside their groups."""
        return False

    def needs_effects(self) -> bool:
        """Whether the scheme uses how rewards depend on entries of the observation."""
        return False

    def told_types(self) -> bool:
        """Whether the true types are the groups."""
        return self.groups_from == "true"

    def least_steps(self, lanes: int) -> int:
        """Return the steps of random play that the identity phase begins with, in whole steps of all lanes."""
        return -(-self.identity_config.env_steps // lanes) * lanes if self.waits() else 0

    def prepare(self, collector: Collector) -> int:
        """Run the identity phase if it has something to find, regroup, and return the environment steps spent."""
        if not self.waits():
            return 0
        config = self.identity_config
        if self.groups_from == "each":
            config = replace(config, num_groups=self.spaces.num_agents)
        self.identity = identify(collector, config, self.seed, effects=self.needs_effects())
        self.identity_steps.fill_(self.identity.env_steps)
        _tell(self.identity, self.name)
        self.use_identity(self.identity)
        return self.identity.env_steps

    def extra_state(self) -> dict[str, NDArray[Any]]:
        """Add what the identity phase found: the autoencoder is discarded, and the labels do not tell everything."""
        if self.identity is None:
            return super().extra_state()
        return {**super().extra_state(), **self.identity.to_arrays()}

    def load_extra_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what the identity phase found; the networks stay as they are."""
        super().load_extra_state(arrays)
        self.identity = Identity.from_arrays(arrays)

    def use_identity(self, identity: Identity) -> None:
        """Take over the groups that were found; a scheme that also needs the codes extends this."""
        self.regroup(self.dealt(identity.labels))

    def dealt(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the groups ``[N]`` as the agents get them: those given, or dealt to random agents."""
        return self.shuffled(labels) if self.groups_from == "random" else labels

    def shuffled(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the groups ``[N]`` dealt to random agents, the same at every call."""
        return numpy_stream(self.seed, "random groups").permutation(labels)

    def assignment(self) -> NDArray[np.int64]:
        """Return the group of each agent ``[N]``."""
        return np.asarray(self.labels.cpu())

    def param_report(self) -> dict[str, int]:
        """Add the autoencoder, which is discarded before training."""
        used = self._encoder_parameters() if self.identity_steps else 0
        return {**super().param_report(), "pretraining_parameters": used}

    def _encoder_parameters(self) -> int:
        """Count a freshly made autoencoder: the trained one is discarded, and absent after loading."""
        sizes = self.spaces.num_agents, self.spaces.obs_dim, self.spaces.num_actions
        model = IdentityEncoder(*sizes, self.identity_config.encoder, torch.Generator())
        return sum(parameter.numel() for parameter in model.parameters())

    def sharing_summary(self) -> dict[str, Any]:
        """Add what the identity phase found and spent."""
        summary = super().sharing_summary()
        summary["groups_from"] = self.groups_from
        summary["identity_steps"] = int(self.identity_steps)
        if self.identity_steps:
            summary["groups_found"] = int(self.labels.max()) + 1
        if self.identity is not None:
            summary["identity_verdict"] = self.identity.verdict
            summary["identity_reason"] = self.identity.reason
            summary["selection_curve"] = {str(k): round(score, 6) for k, score in self.identity.curve.items()}
        return summary


def _tell(identity: Identity, scheme: str) -> None:
    """Log what was found, and warn if there is one group for want of evidence."""
    found = f"{identity.num_groups} groups in {identity.env_steps} environment steps"
    logger.info("identity phase of %s: %s: %s; %s", scheme, identity.verdict, found, identity.reason)
    if identity.num_groups == 1 and identity.verdict in ("rewards too rare", "team reward", "ambiguous"):
        message = f"{scheme} goes on with one group: {identity.verdict}: {identity.reason}."
        warnings.warn(message, UserWarning, stacklevel=3)


def identity_config(given: IdentityConfig | Mapping[str, Any] | str | None) -> IdentityConfig:
    """Return the settings, from a name or a mapping of fields if need be.

    Raises:
        InvalidParameterError: an unknown name or field, or an illegal value.
    """
    if given is None:
        return IdentityConfig()
    if isinstance(given, IdentityConfig):
        return given
    if isinstance(given, str):
        check_choice("identity", given, PRESETS)
        return PRESETS[given]
    options = dict(given)
    _check_names(options, IdentityConfig)
    if isinstance(options.get("encoder"), Mapping):
        _check_names(options["encoder"], EncoderConfig)
        options["encoder"] = EncoderConfig(**options["encoder"])
    return IdentityConfig(**options)


def _check_names(options: Mapping[str, Any], config: type) -> None:
    names = [item.name for item in fields(config)]
    for name in options:
        if name not in names:
            raise InvalidParameterError(f"no identity setting {name!r}. {suggest(name, names)}")
