"""Advantages computed by hand, ends told from time limits, and the losses of stock stable-baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO
from adaps_agents.policy.policy import sample_actions
from adaps_agents.policy.rollout import AgentRolloutBuffer

GAMMA, LAMBDA = 0.5, 0.8
OBSERVATION, ACTION = spaces.Box(-1, 1, (1,)), spaces.Discrete(2)


class CountingCritic:
    """Values every agent's single observation entry as itself."""

    calls = 0

    def __call__(self, obs: Tensor, states: Tensor) -> Tensor:
        """Return ``[M, N]``."""
        assert states.shape == (len(obs), 0)
        self.calls += 1
        return obs[..., 0]


def _filled(dones: list[bool], final: list[float] | None) -> tuple[AgentRolloutBuffer, CountingCritic]:
    """Return two steps of one lane of two agents, which may end after the first step."""
    buffer = AgentRolloutBuffer(2, OBSERVATION, ACTION, gamma=GAMMA, gae_lambda=LAMBDA, n_envs=2, num_agents=2)
    critic = CountingCritic()
    logits = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])
    frames = [torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [4.0]]])]
    rewards = [np.array([1.0, -1.0]), np.array([0.5, 2.0])]
    for step, frame in enumerate(frames):
        ended = dones[step]
        buffer.add(frame, torch.tensor([[1, 0]]), logits, rewards[step], np.array([ended, ended]))
        if ended and final is not None:
            seen = torch.tensor(final).view(1, 2, 1)
            buffer.add_truncated(torch.tensor([0]), torch.ones(1, 2), seen, torch.zeros(1, 0))
    buffer.finish(critic, torch.tensor([[[5.0], [6.0]]]), torch.zeros(1, 0))
    return buffer, critic


def test_advantages_of_a_running_episode() -> None:
    buffer, _ = _filled([False, False], None)
    second = [0.5 + 0.5 * 5 - 3, 2 + 0.5 * 6 - 4]
    first = [1 + 0.5 * 3 - 1 + 0.4 * second[0], -1 + 0.5 * 4 - 2 + 0.4 * second[1]]
    torch.testing.assert_close(buffer.advantages[:, 0], torch.tensor([first, second]))
    torch.testing.assert_close(buffer.returns, buffer.advantages + buffer.values)


def test_nothing_follows_a_termination() -> None:
    buffer, critic = _filled([True, False], None)
    torch.testing.assert_close(buffer.advantages[0, 0], torch.tensor([1.0 - 1, -1.0 - 2]))
    assert critic.calls == 1


def test_a_time_limit_is_bootstrapped_at_the_final_observation() -> None:
    buffer, critic = _filled([True, False], [7.0, 8.0])
    torch.testing.assert_close(buffer.advantages[0, 0], torch.tensor([1 + 0.5 * 7 - 1, -1 + 0.5 * 8 - 2]))
    assert critic.calls == 1


def test_an_end_in_the_last_step_ignores_what_comes_after() -> None:
    terminated, _ = _filled([False, True], None)
    truncated, _ = _filled([False, True], [7.0, 8.0])
    torch.testing.assert_close(terminated.advantages[1, 0], torch.tensor([0.5 - 3, 2.0 - 4]))
    torch.testing.assert_close(truncated.advantages[1, 0], torch.tensor([0.5 + 3.5 - 3, 2 + 4 - 4.0]))


def test_log_probabilities_are_those_of_the_chosen_actions() -> None:
    buffer, _ = _filled([False, False], None)
    expected = torch.tensor([1 - np.log(1 + np.e), 2 - np.log(1 + np.e**2)], dtype=torch.float32)
    torch.testing.assert_close(buffer.log_probs[0, 0], expected)


def test_a_rollout_with_time_limits_calls_the_critic_once() -> None:
    model = SharingA2C("fups", type_game(3, max_cycles=2), seed=0, n_steps=7)
    calls = []
    inner = model.scheme.critic

    def counted(obs: Tensor) -> Tensor:
        calls.append(len(obs))
        return inner(obs)

    model.scheme.critic = counted  # type: ignore[method-assign]
    _, callback = model._setup_learn(1)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 7)  # type: ignore[arg-type]
    # 7 steps and the last observation of 3 lanes, and 3 time limits each in steps 2, 4 and 6.
    assert calls == [3 * 7 + 3 + 9]


def test_minibatches_keep_teams_together_and_cover_everything() -> None:
    buffer = AgentRolloutBuffer(5, OBSERVATION, ACTION, n_envs=6, num_agents=2)
    buffer.observations[:] = torch.arange(5 * 3).view(5, 3, 1, 1) + torch.tensor([0.0, 0.5]).view(1, 1, 2, 1)
    batches = list(buffer.get(4, torch.Generator().manual_seed(0)))
    assert [len(batch.observations) for batch in batches] == [4, 4, 4, 3]
    rows = torch.cat([batch.observations for batch in batches])[..., 0]
    torch.testing.assert_close(rows[:, 1], rows[:, 0] + 0.5)
    assert sorted(rows[:, 0].tolist()) == list(range(15))
    assert rows[:, 0].tolist() != sorted(rows[:, 0].tolist())


