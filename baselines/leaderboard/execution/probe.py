"""About how long runs take, measured for a few seconds before any of them starts."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

from baselines.leaderboard.files import canonical_json
from baselines.leaderboard.spec.config import RunConfig, SchemeConfig

__all__ = ["FEWEST_STEPS", "PROBED_SCHEME", "probe"]

PROBED_SCHEME = "fups_id"
"""It has no identity phase, so a few seconds show its training. Schemes with a network for each agent take longer."""

FEWEST_STEPS = 1_000_000
"""Suites with fewer environment steps to run are not worth a probe."""

_SECONDS = 5.0
_PATIENCE = 60.0


def probe(configs: Sequence[RunConfig]) -> dict[str, float]:
    """Return about how many seconds a run takes, by the context digest of its configuration.

    A process of its own trains :data:`PROBED_SCHEME` for five seconds in all and plays an evaluation; environments from
    elsewhere cannot end this one. What cannot be measured within a minute is left out.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_all, args=(list(configs), sender), daemon=True)
    found: dict[str, float] = {}
    deadline = time.monotonic() + _PATIENCE
    process.start()
    try:
        sender.close()
        with suppress(EOFError, OSError):
            while receiver.poll(max(0.0, deadline - time.monotonic())):
                found.update(json.loads(receiver.recv_bytes()))
    finally:
        process.kill()
        process.join()
        receiver.close()
    return found


def _measure_all(configs: list[RunConfig], results: Connection) -> None:
    for config in configs:
        with suppress(Exception):  # the check of the suite names what is wrong with it
            results.send_bytes(canonical_json({config.context_digest: _measure(config, _SECONDS / len(configs))}))


def _measure(config: RunConfig, seconds: float) -> float:
    import torch

    from baselines.leaderboard.execution.evaluation import Evaluator
    from baselines.leaderboard.execution.learner import build_model

    torch.set_num_threads(1)
    task = config.task
    model = build_model(config.model_copy(update={"scheme": SchemeConfig(name=PROBED_SCHEME)}))
    evaluator = Evaluator(config)
    rollout = config.learner.num_lanes * int(model.n_steps)
    # The first rollout and the first episodes compile and allocate.
    model.learn(rollout, log_interval=None)
    evaluator.sampled(model.policy)
    evaluator.seconds = 0.0
    evaluator.sampled(model.policy)
    before, started = int(model.num_timesteps), time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds or model.num_timesteps == before:
        model.learn(rollout, log_interval=None, reset_num_timesteps=False)
    training = task.budget * spent / (model.num_timesteps - before)
    # Greedy and sampled play at every evaluation step, and the absolute episodes.
    plays = 2 * task.eval_points + task.absolute_episodes / task.eval_episodes
    return training + plays * evaluator.seconds
