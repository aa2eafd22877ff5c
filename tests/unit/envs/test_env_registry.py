"""Ids, look-ups, registration with Gymnasium and PettingZoo, and what an import may cost."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import pettingzoo
import pytest

import adaps_envs
from adaps_envs import registry
from adaps_envs.adapters import FACES
from adaps_envs.registration import register_all

PRESETS = {
    "BPS-1-v0": [5, 5, 5],
    "BPS-2-v0": [10, 10, 10],
    "BPS-3-v0": [6] * 5,
    "BPS-4-v0": [3, 3, 3, 12, 9],
    "BPS-5-v0": [5, 5, 5],
    "BPS-6-v0": [6] * 5,
}


def test_public_names_are_pinned() -> None:
    assert adaps_envs.__all__ == [
        "make",
        "make_batched",
        "list_envs",
        "spec",
        "EnvSpec",
        "make_policy",
        "list_policies",
        "AdapsError",
        "InvalidActionError",
        "InvalidParameterError",
        "InvalidStateError",
        "InvalidWeightsError",
        "ResetNeededError",
        "UnknownNameError",
    ]
    assert all(hasattr(adaps_envs, name) for name in adaps_envs.__all__)


def test_faces_are_pinned() -> None:
    assert set(FACES) == {"parallel", "aec", "gym", "gym_vector", "gym_tuple", "sb3", "batched"}


@pytest.mark.parametrize(("env_id", "groups"), PRESETS.items())
def test_presets_hold_the_papers_rosters(env_id: str, groups: list[int]) -> None:
    env = adaps_envs.make_batched(env_id, 2)
    sizes = [int((env.agent_types == kind).sum()) for kind in range(len(groups))]
    assert sizes == groups
    assert (env.num_agents, env.obs_dim, env.num_actions, env.max_cycles) == (sum(groups), 4 + 2 * len(groups), 5, 50)


@pytest.mark.parametrize("alias", ["BPS-1", "BPS-1-v0", "adaps/BPS-1-v0", "bps_1", "bps_1-v0", "adaps/bps_1-v0"])
def test_every_spelling_finds_the_id(alias: str) -> None:
    assert adaps_envs.spec(alias).id == "BPS-1-v0"


def test_spec_tells_the_ids_of_both_registries() -> None:
    spec = adaps_envs.spec("BPS-4")
    assert (spec.gym_id, spec.pz_id, spec.family) == ("adaps/BPS-4-v0", "adaps/bps_4-v0", "bps")
    assert spec.kwargs == {"groups": (3, 3, 3, 12, 9)}


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_every_id_is_registered_everywhere(env_id: str) -> None:
    spec = adaps_envs.spec(env_id)
    assert spec.gym_id in gymnasium.registry
    if hasattr(pettingzoo, "make"):  # from 1.27 on
        assert spec.pz_id in pettingzoo.parallel_registry
        assert spec.pz_id in pettingzoo.aec_registry


def test_a_pettingzoo_without_registries_is_enough(clean_environment: dict[str, str]) -> None:
    code = (
        "import pettingzoo\n"
        "for name in ('make', 'register', 'spec', 'parallel_registry', 'aec_registry'):\n"
        "    vars(pettingzoo).pop(name, None)\n"
        "import adaps_envs; from adaps_envs.testing.target import resolve\n"
        "adaps_envs.make('BPS-1'); resolve('BPS-1')\n"
        "try: resolve('classic/rps-v2')\n"
        "except adaps_envs.UnknownNameError: pass"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=clean_environment)


def test_registering_again_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_all()


@pytest.mark.parametrize("call", [adaps_envs.spec, adaps_envs.make, lambda name: adaps_envs.make_batched(name, 1)])
def test_unknown_id_suggests_or_lists(call: Any) -> None:
    with pytest.raises(adaps_envs.UnknownNameError, match=r"no environment 'BSP-1'. Did you mean.*BPS-1-v0") as refused:
        call("BSP-1")
    assert "Known: " not in str(refused.value)
    with pytest.raises(adaps_envs.UnknownNameError, match=r"no environment '@@@@'. Known: .*BPS-1-v0"):
        call("@@@@")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("bps-1", "BPS-1-v0"), ("adaps/Bps-1-V0", "BPS-1-v0"), ("crware-TINY-4a-2C", "CRWARE-tiny-4a-2c-v0")],
)
def test_an_id_in_another_case_has_one_suggestion(name: str, meant: str) -> None:
    with pytest.raises(adaps_envs.UnknownNameError) as refused:
        adaps_envs.make(name)
    assert str(refused.value) == f"no environment {name!r}. Did you mean {meant!r}?"


def test_unknown_face_suggests() -> None:
    with pytest.raises(adaps_envs.UnknownNameError, match=r"no face 'paralel'. Did you mean 'parallel'"):
        adaps_envs.make("BPS-1", api="paralel")


@pytest.mark.parametrize("api", FACES)
def test_unknown_keyword_suggests_through_every_face(api: str) -> None:
    with pytest.raises(adaps_envs.InvalidParameterError, match=r"no parameter 'max_cycle'. Did you mean 'max_cycles'"):
        adaps_envs.make("BPS-1", api=api, max_cycle=3)


@pytest.mark.parametrize("api", ["parallel", "aec", "gym", "gym_vector", "sb3"])
def test_unknown_render_mode_is_refused(api: str) -> None:
    with pytest.raises(adaps_envs.InvalidParameterError, match="render_mode is 'ascii'"):
        adaps_envs.make("BPS-1", api=api, render_mode="ascii")


def test_import_loads_no_compiler_no_torch_and_nothing_to_draw_with(clean_environment: dict[str, str]) -> None:
    heavy = ("numba", "torch", "stable_baselines3", "PIL", "matplotlib", "scipy", "sklearn", "pygame")
    program = f"import sys, adaps_envs; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class _EntryPoint:
    """A stand-in for an installed plug-in's entry point."""

    value = "plugin:FAMILY"

    def __init__(self, name: str, outcome: Any) -> None:
        self.name, self.outcome = name, outcome

    def load(self) -> Any:
        """Return the family, or fail as the plug-in does."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def _family(name: str, env_id: str) -> registry.EnvFamily:
    return registry.EnvFamily(name, "a plug-in", "x:Y", "x:P", "x:Q", {env_id: registry.Preset("one")})


def _presets(presets: Any) -> registry.EnvFamily:
    return registry.EnvFamily("toy", "a plug-in", "x:Y", "x:P", "x:Q", presets)


class _LeavesError(KeyboardInterrupt):
    """A plug-in may end the program in other ways than ``sys.exit``."""


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that pretends plug-ins are installed."""

    def install(*points: _EntryPoint) -> None:
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        registry._search.cache_clear()

    yield install
    monkeypatch.undo()
    registry._search.cache_clear()


