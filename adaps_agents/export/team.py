"""A trained policy as users of PettingZoo and Gymnasium hold it: observations of agents in, actions of them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from adaps_agents.policy.policy import SharingPolicy
from adaps_agents.schemes.policy_mapping import agent_names
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.padding import Padding
from adaps_envs.errors import InvalidParameterError, UnknownNameError, suggest

__all__ = ["AgentPolicy", "TeamPolicy"]


class TeamPolicy:
    """Plays a PettingZoo environment, parallel (:meth:`act`) or agent by agent (``team["agent_3"].act``), or one of
    Gymnasium's API, in one lane or several (:meth:`act` with arrays).

    Where agents of the environment observe or do different things, their observations are padded to the policy's layout
    and its actions cut to theirs, by the rules of :mod:`adaps_envs.core.padding`.

    A recurrent policy remembers what each agent was shown since the last :meth:`reset`; call it where an episode
    begins.

    Args:
        model: sharing learner or policy.
        env: environment of the same team: PettingZoo's parallel or AEC, or ``adaps_envs.make(id, api="gym")`` or
            ``"gym_vector"``; None takes ``agent_0 ...`` and the policy's own observations and actions.

    Raises:
        InvalidParameterError: another number of agents, or an agent's spaces are not the policy's.
    """

    def __init__(self, model: Any, env: Any = None) -> None:
        policy = getattr(model, "policy", model)
        if not isinstance(policy, SharingPolicy):
            raise InvalidParameterError(
                f"a {type(model).__name__} has no sharing policy; give a sharing learner or policy."
            )
        self._policy = policy
        self._lanes, team = 1, None
        if env is not None and not callable(getattr(env, "observation_space", None)):
            env, team = None, _played_as_one(env)
            self._lanes = team.num_envs
        self.agents = agent_names(None if env is None else env.possible_agents, policy.num_agents)
        self._indices = {agent: index for index, agent in enumerate(self.agents)}
        assert isinstance(policy.action_space, spaces.Discrete)
        self._sizes = int(np.prod(policy.observation_space.shape or ())), int(policy.action_space.n)
        self._padding = self._team_padding(team) if team is not None else self._fitting_padding(env)
        self.reset()

    def reset(self, lanes: NDArray[np.bool_] | None = None) -> None:
        """Begin an episode, in ``lanes [B] bool`` alone if given: a recurrent policy forgets the last one."""
        if lanes is None:
            self._memory = self._policy.new_memory(self._lanes)
        else:
            self._memory.forget(lanes)

    @overload
    def act(
        self,
        observations: Mapping[str, NDArray[Any]],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> dict[str, int]: ...

    @overload
    def act(
        self, observations: NDArray[Any], *, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> NDArray[np.int64]: ...

    def act(
        self,
        observations: Mapping[str, NDArray[Any]] | NDArray[Any],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> dict[str, int] | NDArray[np.int64]:
        """Return an action for every agent that has an observation; bit for bit those of the batched ``act``.

        Args:
            observations: the agents' own observations, ``[F] float32`` or shorter, by name; or, as Gymnasium's API has
                them, those of all agents as one array ``[N, F]`` or ``[B, N, F]``, padded. The actions then are an
                array ``[N] int64`` or ``[B, N] int64``.
            deterministic: the most probable actions instead of samples.
            generator: source of the samples; None takes the policy's own.

        Raises:
            UnknownNameError: an agent that is not of the team.
            InvalidParameterError: an observation of another shape.
        """
        if not isinstance(observations, Mapping):
            return self._act_as_one(np.asarray(observations, np.float32), deterministic, generator)
        frames = np.zeros((1, len(self.agents), self._sizes[0]), np.float32)
        indices = {name: self._index(name) for name in observations}
        for name, index in indices.items():
            frames[0, index] = self._padded(index, observations[name])
        # An agent that is not asked has seen nothing, and must not remember the zeros in its place.
        asked = np.array(list(indices.values()), dtype=np.int64)
        options: dict[str, Any] = {"deterministic": deterministic, "generator": generator}
        chosen = self._policy.act(frames, memory=self._memory, agents=asked, **options)[0].tolist()
        return {name: self._own_action(index, chosen[index]) for name, index in indices.items()}

    def _act_as_one(
        self, obs: NDArray[np.float32], deterministic: bool, generator: torch.Generator | None
    ) -> NDArray[np.int64]:
        frames = obs if obs.ndim == 3 else obs[None]
        chosen = self._policy.act(frames, deterministic=deterministic, generator=generator, memory=self._memory)
        if self._padding is not None:
            agents, actions = self._padding.action_mask.shape
            own = [[self._padding.to_own(agent, action) for action in range(actions)] for agent in range(agents)]
            chosen = np.array(own, np.int64)[np.arange(agents), chosen]
        return chosen if obs.ndim == 3 else chosen[0]

    def __getitem__(self, agent: str) -> AgentPolicy:
        """Return one agent's policy.

        Raises:
            UnknownNameError: no such agent.
        """
        self._index(agent)
        return AgentPolicy(self, agent)

    def _index(self, agent: str) -> int:
        if agent not in self._indices:
            raise UnknownNameError(f"no agent {agent!r}. {suggest(agent, self.agents)}")
        return self._indices[agent]

    def _padded(self, index: int, observation: NDArray[Any]) -> NDArray[np.float32]:
        own = np.asarray(observation, dtype=np.float32)
        entries = self._sizes[0] if self._padding is None else int(self._padding.obs_mask[index].sum())
        if own.shape != (entries,):
            raise InvalidParameterError(
                f"the observation of {self.agents[index]} has shape {list(own.shape)}; it observes [{entries}]."
            )
        return own if self._padding is None else self._padding.padded(index, own)

    def _own_action(self, index: int, action: int) -> int:
        return action if self._padding is None else self._padding.to_own(index, action)

    def _team_padding(self, batched: BatchedEnv) -> Padding:
        """Return the padding of an environment that is played as one, or raise InvalidParameterError."""
        sizes = batched.num_agents, batched.obs_dim, batched.num_actions
        if sizes != (len(self.agents), *self._sizes):
            raise InvalidParameterError(
                f"{batched.spec_id} has [N, F, A] = {list(sizes)}, the policy [{len(self.agents)}, {self._sizes[0]}, "
                f"{self._sizes[1]}]; give an environment of the task that it was trained in."
            )
        return batched.padding

    def _fitting_padding(self, env: Any) -> Padding | None:
        """Return the padding of an environment whose agents have fewer entries or actions than the policy's layout."""
        if env is None:
            return None
        found = [(env.observation_space(agent), env.action_space(agent)) for agent in self.agents]
        own = [(getattr(observes, "shape", None), getattr(acts, "n", None)) for observes, acts in found]
        entries, choices = self._sizes
        misfits = [index for index, sizes in enumerate(own) if sizes != ((entries,), choices)]
        if not misfits:
            return None
        batched = getattr(getattr(env, "unwrapped", env), "batched", None)
        if batched is not None and (batched.obs_dim, batched.num_actions) == self._sizes:
            padding: Padding = batched.padding
            counts = padding.obs_mask.sum(axis=1).tolist(), padding.own_counts()
            if own == [((observed,), offered) for observed, offered in zip(*counts, strict=True)]:
                return padding
        observes, acts = found[misfits[0]]
        raise InvalidParameterError(
            f"{self.agents[misfits[0]]} observes {observes} and acts in {acts}; the policy takes {entries} entries and "
            f"{choices} actions. Give an environment of the task that it was trained in, or pad its spaces."
        )


