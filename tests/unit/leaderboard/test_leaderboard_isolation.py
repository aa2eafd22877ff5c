"""Plug-ins that change, lose or outlive what is not theirs: other runs keep their bytes, and the suite ends."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest
from commands import descendants, suite_text
from rich.console import Console
from safetensors.numpy import load_file
from tamper import edit_weights

from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.local_engine import WorkerPool
from baselines.leaderboard.execution.plan import JobOptions
from baselines.leaderboard.execution.suite_runner import run_suite
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, find_runs, read_run
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.spec.loading import load_suite
from baselines.leaderboard.verify import verify_directory
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.weights import BEST, FINAL

SCHEME = """
import os, shutil, signal, sys, time
from pathlib import Path

import torch

from baselines.schemes.fups import FuPS

{at_import}

class Plugin(FuPS):
    name = "{name}"

    def make_networks(self):
        super().make_networks()
{make_networks}

    def actor(self, obs):
{actor}
        return super().actor(obs)

    needs_identity_phase = True

    def prepare(self, collector):
        return {steps}
"""

# Every optimiser of torch, whichever the learner takes by default.
NO_LEARNING = """
for kind in vars(torch.optim).values():
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer):
        kind.step = lambda self, closure=None: None
"""


def write_scheme(
    site: Path, name: str, *, at_import: str = "", make_networks: str = "pass", actor: str = "pass", steps: str = "0"
) -> str:
    """Put a plug-in package with one scheme into ``site`` and return the scheme's name."""
    body, step = (indent(dedent(text), " " * 8) for text in (make_networks, actor))
    text = SCHEME.format(name=name, at_import=dedent(at_import), make_networks=body, actor=step, steps=steps)
    write_plugin(site, name, text, f"[adaps_agents.schemes]\n{name} = plugin_{name}:Plugin\n")
    return name


def write_plugin(site: Path, name: str, text: str, entry_points: str) -> None:
    site.mkdir(exist_ok=True)
    (site / f"plugin_{name}.py").write_text(text)
    metadata = site / f"plugin_{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugin_{name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plug-ins that workers see; this process need not load one."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("ADAPS_TEST_OUT", str(tmp_path / "out"))
    return tmp_path / "site"


def suite_of(tmp_path: Path, *schemes: str, budget: int = 600) -> SuiteConfig:
    (tmp_path / "tiny.toml").write_text(suite_text(budget, schemes=schemes, seeds=(0,)))
    return load_suite(tmp_path / "tiny.toml")


def reproducible_bytes(out: Path, scheme: str, task: str = "one") -> dict[str, bytes]:
    return {name: (out / task / scheme / "seed-0" / name).read_bytes() for name in REPRODUCIBLE_FILES}


@pytest.fixture
def undisturbed(tmp_path: Path) -> Path:
    """The records of ``fups`` and ``nops`` where no plug-in is."""
    out = tmp_path / "undisturbed"
    for config in suite_of(tmp_path, "fups", "nops").runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    return out


# How a scheme behaves, how its run ends, the type of its failure, and words of the message.
LOSES_FILES = """
for path in Path(os.environ["ADAPS_TEST_OUT"]).glob(f"*/*/*.partial-{os.getpid()}-*"):
    shutil.rmtree(path, ignore_errors=True)
"""
BLOCKS_FILES = LOSES_FILES + "    path.write_text('')"
FORKS = """
if not hasattr(Plugin, "forked"):
    Plugin.forked = os.fork()
    if Plugin.forked == 0:
"""
KINDS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "patches": ({"at_import": NO_LEARNING}, "done", "", ""),
    "moves": ({"make_networks": "os.chdir('/')"}, "done", "", ""),
    "threads": ({"actor": "torch.set_num_threads(2)"}, "done", "", ""),
    "copies": ({"actor": FORKS + "        pass"}, "done", "", ""),
    "leaves_a_copy": ({"actor": FORKS + "        time.sleep(10**6)"}, "done", "", ""),
    "ends_a_copy": ({"actor": FORKS + "        sys.exit()"}, "done", "", ""),
    "closes": ({"actor": "os.closerange(3, 100)"}, "failed", "", ""),
    "widens": ({"make_networks": "torch.set_default_dtype(torch.float64)"}, "done", "", ""),
    "exits": ({"actor": "os._exit(3)"}, "failed", "WorkerDied", "exit code 3"),
    "leaves": ({"actor": "sys.exit(3)"}, "failed", "SystemExit", "3"),
    "interrupts": ({"actor": "raise KeyboardInterrupt"}, "failed", "WorkerDied", "exit code 1"),
    "loses": ({"actor": LOSES_FILES}, "failed", "LostFilesError", "removed or blocked while it ran"),
    "blocks": ({"actor": BLOCKS_FILES}, "failed", "LostFilesError", "removed or blocked while it ran"),
    "tells": ({"steps": "'many'"}, "done", "", ""),  # what the collector counted is charged
}


