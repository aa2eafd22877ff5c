"""Examining a run in a process of its own, because its scheme or environment is not ours.

Whatever that code does to its process, other runs are examined elsewhere. What comes back is JSON: faults of this run,
how its agents act, and how they do in held-out episodes.
"""

from __future__ import annotations

import base64
import json
from dataclasses import astuple
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from baselines.leaderboard.execution.apart import answer_apart, begin_apart, needs_plugin
from baselines.leaderboard.records.held_out import HeldOut
from baselines.leaderboard.records.reader import FinishedRun
from baselines.leaderboard.records.revealed import RevealedPlay
from baselines.leaderboard.verify.verdict import Examined, Fault

__all__ = ["examined_apart", "needs_plugin"]


def examined_apart(
    record: FinishedRun, held_out: HeldOut | None = None, revealed: tuple[RevealedPlay, int] | None = None
) -> Examined:
    """Return what :func:`~baselines.leaderboard.verify.deep.examine` finds, of a run that needs a plug-in.

    Args:
        record: the run.
        held_out: what a board stores of it, if it does.
        revealed: a revealed play, and its first seed: the actions of this play alone are examined.
    """
    message, ending = answer_apart(_main, record, (held_out, revealed))
    try:
        if message is not None:
            return _decoded(message)
    except Exception:  # whatever a plug-in answers
        ending = "it answered what cannot be read"
    return Examined((Fault("config.json", "config.scheme", f"cannot be examined: {ending}"),))


def _main(connection: Connection) -> None:
    """Examine the one run that is asked for."""
    record, (held_out, revealed) = begin_apart(connection)
    from baselines.leaderboard.verify.deep import examine, revealed_choice_faults

    if revealed is None:
        found = examine(record, held_out)
    else:
        found = Examined(tuple(revealed_choice_faults(record, *revealed)))
    connection.send_bytes(json.dumps(_encoded(found)).encode("ascii"))


def _encoded(found: Examined) -> list[Any]:
    answers = found.answers
    data = None if answers is None else [list(answers.shape), base64.b64encode(answers.tobytes()).decode("ascii")]
    faults, notes = ([astuple(fault) for fault in each] for each in (found.faults, found.notes))
    held_out = None if found.held_out is None else found.held_out.model_dump(mode="json")
    return [faults, found.as_elsewhere, notes, data, held_out, found.other_deals]


def _decoded(message: Any) -> Examined:
    faults, as_elsewhere, notes, data, held_out, deals = message
    answers = None
    if data is not None:
        rows, columns = data[0]
        answers = np.frombuffer(base64.b64decode(data[1]), np.float32).reshape(rows, columns)
        if answers.size == 0:
            raise ValueError("no answers")
    told = [tuple(Fault(*map(str, fault)) for fault in each) for each in (faults, notes)]
    played = None if held_out is None else HeldOut.model_validate(held_out)
    return Examined(told[0], bool(as_elsewhere), told[1], answers, played, tuple(map(float, deals)))
