"""Mutated submissions: whatever is in them, the answer is a verdict; nothing runs, hangs or gets out."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pytest
from fabricate import fabricate_failure, snapshot, suite_data
from pydantic import ValidationError
from rich.console import Console
from tamper import edit_config, edit_json, edit_metrics, edit_returns, members_of, npz, write_submission

from baselines.leaderboard.errors import ConfigError, DamagedRecordError
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import read_suite_file, write_suite_file
from baselines.leaderboard.files import parse_json, pretty_json
from baselines.leaderboard.records.light import light_files
from baselines.leaderboard.records.reader import SUMS, encode_sums, find_runs
from baselines.leaderboard.records.run_files import config_payload
from baselines.leaderboard.records.writer import install_files
from baselines.leaderboard.report import print_board, write_report
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
from baselines.leaderboard.verify import pack_submission, verify_directory, verify_submission

Members = dict[str, bytes]
HANG_SECONDS = 120
NASTY_NAMES = (
    "../../escaped", "/tmp/escaped", "a/../../../escaped", "one/adaps/seed-0/../../../../escaped", "C:/escaped",
    "one/adaps/seed-0", "one//seed-0/config.json", "\x00", "é/ü/seed-0/config.json", "a" * 5000,
    "con/nul/seed-0/costs.json",
)  # fmt: skip
NASTY_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**62, 10**30, 1e308, -1e-320, "", "\x1b[2J", "<script>", "../..", "\ud800", "x" * 100_000,
    [], [[]], {}, {"a": {"b": []}}, [0] * 5000, "BPS-2-v0", "__import__('os')",
)  # fmt: skip


class Bomb:
    """Unpickling it would leave a file behind."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.sentinel),)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, insert, double or shuffle bytes."""
    mutable = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(mutable) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(mutable):
            mutable[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del mutable[place : place + rng.choice((1, 4, 1000))]
        elif kind == 2:
            mutable[place:place] = rng.randbytes(rng.choice((1, 4, 200)))
        elif kind == 3:
            mutable[place:place] = mutable[place : place + 300]
        else:
            mutable[place : place + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"PK\x01\x02", b"9999"))
    return bytes(mutable)


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Change one leaf, key or entry somewhere in a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        changed = dict(value)
        if rng.random() < 0.1:
            changed[str(rng.choice(NASTY_VALUES))[:50]] = changed.pop(key)
        elif rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = mutate_value(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], mutate_value(value[place], rng), *value[place + 1 :]]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((value + 1, -value, value * 2, value * 1000, value / 3, value - 1))
    return rng.choice(NASTY_VALUES)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    changed = mutate_value(json.loads(data), rng)
    return (json.dumps(changed, sort_keys=True, indent=2) + "\n").encode()


def mutate_config(data: bytes, rng: random.Random) -> bytes:
    """A valid other configuration, with the digests that belong to it, where the mutation allows one."""
    config = json.loads(data)["config"]
    changed = mutate_value(config, rng)
    try:
        return pretty_json(config_payload(RunConfig.model_validate(changed)))
    except Exception:
        return (json.dumps({"schema": 1, "config": changed}) + "\n").encode()


def mutate_arrays(data: bytes, rng: random.Random, sentinel: Path) -> bytes:
    with np.load(BytesIO(data)) as loaded:
        arrays = {name: loaded[name].copy() for name in loaded.files}
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    kind = rng.randrange(7)
    if kind == 0 and array.size:
        array.flat[rng.randrange(array.size)] = rng.choice((0, 1, 3, 200))
    elif kind == 1:
        arrays[name] = array.astype(rng.choice(("float32", "int8", "complex64", "S3", "float64")))
    elif kind == 2:
        arrays[name] = np.concatenate([array.reshape(-1)] * 2)
    elif kind == 3:
        arrays[name] = np.array([Bomb(sentinel)], dtype=object)
    elif kind == 4 and array.dtype.kind == "f":
        array.flat[0] = rng.choice((np.nan, np.inf, 1e308))
    elif kind == 5:
        arrays[rng.choice(("extra", "../escaped", name + ".npy"))] = array
    else:
        arrays[name] = array[..., :-1] if array.ndim else array.reshape(1)
    return npz(arrays)


