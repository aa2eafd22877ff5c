"""Unequal observations and actions: the one place where they are padded to a common layout, and cut out of it again.

A family whose agents differ in what they sense or can do declares, in ``_declare``, a common layout of F entries and A
actions and who has which of them: ``obs_mask [N, F] bool`` and ``action_mask [N, A] bool``. Without a declaration
everybody has everything. The rules of the layout:

- The batched interface is padded: ``[B, N, F]``, ``[B, N]`` actions below A. Entries that an agent lacks are 0 whatever
  the kernel wrote there; an action that it lacks is replaced by the first one that it has.
- PettingZoo's faces are cut to size: an agent observes its own entries in the layout's order, and action ``k`` is the
  ``k``-th of its own.
- Masks belong to agents for the life of the environment; they never depend on the state. Unequal spaces tell agents
  apart for everybody who looks at them, so a family makes them unequal only where the roster asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import InvalidActionError
from adaps_envs.types import ObsField

__all__ = ["Padding"]


@dataclass(frozen=True)
class Padding:
    """Who has which entries and actions of the common layout.

    Attributes:
        obs_mask: ``[N, F] bool``, read-only.
        action_mask: ``[N, A] bool``, read-only.
        own_low, own_high: ``[F] float32`` bounds of an entry for the agents that have it.
        blanks: ``[N, F] bool``, the entries to blank; None where every agent has all.
        replacements: ``[N, A] int64``, the action that stands in for each; None where every agent has all.
    """

    obs_mask: NDArray[np.bool_]
    action_mask: NDArray[np.bool_]
    own_low: NDArray[np.float32]
    own_high: NDArray[np.float32]
    blanks: NDArray[np.bool_] | None
    replacements: NDArray[np.int64] | None

    @classmethod
    def of(
        cls,
        obs_mask: NDArray[np.bool_] | None,
        action_mask: NDArray[np.bool_] | None,
        shape: tuple[int, int, int],
        bounds: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> Padding:
        """Build the layer from a family's declaration; None means that every agent has all.

        Args:
            obs_mask: ``[N, F] bool``.
            action_mask: ``[N, A] bool``, at least one action an agent.
            shape: N, F, A.
            bounds: lowest and highest value of each entry, ``[F] float32`` each.
        """
        agents, entries, actions = shape
        observed = _checked_mask("obs_mask", obs_mask, (agents, entries))
        offered = _checked_mask("action_mask", action_mask, (agents, actions))
        first = offered.argmax(axis=1)[:, None]
        return cls(
            observed,
            offered,
            *bounds,
            None if observed.all() else ~observed,
            None if offered.all() else np.where(offered, np.arange(actions), first),
        )

    def padded_bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the bounds of the padded layout, ``[F] float32`` each: 0 is legal where somebody lacks an entry."""
        lacking = ~self.obs_mask.all(axis=0)
        low = np.where(lacking, np.minimum(self.own_low, 0), self.own_low).astype(np.float32)
        high = np.where(lacking, np.maximum(self.own_high, 0), self.own_high).astype(np.float32)
        return low, high

    def own_entries(self, agent: int) -> NDArray[np.intp]:
        """Return the indices of the agent's F_i own entries in the layout, ``[F_i] intp``, in order."""
        return np.flatnonzero(self.obs_mask[agent])

    def own_fields(self, fields: tuple[ObsField, ...], agent: int) -> tuple[ObsField, ...]:
        """Return the agent's own ``fields``, numbered as it observes them."""
        own = self.own_entries(agent).tolist()
        return tuple(replace(fields[entry], index=index) for index, entry in enumerate(own))

    def own_counts(self) -> list[int]:
        """Return how many actions each agent has, N integers."""
        return [int(count) for count in self.action_mask.sum(axis=1)]

    def padded(self, agent: int, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an agent's own observation in the layout, ``[F] float32``, a fresh array; what it lacks is 0.

        Args:
            agent: its index.
            own: its entries, in the layout's order.
        """
        out = np.zeros(self.obs_mask.shape[1], np.float32)
        out[self.own_entries(agent)] = own
        return out

    def to_own(self, agent: int, action: int) -> int:
        """Return the agent's own action for one of the layout; one that it lacks stands for the first that it has."""
        meant = action if self.replacements is None else int(self.replacements[agent, action])
        return int(self.action_mask[agent, :meant].sum())

    def from_own(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Return the layout's actions for agents' own ones.

        Args:
            actions: ``[..., N]`` integers; agent i's are below the number of its actions.

        Raises:
            InvalidActionError: an action outside that range. Shapes and types are checked by the core.
        """
        fits = actions.dtype.kind in "iu" and actions.shape[-1:] == (len(self.action_mask),)
        if self.replacements is None or not fits:
            return actions
        counts = self.action_mask.sum(axis=1)
        outside = (actions < 0) | (actions >= counts)
        if outside.any():
            at = tuple(np.argwhere(outside)[0])
            raise InvalidActionError(
                f"action {actions[at]} of agent_{at[-1]} is out of range; it has the actions 0..{counts[at[-1]] - 1}."
            )
        # A stable sort brings each agent's own actions to the front, in the layout's order.
        order = np.argsort(~self.action_mask, axis=1, kind="stable")
        return order[np.arange(len(counts)), actions]


def _checked_mask(name: str, mask: NDArray[np.bool_] | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a read-only copy of a family's ``mask``; all True if it declares none."""
    array = np.ones(shape, bool) if mask is None else np.array(mask)
    assert array.shape == shape, f"{name} has shape {array.shape}, not {shape}"
    assert array.dtype == bool, f"{name} has dtype {array.dtype}, not bool"
    assert array.any(axis=1).all(), f"{name} leaves an agent without any"
    array.flags.writeable = False
    return array
