"""Submissions: one file, the same bytes everywhere, and nothing in a foreign one is believed or let out."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fabricate import fabricate_failure, snapshot
from tamper import append_member, edit_config, edit_json, members_of, write_submission

from baselines.cli import main as cli
from baselines.leaderboard.errors import ConfigError, ConfigMismatchError, OutputDirectoryError
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import SUITE_FILE, read_suite_file, write_suite_file
from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.records.reader import FinishedRun, find_runs, read_run
from baselines.leaderboard.records.run_files import RUN_FILES
from baselines.leaderboard.report import write_report
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.spec.loading import load_suite
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.verify import pack_submission, verify_directory, verify_submission
from baselines.leaderboard.verify import packing as submission
from baselines.leaderboard.verify.submissions import add_submission
from baselines.leaderboard.verify.verdict import Examined, RunVerdict, Verdict

RUN = "one/adaps/seed-0"


@pytest.fixture(scope="session")
def honest_file(honest_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("submission") / "tiny.zip"
    pack_submission(honest_runs, out)
    return out


@pytest.fixture
def file(honest_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(honest_file, tmp_path / "tiny.zip"))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where submissions are unpacked; it must be empty again after every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def run_cli(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["leaderboard", *[str(word) for word in words]])
    return int(stop.value.code or 0)


def test_a_packed_suite_verifies_elsewhere_and_has_the_same_bytes_each_time(
    honest_runs: Path, tmp_path: Path, temporary: Path
) -> None:
    elsewhere = shutil.copytree(honest_runs, tmp_path / "other" / "place")
    (elsewhere / "board.json").write_text("[]")
    digests = [
        pack_submission(source, tmp_path / f"{index}.zip") for index, source in enumerate([honest_runs, elsewhere])
    ]
    assert digests[0] == digests[1]
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    verdict = verify_submission(tmp_path / "0.zip")
    assert verdict.verified, [str(fault) for fault in verdict.all_faults]
    assert [run.replayed for run in verdict.runs] == [9] * 4
    assert list(temporary.iterdir()) == []


def test_any_flipped_bit_is_noticed(file: Path) -> None:
    honest = file.read_bytes()
    places = [*range(0, len(honest), len(honest) // 60), *range(len(honest) - 200, len(honest), 11)]
    for index, place in enumerate(places):
        data = bytearray(honest)
        data[place] ^= 1 << index % 8
        file.write_bytes(data)
        assert not verify_submission(file).verified, place


def test_a_compressed_file_is_the_same_submission(honest_runs: Path, file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "tiny.zip.xz"
    pack_submission(honest_runs, packed)
    honest = packed.read_bytes()
    assert lzma.decompress(honest) == file.read_bytes()
    assert len(honest) < file.stat().st_size / 2
    assert verify_submission(packed).verified
    places = [*range(0, len(honest), len(honest) // 40), *range(len(honest) - 40, len(honest))]
    for index, place in enumerate(places):
        data = bytearray(honest)
        data[place] ^= 1 << index % 8
        packed.write_bytes(data)
        assert not verify_submission(packed).verified, place


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "its xz stream is cut short"),
        (lambda data: data + b"x", "bytes after its xz stream"),
        (lambda data: data + data, "bytes after its xz stream"),
        (lambda data: data[:6] + bytes(len(data)), "not a readable xz stream"),
        (lambda data: lzma.compress(bytes(3 << 20)), "unpacks to more than 2 MiB"),
        (lambda data: lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]), "Memory usage"),
        (lambda data: lzma.compress(data), "not a readable zip archive"),
    ],
    ids=["cut", "byte-more", "twice", "no-stream", "bomb", "memory", "compressed-twice"],
)
def test_a_bad_compressed_file_is_named_and_leaves_nothing(
    file: Path, change: Callable[[bytes], bytes], message: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(change(lzma.compress(file.read_bytes())))
    monkeypatch.setattr(submission, "MAX_ARCHIVE_BYTES", 2 << 20)
    verdict = verify_submission(file)
    assert message in str(verdict.all_faults[0])
    assert list(temporary.iterdir()) == []


def info_of(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def member(name: str, data: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> Callable[[Path], None]:
    return lambda file: append_member(file, info_of(name, mode), data)


def rewrite(edit: Callable[[dict[str, bytes]], object]) -> Callable[[Path], None]:
    def tamper(file: Path) -> None:
        members = members_of(file)
        edit(members)
        write_submission(file, members)

    return tamper


def compressed(file: Path) -> None:
    members = members_of(file)
    bomb = f"{RUN}/metrics.jsonl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, bomb: bytes(50 << 20)}.items():
            archive.writestr(name, data)
    assert file.stat().st_size < 10 << 20


def overlapping(file: Path) -> None:
    """Many names in the directory for one stored member."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info_of("suite.json"), bytes(100_000))
        for seed in range(50):
            info = info_of(f"one/adaps/seed-{seed}/metrics.jsonl")
            info.CRC, info.header_offset, info.file_size, info.compress_size = 0, 0, 100_000, 100_000
            archive.filelist.append(info)


