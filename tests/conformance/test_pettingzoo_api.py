"""PettingZoo's own tests, on every id, through both of its APIs."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pettingzoo
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.test.max_cycles_test import max_cycles_test
from pettingzoo.test.render_test import render_test
from pettingzoo.test.state_test import state_test

import adaps_envs
from adaps_envs import bps_v0

pytestmark = pytest.mark.parametrize("env_id", adaps_envs.list_envs())


def _make(env_id: str, api: str, **kwargs: Any) -> Any:
    return adaps_envs.make(env_id, api=api, **kwargs)


def test_parallel_api(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="reset options")
        parallel_api_test(_make(env_id, "parallel"), num_cycles=120)


def test_aec_api(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="reset options")
        warnings.filterwarnings("ignore", message=".*observation_spaces|.*action_spaces")
        api_test(_make(env_id, "aec"), num_cycles=120)


def test_seeds(env_id: str) -> None:
    seed_test(lambda: _make(env_id, "aec"), num_cycles=60)
    parallel_seed_test(lambda: _make(env_id, "parallel"), num_cycles=60)


def test_state(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state_test(_make(env_id, "aec"), _make(env_id, "parallel"), num_cycles=20)


def test_render(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    render_test(lambda **kwargs: _make(env_id, "aec", **kwargs))


def test_max_cycles(env_id: str) -> None:
    module = SimpleNamespace(
        parallel_env=lambda **kwargs: bps_v0.parallel_env(env_id, **kwargs),
        env=lambda **kwargs: bps_v0.env(env_id, **kwargs),
    )
    max_cycles_test(module)


@pytest.mark.skipif(not hasattr(pettingzoo, "make"), reason="PettingZoo has a registry from 1.27 on")
def test_registry_makes_it_with_parameters(env_id: str) -> None:
    pz_id = adaps_envs.spec(env_id).pz_id
    parallel = pettingzoo.make("parallel", pz_id, max_cycles=3, reward="team_mean", render_mode="rgb_array")
    assert (parallel.batched.max_cycles, parallel.batched.params.reward) == (3, "team_mean")
    turns = pettingzoo.make("aec", pz_id.replace("-v", "_v"))
    turns.reset(seed=0)
    assert turns.unwrapped.batched.spec_id == env_id


def test_module_is_pettingzoos_shape(env_id: str) -> None:
    assert isinstance(bps_v0.parallel_env(env_id), pettingzoo.ParallelEnv)
    assert isinstance(bps_v0.env(env_id), pettingzoo.AECEnv)
    assert isinstance(bps_v0.raw_env(env_id), pettingzoo.AECEnv)
