"""The libraries through which people train: each that is installed accepts our environments."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from uneven import uneven_env

import adaps_envs
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.registry import families
from adaps_envs.testing import LIBRARY_CHECKS, QUICK, NotApplicableError, check_target
from adaps_envs.testing.target import resolve

FIRSTS = [next(iter(family.presets)) for family in families().values() if family.presets]


def _check(library: str, env_id: str) -> None:
    (result,) = check_target(env_id, effort=QUICK, select=[f"libraries/{library}"]).results
    if result.skipped:
        assert "is not installed" in result.message
        pytest.skip(result.message)
    assert result.passed, result.message


@pytest.mark.parametrize("library", LIBRARY_CHECKS)
@pytest.mark.parametrize("env_id", FIRSTS)
def test_library_accepts_each_family(env_id: str, library: str) -> None:
    _check(library, env_id)


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARY_CHECKS)
@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_library_accepts_every_id(env_id: str, library: str) -> None:
    _check(library, env_id)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ["supersuit", "torchrl", "rllib"])
def test_library_accepts_unequal_spaces(library: str) -> None:
    try:
        LIBRARY_CHECKS[library](resolve(lambda: ParallelFace(uneven_env(1))), QUICK)
    except NotApplicableError as reason:
        pytest.skip(str(reason))


def test_torchrl_keeps_unequal_spaces_apart() -> None:
    envs = pytest.importorskip("torchrl.envs")
    env = envs.PettingZooWrapper(ParallelFace(uneven_env(1)), group_map=envs.MarlGroupMapType.ONE_GROUP_PER_AGENT)
    sizes = [env.observation_spec[f"agent_{index}", "observation"].shape[-1] for index in range(3)]
    assert sizes == [2, 4, 2]


@pytest.mark.slow
def test_rllib_names_agents_whatever_the_hash_seed(clean_environment: dict[str, str]) -> None:
    pytest.importorskip("ray.rllib.env.wrappers.pettingzoo_env")
    code = (
        "import adaps_envs, numpy as np\n"
        "from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv\n"
        "obs, _ = ParallelPettingZooEnv(adaps_envs.make('BPS-1', groups=[2, 2])).reset(seed=1)\n"
        "print([round(float(obs[f'agent_{i}'][2]), 6) for i in range(4)])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, **clean_environment, "PYTHONHASHSEED": seed},
        ).stdout.strip().splitlines()[-1]
        for seed in ("0", "1")
    }  # fmt: skip
    assert len(seen) == 1
