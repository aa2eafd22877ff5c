"""What a record may hold: the writer writes nothing that the reader refuses, and nothing small fills the memory."""

from __future__ import annotations

import io
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import COSTS, PROVENANCE, TYPES, fabricate_result, suite_data
from tamper import edit_json, edit_returns, mend

from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.execution.loggers import LOG_DIRECTORY
from baselines.leaderboard.execution.plan import SUITE_FILE
from baselines.leaderboard.execution.replay import ReplayError, lane_bytes, open_environment
from baselines.leaderboard.files import canonical_json, check_storable, parse_json
from baselines.leaderboard.records.metadata_files import Sharing, decode_metadata, encode_metadata
from baselines.leaderboard.records.npz import decode_npz
from baselines.leaderboard.records.reader import SUMS, Failure, read_run
from baselines.leaderboard.records.run_files import files_of
from baselines.leaderboard.records.writer import RunResult, RunWriter
from baselines.leaderboard.report.data.archive import ARCHIVE
from baselines.leaderboard.report.data.values import decimal
from baselines.leaderboard.report.figures.ticks import decade_ticks
from baselines.leaderboard.report.write import BESIDE_THE_RUNS, SITE
from baselines.leaderboard.spec.config import (
    HELD_OUT,
    RESERVED_NAMES,
    REVEALED,
    LearnerConfig,
    RunConfig,
    SchemeConfig,
    SuiteConfig,
    TaskConfig,
)
from baselines.leaderboard.spec.loading import BUILTIN_SCHEMES
from baselines.leaderboard.verify import packing as submission
from baselines.leaderboard.verify import verify_directory, verify_submission
from baselines.leaderboard.verify.runset import METRICS
from baselines.leaderboard.verify.submissions import add_submission

RUN = "one/adaps/seed-0"
TASK = suite_data()["tasks"][0]


def middle(value: float) -> Callable[[Path], None]:
    return lambda run: edit_returns(run, lambda arrays: arrays["greedy"].__setitem__((1, 0), value))


def costs(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit_json(run, "costs.json", lambda values: values.update(changes))


ATTACKS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a point of 1e300": (middle(1e300), "evaluation.npz", "greedy holds the return 1e+300; at most 1e+12"),
    "a point of -5e306": (middle(-5e306), "evaluation.npz", "greedy holds the return -5e+306"),
    "a point of 1.1e12": (middle(1.1e12), "evaluation.npz", "greedy holds the return 1.1e+12"),
    "the smallest time": (costs(cpu_seconds=5e-324), "costs.json", "cpu_seconds: 5e-324; seconds are stored with 3"),
    "a time below a digit": (costs(cpu_seconds=1e-5), "costs.json", "cpu_seconds: 1e-05; seconds are stored with 3"),
    "the largest time": (costs(cpu_seconds=1e308), "costs.json", "cpu_seconds: Input should be less than or equal to"),
    "the largest memory": (costs(peak_memory_bytes=2**63 - 1), "costs.json", "peak_memory_bytes: Input should be less"),
    "the largest count": (
        lambda run: edit_json(run, "sharing.json", lambda s: s["parameters"].update(trainable=2**62)),
        "sharing.json",
        "parameters.trainable: Input should be less",
    ),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_numbers_beyond_the_range_are_named(runs: Path, kind: str) -> None:
    attack, file, message = ATTACKS[kind]
    attack(runs / RUN)
    faults = [fault for fault in verify_directory(runs).all_faults if fault.file == f"{RUN}/{file}"]
    assert any(message in str(fault) for fault in faults), [str(f) for f in verify_directory(runs).all_faults]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"random_score": 0.0, "scripted_score": 5e-324}, "less than 1e-09 above"),
        ({"random_score": -1e308, "scripted_score": 1e308}, "greater than or equal to -1"),
        ({"random_score": 0.0, "scripted_score": 1e13}, "less than or equal to 1"),
        *[({"name": name}, "a file or folder of this name") for name in sorted(RESERVED_NAMES)],
        *[({"name": name.title()}, "a file or folder of this name") for name in sorted(RESERVED_NAMES)],
        ({"params": {"x": 2**63}}, "does not fit 64 bits"),
        ({"params": {"x": -(10**5000)}}, "does not fit 64 bits"),
        ({"params": {"x": [float("nan")]}}, "not allowed"),
        ({"params": {"\ud800": 1}}, "unicode|half a character"),
    ],
)
def test_tasks_that_could_not_be_stored_or_reported_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskConfig.model_validate({**TASK, "name": "one", **changes})


def test_every_file_beside_the_tasks_has_a_reserved_name() -> None:
    names = {*BESIDE_THE_RUNS, SITE, ARCHIVE, LOG_DIRECTORY, SUITE_FILE, submission.MANIFEST, SUMS, REVEALED}
    names.add(HELD_OUT)
    assert {name.casefold() for name in names} == set(RESERVED_NAMES)


