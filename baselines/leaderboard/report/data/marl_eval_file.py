"""Runs in the format of marl-eval, for those who plot or aggregate with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution.plan import read_suite_file
from baselines.leaderboard.report.data.collect import check_comparable, read_all
from baselines.leaderboard.report.data.marl_eval import marl_eval_of

__all__ = ["marl_eval"]


def marl_eval(out: Path) -> dict[str, Any]:
    """Return the finished runs of a directory, episode by episode; see :func:`marl_eval_of`.

    Raises:
        ConfigError: there is no finished run.
        ConfigMismatchError: runs of a task differ in more than scheme and seed.
        DamagedRecordError: the suite cannot be read.
    """
    records = [record for record in read_all(out)[0] if record.status == "done"]
    if not records:
        raise ConfigError(f"{out} holds no finished runs.")
    check_comparable(records)
    return marl_eval_of(records, read_suite_file(out))
