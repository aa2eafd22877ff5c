from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fabricate import COSTS, PROVENANCE, fabricate_failure, fabricate_result, fabricate_run, snapshot
from tamper import npz

from baselines.leaderboard import files
from baselines.leaderboard.errors import DamagedRecordError, OutputDirectoryError
from baselines.leaderboard.records import artifacts, writer
from baselines.leaderboard.records.metadata_files import Diagnostics, Sharing, decode_metadata, encode_metadata
from baselines.leaderboard.records.reader import (
    REPRODUCIBLE_FILES,
    find_runs,
    read_actions,
    read_run,
    read_weights,
)
from baselines.leaderboard.records.run_files import RUN_FILES
from baselines.leaderboard.records.writer import RunWriter, remove_stale_partials
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig


@pytest.fixture
def config(suite: SuiteConfig) -> RunConfig:
    return next(run for run in suite.runs() if run.run_id == "one/adaps/seed-0")


def test_a_run_reads_back_as_written(tmp_path: Path, config: RunConfig) -> None:
    directory = fabricate_run(tmp_path, config, 0.9, identity_steps=300)
    found = read_run(directory)
    expected = fabricate_result(config, 0.9, identity_steps=300)
    assert found.config == config
    assert found.status == "done"
    assert found.failure is None
    assert found.sharing == expected.sharing
    assert found.costs == COSTS
    assert found.provenance == PROVENANCE
    assert found.metrics[0] == {"point": 0, "learner": {"train/value_loss": None}}
    assert found.evaluation is not None
    for name, array in vars(expected.evaluation).items():
        np.testing.assert_array_equal(getattr(found.evaluation, name), array)
    for name, array in vars(expected.actions).items():
        np.testing.assert_array_equal(getattr(read_actions(found), name), array)
    assert read_weights(found)["actor.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_weights(found, best=True).keys() == {"actor.weight", "labels"}


def test_records_from_before_the_diagnostics_keep_their_bytes() -> None:
    old = Sharing(
        scheme="fups",
        env_steps=1,
        identity_steps=0,
        parameters={},
        assignment=None,
        agent_types=[0],
        ari=None,
        summary={},
    )
    data = encode_metadata(old)
    assert b"diagnostics" not in data
    assert encode_metadata(decode_metadata(data, Sharing)) == data
    found = {"pool": 5, "snd": 0.5, "action_disagreement": 0.1, "memory_bytes": 8, "masks": {}, "sharing": {}}
    found |= dict.fromkeys(("within_type", "between_type", "within_group", "between_group"))
    new = old.model_copy(update={"diagnostics": Diagnostics(**found)})
    assert decode_metadata(encode_metadata(new), Sharing) == new
    with pytest.raises(ValueError, match="snd"):
        decode_metadata(encode_metadata(new).replace(b'"snd": 0.5', b'"snd": 1.5'), Sharing)


def test_the_directory_holds_the_promised_files_and_no_partial_one(tmp_path: Path, config: RunConfig) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    assert set(os.listdir(directory)) == {*REPRODUCIBLE_FILES, "costs.json", "provenance.json", "SHA256SUMS"}
    assert os.listdir(directory.parent) == ["seed-0"]


def test_equal_results_give_equal_bytes_whenever_written(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fabricate_run(tmp_path / "a", config, 0.9)
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    second = fabricate_run(tmp_path / "b", config, 0.9)
    assert snapshot(first) == snapshot(second)


def test_sha256sum_reads_the_sums(tmp_path: Path, config: RunConfig) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": OK") == len(os.listdir(directory)) - 1


def test_a_failed_run_says_why(tmp_path: Path, config: RunConfig) -> None:
    found = read_run(fabricate_failure(tmp_path, config))
    assert found.status == "failed"
    assert found.failure is not None
    assert (found.failure.type, found.failure.message) == ("ValueError", "loss is NaN")
    assert found.evaluation is None


@pytest.mark.parametrize("name", sorted({*REPRODUCIBLE_FILES, "costs.json", "provenance.json", "SHA256SUMS"}))
@pytest.mark.parametrize("fault", ["flip", "truncate", "missing"])
def test_every_damage_is_noticed_and_named(tmp_path: Path, config: RunConfig, name: str, fault: str) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    path = directory / name
    data = bytearray(path.read_bytes())
    if fault == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif fault == "truncate":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    with pytest.raises(DamagedRecordError) as caught:
        read_run(directory)
    assert str(directory) in str(caught.value)
    assert name in str(caught.value) or name == "SHA256SUMS"


def rewrite(directory: Path, name: str, data: bytes) -> None:
    """Replace a file and mend the sums, as a forger would."""
    (directory / name).write_bytes(data)
    lines = [
        f"{files.sha256_hex((directory / other).read_bytes())}  {other}"
        for other in sorted(os.listdir(directory))
        if other != "SHA256SUMS"
    ]
    (directory / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def evaluation_bytes(config: RunConfig, **changes: np.ndarray) -> bytes:
    return npz({**vars(fabricate_result(config, 0.9).evaluation), **changes})


FORGERIES: dict[str, tuple[str, Callable[[RunConfig, bytes], bytes], str]] = {
    "other seed": ("config.json", lambda c, data: data.replace(b'"seed": 0', b'"seed": 1'), "digest or seeds"),
    "unknown key": (
        "config.json",
        lambda c, data: data.replace(b'"seed": 0', b'"sede": 0'),
        "sede: unknown key. Did you mean .seed",
    ),
    "other schema": ("status.json", lambda c, data: data.replace(b'"schema": 1', b'"schema": 2'), "schema is not 1"),
    "other status": ("status.json", lambda c, data: data.replace(b"done", b"best"), "status: .*'done' or 'failed'"),
    "not an object": ("status.json", lambda c, data: b"[]", "not a JSON object"),
    "deep nesting": ("status.json", lambda c, data: b"[" * 100_000, "nested"),
    "double key": ("status.json", lambda c, data: b'{"schema": 1, "schema": 1}', "twice"),
    "NaN in JSON": ("costs.json", lambda c, data: data.replace(b"55.5", b"NaN"), "NaN is not a number"),
    "costs of text": ("costs.json", lambda c, data: data.replace(b"55.5", b'"cheap"'), "cpu_seconds"),
    "no metrics": ("metrics.jsonl", lambda c, data: data[:-1], "cut off"),
    "bad metrics line": ("metrics.jsonl", lambda c, data: data + b"{]\n", "line 4"),
    "metrics of lists": ("metrics.jsonl", lambda c, data: b"[]\n", "line 1: not an object"),
    "no archive": ("evaluation.npz", lambda c, data: b"hello", "not a readable array archive"),
    "missing array": ("evaluation.npz", lambda c, data: npz({"steps": np.zeros(3)}), "holds"),
    "fewer episodes": ("evaluation.npz", lambda c, d: evaluation_bytes(c, absolute=np.zeros(2)), r"\[2\] float64"),
    "wrong dtype": ("evaluation.npz", lambda c, d: evaluation_bytes(c, steps=np.zeros(3)), "steps is"),
    "infinite return": ("evaluation.npz", lambda c, d: evaluation_bytes(c, absolute=np.full(5, np.inf)), "not finite"),
    "steps back": ("evaluation.npz", lambda c, d: evaluation_bytes(c, steps=np.array([0, 5, 1])), "not decrease"),
    "best point": ("evaluation.npz", lambda c, d: evaluation_bytes(c, best_point=np.array(9)), "best_point 9"),
    "pickled array": (
        "evaluation.npz",
        lambda c, d: evaluation_bytes(c, absolute=np.array([print] * 5, dtype=object)),
        "allow_pickle=False",
    ),
    "ari text": ("sharing.json", lambda c, data: data.replace(b'"ari": 1.0', b'"ari": "x"'), "ari"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_with_mended_sums_is_named(tmp_path: Path, config: RunConfig, name: str) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    file, forge, message = FORGERIES[name]
    before = (directory / file).read_bytes()
    after = forge(config, before)
    assert after != before
    rewrite(directory, file, after)
    with pytest.raises(DamagedRecordError, match=message) as caught:
        read_run(directory)
    assert file in str(caught.value)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch, config: RunConfig) -> None:
    monkeypatch.setattr("baselines.leaderboard.records.npz.MAX_MEMBER_BYTES", 1 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("steps.npy", bytes(2 << 20))
    with pytest.raises(ValueError, match="unpacks to more"):
        artifacts.decode_evaluation(buffer.getvalue(), config.task)


def test_sums_cannot_point_outside(tmp_path: Path, config: RunConfig) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    with open(directory / "SHA256SUMS", "a") as stream:
        stream.write(f"{'0' * 64}  ../secret\n")
    with pytest.raises(DamagedRecordError, match="SHA256SUMS: line"):
        read_run(directory)


def test_a_finished_run_is_never_replaced(tmp_path: Path, config: RunConfig) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    before = snapshot(tmp_path)
    run_writer = RunWriter(directory, config)
    with pytest.raises(OutputDirectoryError, match="finished run already"):
        run_writer.finish(fabricate_result(config, 0.1), COSTS, PROVENANCE)
    run_writer.abandon()
    assert snapshot(tmp_path) == before


def test_a_failed_run_gives_way_to_a_retry(tmp_path: Path, config: RunConfig) -> None:
    directory = fabricate_failure(tmp_path, config)
    fabricate_run(tmp_path, config, 0.5)
    assert read_run(directory).status == "done"
    assert os.listdir(directory.parent) == ["seed-0"]


def test_partial_directories_are_no_runs(tmp_path: Path, config: RunConfig) -> None:
    run_writer = RunWriter(tmp_path / config.run_id, config)
    run_writer.add_evaluation({"point": 0})
    assert find_runs(tmp_path) == []
    assert (run_writer.partial / "metrics.jsonl").read_bytes() == b'{"point":0}\n'
    run_writer.abandon()
    assert find_runs(tmp_path) == []
    assert not run_writer.partial.exists()


def test_only_partials_of_dead_processes_are_removed(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = RunWriter(tmp_path / config.run_id, config)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = ours.partial.with_name(f"seed-0.partial-{dead.pid}-{writer._HOST}")
    elsewhere = ours.partial.with_name(f"seed-0.partial-{dead.pid}-another-host")
    stale.mkdir()
    elsewhere.mkdir()
    assert remove_stale_partials(tmp_path) == [stale]
    assert ours.partial.exists()
    assert elsewhere.exists()
    assert not stale.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no process table to read")
def test_a_dead_process_that_nobody_collected_is_dead(tmp_path: Path, config: RunConfig) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    stale = tmp_path / "one" / "adaps" / f"seed-0.partial-{dead.pid}-{writer._HOST}"
    stale.mkdir(parents=True)
    assert remove_stale_partials(tmp_path) == [stale]
    dead.wait()


def test_a_full_disk_leaves_earlier_results_and_no_record(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, suite: SuiteConfig
) -> None:
    fabricate_run(tmp_path, suite.runs()[0], 0.5)
    before = snapshot(tmp_path)
    run_writer = RunWriter(tmp_path / config.run_id, config)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputDirectoryError, match=r"No space left on device.*Results written before are intact"):
        run_writer.finish(fabricate_result(config, 0.5), COSTS, PROVENANCE)
    run_writer.abandon()
    assert snapshot(tmp_path) == before


def test_a_file_in_the_place_of_the_directory(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "one").write_text("a file")
    with pytest.raises(OutputDirectoryError, match="cannot write"):
        RunWriter(tmp_path / config.run_id, config)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_an_unwritable_directory(tmp_path: Path, config: RunConfig) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputDirectoryError, match="Permission denied"):
        RunWriter(tmp_path / config.run_id, config)
    tmp_path.chmod(stat.S_IRWXU)


def test_canonical_json_is_one_byte_string_for_one_value() -> None:
    assert files.canonical_json({"b": 1, "a": [1.5, "é"]}) == b'{"a":[1.5,"\\u00e9"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json({"a": float("nan")})


def test_replace_file_keeps_the_old_content_when_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "board.json"
    files.replace_file(path, b"old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputDirectoryError):
        files.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["board.json"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1e999]", "too large"),
        (b"[-9223372036854775809]", "does not fit 64 bits"),
        (b"[" + b"9" * 5000 + b"]", "does not fit 64 bits"),
        (b'["\\ud800"]', "half a character"),
        (b'{"\\udfff": 1}', "half a character"),
        (b"[" * 70 + b"]" * 70, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[Infinity]", "not a number"),
        (b'{"a": 1, "a": 2}', "twice"),
    ],
)
def test_json_that_later_steps_could_not_hold_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        files.parse_json(data)


def test_json_at_the_limits_is_read() -> None:
    assert files.parse_json(b"[9223372036854775807, -9223372036854775808, 1e308, -0.0]") == [
        2**63 - 1,
        -(2**63),
        1e308,
        0,
    ]
    assert files.parse_json(b"[" * 64 + b"]" * 64)


@pytest.mark.parametrize("kind", ["link", "directory", "pipe", "long"])
def test_only_plain_files_of_a_record_are_read(
    tmp_path: Path, config: RunConfig, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = fabricate_run(tmp_path, config, 0.9)
    path = directory / "costs.json"
    if kind == "long":
        monkeypatch.setitem(RUN_FILES, "costs.json", replace(RUN_FILES["costs.json"], max_bytes=10))
    else:
        target = path.rename(tmp_path / "elsewhere")
        {"link": lambda: path.symlink_to(target), "directory": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(DamagedRecordError, match=r"not a plain file|more than") as caught:
        read_run(directory)
    assert caught.value.file == "costs.json"
