"""Who shares a network, as RLlib and TorchRL write it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.schemes.base import SharingScheme
from adaps_envs.errors import InvalidParameterError, UnknownNameError, suggest

__all__ = ["PolicyMapping", "agent_names", "group_map", "policy_mapping_fn", "sharing_groups"]


@dataclass(frozen=True)
class PolicyMapping:
    """RLlib's ``policy_mapping_fn``: a picklable function from an agent to its policy (module) id.

    Attributes:
        groups: policy id of each agent.
    """

    groups: dict[str, str]

    def __call__(self, agent_id: str, episode: Any = None, *args: Any, **kwargs: Any) -> str:
        """Return the policy id of ``agent_id``; what else RLlib passes is not needed.

        Raises:
            UnknownNameError: no such agent.
        """
        try:
            return self.groups[agent_id]
        except KeyError:
            raise UnknownNameError(f"no agent {agent_id!r}. {suggest(agent_id, self.groups)}") from None

    @property
    def policies(self) -> list[str]:
        """The policy ids, in order of their first agents: what RLlib's ``multi_agent(policies=...)`` takes."""
        return list(dict.fromkeys(self.groups.values()))


def policy_mapping_fn(model: Any, agents: Sequence[str] | None = None) -> PolicyMapping:
    """Return RLlib's ``policy_mapping_fn`` for the groups of a model or scheme.

    Args:
        model: learner, policy or scheme.
        agents: the agents' names in agent order; None takes ``agent_0 ...``.

    Raises:
        InvalidParameterError: the scheme has no groups, or ``agents`` are not N different names.
    """
    return PolicyMapping({agent: name for name, members in group_map(model, agents).items() for agent in members})


def group_map(model: Any, agents: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return TorchRL's ``group_map``: the agents of each group, ``{"group_0": ["agent_0", ...], ...}``.

    Arguments and errors as for :func:`policy_mapping_fn`.
    """
    scheme = scheme_of(model)
    labels = sharing_groups(scheme)
    if labels is None:
        raise InvalidParameterError(
            f"scheme {scheme.name!r} shares weights in part, without groups that act as one; only schemes with groups "
            "(such as fups, nops, oracle, seps, adaps) can be exported as a mapping from agents to policies."
        )
    names = agent_names(agents, len(labels))
    return {
        f"group_{group}": [name for name, label in zip(names, labels.tolist(), strict=True) if label == group]
        for group in range(int(labels.max()) + 1)
    }


def sharing_groups(scheme: SharingScheme) -> NDArray[np.int64] | None:
    """Return the groups ``[N]`` of agents that act by the same function, or None if the scheme does not form any.

    A scheme forms groups if it says so by ``assignment()``, or if agents use whole actors and critics in the
    same way for good: one for all, or one each.
    """
    assignment = scheme.assignment()
    if assignment is not None:
        return assignment
    labels, others = scheme.actor_net.whole_labels, scheme.critic_net.whole_labels
    if scheme.acts_in_training or labels is None or others is None or not torch.equal(labels, others):
        return None
    return np.asarray(labels.cpu())


def scheme_of(model: Any) -> SharingScheme:
    """Return the scheme of a learner or policy, or the scheme itself.

    Raises:
        InvalidParameterError: ``model`` has none.
    """
    scheme = getattr(model, "scheme", model)
    if not isinstance(scheme, SharingScheme):
        raise InvalidParameterError(
            f"a {type(model).__name__} has no sharing scheme; give a sharing learner or policy."
        )
    return scheme


def agent_names(agents: Sequence[str] | None, number: int) -> list[str]:
    """Return N names, ``agent_0 ...`` unless given.

    Raises:
        InvalidParameterError: not N different names.
    """
    names = [f"agent_{index}" for index in range(number)] if agents is None else list(agents)
    if len(names) != number or len(set(names)) != number:
        raise InvalidParameterError(f"{len(names)} names {names[:4]} for a team of {number}; give one to each agent.")
    return names
