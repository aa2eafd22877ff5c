"""``adaps leaderboard references --suite``: measuring the scores of own tasks and writing them into the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run_cli, suite_text

from baselines.leaderboard.execution.references import measure_references
from baselines.leaderboard.spec.loading import load_suite
from baselines.leaderboard.spec.task_scores import write_scores

MINE = """# my suite
name = "mine"
schemes = ["fups"]
seeds = [0]

[[tasks]]  # a built-in one
task = "BPS-1"
budget = 1_000

[[tasks]]
name = "pairs"
env = "BPS-1-v0"      # small
params = { groups = [2, 2] }
budget = 1_000
scripted_score = 0.5  # a guess

[[tasks]]
name = "trio"
budget = 1_000
env = 'BPS-1-v0'
[tasks.params]
groups = [3]

[learner]
num_lanes = 4
"""


def _call(suite: Path, *words: str) -> int:
    return run_cli("leaderboard", "references", "--suite", suite, "--episodes", "20", *words)


def test_the_scores_are_written_and_nothing_else_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(MINE, encoding="utf-8")
    assert _call(suite) == 0
    assert suite.read_text(encoding="utf-8") == MINE
    printed = capsys.readouterr().out.splitlines()
    assert _call(suite, "--write") == 0
    lines = suite.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "_score" not in line] == [
        line for line in MINE.splitlines() if "_score" not in line
    ]
    assert lines[lines.index("[[tasks]]") + 2].startswith('env = "BPS-1-v0"')
    assert next(line for line in lines if line.startswith("scripted_score")).endswith("  # a guess")
    tasks = {task.name: task for task in load_suite(suite).tasks}
    for name, groups in (("pairs", [2, 2]), ("trio", [3])):
        for field, found in measure_references("BPS-1", {"groups": groups}, episodes=20).items():
            assert getattr(tasks[name], field) == pytest.approx(found.mean, rel=1e-5)
            line = f"{field} = {found.mean:.6g}"
            assert sum(entry.startswith(line) for entry in printed) == 1
            assert any(entry.startswith(line) for entry in lines)
    before = suite.read_bytes()
    assert _call(suite, "--write") == 0
    assert suite.read_bytes() == before


def test_another_form_of_tasks_is_left_to_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "inline.toml"
    text = 'name = "x"\nschemes = ["fups"]\nseeds = [0]\ntasks = [{ name = "a", env = "BPS-1-v0", budget = 100 }]\n'
    suite.write_text(text, encoding="utf-8")
    assert _call(suite, "--write") == 2
    said = capsys.readouterr()
    assert "random_score = " in said.out
    assert "are not written as [[tasks]] tables" in said.err
    assert suite.read_text(encoding="utf-8") == text


def test_tables_in_text_do_not_count(tmp_path: Path) -> None:
    suite = tmp_path / "odd.toml"
    text = 'name = "x"\ndescription = """\n[[tasks]]\nenv = 1\n"""\n[[tasks]]\nname = "a"\nenv = "BPS-1-v0"\n'
    suite.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="are not written as"):
        write_scores(suite, {0: {"random_score": 1.0}})
    assert suite.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--write"], "--write needs --suite"),
        (["BPS-1", "--suite", "mine.toml"], "both say what to measure"),
        (["--suite", "absent.toml"], "cannot read absent.toml"),
    ],
)
def test_wrong_use(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("leaderboard", "references", *words) == 2
    assert said in capsys.readouterr().err


def test_a_suite_of_built_in_tasks_needs_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text('name = "x"\n[[tasks]]\ntask = "BPS-1"\n', encoding="utf-8")
    assert _call(suite) == 2
    assert "defines no task of its own" in capsys.readouterr().err


def test_a_suite_without_scores_names_the_command(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text("\n".join(line for line in suite_text().splitlines() if "_score" not in line), encoding="utf-8")
    with pytest.raises(ValueError, match=r"references --suite FILE\.toml --write"):
        load_suite(suite)
    assert _call(suite, "--write") == 0
    assert load_suite(suite).tasks[0].random_score is not None