def test_the_names_of_built_in_schemes_are_known_without_torch() -> None:
    from adaps_agents.schemes.registry import is_builtin, list_schemes

    assert {name for name in list_schemes() if is_builtin(name)} == BUILTIN_SCHEMES


@pytest.fixture
def config(suite: SuiteConfig) -> RunConfig:
    return suite.runs()[0]


def result_of(config: RunConfig, **changes: Any) -> RunResult:
    return replace(fabricate_result(config, 0.5), **changes)


def sharing_with(**changes: Any) -> Sharing:
    values: dict[str, Any] = {
        "scheme": "fups_id", "env_steps": 2_000, "identity_steps": 0, "parameters": {}, "assignment": None,
        "agent_types": TYPES, "ari": None, "summary": {},
    }  # fmt: skip
    return Sharing.model_construct(**{**values, **changes}, diagnostics=None)


def unreadable(config: RunConfig) -> dict[str, RunResult]:
    good = fabricate_result(config, 0.5)
    huge = replace(good.evaluation, greedy=np.full_like(good.evaluation.greedy, 1e200))
    return {
        "half a character": replace(good, sharing=sharing_with(summary={"text": "\udc80"})),
        "a count of 2^63": replace(good, sharing=sharing_with(parameters={"trainable": 2**63})),
        "a count of 10^400": replace(good, sharing=sharing_with(parameters={"trainable": 10**400})),
        "too many levels": replace(good, sharing=sharing_with(summary={"x": nested(63)})),
        "a return of 1e200": replace(good, evaluation=huge),
    }


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "kind", ["half a character", "a count of 2^63", "a count of 10^400", "too many levels", "a return of 1e200"]
)
def test_what_could_not_be_read_back_is_a_failed_run(tmp_path: Path, config: RunConfig, kind: str) -> None:
    writer = RunWriter(tmp_path / config.run_id, config)
    with pytest.raises(ValueError, match=r"cannot be stored|digit"):
        writer.finish(unreadable(config)[kind], COSTS, PROVENANCE)
    writer.fail(Failure("ValueError", "as above"), COSTS, PROVENANCE)
    assert read_run(tmp_path / config.run_id).status == "failed"
    expected = [SUMS, *(file.name for file in files_of(failed=True))]
    assert sorted(path.name for path in (tmp_path / config.run_id).iterdir()) == sorted(expected)


@pytest.mark.parametrize("value", [2**63, "\ud800", {"\udc80": 1}, nested(70)])
def test_a_point_that_could_not_be_read_back_is_left_out(tmp_path: Path, config: RunConfig, value: Any) -> None:
    writer = RunWriter(tmp_path / config.run_id, config)
    writer.add_evaluation({"point": 0})
    with pytest.raises(ValueError, match="the metrics of an evaluation step cannot be stored"):
        writer.add_evaluation({"point": 1, "learner": {"loss": value}})
    writer.fail(Failure("ValueError", "as above"), COSTS, PROVENANCE)
    assert read_run(tmp_path / config.run_id).metrics == [{"point": 0}]


def test_environment_variables_that_change_roundings_are_noted(
    monkeypatch: pytest.MonkeyPatch, config: RunConfig
) -> None:
    from baselines.leaderboard.records.provenance import provenance_of

    for name in ("ATEN_CPU_CAPABILITY", "MKL_CBWR"):
        monkeypatch.delenv(name, raising=False)
    plain = provenance_of(config)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    noted = provenance_of(config)
    assert noted.variables == {**plain.variables, "ATEN_CPU_CAPABILITY": "default"}
    assert decode_metadata(encode_metadata(noted), type(noted)) == noted
    assert b"variables" not in encode_metadata(PROVENANCE)


