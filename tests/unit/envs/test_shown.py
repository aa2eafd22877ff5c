"""What environments tell of themselves: one line, a picture in notebooks, render modes, and all their keywords."""

from __future__ import annotations

import base64
import html.parser
import inspect
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import adaps_envs
from adaps_envs.adapters import FACES
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.errors import InvalidParameterError

MODES = ("human", "rgb_array", "rgb_array_list", "ansi")


def _make(api: str, **kwargs: Any) -> Any:
    return adaps_envs.make("BPS-1", api=api, groups=[2, 1], max_cycles=7, **kwargs)


@pytest.mark.parametrize("api", FACES)
def test_repr_is_one_readable_line(api: str) -> None:
    line = repr(_make(api))
    assert line.endswith(" BPS-1-v0: 3 agents, observations [8], 5 actions, 7 steps at most>")
    assert line == repr(_make(api))


def test_repr_counts_the_lanes_and_tells_no_types() -> None:
    text = repr(adaps_envs.make("BPS-1", api="sb3", num_envs=4, groups=[2, 1]))
    assert text.startswith("<SharedVecEnv BPS-1-v0: 4 lanes, 3 agents")
    assert text == repr(adaps_envs.make("BPS-1", api="sb3", num_envs=4, groups=[1, 2]))


class _Pictures(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attrs if name == "src"]


@pytest.mark.parametrize("api", [api for api in FACES if api != "batched"])
def test_a_notebook_gets_a_picture(api: str) -> None:
    env = _make(api, seed=3)
    example = env._repr_html_()
    assert "An example start" in example
    core = env.unwrapped.batched
    assert not core.begun
    env.reset()
    state = core.get_state()
    (source,) = _Pictures(env._repr_html_()).sources
    picture = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(picture), core.render_frame(0))
    assert all(np.array_equal(array, state[name]) for name, array in core.get_state().items())


def test_foreign_names_are_escaped() -> None:
    env = ParallelFace(adaps_envs.make_batched("BPS-1", 1))
    env.batched.spec_id = "<script>alert('x')</script>"
    assert _Pictures(env._repr_html_()).tags == ["figure", "img", "figcaption", "code"]


@pytest.mark.parametrize("api", [api for api in FACES if api != "batched"])
def test_render_modes_are_those_that_are_accepted(api: str) -> None:
    def accepted(mode: str) -> bool:
        try:
            _make(api, render_mode=mode)
        except InvalidParameterError:
            return False
        return True

    assert {mode for mode in MODES if accepted(mode)} == set(_make(api).metadata["render_modes"])


@pytest.mark.parametrize("api", FACES)
def test_every_keyword_is_told(api: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        adaps_envs.make("BPS-1", api=api, rendermodes="human")
    known = set(str(refused.value).rpartition("Known: ")[2].rstrip(".").split(", "))
    assert {"api", "groups", "max_cycles", "seed", "num_threads"} <= known
    assert ("render_mode" in known) == (api != "batched")
    assert ("num_envs" in known) == (api in ("sb3", "gym_vector", "batched"))
    values = {"seed": 1, "num_threads": 1, "num_envs": 1, "render_mode": None, "api": api}
    for name in known & values.keys():
        adaps_envs.make("BPS-1", **{"api": api, name: values[name]})


def test_the_batch_tells_its_own_keywords() -> None:
    with pytest.raises(InvalidParameterError, match=r"Did you mean 'num_threads'.* Known: .*num_threads.*seed"):
        adaps_envs.make_batched("BPS-1", 1, num_thread=2)
    assert "num_threads" in inspect.signature(adaps_envs.make_batched).parameters


def test_learners_take_the_parameters_of_an_id() -> None:
    agents = pytest.importorskip("adaps_agents")
    model = agents.SharingPPO("nops", "BPS-1", num_lanes=2, n_steps=4, batch_size=8, env_kwargs={"groups": [2, 2]})
    assert (model.num_agents, model.num_lanes) == (4, 2)
    with pytest.raises(InvalidParameterError, match="has no parameter 'group'"):
        agents.SharingA2C("nops", "BPS-1", env_kwargs={"group": [2, 2]})
    with pytest.raises(InvalidParameterError, match="the number of lanes as num_lanes"):
        agents.SharingA2C("nops", "BPS-1", env_kwargs={"num_envs": 2})
    with pytest.raises(InvalidParameterError, match=r"'groups' belongs to the environment.* env_kwargs=\{'groups': "):
        agents.SharingA2C("nops", "BPS-1", groups=[4, 2])
    with pytest.raises(InvalidParameterError, match="'n_step'"):
        agents.SharingA2C("nops", "BPS-1", n_step=4)
    with pytest.raises(InvalidParameterError, match="but env is an environment, a SharedVecEnv"):
        agents.SharingA2C("nops", adaps_envs.make("BPS-1", api="sb3"), env_kwargs={"groups": [2, 2]})
