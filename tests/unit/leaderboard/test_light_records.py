"""Light records: without weights and absolute actions, replayed all the same, never silent about what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_cli
from fabricate import fabricate_failure, snapshot
from tamper import arrays_of, npz, write_arrays

from baselines.leaderboard.errors import DamagedRecordError, OutputDirectoryError
from baselines.leaderboard.execution.plan import read_suite_file, write_suite_file
from baselines.leaderboard.files import sha256_hex
from baselines.leaderboard.records.light import light_files, write_light_runs
from baselines.leaderboard.records.reader import (
    SUMS,
    FinishedRun,
    encode_digests,
    encode_sums,
    find_runs,
    listed_digests,
    read_actions,
    read_final_actions,
    read_run,
    read_weights,
)
from baselines.leaderboard.records.run_files import LEFT_OUT, LIGHT_FILES, LIGHT_SUMS, RUN_FILES
from baselines.leaderboard.report import collect_board, markdown_table, write_report
from baselines.leaderboard.report.data.tables import markdown_board
from baselines.leaderboard.spec.config import SchemeConfig, SuiteConfig
from baselines.leaderboard.verify import pack_submission, verify_directory, verify_submission
from baselines.leaderboard.verify.checks import check_sharing
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.submissions import add_submission
from baselines.leaderboard.verify.verdict import Verdict

RUN = "one/adaps/seed-0"
OTHER = "one/adaps/seed-1"


@pytest.fixture(scope="session")
def honest_light(honest_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("light") / "runs"
    assert run_cli("leaderboard", "lighten", honest_runs, "--out", out) == 0
    return out


@pytest.fixture
def light(honest_light: Path, tmp_path: Path) -> Path:
    """A copy of the honest runs, light."""
    return shutil.copytree(honest_light, tmp_path / "light")


def faults(verdict: Verdict) -> list[str]:
    return [str(fault) for fault in verdict.all_faults]


def light_notes(verdict: Verdict) -> list[str]:
    return [note for note in verdict.notes if "are light" in note]


def mend_light(run: Path) -> None:
    """Give a changed light record the hashes that a forger can give it; those of left-out files stay."""
    (run / LIGHT_SUMS).write_bytes(encode_sums({name: (run / name).read_bytes() for name in LIGHT_FILES}))
    listed = listed_digests(run)
    present = {name: sha256_hex((run / name).read_bytes()) for name in listed if (run / name).exists()}
    (run / SUMS).write_bytes(encode_digests({**listed, **present}))


def test_a_light_record_has_everything_but_weights_and_absolute_actions(honest_runs: Path, light: Path) -> None:
    assert {"actions.npz", "policy.safetensors", "policy_best.safetensors"} == LEFT_OUT
    for run in find_runs(light):
        full = honest_runs / run.relative_to(light)
        names = {path.name for path in run.iterdir()}
        assert names == {*RUN_FILES, *LIGHT_FILES, SUMS, LIGHT_SUMS} - LEFT_OUT
        for name in names - {*LIGHT_FILES, LIGHT_SUMS}:
            assert (run / name).read_bytes() == (full / name).read_bytes(), "hashes of left-out files stay"
        record, whole = read_run(run), read_run(full)
        assert record.light
        assert not whole.light
        assert record.status == whole.status == "done"
        np.testing.assert_array_equal(read_final_actions(record).final, read_actions(whole).final)
        for read in (read_actions, read_weights):
            with pytest.raises(DamagedRecordError, match="left out"):
                read(record)


def test_light_records_verify_and_say_what_was_not_checked(light: Path) -> None:
    verdict = verify_directory(light, complete=True)
    assert verdict.verified, faults(verdict)
    assert [(run.replayed, run.light) for run in verdict.runs] == [(4, True)] * 4
    (note,) = light_notes(verdict)
    assert note.startswith("4 of 4 runs are light")
    for word in ("weights", "absolute", "--deep"):
        assert word in note
    deep = verify_directory(light, deep=deep_checks)
    assert deep.verified
    assert light_notes(deep) == [note]
    assert all(", light, " in line for line in verdict.lines() if line.startswith("ok"))
    assert verdict.to_json()["runs"][0]["light"] is True


def test_full_records_have_no_such_note(honest_runs: Path) -> None:
    assert light_notes(verify_directory(honest_runs)) == []


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_what_is_missing_without_being_declared_is_a_fault(runs: Path, name: str) -> None:
    (runs / RUN / name).unlink()
    assert f"{RUN}/{name}: missing" in faults(verify_directory(runs))


@pytest.mark.parametrize("name", sorted({*RUN_FILES, *LIGHT_FILES, SUMS, LIGHT_SUMS} - LEFT_OUT))
def test_what_a_light_record_keeps_must_be_there(light: Path, name: str) -> None:
    (light / RUN / name).unlink()
    verdict = verify_directory(light)
    assert not verdict.verified
    assert any(text.startswith(RUN) for text in faults(verdict))


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_a_light_record_has_none_of_the_files_that_it_leaves_out(light: Path, honest_runs: Path, name: str) -> None:
    """Else a file of wrong weights would lie there unread."""
    shutil.copy(honest_runs / RUN / name, light / RUN / name)
    assert faults(verify_directory(light)) == [f"{RUN}/{name}: a light run has no such file"]


def test_a_declaration_next_to_a_full_record_is_a_fault(runs: Path, light: Path) -> None:
    shutil.copy(light / RUN / LIGHT_SUMS, runs / RUN / LIGHT_SUMS)
    assert not verify_directory(runs).verified


def drop_line(run: Path) -> None:
    text = (run / SUMS).read_text()
    (run / SUMS).write_text("".join(line for line in text.splitlines(True) if "policy.saf" not in line))


def empty_declaration(run: Path) -> None:
    (run / LIGHT_SUMS).write_text("")


def link(run: Path) -> None:
    (run / LIGHT_SUMS).unlink()
    (run / LIGHT_SUMS).symlink_to(run / SUMS)


def flip_action(run: Path) -> None:
    arrays = arrays_of(run, "actions_final.npz")
    arrays["final"][0, 0, 0] = (arrays["final"][0, 0, 0] + 1) % 5
    (run / "actions_final.npz").write_bytes(npz(arrays))


def absolute_too(run: Path) -> None:
    arrays = arrays_of(run, "actions_final.npz")
    (run / "actions_final.npz").write_bytes(npz({**arrays, "absolute": arrays["final"]}))
    mend_light(run)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop_line, "SHA256SUMS: does not list policy.safetensors, which a light record leaves out"),
        (empty_declaration, "LIGHT256SUMS: lists"),
        (link, "LIGHT256SUMS: not a plain file"),
        (flip_action, "actions_final.npz: its bytes are not those that LIGHT256SUMS lists"),
        (absolute_too, "actions_final.npz: "),
    ],
)
def test_damage_is_named(light: Path, edit: Callable[[Path], None], message: str) -> None:
    edit(light / RUN)
    (fault,) = faults(verify_directory(light))
    assert fault.startswith(f"{RUN}/{message}")


def test_a_forged_return_or_action_does_not_replay(light: Path) -> None:
    flip_action(light / RUN)
    mend_light(light / RUN)
    assert any("replaying actions_final.npz gives" in text for text in faults(verify_directory(light)))
    arrays = arrays_of(light / OTHER, "evaluation.npz")
    arrays["greedy"][-1, 0] += 50.0
    (light / OTHER / "evaluation.npz").write_bytes(npz(arrays))
    mend_light(light / OTHER)
    assert any(
        text.startswith(f"{OTHER}/evaluation.npz") and "replaying" in text for text in faults(verify_directory(light))
    )


@pytest.mark.parametrize(
    "scheme", [{"name": "oracle"}, {"name": "seps", "label": "mine", "settings": {"labels": "true"}}]
)
def test_a_light_record_says_that_it_was_told_the_types(honest_runs: Path, scheme: dict[str, Any]) -> None:
    record = read_run(honest_runs / RUN)
    assert isinstance(record, FinishedRun)
    types, sharing = np.array(record.sharing.agent_types), record.sharing
    told = record.config.model_copy(update={"scheme": SchemeConfig.model_validate(scheme)})
    for config, faulty in ((record.config, False), (told, True)):
        found = [str(fault) for fault in check_sharing(config, sharing, record.evaluation, types)]
        assert any("the scheme was handed the hidden types" in fault for fault in found) is faulty, found


def test_a_fault_hidden_by_lightening_shows_in_the_note(runs: Path, tmp_path: Path) -> None:
    """Wrong absolute actions cannot be seen in a light record; that it is light can."""
    arrays = arrays_of(runs / RUN, "actions.npz")
    arrays["absolute"][0] = (arrays["absolute"][0] + 1) % 5
    write_arrays(runs / RUN, "actions.npz", arrays)
    assert not verify_directory(runs).verified
    assert run_cli("leaderboard", "lighten", runs, "--out", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()
    write_light_runs([runs / RUN], runs, tmp_path / "out")
    verdict = verify_directory(tmp_path / "out")
    assert verdict.verified
    assert light_notes(verdict)[0].startswith("1 of 1 runs are light")


def test_one_light_run_among_full_ones_is_named(runs: Path, light: Path) -> None:
    shutil.rmtree(runs / RUN)
    shutil.copytree(light / RUN, runs / RUN)
    verdict = verify_directory(runs, complete=True)
    assert verdict.verified, faults(verdict)
    assert light_notes(verdict)[0].startswith("1 of 4 runs are light")
    assert f"ok     {RUN}: done, light, 4 episodes replayed" in list(verdict.lines())


def test_two_light_runs_of_one_hash_of_weights_are_one(light: Path) -> None:
    digests = {**listed_digests(light / OTHER), "policy.safetensors": listed_digests(light / RUN)["policy.safetensors"]}
    (light / OTHER / SUMS).write_bytes(encode_digests(digests))
    assert any("the weights of" in text for text in faults(verify_directory(light)))


def test_a_failed_run_stays_as_it_is(tmp_path: Path, suite: SuiteConfig) -> None:
    run = fabricate_failure(tmp_path, suite.runs()[0])
    assert light_files(run) == snapshot(run)
    shutil.copy(run / SUMS, run / LIGHT_SUMS)
    assert not verify_directory(tmp_path).verified


def test_lightening_again_adds_what_is_new_and_refuses_what_is_other(
    honest_runs: Path, light: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(light)
    shutil.rmtree(light / RUN)
    assert run_cli("leaderboard", "lighten", honest_runs, "--out", light) == 0
    assert "1 light run written, 3 were there already" in capsys.readouterr().out
    assert snapshot(light) == before, "the same run gives the same bytes"
    assert light_files(light / RUN) == snapshot(light / RUN), "a light run is light already"
    shutil.rmtree(light / RUN)
    shutil.copytree(light / OTHER, light / RUN)
    with pytest.raises(OutputDirectoryError, match="never overwritten"):
        write_light_runs(find_runs(honest_runs), honest_runs, light)


def test_a_light_submission_goes_to_a_board(
    runs: Path, light: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, full = tmp_path / "light.zip", tmp_path / "full.zip"
    for directory in (runs, light):  # a board takes adaps with settings of its own under a label alone
        shutil.rmtree(directory / "one" / "adaps")
        suite = read_suite_file(directory)
        assert suite is not None
        chosen = {**suite.model_dump(mode="json"), "schemes": ["fups_id"], "scheme_settings": {}}
        write_suite_file(SuiteConfig.model_validate(chosen), directory)
    assert run_cli("leaderboard", "submit", runs, "--light", "--out", file) == 0
    pack_submission(light, tmp_path / "again.zip")
    assert file.read_bytes() == (tmp_path / "again.zip").read_bytes(), "light runs packed as they are"
    pack_submission(runs, full)
    assert file.stat().st_size < full.stat().st_size
    verdict = verify_submission(file)
    assert verdict.verified, faults(verdict)
    assert light_notes(verdict)
    refused = add_submission(file, tmp_path / "deep", deep=deep_checks)
    assert refused.report is None
    assert faults(refused.verdict)[0].startswith("one/fups_id/seed-0: light, without the weights that --deep plays;")
    assert run_cli("leaderboard", "board", "add", file, "--board", tmp_path / "shown") == 0
    assert "note: 2 of 2 runs are light" in capsys.readouterr().err
    addition = add_submission(file, tmp_path / "board")
    assert len(addition.added) == 2
    added, given = (snapshot(folder / "one" / "fups_id") for folder in (tmp_path / "board", light))
    assert added == given
    assert len(add_submission(full, tmp_path / "board").present) == 2, "the full record is the same run"


def test_the_board_marks_what_light_runs_leave_to_their_author(honest_runs: Path, light: Path) -> None:
    full, board = collect_board(honest_runs), collect_board(light)
    for row, other in zip(full.rows, board.rows, strict=True):
        assert (row.iqm, row.absolute_iqm, row.ari) == (other.iqm, other.absolute_iqm, other.ari)
        assert (row.light, other.light) == (0, 2)
    assert "| best |" in markdown_board(full)
    text = markdown_board(board)
    assert "| best † |" in text
    assert "‡ |" not in text, "nothing of it follows from stored policies here"
    assert "2, 2 light" in text
    assert "trainable †" in markdown_table(board)
    assert "| # | scheme | score | 95 % interval |" in text, "scores are replayed"


def test_the_report_and_its_pictures_need_no_weights(light: Path) -> None:
    _, page = write_report(light)
    page_of_run = page.parent / "runs" / f"{RUN}.html"
    assert "light: without weights" in page_of_run.read_text()
    assert list(page.parent.rglob("*.gif"))
    assert "best †" in (page.parent / "tasks" / "one.html").read_text()


def test_the_documentation_has_the_light_files(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "file-formats.md").read_text(encoding="utf-8")
    for name in (*LEFT_OUT, *LIGHT_FILES, LIGHT_SUMS):
        assert f"`{name}`" in text