def other_manifest(edit: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def tamper(file: Path) -> None:
        members = submission._in_order(members_of(file))
        manifest = json.loads(submission._manifest(members))
        edit(manifest)
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in {submission.MANIFEST: pretty_json(manifest), **members}.items():
                archive.writestr(info_of(name), data)

    return tamper


def surround(before: bytes, after: bytes) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(before + file.read_bytes() + after) and None


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def comment(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"hello"


def encrypt(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)


def another_date(file: Path) -> None:
    data = file.read_bytes()
    assert data[10:14] == b"\x00\x00\x21\x00", "1980-01-01 00:00 of the first member"
    file.write_bytes(data[:12] + b"\x22" + data[13:])


def rewrite_reversed(file: Path) -> None:
    members = submission._in_order(members_of(file))
    manifest = submission._manifest(members)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**dict(reversed(members.items())), submission.MANIFEST: manifest}.items():
            archive.writestr(info_of(name), data)


def break_checksum(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[data.index(b'"suite"')] ^= 1
    file.write_bytes(data)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a path that climbs": (member("../evil"), r"^\.\./evil: a submission has no such member"),
    "a path that climbs inside": (member("one/../../evil/seed-0/config.json"), "no such member"),
    "an absolute path": (member("/tmp/evil"), "^/tmp/evil: a submission has no such member"),
    "a drive": (member("C:\\evil"), "no such member"),
    "a path with backslashes": (member("one\\adaps\\seed-0\\config.json"), "no such member"),
    "a hidden directory": (member(".git/hooks/seed-0/config.json"), "no such member"),
    "a name with a zero byte": (member("suite.json\x00.txt"), "no such member|given twice"),
    "a link": (member("two/adaps/seed-0/config.json", b"/etc/passwd", stat.S_IFLNK | 0o777), "not a plain file"),
    "a device": (member("two/adaps/seed-0/config.json", b"", stat.S_IFCHR | 0o666), "not a plain file"),
    "a directory": (member("one/adaps/seed-9/"), "no such member"),
    "a script": (member("one/adaps/seed-0/run.sh"), "no such member"),
    "HTML in a path": (member("<script>alert(1)</script>/x/seed-0/config.json"), "no such member"),
    "a terminal's commands in a path": (member("\x1b[2J/x/seed-0/config.json"), r"^\\x1b\[2J"),
    "a seed beyond all": (member(f"one/adaps/seed-{'9' * 40}/config.json"), "no such member"),
    "a member twice": (member(f"{RUN}/config.json"), f"{RUN}/config.json: given twice"),
    "two members that differ in case": (member("ONE/adaps/seed-0/config.json"), "given twice"),
    "a member behind the manifest": (
        member("one/adaps/seed-9/config.json", b"{}"),
        "not the file that MANIFEST.json lists",
    ),
    "a zip bomb": (compressed, "compressed or encrypted|more than the"),
    "overlapping members": (overlapping, "unpack to more than"),
    "an encrypted member": (encrypt, "compressed or encrypted"),
    "a member taken away": (rewrite(lambda m: m.pop(f"{RUN}/actions.npz")), f"{RUN}/actions.npz: missing"),
    "a run taken away": (
        rewrite(lambda m: [m.pop(name) for name in list(m) if name.startswith(RUN)]),
        f"{RUN}: missing; suite.json names it",
    ),
    "a run too many": (
        rewrite(lambda m: m.update({k.replace("seed-0", "seed-7"): v for k, v in m.items() if k.startswith(RUN)})),
        "one/adaps/seed-7/config.json: .*belongs to",
    ),
    "no suite": (rewrite(lambda m: m.pop("suite.json")), "suite.json: missing"),
    "no runs": (rewrite(lambda m: [m.pop(name) for name in list(m) if name != "suite.json"]), "4 runs are missing"),
    "another suite": (
        rewrite(lambda m: m.update({"suite.json": m["suite.json"].replace(b'"budget": 2000', b'"budget": 9')})),
        "suite.json: ",
    ),
    "a damaged member": (break_checksum, "cannot be unpacked"),
    "a manifest of the future": (other_manifest(lambda m: m.update(protocol="3")), "MANIFEST.json: protocol: '3'"),
    "a manifest of another kind": (other_manifest(lambda m: m.update(kind="x")), "MANIFEST.json: kind"),
    "a manifest without files": (other_manifest(lambda m: m.pop("files")), "MANIFEST.json: files"),
    "a manifest with another hash": (
        other_manifest(lambda m: m["files"].update({f"{RUN}/costs.json": "0" * 64})),
        f"{RUN}/costs.json: not the file",
    ),
    "another date": (another_date, "other bytes than its members explain"),
    "another order": (rewrite_reversed, "other bytes than its members explain"),
    "a page before it": (surround(b"<html>", b""), "other bytes than its members explain"),
    "bytes behind it": (surround(b"", b"more"), "other bytes|not a readable"),
    "a comment": (comment, "other bytes than its members explain"),
    "a cut archive": (truncate, "not a readable zip archive|no such member"),
    "no archive": (lambda file: file.write_bytes(b"\x80\x04cos\nsystem\n") and None, "not a readable zip archive"),
    "an empty file": (lambda file: file.write_bytes(b"") and None, "not a readable zip archive"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_archive_is_named_and_leaves_nothing(file: Path, kind: str, temporary: Path, tmp_path: Path) -> None:
    tamper, message = KINDS[kind]
    tamper(file)
    before = snapshot(tmp_path)
    verdict = verify_submission(file)
    texts = [str(fault) for fault in verdict.all_faults]
    assert any(re.search(message, text) for text in texts), texts
    assert list(temporary.iterdir()) == []
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_ARCHIVE_BYTES", 1000, "more than the 0 MiB"),
        ("MAX_MEMBERS", 10, "it has more than 30 members"),
    ],
)
def test_limits(file: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str) -> None:
    monkeypatch.setattr(submission, limit, value)
    assert message in str(verify_submission(file).all_faults[0])


def test_a_file_has_the_size_of_its_kind_at_most(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUN_FILES, "config.json", replace(RUN_FILES["config.json"], max_bytes=100))
    faults = [str(fault) for fault in verify_submission(file).all_faults]
    assert len(faults) == 4
    assert re.search(f"{RUN}/config.json: .* bytes are more than the 100 that it may have", faults[0])


def test_there_must_be_something_to_verify(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a file"):
        verify_submission(tmp_path / "nothing.zip")
    with pytest.raises(ConfigError, match="holds no runs"):
        verify_directory(tmp_path)


def test_what_is_not_complete_is_not_packed(runs: Path, tmp_path: Path) -> None:
    shutil.rmtree(runs / RUN)
    with pytest.raises(ConfigError, match=f"no run {RUN}"):
        pack_submission(runs, tmp_path / "x.zip")
    (runs / "suite.json").unlink()
    with pytest.raises(ConfigError, match=r"no suite\.json"):
        pack_submission(runs, tmp_path / "x.zip")
    assert list(tmp_path.glob("*x.zip*")) == []


def test_a_file_is_never_overwritten(honest_runs: Path, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(OutputDirectoryError, match="never overwritten"):
        pack_submission(honest_runs, file)
    assert file.read_bytes() == before


ENTRY = "one/tiny/seed-0"


@pytest.fixture(scope="session")
def entered_runs(honest_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The honest runs as a board takes them: settings of one's own go under a label of one's own."""
    out = shutil.copytree(honest_runs, tmp_path_factory.mktemp("entered") / "runs")
    relabel(out, "adaps", "tiny")
    return out


def relabel(out: Path, old: str, new: str) -> None:
    """Give a scheme of a suite another label, in all its runs."""
    shutil.move(out / "one" / old, out / "one" / new)
    for run in (out / "one" / new).iterdir():
        edit_config(run, lambda config: config["scheme"].update(label=new))
        edit_json(run, "sharing.json", lambda sharing: sharing.update(scheme=new))
    suite = read_suite_file(out)
    assert suite is not None
    schemes = [scheme.model_copy(update={"label": new} if scheme.label == old else {}) for scheme in suite.schemes]
    write_suite_file(suite.model_copy(update={"schemes": tuple(schemes)}), out)


def packed(runs: Path, file: Path) -> Path:
    pack_submission(runs, file)
    return file


@pytest.fixture(scope="session")
def entry(entered_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(entered_runs, tmp_path_factory.mktemp("entry") / "tiny.zip")


@pytest.fixture
def entering(entered_runs: Path, tmp_path: Path) -> Path:
    """A copy of the entered runs that a test may change."""
    return shutil.copytree(entered_runs, tmp_path / "entering")


def test_a_board_takes_what_verifies(entry: Path, entered_runs: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    addition = add_submission(entry, board)
    assert len(addition.added) == 4
    assert [path.relative_to(board) for path in find_runs(board)] == [
        path.relative_to(entered_runs) for path in find_runs(entered_runs)
    ]
    assert verify_directory(board).verified
    assert snapshot(board / ENTRY) == snapshot(entered_runs / ENTRY)
    site = snapshot(board / "site")
    again = add_submission(entry, board)
    assert (again.added, len(again.present)) == ([], 4)
    assert snapshot(board / "site") == site
    write_report(board)
    assert snapshot(board / "site") == site, "the report of an addition is the report of the board"
    assert not list(board.glob(".prepared*")) + list(board.glob(".adding*"))


def test_a_board_refuses_what_does_not_verify(file: Path, tmp_path: Path) -> None:
    rewrite(lambda members: members.pop(f"{RUN}/actions.npz"))(file)
    addition = add_submission(file, tmp_path / "board")
    assert [fault.file for fault in addition.verdict.all_faults] == [f"{RUN}/actions.npz"]
    assert not (tmp_path / "board").exists()


def test_runs_that_a_plugin_puts_beside_the_verified_ones_are_not_added(entry: Path, tmp_path: Path) -> None:
    """Its code runs while its own policy is examined."""

    def examined(record: FinishedRun, _: object) -> Examined:
        planted = record.directory.parents[1] / "planted" / record.directory.name
        shutil.copytree(record.directory, planted, dirs_exist_ok=True)
        return Examined(())

    addition = add_submission(entry, tmp_path / "board", deep=examined)
    assert addition.added == [run.run for run in addition.verdict.runs]
    assert {path.name for path in (tmp_path / "board/one").iterdir()} == {"fups_id", "tiny"}


def refused(file: Path, board: Path, message: str) -> None:
    """A submission that a board refuses changes nothing of it."""
    before = snapshot(board)
    with pytest.raises(ConfigMismatchError, match=message):
        add_submission(file, board)
    assert {**snapshot(board), ".lock": b""} == {**before, ".lock": b""}


def test_a_board_keeps_the_result_that_it_has(entry: Path, entering: Path, tmp_path: Path) -> None:
    edit_json(entering / ENTRY, "sharing.json", lambda sharing: sharing["summary"].update(remark="other"))
    board = tmp_path / "board"
    add_submission(entry, board)
    refused(packed(entering, tmp_path / "other.zip"), board, rf"{ENTRY} with another sharing\.json; nothing was added")


def cut_to_seed(runs: Path, seed: int) -> None:
    suite = read_suite_file(runs)
    assert suite is not None
    write_suite_file(suite.model_copy(update={"seeds": (seed,)}), runs)


def test_a_row_belongs_to_one_submission(entering: Path, tmp_path: Path) -> None:
    board, whole = tmp_path / "board", packed(entering, tmp_path / "whole.zip")
    cut_to_seed(entering, 0)
    add_submission(packed(entering, tmp_path / "first.zip"), board)
    cut_to_seed(entering, 1)
    message = "has runs of the row one/fups_id, .* take the folder one/fups_id off the board first"
    refused(packed(entering, tmp_path / "second.zip"), board, message)
    refused(whole, board, message)


def test_nobody_chooses_the_seeds_of_a_row(entering: Path, tmp_path: Path) -> None:
    """With some seeds of many, a random partition is that of the hidden types."""
    cut_to_seed(entering, 1)
    file = packed(entering, tmp_path / "second.zip")
    with pytest.raises(ConfigMismatchError, match=r"has the seeds \[1\], chosen by its author; nothing was added"):
        add_submission(file, tmp_path / "board")
    assert not find_runs(tmp_path / "board")


def test_a_label_stands_for_one_scheme_on_all_tasks(
    entry: Path, tmp_path: Path, make_suite: Callable[..., SuiteConfig]
) -> None:
    """Totals of the best scheme on each task, all under one label, would be those of no scheme."""
    board = tmp_path / "board"
    add_submission(entry, board)
    for place, (scheme, settings) in enumerate([("nops", {}), ("fups_id", {"scale": 2.0})]):
        runs = tmp_path / scheme
        entered = [{"name": scheme, "label": "tiny", "settings": settings}]
        data = make_suite(schemes=entered, seeds=[0]).model_dump(mode="json")
        suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][1:]})
        for config in suite.runs():
            assert execute_job(config, runs / config.run_id, lambda steps: None).status == "done"
        write_suite_file(suite, runs)
        message = (
            r"has the label tiny by another submission \(one/tiny/seed-\d\), and two/tiny/seed-0 would add a row to it"
        )
        refused(packed(runs, tmp_path / f"{place}.zip"), board, message)


def test_a_label_belongs_to_one_submission_on_all_tasks(entered_runs: Path, entry: Path, tmp_path: Path) -> None:
    """A stranger's bad row would be part of the author's total, and the author would be refused."""
    board, theirs = tmp_path / "board", tmp_path / "theirs"
    add_submission(entry, board)
    suite = read_suite_file(entered_runs)
    assert suite is not None
    data = suite.model_dump(mode="json")
    more = SuiteConfig.model_validate({**data, "tasks": [*data["tasks"], {**data["tasks"][0], "name": "two"}]})
    for config in more.runs():
        if config.task.name == "two":
            assert execute_job(config, theirs / config.run_id, lambda steps: None).status == "done"

    def handed_in(name: str, *tasks: str, schemes: tuple[str, ...] = ("fups_id", "tiny")) -> Path:
        out = tmp_path / name
        for task in tasks:
            for scheme in schemes:
                source = entered_runs if task == "one" else theirs
                shutil.copytree(source / task / scheme, out / task / scheme)
        chosen = {
            "tasks": tuple(task for task in more.tasks if task.name in tasks),
            "schemes": tuple(scheme for scheme in more.schemes if scheme.label in schemes),
            "scheme_settings": more.scheme_settings if "tiny" in schemes else {},
        }
        write_suite_file(more.model_copy(update=chosen), out)
        return packed(out, tmp_path / f"{name}.zip")

    stranger = handed_in("stranger", "two")
    message = (
        r"the label tiny by another submission \(one/tiny/seed-1\), .*two/tiny/seed-0 .*give the scheme another label"
    )
    refused(stranger, board, message)
    baseline = handed_in("baseline", "two", schemes=("fups_id",))
    refused(baseline, board, r"the board has no task two; nothing was added.*--new-tasks if these are yours")
    assert len(add_submission(baseline, board, new_tasks=True).added) == 2, "built-in schemes are anybody's"
    with_their_records = handed_in("with their records", "one", "two", schemes=("tiny",))
    refused(with_their_records, board, message)
    assert add_submission(entry, board).added == [], "the same again is no news"
    shutil.rmtree(board / "one" / "tiny")
    assert len(add_submission(with_their_records, board).added) == 4


def test_a_board_that_an_older_version_half_filled_takes_the_rest_once_its_rows_are_off(
    entry: Path, entering: Path, tmp_path: Path
) -> None:
    board = shutil.copytree(entering, tmp_path / "board")
    (board / "suite.json").unlink()
    shutil.rmtree(board / "one" / "tiny" / "seed-1")
    refused(entry, board, "take the folder one/tiny off the board first")
    shutil.rmtree(board / "one" / "tiny")
    addition = add_submission(entry, board)
    assert addition.added == ["one/tiny/seed-0", "one/tiny/seed-1"]
    assert sorted(addition.present) == ["one/fups_id/seed-0", "one/fups_id/seed-1"]
    assert verify_directory(board).verified


def test_failed_runs_are_not_called_sound() -> None:
    runs = [RunVerdict(f"one/fups/seed-{seed}", "failed" if seed > 3 else "done", 0, ()) for seed in range(6)]
    assert list(Verdict("x", runs=runs).lines())[-1] == "x: verified; 4 of 6 runs are sound, 2 recorded as failed"


def test_a_row_without_a_finished_run_takes_no_place(suite: SuiteConfig, tmp_path: Path) -> None:
    """Failures cost nobody anything: a board full of them would keep all others off."""
    failed = tmp_path / "failed"
    for config in suite.runs():
        fabricate_failure(failed, config)
    write_suite_file(suite, failed)
    refused(packed(failed, tmp_path / "failed.zip"), tmp_path / "board", "no run of the row .* has finished")


def test_rows_of_built_in_schemes_are_taken_whole(
    entering: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run that finished and many that failed, made in a minute, would keep everybody else off."""
    monkeypatch.setattr(stats, "RANKED_RUNS", 2)
    for scheme in ("tiny", "fups_id"):
        directory = entering / f"one/{scheme}/seed-1"
        config = read_run(directory).config
        shutil.rmtree(directory)
        fabricate_failure(entering, config)
        file = packed(entering, tmp_path / f"{scheme}.zip")
        if scheme == "tiny":
            whole, _ = add_submission(file, tmp_path / "other").report or (None, None)
            assert whole is not None
            assert snapshot(tmp_path / "other/site") == _rewritten(tmp_path / "other")
            assert {row.scheme: (row.rank, row.failed) for row in whole.rows} == {"tiny": (None, 1), "fups_id": (1, 0)}
    refused(file, tmp_path / "board", "one/fups_id/seed-1 has failed, and rows of built-in schemes are taken whole")


def _rewritten(board: Path) -> dict[str, bytes]:
    write_report(board)
    return snapshot(board / "site")


@pytest.fixture(scope="session")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission of one run on a built-in task."""
    task = {**load_suite("quick").tasks[0].model_dump(), "budget": 40, "eval_points": 2, "eval_episodes": 2}
    data: dict[str, Any] = {"name": "buy-now", "description": "http://example.org", "schemes": ["fups"], "seeds": [0]}
    data["learner"] = {"num_lanes": 2, "net_arch": [8]}
    runs = tmp_path_factory.mktemp("built-in") / "runs"
    suite = SuiteConfig.model_validate({**data, "tasks": [{**task, "absolute_episodes": 2}]})
    for config in suite.runs():
        assert execute_job(config, runs / config.run_id, lambda steps: None).status == "done"
    write_suite_file(suite, runs)
    return packed(runs, runs.with_suffix(".zip"))


def test_what_is_added_first_gives_a_board_its_suite(entry: Path, built_in: Path, tmp_path: Path) -> None:
    """A later one, of built-in tasks, would choose the tasks of the totals, and take those of all others away."""
    board = tmp_path / "board"
    first = add_submission(entry, board, name="mine").verdict.notes
    assert any("the board takes the tasks of its totals from this submission" in note for note in first)
    suite = (board / SUITE_FILE).read_bytes()
    assert len(add_submission(built_in, board, new_tasks=True).added) == 1
    assert (board / SUITE_FILE).read_bytes() == suite
    (board / SUITE_FILE).unlink()
    shutil.rmtree(board / "BPS-1")
    add_submission(built_in, board, new_tasks=True)
    assert read_suite_file(board) is None, "a board that has runs and no suite stays without one"


def test_the_owner_of_a_board_names_it(built_in: Path, tmp_path: Path) -> None:
    """Not the author of its first submission."""
    file = built_in
    for board, name, title in (
        ("a", None, "board"),
        ("b", "My-own", "My-own"),
        ("a", "Later", "Later"),
        ("a", None, "Later"),
    ):
        add_submission(file, tmp_path / board, name=name)
        stored = read_suite_file(tmp_path / board)
        assert stored is not None
        assert (stored.name, stored.description) == (title, "")
        assert f"AdaPS leaderboard: {title}" in (tmp_path / board / "site/index.html").read_text()
    with pytest.raises(ConfigError, match="is no name for a board"):
        add_submission(file, tmp_path / "c", name="a b")


def test_the_name_of_a_built_in_scheme_is_its_own(file: Path, entering: Path, tmp_path: Path) -> None:
    refused(file, tmp_path / "board", "settings of its own under the name of a built-in scheme")
    for name in ("nops", "Nops"):
        runs = shutil.copytree(entering, tmp_path / name)
        relabel(runs, "tiny", name)
        faults = [str(fault) for fault in verify_submission(packed(runs, tmp_path / f"{name}.zip")).all_faults]
        assert any(f"'{name}' is the name of a built-in scheme; this one is 'adaps'" in fault for fault in faults)


def test_names_that_differ_in_case_are_refused(entry: Path, entering: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    add_submission(entry, board)
    relabel(entering, "tiny", "Tiny")
    refused(packed(entering, tmp_path / "other.zip"), board, "differ in case alone")


def test_an_addition_whose_report_fails_changes_nothing(
    entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a report that nobody foresaw")

    board = tmp_path / "board"
    monkeypatch.setattr("baselines.leaderboard.report.write.render_run_page", fail)
    with pytest.raises(ZeroDivisionError):
        add_submission(entry, board)
    assert snapshot(board).keys() <= {".lock"}


@pytest.mark.parametrize("moved", [0, 2, 4])
def test_an_addition_that_was_killed_is_finished_by_the_next(
    entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    board, whole = tmp_path / "board", tmp_path / "whole"
    add_submission(entry, whole)
    rename = os.rename
    left = iter(range(moved + 1))

    def die(source: Path, target: Path) -> None:
        if ".adding" in Path(source).parts and next(left) == moved:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die)
        if moved == 4:
            patch.setattr("baselines.leaderboard.verify.submissions.publish_site", die_at_once)
        with pytest.raises(KeyboardInterrupt):
            add_submission(entry, board)
    addition = add_submission(entry, board)
    assert (addition.added, len(addition.present)) == ([], 4)
    assert {**snapshot(board), ".lock": b""} == {**snapshot(whole), ".lock": b""}


def die_at_once(*_: object) -> None:
    raise KeyboardInterrupt


def test_exit_codes_and_output(
    file: Path, entry: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("verify", file) == 0
    assert "4 of 4 runs are sound" in capsys.readouterr().out
    assert run_cli("verify", runs, "--json") == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True
    assert run_cli("submit", runs, "--out", tmp_path / "new.zip") == 0
    assert (tmp_path / "new.zip").read_bytes() == file.read_bytes()
    assert run_cli("board", "add", entry, "--board", tmp_path / "board") == 0
    assert (tmp_path / "board" / "site" / "index.html").exists()

    (runs / RUN / "costs.json").write_text("{}")
    capsys.readouterr()
    assert run_cli("verify", runs) == 1
    assert f"fault: {RUN}/costs.json: its bytes are not" in capsys.readouterr().out
    assert run_cli("verify", runs, "--json") == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["file"] == f"{RUN}/costs.json"
    assert run_cli("submit", runs, "--out", tmp_path / "bad.zip") == 1
    assert not (tmp_path / "bad.zip").exists()
    truncate(file)
    assert run_cli("board", "add", file, "--board", tmp_path / "board") == 1

    capsys.readouterr()
    assert run_cli("verify", tmp_path / "nothing") == 2
    assert run_cli("verify", tmp_path / "temporary") == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("error: ") == 2


def test_a_folder_of_submitted_files_is_each_of_them(
    file: Path, honest_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(file, folder / "one.zip")
    assert run_cli("submit", honest_runs, "--out", folder / "two.zip.xz") == 0
    capsys.readouterr()
    assert run_cli("verify", folder) == 0
    assert capsys.readouterr().out.count("4 of 4 runs are sound") == 2
    truncate(folder / "one.zip")
    assert run_cli("verify", folder, "--json") == 1
    assert [each["verified"] for each in json.loads(capsys.readouterr().out)] == [False, True]

    # Beside other files they are nothing: runs in their folder must not pass unseen.
    (folder / "notes.txt").write_text("")
    assert run_cli("verify", folder) == 2


def test_verification_needs_no_torch(file: Path, runs: Path, clean_environment: dict[str, str]) -> None:
    program = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "stable_baselines3"):
            raise AssertionError(f"{name} was imported")
sys.meta_path.insert(0, NoTorch())
from baselines.cli import main as cli
cli.main(["leaderboard", "verify", sys.argv[1]])
"""
    for target in (file, runs):
        done = subprocess.run(
            [sys.executable, "-c", program, str(target)],
            env=clean_environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "verified; 4 of 4 runs are sound" in done.stdout


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_one_error_and_leaves_nothing(honest_runs: Path, entry: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no mount is allowed here")
    try:
        with pytest.raises(OutputDirectoryError, match="No space left on device"):
            pack_submission(honest_runs, small / "tiny.zip")
        assert list(small.iterdir()) == []
        with pytest.raises(OutputDirectoryError, match="No space left on device"):
            add_submission(entry, small / "board")
        assert snapshot(small).keys() <= {"board/.lock"}
    finally:
        subprocess.run(["umount", str(small)], check=True)
