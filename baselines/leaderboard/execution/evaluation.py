"""Evaluating a learning policy at fixed environment-step marks, without disturbing its training.

Evaluation has environments and generators of its own. All schemes, seeds and points of a task meet the same episodes,
and sampled actions are drawn from the same stream at every point, so that differences between points are the policy's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from adaps_agents.learners.resume import with_prefix, without_prefix
from adaps_agents.policy.policy import with_noise
from adaps_agents.random_streams import torch_stream
from adaps_envs import make_batched
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.episodes import Episodes, play_episodes
from baselines.leaderboard.records.artifacts import ActionLog, Evaluation, Weights
from baselines.leaderboard.spec.config import RunConfig, evaluation_marks, seeds_of

if TYPE_CHECKING:
    from adaps_envs.core.batched import BatchedEnv

__all__ = ["Evaluator", "LeaderboardCallback", "action_noise", "copy_weights"]

# Logged values that follow the clock; a record of them would differ between two equal runs.
_CLOCK_PREFIX = "time/"


def action_noise(config: RunConfig, first_seed: int) -> torch.Generator:
    """Return the stream from which a run samples its actions in the episodes from ``first_seed`` on.

    It is the same at every point, and in evaluation and absolute episodes. What is drawn in other episodes follows from
    their seeds, too: a policy may have been trained on the public stream, and know agents by it.
    """
    seeds = seeds_of(config)
    secret = () if first_seed in (seeds.evaluation_start, seeds.absolute_start) else (first_seed,)
    return torch_stream(config.seed, "leaderboard", "sampled actions", *secret)


class Evaluator:
    """Plays a policy in the evaluation episodes of one run.

    Attributes:
        task: of the run.
        seconds: wall-clock time spent so far.
    """

    def __init__(self, config: RunConfig) -> None:
        self.task, self._config = config.task, config
        self._seeds = seeds_of(config)
        self._env = self._make_env(config.task.eval_episodes)
        self.seconds = 0.0

    def greedy(self, policy: Any) -> Episodes:
        """Play the E episodes with the most likely actions."""
        return self._play(policy, self._env, self._seeds.evaluation_start, deterministic=True)

    def sampled(self, policy: Any) -> Episodes:
        """Play the E episodes with sampled actions."""
        return self._play(policy, self._env, self._seeds.evaluation_start, deterministic=False)

    def absolute(self, policy: Any) -> Episodes:
        """Play the Q absolute episodes, as the task is scored."""
        env = self._make_env(self.task.absolute_episodes)
        return self._play(policy, env, self._seeds.absolute_start, deterministic=self.task.scored == "greedy")

    def scored(
        self,
        policy: Any,
        first_seed: int | None = None,
        noise_seed: int | None = None,
        dtype: torch.dtype = torch.float32,
        *,
        play: str | None = None,
    ) -> Episodes:
        """Play E episodes as the task is scored, or as ``play`` says.

        Args:
            policy: its weights have the type ``dtype``.
            first_seed: environment seed of the first episode; None for the public ones.
            noise_seed: of what sampled actions follow from; None for ``first_seed``.
            dtype: of the weights.
            play: ``greedy`` or ``sampled``; None for what the task is scored by.
        """
        first = self._seeds.evaluation_start if first_seed is None else first_seed
        greedy = (play or self.task.scored) == "greedy"
        return self._play(policy, self._env, first, deterministic=greedy, noise_seed=noise_seed, dtype=dtype)

    def play(self, policy: Any, name: str, choose: Callable[[torch.Tensor], NDArray[np.int64]]) -> Episodes:
        """Play the ``greedy`` or the ``sampled`` episodes with actions ``[E, N]`` chosen by scores ``[E, N, A]``.

        Scores are the logits, or the logits with the noise by which actions are sampled; evaluation takes the highest.
        """
        greedy = name == "greedy"
        return self._play(policy, self._env, self._seeds.evaluation_start, deterministic=greedy, choose=choose)

    def _make_env(self, episodes: int) -> BatchedEnv:
        return make_batched(self.task.env, episodes, **environment_params(self._config))

    def _play(
        self,
        policy: Any,
        env: BatchedEnv,
        first_seed: int,
        *,
        deterministic: bool,
        noise_seed: int | None = None,
        dtype: torch.dtype = torch.float32,
        choose: Callable[[torch.Tensor], NDArray[np.int64]] = lambda scores: np.asarray(scores.argmax(dim=-1)),
    ) -> Episodes:
        generator = action_noise(self._config, first_seed if noise_seed is None else noise_seed)
        # Every lane is one episode: what follows its end is not looked at, so nothing need be forgotten in between.
        memory = policy.new_memory(env.num_envs)
        memory.state = memory.state.to(dtype)

        def act(obs: NDArray[np.float32]) -> NDArray[np.int64]:
            """Return actions ``[E, N] int64`` for observations ``[E, N, F] float32``."""
            logits = policy.logits(obs, memory=memory, dtype=dtype).float()
            return choose(logits if deterministic else with_noise(logits, generator))

        started = time.perf_counter()
        was_training = policy.training
        policy.set_training_mode(False)
        try:
            return play_episodes(env, act, first_seed)
        finally:
            policy.set_training_mode(was_training)
            self.seconds += time.perf_counter() - started


class LeaderboardCallback(BaseCallback):
    """Evaluates at every mark, keeps the best weights in memory and the action log of the last point.

    Marks that fall into the identity phase are evaluated at its end, with the untrained policy, and their points carry
    the steps really spent. The last point is evaluated after the last update.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        config: RunConfig,
        on_evaluation: Callable[[dict[str, Any]], None],
        on_progress: Callable[[int], None],
        on_rollout: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_evaluation`` takes each line of ``metrics.jsonl``, ``on_progress`` the environment steps spent.

        ``on_rollout`` is called at the start of every rollout, when all that was due has been evaluated.
        """
        super().__init__()
        self._evaluator = evaluator
        self._scored = config.task.scored
        self._on_evaluation = on_evaluation
        self._on_progress = on_progress
        self._on_rollout = on_rollout
        self._logged: dict[str, float] = {}
        self._marks = evaluation_marks(config.task)
        self._steps: list[int] = []
        self._greedy: list[NDArray[np.float64]] = []
        self._sampled: list[NDArray[np.float64]] = []
        self._final: Episodes | None = None
        self._best_mean = -np.inf
        self.best_weights: Weights = {}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was measured so far, and what the learner logged last, as arrays by name.

        Steps ``[P] int64`` and returns ``[P, E] float64`` of P points; numbers as scalars, float64; the best weights in
        their own shapes and dtypes.
        """
        logged = self._learner_scalars()
        return {
            "steps": np.array(self._steps, np.int64),
            "greedy": np.array(self._greedy, np.float64),
            "sampled": np.array(self._sampled, np.float64),
            "best mean": np.array(self._best_mean, np.float64),
            **with_prefix("best/", self.best_weights),
            **with_prefix("logged/", {name: np.array(value, np.float64) for name, value in logged.items()}),
        }

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave, names and shapes unchanged; call it before ``learn``."""
        self._steps = arrays["steps"].tolist()
        self._greedy, self._sampled = list(arrays["greedy"]), list(arrays["sampled"])
        self._best_mean = float(arrays["best mean"])
        self.best_weights = without_prefix("best/", arrays)
        self._logged = {name: float(value) for name, value in without_prefix("logged/", arrays).items()}

    def _on_training_start(self) -> None:
        # ``learn`` begins with an empty logger, but the next point holds what the last update before it logged.
        for name, value in self._logged.items():
            self.logger.record(name, value)

    def _on_rollout_start(self) -> None:
        self._evaluate_due(self._marks[:-1])
        self._on_rollout()

    def _on_step(self) -> bool:
        self._on_progress(self.num_timesteps)
        self._evaluate_due(self._marks[:-1])
        return True

    def _on_training_end(self) -> None:
        self._on_progress(self.num_timesteps)
        while len(self._steps) < len(self._marks):
            self._evaluate_due(self._marks, whatever_the_step=True)

    def result(self, config: RunConfig, absolute: Episodes) -> tuple[Evaluation, ActionLog]:
        """Return everything that was measured; call it after ``learn``."""
        assert self._final is not None, "learn() has not ended"
        seeds = seeds_of(config)
        greedy, sampled = np.stack(self._greedy), np.stack(self._sampled)
        scored = sampled if self._scored == "sampled" else greedy
        evaluation = Evaluation(
            marks=np.array(self._marks, np.int64),
            steps=np.array(self._steps, np.int64),
            greedy=greedy,
            sampled=sampled,
            seeds=np.arange(seeds.evaluation_count, dtype=np.int64) + seeds.evaluation_start,
            absolute=absolute.returns,
            absolute_seeds=np.arange(seeds.absolute_count, dtype=np.int64) + seeds.absolute_start,
            best_point=np.array(scored.mean(axis=1).argmax(), np.int64),
        )
        actions = ActionLog(self._final.actions, self._final.lengths, absolute.actions, absolute.lengths)
        return evaluation, actions

    def _evaluate_due(self, marks: list[int], *, whatever_the_step: bool = False) -> None:
        first = len(self._steps)
        due = [mark for mark in marks[first:] if whatever_the_step or mark <= self.num_timesteps]
        if not due:
            return
        greedy, sampled = self._evaluator.greedy(self.model.policy), self._evaluator.sampled(self.model.policy)
        self._final = sampled if self._scored == "sampled" else greedy
        self._keep_best(float(self._final.returns.mean()))
        scalars = self._learner_scalars()
        for point, mark in enumerate(due, start=first):
            self._steps.append(self.num_timesteps)
            self._greedy.append(greedy.returns)
            self._sampled.append(sampled.returns)
            self._on_evaluation(
                {
                    "point": point,
                    "mark": mark,
                    "step": self.num_timesteps,
                    "greedy_mean": float(greedy.returns.mean()),
                    "greedy_std": float(greedy.returns.std()),
                    "sampled_mean": float(sampled.returns.mean()),
                    "sampled_std": float(sampled.returns.std()),
                    "learner": scalars,
                }
            )

    def _keep_best(self, mean: float) -> None:
        if mean > self._best_mean:
            self._best_mean = mean
            self.best_weights = copy_weights(self.model.policy)

    def _learner_scalars(self) -> dict[str, float]:
        values = self.logger.name_to_value
        return {
            name: float(value)
            for name, value in sorted(values.items())
            if isinstance(value, (int, float, np.number)) and not name.startswith(_CLOCK_PREFIX)
        }


def copy_weights(policy: torch.nn.Module) -> Weights:
    """Return the policy's whole ``state_dict`` (buffers such as masks and labels included) as numpy copies."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in policy.state_dict().items()}