def mutate_member(name: str, data: bytes, rng: random.Random, sentinel: Path) -> bytes:
    if rng.random() < 0.3:
        return mutate_bytes(data, rng)
    if name.endswith("config.json"):
        return mutate_config(data, rng)
    if name.endswith(".json"):
        return mutate_json(data, rng)
    if name.endswith(".jsonl"):
        lines = data.splitlines(keepends=True)
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(mutate_value(json.loads(lines[place]), rng)).encode() + b"\n"
        return b"".join(lines)
    if name.endswith(".npz"):
        return mutate_arrays(data, rng, sentinel)
    return mutate_bytes(data, rng)


def mend(members: Members, rng: random.Random) -> None:
    """Write the sums of every run anew, as a forger would, most of the time."""
    if rng.random() < 0.15:
        return
    for sums in [name for name in members if name.endswith(f"/{SUMS}")]:
        run = sums[: -len(SUMS)]
        files = {
            name.removeprefix(run): data for name, data in members.items() if name.startswith(run) and name != sums
        }
        members[sums] = encode_sums(files)


def mutated_submission(file: Path, honest: Members, rng: random.Random, sentinel: Path) -> None:
    """Write one mutated submission."""
    members = dict(honest)
    if rng.random() < 0.2:
        write_submission(file, members)
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))
        return
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(sorted(members))
        kind = rng.random()
        if kind < 0.08:
            del members[name]
        elif kind < 0.16:
            members[rng.choice((*NASTY_NAMES, name.replace("seed-0", "seed-5"), name + "x"))] = members[name]
        elif kind < 0.24:
            members[name] = members[rng.choice(sorted(members))]
        else:
            members[name] = mutate_member(name, members[name], rng, sentinel)
        if not members:
            break
    mend(members, rng)
    write_submission(file, members)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cases", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_every_mutated_submission_gets_a_verdict_and_nothing_gets_out(
    honest_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int
) -> None:
    temporary, sentinel = tmp_path / "temporary", tmp_path / "executed"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    few = shutil.copytree(honest_runs, tmp_path / "runs")
    honest_file = tmp_path / "honest.zip"
    pack_submission(few, honest_file)
    honest = members_of(honest_file)
    shutil.rmtree(few)
    file = tmp_path / "mutated.zip"
    before = {**snapshot(tmp_path), "mutated.zip": b""}
    verified = 0
    for case in range(cases):
        rng = random.Random(case)
        try:
            mutated_submission(file, honest, rng, sentinel)
        except (UnicodeEncodeError, ValueError, TypeError, OverflowError, BadZipFile):
            continue  # the mutation itself cannot be written down, or not be made after another one
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            verdict = verify_submission(file)
            "\n".join(verdict.lines()).encode()
            json.dumps(verdict.to_json()).encode()
        except ConfigError as error:
            raise AssertionError(f"case {case}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        verified += verdict.verified
        assert list(temporary.iterdir()) == [], case
        assert not sentinel.exists(), case
    assert {**snapshot(tmp_path), "mutated.zip": b""} == before
    assert verified < cases // 4


# Numbers at which something may end: of floats, of integers, of what a page or a logarithm can hold.
EDGES: tuple[float, ...] = (
    0.0, -0.0, 5e-324, 2.2e-308, 1e-300, 1e-20, 1e-9, 1e-3, 0.1, 1.0, 7.0, 1e3, 1e6, 1e9, 1e12, 1.1e12, 1e15, 1e18,
    1e100, 1e154, 1e300, 1.7e308,
)  # fmt: skip
COUNTS = (0, 1, 2, 255, 2**31, 2**53, 10**15, 10**15 + 1, 2**62, 2**63 - 1)
TEXTS = ("", "=1+1", "\x1b[2J", "\u202eabc", "|a|b|", "<script>", "{}\\%$#", "\n\n# x", "é" * 300, "x" * 5_000)
TASK_NAMES = ("mine", "BPS-1", "board.json", "aggregate.json", "site", "Archive", "con", "0", "A" * 80, "a+b")


def edge(rng: random.Random) -> float:
    return rng.choice(EDGES) * rng.choice((1, -1)) * rng.choice((1.0, 1.0, rng.random()))


def anything(rng: random.Random, depth: int = 3) -> Any:
    kind = rng.randrange(6 if depth else 4)
    if kind == 4:
        return [anything(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {rng.choice(("agents", "agent_0", "told_types", "actor_mask_overlap", "x")): anything(rng, depth - 1)}
    return (edge(rng), rng.choice(COUNTS), rng.choice(TEXTS), rng.choice((None, True, False)))[kind]


def edges_in_returns(run: Path, rng: random.Random) -> None:
    scored = parse_json((run / "config.json").read_bytes())["config"]["task"].get("scored", "greedy")

    def edit(arrays: dict[str, np.ndarray]) -> None:
        for _ in range(rng.choice((1, 2, 8))):
            name = rng.choice(("greedy", "sampled", "absolute"))
            # Of the last point, the returns that are scored are replayed.
            place = [rng.randrange(size) for size in arrays[name].shape]
            if name == scored:
                place[0] = rng.randrange(len(arrays["marks"]) - 1)
            arrays[name][tuple(place)] = -abs(edge(rng))

    edit_returns(run, edit)


def edges_in_costs(run: Path, rng: random.Random) -> None:
    value = rng.choice((edge(rng), abs(edge(rng)), round(abs(edge(rng)), 3)))
    name = rng.choice(("cpu_seconds", "wall_seconds", "evaluation_seconds"))
    changes: dict[str, Any] = {name: value, "peak_memory_bytes": rng.choice((None, *COUNTS))}
    changes |= {name: rng.choice(TEXTS) for name in ("started_at", "finished_at") if rng.random() < 0.2}
    edit_json(run, "costs.json", lambda costs: costs.update(changes))


def edges_in_metrics(run: Path, rng: random.Random) -> None:
    edit_metrics(run, lambda lines: rng.choice(lines)["learner"].update({rng.choice(TEXTS): anything(rng)}))


def edges_in_sharing(run: Path, rng: random.Random) -> None:
    def edit(sharing: dict[str, Any]) -> None:
        kind = rng.randrange(4)
        if kind == 0:
            sharing["parameters"][rng.choice((*sharing["parameters"], "other"))] = rng.choice(COUNTS)
        elif kind == 1:
            sharing["summary"][rng.choice((*sharing["summary"], "critic_mask_overlap"))] = anything(rng)
        elif kind == 2:
            size = rng.choice((1, 2, 9))
            sharing["summary"]["actor_mask_overlap"] = [[edge(rng) for _ in range(size)] for _ in range(size)]
        else:
            sharing["diagnostics"][rng.choice(("memory_bytes", "snd", "masks"))] = rng.choice((anything(rng), 0.5, 7))

    edit_json(run, "sharing.json", edit)


def edges_in_provenance(run: Path, rng: random.Random) -> None:
    def edit(provenance: dict[str, Any]) -> None:
        name = rng.choice(("python", "system", "processor", "cores", "packages", "git"))
        values = {"cores": rng.choice(COUNTS), "git": {"commit": rng.choice(TEXTS), "modified": True}}
        packages = {**provenance["packages"], "numpy": rng.choice(TEXTS), rng.choice(TEXTS): "1"}
        provenance[name] = values.get(name, packages if name == "packages" else rng.choice(TEXTS))

    edit_json(run, "provenance.json", edit)


def edges_in_task(runs: Path, rng: random.Random) -> Path:
    """A task of one's own: name, reference scores and counts that its author chooses, the same in all runs."""
    suite = read_suite_file(runs)
    assert suite is not None
    low = rng.choice((edge(rng), -200.0))
    high = rng.choice((low + abs(edge(rng)), edge(rng), -100.0))
    changes = {"random_score": low, "scripted_score": high}
    if rng.random() < 0.4:
        changes["name"] = rng.choice(TASK_NAMES)
    task = type(suite.tasks[0]).model_validate({**suite.tasks[0].model_dump(), **changes})
    for run in find_runs(runs):
        edit_config(run, lambda config: config["task"].update(changes))
    (runs / suite.tasks[0].name).rename(runs / task.name)
    write_suite_file(suite.model_copy(update={"tasks": (task,)}), runs)
    return runs


RUN_EDITS = (edges_in_returns, edges_in_costs, edges_in_metrics, edges_in_sharing, edges_in_provenance)


def fuzzed_set(runs: Path, rng: random.Random) -> None:
    """Change a set of honest runs in ways that verification may well accept."""
    if rng.random() < 0.4:
        edges_in_task(runs, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(RUN_EDITS)(rng.choice(find_runs(runs)), rng)
    if rng.random() < 0.1:
        config = RunConfig.model_validate(parse_json((find_runs(runs)[0] / "config.json").read_bytes())["config"])
        shutil.rmtree(runs / config.run_id)
        fabricate_failure(runs, config, rng.choice(TEXTS))
    if rng.random() < 0.4:
        for run in find_runs(runs)[: rng.choice((1, None))]:
            lighten(run)


def lighten(run: Path) -> None:
    files = light_files(run)
    shutil.rmtree(run)
    install_files(files, run)


def report_faults(runs: Path) -> list[str]:
    """Report a set that verifies, and return what no reader should meet."""
    board, page = write_report(runs, pictures=0)
    console = Console(file=StringIO(), width=100)
    print_board(board, console)
    texts = {path.name: path.read_text() for path in runs.glob("board.*")}
    texts["terminal"] = console.file.getvalue()  # type: ignore[attr-defined]
    faults = [f"{name}: {word}" for name, text in texts.items() for word in ("nan", "inf") if f" {word} " in text]
    cells = [cell for line in texts["board.md"].splitlines() if line.startswith("|") for cell in line.split("|")]
    faults += [f"a cell of {len(cell)} characters" for cell in cells if len(cell) > 90]
    json.loads(texts["board.json"])
    assert page.exists()
    return faults


@pytest.fixture(scope="module")
def small_sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Finished suites of one task and one seed: of today's protocol, scored by greedy and by sampled play, and of 1."""
    identity = {"identity": {"env_steps": 400, "num_groups": 1, "encoder": {"updates": 20}}}
    data = suite_data(scheme_settings={"adaps": identity}, seeds=[0])
    out = tmp_path_factory.mktemp("small")
    for protocol, scored in (("2", "greedy"), ("2", "sampled"), ("1", "greedy")):
        tasks = [{**data["tasks"][0], "scored": scored}]
        suite = SuiteConfig.model_validate({**data, "tasks": tasks, "protocol": protocol})
        runs = out / f"{protocol}-{scored}"
        for config in suite.runs():
            assert execute_job(config, runs / config.run_id, lambda steps: None).status == "done"
        write_suite_file(suite, runs)
    return sorted(out.iterdir())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cases", [range(24), pytest.param(range(24, 2_024), marks=pytest.mark.slow)], ids=len)
def test_every_set_that_verifies_is_reported(small_sets: list[Path], tmp_path: Path, cases: range) -> None:
    verified: Counter[tuple[str, bool]] = Counter()
    for case in cases:
        rng = random.Random(f"set {case}")
        source = small_sets[case % len(small_sets)]
        runs = shutil.copytree(source, tmp_path / "fuzzed")
        try:
            fuzzed_set(runs, rng)
        except (DamagedRecordError, ValidationError, ValueError, OverflowError):
            pass  # the models refuse to write such a set
        else:
            verdict = verify_directory(runs, complete=True)
            if verdict.verified:
                verified[source.name, any(run.light for run in verdict.runs)] += 1
                assert report_faults(runs) == [], case
        shutil.rmtree(runs)
    assert {name for name, _ in verified} == {source.name for source in small_sets}
    assert {light for _, light in verified} == {True, False}
    assert verified.total() >= len(cases) // 8
