"""Who shares what with whom: for every two agents, how many of the parameters that one uses the other uses too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.diagnostics.parameter_usage import used_entries
from adaps_agents.schemes.base import PARTS, SharingScheme
from adaps_agents.schemes.policy_mapping import agent_names, scheme_of, sharing_groups
from adaps_envs.errors import InvalidParameterError

__all__ = ["MAX_SETS", "PartSharing", "SharingMap", "sharing_map"]

MAX_SETS = 32
"""So many agents (or groups, where the scheme has them) are compared; of more, as many stand for all."""


@dataclass(frozen=True)
class PartSharing:
    """Trainable parameters of the ``actor`` or the ``critic`` that R sets of agents use.

    Attributes:
        used: ``[R] int64``, parameters that an agent of the set uses.
        shared: ``[R, R] float64``, share of them that an agent of another set uses too; 1 on the diagonal.
        own: ``[R] float64``, share of them that no other of the R sets uses.
    """

    used: NDArray[np.int64]
    shared: NDArray[np.float64]
    own: NDArray[np.float64]


@dataclass(frozen=True)
class SharingMap:
    """Sets of agents that use the same parameters, and what the sets have in common.

    Attributes:
        scheme: registered name.
        agents: the N agents' names.
        groups: ``[N]`` group of each agent, or None for a scheme without groups.
        sets: agent indices of each of the R sets, in order of their first agents.
        complete: whether every agent is in a set. Of more than :data:`MAX_SETS` agents or groups that may all differ,
            as many are looked at, spread over the team.
        parts: what is shared in ``actor`` and ``critic``.
        trainable: trainable parameters in all.
        identity_steps: environment steps spent on finding the groups.
    """

    scheme: str
    agents: list[str]
    groups: list[int] | None
    sets: list[list[int]]
    complete: bool
    parts: dict[str, PartSharing]
    trainable: int
    identity_steps: int

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values, shares rounded to four digits."""
        parts = {
            part: {
                "used": found.used.tolist(),
                "shared": np.round(found.shared, 4).tolist(),
                "own": np.round(found.own, 4).tolist(),
            }
            for part, found in self.parts.items()
        }
        groups = None if self.groups is None else dict(zip(self.agents, self.groups, strict=True))
        sets = [[self.agents[index] for index in members] for members in self.sets]
        return {
            "scheme": self.scheme, "agents": self.agents, "groups": groups, "sets": sets, "complete": self.complete,
            "parts": parts, "trainable": self.trainable, "identity_steps": self.identity_steps,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Any) -> SharingMap:
        """Read what :meth:`as_json` returned.

        Raises:
            InvalidParameterError: it is something else.
        """
        try:
            agents = [str(agent) for agent in value["agents"]]
            index = {agent: place for place, agent in enumerate(agents)}
            groups = value["groups"]
            parts = {part: _part_from_json(value["parts"][part], len(value["sets"])) for part in PARTS}
            return cls(
                scheme=str(value["scheme"]),
                agents=agents,
                groups=None if groups is None else [int(groups[agent]) for agent in agents],
                sets=[[index[agent] for agent in members] for members in value["sets"]],
                complete=bool(value["complete"]),
                parts=parts,
                trainable=int(value["trainable"]),
                identity_steps=int(value["identity_steps"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidParameterError(f"not a sharing map ({type(error).__name__}: {error}).") from None


def sharing_map(model: Any, agents: Sequence[str] | None = None) -> SharingMap:
    """Find out who shares what with whom at present.

    Args:
        model: sharing learner, policy or scheme.
        agents: the agents' names in agent order; None takes ``agent_0 ...``.
    """
    scheme = scheme_of(model)
    number = scheme.spaces.num_agents
    candidates = _candidates(scheme)
    shown = candidates
    if len(candidates) > MAX_SETS:
        shown = [candidates[place] for place in np.linspace(0, len(candidates) - 1, MAX_SETS).astype(int)]
    rows = {part: np.stack([_used(scheme, part, members[0]) for members in shown]) for part in PARTS}
    merged = _equal_rows(np.concatenate([rows[part] for part in PARTS], axis=1))
    sets = [sorted(agent for place in places for agent in shown[place]) for places in merged]
    first = [places[0] for places in merged]
    groups = sharing_groups(scheme)
    return SharingMap(
        scheme=scheme.name,
        agents=agent_names(agents, number),
        groups=None if groups is None else groups.tolist(),
        sets=sets,
        complete=sum(len(members) for members in sets) == number,
        parts={part: _part(rows[part][first]) for part in PARTS},
        trainable=scheme.param_report()["trainable"],
        identity_steps=int(scheme.identity_steps),
    )


def _candidates(scheme: SharingScheme) -> list[list[int]]:
    """Return the agents that are known to use the same parameters, each set in agent order."""
    number = scheme.spaces.num_agents
    labels = sharing_groups(scheme)
    keys = range(number) if labels is None else labels.tolist()
    found: dict[int, list[int]] = {}
    for agent, key in enumerate(keys):
        found.setdefault(key, []).append(agent)
    return list(found.values())


def _used(scheme: SharingScheme, part: str, agent: int) -> NDArray[np.bool_]:
    return torch.cat([entry.flatten() for entry in used_entries(scheme, part, agent).values()]).cpu().numpy()


def _equal_rows(rows: NDArray[np.bool_]) -> list[list[int]]:
    """Return the places of equal rows, in order of their first ones."""
    found: dict[bytes, list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault(row.tobytes(), []).append(place)
    return list(found.values())


def _part(rows: NDArray[np.bool_]) -> PartSharing:
    # Columns that nobody uses are most of them where networks are private.
    counts = rows[:, rows.any(axis=0)].astype(np.float64)
    used = counts.sum(axis=1)
    # Who uses nothing yet (a correction that is still zero) shares all of it.
    shared = np.where(used[:, None] > 0, counts @ counts.T / np.maximum(used[:, None], 1), 1.0)
    own = counts @ (counts.sum(axis=0) == 1) / np.maximum(used, 1)
    return PartSharing(used.astype(np.int64), shared, own)


def _part_from_json(value: Any, number: int) -> PartSharing:
    used, shared, own = (
        np.asarray(value[name], dtype) for name, dtype in (("used", int), ("shared", float), ("own", float))
    )
    if used.shape != (number,) or shared.shape != (number, number) or own.shape != (number,):
        raise ValueError(f"shapes {used.shape}, {shared.shape}, {own.shape} for {number} sets")
    return PartSharing(used, shared, own)
