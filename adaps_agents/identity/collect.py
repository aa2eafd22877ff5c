"""Transitions of the untrained team: the raw material of the identity phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

__all__ = [
    "BLOCK_STEPS",
    "STRETCHES",
    "SYNCHRONISED",
    "Collector",
    "Outcomes",
    "Steps",
    "Transitions",
    "joined",
]

# Share of the steps in which the whole team of a lane takes one random action. Each agent's own actions stay uniform
# and independent of what it sees, but what several agents must do at once (load the same food) happens more often.
SYNCHRONISED = 0.75
# Steps of one episode depend on each other, so comparisons count blocks of at most so many steps as one observation.
BLOCK_STEPS = 50
# Lanes start anew after so many steps, in turn: what is drawn at a start (landmarks, food) must be seen in many
# variants, or the decoder learns those few by heart; but what takes time must be seen, too.
STRETCHES = (10,) * 10 + (50,)


@dataclass(frozen=True)
class Outcomes:
    """What M actions of single agents were paid.

    Attributes:
        agents: ``[M] int64``, who acted.
        actions: ``[M] int64``.
        rewards: ``[M] float32``.
        blocks: ``[M] int64``, number of the stretch of one lane's episode (at most ``BLOCK_STEPS`` long).
    """

    agents: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    blocks: NDArray[np.int64]

    @property
    def outcomes(self) -> Outcomes:
        """The same rows without observations (a view)."""
        return Outcomes(self.agents, self.actions, self.rewards, self.blocks)

    def renamed(self, names: NDArray[np.int64]) -> Any:
        """Return a copy in which agent ``i`` is called ``names[i]``; ``names [N] int64`` is a permutation."""
        return replace(self, agents=names[self.agents])

    def with_shuffled_agents(self, num_agents: int, generator: np.random.Generator) -> Any:
        """Return a copy in which every step's rows are dealt to random agents: there is no identity to find."""
        steps = self.agents.reshape(-1, num_agents)
        return replace(self, agents=generator.permuted(steps, axis=1).reshape(-1))


@dataclass(frozen=True)
class Transitions(Outcomes):
    """M transitions of single agents.

    Attributes:
        obs, next_obs: ``[M, F] float32``.
    """

    obs: NDArray[np.float32]
    next_obs: NDArray[np.float32]

    def take(self, rows: slice | NDArray[Any]) -> Transitions:
        """Return some of the rows: those of a slice, or of indices ``[R] int64``."""
        return Transitions(**{name: array[rows] for name, array in vars(self).items()})


@dataclass(frozen=True)
class Steps:
    """Some environment steps, with one row an agent.

    Attributes:
        data: all transitions, of these and of other steps.
        rows: ``[T, N] int64``, row of each agent in each step.
        blocks: ``[T] int64``.
    """

    data: Transitions
    rows: NDArray[np.int64]
    blocks: NDArray[np.int64]

    @classmethod
    def of(cls, data: Transitions, num_agents: int) -> Steps:
        """Return all steps of ``data``, which has N rows a step, in any order within the step."""
        agents = data.agents.reshape(-1, num_agents)
        rows = np.argsort(agents, axis=1) + np.arange(len(agents))[:, None] * num_agents
        return cls(data, rows, data.blocks[::num_agents])

    def halves(self) -> tuple[Steps, Steps]:
        """Return even and odd blocks: what is fitted on the ones can be tested on the others."""
        odd = self.blocks % 2 == 1
        even_steps = replace(self, rows=self.rows[~odd], blocks=self.blocks[~odd])
        return even_steps, replace(self, rows=self.rows[odd], blocks=self.blocks[odd])

    def sample(self, most: int) -> Transitions:
        """Return at most so many rows, evenly spread."""
        rows = self.rows.reshape(-1)
        return self.data.take(rows[np.linspace(0, rows.size - 1, min(rows.size, most)).astype(np.int64)])


