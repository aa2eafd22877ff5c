"""``adaps train``: one scheme on one environment, outside any suite, leaving a model that can be loaded again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress
from sklearn.metrics import adjusted_rand_score
from stable_baselines3.common.callbacks import BaseCallback

from adaps_agents.diagnostics import sharing_map, sharing_table
from adaps_agents.learners.resume import capture_training, restore_training, with_prefix, without_prefix
from adaps_agents.schemes import SharingScheme
from adaps_envs import make_batched, spec
from adaps_envs.errors import InvalidParameterError
from baselines.leaderboard.errors import (
    ConfigMismatchError,
    DamagedRecordError,
    InterruptedCommandError,
    OutputDirectoryError,
)
from baselines.leaderboard.execution.environments import DEAL_SEED, environment_params
from baselines.leaderboard.execution.evaluation import Evaluator, LeaderboardCallback
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.files import make_directory, pretty_json, write_file, writing
from baselines.leaderboard.records.artifacts import encode_metrics
from baselines.leaderboard.records.checkpoints import Checkpoint, Checkpoints, checkpoint_path, remove_checkpoint
from baselines.leaderboard.spec.config import LearnerConfig, RunConfig, SchemeConfig, TaskConfig, config_error
from baselines.leaderboard.spec.loading import load_suite
from baselines.leaderboard.verify.compare import different_leaves

__all__ = ["parse_widths", "train_once", "training_config"]

_POINTS = 11
_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_SCRATCH = ".unfinished"
_CONFIG, _METRICS, _MODEL, _WEIGHTS = "config.json", "metrics.jsonl", "model.zip", "policy.safetensors"
# Rollouts for an algorithm that the suite has no settings for; PPO cuts one into so many minibatches.
_STEPS = {"a2c": 5, "ppo": 50}
_MINIBATCHES = 4


def training_config(
    env: str,
    scheme: str,
    steps: int,
    seed: int,
    *,
    suite: str = "quick",
    params: Mapping[str, Any] | None = None,
    algorithm: str | None = None,
    lanes: int | None = None,
    net_arch: Sequence[int] | None = None,
    recurrent: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Return a run with a suite's learner, evaluated at eleven points and not normalised.

    Args:
        env: environment id.
        scheme: sharing scheme.
        steps: environment steps, identity steps included.
        seed: of learner and environment.
        suite: built-in name or ``.toml`` file; its learner counts, with the overrides of its task on this environment.
        params: parameters of the environment.
        algorithm: ``a2c`` or ``ppo``. For another one than the suite's, of its settings ``gamma`` alone is kept; the
            others are stable-baselines3's, but for the length of a rollout and of a minibatch.
        lanes, net_arch, recurrent: in place of the suite's.
        settings: the scheme's options.

    Raises:
        UnknownNameError: no such environment or suite.
        InvalidParameterError: parameters that the environment does not take.
        ConfigError: the suite's file is not a valid suite, or an option breaks a rule of the learner's.
    """
    known = spec(env)
    chosen = load_suite(suite)
    same = next((task.name for task in chosen.tasks if task.env == known.id and not task.params), known.id)
    learner = chosen.learner_for(same).model_dump()
    given = {"num_lanes": lanes, "net_arch": net_arch, "recurrent": recurrent}
    learner |= {name: value for name, value in given.items() if value is not None}
    agents = make_batched(env, 1, **(params or {})).num_agents
    if algorithm not in (None, learner["algorithm"]):
        learner |= {"algorithm": str(algorithm), "learning_rate_schedule": "constant"}
        learner["settings"] = _settings_of(str(algorithm), learner, agents)
    try:
        checked = LearnerConfig.model_validate(learner)
        task = TaskConfig(
            name=known.id, env=known.id, params=dict(params or {}), budget=max(steps, _POINTS - 1), eval_points=_POINTS
        )
        options = SchemeConfig(name=scheme, settings=dict(settings or {}))
    except ValidationError as error:
        raise config_error("adaps train", error) from None
    return RunConfig(task=task, learner=checked, scheme=options, seed=seed)


def parse_widths(text: str) -> tuple[int, ...]:
    """Return the widths of ``"64,64"``.

    Raises:
        InvalidParameterError: it is not a list of whole numbers.
    """
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise InvalidParameterError(
            f"--net-arch is {text!r}; give the widths of the hidden layers, for example 64,64."
        ) from None


