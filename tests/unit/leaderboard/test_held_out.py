"""Held-out episodes: what ``board add --deep`` draws gives the score, so knowing the public episodes gains nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_cli
from fabricate import fabricate_suite, snapshot
from tamper import edit_config, edit_json

from baselines.leaderboard.errors import ConfigMismatchError, DamagedRecordError
from baselines.leaderboard.execution.plan import read_suite_file, write_suite_file
from baselines.leaderboard.records.held_out import HeldOut, held_out_of, read_held_out, write_held_out
from baselines.leaderboard.records.reader import FinishedRun, find_runs, read_run
from baselines.leaderboard.report import collect_board, latex_tables, markdown_table, write_report
from baselines.leaderboard.report.data.tables import markdown_board
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.verify import apart, deep, fresh, pack_submission, verify_directory
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.runset import ExtraChecks
from baselines.leaderboard.verify.submissions import add_submission
from baselines.leaderboard.verify.verdict import Examined

FILE, RUN = "held_out.json", "one/fups_id/seed-0"
EPISODES = 4 * fresh.PLAYS


@pytest.fixture(scope="session")
def submitted(honest_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of one built-in scheme, as a file."""
    return packed(shutil.copytree(honest_runs, tmp_path_factory.mktemp("submitted") / "runs"), "fups_id")


@pytest.fixture
def another(honest_runs: Path, tmp_path: Path) -> Path:
    """The same policies under a label that is no built-in scheme's."""
    runs = shutil.copytree(honest_runs, tmp_path / "another")
    shutil.move(runs / "one/fups_id", runs / "one/mine")
    for run in (runs / "one/mine").iterdir():
        edit_config(run, lambda config: config["scheme"].update(label="mine"))
        edit_json(run, "sharing.json", lambda sharing: sharing.update(scheme="mine"))
    return packed(runs, "mine")


def packed(runs: Path, label: str) -> Path:
    """Pack the runs of one scheme."""
    suite = read_suite_file(runs)
    assert suite is not None
    shutil.rmtree(runs / "one/adaps")
    scheme = suite.schemes[0].model_copy(update={"label": label})
    write_suite_file(suite.model_copy(update={"schemes": (scheme,), "scheme_settings": {}}), runs)
    pack_submission(runs, file := runs.with_name(f"{label}.zip"))
    return file


