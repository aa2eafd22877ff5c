"""Schemes are found by entry points; a broken plug-in is named and hides nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from adaps_agents.sharing import registry
from adaps_agents.sharing.registry import ENTRY_POINT_GROUP, list_schemes, make_scheme, scheme_spec
from adaps_envs.errors import InvalidParameterError, UnknownNameError
from baselines.schemes.fups import FuPS

SEVEN = {"adaps", "fups", "fups_id", "nops", "oracle", "seps", "snp_ps"}


def _with_plugins(monkeypatch: pytest.MonkeyPatch, *plugins: tuple[str, str]) -> None:
    ours = [("adaps", "adaps_agents.adaps"), ("baselines", "baselines")]
    points = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in (*ours, *plugins)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._references.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_registry() -> Iterator[None]:
    yield
    registry._references.cache_clear()


def test_the_papers_seven_are_there_and_describe_themselves() -> None:
    assert set(list_schemes()) >= SEVEN
    assert list_schemes() == sorted(list_schemes())
    for name in list_schemes():
        spec = scheme_spec(name)
        assert spec.name == name
        assert spec.summary
        assert spec.source
        assert spec.parameter_formula


def test_an_unknown_scheme_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no sharing scheme 'snpps'. Did you mean 'snp_ps'"):
        make_scheme("snpps")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(InvalidParameterError, match=r"'fups' does not take \['keep'\]"):
        make_scheme("fups", keep=0.5)
    with pytest.raises(InvalidParameterError, match=r"AdaPS has no option 'kep'. Did you mean 'keep'"):
        make_scheme("adaps", kep=0.5)


def test_a_plugin_is_one_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_plugins(monkeypatch, ("mine", "baselines.schemes.fups:FuPS"))
    assert "mine" in list_schemes()
    assert isinstance(make_scheme("mine"), FuPS)


def test_a_package_of_schemes_is_scanned_without_importing_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "plugin_of_schemes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "first.py").write_text("from baselines.schemes.fups import FuPS\nSCHEME = FuPS\n")
    (package / "second.py").write_text("raise RuntimeError('half-written')\nSCHEME = None\n")
    (package / "tools.py").write_text("raise RuntimeError('not a scheme')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _with_plugins(monkeypatch, ("theirs", "plugin_of_schemes"))
    assert set(list_schemes()) >= {*SEVEN, "first", "second"}
    assert "tools" not in list_schemes()
    assert "plugin_of_schemes.first" not in sys.modules
    assert isinstance(make_scheme("first"), FuPS)
    with pytest.raises(UnknownNameError, match=r"'second' at plugin_of_schemes.second:SCHEME failed.*half-written"):
        make_scheme("second")


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (("lost", "no_such_package_anywhere"), "Plug-in 'lost' failed to load.*not an importable package"),
        (("adaps", "baselines.schemes.fups:FuPS"), "Plug-in 'adaps' failed to load.*already registered"),
    ],
)
def test_a_broken_plugin_is_named_and_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, plugin: tuple[str, str], said: str
) -> None:
    _with_plugins(monkeypatch, plugin)
    assert set(list_schemes()) >= SEVEN
    assert type(make_scheme("adaps")).__name__ == "AdaPS"
    with pytest.raises(UnknownNameError, match=said):
        make_scheme("no_such_scheme")


@pytest.mark.parametrize(
    "target", ["adaps_agents.streams:derived_seed", "baselines.schemes.fups:Missing", "nowhere.at_all:X"]
)
def test_what_is_no_scheme_is_refused_when_used(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    _with_plugins(monkeypatch, ("odd", target))
    assert "odd" in list_schemes()
    with pytest.raises(UnknownNameError, match="'odd' at"):
        make_scheme("odd")


def test_listing_imports_no_scheme(clean_environment: dict[str, str]) -> None:
    code = (
        "import sys; from adaps_agents.sharing.registry import list_schemes; names = list_schemes(); "
        "loaded = [name for name in names if f'baselines.{name}' in sys.modules]; assert names and not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=clean_environment)
