"""Observations, seeds, environments and callbacks as users give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
)
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from type_game import TypeGame, TypeGameParams, type_game

import adaps_envs
from adaps_agents import SharingA2C, SharingPPO, TeamPolicy
from adaps_agents.random_streams import torch_stream
from adaps_envs.adapters.gym_single import TeamEnv
from adaps_envs.adapters.gym_vector import TeamVectorEnv
from adaps_envs.errors import InvalidParameterError

RECURRENT = ("none", "gru")


@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.int8, bool])
def test_observations_of_any_numeric_type_are_taken(dtype: Any, recurrent: str) -> None:
    model = small_model(SharingA2C, "nops", policy_options={"recurrent": recurrent})
    obs = (type_game(3).reset() > 0).astype(dtype)
    expected = model.predict(obs.astype(np.float32), deterministic=True)[0]
    np.testing.assert_array_equal(model.predict(obs, deterministic=True)[0], expected)
    np.testing.assert_array_equal(model.predict(obs.tolist(), deterministic=True)[0], expected)
    rows = torch.as_tensor(obs)
    assert torch.equal(model.policy.predict_values(rows), model.policy.predict_values(rows.float()))
    assert (
        model.policy(rows, deterministic=True)[0].tolist() == model.policy(rows.float(), deterministic=True)[0].tolist()
    )


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_the_distribution_is_that_of_the_actions(recurrent: str) -> None:
    model = small_model(SharingPPO, "nops", policy_options={"recurrent": recurrent})
    obs = torch.as_tensor(type_game(3).reset())
    distribution = model.policy.get_distribution(obs)
    logits = model.scheme.actor(obs.view(3, 6, 2)).flatten(0, 1)
    torch.testing.assert_close(distribution.distribution.logits, logits.log_softmax(-1))
    assert distribution.mode().shape == (18,)
    assert distribution.log_prob(distribution.mode()).shape == distribution.entropy().shape == (18,)


class _Unwilling:
    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.array(3), np.array(3, np.int16)])
def test_integers_of_any_type_are_seeds(seed: Any) -> None:
    ours, plain = (small_model(SharingA2C, "fups", seed=value) for value in (seed, 3))
    for model in (ours, plain):
        model.learn(40)
    assert fingerprint(ours.policy.state_dict()) == fingerprint(plain.policy.state_dict())
    assert type(ours.seed) is int
    ours.set_random_seed(seed)
    policy = small_model(SharingA2C, "fups", policy_options={"seed": seed}).policy
    assert (policy.policy_seed, type(policy.policy_seed)) == (3, int)


@pytest.mark.parametrize(
    "seed", [_Unwilling(), 1.0, np.float64(1), np.array(1.0), np.array([1]), True, np.True_, "1", -1]
)
def test_what_is_no_seed_is_one_clear_error(seed: Any) -> None:
    with pytest.raises(InvalidParameterError, match="it must be None or an integer >= 0"):
        small_model(SharingA2C, "fups", seed=seed)
    with pytest.raises(InvalidParameterError, match="it must be None or an integer >= 0"):
        small_model(SharingA2C, "fups").set_random_seed(seed)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("api", ["parallel", "aec", "gym", "gym_vector", "batched"])
def test_an_environment_of_another_api_is_named_with_the_right_one(algorithm: Any, api: str, tmp_path: Any) -> None:
    env: Any = adaps_envs.make_batched("BPS-1", 1) if api == "batched" else adaps_envs.make("BPS-1", api=api)
    model = algorithm("fups", "BPS-1", num_lanes=1)
    model.save(tmp_path / "model")
    for use in (
        lambda: algorithm("fups", env),
        lambda: algorithm("fups", env, policy_kwargs={"num_agents": 15}),
        lambda: model.set_env(env),
        lambda: algorithm.load(tmp_path / "model", env=env),
    ):
        with pytest.raises(InvalidParameterError, match=r"adaps_envs\.make\('BPS-1-v0', api='sb3', num_envs=8\)"):
            use()


def test_a_default_environment_names_the_right_api() -> None:
    with pytest.raises(InvalidParameterError, match="api='sb3'"):
        SharingPPO("fups", adaps_envs.make("BPS-1"))


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_a_gymnasium_environment_is_played_as_one(recurrent: str) -> None:
    model = small_model(SharingA2C, "nops", policy_options={"recurrent": recurrent})
    single, vector = TeamEnv(TypeGame(1, TypeGameParams())), TeamVectorEnv(TypeGame(3, TypeGameParams()))
    for env, lanes in ((single, 1), (vector, 3)):
        team, memory = TeamPolicy(model, env), model.policy.new_memory(lanes)
        ours, theirs = torch_stream(5, "play"), torch_stream(5, "play")
        obs, _ = env.reset(seed=1)
        for _ in range(4):
            actions = team.act(obs, generator=ours)
            assert env.action_space.contains(actions)
            frames = obs.reshape(lanes, 6, 2)
            np.testing.assert_array_equal(
                actions.reshape(lanes, 6), model.policy.act(frames, generator=theirs, memory=memory)
            )
            obs = env.step(actions)[0]
        team.reset()
        team.reset(np.ones(lanes, bool))
    with pytest.raises(InvalidParameterError, match="neither a PettingZoo environment nor"):
        TeamPolicy(model, type_game(1))
    with pytest.raises(InvalidParameterError, match=r"has \[N, F, A\] = \[15, 10, 5\], the policy \[6, 2, 2\]"):
        TeamPolicy(model, adaps_envs.make("BPS-1", api="gym"))


class _Locals(BaseCallback):
    def _on_step(self) -> bool:
        held = self.locals
        assert held["obs_tensor"].shape == (24, 2)
        assert isinstance(held["actions"], np.ndarray)
        assert held["actions"].shape == held["clipped_actions"].shape == held["rewards"].shape == held["dones"].shape
        assert held["n_steps"] in range(5)
        assert held["new_obs"].shape == (24, 2)
        assert held["tb_log_name"] == "A2C"
        assert (held["self"], held["total_timesteps"], len(held["infos"])) == (self.model, 80, 24)
        return True


def test_callbacks_find_local_variables_by_the_usual_names() -> None:
    small_model(SharingA2C, "fups").learn(80, callback=_Locals())


def test_a_limit_of_episodes_counts_those_of_every_slot() -> None:
    model = small_model(SharingA2C, "fups")
    model.learn(10_000, callback=StopTrainingOnMaxEpisodes(2))
    assert model.num_timesteps == 4 * 2 * 10


@pytest.mark.parametrize("scheme", ["fups", "seps"])
@pytest.mark.parametrize("how", ["argument", "callback", "list", "nested"])
def test_progress_bars_count_environment_steps(how: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    bars: list[Any] = []
    start = ProgressBarCallback._on_training_start
    monkeypatch.setattr(
        ProgressBarCallback, "_on_training_start", lambda self: (start(self), bars.append(self.pbar))[0]
    )
    model, bar = small_model(SharingA2C, scheme), ProgressBarCallback()
    callback: Any = {"argument": None, "callback": bar, "list": [bar], "nested": CallbackList([CallbackList([bar])])}[
        how
    ]
    model.learn(400, callback=callback, progress_bar=how == "argument")
    assert (bars[0].n, bars[0].total) == ((400, 400) if scheme == "fups" else (240, 240))


@pytest.mark.parametrize(
    "wrap", [VecNormalize, lambda env: VecMonitor(VecNormalize(env)), lambda env: VecNormalize(VecNormalize(env))]
)
def test_returns_are_logged_as_they_were_paid(wrap: Any) -> None:
    plain, normalised = small_model(SharingA2C, "fups"), small_model(SharingA2C, "fups", wrap(type_game(4)))
    paid: list[float] = []
    inner = normalised.env
    while hasattr(inner, "venv"):
        inner = inner.venv
    step_wait = inner.step_wait

    def noted() -> Any:
        out = step_wait()
        paid.append(float(out[1].sum()))
        return out

    inner.step_wait = noted
    normalised.learn(80)
    plain.learn(80)
    logged = [episode["r"] for episode in normalised.ep_info_buffer]
    assert sum(logged) == pytest.approx(sum(paid))
    assert all(value == int(value) for value in logged)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("given", "used"), [({}, 1), (1, 1), (np.int64(2), 2), (None, 3)])
def test_torch_has_one_thread_unless_asked_and_as_many_as_before_afterwards(
    algorithm: Any, given: Any, used: int
) -> None:
    seen: list[int] = []

    class Count(BaseCallback):
        def _on_step(self) -> bool:
            seen.append(torch.get_num_threads())
            if len(seen) == 3:
                raise KeyError("stop")
            return True

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        model = small_model(algorithm, "fups", **({} if given == {} else {"torch_threads": given}))
        with pytest.raises(KeyError):
            model.learn(80, callback=Count())
        assert (set(seen), torch.get_num_threads()) == ({used}, 3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [0, -1, True, 1.0, "2", _Unwilling()])
def test_a_number_of_threads_is_checked(threads: Any) -> None:
    with pytest.raises(InvalidParameterError, match="torch_threads is"):
        small_model(SharingA2C, "fups", torch_threads=threads)


@pytest.mark.parametrize("steps", [-1, float("nan"), "10", None, True, np.True_, [10]])
def test_what_is_no_number_of_steps_is_one_clear_error(steps: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"total_timesteps is .*; it must be a number of steps >= 0"):
        small_model(SharingA2C, "fups").learn(steps)


@pytest.mark.parametrize("steps", [20, 20.0, np.int64(20), np.float32(20)])
def test_steps_are_numbers_of_any_type(steps: Any) -> None:
    assert small_model(SharingA2C, "fups").learn(steps).num_timesteps == 20


def test_no_observations_are_no_team() -> None:
    with pytest.raises(InvalidParameterError, match="0 observations for teams of 6 agents; give whole teams"):
        small_model(SharingA2C, "fups").predict(np.zeros((0, 2), np.float32))
