"""Optional loggers that show a run while it trains: TensorBoard and Weights & Biases. No record depends on them."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from adaps_envs.errors import suggest
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.files import canonical_json, sha256_hex
from baselines.leaderboard.spec.config import RunConfig

__all__ = ["LOG_DIRECTORY", "RunLogger", "RunLoggers", "require_loggers"]

LOG_DIRECTORY = "logs"
"""Where loggers keep their files, below the output directory."""


class RunLogger(Protocol):
    """Takes scalars by name at environment steps."""

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Take the scalars of one evaluation step."""

    def close(self) -> None:
        """The run has ended, or is given up."""


class TensorBoardLogger:
    """Event files below ``logs/tensorboard/<run id>``."""

    def __init__(self, config: RunConfig, logs: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What an interrupted run wrote after its last stopping point comes again: TensorBoard drops the old values.
        self._writer = SummaryWriter(str(logs / "tensorboard" / config.run_id), purge_step=first_step)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Write the scalars of one step, to be seen at once."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class WandbLogger:
    """A run of the project ``WANDB_PROJECT``, by default ``adaps``; offline files lie in ``logs/wandb``.

    The same run in the same output directory keeps its identity, so that an interrupted one is continued there, too.
    """

    def __init__(self, config: RunConfig, logs: Path, first_step: int) -> None:
        import wandb

        logs.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "adaps"),
            group=config.task.name,
            name=config.run_id,
            id=sha256_hex(canonical_json([config.digest, str(logs.resolve())]))[:16],
            resume="allow",
            dir=str(logs),
            config=config.model_dump(mode="json"),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Log the scalars of one step; steps that were logged before are dropped there."""
        self._run.log(scalars, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


@dataclass(frozen=True)
class _Kind:
    """A logger, the package that it needs and what that is called."""

    open: Callable[[RunConfig, Path, int], RunLogger]
    package: str
    title: str


_KINDS = {
    "tensorboard": _Kind(TensorBoardLogger, "tensorboard", "TensorBoard"),
    "wandb": _Kind(WandbLogger, "wandb", "Weights & Biases"),
}


def require_loggers(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names without repetitions, if all are known and installed.

    Raises:
        ConfigError: one is not; the message says how to install it.
    """
    for name in names:
        if name not in _KINDS:
            raise ConfigError(f"no logger {name!r}. {suggest(name, _KINDS)}")
        kind = _KINDS[name]
        if importlib.util.find_spec(kind.package) is None:
            raise ConfigError(
                f"--logger {name} needs {kind.title}, which is not installed: pip install 'adaps[{kind.package}]'."
            )
    return tuple(dict.fromkeys(names))


class RunLoggers:
    """The loggers of one run. A logger that raises is given up with a warning; the run never notices."""

    def __init__(self, names: Sequence[str], config: RunConfig, logs: Path) -> None:
        """Nothing is opened before :meth:`open`."""
        self._names = names
        self._config = config
        self._logs = logs
        self._open: dict[str, RunLogger] = {}

    def open(self, first_step: int) -> None:
        """Open them at ``first_step`` environment steps; later scalars of an earlier attempt are void."""
        for name in self._names:
            try:
                self._open[name] = _KINDS[name].open(self._config, self._logs, first_step)
            except Exception as error:  # a foreign library: whatever it raises must not end the run
                self._give_up(name, error)

    def log(self, metrics: dict[str, Any]) -> None:
        """Pass on one line of ``metrics.jsonl``."""
        self._tell_all(lambda logger: logger.write(metrics["step"], self._scalars(metrics)))

    def close(self) -> None:
        """Close those that are still there."""
        self._tell_all(lambda logger: logger.close())
        self._open.clear()

    def _tell_all(self, tell: Callable[[RunLogger], None]) -> None:
        for name, logger in list(self._open.items()):
            try:
                tell(logger)
            except Exception as error:  # as above
                del self._open[name]
                self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        message = f"logger {name} of {self._config.run_id} is given up: {type(error).__name__}: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)

    def _scalars(self, metrics: dict[str, Any]) -> dict[str, float]:
        found = {
            f"{way}/{statistic}": metrics[f"{way}_{statistic}"]
            for way in ("greedy", "sampled")
            for statistic in ("mean", "std")
        }
        task = self._config.task
        if task.random_score is not None:
            found["score"] = float(task.normalise(metrics[f"{task.scored}_mean"]))
        return {**found, **metrics["learner"]}
