"""The scripted warehouse policies: competent, without gridlock, and only as good as what they know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaps_envs import list_policies, make_batched, make_policy


def _play(env_id: str, name: str, lanes: int = 16, **params: Any) -> tuple[np.ndarray, int]:
    """Return the shelves delivered in each lane's episode, and the longest time without a delivery."""
    env = make_batched(env_id, lanes, seed=11, **params)
    policy, generator = make_policy(name, env), np.random.default_rng(0)
    obs, delivered, idle = env.reset(), np.zeros(lanes), 0
    while not env.ended.any():
        obs, rewards, _, _ = env.step(policy(obs, generator))
        delivered += rewards.sum(axis=1)
        idle = max(idle, int(env.get_state()["inactive_steps"].max()))
    return delivered, idle


@pytest.mark.parametrize(
    ("env_id", "mean", "least"),
    [
        ("CRWARE-tiny-4a-2c", 48, 35),
        ("CRWARE-tiny-4a-2c-hard", 38, 28),
        ("CRWARE-small-9a-3c", 70, 55),
        ("CRWARE-medium-16a-2c", 125, 100),
        ("CRWARE-large-12a-3c", 70, 55),
        ("RWARE-tiny-4a", 56, 45),
        ("RWARE-small-8a", 75, 60),
    ],
)
def test_the_expert_delivers_without_gridlock(env_id: str, mean: float, least: float) -> None:
    delivered, idle = _play(env_id, "expert")
    assert delivered.mean() > mean
    assert delivered.min() > least
    assert idle < 80


def test_more_knowledge_is_worth_more() -> None:
    scores = {name: _play("CRWARE-tiny-4a-2c", name)[0].mean() for name in ("random", "blind", "expert")}
    assert scores["random"] <= scores["blind"] < scores["expert"] / 5


def test_without_types_there_is_nothing_more_to_know() -> None:
    assert np.array_equal(_play("RWARE-tiny-4a", "blind", 4)[0], _play("RWARE-tiny-4a", "expert", 4)[0])


def test_the_dial_at_one_type_is_worth_what_the_control_is() -> None:
    """All colours for everybody: the coloured warehouse is then the plain one, and the blind policy the expert."""
    blind, expert = (_play("CRWARE-tiny-4a-2c", name, 8, num_types=1)[0] for name in ("blind", "expert"))
    assert np.array_equal(blind, expert)
    assert expert.mean() > 50


@pytest.mark.parametrize("name", ["expert", "blind"])
def test_policies_are_deterministic_and_change_nothing(name: str) -> None:
    env = make_batched("CRWARE-small-9a-3c", 3, seed=2)
    policy, obs = make_policy(name, env), env.reset()
    before = env.get_state()
    actions = policy(obs)
    assert (actions.shape, actions.dtype) == ((3, 9), np.int64)
    assert ((actions >= 0) & (actions < env.num_actions)).all()
    assert np.array_equal(actions, policy(obs, np.random.default_rng(5)))
    assert all(np.array_equal(before[key], array) for key, array in env.get_state().items())
    assert "expert" in list_policies(env.spec_id)


@pytest.mark.parametrize(
    "params",
    [
        {"layout": "xx\ngx", "num_agents": 2, "request_queue_size": 1},
        {"layout": ".xxxx.\n.xxxx.\n.xxxx.\n..gg..", "num_agents": 6, "request_queue_size": 5},
        {"layout": "xxx\nxgx\nxxx", "num_agents": 9, "request_queue_size": 7},
        {"layout": ".xx.\n....\n.g..", "num_agents": 8, "request_queue_size": 1},
        {"msg_bits": 2, "max_cycles": 100},
    ],
)
def test_the_expert_survives_hopeless_floors(params: dict[str, Any]) -> None:
    """Walled-in shelves, no room to turn, more robots than cells to hide: it plays on, whatever comes of it."""
    delivered, _ = _play("RWARE-tiny-4a", "expert", 4, **params)
    assert (delivered >= 0).all()


def test_the_expert_goes_on_from_any_state() -> None:
    env = make_batched("CRWARE-small-8a-2c", 4, seed=3)
    generator, policy = np.random.default_rng(1), make_policy("expert", env)
    obs = env.reset()
    for _ in range(250):
        obs = env.step(generator.integers(0, 5, (4, 8)))[0]
    assert (env.get_state()["carrying"] >= 0).any()
    delivered = 0.0
    for _ in range(200):
        obs, rewards, _, _ = env.step(policy(obs))
        delivered += rewards.sum()
    assert delivered > 4 * 15
