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
from torch import Tensor

from adaps_agents.identity.collect import Collector
from adaps_agents.identity.encoder import EncoderConfig, IdentityEncoder
from adaps_agents.identity.phase import SEPS_ORIGINAL, Identity, IdentityConfig, identify
from adaps_agents.random_streams import numpy_stream
from adaps_agents.schemes.options import check_choice
from adaps_envs.errors import InvalidParameterError, suggest

__all__ = ["GroupSource", "checked_labels", "identity_config"]

KINDS = ("found", "true", "random", "each")
# Settings of the identity phase that have a name.
PRESETS = {"seps-original": SEPS_ORIGINAL}

logger = logging.getLogger(__name__)


class GroupSource:
    """Where the groups of a scheme come from; a scheme has one, see ``SharingScheme.group_source``.

    Args:
        labels: groups ``[N]`` from outside, or where they come from: ``found`` by the identity phase (None means the
            same); the ``true`` types, which a sharing learner hands over and the run's record then tells; ``random``,
            as many groups of the same sizes as the identity phase finds, dealt to random agents; or ``each`` agent its
            own group. Only ``found`` and ``random`` spend steps, and ``each`` if the scheme needs the agents' codes.
        identity: settings of the identity phase: an :class:`IdentityConfig`, its fields as a mapping, or the name
            ``"seps-original"``.
        types: true type of each agent, ``[N]`` integers 0..K-1; read for ``labels="true"`` alone.

    Attributes:
        kind: ``found``, ``true``, ``random``, ``each``, or ``given`` from outside.
        config: settings of the identity phase.
        uses_codes: whether the scheme uses the agents' codes as well as their groups; it says so.
        uses_effects: whether the scheme uses how rewards depend on entries of the observation; it says so.
        shuffles: whether groups of every kind are dealt to random agents; the scheme says so.
        identity: what it found, None before.

    Raises:
        InvalidParameterError: ``labels="true"`` without types, or settings that do not exist.
    """

    def __init__(
        self,
        labels: Sequence[int] | str | None = None,
        identity: IdentityConfig | Mapping[str, Any] | str | None = None,
        types: Sequence[int] | None = None,
    ) -> None:
        if isinstance(labels, str):
            check_choice("labels", labels, KINDS)
        self.kind = "found" if labels is None else labels if isinstance(labels, str) else "given"
        if self.kind == "true" and types is None:
            raise InvalidParameterError(
                "labels='true' needs types=[...], the true type of each agent; SharingA2C and SharingPPO find them."
            )
        self._given = {"given": labels, "true": types}.get(self.kind)
        self.config = identity_config(identity)
        self.uses_codes = self.uses_effects = self.shuffles = False
        self.identity: Identity | None = None

    @property
    def looks(self) -> bool:
        """Whether groups are looked for, so that they are not known from the start."""
        return self.kind in ("found", "random")

    @property
    def needs_phase(self) -> bool:
        """Whether the identity phase has something to find."""
        return self.looks or (self.kind == "each" and self.uses_codes)

    def initial_labels(self, num_agents: int, seed: int) -> Tensor:
        """Return the groups ``[N] int64`` known from the start, or one group until the identity phase has run."""
        if self.looks:
            return torch.zeros(num_agents, dtype=torch.int64)
        given = np.arange(num_agents) if self.kind == "each" else self._given
        labels = checked_labels(given, num_agents)
        return torch.from_numpy(_dealt(labels.numpy(), seed)) if self.shuffles else labels

    def least_steps(self, lanes: int) -> int:
        """Return the steps of random play that the identity phase begins with, in whole steps of B = ``lanes``."""
        return -(-self.config.env_steps // lanes) * lanes

    def identify(self, collector: Collector, seed: int, scheme: str) -> Identity:
        """Run the identity phase for a scheme of this name, keep what it found, and return it."""
        config = self.config if self.kind != "each" else replace(self.config, num_groups=collector.num_agents)
        self.identity = identify(collector, config, seed, effects=self.uses_effects)
        _tell(self.identity, scheme)
        return self.identity

    def handed_out(self, labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """Return the groups ``[N] int64`` that the agents get: those found, or found ones dealt to random agents."""
        return _dealt(labels, seed) if self.shuffles or self.kind == "random" else labels

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what the identity phase found: the autoencoder is discarded, and the labels do not tell everything.

        Names and shapes are those of :meth:`~adaps_agents.identity.phase.Identity.to_arrays`.
        """
        return {} if self.identity is None else self.identity.to_arrays()

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what :meth:`to_arrays` gave, names and shapes unchanged."""
        self.identity = Identity.from_arrays(arrays)

    def encoder_parameters(self, num_agents: int, obs_dim: int, num_actions: int) -> int:
        """Count a freshly made autoencoder: the trained one is discarded, and absent after loading."""
        model = IdentityEncoder(num_agents, obs_dim, num_actions, self.config.encoder, torch.Generator())
        return sum(parameter.numel() for parameter in model.parameters())

    def summary(self) -> dict[str, Any]:
        """Return what the identity phase found, as JSON values."""
        if self.identity is None:
            return {}
        found = self.identity
        curve = {str(k): round(score, 6) for k, score in found.curve.items()}
        return {"identity_verdict": found.verdict, "identity_reason": found.reason, "selection_curve": curve}


def _dealt(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the groups ``[N]`` dealt to random agents, the same at every call."""
    return numpy_stream(seed, "random groups").permutation(labels)


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
    if not isinstance(given, Mapping):
        raise InvalidParameterError(
            f"identity is {given!r}; give a name, an IdentityConfig, or its fields as a mapping."
        )
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


def checked_labels(labels: Any, num_agents: int) -> Tensor:
    """Return group labels as ``[N] int64``, or say what is wrong with them.

    Raises:
        InvalidParameterError: not N integers, or they are not 0..K-1 with every value used.
    """
    array = torch.as_tensor(np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels))
    if array.shape != (num_agents,) or array.is_floating_point():
        raise InvalidParameterError(
            f"labels have shape {tuple(array.shape)} and type {array.dtype}; "
            f"give one integer for each of {num_agents} agents."
        )
    used = array.unique()
    if not torch.equal(used.long(), torch.arange(len(used))):
        raise InvalidParameterError(f"labels use the groups {used.tolist()}; number them 0..K-1 without gaps.")
    return array.long().clone()
