"""stable-baselines3 face: every agent of every lane is one slot of a ``VecEnv``, so stock SB3 shares one policy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from adaps_envs.adapters.common import (
    RENDER_FPS,
    RENDER_MODES,
    agent_action_space,
    agent_observation_space,
    checked_render_mode,
    require_state,
    seeded_reset,
    warn_unknown_options,
)
from adaps_envs.adapters.sb3_index import AgentIndexed
from adaps_envs.adapters.shown import Shown
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.buffers import as_array
from adaps_envs.core.rng import lane_seeds
from adaps_envs.errors import InvalidActionError, InvalidParameterError, quoted
from adaps_envs.registry import make_batched

__all__ = ["AgentSlot", "SharedVecEnv", "make_sb3"]


class AgentSlot:
    """What ``get_attr``, ``set_attr`` and ``env_method`` see of one slot: one agent of one lane.

    Public values of the batched environment (``max_cycles``, ``params``, ``spec_id`` ...) can be read through it.

    Attributes:
        lane: index of the lane.
        agent_index: index of the agent in its lane.
        agent: the agent's name.
    """

    def __init__(self, venv: SharedVecEnv, lane: int, agent_index: int) -> None:
        self.venv = venv
        self.lane = lane
        self.agent_index = agent_index
        self.agent = f"agent_{agent_index}"

    def __getattr__(self, name: str) -> Any:
        """Read a public value of the batched environment."""
        # Unpickling asks for dunders and private names before `venv` exists.
        if name.startswith("_") or name == "venv":
            raise AttributeError(name)
        value = getattr(self.venv.batched, name)
        if callable(value):
            raise AttributeError(
                f"{name}() acts on all lanes together and cannot be called for one slot; call vec_env.batched.{name}()."
            )
        return value

    @property
    def unwrapped(self) -> BatchedEnv:
        """The batched environment that the slot belongs to."""
        return self.venv.batched

    @property
    def render_mode(self) -> str | None:
        """None or ``rgb_array``."""
        return self.venv.render_mode

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """The space of one agent's observation."""
        return self.venv.observation_space

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        """The space of one agent's action."""
        return self.venv.action_space

    @property
    def obs_mask(self) -> NDArray[np.bool_]:
        """``[F] bool`` read-only: the entries of the observation that the agent has; the others are always 0."""
        mask: NDArray[np.bool_] = self.venv.batched.padding.obs_mask[self.agent_index]
        return mask

    @property
    def action_masks(self) -> Callable[[], NDArray[np.bool_]]:
        """The method that gives ``[A] bool``, the actions that the agent has; there only where agents differ in them.

        It is what sb3-contrib's ``MaskablePPO`` asks for.
        """
        padding = self.venv.batched.padding
        if padding.replacements is None:
            raise AttributeError("action_masks: every agent has every action")
        return lambda: padding.action_mask[self.agent_index].copy()

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture of the slot's lane, ``[height, width, 3] uint8``; None without a render mode.

        Raises:
            ResetNeededError: before the first reset.
        """
        require_state(self.venv.batched, "render")
        return None if self.render_mode is None else self.venv.batched.render_frame(self.lane)


class SharedVecEnv(Shown, VecEnv):
    """B lanes of N agents as B*N slots; slot ``b * N + i`` is agent ``i`` of lane ``b``.

    A lane that ends is reset in the same step, as stable-baselines3 expects. Every slot of it then carries
    ``info["terminal_observation"]`` (``[F] float32``, the observation before the reset) and
    ``info["TimeLimit.truncated"]`` (True at the time limit, on which the learner must bootstrap).

    Slots share one space, so where agents differ, observations and actions are padded (see
    :mod:`adaps_envs.core.padding`): ``info["action_mask"]`` and ``env_method("action_masks")`` then give ``[A] bool``.

    For critics that see everything there is :meth:`global_state`, and after :meth:`report_states` the slots of a lane
    that ends also carry ``info["terminal_state"]`` (``[S] float32``, the global state before the reset).

    Attributes:
        batched: the :class:`~adaps_envs.core.batched.BatchedEnv` that is stepped.
        num_lanes: B.
        num_agents: N.
        num_envs: B*N, the number of slots.
        state_dim: S.
    """

    def __init__(self, batched: BatchedEnv, *, render_mode: str | None = None) -> None:
        """Wrap ``batched``, which must not be stepped by anybody else afterwards.

        Raises:
            InvalidParameterError: ``render_mode`` is neither None nor ``rgb_array``.
        """
        self.batched = batched
        self.num_lanes = batched.num_envs
        self.num_agents = batched.num_agents
        self.state_dim = batched.state_dim
        self._reports_states = False
        self._told_of_slots = False
        self.render_mode = checked_render_mode(render_mode)
        self._actions: NDArray[Any] | None = None
        self._slots = [AgentSlot(self, lane, i) for lane in range(self.num_lanes) for i in range(self.num_agents)]
        super().__init__(len(self._slots), agent_observation_space(batched), agent_action_space(batched))
        self.metadata = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}  # type: ignore[dict-item]

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes in all lanes and return the observations ``[B*N, F] float32``, a fresh array.

        Seeds given to :meth:`seed` are used once; otherwise every lane continues its random stream.
        """
        if not isinstance(self._options, list):
            raise InvalidParameterError(f"options is {quoted(self._options)}; give a dictionary, or one a slot.")
        for options in self._options:
            warn_unknown_options(options)
        self._actions = None
        obs = seeded_reset(self.batched, self._seeds[:: self.num_agents])
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = self._new_infos()
        return obs.reshape(self.num_envs, -1)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions ``[B*N]`` (integers below A) of the next :meth:`step_wait`.

        Raises:
            InvalidActionError: wrong shape; types and ranges are checked when the lanes move.
        """
        array = as_array(actions, "the array of actions", InvalidActionError)
        if array.shape != (self.num_envs,):
            raise InvalidActionError(
                f"actions have shape {array.shape}; give [B*N] = [{self.num_envs}], slot b*N + i for agent i of lane b."
            )
        self._actions = array.reshape(self.num_lanes, self.num_agents)

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Advance every lane by one step and reset the lanes that end.

        Returns:
            Fresh arrays: observations ``[B*N, F] float32``, rewards ``[B*N] float32``, dones ``[B*N] bool``, and one
            fresh info dictionary a slot.

        Raises:
            InvalidActionError: no actions were given, or they have a wrong type or range.
            ResetNeededError: before the first reset.
        """
        if self._actions is None:
            raise InvalidActionError("step_wait() without step_async(actions); give the actions first, or call step().")
        actions, self._actions = self._actions, None
        obs, rewards, terminated, truncated = self.batched.step(actions)
        dones = terminated | truncated
        infos = self._new_infos()
        if dones.any():
            self._report_ends(infos, obs, dones, truncated & ~terminated)
            obs = self.batched.reset(mask=dones)
        return obs.reshape(self.num_envs, -1), rewards.reshape(-1), dones.repeat(self.num_agents), infos

    def global_state(self) -> NDArray[np.float32]:
        """Return the global state of every lane (not slot), ``[B, S] float32``, a fresh array."""
        return self.batched.global_state()

    def report_states(self) -> None:
        """Put ``terminal_state`` into infos from now on; it is not there by default because few learners read it."""
        self._reports_states = True

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset: lane ``b`` gets ``seed + b``, and so do all of its slots.

        Args:
            seed: integer >= 0; None draws one from the system.

        Returns:
            The B*N seeds, slot by slot.

        Raises:
            InvalidParameterError: a negative or non-integer seed.
        """
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint32)[0])
        self._seeds = [value for value in lane_seeds(seed, self.num_lanes) for _ in range(self.num_agents)]
        return self._seeds

    def close(self) -> None:
        """Release the worker threads, if any."""
        self.batched.close()

    def render(self, mode: str | None = None) -> NDArray[np.uint8] | None:
        """Return one picture of all lanes, ``[height, width, 3] uint8``; None, with a warning, without a render mode.

        Raises:
            ResetNeededError: before the first reset.
        """
        require_state(self.batched, "render")
        return super().render(mode)

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return one picture a lane (not a slot), ``[height, width, 3] uint8``; all None without a render mode.

        Raises:
            ResetNeededError: before the first reset.
        """
        return [slot.render() for slot in self._slots[:: self.num_agents]]

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Return the attribute of each slot: its own, or else the batched environment's."""
        return [getattr(slot, attr_name) for slot in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Set an attribute of the chosen slots; what the environment itself owns cannot be changed this way.

        Raises:
            InvalidParameterError: the environment or the slot already defines ``attr_name``.
        """
        if hasattr(AgentSlot, attr_name) or hasattr(self.batched, attr_name):
            raise InvalidParameterError(
                f"{attr_name!r} belongs to the environment and is shared by all slots; make a new environment with "
                f"another value, for example adaps_envs.make({self.batched.spec_id!r}, api='sb3', ...)."
            )
        for slot in self._chosen(indices):
            setattr(slot, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: int | Iterable[int] | None = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each chosen slot, e.g. ``render``."""
        return [getattr(slot, method_name)(*method_args, **method_kwargs) for slot in self._chosen(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Return False for each chosen slot: lanes are never wrapped one by one.

        ``evaluate_policy``, ``EvalCallback`` and ``VecMonitor`` ask here for ``Monitor`` before they count episodes by
        slot; the first of them is told what that means in a team.
        """
        if issubclass(wrapper_class, Monitor) and self.num_agents > 1 and not self._told_of_slots:
            self._told_of_slots = True
            warnings.warn(
                f"evaluate_policy, EvalCallback and VecMonitor count the episodes of slots, and a slot is one of "
                f"{self.num_agents} agents: their returns are an agent's, not the team's, and fewer episodes than "
                f"{self.num_envs} slots are those of the last agents only. Use adaps_agents.evaluate_team(model, env) "
                "and TeamEvalCallback, which count whole teams; SharingA2C and SharingPPO log team returns themselves.",
                UserWarning,
                stacklevel=3,
            )
        return [False for _ in self._chosen(indices)]

    def _new_infos(self) -> list[dict[str, Any]]:
        padding = self.batched.padding
        if padding.replacements is None:
            return [{} for _ in range(self.num_envs)]
        return [{"action_mask": padding.action_mask[slot.agent_index]} for slot in self._slots]

    def _chosen(self, indices: int | Iterable[int] | None) -> list[AgentSlot]:
        return [self._slots[index] for index in self._get_indices(indices)]

    def _report_ends(
        self, infos: list[dict[str, Any]], obs: NDArray[np.float32], dones: NDArray[np.bool_], limit: NDArray[np.bool_]
    ) -> None:
        """Write the end of the lanes of ``dones [B]`` into their slots' infos."""
        lanes = np.flatnonzero(dones)
        # Rows of a private copy: keeping one does not keep the whole batch alive longer than the ended lanes.
        final = obs[lanes].reshape(-1, obs.shape[-1])
        truncated = limit[lanes].repeat(self.num_agents).tolist()
        slots = (lanes[:, None] * self.num_agents + np.arange(self.num_agents)).ravel().tolist()
        for slot, row, by_limit in zip(slots, final, truncated, strict=True):
            infos[slot]["terminal_observation"] = row
            infos[slot]["TimeLimit.truncated"] = by_limit
        if self._reports_states:
            states = self.batched.global_state()[lanes].repeat(self.num_agents, axis=0)
            for slot, state in zip(slots, states, strict=True):
                infos[slot]["terminal_state"] = state


def make_sb3(
    env_id: str, *, num_envs: int = 1, render_mode: str | None = None, agent_index: bool = False, **kwargs: Any
) -> VecEnv:
    """Create ``num_envs`` lanes behind the stable-baselines3 face; ``kwargs`` as for ``make_batched``.

    ``agent_index=True`` appends the agent's index to observations, see :class:`AgentIndexed`.
    """
    if not isinstance(agent_index, bool):
        raise InvalidParameterError(f"agent_index is {quoted(agent_index)}; it must be True or False.")
    venv = SharedVecEnv(make_batched(env_id, num_envs, **kwargs), render_mode=render_mode)
    return AgentIndexed(venv) if agent_index else venv
