"""Recurrent policies in the learners: what is remembered, for how long, and by whom; play, resumption, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from torch import Tensor
from type_game import TypeGame, TypeGameParams, type_game

from adaps_agents import SharingA2C, SharingPolicy, SharingPPO, TeamPolicy, list_schemes
from adaps_agents.learners.resume import Arrays, capture_training, restore_training
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import PARTS
from adaps_envs import make
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.errors import InvalidParameterError, InvalidWeightsError

LANES, TEAM, STEPS = 4, 6, 5
CENTRAL = {"recurrent": "gru", "critic": "central"}


def _model(algorithm: Any, scheme: str = "adaps", recurrent: str = "gru", **kwargs: Any) -> Any:
    policy = {"recurrent": recurrent, **kwargs.pop("policy_options", {})}
    return small_model(algorithm, scheme, kwargs.pop("env", None), policy_options=policy, **kwargs)


class _Rollouts(BaseCallback):
    """Calls back with the learner whenever a rollout is complete."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self._call = call

    def _on_rollout_end(self) -> None:
        self._call(self.model)

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("scheme", list_schemes())
def test_the_first_ratio_is_one_and_values_are_those_stored(scheme: str) -> None:
    seen = []

    def check(model: Any) -> None:
        model.policy.set_training_mode(True)
        for batch in model.rollout_buffer.get(2 * model.n_steps, model.generator):
            assert batch.observations.shape[:3] == (7, 2, TEAM)
            logits, values = model._logits(batch), model._values(batch)
            chosen = logits.log_softmax(dim=-1).gather(-1, batch.actions[..., None]).squeeze(-1)
            seen.append(float((chosen - batch.old_log_prob).exp().sub(1).abs().max().detach()))
            torch.testing.assert_close(values, batch.old_values)

    model = _model(SharingPPO, scheme, n_steps=7, policy_options={"critic": "central"})
    model.learn(LANES * 7 * 3 + 160, _Rollouts(check))
    assert len(seen) >= 4
    assert max(seen) < 1e-5


def _history(net: Any, rows: list[Tensor], agent: int) -> Tensor:
    """Return outputs ``[T, O]`` of one agent's network over an episode's inputs, in PyTorch's own arithmetic."""
    *hidden, (weight_ih, bias_ih), (weight_hh, bias_hh), (head, offset) = net.effective_params(agent)
    state, out = torch.zeros(1, weight_hh.shape[1]), []
    for row in rows:
        h = row[None]
        for weight, bias in hidden:
            h = torch.relu(torch.nn.functional.linear(h, weight, bias))
        state = torch.gru_cell(h, state, weight_ih, weight_hh, bias_ih, bias_hh)
        out.append(torch.nn.functional.linear(state, head, offset)[0])
    return torch.stack(out)


def test_memory_lasts_over_rollouts_and_ends_with_episodes() -> None:
    """Weights stand still, so every logit and value can be worked out anew from its episode's observations."""
    episode = {agent: {lane: [] for lane in range(LANES)} for agent in range(TEAM)}
    compared = []

    def check(model: Any) -> None:
        buffer = model.rollout_buffer
        for step in range(model.n_steps):
            for lane, agent in ((0, 0), (3, 5)):
                rows: list[Tensor] = episode[agent][lane]
                rows.append(buffer.observations[step, lane, agent].clone())
                for net, stored in ((model.scheme.actor_net, buffer.logits), (model.scheme.critic_net, buffer.values)):
                    wanted = _history(net, rows, agent)[-1].squeeze()
                    torch.testing.assert_close(stored[step, lane, agent], wanted, rtol=1e-4, atol=1e-5)
                compared.append(len(rows))
                if buffer.dones[step, lane, agent]:
                    rows.clear()

    model = _model(SharingA2C, env=type_game(LANES, max_cycles=7), learning_rate=0.0)
    model.scheme.regroup(torch.tensor([0, 0, 0, 0, 1, 1]))
    model.policy.rebuild_optimizer()
    model.learn(LANES * STEPS * 4, _Rollouts(check))
    assert max(compared) == 7, "no episode ran over the end of a rollout"


