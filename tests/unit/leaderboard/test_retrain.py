"""Training runs again: what it finds that verification cannot, and what it says where bytes cannot be compared."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run_cli
from fabricate import suite_data
from replant import noisy, replant
from rich.console import Console
from tamper import append_member, arrays_of, edit_arrays, edit_json, edit_returns, mend, npz_info

from baselines.leaderboard.execution import probe
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import Job, write_suite_file
from baselines.leaderboard.execution.suite_runner import run_jobs
from baselines.leaderboard.records.metadata_files import Costs
from baselines.leaderboard.records.provenance import provenance_of
from baselines.leaderboard.records.reader import (
    REPRODUCIBLE_FILES,
    SUMS,
    Failure,
    listed_digests,
    read_run,
    read_weights,
)
from baselines.leaderboard.records.writer import RunWriter
from baselines.leaderboard.report import collect_board, markdown_table
from baselines.leaderboard.spec.config import SchemeConfig, SuiteConfig
from baselines.leaderboard.verify import pack_submission, retrain, run_and_set, verify_directory
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.retrain import _compared

ONE, OTHER = "one/fups_id/seed-0", "one/fups_id/seed-1"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a network of a usual width."""
    out = tmp_path_factory.mktemp("trained") / "runs"
    data = suite_data(schemes=["fups_id"], learner={"num_lanes": 4, "net_arch": [64, 64], "settings": {"n_steps": 5}})
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as workers have
    for config in suite.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    torch.set_num_threads(threads)
    write_suite_file(suite, out)
    return out


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """Of two seeds, the second is a copy of the first, with so much noise that no check of weights or play knows it."""
    for seed in range(20):
        runs = shutil.copytree(trained, tmp_path / f"copied-{seed}")
        with suppress(AssertionError):  # with this noise it plays worse than at the first point
            replant(runs / OTHER, noisy(read_weights(read_run(runs / ONE)), seed, 0.5))
            return runs
    raise AssertionError("no noise leaves a policy")


