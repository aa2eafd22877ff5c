"""A policy trained here plays PettingZoo environments, parallel and agent by agent, as the batched policy does."""

from __future__ import annotations

import numpy as np
import pytest
from agents_common import SEVEN, small_model
from type_game import TypeGame, TypeGameParams
from uneven import uneven_env

import adaps_envs
from adaps_agents import SharingA2C, TeamPolicy
from adaps_agents.random_streams import torch_stream
from adaps_envs.adapters.aec import AECFace, TurnOrder
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.adapters.sb3 import SharedVecEnv
from adaps_envs.errors import InvalidParameterError, UnknownNameError


def _face() -> ParallelFace:
    return ParallelFace(TypeGame(1, TypeGameParams(), seed=0))


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("scheme", SEVEN)
def test_a_parallel_environment_meets_the_batched_actions(scheme: str, deterministic: bool) -> None:
    model = small_model(SharingA2C, scheme)
    face = _face()
    team = TeamPolicy(model, face)
    ours, theirs = torch_stream(5, "play"), torch_stream(5, "play")
    obs, _ = face.reset(seed=3)
    while face.agents:
        batch = model.policy.act(face.batched.observe(), deterministic=deterministic, generator=theirs)
        actions = team.act(obs, deterministic=deterministic, generator=ours)
        assert actions == dict(zip(face.possible_agents, batch[0].tolist(), strict=True))
        assert all(type(action) is int for action in actions.values())
        obs, *_ = face.step(actions)


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_aec_environment_meets_the_batched_actions(deterministic: bool) -> None:
    model = small_model(SharingA2C, "nops")
    env = TurnOrder(AECFace(_face()))
    team = TeamPolicy(model, env)
    generators = {agent: torch_stream(5, "play") for agent in env.possible_agents}
    twin, theirs = TypeGame(1, TypeGameParams()), torch_stream(5, "play")
    obs, played = twin.reset(seed=3), 0
    env.reset(seed=3)
    while env.agents and not env.truncations[env.agent_selection]:
        batch = model.policy.act(obs, deterministic=deterministic, generator=theirs)
        for index, agent in enumerate(env.possible_agents):
            assert env.agent_selection == agent
            action = team[agent].act(env.last()[0], deterministic=deterministic, generator=generators[agent])
            assert action == batch[0, index]
            env.step(action)
        obs, played = twin.step(batch)[0], played + 1
    assert played == twin.max_cycles


def test_agents_that_have_left_need_no_action() -> None:
    team = TeamPolicy(small_model(SharingA2C, "fups"))
    obs = np.array([1, -1], np.float32)
    everybody = team.act(dict.fromkeys(team.agents, obs), deterministic=True)
    assert team.act({"agent_4": obs}, deterministic=True) == {"agent_4": everybody["agent_4"]}
    assert team.act({}) == {}


def test_unequal_spaces_are_padded_as_the_batched_interface_does() -> None:
    batched = uneven_env(1)
    model = SharingA2C("nops", SharedVecEnv(uneven_env(2)), seed=1, policy_kwargs={"net_arch": [8]}, device="cpu")
    # The actor's head starts next to zero, whatever is seen.
    model.scheme.actor_net.weights[-1].data.mul_(50)
    face, twin = ParallelFace(batched), uneven_env(1)
    team = TeamPolicy(model, face)
    seen: set[tuple[int, int]] = set()
    for seed in range(8):
        obs, _ = face.reset(seed=seed)
        padded = twin.reset(seed=seed)
        generator, other = torch_stream(seed, "play"), torch_stream(seed, "play")
        while face.agents:
            actions = team.act(obs, generator=generator)
            batch = model.policy.act(padded, generator=other)
            assert actions["agent_1"] == batch[0, 1]
            seen |= {(int(batch[0, 0]), actions["agent_0"])}
            obs, rewards, *_ = face.step(actions)
            padded, expected, *_ = twin.step(batch)
            assert list(rewards.values()) == expected[0].tolist()
            np.testing.assert_array_equal(face.batched.observe(), padded)
    # Near agents have the layout's 2 and 3, and choose no other.
    assert seen == {(2, 0), (3, 1)}


def test_another_team_or_task_is_refused() -> None:
    model = small_model(SharingA2C, "fups")
    with pytest.raises(InvalidParameterError, match=r"15 names .* for a team of 6"):
        TeamPolicy(model, adaps_envs.make("BPS-1"))
    with pytest.raises(InvalidParameterError, match=r"agent_0 observes Box.*the policy takes 2 entries and 2 actions"):
        TeamPolicy(model, adaps_envs.make("BPS-1", groups=[4, 2]))
    with pytest.raises(InvalidParameterError, match="has no sharing policy"):
        TeamPolicy(object())
    team = TeamPolicy(model)
    with pytest.raises(UnknownNameError, match="no agent 'agent_6'"):
        team.act({"agent_6": np.zeros(2)})
    with pytest.raises(UnknownNameError, match="no agent 'ann'"):
        team["ann"]
    with pytest.raises(InvalidParameterError, match=r"observation of agent_1 has shape \[3\]; it observes \[2\]"):
        team["agent_1"].act(np.zeros(3))