def test_a_time_limit_is_valued_by_what_was_remembered_of_the_episode() -> None:
    paid: list[Tensor] = []
    env = type_game(LANES, max_cycles=3)
    step_wait = env.step_wait

    def noted() -> Any:
        out = step_wait()
        paid.append(torch.from_numpy(out[1].copy()).float().view(LANES, TEAM))
        finals.append([info.get("terminal_observation") for info in out[3]])
        return out

    finals: list[list[Any]] = []
    env.step_wait = noted  # type: ignore[method-assign]

    def check(model: Any) -> None:
        buffer = model.rollout_buffer
        for step in (2, 5):
            assert (buffer.dones[step] == 1).all()
            final = torch.from_numpy(np.asarray(finals[step][1]))
            rows = [*buffer.observations[step - 2 : step + 1, 0, 1], final]
            wanted = paid[step][0, 1] + model.gamma * _history(model.scheme.critic_net, rows, 1)[-1, 0]
            torch.testing.assert_close(buffer.rewards[step, 0, 1], wanted, rtol=1e-4, atol=1e-5)

    model = _model(SharingA2C, "fups", env=env, n_steps=6)
    model.learn(LANES * 6, _Rollouts(check))
    assert len(finals) == 6


@pytest.mark.parametrize(("batch_size", "sizes"), [(60, [2, 2]), (90, [3, 1]), (2, [1] * 4), (1000, [4])])
def test_minibatches_are_whole_lanes(batch_size: int, sizes: list[int]) -> None:
    seen: list[tuple[int, ...]] = []
    model = _model(SharingPPO, "fups", batch_size=batch_size, n_epochs=1)
    update = model._update
    model._update = lambda batch, logs: (seen.append(tuple(batch.actions.shape)), update(batch, logs))[1]
    model.learn(LANES * STEPS)
    assert seen == [(STEPS, size, TEAM) for size in sizes]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_a_stopped_training_goes_on_to_the_same_bits(algorithm: Any, scheme: str) -> None:
    eventful = {"gradps": {"period": 3, "threshold": 1.0, "restore": 0.3}}
    stops: list[Arrays] = []

    class Stops(BaseCallback):
        def _on_rollout_start(self) -> None:
            stops.append(capture_training(self.model))  # type: ignore[arg-type]

        def _on_step(self) -> bool:
            return True

    def make_model() -> Any:
        return _model(algorithm, scheme, scheme_options=eventful.get(scheme, {}), policy_options={"critic": "central"})

    model = make_model()
    model.learn(360, Stops())
    end = capture_training(model)
    stop = stops[-3]
    assert (stop["memory/actor"] != 0).any()
    again = make_model()
    restore_training(again, stop)
    again.learn(360 - again.num_timesteps, reset_num_timesteps=False)
    for name, array in capture_training(again).items():
        assert array.tobytes() == end[name].tobytes(), name


def test_another_memory_is_refused() -> None:
    model = _model(SharingA2C, "fups")
    model.learn(40)
    stop = capture_training(model)
    stop["memory/actor"] = stop["memory/actor"][..., :3]
    with pytest.raises(Exception, match="the actor remembers"):
        restore_training(_model(SharingA2C, "fups"), stop)


def test_predict_carries_the_state_as_recurrent_ppo_does() -> None:
    model = _model(SharingA2C, "nops")
    game = TypeGame(LANES, TypeGameParams(max_cycles=3), seed=0)
    obs, memory, state = game.reset(seed=1), model.policy.new_memory(LANES), None
    starts = np.ones(LANES * TEAM, dtype=bool)
    for _ in range(7):
        wanted = model.policy.act(obs, deterministic=True, memory=memory)
        actions, state = model.predict(obs.reshape(-1, 2), state, starts, deterministic=True)
        np.testing.assert_array_equal(actions.reshape(LANES, TEAM), wanted)
        assert state is not None
        assert state[0].shape == (1, LANES * TEAM, 12)
        np.testing.assert_array_equal(state[0].reshape(LANES, TEAM, 12), memory.state)
        obs, _, terminated, truncated = game.step(wanted)
        ended = terminated | truncated
        starts = ended.repeat(TEAM)
        memory.forget(ended)
        if ended.any():
            obs = game.reset(mask=ended)


def test_an_episode_start_forgets_one_lane_alone() -> None:
    policy = _model(SharingA2C, "fups").policy
    first, later = (np.random.default_rng(seed).normal(size=(2 * TEAM, 2)).astype(np.float32) for seed in (0, 1))
    _, state = policy.predict(first)
    _, fresh = policy.predict(later)
    starts = np.repeat([True, False], TEAM)
    _, partly = policy.predict(later, state, starts)
    _, carried = policy.predict(later, state)
    np.testing.assert_array_equal(partly[0][:, :TEAM], fresh[0][:, :TEAM])
    np.testing.assert_array_equal(partly[0][:, TEAM:], carried[0][:, TEAM:])
    assert not np.array_equal(fresh[0], carried[0])


def test_stable_baselines3_evaluates_it() -> None:
    model = _model(SharingA2C, "fups")
    mean, spread = evaluate_policy(model, type_game(2, max_cycles=3), n_eval_episodes=24, warn=False)
    assert 0 <= mean <= 3
    assert np.isfinite(spread)


