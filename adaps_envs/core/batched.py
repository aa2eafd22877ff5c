"""The one core under every face: B lanes of one environment, stepped together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.buffers import RNG_SPEC, allocate, as_array, checked_array, unknown_keys_error
from adaps_envs.core.lanes import any_outside, close_lanes, reopen_lanes
from adaps_envs.core.observation_form import Form, Part, shown
from adaps_envs.core.padding import Padding
from adaps_envs.core.rng import lane_seeds, seed_streams
from adaps_envs.core.thread_pool import LaneThreads
from adaps_envs.core.validation import MAX_THREADS, lane_count, whole_number
from adaps_envs.errors import (
    InvalidActionError,
    InvalidDeclarationError,
    InvalidParameterError,
    InvalidStateError,
    ResetNeededError,
    quoted,
)
from adaps_envs.types import ArraySpec, ObsField, State

if TYPE_CHECKING:
    from adaps_envs.core.drawing import Scene

__all__ = ["REWARD_MODES", "BatchedEnv"]

_DECLARATIONS = (
    "family", "default_id", "action_names", "num_agents", "agent_types", "state_table", "sizes", "obs_fields",
    "obs_space_low", "obs_space_high", "state_low", "state_high", "max_cycles",
)  # fmt: skip
MAX_SCALE = 16
REWARD_MODES = ("individual", "team_sum", "team_mean")


class BatchedEnv(ABC):
    """B parallel copies ("lanes") of one environment with N agents.

    The core never resets by itself: a lane that has ended must be reset with ``reset(mask=...)`` before the next
    ``step``. Every returned array is a fresh copy. Lane ``b`` depends on its own seed alone: it equals a batch of one
    with that seed, whatever B and ``num_threads`` are.

    A family fills in the declarations (``state_table``, ``sizes``, ``obs_fields`` ...) and the lane-range hooks
    (``_reset_lanes``, ``_step_lanes``, ``_observe_lanes``, ``_write_global_state``), and draws in ``_draw_lane``. Hooks
    call compiled kernels by ``_threads.run``, which splits the lanes over the threads; see
    :class:`~adaps_envs.core.thread_pool.LaneThreads`.

    Attributes:
        num_envs: B.
        num_agents: N.
        obs_dim: F.
        obs_shape: shape of an observation before it is flattened to F entries.
        num_actions: A.
        state_dim: S, the size of ``global_state()``.
        max_cycles: time limit in steps; reaching it truncates, it never terminates.
        agent_types: ``[N] int64``, the hidden type of each agent (ground truth, for scoring and oracles only).
        possible_agents: ``["agent_0", ...]``; names never tell the type.
        obs_space_low, obs_space_high: ``[F] float32`` bounds of an observation, the same for every agent.
        obs_mask: ``[N, F] bool``, the entries that each agent has; all True unless the roster makes them unequal. What
            an agent lacks is 0; see :mod:`adaps_envs.core.padding`.
        action_mask: ``[N, A] bool``, the actions that each agent has; one that it lacks is replaced by its first one.
        padding: the layer that turns agents' own observations and actions into these padded ones, and back.
        state_low, state_high: ``[S] float32`` bounds of the global state.
        obs_fields: one :class:`ObsField` for each entry of an observation.
        params: the family's frozen parameters.
        spec_id: registered id, e.g. ``"BPS-1-v0"``.
        action_names: what the A actions are called.
        action_keys: the keys that stand for the first actions when a human plays; digits stand for all of them anyway.
    """

    family: ClassVar[str]
    default_id: ClassVar[str]
    action_names: tuple[str, ...]
    action_keys: ClassVar[tuple[str, ...]] = ()

    num_agents: int
    agent_types: NDArray[np.int64]
    state_table: tuple[ArraySpec, ...]
    sizes: Mapping[str, int]
    obs_fields: tuple[ObsField, ...]
    obs_space_low: NDArray[np.float32]
    obs_space_high: NDArray[np.float32]
    state_low: NDArray[np.float32]
    state_high: NDArray[np.float32]
    max_cycles: int
    obs_mask: NDArray[np.bool_]
    action_mask: NDArray[np.bool_]

    def __init__(
        self,
        num_envs: int,
        params: Any,
        *,
        seed: int | Sequence[int] | None = None,
        num_threads: int = 1,
        spec_id: str | None = None,
    ) -> None:
        """Allocate the lanes; nothing is drawn before the first ``reset``.

        Args:
            num_envs: B, at least 1.
            params: the family's validated parameters.
            seed: seed of the first ``reset`` that is not given one; None takes entropy from the system.
            num_threads: lanes are split over this many threads; the result is the same bit for bit.
            spec_id: id under which the environment was made.

        Raises:
            InvalidParameterError: ``num_envs``, ``num_threads`` or ``seed`` is not legal.
        """
        self.num_envs = lane_count(num_envs)
        self.num_threads = min(whole_number("num_threads", num_threads, 1, MAX_THREADS), self.num_envs)
        self.params = params
        self._declare()
        self._check_declarations()
        self.spec_id = spec_id or self.default_id
        self._declare_padding()
        self._action_array_shape = (self.num_envs, self.num_agents)
        self._obs_array_shape = (*self._action_array_shape, self.obs_dim)
        self._reward_mode = _reward_mode(params.reward)
        self._arrays: State = allocate(self.state_table, self.num_envs, self.sizes)
        self._pending_seeds = None if seed is None else lane_seeds(seed, self.num_envs)
        self._ended = np.zeros(self.num_envs, dtype=bool)
        self._any_ended = False
        self._begun = False
        self._threads = LaneThreads(self.num_threads)

    # -- what a family declares and computes ---------------------------------------------------------------------

    @abstractmethod
    def _declare(self) -> None:
        """Set every attribute listed in the class body from ``self.params``; the masks only where agents differ."""

    @abstractmethod
    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        """Draw a start state for the lanes of ``[start, stop)`` where ``mask`` holds."""

    @abstractmethod
    def _step_lanes(
        self,
        start: int,
        stop: int,
        actions: NDArray[np.int64],
        obs: NDArray[np.float32],
        rewards: NDArray[np.float32],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """Advance lanes ``[start, stop)`` by one step and write all outputs."""

    @abstractmethod
    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        """Write the observations of lanes ``[start, stop)``."""

    @abstractmethod
    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        """Write the global state of all lanes, ``[B, S]``."""

    @abstractmethod
    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a picture of one lane, ``[height, width, 3] uint8``, without a display."""

    def _scene(self, lane: int) -> Scene | None:
        """Return the picture of one lane before it is painted, for other scales and SVG; None if there is none."""
        return None

    def agent_pixels(self, lane: int = 0) -> NDArray[np.float64] | None:
        """Return where the agents are in :meth:`render_frame`'s picture, ``[N, 2]`` pixels (x to the right, y down).

        None if the family does not tell; it only serves to point at an agent.
        """
        return None

    # -- public ---------------------------------------------------------------------------------------------------

    @property
    def obs_dim(self) -> int:
        """F, the length of an agent's observation."""
        return len(self.obs_fields)

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """Shape of one agent's observation before it is flattened to F entries; ``(F,)`` unless it is an image."""
        return (self.obs_dim,)

    @property
    def obs_form(self) -> Form:
        """The form in which adapters show an observation; see :mod:`adaps_envs.core.observation_form`."""
        return Part(0, self.obs_shape)

    def structure(self, obs: NDArray[np.float32]) -> Any:
        """Return observations ``[..., F] float32`` in the form of :attr:`obs_form`; leading axes stay in front.

        Arrays of numbers are views where their type is float32, copies otherwise.
        """
        return shown(self.obs_form, obs)

    @property
    def num_actions(self) -> int:
        """A, the number of discrete actions of each agent."""
        return len(self.action_names)

    @property
    def state_dim(self) -> int:
        """S, the length of a lane's global state."""
        return len(self.state_low)

    @property
    def possible_agents(self) -> list[str]:
        """The agents' names, in agent order; a fresh list."""
        return [f"agent_{index}" for index in range(self.num_agents)]

    @property
    def begun(self) -> bool:
        """Whether there is a state: after the first ``reset`` or ``set_state``."""
        return self._begun

    @property
    def ended(self) -> NDArray[np.bool_]:
        """``[B] bool`` copy: lanes whose episode is over and that wait for ``reset(mask=...)``."""
        return self._ended.copy()

    def reset(
        self, seed: int | Sequence[int] | None = None, mask: NDArray[np.bool_] | Sequence[bool] | None = None
    ) -> NDArray[np.float32]:
        """Start new episodes.

        Args:
            seed: integer ``s`` (lane ``b`` is seeded ``s + b``) or B integers; None continues each lane's stream.
            mask: ``[B] bool``, the lanes to reset; None resets all. The others, streams included, stay as they are.

        Returns:
            Observations of all lanes, ``[B, N, F] float32``, a fresh array.

        Raises:
            InvalidParameterError: a bad seed, or a mask of another shape or type.
        """
        chosen = self._checked_mask(mask)
        if not self._begun and not chosen.all():
            raise ResetNeededError("the first reset must cover every lane: call reset() without a mask once.")
        self._seed(seed, chosen)
        self._reset_lanes(0, self.num_envs, chosen)
        self._any_ended = reopen_lanes(chosen, self._ended)
        self._begun = True
        return self.observe()

    def step(
        self, actions: NDArray[Any], mask: NDArray[np.bool_] | Sequence[bool] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Advance every lane, or those of ``mask``, by one step.

        Args:
            actions: ``[B, N]`` integers in ``{0, ..., A - 1}``.
            mask: ``[B] bool``, the lanes to advance; None takes all. The others stay as they are: their observations
                are those of the present state, their rewards 0 and their flags False.

        Returns:
            Fresh arrays: observations ``[B, N, F] float32``, rewards ``[B, N] float32``, terminated ``[B] bool``,
            truncated ``[B] bool`` (time limit).

        Raises:
            InvalidActionError: wrong shape, a non-integer type or an action out of range; no lane has moved.
            InvalidParameterError: a mask of another shape or type.
            ResetNeededError: before the first reset, or while a lane to advance has ended and was not reset.
        """
        checked = self._checked_actions(actions)
        chosen = None if mask is None else self._checked_mask(mask)
        if self._any_ended or not self._begun:
            self._require_running(chosen)
        obs = np.empty(self._obs_array_shape, np.float32)
        rewards = np.empty(self._action_array_shape, np.float32)
        terminated = np.empty(self.num_envs, np.bool_)
        truncated = np.empty(self.num_envs, np.bool_)
        if chosen is None:
            self._step_lanes(0, self.num_envs, checked, obs, rewards, terminated, truncated)
            self._any_ended = close_lanes(terminated, truncated, self._ended)
        else:
            self._step_some(chosen, checked, obs, rewards, terminated, truncated)
            self._any_ended = bool(self._ended.any())
        self._blank(obs)
        if self._reward_mode is not None:
            rewards[:] = self._reward_mode(rewards, axis=1, keepdims=True)
        return obs, rewards, terminated, truncated

    def observe(self) -> NDArray[np.float32]:
        """Return the observations of the present state, ``[B, N, F] float32``, a fresh array.

        Raises:
            ResetNeededError: before the first reset.
        """
        self._require_state("observe")
        obs = np.empty(self._obs_array_shape, np.float32)
        self._observe_lanes(0, self.num_envs, obs)
        self._blank(obs)
        return obs

    def global_state(self) -> NDArray[np.float32]:
        """Return what a centralised critic may see, ``[B, S] float32``, a fresh array; it never holds types.

        Raises:
            ResetNeededError: before the first reset.
        """
        self._require_state("global_state")
        out = np.empty((self.num_envs, self.state_dim), np.float32)
        self._write_global_state(out)
        return out

    def described(self, kind: str) -> str:
        """Return one line on what an object of ``kind`` that shows this environment is."""
        lanes = f"{self.num_envs} lanes, " if self.num_envs != 1 else ""
        sizes = f"observations [{self.obs_dim}], {self.num_actions} actions, {self.max_cycles} steps at most"
        return f"<{kind} {self.spec_id}: {lanes}{self.num_agents} agents, {sizes}>"

    def __repr__(self) -> str:
        """Return kind, id and sizes on one line."""
        return self.described(type(self).__name__)

    def render_frame(self, lane: int = 0, *, scale: int = 1) -> NDArray[np.uint8]:
        """Return a picture of one lane, ``[height * scale, width * scale, 3] uint8``, without a display.

        Raises:
            ResetNeededError: before the first reset.
            InvalidParameterError: there is no such lane, or the family draws pictures of one size alone.
        """
        self._require_state("render_frame")
        lane = whole_number("lane", lane, 0, self.num_envs - 1)
        if whole_number("scale", scale, 1, MAX_SCALE) == 1:
            return self._draw_lane(lane)
        from adaps_envs.core.drawing import raster  # Pillow loads with the first picture

        return raster(self._painted(lane), scale)

    def render_svg(self, lane: int = 0) -> str:
        """Return the picture of one lane as the text of an SVG file, for papers.

        Raises:
            ResetNeededError: before the first reset.
            InvalidParameterError: there is no such lane, or the family draws pixels alone.
        """
        self._require_state("render_svg")
        from adaps_envs.core.drawing import svg

        return svg(self._painted(whole_number("lane", lane, 0, self.num_envs - 1)))

    def _painted(self, lane: int) -> Scene:
        scene = self._scene(lane)
        if scene is None:
            raise InvalidParameterError(
                f"{self.family} draws pixels of one size; leave scale out, or give the class a _scene()."
            )
        return scene

    def get_state(self) -> State:
        """Return copies of all state arrays, lane axis first, the random streams (``rng``) included."""
        self._publish_state()
        return {name: array.copy() for name, array in self._arrays.items()}

    def set_state(self, state: Mapping[str, Any], mask: NDArray[np.bool_] | Sequence[bool] | None = None) -> None:
        """Overwrite state arrays; absent ones keep their values. The chosen lanes count as running afterwards.

        Args:
            state: any subset of ``get_state()``'s keys, each ``[B, *dims]``.
            mask: ``[B] bool``, the lanes to overwrite; None takes all.

        Raises:
            InvalidStateError: an unknown key, a wrong shape or dtype, or a value outside its range; nothing changed.
        """
        chosen = self._checked_mask(mask)
        specs = {spec.name: spec for spec in (*self.state_table, RNG_SPEC)}
        if not isinstance(state, Mapping):
            raise InvalidStateError(f"state is a {type(state).__name__}; give a mapping of array names to arrays.")
        unknown = [str(name) for name in state if name not in specs]
        if unknown:
            raise unknown_keys_error(unknown, list(specs))
        checked = {name: checked_array(value, specs[name], self._arrays[name]) for name, value in state.items()}
        if self._begun:
            self._check_state(checked, chosen)
        else:
            self._begin_with(checked, chosen)
        for name, array in checked.items():
            self._arrays[name][chosen] = array[chosen]
        self._adopt_state(chosen)
        self._ended[chosen] = False
        self._any_ended = bool(self._ended.any())

    def close(self) -> None:
        """End the worker threads, if any; from then on the caller does everything itself."""
        self._threads.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the worker threads: a pickled environment goes on where it was."""
        return {**self.__dict__, "_threads": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the environment and start its worker threads again."""
        self.__dict__.update(state)
        self._threads = LaneThreads(self.num_threads)

    # -- private --------------------------------------------------------------------------------------------------

    def _check_declarations(self) -> None:
        """Refuse a family that lacks a declaration, or whose arrays have another shape or dtype.

        Raises:
            InvalidDeclarationError: it names the class and what it lacks.
        """
        who = type(self).__name__
        lacking = [name for name in _DECLARATIONS if not hasattr(self, name)]
        if lacking:
            raise InvalidDeclarationError(
                f"{who} does not declare {', '.join(lacking)}; set each in the class body or in _declare(), "
                "see BatchedEnv's attributes."
            )
        size, state = (self.obs_dim,), np.shape(self.state_low)
        shapes = {
            "agent_types": ((self.num_agents,), "iu"),
            "obs_space_low": (size, "f"),
            "obs_space_high": (size, "f"),
        }
        shapes |= {"state_low": (state[:1], "f"), "state_high": (state[:1], "f")}
        for name, (shape, kinds) in shapes.items():
            array = np.asarray(getattr(self, name))
            if array.shape != shape or array.dtype.kind not in kinds:
                what = "integers" if kinds == "iu" else "float32"
                raise InvalidDeclarationError(
                    f"{who} declares {name} with shape {list(array.shape)} and dtype {array.dtype}; "
                    f"give {what} of shape {list(shape)}."
                )

    def _declare_padding(self) -> None:
        shape = (self.num_agents, self.obs_dim, self.num_actions)
        bounds = (self.obs_space_low, self.obs_space_high)
        declared = vars(self)
        self.padding = Padding.of(declared.get("obs_mask"), declared.get("action_mask"), shape, bounds)
        self.obs_mask, self.action_mask = self.padding.obs_mask, self.padding.action_mask
        self.obs_space_low, self.obs_space_high = self.padding.padded_bounds()

    def _blank(self, obs: NDArray[np.float32]) -> None:
        if self.padding.blanks is not None:
            obs[:, self.padding.blanks] = 0.0

    def _require_state(self, call: str) -> None:
        if not self._begun:
            raise ResetNeededError(f"{call}() before the first reset(): call reset(seed=...) first.")

    def _require_running(self, chosen: NDArray[np.bool_] | None) -> None:
        self._require_state("step")
        if not self._any_ended:
            return
        waiting = self._ended if chosen is None else self._ended & chosen
        if waiting.any():
            lanes = np.flatnonzero(waiting)[:8].tolist()
            raise ResetNeededError(f"step() after the end of lanes {lanes}: call reset(mask=env.ended) first.")

    def _step_some(
        self,
        chosen: NDArray[np.bool_],
        actions: NDArray[np.int64],
        obs: NDArray[np.float32],
        rewards: NDArray[np.float32],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """Advance the chosen lanes, run of neighbours by run of neighbours."""
        self._observe_lanes(0, self.num_envs, obs)
        rewards[:] = 0.0
        terminated[:] = truncated[:] = False
        edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False)).reshape(-1, 2)
        for start, stop in edges.tolist():
            self._step_lanes(start, stop, actions, obs, rewards, terminated, truncated)
        self._ended[chosen] = (terminated | truncated)[chosen]

    def _check_state(self, state: State, mask: NDArray[np.bool_]) -> None:  # noqa: B027  (a hook that may stay empty)
        """Check rules between arrays; a family with such rules raises InvalidStateError here."""

    def _publish_state(self) -> None:  # noqa: B027  (a hook that may stay empty)
        """Bring state arrays up to date that the kernels do not keep, because they follow from others."""

    def _adopt_state(self, mask: NDArray[np.bool_]) -> None:  # noqa: B027  (a hook that may stay empty)
        """Derive again, for the lanes of ``mask``, what the kernels keep next to the state arrays."""

    def _begin_with(self, state: State, chosen: NDArray[np.bool_]) -> None:
        """Start the lanes before the first injected state, then check it against them; undo that if it is refused."""
        pending = self._pending_seeds
        self.reset()
        try:
            self._check_state(state, chosen)
        except InvalidStateError:
            self._pending_seeds, self._begun = pending, False
            raise

    def recorded_streams(
        self, state: Mapping[str, NDArray[Any]], recorded: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.uint64] | None:
        """Return random streams ``[B, 4]`` under which the next step draws what a golden file recorded.

        Args:
            state: the recorded state before the step, lane axis first; lane b is recorded step b.
            recorded: all arrays of the file.

        Returns:
            Values for the state array ``rng``, or None where a step draws nothing.
        """
        return None

    def _seed(self, seed: int | Sequence[int] | None, chosen: NDArray[np.bool_]) -> None:
        seeds = self._pending_seeds if seed is None else lane_seeds(seed, self.num_envs)
        if seeds is None and not self._begun:
            entropy = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
            seeds = lane_seeds(entropy, self.num_envs)
        self._pending_seeds = None
        if seeds is not None:
            self._arrays["rng"][chosen] = seed_streams(seeds)[chosen]

    def _checked_mask(self, mask: NDArray[np.bool_] | Sequence[bool] | None) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        array = as_array(mask, "mask", InvalidParameterError)
        if array.shape != (self.num_envs,) or array.dtype.kind != "b":
            raise InvalidParameterError(
                f"mask has shape {array.shape} and dtype {array.dtype}; give [{self.num_envs}] booleans, one a lane."
            )
        # Kernels are compiled once more for each layout: give them one, writable and C-contiguous.
        return array.copy()

    def _checked_actions(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        array = as_array(actions, "the array of actions", InvalidActionError)
        if array.shape != self._action_array_shape:
            shape = list(self._action_array_shape)
            raise InvalidActionError(f"actions have shape {array.shape}; they must be [B, N] = {shape}.")
        if array.dtype.kind not in "iu":
            raise InvalidActionError(f"actions have dtype {array.dtype}; give integers in 0..{self.num_actions - 1}.")
        checked = np.ascontiguousarray(array, np.int64)
        if not checked.flags.writeable:
            # Read-only arrays are a type of their own to the compiler; one is enough.
            checked = checked.copy()
        if any_outside(checked, self.num_actions):
            raise self._illegal_action(array)
        replacements = self.padding.replacements
        return checked if replacements is None else replacements[np.arange(self.num_agents), checked]

    def _illegal_action(self, actions: NDArray[Any]) -> InvalidActionError:
        lane, agent = np.argwhere((actions < 0) | (actions >= self.num_actions))[0]
        return InvalidActionError(
            f"action {actions[lane, agent]} of agent_{agent} in lane {lane} is out of range; "
            f"legal actions are 0..{self.num_actions - 1} ({', '.join(self.action_names)})."
        )


def _reward_mode(name: str) -> Callable[..., Any] | None:
    modes: dict[str, Callable[..., Any] | None] = dict(zip(REWARD_MODES, (None, np.sum, np.mean), strict=True))
    if name not in modes:
        raise InvalidParameterError(f"reward is {quoted(name)}; choose one of {', '.join(REWARD_MODES)}.")
    return modes[name]
