"""Commit and reveal: seeds that nobody could train on give a second score, which is replayed; a gap is marked."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run_cli
from fabricate import fabricate_run, snapshot
from luck import ask
from memoriser import cheating_model
from rich.console import Console
from tamper import arrays_of, edit_config, edit_json, edit_returns, edit_weights, npz, write_arrays

from baselines.leaderboard.errors import ConfigError, ConfigMismatchError, DamagedRecordError, OutputDirectoryError
from baselines.leaderboard.execution import reveal as revealing
from baselines.leaderboard.execution.evaluation import Evaluator, action_noise
from baselines.leaderboard.execution.plan import encode_suite, read_suite_file, write_suite_file
from baselines.leaderboard.execution.replay import replay
from baselines.leaderboard.execution.reveal import reveal
from baselines.leaderboard.execution.suite_runner import run_suite
from baselines.leaderboard.records.light import write_light_runs
from baselines.leaderboard.records.reader import FinishedRun, find_runs, read_run, read_weights
from baselines.leaderboard.records.revealed import (
    RevealedPlay,
    commitment_of,
    encode_play,
    play_path,
    read_revealed,
    revealed_seeds,
    write_revealed,
)
from baselines.leaderboard.report import collect_board, latex_tables, markdown_table, write_report
from baselines.leaderboard.report.data.tables import markdown_board
from baselines.leaderboard.spec.config import SuiteConfig, seeds_of
from baselines.leaderboard.verify import apart, deep, pack_submission, verify_directory, verify_submission
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.submissions import add_submission
from baselines.leaderboard.verify.verdict import Verdict
from baselines.leaderboard.verify.weights import FINAL

SALT = "5a" * 32
RUN = "one/fups_id/seed-0"
PLAY = f"revealed/{RUN}.npz"


def faults(verdict: Verdict) -> list[str]:
    return [str(fault) for fault in verdict.all_faults]


def commit_to(directory: Path, salt: str = SALT, **changes: object) -> None:
    """Give the suite of a directory the commitment, as if it had been there from the start: runs do not hold it."""
    suite = read_suite_file(directory)
    assert suite is not None
    changed = {**suite.model_dump(mode="json"), "seed_commitment": commitment_of(salt), **changes}
    write_suite_file(SuiteConfig.model_validate(changed), directory)


def salt_file(folder: Path, salt: str = SALT) -> Path:
    path = folder / "salt.txt"
    path.write_text(f"{salt}\n")
    return path


@pytest.fixture(scope="session")
def honest_revealed(honest_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The honest runs, their suite committed, their seeds revealed."""
    folder = tmp_path_factory.mktemp("revealed")
    out = shutil.copytree(honest_runs, folder / "runs")
    commit_to(out)
    assert run_cli("leaderboard", "reveal", out, "--salt", salt_file(folder)) == 0
    return out


@pytest.fixture
def revealed(honest_revealed: Path, tmp_path: Path) -> Path:
    """A copy that a test may tamper with."""
    return shutil.copytree(honest_revealed, tmp_path / "revealed runs")


def test_a_salt_is_secret_and_its_hash_goes_to_the_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for name in ("a", "b"):
        assert run_cli("leaderboard", "commit", "--out", tmp_path / "new" / name) == 0
        lines.append(capsys.readouterr().out.strip())
        salt = (tmp_path / "new" / name).read_text()
        assert re.fullmatch(r"[0-9a-f]{64}\n", salt)
        assert lines[-1] == f'seed_commitment = "{commitment_of(salt.strip())}"'
        assert (tmp_path / "new" / name).stat().st_mode & 0o077 == 0
    assert lines[0] != lines[1]
    before = (tmp_path / "new" / "a").read_text()
    assert run_cli("leaderboard", "commit", "--out", tmp_path / "new" / "a") == 2
    assert (tmp_path / "new" / "a").read_text() == before


def test_a_suite_without_a_commitment_keeps_its_bytes(
    suite: SuiteConfig, make_suite: Callable[..., SuiteConfig]
) -> None:
    assert b"seed_commitment" not in encode_suite(suite)
    committed = make_suite(seed_commitment=commitment_of(SALT))
    assert b"seed_commitment" in encode_suite(committed)
    assert [run.digest for run in committed.runs()] == [run.digest for run in suite.runs()], "runs do not depend on it"
    for wrong in ("", "ab", "G" * 64, SALT + "0"):
        with pytest.raises(ValueError, match="seed_commitment"):
            make_suite(seed_commitment=wrong)
    with pytest.raises(ValueError, match="has a file or folder of this name"):
        make_suite(tasks=[{**suite.tasks[0].model_dump(), "name": "revealed"}])