def test_wrong_states_and_missing_memory_are_refused() -> None:
    policy = _model(SharingA2C, "fups").policy
    obs = np.zeros((2 * TEAM, 2), np.float32)
    with pytest.raises(InvalidParameterError, match=r"state has shape \[1, 6, 12\] for 12 observations"):
        policy.predict(obs, (np.zeros((1, 6, 12)),))
    with pytest.raises(InvalidParameterError, match=r"the memory given is none.*new_memory\(2\)"):
        policy.act(obs.reshape(2, TEAM, 2))
    with pytest.raises(InvalidParameterError, match="that of 3 lanes"):
        policy.act(obs.reshape(2, TEAM, 2), memory=policy.new_memory(3))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_team_of_agents_remembers_as_the_batch_does(one_by_one: bool) -> None:
    model = _model(SharingA2C, "nops", scheme_options={})
    face = ParallelFace(TypeGame(1, TypeGameParams(max_cycles=6), seed=0))
    team = TeamPolicy(model, face)
    for _ in range(2):
        obs, _ = face.reset(seed=3)
        team.reset()
        memory, theirs = model.policy.new_memory(1), torch_stream(5, "play")
        each = {agent: torch_stream(5, "play") for agent in face.possible_agents}
        ours = torch_stream(5, "play")
        while face.agents:
            batch = model.policy.act(face.batched.observe(), memory=memory, generator=theirs)[0].tolist()
            if one_by_one:
                actions = {agent: team[agent].act(obs[agent], generator=each[agent]) for agent in reversed(face.agents)}
            else:
                actions = team.act(obs, generator=ours)
            assert actions == dict(zip(face.possible_agents, batch, strict=True))
            obs, *_ = face.step(actions)


def test_everything_that_looks_at_a_policy_looks_at_a_recurrent_one(tmp_path: Any) -> None:
    model = _model(SharingPPO, "adaps", scheme_options={"labels": [0, 0, 0, 0, 1, 1]}, policy_options=CENTRAL)
    model.learn(LANES * STEPS * 2)
    before = fingerprint(model.policy.state_dict())
    found = model.diagnose(types=[0, 0, 0, 0, 1, 1])
    assert found.masks["actor"].kept == pytest.approx(0.5, abs=0.02)
    assert len(found.masks["actor"].kept_by_layer) == 3
    assert model.gradient_conflict().pairs == 1
    sharing = model.sharing_map()
    assert len(sharing.sets) == 2
    model.sharing_picture(tmp_path / "sharing.svg")
    assert fingerprint(model.policy.state_dict()) == before


def test_files_of_other_recurrence_are_refused(tmp_path: Any) -> None:
    _model(SharingA2C, "fups").save_weights(tmp_path / "recurrent")
    small_model(SharingA2C, "fups").save_weights(tmp_path / "plain")
    for name, target in (
        ("recurrent", small_model(SharingA2C, "fups")),
        ("plain", _model(SharingA2C, "fups")),
        ("recurrent", _model(SharingA2C, "fups", "gru_actor")),
    ):
        before = fingerprint(target.policy.state_dict())
        with pytest.raises(InvalidWeightsError, match="recurrent"):
            target.load_weights(tmp_path / name)
        assert fingerprint(target.policy.state_dict()) == before


def test_stock_learners_are_refused() -> None:
    env = make("BPS-1", api="sb3", num_envs=2, agent_index=True)
    with pytest.raises(InvalidParameterError, match="mixes the steps of a sequence"):
        PPO(SharingPolicy, env, policy_kwargs={"scheme": "fups", "recurrent": "gru"})


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="'lstm'; choose one of none, gru, gru_actor"):
        _model(SharingA2C, "fups", "lstm")
    with pytest.raises(InvalidParameterError, match="without a hidden layer"):
        _model(SharingA2C, "fups", policy_options={"net_arch": []})


def test_diversity_control_measures_histories() -> None:
    model = _model(SharingA2C, "dico")
    model.learn(LANES * STEPS * 2)
    assert int(model.scheme.measurements) == 2
    learning = model.scheme.learning
    rows, starts = learning.observations.flatten(1, 2), learning.episode_starts.flatten(1, 2)
    whole = model.scheme.deviation_diversity(rows, starts)
    blind = model.scheme.deviation_diversity(rows.flatten(0, 1))
    assert float(whole) > 0
    assert not torch.isclose(whole, blind)


def test_feed_forward_policies_remember_nothing() -> None:
    model = small_model(SharingA2C, "fups")
    model.learn(40)
    assert all(model._memory[part].shape == (LANES, TEAM, 0) for part in PARTS)
    assert model.predict(type_game(LANES).reset())[1] is None
