"""``adaps train``: one scheme on one environment, outside any suite, leaving a model that can be loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress
from stable_baselines3.common.callbacks import BaseCallback

from adaps_agents.diagnostics import sharing_map, sharing_table
from adaps_envs import spec
from baselines.leaderboard.errors import InterruptedCommandError, OutputDirectoryError
from baselines.leaderboard.execution.evaluation import Evaluator, LeaderboardCallback
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.files import make_directory, pretty_json, write_file, writing
from baselines.leaderboard.records.artifacts import encode_metrics
from baselines.leaderboard.spec.config import LearnerConfig, RunConfig, SchemeConfig, TaskConfig, config_error
from baselines.leaderboard.spec.loading import load_suite

__all__ = ["train_once", "training_config"]

_POINTS = 11


def training_config(
    env: str, scheme: str, steps: int, seed: int, *, suite: str = "quick", recurrent: str | None = None
) -> RunConfig:
    """Return a run with a suite's learner, evaluated at eleven points and not normalised.

    Args:
        env: environment id.
        scheme: sharing scheme.
        steps: environment steps, identity steps included.
        seed: of learner and environment.
        suite: built-in name or ``.toml`` file; its learner counts, with the overrides of its task on this environment.
        recurrent: ``none``, ``gru`` or ``gru_actor``, in place of the suite's.

    Raises:
        UnknownNameError: no such environment or suite.
        ConfigError: the suite's file is not a valid suite, or there is no such memory.
    """
    known = spec(env)
    chosen = load_suite(suite)
    same = next((task.name for task in chosen.tasks if task.env == known.id and not task.params), known.id)
    learner = chosen.learner_for(same)
    if recurrent is not None:
        try:
            learner = LearnerConfig.model_validate(learner.model_dump() | {"recurrent": recurrent})
        except ValidationError as error:
            raise config_error("--recurrent", error) from None
    task = TaskConfig(name=known.id, env=known.id, budget=max(steps, _POINTS - 1), eval_points=_POINTS)
    return RunConfig(task=task, learner=learner, scheme=SchemeConfig(name=scheme), seed=seed)


class ShowSharing(BaseCallback):
    """Prints what is shared with whom, once the groups are known."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def _on_training_start(self) -> None:
        table = sharing_table(sharing_map(self.model.policy))
        self._console.print(table, markup=False, highlight=False, soft_wrap=True)

    def _on_step(self) -> bool:
        return True


def train_once(config: RunConfig, *, out: Path, console: Console) -> None:
    """Train, printing an evaluation now and then; write ``model.zip``, ``config.json`` and ``metrics.jsonl``.

    Args:
        config: what to train, as :func:`training_config` makes it.
        out: directory that is empty or does not exist yet.
        console: where progress is shown.

    Raises:
        OutputDirectoryError: ``out`` holds something, or cannot be written.
        UnknownNameError: unknown scheme.
        InvalidParameterError: the identity phase would take the whole budget; nothing is written.
        InterruptedCommandError: Ctrl-C.
    """
    model = build_model(config)
    model.policy.check_budget(config.task.budget, model.num_lanes)
    make_directory(out)
    if any(out.iterdir()):
        raise OutputDirectoryError(f"{out} is not empty and nothing is overwritten; choose another --out.")
    write_file(out / "config.json", pretty_json(config.model_dump(mode="json")))
    points: list[dict[str, Any]] = []
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task(f"{config.task.name} {config.scheme.name}", total=config.task.budget)

        def show(point: dict[str, Any]) -> None:
            points.append(point)
            scores = f"return {point['greedy_mean']:.1f} (sampled {point['sampled_mean']:.1f})"
            console.print(f"{point['step']:>12,} steps  {scores}", markup=False, highlight=False)

        callback = LeaderboardCallback(Evaluator(config), config, show, lambda n: progress.update(bar, completed=n))
        try:
            model.learn(total_timesteps=config.task.budget, callback=[callback, ShowSharing(console)])
        except KeyboardInterrupt:
            raise InterruptedCommandError(
                f"interrupted. A single training is not resumed: train again into another --out than {out}."
            ) from None
    write_file(out / "metrics.jsonl", encode_metrics(points))
    with writing(out / "model.zip"):
        model.save(out / "model.zip")
    console.print(f"model: {out / 'model.zip'}", markup=False, highlight=False, soft_wrap=True)