def _played_as_one(env: Any) -> BatchedEnv:
    """Return the core of a Gymnasium environment of ``adaps_envs``, or raise InvalidParameterError."""
    batched = getattr(getattr(env, "unwrapped", env), "batched", None)
    if not isinstance(env, gymnasium.Env | VectorEnv) or not isinstance(batched, BatchedEnv):
        raise InvalidParameterError(
            f"a {type(env).__name__} is neither a PettingZoo environment nor one of adaps_envs.make(id, api='gym') or "
            "api='gym_vector'; in a stable-baselines3 VecEnv call model.predict(), with a batched one policy.act()."
        )
    return batched


class AgentPolicy:
    """One agent of a team.

    Attributes:
        agent: its name.
    """

    def __init__(self, team: TeamPolicy, agent: str) -> None:
        self._team, self.agent = team, agent

    def act(
        self, observation: NDArray[Any], *, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> int:
        """Return the agent's action.

        A sample is drawn for the whole team and the agent's own kept: agents whose generators were seeded alike
        together draw what the batched ``act`` draws from one such generator.

        Args:
            observation: ``[F]``, or the agent's own entries of it.
            deterministic: the most probable action instead of a sample.
            generator: source of the sample; None takes the policy's own.

        Raises:
            InvalidParameterError: an observation of another shape.
        """
        return self._team.act({self.agent: observation}, deterministic=deterministic, generator=generator)[self.agent]
