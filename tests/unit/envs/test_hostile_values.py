"""Whatever a caller hands over, the answer is one line of ours: never a bare error of NumPy or of the value itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import adaps_envs
from adaps_envs.adapters import FACES
from adaps_envs.errors import AdapsError, InvalidParameterError
from adaps_envs.registry import families, load

SINGLE = ["parallel", "aec", "gym", "gym_tuple"]
SEEDED = [*SINGLE, "gym_vector", "batched"]


def _fails(*_: Any, **__: Any) -> Any:
    raise RuntimeError("boom")


class _NoText:
    __repr__ = __str__ = _fails


class _FailsAtAll:
    __repr__ = __str__ = __eq__ = __lt__ = __gt__ = __bool__ = __len__ = __iter__ = __index__ = __int__ = _fails
    __float__ = __array__ = __getattr__ = _fails

    def __hash__(self) -> int:
        return 0


class _Listed(Sequence[int]):
    def __len__(self) -> int:
        return 1

    __getitem__ = _fails


class _Keyed(Mapping[str, int]):
    def __len__(self) -> int:
        return 1

    __getitem__ = __iter__ = _fails


class _FailingInt(int):
    __int__ = __index__ = __lt__ = __le__ = __ge__ = __eq__ = __repr__ = _fails
    __hash__ = int.__hash__


LOOP: list[Any] = []
LOOP.append(LOOP)
HOSTILE = {
    "2**63": 2**63, "-2**63": -(2**63), "5,000 digits": 10**5000, "-5,000 digits": -(10**5000), "1.5": 1.5,
    "nan": float("nan"), "text": "\x1b[2J", "empty list": [], "dict": {"x": 1}, "0-d array": np.array(3),
    "two entries": np.array([1, 2]), "ragged": [[1, 2], [3]], "objects": np.array([None]), "loop": LOOP,
    "no text": _NoText(), "fails at all": _FailsAtAll(), "list of it": [_FailsAtAll()], "sequence": _Listed(),
    "mapping": _Keyed(), "int": _FailingInt(3), "type": int, "masked": np.ma.masked,
}  # fmt: skip
LEGAL_SEEDS = {"2**63", "5,000 digits"}
named = pytest.mark.parametrize("name", HOSTILE)


def _one_line(call: Callable[[], Any]) -> str | None:
    """Return the error's text; None if the call went through. Any error that is not ours fails the test."""
    try:
        call()
    except AdapsError as error:
        text = str(error)
        assert "\n" not in text
        assert "\x1b" not in text
        return text
    return None


@named
@pytest.mark.parametrize("api", SEEDED)
def test_seeds(api: str, name: str) -> None:
    env = adaps_envs.make("BPS-1", api=api)
    refused = _one_line(lambda: env.reset(seed=HOSTILE[name]))
    # An array [None] leaves the one lane's stream alone.
    assert (refused is None) == (name in LEGAL_SEEDS or (api == "gym_vector" and name == "objects"))
    assert refused is None or "seed" in refused


@named
def test_seeds_of_slots(name: str) -> None:
    venv = adaps_envs.make("BPS-1", api="sb3")
    assert (_one_line(lambda: venv.seed(HOSTILE[name])) is None) == (name in LEGAL_SEEDS)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.int32(3)])
@pytest.mark.parametrize("api", SEEDED)
def test_numpy_integers_are_seeds(api: str, seed: Any) -> None:
    first, second = (adaps_envs.make("BPS-1", api=api) for _ in range(2))
    for env, value in ((first, seed), (second, 3)):
        env.reset(seed=value)
    cores = [env if api == "batched" else env.unwrapped.batched for env in (first, second)]
    assert np.array_equal(cores[0].observe(), cores[1].observe())


@named
@pytest.mark.parametrize("api", FACES)
def test_numbers_of_lanes_and_threads(api: str, name: str) -> None:
    assert _one_line(lambda: adaps_envs.make("BPS-1", api=api, num_threads=HOSTILE[name])) is not None
    if api not in SINGLE:
        text = _one_line(lambda: adaps_envs.make("BPS-1", api=api, num_envs=HOSTILE[name], seed=0))
        assert text is not None
        assert "num_envs" in text


@named
def test_names_and_modes(name: str) -> None:
    value = HOSTILE[name]
    assert _one_line(lambda: adaps_envs.make(value)) is not None
    assert _one_line(lambda: adaps_envs.make("BPS-1", api=value)) is not None
    assert _one_line(lambda: adaps_envs.make_policy(value, adaps_envs.make_batched("BPS-1", 1))) is not None
    assert _one_line(lambda: adaps_envs.make("BPS-1", api="gym_vector", autoreset_mode=value)) is not None
    assert _one_line(lambda: adaps_envs.make("BPS-1").observation_space(value)) is not None
    for api in (*SINGLE, "gym_vector", "sb3"):
        assert _one_line(lambda api=api: adaps_envs.make("BPS-1", api=api, render_mode=value)) is not None


@named
@pytest.mark.parametrize("api", [*SEEDED, "sb3"])
def test_actions_and_options(api: str, name: str) -> None:
    env = adaps_envs.make("BPS-1", api=api)
    env.reset()
    # To one agent alone, an array without axes is an action.
    assert (_one_line(lambda: env.step(HOSTILE[name])) is None) == (api == "aec" and name == "0-d array")
    if api == "parallel":
        refused = _one_line(lambda: env.step(dict.fromkeys(env.possible_agents, HOSTILE[name])))
        assert (refused is None) == (name == "0-d array")
    if api not in ("batched", "sb3") and not isinstance(HOSTILE[name], dict):
        assert "options" in str(_one_line(lambda: env.reset(options=HOSTILE[name])))
    if api == "gym_vector":
        assert _one_line(lambda: env.reset(options={"reset_mask": HOSTILE[name]})) is not None


@named
@pytest.mark.parametrize("family", families())
def test_parameters(family: str, name: str) -> None:
    known = families()[family]
    env_id, preset = next(iter(known.presets.items()))
    params = load(known.params)
    for item in fields(params):
        given = {**preset.kwargs, item.name: HOSTILE[name]}
        through_make = _one_line(lambda item=item: adaps_envs.make_batched(env_id, 1, **{item.name: HOSTILE[name]}))
        _one_line(lambda given=given: params(**given))
        assert through_make is None or len(through_make) < 2000


def test_texts_of_errors() -> None:
    from adaps_envs.errors import nearest, quoted

    assert quoted(10**5000) == "<int without a text: ValueError>"
    assert quoted("\x1b[2J\u202e\ud800") == r"'\x1b[2J\u202e\ud800'"
    assert len(quoted("a" * 1000)) == 200
    assert nearest("BSP-1", ["BPS-1", "RWARE-tiny"]) == "Did you mean 'BPS-1'?"
    assert nearest("zzz", ["BPS-1"]) == ""
    assert nearest("AdaPS", ["adaps", "gradps", "madps"]) == "Did you mean 'adaps'?"
    assert nearest("num-lanes", ["net_arch", "num_lanes", "lanes"]) == "Did you mean 'num_lanes'?"


@pytest.mark.parametrize("api", ["gym", "gym_tuple", "gym_vector"])
def test_both_names_of_the_time_limit(api: str) -> None:
    assert adaps_envs.make("BPS-1", api=api, max_episode_steps=7).batched.max_cycles == 7
    with pytest.raises(InvalidParameterError, match="max_cycles is 3 and max_episode_steps is 7"):
        adaps_envs.make("BPS-1", api=api, max_episode_steps=7, max_cycles=3)
