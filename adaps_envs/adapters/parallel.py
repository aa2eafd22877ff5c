"""PettingZoo parallel face: one lane, dictionaries keyed by agent."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from adaps_envs.adapters.common import (
    RENDER_FPS,
    RENDER_MODES,
    checked_render_mode,
    global_state_space,
    module_name,
    own_action_space,
    own_observation_space,
    require_state,
    shows_vectors,
    warn_unknown_options,
)
from adaps_envs.adapters.shown import Shown
from adaps_envs.adapters.window import Window
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.rng import one_seed
from adaps_envs.errors import (
    InvalidActionError,
    InvalidParameterError,
    ResetNeededError,
    UnknownNameError,
    quoted,
    suggest,
)
from adaps_envs.registry import make_batched
from adaps_envs.types import ObsField, State

__all__ = ["ParallelFace", "make_parallel"]

PARALLEL_RENDER_MODES = ("human", *RENDER_MODES)

Observations = dict[str, Any]
Infos = dict[str, dict[str, Any]]


class ParallelFace(Shown, ParallelEnv[str, Any, int]):
    """One lane behind PettingZoo's parallel API. All agents live to the end of the episode and end together.

    Observations are fresh ``[F] float32`` arrays, or images or dictionaries where the environment's ``obs_form`` says
    so; rewards are ``float``, flags are ``bool``. The time limit sets ``truncated``, never ``terminated``. It can be
    pickled in the middle of an episode and goes on where it was.

    Attributes:
        batched: the core, a :class:`~adaps_envs.core.batched.BatchedEnv` of one lane.
        possible_agents: the agents' names, in agent order; names never tell the hidden type.
        agents: the agents that are alive; empty before the first reset and after the end.
        state_space: the space of :meth:`state`.
        max_cycles: the time limit in steps, for information: writing it changes nothing.
        render_mode: None, ``rgb_array``, or ``human`` (a window; needs the extra ``render`` and a display).
    """

    def __init__(self, batched: BatchedEnv, *, render_mode: str | None = None) -> None:
        """Wrap a batch of one lane.

        Raises:
            InvalidParameterError: more than one lane, or an unknown ``render_mode``.
        """
        if batched.num_envs != 1:
            raise InvalidParameterError(f"this face shows one lane, the batch has {batched.num_envs}; give num_envs=1.")
        self.batched = batched
        self.render_mode = checked_render_mode(render_mode, PARALLEL_RENDER_MODES)
        self.metadata: dict[str, Any] = {
            "name": module_name(batched),
            "render_modes": list(PARALLEL_RENDER_MODES),
            "render_fps": RENDER_FPS,
            "is_parallelizable": True,
        }
        self.possible_agents = batched.possible_agents
        self.agents: list[str] = []
        indexed = list(enumerate(self.possible_agents))
        self.observation_spaces = {agent: own_observation_space(batched, index) for index, agent in indexed}
        self.action_spaces = {agent: own_action_space(batched, index) for index, agent in indexed}
        self.state_space = global_state_space(batched)
        self.max_cycles = batched.max_cycles
        self._names = tuple(self.possible_agents)
        # Of one name, itemgetter gives the value itself; of several, a tuple.
        self._values_of = itemgetter(*self._names)
        unequal = batched.padding.blanks is not None
        self._entries = [batched.padding.own_entries(index) for index, _ in indexed] if unequal else None
        self._shaped = not shows_vectors(batched)
        self._masked = batched.padding.replacements is not None
        self._window: Window | None = None
        self._generator: np.random.Generator | None = None
        self._generator_seed: int | None = None

    @property
    def agent_types(self) -> NDArray[np.int64]:
        """``[N] int64`` copy: the hidden type of each agent (ground truth, for scoring and oracles only)."""
        return self.batched.agent_types.copy()

    @property
    def np_random(self) -> np.random.Generator:
        """A generator for wrappers, seeded by ``reset(seed=...)``; the game has a stream of its own."""
        if self._generator is None:
            self._generator = np.random.default_rng(self._generator_seed)
        return self._generator

    @np_random.setter
    def np_random(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Return the agent's own observation space, ``[F] float32`` or shorter, or that of an image or of named parts;
        the same object at each call."""
        return self.observation_spaces[self._known(agent)]

    def action_space(self, agent: str) -> spaces.Discrete:
        """Return the agent's own action space, A choices or fewer; the same object at each call."""
        return self.action_spaces[self._known(agent)]

    def obs_fields(self, agent: str) -> tuple[ObsField, ...]:
        """Return what the entries of the agent's observation mean, before any permutation of its type."""
        self._known(agent)
        return self.batched.padding.own_fields(self.batched.obs_fields, self._names.index(agent))

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Start a new episode.

        Args:
            seed: integer >= 0; None continues the random stream.
            options: none are known; given ones are ignored with a warning.

        Returns:
            Observations and infos of all agents. Infos are empty, but where agents differ in their actions they hold
            ``action_mask``, int8 ones over the agent's own actions, as PettingZoo's users expect it.

        Raises:
            InvalidParameterError: a negative or non-integer seed.
        """
        warn_unknown_options(options)
        if seed is not None:
            seed = one_seed(seed)
        obs = self.batched.reset(seed=seed)
        if seed is not None:
            self._generator, self._generator_seed = None, seed
        self.agents = list(self._names)
        self._show()
        return self._by_agent(obs[0]), self._infos()

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Advance all agents by one step.

        Args:
            actions: one integer for every agent, below the number of its actions. After the end there are no agents:
                no actions, ``{}``, then give empty dictionaries, as in PettingZoo's own environments.

        Returns:
            Observations, rewards, terminations, truncations and infos, each keyed by agent; all fresh.

        Raises:
            InvalidActionError: a missing or unknown agent, or an action that is not an integer in its range.
            ResetNeededError: before the first reset, or after the end of the episode.
        """
        if not self.agents:
            if self.batched.begun and isinstance(actions, dict) and not actions:
                return {}, {}, {}, {}, {}
            self._refuse_step()
        obs, rewards, terminated, truncated = self.batched.step(self._gathered(actions))
        names = self._names
        ended_by_rule, ended_by_limit = bool(terminated[0]), bool(truncated[0])
        if ended_by_rule or ended_by_limit:
            self.agents = []
        self._show()
        return (
            self._by_agent(obs[0]),
            dict(zip(names, rewards.ravel().tolist())),  # noqa: B905  (the core's shapes hold; a step counts)
            dict.fromkeys(names, ended_by_rule),
            dict.fromkeys(names, ended_by_limit),
            self._infos(),
        )

    def state(self) -> NDArray[np.float32]:
        """Return what a centralised critic may see, ``[S] float32``, a fresh array; it never holds types.

        Raises:
            ResetNeededError: before the first reset.
        """
        require_state(self.batched, "state")
        return self.batched.global_state()[0]

    def get_state(self) -> State:
        """Return copies of all state arrays, lane axis (of 1) first, the random stream included."""
        return self.batched.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Overwrite state arrays ``[1, ...]``; absent ones keep their values. The episode counts as running afterwards.

        Raises:
            InvalidStateError: an unknown key, a wrong shape or dtype, or a value outside its range; nothing changed.
        """
        self.batched.set_state(state)
        self.agents = list(self._names)

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture ``[height, width, 3] uint8``; in ``human`` mode, show it in a window and return None.

        Raises:
            ResetNeededError: before the first reset.
            InvalidParameterError: the environment was made without a render mode, or no window can be opened.
        """
        require_state(self.batched, "render")
        if self.render_mode is None:
            raise InvalidParameterError(
                "render() needs a render mode; make the environment with render_mode='rgb_array'."
            )
        frame = self.batched.render_frame(0)
        if self.render_mode != "human":
            return frame
        self._window = self._window or Window(self.metadata["name"])
        self._window.show(frame)
        return None

    def close(self) -> None:
        """Close the window and release the worker threads, if any."""
        if self._window is not None:
            self._window.close()
            self._window = None
        self.batched.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the window."""
        return {**self.__dict__, "_window": None}

    # -- private --------------------------------------------------------------------------------------------------

    def _by_agent(self, obs: NDArray[np.float32]) -> Observations:
        if self._shaped:
            return {name: self.batched.structure(row) for name, row in zip(self._names, obs, strict=True)}
        if self._entries is None:
            return dict(zip(self._names, obs))  # noqa: B905
        return {name: obs[i, own] for i, (name, own) in enumerate(zip(self._names, self._entries, strict=True))}

    def _infos(self) -> Infos:
        if not self._masked:
            return {agent: {} for agent in self._names}
        return {agent: {"action_mask": np.ones(space.n, np.int8)} for agent, space in self.action_spaces.items()}

    def _gathered(self, actions: Mapping[str, int]) -> NDArray[Any]:
        """Return the actions as ``[1, N]`` integers, in agent order."""
        shape = (1, len(self._names))
        try:
            array = np.array(self._values_of(actions)).reshape(shape)
        except Exception:  # a mapping or an action of anybody's class
            raise self._explained(actions) from None
        if len(actions) != shape[1] or array.dtype.kind not in "iu":
            raise self._explained(actions)
        return self.batched.padding.from_own(array) if self._masked else array

    def _explained(self, actions: Mapping[str, int]) -> InvalidActionError:
        """Build the error that names the first thing wrong with ``actions``."""
        legal = f"integers in 0..{self.batched.num_actions - 1}"
        if not isinstance(actions, Mapping):
            return InvalidActionError(f"actions are a {type(actions).__name__}; give a dict from agent to {legal}.")
        try:
            actions = dict(actions)
        except Exception:
            return InvalidActionError(f"actions cannot be read; give a dict from agent to {legal}.")
        missing = [name for name in self._names if name not in actions]
        if missing:
            return InvalidActionError(f"no action for {', '.join(missing[:8])}; every agent needs one, {legal}.")
        known = set(self._names)
        for name, action in actions.items():
            if name not in known:
                return InvalidActionError(f"action for unknown agent {quoted(name)}. {suggest(name, self._names)}")
            if not isinstance(action, (int, np.integer)):
                kind = type(action).__name__
                return InvalidActionError(f"action {quoted(action)} of {name} has the type {kind}; give {legal}.")
        return InvalidActionError(f"actions {quoted(actions)} are out of range; give {legal}.")

    def _known(self, agent: str) -> str:
        if not isinstance(agent, str) or agent not in self.action_spaces:
            raise UnknownNameError(f"no agent {quoted(agent)}. {suggest(agent, self._names)}")
        return agent

    def _refuse_step(self) -> None:
        require_state(self.batched, "step")
        raise ResetNeededError("step() after the end of the episode: call reset() first.")

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()


def make_parallel(env_id: str, *, render_mode: str | None = None, **kwargs: Any) -> ParallelFace:
    """Create one lane behind PettingZoo's parallel API; ``kwargs`` are the family's parameters."""
    return ParallelFace(make_batched(env_id, 1, **kwargs), render_mode=render_mode)