def test_plug_in_is_found(plug_in: Any) -> None:
    plug_in(_EntryPoint("toy", _family("toy", "Toy-1-v3")))
    assert "Toy-1-v3" in adaps_envs.list_envs()
    assert adaps_envs.spec("Toy-1").pz_id == "adaps/toy_1-v3"


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (ImportError("no module named moon"), "ImportError: no module named moon"),
        ("a string", "not an EnvFamily"),
        (_family("bps", "Toy-v0"), "family 'bps' is already registered"),
        (_family("toy", "BPS-1-v0"), "id 'BPS-1-v0' is already registered"),
        (_family("toy", "Toy"), "not of the form Name-vN"),
        (SystemExit(3), "SystemExit: 3"),
        (_LeavesError("at once"), "_LeavesError: at once"),
        (ImportError("two\nlines \x1b[2J"), r"ImportError: two lines  \[2J"),
        (_family("toy", "BPS-1-v9"), "id 'BPS-1-v9' takes the name of 'BPS-1-v0'"),
        (_family("toy", "bps-1-v9"), "id 'bps-1-v9' takes the name of 'BPS-1-v0'"),
        (_family("toy", "bps_1-v0"), "id 'bps_1-v0' takes the name of 'BPS-1-v0'"),
        (_presets({"Toy-v0": "one"}), "the preset of 'Toy-v0' is 'one'; give a Preset"),
        (_presets({"Toy-v0": registry.Preset("one", [1])}), "needs a text and a dict"),
        (_presets({"Toy-v0": registry.Preset(1)}), "needs a text and a dict"),
        (_presets({3: registry.Preset("one")}), "id 3 is not of the form"),
        (_presets(None), "presets is None; give a dict"),
        (_presets({"A-b-v0": registry.Preset("a"), "A_b-v0": registry.Preset("b")}), "the same name in PettingZoo"),
        (registry.EnvFamily("toy", None, "x:Y", "x:P", "x:Q", {}), "title is None; give a text"),
    ],
)
def test_broken_plug_in_hides_nobody_and_is_named(plug_in: Any, outcome: Any, message: str) -> None:
    ours = set(adaps_envs.list_envs())
    plug_in(_EntryPoint("broken", outcome), _EntryPoint("toy", _family("good", "Good-v0")))
    assert ours | {"Good-v0"} == set(adaps_envs.list_envs())
    assert ours >= set(PRESETS)
    with pytest.raises(adaps_envs.UnknownNameError, match=f"Plug-in 'broken' failed to load .*{message}"):
        adaps_envs.spec("Toy-1")


