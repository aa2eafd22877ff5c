"""The reference scores in a suite's file: which tasks need them, and putting them there without touching the rest."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.files import replace_file

__all__ = ["own_tasks", "score_lines", "write_scores"]

Scores = Mapping[str, float]
# Every part but the first begins with the header of a table.
_TABLE = re.compile(r"^(?=[ \t]*\[)", re.MULTILINE)
_TASK = re.compile(r"[ \t]*\[\[[ \t]*tasks[ \t]*\]\]")


def own_tasks(path: Path) -> dict[int, dict[str, Any]]:
    """Return the tasks that a suite's file defines in full, by their place among its ``[[tasks]]``.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or defines no task of its own.
    """
    tasks = _parsed(path, _text(path)).get("tasks")
    entries = enumerate(tasks) if isinstance(tasks, list) else ()
    found = {place: entry for place, entry in entries if isinstance(entry, dict) and isinstance(entry.get("env"), str)}
    if not found:
        raise ConfigError(f"{path} defines no task of its own: give one an env; built-in tasks have their scores.")
    return found


def score_lines(scores: Scores) -> list[str]:
    """Return the lines of a task's table that hold its scores, six digits each."""
    return [f"{name} = {value:.6g}" for name, value in scores.items()]


def write_scores(path: Path, scores: Mapping[int, Scores]) -> None:
    """Put scores into the file; comments and all other lines stay as they are.

    Args:
        path: the suite's file.
        scores: scores of tasks, by their place.

    Raises:
        ConfigError: the tasks are not written as ``[[tasks]]`` tables; the file is as before.
        OutputDirectoryError: the file cannot be written.
    """
    text = _text(path)
    wanted = _parsed(path, text)
    for place, values in scores.items():
        wanted["tasks"][place] |= tomllib.loads("\n".join(score_lines(values)))
    changed = _edited(text, scores)
    try:
        same = tomllib.loads(changed) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ConfigError(
            f"{path}: its tasks are not written as [[tasks]] tables with one key a line, so nothing was changed; put "
            "the printed lines there by hand."
        )
    replace_file(path, changed.encode("utf-8"))


def _edited(text: str, scores: Mapping[int, Scores]) -> str:
    parts, place = _TABLE.split(text), -1
    for index, part in enumerate(parts):
        if not _TASK.match(part):
            continue
        place += 1
        lines = score_lines(scores.get(place, {}))
        for line in reversed(lines):
            part = _with_line(part, line)
        parts[index] = part
    return "".join(parts)


def _with_line(table: str, line: str) -> str:
    """Put ``name = value`` in the place of the table's line for this name, or below ``env``."""
    name = line.partition(" ")[0]
    there = re.compile(rf"^[ \t]*{name}[ \t]*=[^#\n]*?(?=[ \t]*(?:#.*)?$)", re.MULTILINE)
    if there.search(table):
        return there.sub(line, table, count=1)
    return re.sub(r"^([ \t]*env[ \t]*=.*)$", rf"\1\n{line}", table, count=1, flags=re.MULTILINE)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")  # line ends as they are
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}.") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