def joined(parts: Sequence[Any]) -> Any:
    """Return the rows of all parts, which are of one class, in order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return type(first)(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(first)})


class Collector:
    """Plays random actions in the learner's own vectorised environment and records every agent's transitions.

    It leads to transitions and counts alone. The environment tells the hidden types, so no attribute of a collector
    leads there; what it plays is kept in this module.

    Args:
        env: B lanes of N agents as slots, slot ``b * N + i`` is agent ``i`` of lane ``b``.
        num_agents: N.
        num_actions: A.
        generator: of the actions.
        synchronised: share of a lane's steps in which all its agents take the same random action.
    """

    __slots__ = ("__weakref__",)

    def __init__(
        self,
        env: VecEnv,
        num_agents: int,
        num_actions: int,
        generator: np.random.Generator,
        synchronised: float = SYNCHRONISED,
    ) -> None:
        _GAMES[self] = _Game(env, num_agents, num_actions, generator, synchronised)

    @property
    def num_agents(self) -> int:
        """N."""
        return _GAMES[self].num_agents

    @property
    def num_actions(self) -> int:
        """A."""
        return _GAMES[self].num_actions

    @property
    def num_lanes(self) -> int:
        """B."""
        return _GAMES[self].num_lanes

    @property
    def env_steps(self) -> int:
        """Environment steps spent so far (one step of one lane moves all N agents)."""
        return _GAMES[self].env_steps

    @property
    def obs_dim(self) -> int:
        """F."""
        return _GAMES[self].obs_dim

    def collect(self, env_steps: int, *, plain: bool = False) -> Transitions:
        """Return the transitions of at least ``env_steps`` environment steps, N rows a step, in time order.

        The environment is left in need of a ``reset``.

        Args:
            env_steps: number of steps, of all lanes together.
            plain: every agent acts for itself and episodes last as long as they do; if not, teams often act as one
                and lanes often start again.
        """
        collected: Transitions = _GAMES[self].play(env_steps, with_obs=True, plain=plain)
        return collected

    def outcomes(self, env_steps: int) -> Outcomes:
        """Play as :meth:`collect` does, and keep no observations."""
        played: Outcomes = _GAMES[self].play(env_steps, with_obs=False, plain=False)
        return played


class _Game:
    """What a collector plays, and how much of it has been played."""

    def __init__(
        self, env: VecEnv, num_agents: int, num_actions: int, generator: np.random.Generator, synchronised: float
    ) -> None:
        self._env = env
        self._generator = generator
        self._synchronised = synchronised
        self._blocks_begun = 0
        self.num_agents = num_agents
        self.num_actions = num_actions
        self.obs_dim = int(np.prod(env.observation_space.shape or ()))
        self.num_lanes = env.num_envs // num_agents
        self.env_steps = 0

    def play(self, env_steps: int, *, with_obs: bool, plain: bool) -> Any:
        steps, slots = -(-env_steps // self.num_lanes), self._env.num_envs
        obs = _array(self._env.reset())
        rows: dict[str, NDArray[Any]] = {
            "agents": np.tile(np.arange(self.num_agents), (steps, self.num_lanes)),
            "actions": np.empty((steps, slots), np.int64),
            "rewards": np.empty((steps, slots), np.float32),
            "blocks": np.empty((steps, slots), np.int64),
        }
        if with_obs:
            rows |= {name: np.empty((steps, *obs.shape), np.float32) for name in ("obs", "next_obs")}
        block, age = self._new_blocks(self.num_lanes), np.zeros(self.num_lanes, np.int64)
        starts = set() if plain else _starts(steps)
        for step in range(steps):
            if step in starts:
                obs = _array(self._env.reset())
                block, age = self._new_blocks(self.num_lanes), np.zeros(self.num_lanes, np.int64)
            actions = self._actions(0.0 if plain else self._synchronised)
            next_obs, rewards, dones, infos = self._env.step(actions)
            rows["actions"][step], rows["rewards"][step] = actions, rewards
            rows["blocks"][step] = block.repeat(self.num_agents)
            if with_obs:
                rows["obs"][step], rows["next_obs"][step] = obs, next_obs
                for slot in np.flatnonzero(dones):
                    rows["next_obs"][step, slot] = infos[slot]["terminal_observation"]
            age += 1
            over = dones[:: self.num_agents] | (age == BLOCK_STEPS)
            block[over], age[over] = self._new_blocks(int(over.sum())), 0
            obs = _array(next_obs)
            self.env_steps += self.num_lanes
        made = {name: array.reshape(steps * slots, *array.shape[2:]) for name, array in rows.items()}
        return Transitions(**made) if with_obs else Outcomes(**made)

    def _actions(self, synchronised: float) -> NDArray[np.int64]:
        """Draw an action for each slot; in some lanes one for the whole team."""
        lanes, team = self.num_lanes, self.num_agents
        own = self._generator.integers(0, self.num_actions, (lanes, team))
        together = self._generator.random(lanes) < synchronised
        own[together] = self._generator.integers(0, self.num_actions, (lanes, 1))[together]
        return own.reshape(-1)

    def _new_blocks(self, number: int) -> NDArray[np.int64]:
        first, self._blocks_begun = self._blocks_begun, self._blocks_begun + number
        return np.arange(first, first + number)


_GAMES: WeakKeyDictionary[Collector, _Game] = WeakKeyDictionary()


def _starts(steps: int) -> set[int]:
    """Return the steps before which all lanes start anew, besides the first."""
    ends = np.cumsum(np.resize(STRETCHES, steps))
    return set(ends[ends < steps].tolist())


def _array(obs: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.asarray(obs, dtype=np.float32)
    return array