@pytest.fixture(scope="session")
def honest_board(submitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = tmp_path_factory.mktemp("honest-board") / "board"
    assert add_submission(submitted, board, deep=deep_checks).report is not None
    return board


@pytest.fixture
def board(honest_board: Path, tmp_path: Path) -> Path:
    return shutil.copytree(honest_board, tmp_path / "board")


def playing(returns: float) -> ExtraChecks:
    """Deep checks of policies that get so much in held-out episodes, whatever their records tell."""
    return lambda record, _: Examined((), held_out=held_out_of(record, 1, np.full(EPISODES, returns)))


def test_the_score_of_a_board_is_that_of_held_out_episodes(honest_board: Path) -> None:
    stored = read_held_out(honest_board, map(read_run, find_runs(honest_board)))
    assert [entry.episodes for entry in stored.values()] == [EPISODES] * 2
    (row,) = collect_board(honest_board).rows
    task = collect_board(honest_board).tasks[0]
    assert row.held_out_episodes == EPISODES
    assert row.iqm == pytest.approx(np.mean([task.normalise(entry.mean) for entry in stored.values()]))
    assert row.return_mean == pytest.approx(np.mean([entry.mean for entry in stored.values()]))
    records = [read_run(path) for path in find_runs(honest_board)]
    recorded = np.mean([task.normalise(record.evaluation.greedy[-1].mean()) for record in records])  # type: ignore[union-attr]
    assert row.greedy_iqm == pytest.approx(recorded)
    assert row.iqm != row.greedy_iqm
    for text in (markdown_table(collect_board(honest_board)), markdown_board(collect_board(honest_board))):
        assert "| held-out |" in text
        assert f"| {EPISODES} |" in text
    assert f"& {EPISODES} &" in latex_tables(collect_board(honest_board))


def test_a_record_that_shines_in_its_own_episodes_gains_nothing(submitted: Path, tmp_path: Path) -> None:
    """Whatever part of the public episodes a policy knows, the board shows what it does in others."""
    addition = add_submission(submitted, tmp_path / "board", deep=playing(-190.0))
    assert addition.report is not None
    (row,) = addition.report[0].rows
    assert row.iqm == pytest.approx(0.1)
    assert row.ci_low == pytest.approx(0.1)
    site = snapshot(tmp_path / "board/site")
    write_report(tmp_path / "board")
    assert snapshot(tmp_path / "board/site") == site


def test_verify_tells_both_returns(honest_board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = verify_directory(honest_board, deep=deep_checks)
    assert verdict.verified
    line = next(verdict.lines())
    assert re.search(rf"replayed; return -[\d.]+, -[\d.]+ in {EPISODES} held-out episodes", line)
    first = verdict.to_json()["runs"][0]
    assert first["held_out"]["episodes"] == EPISODES
    assert first["recorded_return"] is not None
    assert run_cli("leaderboard", "verify", honest_board) == 0
    out = capsys.readouterr().out
    assert "note: 2 runs have scores in held-out episodes by the word of the board's keeper" in out
    assert "in 96 held-out episodes" not in out


def test_runs_of_plugins_tell_theirs_from_their_own_process(
    honest_board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep, "needs_plugin", lambda config: True)
    found = deep_checks(read_run(honest_board / RUN))  # type: ignore[arg-type]
    assert found.faults == ()
    assert found.held_out is not None
    assert found.held_out.episodes == EPISODES
    assert apart._decoded(apart._encoded(found)).held_out == found.held_out


def test_the_same_submission_brings_the_scores_that_are_missing(submitted: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    add_submission(submitted, board)
    assert not (board / FILE).exists()
    assert collect_board(board).rows[0].held_out_episodes is None
    addition = add_submission(submitted, board, deep=playing(-150.0))
    assert (addition.added, len(addition.present)) == ([], 2)
    assert collect_board(board).rows[0].iqm == pytest.approx(0.5)
    add_submission(submitted, board, deep=playing(-110.0))
    assert collect_board(board).rows[0].iqm == pytest.approx(0.5), "no second draw"


def test_recorded_and_held_out_scores_are_not_mixed(submitted: Path, board: Path) -> None:
    before = snapshot(board)
    with pytest.raises(ConfigMismatchError, match=r"those of held-out episodes.*Add it with --deep"):
        add_submission(submitted, board)
    assert snapshot(board) == before
    entries = json.loads((board / FILE).read_bytes())
    del entries["runs"][RUN]
    (board / FILE).write_text(json.dumps(entries))
    row = collect_board(board).rows[0]
    assert (row.held_out_episodes, row.iqm) == (None, row.greedy_iqm), "a row has one kind"


def test_a_board_is_told_of_scores_that_do_not_compare(submitted: Path, another: Path, tmp_path: Path) -> None:
    add_submission(submitted, tmp_path / "board")
    addition = add_submission(another, tmp_path / "board", deep=playing(-150.0))
    told = "2 runs of the board (one/fups_id/seed-0) have scores of recorded"
    assert any(told in note for note in addition.verdict.notes)
    addition = add_submission(submitted, tmp_path / "board", deep=playing(-150.0))
    assert not any("do not compare" in note for note in addition.verdict.notes)


def test_a_run_that_was_taken_off_the_board_is_forgotten(board: Path, submitted: Path) -> None:
    shutil.rmtree(board / RUN)
    assert collect_board(board).rows[0].held_out_episodes == EPISODES
    assert verify_directory(board).verified
    shutil.rmtree(board / "one/fups_id")
    add_submission(submitted, board, deep=playing(-150.0))
    assert collect_board(board).rows[0].iqm == pytest.approx(0.5)


def test_light_copies_keep_them(honest_board: Path, tmp_path: Path) -> None:
    light = tmp_path / "light"
    for _ in range(2):
        assert run_cli("leaderboard", "lighten", honest_board, "--out", light) == 0
        assert (light / FILE).read_bytes() == (honest_board / FILE).read_bytes()
    assert collect_board(light).rows[0].iqm == collect_board(honest_board).rows[0].iqm


def edited(**changes: object) -> Callable[[Path], object]:
    def edit(board: Path) -> None:
        value = json.loads((board / FILE).read_bytes())
        value["runs"][RUN].update(changes)
        (board / FILE).write_text(json.dumps(value))

    return edit


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (edited(mean=1e13), "less than or equal to"),
        (edited(episodes=0), "greater than or equal to 1"),
        (edited(seed=-1), "greater than or equal to 0"),
        (edited(weights="0" * 64), "it tells of another policy.safetensors"),
        (edited(ari=1.5), "less than or equal to 1"),
        (edited(more=1), "more"),
        (lambda board: (board / FILE).write_bytes(b"["), "Expecting value"),
        (lambda board: (board / FILE).write_bytes(b"0" * (17 << 20)), "bytes"),
    ],
)
def test_tampering_is_named(board: Path, tamper: Callable[[Path], object], message: str) -> None:
    tamper(board)
    faults = verify_directory(board).all_faults
    assert [fault.file for fault in faults] == [FILE]
    assert message in str(faults[0])
    with pytest.raises(DamagedRecordError, match=r"damaged .*held_out\.json.*add the submissions again"):
        collect_board(board)
    assert run_cli("leaderboard", "report", board) == 2


@pytest.mark.parametrize(("ari", "rank"), [(0.89, None), (0.91, 1), (None, 1)])
def test_a_row_whose_groups_are_right_for_its_seeds_alone_has_no_rank(
    tmp_path: Path, suite: SuiteConfig, ari: float | None, rank: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among many settings of an identity phase, some find the types of the seeds that everybody knows by chance."""
    monkeypatch.setattr(stats, "RANKED_RUNS", 2)
    fabricate_suite(tmp_path, suite)
    played = {}
    for record in map(read_run, find_runs(tmp_path)):
        assert isinstance(record, FinishedRun)
        aris = [ari] if ari is not None and record.config.run_id.startswith("one/adaps") else []
        played[record.config.run_id] = held_out_of(record, 1, record.evaluation.greedy[-1], aris)
    write_held_out(tmp_path, played)
    board = collect_board(tmp_path)
    rows = {(row.task, row.scheme): row for row in board.rows}
    lucky = rows["one", "adaps"]
    assert (lucky.rank, lucky.improvement is None, lucky.held_out_ari) == (rank, rank is None, ari)
    assert (rows["one", "fups_id"].rank, rows["two", "adaps"].rank) == (1 + (rank or 0), 1)
    assert {row.scheme: row.rank for row in board.totals} == {"fups_id": 1 + (rank or 0), "adaps": rank}
    for text in (markdown_table(board), markdown_board(board)):
        assert ("| held-out ARI" in text) == (ari is not None)
        assert ("| 0.89 (no rank) |" in text) == (rank is None)
    assert run_cli("leaderboard", "report", tmp_path) == 0


@pytest.mark.parametrize("changes", [{"ari": 0.5}, {"ari": None}])
def test_another_ari_than_its_phases_find_is_named(honest_runs: Path, changes: dict[str, float | None]) -> None:
    record = read_run(honest_runs / "one/adaps/seed-0")
    own = deep_checks(record).held_out  # type: ignore[arg-type]
    assert own is not None
    assert deep_checks(record, own).faults == ()  # type: ignore[arg-type]
    (fault,) = deep_checks(record, own.model_copy(update=changes)).faults  # type: ignore[arg-type]
    told = f"an ARI of {changes['ari']} with other seeds; their 8 identity phases find 0.0"
    assert fault.message == f"held_out.json: {told}"


@pytest.mark.parametrize("changes", [{"mean": -150.0}, {"episodes": 2}])
def test_other_numbers_than_its_weights_get_are_named(board: Path, changes: dict[str, object]) -> None:
    edited(**changes)(board)
    (fault,) = verify_directory(board, deep=deep_checks).all_faults
    assert fault.file == f"{RUN}/policy.safetensors"
    assert re.search(r"held_out.json: -[\d.]+ in (96|2) episodes; in the 96 of its seed, its weights get -", str(fault))


def test_episodes_that_a_policy_was_fitted_to_are_not_held_out(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps a board, or says so, knows its seeds."""
    told = json.loads((board / FILE).read_bytes())["runs"][RUN]
    played = deep.held_out_returns

    def known(*given: Any, **how: Any) -> np.ndarray:
        return np.full_like(played(*given, **how), told["mean"] + 50)

    monkeypatch.setattr(deep, "held_out_returns", known)
    edited(mean=told["mean"] + 50)(board)
    (fault,) = verify_directory(board / RUN, deep=lambda record, _: deep_checks(record, stored(board))).all_faults
    assert "in 96 episodes that were drawn just now, its weights get" in str(fault)


def stored(board: Path) -> HeldOut:
    return read_held_out(board, [read_run(board / RUN)])[RUN]
