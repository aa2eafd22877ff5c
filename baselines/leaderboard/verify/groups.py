"""Running the identity phase of a record again: whether its groups were found, or put there. This needs torch.

The phase is a function of configuration and seed. Its result stands in the weights alone, which a forger may take from
a run that was handed the hidden types.
"""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnvWrapper

from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.execution.replay import lane_bytes, open_environment
from baselines.leaderboard.spec.config import RunConfig

__all__ = [
    "MAX_BEGUN_BYTES",
    "MAX_CLUSTERED",
    "MAX_ENCODED_ROWS",
    "MAX_KEPT_NUMBERS",
    "MAX_PHASE_BYTES",
    "MAX_PHASE_MOVES",
    "MAX_PHASE_ROUNDS",
    "MAX_SOLVED",
    "MAX_TESTED",
    "LongerPhaseError",
    "prepared_again",
]

MAX_PHASE_MOVES = 1 << 27
"""Actions of single agents in the random play of an identity phase that is run again."""

MAX_PHASE_ROUNDS = 1 << 20
"""Steps of all lanes at once in that play: each takes its time, however few agents it moves."""

MAX_ENCODED_ROWS = 1 << 28
"""Rows that its autoencoder may be trained on, all minibatches together, times the square of its width over 64."""

_SMALL_BATCH = 256

MAX_PHASE_BYTES = 1 << 30
"""What all lanes of its environment may take."""

MAX_BEGUN_BYTES = 1 << 38
"""What all episodes that it begins take, one after the other: a large board takes longer to make than to step."""

MAX_KEPT_NUMBERS = 1 << 27
"""Observation entries of a phase that keeps all of its steps; one that looks by tests has a bound of its own."""

MAX_CLUSTERED = 512
"""Agents of a phase that clusters by K-means, which may try every number of groups, each with several starts."""

MAX_TESTED = 1_024
"""Agents of a phase that looks by tests, which may take every two groups for different ones."""

MAX_SOLVED = 1 << 36
"""Multiplications of the regressions of its tests and gates: for each agent one system of all entries and squares."""


class _Stop(BaseCallback):
    """Ends the training with its first step, before any update."""

    def _on_step(self) -> bool:
        return False


class LongerPhaseError(Exception):
    """An identity phase goes on where the recorded one had ended."""


class _Limited(VecEnvWrapper):
    """The environment of a phase, which makes no more than so many moves of all lanes.

    Settings can allow a phase of any length, so only the recorded one says what it costs to run it again.
    """

    def __init__(self, env: Any, moves: int) -> None:
        super().__init__(env)
        self._left = moves

    def reset(self) -> Any:
        return self.venv.reset()

    def step_async(self, actions: Any) -> None:
        if self._left == 0:
            raise LongerPhaseError
        self._left -= 1
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        return self.venv.step_wait()


def prepared_again(config: RunConfig, source: Any, steps: int, *, longest: int | None = None) -> Any:
    """Return the policy as it is when training begins, its groups found again; None if that would cost too much.

    Args:
        config: of the run, its learner cut down to what the phase depends on.
        source: where the scheme takes its groups from; None of a scheme that has a phase of its own.
        steps: environment steps that the phase took, as recorded.
        longest: how many it may take here; None for as many.

    Raises:
        LongerPhaseError: the phase takes more steps.
    """
    lanes, budget = config.learner.num_lanes, config.task.budget
    env = open_environment(config)
    if env.num_agents * (2 * env.obs_dim) ** 3 > MAX_SOLVED:
        return None
    settings = getattr(source, "config", None)
    if settings is not None:
        encoder = settings.encoder
        rows = encoder.updates * encoder.batch_size
        if encoder.passes is not None:
            rows = encoder.passes * steps * env.num_agents
        # A small minibatch takes as long as one of so many rows.
        rows *= max(1, _SMALL_BATCH // encoder.batch_size)
        if rows * max(1, (encoder.hidden + encoder.latent) // 64) ** 2 > MAX_ENCODED_ROWS:
            return None
        keeps_all = not (settings.tests and source.looks)
        if env.num_agents > (MAX_TESTED if settings.tests else MAX_CLUSTERED):
            return None
        if keeps_all and settings.env_steps * env.num_agents * env.obs_dim > MAX_KEPT_NUMBERS:
            return None
    lane = lane_bytes(env)
    long = steps * env.num_agents > MAX_PHASE_MOVES or steps // lanes > MAX_PHASE_ROUNDS
    if long or lanes * lane > MAX_PHASE_BYTES or (lanes + steps // env.max_cycles) * lane > MAX_BEGUN_BYTES:
        return None
    model = build_model(config)
    # The first step of the training follows the last one of the phase.
    model.env = _Limited(model.env, -(-(longest or steps) // lanes) + 1)
    model.learn(budget, _Stop())
    return model.policy