def _settings_of(algorithm: str, learner: Mapping[str, Any], agents: int) -> dict[str, Any]:
    kept = {name: learner["settings"][name] for name in ("gamma",) if name in learner["settings"]}
    steps = _STEPS.get(algorithm, 1)
    batch = {"batch_size": max(1, steps * learner["num_lanes"] * agents // _MINIBATCHES)} if algorithm == "ppo" else {}
    return {**kept, "n_steps": steps, **batch}


class ShowSharing(BaseCallback):
    """Prints what is shared with whom, once the groups are known, and how groups that were found fit the types."""

    def __init__(self, console: Console, types: list[int]) -> None:
        super().__init__()
        self._console, self._types = console, types

    def _on_training_start(self) -> None:
        scheme = self.model.policy.scheme
        assert isinstance(scheme, SharingScheme)
        text = sharing_table(sharing_map(self.model.policy))
        groups, source = scheme.assignment(), scheme.group_source
        if groups is not None and source is not None and source.kind == "found":
            ari = adjusted_rand_score(self._types, groups)
            text += f"\nARI of the groups and the hidden types: {ari:.2f}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _on_step(self) -> bool:
        return True


def train_once(
    config: RunConfig, *, out: Path, console: Console, tensorboard: Path | None = None, resume: bool = False
) -> None:
    """Train, printing an evaluation now and then; write model, weights, configuration and metrics.

    Args:
        config: what to train, as :func:`training_config` makes it.
        out: directory that is empty or does not exist yet; with ``resume``, that of the interrupted training.
        console: where progress is shown.
        tensorboard: folder for the learner's scalars.
        resume: go on from the last stopping point, to the same weights as without the interruption.

    Raises:
        OutputDirectoryError: ``out`` holds something, or cannot be written.
        InvalidParameterError: nothing to resume, or the identity phase would take the whole budget; nothing is written.
        ConfigMismatchError: the interrupted training has another configuration.
        DamagedRecordError: its stopping point cannot be used here.
        UnknownNameError: unknown scheme.
        InterruptedCommandError: Ctrl-C.
    """
    _Training(config, out, console, tensorboard, resume=resume).run()


class _Training:
    def __init__(
        self, config: RunConfig, out: Path, console: Console, tensorboard: Path | None, *, resume: bool
    ) -> None:
        self._config, self._out, self._console = config, out, console
        stored = _unfinished(config, out) if resume else None
        with console.status("compiling, once"):
            self._model = build_model(config)
            evaluator = Evaluator(config)
        self._model.policy.check_budget(config.task.budget, self._model.num_lanes)
        self._model.tensorboard_log = None if tensorboard is None else str(tensorboard)
        make_directory(out)
        if not resume and any(out.iterdir()):
            more = ", or --resume to go on with the training there" if _checkpoint_in(out).exists() else ""
            raise OutputDirectoryError(f"{out} is not empty and nothing is overwritten; choose another --out{more}.")
        self._checkpoints = Checkpoints(config, _directory(out), out / _SCRATCH, _SECONDS_BETWEEN_CHECKPOINTS)
        self._points: list[dict[str, Any]] = []
        self._progress = Progress(console=console, disable=not console.is_terminal, transient=True)
        self._bar = self._progress.add_task("", total=config.task.budget)
        self._callback = LeaderboardCallback(evaluator, config, self._show, self._advance, self._on_rollout)
        self._resumed = stored is not None
        if stored is not None:
            self._load(stored)

    def run(self) -> None:
        """Train to the end of the budget and write what came out."""
        model, config = self._model, self._config
        if not model.policy.prepared():
            self._say("finding groups: the identity phase plays at random, then compares the agents")
        self._describe("training" if model.policy.prepared() else "finding groups")
        types = make_batched(config.task.env, 1, **environment_params(config)).agent_types.tolist()
        if len(set(types)) > 1:
            dealt = f" (dealt by seed {config.seed})" if DEAL_SEED in environment_params(config) else ""
            self._say(f"hidden types{dealt}: {' '.join(map(str, types))}")
        callbacks = [ShowSharing(self._console, types), self._callback]
        left = config.task.budget - model.num_timesteps
        name = f"{config.task.name}_{config.scheme.name}_{config.seed}"
        try:
            with self._progress:
                model.learn(left, callbacks, tb_log_name=name, reset_num_timesteps=not self._resumed)
        except KeyboardInterrupt:
            stored = _checkpoint_in(self._out).exists()
            way_out = "To go on: the same command with --resume" if stored else "Nothing is stored yet: begin again"
            raise InterruptedCommandError(f"interrupted. {way_out}.") from None
        write_file(self._out / _METRICS, encode_metrics(self._points))
        with writing(self._out / _MODEL):
            model.save(self._out / _MODEL)
            model.save_weights(self._out / _WEIGHTS)
        remove_checkpoint(_directory(self._out))
        with suppress(OSError):
            (self._out / _SCRATCH).rmdir()
        self._say(f"model: {self._out / _MODEL}")

    def _load(self, stored: Checkpoint) -> None:
        try:
            restore_training(self._model, without_prefix("learner/", stored.arrays))
            self._callback.load_state(without_prefix("evaluation/", stored.arrays))
        except (KeyError, ValueError) as error:
            raise _unusable(self._out) from error
        self._points = list(stored.values["points"])
        self._say(f"goes on from {self._model.num_timesteps:,} of {self._config.task.budget:,} environment steps")

    def _on_rollout(self) -> None:
        """Store a stopping point: at once where there is none, then now and then."""
        first = not (self._out / _CONFIG).exists()
        if first:
            self._describe("training")
            make_directory(self._out / _SCRATCH)
            write_file(self._out / _CONFIG, pretty_json(_stored(self._config)))
        if first or self._checkpoints.due():
            arrays = with_prefix("learner/", capture_training(self._model))
            arrays |= with_prefix("evaluation/", self._callback.state())
            self._checkpoints.save(Checkpoint(arrays, {"points": self._points}))

    def _show(self, point: dict[str, Any]) -> None:
        self._points.append(point)
        if len(self._points) > 1 and self._points[-2]["step"] == point["step"]:
            return  # several were due during the identity phase
        scores = f"return {_rounded(point['greedy_mean'])} greedy, {_rounded(point['sampled_mean'])} sampled"
        self._say(f"{point['step']:>12,} steps  {scores}")
        if self._model.tensorboard_log is not None:
            for name in ("greedy_mean", "sampled_mean"):
                self._model.logger.record(f"evaluation/{name}", point[name])
            self._model.logger.dump(point["step"])

    def _advance(self, steps: int) -> None:
        self._progress.update(self._bar, completed=steps)

    def _describe(self, phase: str) -> None:
        self._progress.update(self._bar, description=f"{self._config.task.name} {self._config.scheme.name}: {phase}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _rounded(value: float) -> str:
    """Two digits that count, or one after the point."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"


def _stored(config: RunConfig) -> dict[str, Any]:
    """Return what ``config.json`` holds: all parameters of the environment, the seed of the deal among them."""
    stored = config.model_dump(mode="json")
    stored["task"]["params"] = environment_params(config)
    return stored


def _directory(out: Path) -> Path:
    """What the stopping point in ``out`` is called after."""
    return out / "training"


def _checkpoint_in(out: Path) -> Path:
    return checkpoint_path(_directory(out))


def _unfinished(config: RunConfig, out: Path) -> Checkpoint:
    """Return the stopping point of the training in ``out``, or raise what :func:`train_once` tells."""
    if (out / _MODEL).exists():
        raise InvalidParameterError(f"--resume: the training in {out} has finished; choose another --out for more.")
    try:
        begun = json.loads((out / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        begun = None
    if begun is None or not _checkpoint_in(out).exists():
        raise InvalidParameterError(
            f"--resume: {out} holds no interrupted training; leave --resume out to begin one there."
        )
    for where, there, here in different_leaves(begun, _stored(config)):
        raise ConfigMismatchError(
            f"--resume: the training in {out} has {where} = {there!r}, this command {here!r}; give the same command, "
            "or another --out."
        )
    try:
        return Checkpoints(config, _directory(out), out / _SCRATCH, _SECONDS_BETWEEN_CHECKPOINTS).read()
    except (OSError, ValueError):
        raise _unusable(out) from None


def _unusable(out: Path) -> DamagedRecordError:
    return DamagedRecordError(
        f"--resume: the stopping point in {out} is damaged, or of another version of this program, of a library or "
        "machine; train again into another --out."
    )