def peak(action: Callable[[], object]) -> int:
    """The most memory that was taken while an action ran into an error, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, DamagedRecordError)):
            action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


NESTED = [b"[" * 60 + b"]" * 60 + b",", b"[" * 900 + b"]" * 900 + b",", b'{"a":' * 60 + b"0" + b"}" * 60 + b","]


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'{"a":0},', b"0,", b'"",', *NESTED])
def test_many_small_values_take_no_memory(piece: bytes) -> None:
    data = b"[" + piece * (32_000_000 // len(piece)) + b"0]"
    assert peak(lambda: parse_json(data)) < 1 << 20


def directory_of(members: int) -> bytes:
    """An archive that is all directory."""
    info = zipfile.ZipInfo("a")
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    listing = (entry + info.filename.encode()) * members
    return listing + struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, members & 0xFFFF, members & 0xFFFF, len(listing), 0, 0
    )


def test_a_directory_of_members_takes_no_memory(tmp_path: Path) -> None:
    data = directory_of(1_000_000)
    assert zipfile.ZipFile(io.BytesIO(directory_of(3))).namelist() == ["a"] * 3
    file = tmp_path / "x.zip"
    file.write_bytes(data)
    tracemalloc.start()
    verdict = verify_submission(file)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "it has more than 150,000 members" in str(verdict.all_faults[0])
    assert used < 8 << 20
    assert peak(lambda: decode_npz(data)) < 8 << 20


def run_with(task: TaskConfig) -> RunConfig:
    return RunConfig(task=task, learner=LearnerConfig(), scheme=SchemeConfig(name="fups"), seed=0)


def test_a_large_layout_is_not_replayed() -> None:
    rows = "\n".join(["." * 1_000] * 1_000)
    task = TaskConfig(name="x", env="CRWARE-tiny-4a-2c-v0", params={"layout": rows}, budget=100, eval_points=3)
    with pytest.raises(ReplayError, match="bytes; at most 32,768 are verified"):
        open_environment(run_with(task))


def test_episodes_at_once_are_counted_with_their_state() -> None:
    env = open_environment(run_with(TaskConfig(name="x", env="CRWARE-tiny-4a-2c-v0", budget=100, eval_points=3)))
    state = sum(array.nbytes for array in env.get_state().values())
    assert lane_bytes(env) == 4 * env.num_agents * env.obs_dim + state > state


def test_numbers_stay_short_and_ticks_exist() -> None:
    assert decimal(-1234.5678, 3) == "-1234.568"
    assert decimal(1.5e300, 3) == "1.500e+300"
    for low, high in ((-324.0, -323.0), (0.30104, 0.30105), (2.0, 2.0), (-300.0, 308.0)):
        ticks = decade_ticks(low, high)
        assert 1 <= len(ticks) <= 8
        assert all(tick > 0 for tick in ticks)


def test_values_are_checked_without_recursion() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        check_storable(nested(100_000))


def test_a_board_survives_what_it_refuses(runs: Path, tmp_path: Path) -> None:
    middle(-5e306)(runs / RUN)
    file = tmp_path / "x.zip"
    submission.pack_submission(runs, file)
    assert add_submission(file, tmp_path / "board").report is None
    assert not (tmp_path / "board").exists()
    shutil.rmtree(runs)


def test_returns_of_a_run_are_bounded() -> None:
    """What reads many runs holds the returns of all: 3,000 equal ones take no room in a file and 480 MB in memory."""
    with pytest.raises(ValueError, match="30,000,000 returns; a run stores 262,144 at most"):
        TaskConfig(name="x", env="BPS-1-v0", budget=10_000, eval_points=10_000, eval_episodes=3_000)


def test_layers_of_a_network_are_bounded() -> None:
    """Twenty thousand layers of one neuron have few weights, and take minutes."""
    with pytest.raises(ValueError, match="at most 64 items"):
        LearnerConfig(net_arch=(1,) * 20_000)


def test_a_configuration_names_no_place_to_write_to() -> None:
    """Whoever trains a submitted run again would write its logs there; `run --logger` has a place of its own."""
    with pytest.raises(ValueError, match="tensorboard_log cannot be set here"):
        LearnerConfig(settings={"tensorboard_log": "/home/you"})


def test_a_suite_has_not_millions_of_runs() -> None:
    """Whoever reads one makes all of its runs: one file of 420 KB had three billions."""
    data = suite_data(schemes=["fups", "nops"])
    with pytest.raises(ValueError, match="200,004 runs; a suite has 100,000 at most"):
        SuiteConfig.model_validate({**data, "seeds": list(range(50_001))})


@pytest.mark.parametrize("name", ["fups.", "adaps-", "x_", ".x", "x" * 81])
def test_a_label_ends_with_a_letter_or_digit(name: str) -> None:
    """Beside a built-in scheme, ``fups.`` would pass for it; on Windows it is the same folder."""
    with pytest.raises(ValueError, match="label"):
        SuiteConfig.model_validate(suite_data(schemes=[{"name": "fups", "label": name}]))
    assert SuiteConfig.model_validate(suite_data(schemes=[{"name": "fups", "label": "x"}]))


def test_metrics_are_no_ballast(honest_runs: Path, tmp_path: Path) -> None:
    """Fifteen failed runs of one repeated text, 63 MB each, were a submission of 225 KB, and a gigabyte of a board."""
    run = tmp_path / RUN
    shutil.copytree(honest_runs / RUN, run)
    path = run / METRICS
    for size, found in ((40_000, []), (50_000, ["at most 49,152 for 3 evaluations"])):
        lines = (honest_runs / RUN / METRICS).read_text().splitlines()
        point = parse_json(lines[-1].encode())
        point["learner"]["x" * size] = 1.0
        lines[-1] = canonical_json(point).decode()
        path.write_text("\n".join(lines) + "\n")
        mend(run)
        faults = [str(fault) for fault in verify_directory(run).all_faults]
        assert len(faults) == len(found), faults
        assert all(what in fault for what, fault in zip(found, faults, strict=True)), faults
