"""Files and devices that are not what they should be: one line says so, nothing hangs, nothing ends in a traceback."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from commands import run_cli, suite_text

from baselines.leaderboard.errors import ConfigError, DirectoryLockedError, OutputDirectoryError
from baselines.leaderboard.records import locks as lock
from baselines.leaderboard.records.checkpoints import Checkpoint, Checkpoints
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.spec.loading import load_suite

HEAD = 'name = "mine"\nschemes = ["fups"]\nseeds = [0]\n'


def one_error(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line in which a command ends."""
    assert run_cli(*words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard", "run", "--suite", "smoke", "--dry-run", "--out"),
        ("leaderboard", "run", "--suite", "smoke", "--out"),
        ("leaderboard", "report"),
        ("leaderboard", "verify"),
        ("leaderboard", "export", ".", "--out"),
        ("leaderboard", "board", "add", "x.zip", "--board"),
        ("leaderboard", "run", "--suite"),
    ],
)
def test_a_path_that_no_system_takes(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    one_error(capsys, *words, "a" * 5_000 + ".toml")


def test_a_record_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder.gif"
    folder.mkdir()
    for path, more in ((folder, ["--force"]), ("a" * 300 + ".gif", []), (tmp_path / "none" / "x.gif", [])):
        one_error(capsys, "play", "BPS-1-v0", "--steps", "1", "--record", path, *more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", [["leaderboard", "suites"], ["--help"], ["leaderboard", "run", "--dry-run"]])
def test_a_full_standard_output(words: list[str], tmp_path: Path, clean_environment: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "baselines", *words], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env=clean_environment, check=False,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "x = " + "[" * 5_000, "nested too deeply"),
        (HEAD + "x = " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        (HEAD + "[scheme_settings]\nfups = { x = " + "[" * 200 + "]" * 200 + " }\n", "nested|recursion"),
        (HEAD + "[[tasks]]\ntask = [0, 0]\nbudget = 5", r"task = \[0, 0\] is no name"),
        (HEAD + "[[tasks]]\ntask = {}\nbudget = 5", "is no name"),
        (HEAD + "tasks = 5", "tasks"),
        (HEAD + "tasks = [5]", "tasks"),
    ],
    ids=["open brackets", "brackets", "brackets in settings", "a list as a task", "a table as a task", "no list", "5"],
)
def test_suites_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_suite(path)


VALUES = ("[0, 0]", "{}", "{ a = 1 }", "-1", "1e400", "nan", "true", '""', "[[1]]", "1979-05-27", "9" * 30)


@pytest.mark.parametrize("value", VALUES)
def test_any_value_of_any_key_of_a_suite_is_read_or_refused(tmp_path: Path, value: str) -> None:
    lines = suite_text().splitlines()
    path = tmp_path / "mine.toml"
    for place, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        if equals:
            path.write_text("\n".join([*lines[:place], f"{key} = {value}", *lines[place + 1 :]]))
            with suppress(ConfigError):
                load_suite(path)


def test_a_suite_that_is_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "mine.toml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="not a plain file"):
        load_suite(pipe)
    (tmp_path / "link.toml").symlink_to(tmp_path / "real.toml")
    (tmp_path / "real.toml").write_text(suite_text())
    assert load_suite(tmp_path / "link.toml").name == "tiny"


@pytest.fixture
def checkpoints(tmp_path: Path, suite: SuiteConfig) -> Checkpoints:
    config = suite.runs()[0]
    directory = tmp_path / config.run_id
    directory.parent.mkdir(parents=True)
    found = Checkpoints(config, directory, tmp_path, 0.0)
    found.save(Checkpoint({"x": np.arange(3.0), "y": np.zeros(2)}, {"a": 1, "b": [None, "text"]}))
    return found


def test_any_flipped_bit_of_a_checkpoint_begins_again(checkpoints: Checkpoints) -> None:
    path = checkpoints._path
    honest = path.read_bytes()
    assert checkpoints.load() is not None
    for position in range(8 * len(honest)):
        damaged = bytearray(honest)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert checkpoints.load() is None, position
        assert not path.exists()


def test_any_change_of_a_checkpoints_header_begins_again(checkpoints: Checkpoints) -> None:
    path, rng = checkpoints._path, random.Random(0)
    honest = path.read_bytes()
    for old, new in ((b'"values"', b'"valuez"'), (b"data_offsets", b"data_offsetz"), (b'{"a":1', b'{"a":2')):
        assert old in honest
        path.write_bytes(honest.replace(old, new, 1))
        assert checkpoints.load() is None
    for _ in range(200):
        path.write_bytes(honest[: rng.randrange(len(honest))] + rng.randbytes(rng.randrange(20)))
        assert checkpoints.load() is None


def test_a_checkpoint_that_is_a_pipe_begins_again(checkpoints: Checkpoints) -> None:
    path = checkpoints._path
    path.unlink()
    os.mkfifo(path)
    assert checkpoints.load() is None
    assert not path.exists()


@pytest.mark.parametrize("code", [errno.EIO, errno.EBADF, errno.EINVAL, errno.EROFS])
def test_a_lock_that_the_system_refuses_is_not_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock, "_lock", refuse)
    with pytest.raises(OutputDirectoryError, match=os.strerror(code)), directory_lock(tmp_path):
        pass


def test_a_lock_that_is_held_is_in_use(tmp_path: Path) -> None:
    with directory_lock(tmp_path), pytest.raises(DirectoryLockedError, match="in use"), directory_lock(tmp_path):
        pass