def test_samples_follow_the_logits() -> None:
    logits = torch.tensor([0.1, 0.6, 0.3]).log().expand(20_000, 3)
    drawn = sample_actions(logits, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=3) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.015, rtol=0)


# -- stock stable-baselines3 ----------------------------------------------------------------------------------------

COMMON: dict[str, Any] = {"gamma": 0.9, "gae_lambda": 0.8, "n_steps": 12, "ent_coef": 0.02, "learning_rate": 0.01}
CASES = [
    (SharingA2C, A2C, {}),
    (SharingA2C, A2C, {"normalize_advantage": True, "use_rms_prop": False}),
    (SharingPPO, PPO, {"n_epochs": 8, "batch_size": 4096, "clip_range": 0.01}),
    (SharingPPO, PPO, {"n_epochs": 3, "batch_size": 4096, "clip_range_vf": 0.1, "target_kl": 0.001}),
]


def _stock_twin(ours: Any, stock_class: Any, settings: dict[str, Any]) -> Any:
    stock = stock_class("MlpPolicy", ours.env, policy_kwargs=_arch(), device="cpu", **COMMON, **settings)
    pairs = [
        (("mlp_extractor.policy_net", "action_net"), ours.scheme.actor_net),
        (("mlp_extractor.value_net", "value_net"), ours.scheme.critic_net),
    ]
    state = stock.policy.state_dict()
    for (body, head), net in pairs:
        for layer, place in enumerate((f"{body}.0", f"{body}.2", head)):
            state[f"{place}.weight"] = net.weights[layer][0].detach().clone()
            state[f"{place}.bias"] = net.biases[layer][0].detach().clone()
    stock.policy.load_state_dict(state)
    return stock


def _arch() -> dict[str, Any]:
    return {"net_arch": {"pi": [16, 8], "vf": [16, 8]}, "activation_fn": torch.nn.ReLU}


def _stock_buffer(ours: Any, stock: Any) -> RolloutBuffer:
    """Return the same experience, advantages computed by stock code."""
    mine: AgentRolloutBuffer = ours.rollout_buffer
    buffer: RolloutBuffer = stock.rollout_buffer
    buffer.reset()
    ended = np.ones(ours.n_envs, bool)
    for step in range(mine.buffer_size):
        flat = [tensor[step].flatten(0, 1) for tensor in (mine.observations, mine.actions, mine.rewards)]
        obs, actions, rewards = (tensor.numpy() for tensor in flat)
        values, log_probs = mine.values[step].flatten(), mine.log_probs[step].flatten()
        buffer.add(obs, actions[:, None], rewards, ended, values, log_probs)
        ended = mine.dones[step].flatten().numpy().astype(bool)
    last = torch.as_tensor(ours._last_obs)
    buffer.compute_returns_and_advantage(stock.policy.predict_values(last).detach(), ended)
    return buffer


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize(("sharing", "stock_class", "settings"), CASES)
@pytest.mark.parametrize(("groups", "lanes"), [((1,), 1), ((2, 1), 4)], ids=["one-agent", "team"])
def test_full_sharing_updates_as_stock_does(
    sharing: Any, stock_class: Any, settings: dict[str, Any], groups: tuple[int, ...], lanes: int
) -> None:
    policy = {"net_arch": [16, 8]}
    env = type_game(lanes, groups=groups, max_cycles=5)
    ours = sharing("fups", env, seed=0, policy_kwargs=policy, device="cpu", **COMMON, **settings)
    with torch.no_grad():
        for parameter in ours.scheme.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    _, callback = ours._setup_learn(1)
    assert ours.collect_rollouts(ours.env, callback, ours.rollout_buffer, COMMON["n_steps"])
    stock = _stock_twin(ours, stock_class, settings)
    theirs = _stock_buffer(ours, stock)
    torch.testing.assert_close(ours.rollout_buffer.advantages.flatten(1), torch.as_tensor(theirs.advantages))
    torch.testing.assert_close(ours.rollout_buffer.returns.flatten(1), torch.as_tensor(theirs.returns))
    before = ours.scheme.actor_net.weights[0].detach().clone()
    for model in (ours, stock):
        model._logger = ours.logger
        model._current_progress_remaining = 1.0
        model.train()
    after = _stock_twin(ours, stock_class, settings).policy.state_dict()
    for name, value in stock.policy.state_dict().items():
        torch.testing.assert_close(after[name], value, atol=2e-5, rtol=1e-3, msg=lambda text, n=name: f"{n}: {text}")
    assert not torch.equal(before, ours.scheme.actor_net.weights[0])