def test_plug_in_that_failed_is_tried_again(plug_in: Any) -> None:
    point = _EntryPoint("late", AttributeError("partially initialized module"))
    plug_in(point)
    assert "Late-v0" not in adaps_envs.list_envs()
    point.outcome = _family("late", "Late-v0")
    assert "Late-v0" in adaps_envs.list_envs()


def test_every_broken_plug_in_is_named_and_aliases_stay_ours(plug_in: Any) -> None:
    plug_in(
        _EntryPoint("a", SystemExit("no licence")), _EntryPoint("b", _family("b", "BPS-1-v9")),
        _EntryPoint("b", "text"), _EntryPoint("c", _family("good", "Good-v0")),
    )  # fmt: skip
    assert list(registry.broken_plugins()) == ["a", "b", "b = plugin:FAMILY"]
    assert (adaps_envs.spec("BPS-1").id, adaps_envs.spec("Good").id) == ("BPS-1-v0", "Good-v0")
    with pytest.warns(UserWarning, match="failed to load") as seen:
        register_all()
    told = [str(warning.message) for warning in seen]
    assert [text.split("'")[1] for text in told] == ["a", "b", "b = plugin:FAMILY"]
    assert "SystemExit: no licence" in told[0]


def test_control_c_during_a_plug_ins_import_is_the_users(plug_in: Any) -> None:
    plug_in(_EntryPoint("slow", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        adaps_envs.list_envs()


def test_a_plug_in_that_is_being_imported_is_not_called_broken(plug_in: Any) -> None:
    plug_in(_EntryPoint("late", AttributeError("partially initialized module 'late' has no attribute 'FAMILY'")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_all()


def test_import_goes_on_when_a_plug_in_exits(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    (tmp_path / "leaving.py").write_text("raise SystemExit(7)")
    about = tmp_path / "leaving-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leaving\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[adaps_envs.envs]\nleaving = leaving:FAMILY\n")
    program = "import adaps_envs; print(adaps_envs.spec('BPS-1').id)"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**clean_environment, "PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "BPS-1-v0")
    assert "plug-in 'leaving' failed to load and is left out (SystemExit: 7)" in done.stderr


def test_a_plug_in_that_ends_the_process_can_be_left_out(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """No program can catch ``os._exit``; the variable leads past such a plug-in."""
    (tmp_path / "ending.py").write_text("import os; os._exit(7)")
    about = tmp_path / "ending-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ending\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[adaps_envs.envs]\nending = ending:FAMILY\n")
    program = "import adaps_envs; print(adaps_envs.spec('BPS-1').id)"
    for names in ("", "other"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**clean_environment, "PYTHONPATH": str(tmp_path), "ADAPS_ENV_PLUGINS": names},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip()) == (0, "BPS-1-v0")
