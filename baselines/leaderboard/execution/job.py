"""One job from configuration to run directory, in this process."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from adaps_agents.export.weights import weights_header
from baselines.leaderboard.errors import DamagedRecordError, OutputDirectoryError
from baselines.leaderboard.execution.diagnosis import sharing_of
from baselines.leaderboard.execution.evaluation import copy_weights
from baselines.leaderboard.execution.loggers import LOG_DIRECTORY, RunLoggers
from baselines.leaderboard.execution.plan import DEFAULT_OPTIONS, JobOptions, final_score
from baselines.leaderboard.execution.training import Training
from baselines.leaderboard.records.artifacts import WeightsFile
from baselines.leaderboard.records.checkpoints import Checkpoints
from baselines.leaderboard.records.provenance import CostMeter, provenance_of
from baselines.leaderboard.records.reader import Failure
from baselines.leaderboard.records.writer import RunResult, RunWriter
from baselines.leaderboard.spec.config import RunConfig

__all__ = ["JobOutcome", "execute_job"]

_ERRORS_OF_ONE_DIRECTORY = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EEXIST}


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: ``score`` is the final normalised mean return (None if failed), ``error`` one line."""

    status: str
    score: float | None = None
    error: str = ""


def execute_job(
    config: RunConfig, directory: Path, on_progress: Callable[[int | str], None], options: JobOptions = DEFAULT_OPTIONS
) -> JobOutcome:
    """Train, evaluate and write one run. An exception of the run itself becomes a record with ``status=failed``.

    So do a ``SystemExit`` that a scheme raises, and files of the run that it removes or blocks while it runs.

    A run that was interrupted goes on from its last stopping point; the record is the same.

    Args:
        config: what to run.
        directory: where the finished record goes.
        on_progress: called with the environment steps spent so far, or with the name of a phase that counts none.
        options: how to run it.

    Raises:
        OutputDirectoryError: the record cannot be written; nothing but the last stopping point is left behind.
    """
    directory = directory.absolute()  # a scheme may change the working directory
    meter = CostMeter()
    writer = RunWriter(directory, config)
    loggers = RunLoggers(options.loggers, config, options.logs or directory.parents[2] / LOG_DIRECTORY)
    try:
        checkpoints = Checkpoints(config, directory, writer.partial, options.checkpoint_seconds)
        training = _begin(config, writer, meter, checkpoints, loggers, on_progress)
        return _finish(config, writer, meter, training)
    except (Exception, SystemExit) as error:
        if isinstance(error, OutputDirectoryError) and not _lost_files(error, directory):
            writer.abandon()
            raise
        return _fail(config, writer, meter, _failure(error))
    except BaseException:
        writer.abandon()
        raise
    finally:
        loggers.close()


def _lost_files(error: OutputDirectoryError, directory: Path) -> bool:
    """Whether it is the run's unfinished files that cannot be written, and not the disk or the output directory."""
    cause = error.__cause__
    lost = isinstance(cause, OSError) and cause.errno in _ERRORS_OF_ONE_DIRECTORY
    return lost and directory.parents[2].is_dir()


def _failure(error: BaseException) -> Failure:
    if isinstance(error, OutputDirectoryError):
        message = f"the files of the unfinished run were removed or blocked while it ran ({error.__cause__})"
        return Failure("LostFilesError", message, traceback.format_exc())
    try:
        message = str(error)
    except Exception:
        message = "(an exception whose text cannot be made)"
    return Failure(type(error).__name__, message, traceback.format_exc())


def _fail(config: RunConfig, writer: RunWriter, meter: CostMeter, failure: Failure) -> JobOutcome:
    """Record a failure. If the disk refuses that, too, no record of a run can be written."""
    try:
        writer.fail(failure, meter.costs(), provenance_of(config))
    except OutputDirectoryError:
        writer.abandon()
        raise
    except DamagedRecordError as error:  # somebody else has put it there while the run ran
        writer.abandon()
        return JobOutcome("failed", error=str(error))
    return JobOutcome("failed", error=f"{failure.type}: {failure.message}")


def _begin(
    config: RunConfig,
    writer: RunWriter,
    meter: CostMeter,
    checkpoints: Checkpoints,
    loggers: RunLoggers,
    on_progress: Callable[[int | str], None],
) -> Training:
    """Make the training, and bring it to the stored stopping point if there is one that fits."""
    checkpoint = checkpoints.load()
    training = Training(config, writer, meter, checkpoints, loggers, on_progress)
    if checkpoint is None:
        return training
    try:
        training.load(checkpoint)
        return training
    except (KeyError, ValueError):
        checkpoints.drop()
        writer.resume([])
        meter.before = None
    return Training(config, writer, meter, checkpoints, loggers, on_progress)


def _finish(config: RunConfig, writer: RunWriter, meter: CostMeter, training: Training) -> JobOutcome:
    training.learn()
    model, evaluator, callback = training.model, training.evaluator, training.callback
    final_weights = copy_weights(model.policy)
    sharing = sharing_of(config, model.policy, int(model.num_timesteps), model.get_env().batched.agent_types)
    model.policy.load_state_dict({name: torch.from_numpy(array) for name, array in callback.best_weights.items()})
    evaluation, actions = callback.result(config, evaluator.absolute(model.policy))
    metadata = weights_header(model.policy, model.get_env()).metadata()
    weights = WeightsFile(final_weights, metadata), WeightsFile(callback.best_weights, metadata)
    result = RunResult(evaluation, actions, *weights, sharing)
    costs = meter.costs(evaluation_seconds=evaluator.seconds)
    writer.finish(result, costs, provenance_of(config))
    return JobOutcome("done", score=final_score(config, float(evaluation.scored(config.task)[-1].mean())))
