"""A centralised critic on a coin that no agent sees: heads is worth 5, tails 0; a local critic can say 2.5 at best.

Discount 0.8, reward 1 or 0 for ever, truncated after 5 steps. A learner that bootstrapped from the state after the
reset, whose coin is another one, would settle at 3.66 and 1.34: with c the mean over the steps left of
(1 - 0.8^k) / 0.2 = 2.31, the difference of the values is c and their sum c / (1 - mean 0.8^k) = 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hidden_games import HiddenParams, LuckGame
from numpy.typing import NDArray

from adaps_agents import SharingA2C, SharingPPO
from adaps_envs.adapters.sb3 import SharedVecEnv

GAMMA, LIMIT, LANES = 0.8, 5, 16
HEADS = 1 / (1 - GAMMA)
SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    (SharingA2C, {"use_rms_prop": False}),
    (SharingPPO, {"batch_size": 160, "n_epochs": 2}),
]


class _TooLate(SharedVecEnv):
    """Reports the state after the reset as the terminal one: the fault that this test is about."""

    def step_wait(self) -> Any:
        """Step."""
        obs, rewards, dones, infos = super().step_wait()
        states = self.global_state().repeat(self.num_agents, axis=0)
        ended = [{"terminal_state": states[slot]} if dones[slot] else {} for slot in range(len(infos))]
        return obs, rewards, dones, [{**info, **late} for info, late in zip(infos, ended, strict=True)]


def _values(
    algorithm: Any, settings: dict[str, Any], critic: str, scheme: str = "fups", kind: type[SharedVecEnv] = SharedVecEnv
) -> NDArray[np.float32]:
    env = kind(LuckGame(LANES, HiddenParams(max_cycles=LIMIT), seed=0))
    policy = {"net_arch": [], "critic": critic}
    model = algorithm(
        scheme, env, gamma=GAMMA, gae_lambda=1.0, seed=0, n_steps=5, learning_rate=0.1, ent_coef=0.0, max_grad_norm=1e9,
        policy_kwargs=policy, device="cpu", **settings,
    )  # fmt: skip
    model.learn(LANES * 5 * 300)
    obs, states = torch.ones(2, 2, 1), torch.tensor([[0.0], [1.0]])
    with torch.no_grad():
        values: NDArray[np.float32] = model.policy.values(obs, states).numpy()
    return values


@pytest.mark.parametrize(("algorithm", "settings"), SETTINGS)
@pytest.mark.parametrize("scheme", ["fups", "nops"])
def test_it_learns_both_values(algorithm: Any, settings: dict[str, Any], scheme: str) -> None:
    np.testing.assert_allclose(_values(algorithm, settings, "central", scheme), [[0, 0], [HEADS, HEADS]], atol=0.1)


@pytest.mark.parametrize(("algorithm", "settings"), SETTINGS)
def test_a_local_critic_learns_their_mean(algorithm: Any, settings: dict[str, Any]) -> None:
    np.testing.assert_allclose(_values(algorithm, settings, "local"), HEADS / 2, atol=0.5)


def test_the_state_after_the_reset_would_be_wrong() -> None:
    values = _values(*SETTINGS[0], "central", kind=_TooLate)
    np.testing.assert_allclose(values, [[1.34, 1.34], [3.66, 3.66]], atol=0.4)
