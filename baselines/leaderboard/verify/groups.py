"""Running the identity phase of a record again: whether its groups were found, or put there. This needs torch.

The phase is a function of configuration and seed. Its result stands in the weights alone, which a forger may take from
a run that was handed the hidden types.
"""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnvWrapper

from adaps_agents.identity.encoder import EncoderConfig
from adaps_agents.identity.phase import OBS_NUMBERS, IdentityConfig
from adaps_agents.identity.reward_regression import STEPS_A_WEIGHT, TEAM_STEPS
from adaps_agents.schemes.mask_mapping import MappingConfig
from adaps_agents.schemes.registry import is_builtin, make_scheme
from adaps_envs.core.batched import BatchedEnv
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.execution.replay import lane_bytes, open_environment
from baselines.leaderboard.spec.config import RunConfig
from baselines.leaderboard.verify.checks import WIDENED, actor_weights, layer_sizes

__all__ = ["MAX_PHASE_BYTES", "OTHER_DEALS", "LongerPhaseError", "chosen", "phase_decisions", "prepared_again"]

OTHER_DEALS = 8
"""With how many other seeds a phase is run whose settings are the author's."""

MAX_PHASE_BYTES = 1 << 30
"""What all lanes of a phase that is run again may take, and its observations, regressions and minibatches, each."""

# Work in decisions of single agents, each of which takes some 0.4 us; measured on one core.
_ENTRIES = 1 << 6  # of a longer observation count as a decision each
_BYTES = 1 << 6  # of a lane that an episode begins with
_ROUND = 1 << 8  # one step of all lanes, however few agents it moves
_LEAST_ROW, _WEIGHTS_A_ROW, _SMALL_BATCH = 4, 1 << 11, 256  # a row of a minibatch; a small one takes as long
_CODE = 1 << 6  # entries of a code that make clustering take twice as long as no entry
_TREE = 1 << 6  # Ward's tree with N / 2 silhouettes takes so much less time than K-means with as many numbers
_TESTED, _STEPS_TESTED = 1 << 11, 1 << 14  # tests of two agents, in so many steps
_MULTIPLICATIONS = 1 << 11


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


def chosen(config: RunConfig) -> bool:
    """Whether the settings of a run's identity phase are its author's, who may have searched them."""
    identity = config.scheme.settings.get("identity")
    return identity is not None and not isinstance(identity, str)


def phase_decisions(config: RunConfig, env: BatchedEnv, steps: int) -> int:
    """Return as how many decisions of single agents the identity phase of a run counts, with all other seeds.

    Args:
        config: of the run.
        env: its environment.
        steps: environment steps that the phase took, as recorded.
    """
    if not is_builtin(config.scheme.name):
        return 0  # code from outside takes what it takes
    try:
        scheme = make_scheme(config.scheme.name, **config.scheme.settings)
        mapped = _mapping_cost(config, env) // _MULTIPLICATIONS
    except Exception:  # settings that no scheme has; named when it is built
        return 0
    if not scheme.needs_identity_phase:
        return 2 * mapped
    agents, lanes = env.num_agents, config.learner.num_lanes
    begun = (lanes + steps // env.max_cycles) * lane_bytes(env) // _BYTES
    work = mapped + steps * agents * max(1, env.obs_dim // _ENTRIES) + steps // lanes * _ROUND + begun
    work += agents * (2 * env.obs_dim) ** 3 // _MULTIPLICATIONS
    source = scheme.group_source
    if source is not None:
        encoder, rounds = source.config.encoder, max(1, steps // _STEPS_TESTED)
        rows = encoder.updates * encoder.batch_size
        if encoder.passes is not None:
            rows = encoder.passes * steps * agents
        rows *= max(1, _SMALL_BATCH // encoder.batch_size)
        work += rows * max(_LEAST_ROW, _encoder_weights(encoder, env) // _WEIGHTS_A_ROW)
        numbers = agents if source.config.num_groups == "auto" else 1
        clustered = agents**2 * numbers * (_CODE + encoder.latent) // _CODE
        work += clustered // _TREE + agents**2 * rounds * _TESTED if source.config.tests else clustered
        fitted, weights = _team_regression(source.config, env, steps)
        work += fitted * weights * (weights + agents) // _MULTIPLICATIONS
    return work * (1 + OTHER_DEALS * chosen(config)) + mapped


def _team_regression(settings: IdentityConfig, env: BatchedEnv, steps: int) -> tuple[int, int]:
    """Return the steps and the weights of the regression for agents that all get one reward, 0 where there is none."""
    weights = env.num_agents * (2 * env.obs_dim + env.num_actions)
    fitted = min(steps, OBS_NUMBERS // (env.num_agents * env.obs_dim)) // 2
    if not (settings.tests and settings.regression) or fitted < STEPS_A_WEIGHT * weights:
        return 0, 0
    return min(fitted, TEAM_STEPS), weights


def _encoder_weights(encoder: EncoderConfig, env: BatchedEnv) -> int:
    hidden, latent, seen = encoder.hidden, encoder.latent, env.obs_dim
    into = env.num_agents + 2 * latent + latent + seen + env.num_actions + hidden + seen + 1
    return hidden * into


def _mapping_cost(config: RunConfig, env: BatchedEnv) -> int:
    """Return how many multiplications it takes at most to draw the mapping from codes to masks: it is orthogonal."""
    settings = config.scheme.settings
    if config.scheme.name not in WIDENED:
        return 0
    hidden, draws = (int(settings.get(name, getattr(MappingConfig, name))) for name in ("hidden", "max_redraws"))
    whole = settings.get("units") in ("weights", "both")
    units = actor_weights(config, env) if whole else sum(layer_sizes(config, env)[1:-1])
    return 2 * units * hidden**2 * draws


def prepared_again(config: RunConfig, source: Any, steps: int, *, longest: int | None = None) -> Any:
    """Return the policy as it is when training begins, its groups found again; None if that takes too much memory.

    Args:
        config: of the run, its learner cut down to what the phase depends on.
        source: where the scheme takes its groups from; None of a scheme that has a phase of its own.
        steps: environment steps that the phase took, as recorded.
        longest: how many it may take here; None for as many.

    Raises:
        LongerPhaseError: the phase takes more steps.
    """
    lanes, env = config.learner.num_lanes, open_environment(config)
    needed = [lanes * lane_bytes(env), env.num_agents * (2 * env.obs_dim) ** 2 * 8]
    if source is not None:
        settings, encoder = source.config, source.config.encoder
        # The layers of a minibatch and what their gradients need.
        needed.append(encoder.batch_size * (encoder.hidden + encoder.latent + env.obs_dim) * 4 * 8)
        if env.params.reward != "individual" or getattr(env.params, "reward_type", "") == "global":
            fitted, weights = _team_regression(settings, env, steps)
            needed.append((2 * fitted + weights) * weights * 8)
        if not (settings.tests and source.looks):
            needed.append(settings.env_steps * env.num_agents * env.obs_dim * 8)  # every observation, and the next
    if max(needed) > MAX_PHASE_BYTES:
        return None
    model = build_model(config)
    # The first step of the training follows the last one of the phase.
    model.env = _Limited(model.env, -(-(longest or steps) // lanes) + 1)
    model.learn(config.task.budget, _Stop())
    return model.policy
