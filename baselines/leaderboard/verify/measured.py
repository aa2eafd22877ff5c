"""Measuring anew what ``sharing.json`` says of a policy: counts, groups, masks, diversity. This needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adaps_envs.errors import InvalidStateError
from baselines.leaderboard.execution.diagnosis import sharing_of
from baselines.leaderboard.execution.replay import open_environment
from baselines.leaderboard.records.reader import FinishedRun
from baselines.leaderboard.verify.compare import ABSENT, different_leaves
from baselines.leaderboard.verify.verdict import Fault
from baselines.leaderboard.verify.weights import FINAL

__all__ = ["DIAGNOSTICS_APART", "SAME_KIND_APART", "identity_faults", "sharing_faults"]

SAME_KIND_APART = 1e-6
"""By how much measured shares and distances may differ on the kind of machine that the record names."""

DIAGNOSTICS_APART = 5e-3
"""The same elsewhere, where agents may rank two almost equally likely actions otherwise."""

# The autoencoder is discarded after the identity phase; curve and verdict are shown nowhere but in the record.
_LOST = ("summary.selection_curve", "summary.identity_verdict", "summary.identity_reason")


def sharing_faults(record: FinishedRun, policy: Any, *, near: bool) -> Iterator[Fault]:
    """Yield every entry of ``sharing.json`` that the final policy does not give.

    Args:
        record: a finished run.
        policy: sharing policy with its final weights.
        near: whether this is the kind of machine that the record names.
    """
    sharing = record.sharing
    types = open_environment(record.config).agent_types
    try:
        rule = sharing_of(record.config, policy, sharing.env_steps, types).model_dump(mode="json")
    except InvalidStateError as error:
        yield Fault(FINAL, "", str(error))
        return
    found = sharing.model_dump(mode="json")
    if sharing.diagnostics is None:
        del rule["diagnostics"]
    tolerance = SAME_KIND_APART if near else DIAGNOSTICS_APART
    for where, is_there, should_be in different_leaves(found, rule, tolerance):
        if should_be is ABSENT and where.startswith(_LOST):
            continue
        yield Fault("sharing.json", where, f"{is_there!r}; the stored policy gives {should_be!r}")


def identity_faults(record: FinishedRun, scheme: Any) -> Iterator[Fault]:
    """Yield a fault if a scheme cannot have spent the identity steps that are recorded."""
    sharing = record.sharing
    spent, settings = sharing.identity_steps, getattr(scheme.group_source, "config", None)
    lanes = record.config.learner.num_lanes
    if spent % lanes:
        yield Fault("sharing.json", "identity_steps", f"{spent}; {lanes} lanes play {lanes} steps at a time")
        return
    if not scheme.needs_identity_phase:
        low = high = 0
    elif settings is None:
        return
    else:
        # The last round of play ends with a step of all lanes.
        low, high = settings.env_steps, int(settings.patience * settings.env_steps) + lanes
    if not low <= spent <= high:
        message = f"{spent}; the scheme's identity phase takes {low} to {high}"
        yield Fault("sharing.json", "identity_steps", message)