def test_whatever_plugins_do_other_runs_keep_their_bytes_and_the_suite_ends(
    tmp_path: Path, site: Path, undisturbed: Path
) -> None:
    for name, (how, *_) in KINDS.items():
        write_scheme(site, name, **how)
    resource_tracker.ensure_running()  # Python's own helper of processes, which stays
    out, before = tmp_path / "out", set(descendants(os.getpid()))
    console = Console(file=io.StringIO(), width=200)
    run_suite(suite_of(tmp_path, "fups", *KINDS, "nops"), out, jobs=1, console=console)
    records = {directory.parent.name: read_run(directory) for directory in find_runs(out)}
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert {name: records[name].status for name in KINDS} == {name: status for name, (_, status, *_) in KINDS.items()}
    for name, (_, _, kind, message) in KINDS.items():
        assert len([line for line in lines if line.startswith((f"done    one/{name}/", f"failed  one/{name}/"))]) == 1
        failure = records[name].failure
        if failure is not None:
            assert kind in failure.type, name
            assert message in failure.message, name
    for scheme in ("fups", "nops"):
        assert reproducible_bytes(out, scheme) == reproducible_bytes(undisturbed, scheme), scheme
    assert [path for path in out.glob("*/*/*") if path not in find_runs(out)] == []
    assert set(descendants(os.getpid())) <= before


@pytest.mark.parametrize("steps", ["-27_000", "10**30", "float('nan')"])
def test_odd_step_counts_leave_the_other_runs_alone(tmp_path: Path, site: Path, steps: str) -> None:
    write_scheme(site, "odd", steps=steps)
    console, options = Console(file=io.StringIO(), width=200), JobOptions(timeout=120)
    summary = run_suite(suite_of(tmp_path, "odd", "fups"), tmp_path / "out", jobs=1, console=console, options=options)
    assert summary.done + summary.failed == 2
    assert read_run(tmp_path / "out" / "one" / "fups" / "seed-0").status == "done"


def test_a_run_that_hangs_is_ended_by_the_timeout(tmp_path: Path, site: Path) -> None:
    write_scheme(site, "hangs", actor="signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(10**6)")
    console, options = Console(file=io.StringIO(), width=200), JobOptions(timeout=2)
    run_suite(suite_of(tmp_path, "hangs"), tmp_path / "out", jobs=1, console=console, options=options)
    failure = read_run(tmp_path / "out" / "one" / "hangs" / "seed-0").failure
    assert failure is not None
    assert failure.type == "RunTimedOut"
    assert failure.message == "the run had not ended after 2 s (--timeout)"
    assert list((tmp_path / "out").glob("*/*/*.partial-*")) == []


def test_a_plugin_that_ends_or_hangs_while_the_suite_is_looked_over_is_named(tmp_path: Path, site: Path) -> None:
    for name, make_networks, why in (
        ("ends", "os._exit(3)", "ended with exit code 3"),
        ("hangs", "time.sleep(10**6)", r"more than 20 s \(--timeout\)"),
        ("leaves", "sys.exit(3)", "SystemExit: 3"),
        ("raises", "raise type('Own', (BaseException,), {})", "exit code 1"),
    ):
        write_scheme(site, name, make_networks=make_networks)
        with WorkerPool(1) as workers:
            workers.check(suite_of(tmp_path, "fups"))  # what takes long on a busy machine is loaded now
            with pytest.raises(ConfigError, match=f"scheme '{name}'.*{why}"):
                workers.check(suite_of(tmp_path, "fups", name), timeout=20)


def test_a_worker_that_dies_after_its_record_is_in_place_has_finished(tmp_path: Path, site: Path) -> None:
    at_import = """
        from baselines.leaderboard.execution import job
        finish = job._finish
        job._finish = lambda *values: finish(*values) and os._exit(3)
    """
    write_scheme(site, "late", at_import=at_import)
    summary = run_suite(suite_of(tmp_path, "late"), tmp_path / "out", jobs=1, console=Console(file=io.StringIO()))
    assert (summary.done, summary.failed) == (1, 0)


