"""Checks of what a scheme does before training. As in ``function_checks``, a fault raises."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from adaps_agents.identity.collect import Collector
from adaps_agents.schemes import SharingScheme
from adaps_agents.testing.subject import NUM_ACTIONS, OBS_DIM, SEED, SchemeCheckError, Subject, require
from adaps_envs.errors import InvalidParameterError

__all__ = ["check_preparation"]

LANES = 2
# Of a scheme that takes settings of the identity phase; what it finds in so few steps does not matter.
BRIEF = {"env_steps": 60, "patience": 1, "encoder": {"updates": 2, "batch_size": 16}}


def check_preparation(subject: Subject) -> str | None:
    """``prepare`` returns what its collector counted, and looks up no hidden types."""
    scheme = _unprepared(subject)
    game = _Game(subject.team)
    collector = Collector(game, len(subject.team), NUM_ACTIONS, np.random.default_rng(SEED))  # type: ignore[arg-type]
    try:
        spent = scheme.prepare(collector)
    except AttributeError as error:
        raise SchemeCheckError(
            f"prepare() looks for more than a collector has: {error}; the rule is collect(), outcomes(), "
            "env_steps, num_agents, num_actions and num_lanes"
        ) from error
    if not scheme.needs_identity_phase:
        played = collector.env_steps
        require(played == 0, f"needs_identity_phase is False, but prepare() plays {played} environment steps")
        return "it prepares nothing"
    require(not game.looked_up, "prepare() looks up the hidden types of the environment that its collector plays")
    require(
        type(spent) is int and spent == collector.env_steps,
        f"prepare() returns {spent!r}; its collector counted {collector.env_steps} environment steps",
    )
    return None


def _unprepared(subject: Subject) -> SharingScheme:
    """Return the scheme without groups from outside if it can find its own."""
    options: dict[str, Any] = {}
    if subject.group_option is not None and subject.group_option not in subject.options:
        options[subject.group_option] = None
    if "identity" not in subject.options and subject.accepts(identity=BRIEF):
        options["identity"] = BRIEF
    try:
        return subject.make(**options)
    except InvalidParameterError:
        return subject.make()


class _Game:
    """Lanes of agents that see and are paid noise, and hidden types that notice who asks for them."""

    def __init__(self, team: tuple[int, ...]) -> None:
        self._team, self._generator = team, np.random.default_rng(SEED)
        self.num_envs = LANES * len(team)
        self.observation_space = spaces.Box(-np.inf, np.inf, (OBS_DIM,))
        self.looked_up = False

    @property
    def agent_types(self) -> NDArray[np.int64]:
        """The hidden types ``[N]``, as environments tell them."""
        self.looked_up = True
        return np.array(self._team)

    @property
    def batched(self) -> _Game:
        """What adapters play."""
        return self

    venv = unwrapped = batched

    def reset(self) -> NDArray[np.float32]:
        """Return observations ``[B*N, F]``."""
        return self._generator.standard_normal((self.num_envs, OBS_DIM), np.float32)

    def step(self, actions: NDArray[np.int64]) -> tuple[Any, ...]:
        """Return observations ``[B*N, F] float32``, rewards ``[B*N] float32``, ends ``[B*N] bool`` and infos."""
        rewards = self._generator.standard_normal(self.num_envs, np.float32)
        return self.reset(), rewards, np.zeros(len(actions), bool), [{} for _ in actions]
