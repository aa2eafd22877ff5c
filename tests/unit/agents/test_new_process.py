"""Saved, loaded in a new process and evaluated: every scheme, learner, critic and recurrence gives the same returns."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, small_model
from type_game import TypeGame, TypeGameParams, type_game

from adaps_agents import list_schemes
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import RECURRENT

Case = tuple[str, str, str, str]
LEARNERS = {algorithm.__name__: algorithm for algorithm in ALGORITHMS}
SETTINGS = list(product(LEARNERS, ("local", "central"), RECURRENT))
# Every scheme once; in turn they meet every setting of learner, critic and recurrence.
SOME = [(scheme, *SETTINGS[5 * place % len(SETTINGS)]) for place, scheme in enumerate(list_schemes())]


def _returns(model: Any) -> list[float]:
    """Return team returns of sampled and of greedy episodes, and the critic's values of their first observations."""
    found: list[float] = []
    for deterministic in (False, True):
        game, generator = TypeGame(5, TypeGameParams(), seed=0), torch_stream(3, "play")
        obs, memory, total = game.reset(seed=7), model.policy.new_memory(5), np.zeros(5)
        for _ in range(game.max_cycles):
            actions = model.policy.act(obs, deterministic=deterministic, generator=generator, memory=memory)
            obs, rewards, *_ = game.step(actions)
            total += rewards.sum(axis=1)
        found += total.tolist()
    sizes = model.scheme.spaces
    read = torch.linspace(-1, 1, sizes.num_agents * (sizes.obs_dim + sizes.state_dim)).view(1, sizes.num_agents, -1)
    return [*found, *model.scheme.critic(read).detach().flatten().tolist()]


def _names(case: Case) -> str:
    return "-".join(case)


def _loaded(folder: Path, case: Case) -> dict[str, list[float]]:
    """Return the returns of a model and of a fresh learner that was given its weights alone."""
    scheme, learner, critic, recurrent = case
    model = LEARNERS[learner].load(folder / _names(case), env=type_game(2))
    policy = {"critic": critic, "recurrent": recurrent}
    other = small_model(LEARNERS[learner], scheme, type_game(2), seed=9, policy_options=policy)
    other.load_weights(folder / _names(case))
    return {"zip": _returns(model), "safetensors": _returns(other)}


def _check(cases: list[Case], folder: Path, environment: dict[str, str]) -> None:
    wanted = {}
    for case in cases:
        scheme, learner, critic, recurrent = case
        model = small_model(LEARNERS[learner], scheme, policy_options={"critic": critic, "recurrent": recurrent})
        model.learn(200)
        model.save(folder / _names(case))
        model.save_weights(folder / _names(case))
        wanted[_names(case)] = _returns(model)
    (folder / "cases.json").write_text(json.dumps(cases))
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[2])]
    code = f"import sys; sys.path[:0] = {paths!r}; import test_new_process as test; test.main(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)
    found = json.loads((folder / "found.json").read_text())
    for name, returns in wanted.items():
        assert found[name] == {"zip": returns, "safetensors": returns}, name


def main(folder: str) -> None:
    """Load everything in ``folder`` and write down what it returns; called in the new process."""
    cases = [tuple(case) for case in json.loads((Path(folder) / "cases.json").read_text())]
    found = {_names(case): _loaded(Path(folder), case) for case in cases}
    (Path(folder) / "found.json").write_text(json.dumps(found))


def test_returns_are_those_of_the_process_that_saved(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    assert {case[1:] for case in SOME} == set(SETTINGS)
    _check(SOME, tmp_path, clean_environment)


@pytest.mark.slow
def test_returns_of_every_combination(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    _check([(scheme, *setting) for scheme in list_schemes() for setting in SETTINGS], tmp_path, clean_environment)