def test_seeds_follow_from_salt_and_task_and_lie_above_all_others(suite: SuiteConfig) -> None:
    one, two = suite.tasks
    first = revealed_seeds(SALT, one)
    assert len(first) == one.eval_episodes
    assert first.tolist() == list(range(first[0], first[0] + len(first)))
    assert first[0] >= 2**48
    assert len({int(revealed_seeds(salt, task)[0]) for salt in (SALT, "0" * 64) for task in (one, two)}) == 4
    seeds = seeds_of(suite.runs()[0])
    assert max(seeds.absolute_start + seeds.absolute_count, seeds.evaluation_start) < 2**40


def test_the_noise_of_revealed_plays_is_as_secret_as_their_seeds(suite: SuiteConfig) -> None:
    """A recurrent policy can tell agents by noise that it was trained on: in public episodes it is known."""
    config = suite.runs()[0]
    seeds, salts = seeds_of(config), (SALT, "0" * 64)
    starts = [seeds.evaluation_start, seeds.absolute_start, *(int(revealed_seeds(s, config.task)[0]) for s in salts)]
    drawn = [tuple(torch.rand(4, generator=action_noise(config, start)).tolist()) for start in starts]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_revealed_play_is_that_of_the_weights_and_its_bytes_repeat(
    honest_revealed: Path, honest_runs: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(honest_runs, tmp_path / "again")
    commit_to(again)
    assert reveal(again, salt_file(tmp_path)) == 4
    assert snapshot(again) == snapshot(honest_revealed)
    names = {name for name in snapshot(again) if name.startswith("revealed/")}
    runs = [path.relative_to(again).as_posix() for path in find_runs(again)]
    assert names == {"revealed/salt.txt", *map(play_path, runs)}
    assert len(runs) == 4, "plays are no runs"
    play = arrays_of(again, PLAY)
    assert play["returns"].shape == play["lengths"].shape == (4,)
    assert play["actions"].shape == (50, 4, 4)


def test_settings_of_no_learner_do_not_block_the_others(honest_runs: Path) -> None:
    """A record from elsewhere may name anything; its policy is all that plays."""
    record = read_run(honest_runs / RUN)
    assert isinstance(record, FinishedRun)
    learner = record.config.learner.model_copy(update={"settings": {"nonsense": "x", "n_steps": 1 << 40}})
    foreign = replace(record, config=record.config.model_copy(update={"learner": learner}))
    assert encode_play(revealing.play_revealed(foreign, SALT)) == encode_play(revealing.play_revealed(record, SALT))


def test_it_verifies_deep_and_light_and_packed(honest_revealed: Path, tmp_path: Path) -> None:
    verdict = verify_directory(honest_revealed, complete=True, deep=deep_checks)
    assert verdict.verified, faults(verdict)
    assert not any("not revealed yet" in note for note in verdict.notes)
    assert "seeds are revealed; the plays of 4 runs were replayed" in verdict.notes
    assert run_cli("leaderboard", "lighten", honest_revealed, "--out", tmp_path / "light") == 0
    assert run_cli("leaderboard", "lighten", honest_revealed, "--out", tmp_path / "light") == 0, "the same again"
    light = verify_directory(tmp_path / "light", complete=True)
    assert light.verified, faults(light)
    for name, directory in (("full", honest_revealed), ("light", tmp_path / "light")):
        pack_submission(directory, tmp_path / f"{name}.zip")
        packed = verify_submission(tmp_path / f"{name}.zip")
        assert packed.verified, faults(packed)
    edit = arrays_of(tmp_path / "light", PLAY)
    edit["returns"][0] += 1
    (tmp_path / "light" / PLAY).write_bytes(npz(edit))
    assert len(faults(verify_directory(tmp_path / "light"))) == 1
    assert run_cli("leaderboard", "lighten", honest_revealed, "--out", tmp_path / "light") == 2


def test_verify_says_that_seeds_are_still_secret(runs: Path) -> None:
    commit_to(runs)
    verdict = verify_directory(runs)
    assert verdict.verified
    assert "the suite commits to seeds that are not revealed yet" in verdict.notes


def edited(edit: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def tamper(out: Path) -> None:
        arrays = arrays_of(out, PLAY)
        edit(arrays)
        (out / PLAY).write_bytes(npz(arrays))

    return tamper


def other_salt(out: Path) -> None:
    (out / "revealed" / "salt.txt").write_text("0" * 64 + "\n")


def own_salt(out: Path) -> None:
    """A salt of the forger's choice, with a commitment made afterwards: the recorded play is of other seeds."""
    other_salt(out)
    commit_to(out, "0" * 64)


def no_commitment(out: Path) -> None:
    commit_to(out, seed_commitment=None)


def linked(out: Path) -> None:
    shutil.move(out / "revealed", out.parent / "aside")
    (out / "revealed").symlink_to(out.parent / "aside")


def linked_play(out: Path) -> None:
    shutil.move(out / PLAY, out.parent / "aside.npz")
    (out / PLAY).symlink_to(out.parent / "aside.npz")


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (edited(lambda arrays: arrays["returns"].__setitem__(0, arrays["returns"][0] + 1)), f"{PLAY}: returns[0]"),
        (edited(lambda arrays: arrays["returns"].__setitem__(0, np.nan)), f"{PLAY}: returns"),
        (edited(lambda arrays: arrays.update(seeds=np.arange(4))), f"{PLAY}: holds"),
        (edited(lambda arrays: arrays.update(lengths=arrays["lengths"] - 1)), f"{PLAY}: actions"),
        (edited(lambda arrays: arrays.update(actions=arrays["actions"][:, :, :2])), f"{PLAY}: actions"),
        (edited(lambda arrays: arrays.update(actions=arrays["actions"][0, 0])), f"{PLAY}: actions"),
        (lambda out: (out / PLAY).write_bytes(b"PK"), f"{PLAY}: not a readable"),
        (lambda out: (out / PLAY).unlink(), f"{PLAY}: missing"),
        (lambda out: (out / "revealed" / "x.npz").write_bytes(b""), "revealed/x.npz: not the play"),
        (lambda out: shutil.rmtree(out / RUN), f"{PLAY}: not the play of a finished run"),
        (lambda out: (out / "revealed" / "salt.txt").unlink(), "revealed/salt.txt: "),
        (other_salt, "revealed/salt.txt: its hash is"),
        (no_commitment, "revealed/salt.txt: its hash is"),
        (own_salt, f"{PLAY}: returns"),
        (linked, "revealed: a link"),
        (linked_play, f"{PLAY}: not a plain file"),
    ],
)
def test_tampering_is_named(revealed: Path, tamper: Callable[[Path], object], place: str) -> None:
    tamper(revealed)
    found = faults(verify_directory(revealed))
    assert any(text.startswith(place) for text in found), found


