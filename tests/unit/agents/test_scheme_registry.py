"""Schemes are found by entry points; a broken plug-in is named and hides nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from adaps_agents.schemes import registry
from adaps_agents.schemes.registry import ENTRY_POINT_GROUP, list_schemes, make_scheme, scheme_spec
from adaps_envs.errors import InvalidParameterError, UnknownNameError
from adaps_envs.installation import SITE
from baselines.cli import main as cli
from baselines.schemes.fups import FuPS

SEVEN = {"adaps", "fups", "fups_id", "nops", "oracle", "seps", "snp_ps"}


def _with_plugins(monkeypatch: pytest.MonkeyPatch, *plugins: tuple[str, str]) -> None:
    points = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in plugins]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._found.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_registry() -> Iterator[None]:
    yield
    registry._found.cache_clear()


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


def test_a_module_in_our_folder_is_a_scheme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "baselines" / "schemes").mkdir(parents=True)
    (tmp_path / "baselines" / "schemes" / "first.py").write_text("raise RuntimeError('half-written')")
    monkeypatch.setattr(registry, "SITE", tmp_path)
    registry._found.cache_clear()
    assert set(list_schemes()) >= {"adaps", "first"}
    assert "fups" not in list_schemes()


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (("a_package", "package"), "a_package = 'package' of an unknown package: an entry point must be module:Class"),
        (("fups", "a_first:FuPS"), "fups = 'a_first:FuPS' of an unknown package: the suite has a scheme of this name"),
        (("adaps", "baselines.schemes.fups:FuPS"), "adaps = .*: the suite has a scheme of this name"),
    ],
)
def test_a_plugin_that_is_refused_is_named_and_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, plugin: tuple[str, str], said: str
) -> None:
    _with_plugins(monkeypatch, plugin, ("sound", "baselines.schemes.fups:FuPS"))
    assert set(list_schemes()) >= {*SEVEN, "sound"}
    assert type(make_scheme("adaps")).__name__ == "AdaPS"
    assert type(make_scheme("fups")) is FuPS
    assert re.search(said, "".join(registry.refused_plugins()))
    with pytest.raises(UnknownNameError, match=said):
        make_scheme("no_such_scheme")


def test_two_plugins_of_one_name_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_plugins(monkeypatch, ("mine", "a.b:C"), ("mine", "d.e:F"), ("other", "baselines.schemes.fups:FuPS"))
    assert "mine" not in list_schemes()
    assert "other" in list_schemes()
    with pytest.raises(UnknownNameError, match=r"mine = 'a.b:C' .* and mine = 'd.e:F' .*: two schemes of one name"):
        make_scheme("mine")


@pytest.mark.parametrize("body", ["raise RuntimeError('broken')", "import sys; sys.exit('broken')", "broken = = 1"])
def test_the_command_lists_past_a_broken_plugin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    (tmp_path / "a_broken_plugin.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    _with_plugins(monkeypatch, ("a_broken", "a_broken_plugin:Scheme"), ("fups", "a_broken_plugin:Scheme"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["schemes"])
    shown = capsys.readouterr()
    assert not stop.value.code
    assert {line.split()[0] for line in shown.out.splitlines()} >= SEVEN
    assert "scheme 'a_broken' at a_broken_plugin:Scheme failed to load" in shown.err
    assert "refused plug-in: fups = 'a_broken_plugin:Scheme'" in shown.err


@pytest.mark.parametrize("shape", ["baselines.py", "baselines/__init__.py", "baselines/notes.txt"])
@pytest.mark.parametrize("imported", [False, True])
def test_another_package_called_baselines_is_named(tmp_path: Path, shape: str, imported: bool) -> None:
    foreign = tmp_path / shape
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("")
    code = f"""
import importlib.util, pathlib, sys
site = {str(SITE)!r}
class Last:  # as an editable install is found: after all of the path, and after a folder without __init__.py
    def find_spec(name, path=None, target=None):
        source = pathlib.Path(site, name, "__init__.py")
        return importlib.util.spec_from_file_location(name, source) if source.is_file() else None
sys.path = [{str(tmp_path)!r}] + [folder for folder in sys.path if pathlib.Path(folder).resolve() != pathlib.Path(site)]
sys.meta_path = [finder for finder in sys.meta_path if "ditable" not in repr(finder)] + [Last]
if {imported}: import baselines
import adaps_agents, adaps_envs.errors
assert set(adaps_agents.list_schemes()) >= {SEVEN!r}
assert adaps_agents.scheme_spec("adaps").summary
try: adaps_agents.make_scheme("fups")
except adaps_envs.errors.ShadowedPackageError as error: print(error)
sys.argv = ["adaps", "schemes"]
from adaps_envs.launcher import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    place = foreign if shape == "baselines.py" else foreign.parent
    said = f"Python finds 'baselines' at {place}, but the suite's is {SITE / 'baselines'}; rename the former"
    assert done.stdout.startswith(said), done.stderr
    assert done.stderr.startswith(f"error: {said}")
    assert done.returncode == 2


@pytest.mark.parametrize(
    "target", ["adaps_agents.random_streams:derived_seed", "baselines.schemes.fups:Missing", "nowhere.at_all:X"]
)
def test_what_is_no_scheme_is_refused_when_used(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    _with_plugins(monkeypatch, ("odd", target))
    assert "odd" in list_schemes()
    with pytest.raises(UnknownNameError, match="'odd' at"):
        make_scheme("odd")


def test_listing_imports_no_scheme(clean_environment: dict[str, str]) -> None:
    code = (
        "import sys; from adaps_agents.schemes.registry import list_schemes; names = list_schemes(); "
        "loaded = [name for name in names if f'baselines.schemes.{name}' in sys.modules]; "
        "assert names and not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=clean_environment)
