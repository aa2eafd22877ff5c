"""Seeded random play of anybody's parallel environment: any spaces, action masks, agents that leave."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["Moment", "RandomPlayer", "equal", "leaves", "played"]

# What a step (or a reset, with empty rewards and flags) returned: observations, rewards, terminated, truncated, infos.
Moment = tuple[Any, dict[Any, Any], dict[Any, Any], dict[Any, Any], Any]


class RandomPlayer:
    """Draws legal actions from copies of the agents' spaces, so that the environment's own are left alone."""

    def __init__(self, env: Any, seed: int | None) -> None:
        self._env = env
        self._seeds = np.random.default_rng(seed)
        self._spaces: dict[Any, Any] = {}

    def actions(self, obs: Any = None, infos: Any = None) -> dict[Any, Any]:
        """Return one action for every living agent, within ``action_mask`` where an observation or an info has one."""
        return {agent: self._action(agent, _item(obs, agent), _item(infos, agent)) for agent in self._env.agents}

    def _action(self, agent: Any, obs: Any, info: Any) -> Any:
        if agent not in self._spaces:
            space = copy.deepcopy(self._env.action_space(agent))
            space.seed(int(self._seeds.integers(2**31)))
            self._spaces[agent] = space
        mask = next((part["action_mask"] for part in (obs, info) if _has_mask(part)), None)
        return self._spaces[agent].sample(None if mask is None else np.asarray(mask, np.int8))


def _item(mapping: Any, agent: Any) -> Any:
    return mapping.get(agent) if isinstance(mapping, Mapping) else None


def _has_mask(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("action_mask") is not None


def played(env: Any, *, seed: int | None, steps: int, action_seed: int | None = 0) -> Iterator[Moment]:
    """Yield what ``env`` returns over a seeded reset and ``steps`` random steps; an ended episode starts again."""
    player = RandomPlayer(env, action_seed)
    obs, infos = env.reset(seed=seed)
    yield obs, {}, {}, {}, infos
    for _ in range(steps):
        if not env.agents:
            obs, infos = env.reset()
            yield obs, {}, {}, {}, infos
        moment = env.step(player.actions(obs, infos))
        obs, infos = moment[0], moment[4]
        yield moment


def leaves(value: Any) -> Iterator[Any]:
    """Yield the innermost values of nested mappings, tuples and lists."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def equal(left: Any, right: Any) -> bool:
    """Return whether nested mappings, tuples and arrays are equal, types of arrays and NaN included."""
    if isinstance(left, Mapping):
        same_keys = isinstance(right, Mapping) and left.keys() == right.keys()
        return same_keys and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, (tuple, list)):
        same_length = isinstance(right, (tuple, list)) and len(left) == len(right)
        return same_length and all(equal(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, np.ndarray):
        same_kind = isinstance(right, np.ndarray) and left.dtype == right.dtype
        return same_kind and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    both_nan = isinstance(left, float) and isinstance(right, float) and left != left and right != right
    return both_nan or bool(left == right)
