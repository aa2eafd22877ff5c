"""Learning speed beside a bare torch loop of the same scheme, in interleaved windows of one process.

The ratio is what comfort costs: a real environment, callbacks, logger, time-limit bootstraps and clipping by network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from adaps_agents import SharingA2C, SharingPPO
from adaps_envs import make
from baselines.bench.bare_loops import GAMMA, BareLoop, BareTask

__all__ = ["learning_ratios"]

STEPS = 5
HIDDEN = (64, 64)
PPO_STEPS = 50
PPO_EPOCHS = 4
PPO_BATCH = 4800
WINDOW_ROWS = 200_000
YARDSTICK = BareTask(lanes=64, agents=15, obs_dim=10, num_actions=5, steps=STEPS, hidden=HIDDEN)


class _Clock(BaseCallback):
    """Note CPU time at the end of every rollout, so that set-up and identity phase are not timed."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.marks.append(time.process_time())


def learning_ratios(
    env_id: str, scheme: str, lanes: int, *, algorithm: str = "a2c", repeats: int = 5
) -> dict[str, Any]:
    """Return agent steps per CPU second of the learner and of the bare loop, and the median ratios.

    The yardstick (A2C of full sharing on BPS-1's sizes at 64 lanes, bare) runs between the same windows: by it a figure
    of another machine is set beside this one's while the speed of this one drifts.

    Args:
        env_id: registered id.
        scheme: one of :data:`~baselines.bench.bare_loops.BARE_SCHEMES`.
        lanes: B.
        algorithm: ``a2c`` or ``ppo``.
        repeats: interleaved windows of each.
    """
    env = make(env_id, api="sb3", num_envs=lanes)
    ppo = algorithm == "ppo"
    steps = PPO_STEPS if ppo else STEPS
    given = {"labels": env.batched.agent_types.tolist()} if scheme in ("adaps", "seps") else {}
    policy = {"net_arch": list(HIDDEN), "scheme_kwargs": given}
    common: dict[str, Any] = {"seed": 0, "n_steps": steps, "gamma": GAMMA, "policy_kwargs": policy, "device": "cpu"}
    if ppo:
        model: Any = SharingPPO(scheme, env, n_epochs=PPO_EPOCHS, batch_size=PPO_BATCH, **common)
    else:
        model = SharingA2C(scheme, env, use_rms_prop=False, **common)
    sizes = env.observation_space.shape[0], int(env.action_space.n)
    bare = BareLoop(
        scheme,
        BareTask(lanes, env.num_agents, *sizes, steps, HIDDEN),
        epochs=PPO_EPOCHS if ppo else None,
        batch=PPO_BATCH,
    )
    yardstick = BareLoop("fups", YARDSTICK)
    window, yardstick_window = (max(4, WINDOW_ROWS // loop.agent_steps) for loop in (bare, yardstick))
    ours, bares, yardsticks = [], [], []
    for _ in range(repeats):
        yardsticks.append(_rate(yardstick.iterate, yardstick_window, yardstick.agent_steps))
        bares.append(_rate(bare.iterate, window, bare.agent_steps))
        clock = _Clock()
        model.learn((window + 1) * steps * lanes, callback=clock)
        ours.append((len(clock.marks) - 1) * bare.agent_steps / (clock.marks[-1] - clock.marks[0]))
    return {
        "env": env_id, "scheme": scheme, "algorithm": algorithm, "lanes": lanes, "agents": env.num_agents,
        "agent_steps_per_s": statistics.median(ours), "bare_agent_steps_per_s": statistics.median(bares),
        "ratio": _median_ratio(ours, bares), "yardstick_ratio": _median_ratio(ours, yardsticks),
    }  # fmt: skip


def _median_ratio(rates: list[float], bases: list[float]) -> float:
    return statistics.median(rate / base for rate, base in zip(rates, bases, strict=True))


def _rate(work: Callable[[], None], times: int, agent_steps: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return times * agent_steps / (time.process_time() - start)