BLINDS = """
if "baselines.leaderboard.verify.deep" in sys.modules:
    from baselines.leaderboard.verify import deep, runset
    for module in (deep, runset):
        for name in dir(module):
            if name.endswith("_faults"):
                setattr(module, name, lambda *values, **named: iter(()))
    runset._result_faults = lambda record: (0, [])
"""


def test_a_scheme_from_outside_cannot_blind_the_verification_of_other_runs(tmp_path: Path, site: Path) -> None:
    write_scheme(site, "blinds", make_networks=BLINDS)
    out = tmp_path / "out"
    suite = suite_of(tmp_path, "blinds", "fups")
    run_suite(suite, out, jobs=1, console=Console(file=io.StringIO()))
    before = set(descendants(os.getpid()))
    assert verify_directory(out, deep=deep_checks).verified
    for name in (FINAL, BEST):
        edit_weights(out / "one/fups/seed-0", name, _with_other_signs)
    assert verify_directory(out).verified, "the replay alone was not to notice"
    faults = [fault.file for fault in verify_directory(out, deep=deep_checks).all_faults]
    assert f"one/fups/seed-0/{FINAL}" in faults
    assert "plugin_blinds" not in sys.modules
    assert set(descendants(os.getpid())) <= before


def test_a_scheme_that_ends_its_verification_is_named(tmp_path: Path, site: Path) -> None:
    ends = 'if "baselines.leaderboard.verify.deep" in sys.modules:\n    os._exit(3)'
    write_scheme(site, "quits", make_networks=ends)
    out = tmp_path / "out"
    run_suite(suite_of(tmp_path, "quits"), out, jobs=1, console=Console(file=io.StringIO()))
    faults = [str(fault) for fault in verify_directory(out, deep=deep_checks).all_faults]
    assert len(faults) == 1
    assert faults[0].startswith("one/quits/seed-0/config.json: config.scheme: cannot be examined: the worker process")


def _with_other_signs(weights: dict[str, Any]) -> None:
    weights.update({name: -array for name, array in weights.items() if array.dtype.kind == "f"})


FAMILY = """
import torch
{at_import}
from adaps_envs.families import bps
from adaps_envs.registry import EnvFamily, Preset

FAMILY = EnvFamily(
    name="{name}", title="t", env=bps.FAMILY.env, params=bps.FAMILY.params, policies=bps.FAMILY.policies,
    presets={{"{id}": Preset("own", {{"groups": (2, 2)}})}},
)
"""


def write_environment(site: Path, name: str, env_id: str, at_import: str = "") -> None:
    text = FAMILY.format(name=name, id=env_id, at_import=at_import)
    write_plugin(site, name, text, f"[adaps_envs.envs]\n{name} = plugin_{name}:FAMILY\n")


def test_an_environment_from_outside_reaches_no_other_run(tmp_path: Path, undisturbed: Path) -> None:
    """By the command line, as this process has looked for environments already."""
    site = tmp_path / "site"
    write_environment(site, "evil", "Evil-v0", NO_LEARNING)
    write_environment(site, "good", "Good-v0")
    write_scheme(site, "own", actor="print('noise', flush=True)")
    head, task = suite_text(600, schemes=("fups", "own"), seeds=(0,)).split("[[tasks]]")
    others = [
        task.replace('"BPS-1-v0"\nparams = { groups = [2, 2] }', f'"{name}-v0"').replace('"one"', f'"{name}"')
        for name in ("Evil", "Good")
    ]
    (tmp_path / "tiny.toml").write_text("[[tasks]]".join([head, others[0], task, others[1]]))
    command = [sys.executable, "-m", "baselines", "leaderboard", "run", "--suite", "tiny.toml", "--out", "out"]
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*command, "--jobs", "1"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "noise" in done.stderr
    assert "noise" not in done.stdout
    out = tmp_path / "out"
    assert reproducible_bytes(out, "fups") == reproducible_bytes(undisturbed, "fups")
    expected = _tensors(out / "one" / "fups" / "seed-0")
    for task, scheme, same in (("one", "own", True), ("Good", "fups", True), ("Evil", "fups", False)):
        found = _tensors(out / task / scheme / "seed-0")
        assert all(np.array_equal(found[name], expected[name]) for name in expected) is same, (task, scheme)


def _tensors(run: Path) -> dict[str, Any]:
    return {name: array for name, array in load_file(run / "policy.safetensors").items() if "_net." in name}
