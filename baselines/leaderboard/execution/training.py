"""The training of one run with its evaluations, stored from time to time so that it can go on after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adaps_agents.learners.resume import capture_training, restore_training, with_prefix, without_prefix
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution.evaluation import Evaluator, LeaderboardCallback
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.execution.loggers import RunLoggers
from baselines.leaderboard.records.checkpoints import Checkpoint, Checkpoints
from baselines.leaderboard.records.metadata_files import Costs
from baselines.leaderboard.records.provenance import CostMeter
from baselines.leaderboard.records.writer import RunWriter
from baselines.leaderboard.spec.config import RunConfig, longest_training

__all__ = ["Training"]

_LEARNER = "learner/"
_EVALUATION = "evaluation/"


class Training:
    """Learner, evaluation and partial log of one run.

    Attributes:
        model: the learner.
        evaluator: plays the evaluation episodes.
        callback: holds what was measured.
    """

    def __init__(
        self,
        config: RunConfig,
        writer: RunWriter,
        meter: CostMeter,
        checkpoints: Checkpoints,
        loggers: RunLoggers,
        on_progress: Callable[[int | str], None],
    ) -> None:
        self._budget = config.task.budget
        self._writer, self._meter, self._checkpoints, self._loggers = writer, meter, checkpoints, loggers
        self._on_progress = on_progress
        self._resumed = False
        self.model = build_model(config)
        self.evaluator = Evaluator(config)
        self.callback = LeaderboardCallback(self.evaluator, config, self._on_evaluation, on_progress, self._on_rollout)

    def learn(self) -> None:
        """Train to the end of the budget.

        Raises:
            ConfigError: the identity phase went on beyond it, which depends on the seed where rewards are rare.
        """
        self._on_progress(self.model.num_timesteps)
        if not self.model.policy.prepared():
            self._on_progress("finding groups")
        self._loggers.open(self.model.num_timesteps + 1 if self._resumed else 0)
        remaining = self._budget - self.model.num_timesteps
        # Nothing is printed, so nothing is dumped: evaluation reads the learner's last values from the logger itself.
        self.model.learn(remaining, self.callback, log_interval=None, reset_num_timesteps=not self._resumed)
        if (steps := int(self.model.policy.scheme.identity_steps)) > longest_training(self._budget):
            raise ConfigError(
                f"the identity phase took {steps:,} environment steps of a budget of {self._budget:,}, so nothing was "
                "trained. Raise the task's budget, or lower env_steps or patience of the scheme's identity."
            )

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a stopping point; call it before :meth:`learn`.

        Raises:
            KeyError, ValueError: it is not one of this run; the training is then of no further use.
        """
        costs = Costs.model_validate(checkpoint.values["costs"])
        restore_training(self.model, without_prefix(_LEARNER, checkpoint.arrays))
        self.callback.load_state(without_prefix(_EVALUATION, checkpoint.arrays))
        self.evaluator.seconds = costs.evaluation_seconds or 0.0
        self._writer.resume(checkpoint.values["points"])
        self._meter.before = costs
        self._resumed = True

    def _on_evaluation(self, metrics: dict[str, Any]) -> None:
        self._writer.add_evaluation(metrics)
        self._loggers.log(metrics)

    def _on_rollout(self) -> None:
        if self._checkpoints.due():
            self._checkpoints.save(self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        arrays = {
            **with_prefix(_LEARNER, capture_training(self.model)),
            **with_prefix(_EVALUATION, self.callback.state()),
        }
        costs = self._meter.costs(evaluation_seconds=self.evaluator.seconds)
        return Checkpoint(arrays, {"points": self._writer.metrics, "costs": costs.model_dump(mode="json")})