def other_actions(revealed: Path) -> None:
    config = read_run(revealed / RUN).config
    seeds = revealed_seeds(SALT, config.task)
    actions = np.random.default_rng(0).integers(0, 5, arrays_of(revealed, PLAY)["actions"].shape).astype(np.uint8)
    lengths = arrays_of(revealed, PLAY)["lengths"]
    returns = replay(config, "actions", seeds, actions, lengths)
    (revealed / PLAY).write_bytes(encode_play(RevealedPlay(returns, actions, lengths)))


def test_deep_holds_the_actions_to_the_weights(revealed: Path) -> None:
    """Better actions in the revealed episodes replay well; but the weights do not choose them."""
    other_actions(revealed)
    assert verify_directory(revealed).verified
    (fault,) = faults(verify_directory(revealed, deep=deep_checks))
    assert fault.startswith(f"{RUN}/policy.safetensors: {PLAY}: actions[")


def test_revealed_plays_of_plugins_are_examined_apart(revealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code from outside would have the list of faults of all runs at hand."""

    def in_this_process(*_: object) -> None:
        raise AssertionError

    for module in (apart, deep):
        monkeypatch.setattr(module, "needs_plugin", lambda config: True)
    monkeypatch.setattr(deep, "revealed_choice_faults", in_this_process)
    assert verify_directory(revealed, deep=deep_checks).verified
    other_actions(revealed)
    (fault,) = faults(verify_directory(revealed, deep=deep_checks))
    assert fault.startswith(f"{RUN}/policy.safetensors: {PLAY}: actions[")


def test_plugins_are_revealed_apart(
    honest_revealed: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their code would have a part in what all others play; apart, the play is the same, byte for byte."""

    def in_this_process(*_: object) -> None:
        raise AssertionError

    commit_to(runs)
    monkeypatch.setattr(revealing, "needs_plugin", lambda config: True)
    monkeypatch.setattr(revealing, "play_revealed", in_this_process)
    assert reveal(runs, salt_file(tmp_path)) == 4
    assert {name: data for name, data in snapshot(runs).items() if name.startswith("revealed")} == {
        name: data for name, data in snapshot(honest_revealed).items() if name.startswith("revealed")
    }


def test_deep_tells_the_play_of_another_seed(revealed: Path) -> None:
    """Both play the same episodes, and where types are dealt alike the other's actions replay as well."""
    other = PLAY.replace("seed-0", "seed-1")
    shutil.copy(revealed / PLAY, revealed / other)
    found = faults(verify_directory(revealed, deep=deep_checks))
    assert any(f"{other}: actions[" in text for text in found), found


def test_what_cannot_be_revealed(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(runs)
    with pytest.raises(ConfigError, match="no seed_commitment"):
        reveal(runs, salt_file(tmp_path))
    commit_to(runs)
    with pytest.raises(ConfigError, match="the suite commits to"):
        reveal(runs, salt_file(tmp_path, "0" * 64))
    for text in ("", "zz", SALT.upper(), SALT + "\n\n"):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(ConfigError, match="holds no salt"):
            reveal(runs, tmp_path / "bad.txt")
    played = []

    def play(*args: object) -> RevealedPlay:
        if played:
            raise KeyboardInterrupt
        played.append(args)
        return RevealedPlay(np.zeros(4), np.zeros((1, 4, 4), np.uint8), np.ones(4, np.int64))

    with monkeypatch.context() as patch:
        patch.setattr(revealing, "play_revealed", play)
        with pytest.raises(KeyboardInterrupt):
            reveal(runs, salt_file(tmp_path))
    found = {name for name in snapshot(runs) if "revealed" in name}
    assert found == set(), "whole or not at all"
    shutil.move(runs / RUN, tmp_path / "aside")
    with pytest.raises(ConfigError, match="1 runs are open"):
        reveal(runs, salt_file(tmp_path))
    shutil.move(tmp_path / "aside", runs / RUN)
    assert {name: data for name, data in snapshot(runs).items() if name in before and name != "suite.json"} == {
        name: data for name, data in before.items() if name != "suite.json"
    }
    write_light_runs(find_runs(runs), runs, tmp_path / "light")
    shutil.copy(runs / "suite.json", tmp_path / "light")
    with pytest.raises(ConfigError, match="light"):
        reveal(tmp_path / "light", salt_file(tmp_path))


def test_a_policy_that_cannot_be_played_is_named(runs: Path, tmp_path: Path) -> None:
    """Plain verification, all that a board may ask for, looks at no weights."""
    head = "scheme.actor_net.weights.1"
    edit_weights(runs / RUN, FINAL, lambda weights: weights.update({head: weights[head][..., :1]}))
    commit_to(runs)
    assert verify_directory(runs).verified
    with pytest.raises(ConfigError, match=rf"(?s){RUN} cannot be played .*size mismatch"):
        reveal(runs, salt_file(tmp_path))
    assert not (runs / "revealed").exists()


def test_nothing_is_revealed_twice(honest_revealed: Path, tmp_path: Path) -> None:
    before = snapshot(honest_revealed)
    with pytest.raises(OutputDirectoryError, match="kept as it is"):
        reveal(honest_revealed, salt_file(tmp_path))
    assert snapshot(honest_revealed) == before


def test_a_board_is_closed_once_its_seeds_are_revealed(revealed: Path, runs: Path, tmp_path: Path) -> None:
    for directory in (revealed, runs):  # a board takes adaps with settings of its own under a label alone
        shutil.rmtree(directory / "one" / "adaps")
        commit_to(directory, schemes=["fups_id"], scheme_settings={}, description="http://example.org")
    shutil.rmtree(revealed / "revealed" / "one" / "adaps")
    file, before = tmp_path / "revealed.zip", tmp_path / "before.zip"
    pack_submission(revealed, file)
    pack_submission(runs, before)
    begun = add_submission(before, tmp_path / "open")
    taken = "the board takes the tasks of its totals and its seed_commitment from this submission"
    assert any(taken in note for note in begun.verdict.notes)
    assert len(add_submission(file, tmp_path / "board").added) == 2
    board = tmp_path / "board"
    stored, offered = read_suite_file(board), read_suite_file(revealed)
    assert stored is not None
    assert offered is not None
    assert (stored.name, stored.description) == ("board", ""), "a board's name is not the author's to choose"
    assert stored.seed_commitment == offered.seed_commitment
    named = add_submission(file, tmp_path / "noted").verdict.notes
    assert any(taken in note for note in named), named
    assert not any("the board takes" in note for note in add_submission(file, board).verdict.notes)
    add_submission(file, tmp_path / "named", name="My-own")
    assert "AdaPS leaderboard: My-own" in (tmp_path / "named/site/index.html").read_text()
    assert verify_directory(board).verified
    assert snapshot(board / "revealed") == snapshot(revealed / "revealed")
    assert "revealed" in (board / "board.md").read_text()
    assert add_submission(file, board).present, "the same again is no news"
    (tmp_path / "other").mkdir()
    other = fabricated_submission(tmp_path / "other", runs)
    with pytest.raises(ConfigMismatchError, match="the board is closed"):
        add_submission(other, board)
    assert len(add_submission(other, tmp_path / "open2").added) == 2
    with pytest.raises(ConfigMismatchError, match="can only begin a board"):
        add_submission(file, tmp_path / "open2")
    suite = read_suite_file(board)
    assert suite is not None
    more = SuiteConfig.model_validate({**suite.model_dump(mode="json"), "seeds": [0, 1, 2]})
    with pytest.raises(ConfigMismatchError, match="could be trained on"):
        run_suite(more, board, console=Console(quiet=True), jobs=1)
    assert read_suite_file(board) == suite


def fabricated_submission(folder: Path, runs: Path) -> Path:
    """The same runs under another label, which takes a row of its own."""
    out = folder / "runs"
    suite = read_suite_file(runs)
    assert suite is not None
    scheme = {"name": "fups_id", "label": "mine"}
    for seed in (0, 1):
        run = shutil.copytree(runs / f"one/fups_id/seed-{seed}", out / f"one/mine/seed-{seed}")
        edit_config(run, lambda config: config.update(scheme={**config["scheme"], **scheme}))
        edit_json(run, "sharing.json", lambda sharing: sharing.update(scheme="mine"))
    write_suite_file(SuiteConfig.model_validate({**suite.model_dump(mode="json"), "schemes": [scheme]}), out)
    pack_submission(out, folder / "mine.zip")
    return folder / "mine.zip"


def test_the_board_shows_both_scores(honest_revealed: Path, honest_runs: Path, revealed: Path) -> None:
    board = collect_board(honest_revealed)
    plays = read_revealed(honest_revealed, read_suite_file(honest_revealed), map(read_run, find_runs(honest_revealed)))
    assert plays is not None
    for row in board.rows:
        task = board.tasks[0]
        own = [play.returns.mean() for run, play in plays.plays.items() if run.split("/")[1] == row.scheme]
        assert row.revealed_iqm == pytest.approx(task.normalise(np.mean(own)))
        ask(row.revealed_gap is False, "honest policies play there as well as elsewhere, but for luck in four episodes")
    for text in (markdown_board(board), markdown_table(board), latex_tables(board)):
        assert "revealed" in text
    _, page = write_report(revealed)
    assert "revealed" in (page.parent / "tasks" / "one.html").read_text()
    without = collect_board(honest_runs)
    assert "| revealed" not in markdown_board(without)
    assert without.rows[0].revealed_gap is None
    other_salt(revealed)
    with pytest.raises(DamagedRecordError, match="its hash is"):
        collect_board(revealed)


def test_a_gap_is_more_than_three_standard_errors(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    data = make_suite(seed_commitment=commitment_of(SALT), seeds=[0, 1, 2]).model_dump(mode="json")
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    files = {"revealed/salt.txt": f"{SALT}\n".encode()}
    for config in suite.runs():
        fabricate_run(tmp_path, config, 0.8)
        # Public returns of the four episodes are the mean -1, -1/3, 1/3, 1; the standard error of both is 0.6.
        below = {"fups_id": 1.7, "adaps": 1.9}[config.scheme.name]
        returns = -120.0 + np.linspace(-1, 1, 4) - below
        play = RevealedPlay(returns, np.zeros((1, 4, 4), np.uint8), np.ones(4, np.int64))
        files[play_path(config.run_id)] = encode_play(play)
    write_suite_file(suite, tmp_path)
    write_revealed(tmp_path, files)
    rows = {row.scheme: row for row in collect_board(tmp_path).rows}
    error = float(np.sqrt(2 * np.linspace(-1, 1, 4).var(ddof=1) / 4)) / 100
    for name, below in (("fups_id", 1.7), ("adaps", 1.9)):
        assert rows[name].revealed_error == pytest.approx(error)
        assert rows[name].revealed_difference == pytest.approx(below / 100)
        assert rows[name].revealed_gap is (below / 100 > 3 * error)
    assert [rows["fups_id"].revealed_gap, rows["adaps"].revealed_gap] == [False, True]
    text = markdown_table(collect_board(tmp_path))
    assert "| 0.783 |" in text
    assert "| 0.781 (gap +0.019 ± 0.006) |" in text


def cheat(run: Path) -> None:
    """Put the cheat's play in the place of the last evaluation; everything that light verification sees agrees."""
    record = read_run(run)
    assert record.evaluation is not None
    policy = cheating_model(record.config).policy
    weights = read_weights(record)
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    evaluator = Evaluator(record.config)
    greedy, sampled, absolute = evaluator.greedy(policy), evaluator.sampled(policy), evaluator.absolute(policy)
    shutil.copy(run / "policy.safetensors", run / "policy_best.safetensors")

    def returns(arrays: dict[str, np.ndarray]) -> None:
        arrays["greedy"][-1], arrays["sampled"][-1] = greedy.returns, sampled.returns
        arrays.update(absolute=absolute.returns, best_point=np.array(len(arrays["greedy"]) - 1))

    edit_returns(run, returns)
    actions = {"final": greedy.actions, "final_lengths": greedy.lengths}
    write_arrays(run, "actions.npz", {**actions, "absolute": absolute.actions, "absolute_lengths": absolute.lengths})


def test_a_run_that_is_bad_on_purpose_hides_no_gap(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    """It is as far below in public episodes as the others are above, and does not count for the interquartile mean."""
    data = make_suite(seed_commitment=commitment_of(SALT), seeds=[0, 1, 2, 3, 4]).model_dump(mode="json")
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1], "schemes": data["schemes"][:1]})
    files = {"revealed/salt.txt": f"{SALT}\n".encode()}
    for config in suite.runs():
        fabricate_run(tmp_path, config, -2.1 if config.seed == 3 else 0.9)
        play = RevealedPlay(np.full(4, -170.0), np.zeros((1, 4, 4), np.uint8), np.ones(4, np.int64))
        files[play_path(config.run_id)] = encode_play(play)
    write_suite_file(suite, tmp_path)
    write_revealed(tmp_path, files)
    (row,) = collect_board(tmp_path).rows
    assert row.iqm == pytest.approx(0.9)
    assert row.revealed_iqm == pytest.approx(0.3)
    assert row.revealed_difference == pytest.approx(0.6)
    assert row.revealed_gap


def test_a_policy_that_knows_the_public_episodes_is_marked(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its public score is an expert's and replays; in the revealed episodes it plays as well as it has learnt."""
    shutil.rmtree(runs / "one" / "adaps")
    commit_to(runs, schemes=["fups_id"], scheme_settings={})
    for seed in (0, 1):
        cheat(runs / f"one/fups_id/seed-{seed}")
    assert verify_directory(runs, complete=True).verified, "a policy that replays is no fault: it is overfitted"
    monkeypatch.setattr("baselines.leaderboard.report.data.rows.GAP_ERRORS", 2)  # of four episodes
    monkeypatch.setattr(revealing, "build_model", cheating_model)
    reveal(runs, salt_file(tmp_path))
    assert verify_directory(runs, complete=True).verified
    (row,) = collect_board(runs).rows
    assert row.iqm is not None
    assert row.revealed_iqm is not None
    assert row.iqm > row.revealed_iqm + 0.2
    assert row.revealed_gap, (row.revealed_difference, row.revealed_error)
    assert "(gap +" in markdown_table(collect_board(runs))