def found(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    code = run_cli("leaderboard", "retrain", *words, "--jobs", "1", "--json")
    return code, json.loads(capsys.readouterr().out)


def test_an_honest_run_is_the_same(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = found(capsys, trained, "--runs", "1", "--seed", "7")
    assert code == 0
    assert (told["seed"], told["drawn_from"]) == (7, 2)
    (run,) = told["runs"]
    assert (run["verdict"], run["same"]) == ("same", list(REPRODUCIBLE_FILES))


def test_a_disguised_copy_passes_deep_and_fails_here(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a submitted file of light records, too: these keep the hashes of what they leave out."""
    assert [str(fault) for fault in verify_directory(copied, deep=deep_checks).all_faults] == []
    pack_submission(copied, tmp_path / "light.zip", light=True)
    code, told = found(capsys, tmp_path / "light.zip", "--runs", "5")
    assert code == 1
    one, other = told["runs"]
    assert (one["run"], one["verdict"], one["different"]) == (ONE, "same", [])
    assert (other["run"], other["verdict"]) == (OTHER, "fault")
    assert {"policy.safetensors", "policy_best.safetensors", "evaluation.npz"} <= set(other["different"])
    assert "config.json" in other["same"]


def test_deep_verification_trains_drawn_runs_of_each_row_again(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = ("leaderboard", "verify", copied, "--deep")
    assert run_cli(*deep, "--retrain", "0") == 0
    assert "trained again" not in capsys.readouterr().out
    assert run_cli(*deep, "--retrain", "2") == 1
    told = capsys.readouterr().out
    assert f"fault: {OTHER}/policy.safetensors: not the bytes that its configuration gives here" in told
    assert f"ok     {ONE}: " in told.partition("trained again: the same")[0]
    assert run_cli("leaderboard", "verify", copied / ONE, "--deep", "--json") == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["retrained"] is True


def test_a_board_says_how_many_runs_were_trained_again(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack_submission(trained, tmp_path / "all.zip")
    board = tmp_path / "board"
    add = ("leaderboard", "board", "add", tmp_path / "all.zip", "--deep")
    assert run_cli(*add, "--board", board) == 0
    (row,) = collect_board(board).rows
    assert row.retrained == 2
    assert "| retrained" in markdown_table(collect_board(board))
    assert run_cli(*add, "--board", tmp_path / "other", "--retrain", "1") == 0
    stored = json.loads((tmp_path / "other/held_out.json").read_bytes())["runs"]
    assert sorted(entry["retrained"] for entry in stored.values()) == [False, True]
    means = {run: entry["mean"] for run, entry in stored.items()}
    assert run_cli(*add, "--board", tmp_path / "other") == 0
    stored = json.loads((tmp_path / "other/held_out.json").read_bytes())["runs"]
    assert [entry["retrained"] for entry in stored.values()] == [True, True]
    assert {run: entry["mean"] for run, entry in stored.items()} == means, "no second draw"


def test_one_run_of_each_row_is_drawn(trained: Path) -> None:
    own: list[Any] = [read_run(trained / run) for run in (ONE, OTHER)]
    fups = [replace(each, config=each.config.model_copy(update={"scheme": SchemeConfig(name="fups")})) for each in own]
    for count, expected in ((1, 2), (5, 4), (None, 4)):
        assert len(retrain.Trainer(count, Console(), 600.0).draw([*own, *fups])) == expected
    one = retrain.Trainer(1, Console(), 30.0)
    assert one.draw([]) == []
    assert {one.draw(own)[0].config.run_id for _ in range(40)} == {ONE, OTHER}, "the draw is another each time"


def test_training_again_takes_no_longer_than_allowed(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Budgets are their author's choice: no file may take days, and an honest one is told what to ask for."""
    assert run_cli("leaderboard", "verify", trained, "--deep", "--retrain", "2", "--retrain-seconds", "59") == 1
    told = "fault: training 2 drawn runs again takes 60 s by their records, and 59 s are allowed: --retrain-seconds"
    assert told in capsys.readouterr().out


def test_what_acts_alike_is_no_copy_if_both_come_out_of_training(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all agents want the same and exploration is rewarded, honest seeds came as near as .03."""
    monkeypatch.setattr(run_and_set, "SAME_ANSWERS", 100.0)
    assert run_cli("leaderboard", "verify", trained, "--deep", "--retrain", "0") == 1
    assert f"fault: {OTHER}/policy.safetensors: the policy of {ONE}" in capsys.readouterr().out
    assert run_cli("leaderboard", "verify", trained, "--deep") == 0
    assert f"note: {OTHER} acts as {ONE} does; both come out of training" in capsys.readouterr().out
    assert run_cli("leaderboard", "verify", trained, "--deep", "--retrain-seconds", "30") == 1, "one alone is trained"


def test_every_two_runs_that_act_alike_are_trained_again(trained: Path) -> None:
    """One that is alike to two others must not be excused by the first."""
    records: list[Any] = [read_run(trained / run) for run in (ONE, OTHER, OTHER)]
    records[2] = replace(records[2], config=records[2].config.model_copy(update={"seed": 2}))
    answers = {
        record.config.run_id: np.array([[np.cos(angle), np.sin(angle)]], np.float32)
        for record, angle in zip(records, np.deg2rad([0.0, 4.0, 2.0]), strict=True)
    }
    pairs = [tuple(run.config.seed for run in pair) for pair, _ in run_and_set.copied_answers(records, answers)]
    assert pairs == [(2, 0), (2, 1)]


def test_nothing_is_trained_to_tell_what_training_will_cost(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe, as before a suite, would have no limits; a record that tells no time took 15 GiB of memory so."""
    monkeypatch.setattr(probe.multiprocessing, "get_context", lambda *_: pytest.fail("a probe begins"))
    record, console = read_run(trained / ONE), Console(record=True)
    task = record.config.task.model_copy(update={"budget": 10 * probe.FEWEST_STEPS})
    untold = replace(record, config=record.config.model_copy(update={"task": task}), costs=Costs())
    retrain._tell_cost([untold], console, 1, "given up")
    assert "no time is known for 1 of them" in console.export_text()


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has the limits")
@pytest.mark.parametrize(
    ("limit", "least"),
    [("MAX_MEMORY", 1 << 20), ("SECONDS_MORE", 0.01)],
)
def test_a_run_beyond_its_limits_is_a_fault(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: str,
    least: float,
) -> None:
    monkeypatch.setattr(retrain, limit, least)
    monkeypatch.setattr(retrain, "TIMES_AS_LONG", 0)
    monkeypatch.setattr(retrain, "BUSY", 100_000)
    assert run_cli("leaderboard", "verify", trained / ONE, "--deep") == 1
    assert f"fault: {ONE}: trained again, it fails: " in capsys.readouterr().out


def test_a_machine_that_is_too_busy_accuses_nobody(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(retrain, "BUSY", 0.01)
    assert run_cli("leaderboard", "verify", trained / ONE, "--deep") == 0
    assert f"note: {ONE}: trained again, it fails: RunTimedOut" in capsys.readouterr().out


def test_no_more_train_at_once_than_memory_has_room_for(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the system ends what is largest, and an honest run cannot be trained again."""
    at_once, honest = [], retrain._trained

    def counted(records: Any, *rest: Any) -> list[Any]:
        at_once.append(len(records))
        return honest(records, *rest)

    monkeypatch.setattr(retrain, "_trained", counted)
    monkeypatch.setattr(retrain, "_memory", lambda: retrain.MAX_MEMORY + 1)
    assert run_cli("leaderboard", "verify", trained, "--deep", "--retrain", "2") == 0
    assert at_once == [1, 1]


def test_deep_verification_tells_scores_where_bytes_cannot_be_compared(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in (ONE, OTHER):
        edit_json(copied / run, "provenance.json", lambda value: value.update(processor="an abacus"))
    shutil.rmtree(copied / ONE)
    assert run_cli("leaderboard", "verify", copied, "--deep") == 0
    assert re.search(rf"note: {OTHER}: -?[\d.]+ recorded, -?[\d.]+ trained again; paired", capsys.readouterr().out)


def test_arrays_that_another_zlib_packed_are_the_same(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither packages nor machine tell which one it was."""
    run = shutil.copytree(trained / ONE, tmp_path / "runs" / ONE)
    file = run / "actions.npz"
    packed, arrays = file.read_bytes(), arrays_of(run, "actions.npz")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            np.save(member := BytesIO(), array)
            archive.writestr(npz_info(name), member.getvalue(), compresslevel=1)
    mend(run)
    assert file.read_bytes() != packed
    assert found(capsys, tmp_path / "runs")[0] == 0
    edit_arrays(run, "actions.npz", lambda arrays: arrays["final"].__setitem__((0, 0, 0), 4))
    assert (
        "actions.npz"
        in retrain._compared(
            read_run(run),
            listed_digests(run),
            read_run(trained / ONE),  # type: ignore[arg-type]
        ).different
    )


def test_last_digits_of_diagnostics_are_no_fault(trained: Path, tmp_path: Path) -> None:
    """Another C library gives them, on the same processor and with the same packages."""
    run = shutil.copytree(trained / ONE, tmp_path / ONE)
    edit_json(run, "sharing.json", lambda value: value["diagnostics"].update(snd=value["diagnostics"]["snd"] + 1e-13))
    told = _compared(read_run(run), listed_digests(run), read_run(trained / ONE))  # type: ignore[arg-type]
    assert (told.verdict, told.different) == ("elsewhere", ("sharing.json",))


def test_what_names_another_machine_is_never_the_same(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_json(copied / OTHER, "provenance.json", lambda value: value.update(processor="\x1b[2Kan abacus", cores=99))
    before, out = bytes_of(copied), tmp_path / "new" / "again"
    assert run_cli("leaderboard", "retrain", copied, "--run", OTHER, "--out", out) == 3
    told = capsys.readouterr().out
    assert "environment steps" in told.partition("done ")[0], "the cost is told before anything is trained"
    assert f"elsewhere {OTHER}: " in told
    assert r"processor: '\x1b[2Kan abacus' there, " in told.replace("\\\\", "\\")
    assert "cores" not in told
    assert "paired difference" in told
    assert bytes_of(copied) == before
    assert read_run(out / OTHER).config == read_run(copied / OTHER).config


def test_a_run_that_takes_too_long_is_given_up(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("leaderboard", "retrain", trained, "--run", ONE, "--timeout", "1") == 3
    assert "RunTimedOut: the run had not ended after 1 s" in capsys.readouterr().out


def test_a_run_that_fails_here_is_a_fault(trained: Path, tmp_path: Path) -> None:
    old, new = read_run(trained / ONE), tmp_path / ONE
    # A scheme from outside can say of its own process what it likes.
    lie = provenance_of(old.config).model_copy(update={"processor": "another one"})
    RunWriter(new, old.config).fail(Failure("ValueError", "no"), Costs(), lie)
    told = _compared(old, listed_digests(old.directory), read_run(new))
    assert (told.verdict, told.scores) == ("fault", None)
    assert "trained again, it fails: ValueError: no" in "\n".join(told.lines())


@pytest.mark.parametrize(("kind", "verdict"), [("UnknownNameError", "elsewhere"), ("ValueError", "fault")])
def test_a_package_from_outside_has_no_version_in_the_record(
    trained: Path, tmp_path: Path, kind: str, verdict: str
) -> None:
    old, new = read_run(trained / ONE), tmp_path / ONE
    RunWriter(new, old.config).fail(Failure(kind, "no scheme 'theirs'"), Costs(), provenance_of(old.config))
    theirs = old.config.model_copy(update={"scheme": SchemeConfig(name="theirs")})
    told = _compared(replace(old, config=theirs), listed_digests(old.directory), read_run(new))
    assert told.verdict == verdict
    assert "theirs comes from another package, whose version no record names" in "\n".join(told.lines())


def test_code_of_a_plugin_has_no_part_in_what_is_said_of_others(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could write the new hashes of another run over the recorded ones."""

    def train(todo: list[Job], start: Any, out: Path, *others: Any) -> None:
        run_jobs(todo, start, out, *others)
        if any(job.config.seed == 0 for job in todo):
            shutil.copy(out / OTHER / SUMS, copied / OTHER / SUMS)

    monkeypatch.setattr(retrain, "run_jobs", train)
    monkeypatch.setattr(retrain, "needs_plugin", lambda config: config.seed == 0)
    _, told = found(capsys, copied, "--runs", "2")
    assert [(run["run"], run["verdict"]) for run in told["runs"]] == [(ONE, "same"), (OTHER, "fault")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--run", "one/fups_id/seed-9"), "has no finished run 'one/fups_id/seed-9'"),
        (("--out", "."), "never overwritten"),
    ],
)
def test_wrong_use(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(trained)
    before = bytes_of(trained)
    assert run_cli("leaderboard", "retrain", trained, *words) == 2
    assert message in capsys.readouterr().err
    assert bytes_of(trained) == before


def test_what_does_not_verify_is_not_trained(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "run_jobs", pytest.fail)
    edit_returns(copied / ONE, lambda arrays: arrays["greedy"].__setitem__(-1, 0.0))
    assert run_cli("leaderboard", "retrain", copied, "--run", ONE) == 1
    assert f"fault: {ONE}/" in capsys.readouterr().out


def test_a_run_under_the_name_of_another_is_not_trained(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied / OTHER)
    (copied / OTHER).symlink_to(copied / ONE, target_is_directory=True)
    assert run_cli("leaderboard", "retrain", copied) == 2
    assert f"{OTHER} holds the run {ONE}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../escaped", "one/fups_id/seed-0/sneaked.pth", "/tmp/escaped"])
def test_only_submissions_are_unpacked(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pack_submission(trained, tmp_path / "in" / "runs.zip")
    append_member(tmp_path / "in" / "runs.zip", zipfile.ZipInfo(name), b"")
    assert run_cli("leaderboard", "retrain", tmp_path / "in" / "runs.zip") == 1
    assert f"fault: {name}: a submission has no such member" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}
