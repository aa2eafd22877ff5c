"""What an update of AdaPS costs beside one of full sharing, which has as many parameters, in one process."""

from __future__ import annotations

import statistics
import time
from typing import Any

from stable_baselines3.common.logger import Logger

from adaps_agents import SharingA2C
from adaps_envs import make

__all__ = ["update_ratios"]

LANES = 64
STEPS = 5
REPEATS = 9
ROUND_SECONDS = 0.2


def update_ratios(env_id: str = "BPS-1", widths: tuple[int, ...] = (64, 512), repeats: int = REPEATS) -> list[Any]:
    """Return, for hidden layers of each width, seconds an A2C update of both schemes and their ratio.

    Groups are the true types. Updates are the learners' own, clipping and optimiser included, on one rollout.

    Args:
        env_id: registered id.
        widths: H of the two hidden layers.
        repeats: interleaved windows of each scheme; medians are returned.
    """
    return [_ratio(env_id, width, repeats) for width in widths]


def _ratio(env_id: str, width: int, repeats: int) -> dict[str, Any]:
    env = make(env_id, api="sb3", num_envs=LANES)
    labels = env.batched.agent_types.tolist()
    models = {
        scheme: _filled(scheme, make(env_id, api="sb3", num_envs=LANES), width, options)
        for scheme, options in (("adaps", {"labels": labels}), ("fups", {}))
    }
    times = max(1, round(ROUND_SECONDS / _seconds(models["fups"], 2)))
    rounds = [{scheme: _seconds(model, times) for scheme, model in models.items()} for _ in range(repeats)]
    return {
        "env": env_id, "lanes": LANES, "steps": STEPS, "width": width, "groups": max(labels) + 1,
        "adaps_seconds": statistics.median(one["adaps"] for one in rounds),
        "fups_seconds": statistics.median(one["fups"] for one in rounds),
        "ratio": statistics.median(one["adaps"] / one["fups"] for one in rounds),
    }  # fmt: skip


def _filled(scheme: str, env: Any, width: int, options: dict[str, Any]) -> SharingA2C:
    """Return a learner that has just collected a rollout."""
    policy = {"net_arch": [width, width], "scheme_kwargs": options}
    model = SharingA2C(scheme, env, seed=0, n_steps=STEPS, use_rms_prop=False, policy_kwargs=policy, device="cpu")
    model.set_logger(Logger(None, []))
    model.learn(LANES * STEPS)
    return model


def _seconds(model: SharingA2C, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        model.train()
    return (time.process_time() - start) / times
