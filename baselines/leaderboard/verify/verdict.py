"""What verification says: every fault with its file and place, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.records.held_out import HeldOut
from baselines.leaderboard.records.metadata_files import SCHEMA
from baselines.leaderboard.spec.config import PROTOCOL
from baselines.text import counted, printable

__all__ = ["Examined", "Fault", "RunVerdict", "Verdict"]

_LONGEST_TEXT = 600


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it must be.

    Attributes:
        file: path inside the verified directory or archive, ``/`` between its parts; empty for the whole of it.
        where: line, field or array entry inside the file; empty for the whole file.
        message: what is there, and what the rule is.
    """

    file: str
    where: str
    message: str

    def __post_init__(self) -> None:
        # Texts quote foreign content, which may be long.
        for name in ("file", "where", "message"):
            text = getattr(self, name)
            if len(text) > _LONGEST_TEXT:
                object.__setattr__(self, name, f"{text[:_LONGEST_TEXT]} ...")

    def __str__(self) -> str:
        return printable(": ".join(part for part in (self.file, self.where, self.message) if part))


@dataclass(frozen=True)
class Examined:
    """What was found by playing the stored policies of one run.

    Attributes:
        faults: nothing, if they play as recorded.
        as_elsewhere: whether the run names another machine or other software than these, and was compared less exactly.
        notes: what is no fault: it would be one if the run named this machine and this software, or is rare by chance.
        answers: how its agents act, see :func:`~baselines.leaderboard.verify.copies.answers_of`; None if unknown.
        held_out: how the final policy does in episodes that were drawn just now; None if it was not played.
        other_deals: ARI of the groups that its identity phase finds with other seeds; of settings of its own alone.
    """

    faults: tuple[Fault, ...]
    as_elsewhere: bool = False
    notes: tuple[Fault, ...] = ()
    answers: NDArray[np.float32] | None = None
    held_out: HeldOut | None = None
    other_deals: tuple[float, ...] = ()


@dataclass(frozen=True)
class RunVerdict:
    """What was found in one run directory.

    Attributes:
        run: its path, ``<task>/<scheme>/seed-<s>``.
        status: ``done`` or ``failed`` as recorded; None where that cannot be read.
        replayed: episodes whose recorded actions were played again.
        faults: nothing, if the run verifies.
        light: whether its weights and the actions of its absolute episodes were left out.
        recorded: mean return of the scored play at the last evaluation step; None if the run did not finish.
        held_out: the same in episodes that were drawn just now, by ``--deep``.
        retrained: whether it was drawn to be trained again, with the same bytes.
    """

    run: str
    status: str | None
    replayed: int
    faults: tuple[Fault, ...]
    light: bool = False
    recorded: float | None = None
    held_out: HeldOut | None = None
    retrained: bool = False


@dataclass
class Verdict:
    """The outcome of one verification.

    Attributes:
        target: what was verified.
        deep: whether the stored policies were played, too.
        runs: one verdict a run directory.
        faults: faults that belong to no single run.
        notes: what a reader should know and is no fault.
    """

    target: str
    deep: bool = False
    runs: list[RunVerdict] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def all_faults(self) -> list[Fault]:
        """Those of the set first, then run by run."""
        return [*self.faults, *(fault for run in self.runs for fault in run.faults)]

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.all_faults

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values, the same for the same content."""
        return {
            "schema": SCHEMA,
            "protocol": PROTOCOL,
            "target": self.target,
            "verified": self.verified,
            "deep": self.deep,
            "runs": [
                {
                    "run": run.run,
                    "status": run.status,
                    "verified": not run.faults,
                    "replayed_episodes": run.replayed,
                    "light": run.light,
                    "recorded_return": run.recorded,
                    "held_out": None if run.held_out is None else run.held_out.model_dump(mode="json"),
                    "retrained": run.retrained,
                }
                for run in self.runs
            ],
            "faults": [asdict(fault) for fault in self.all_faults],
            "notes": self.notes,
        }

    def lines(self) -> Iterator[str]:
        """Yield the verdict as lines for a terminal; text from records cannot control it."""
        for run in self.runs:
            episodes = f"{run.replayed} episodes replayed" if run.status == "done" else "nothing to replay"
            light = "light, " if run.light else ""
            word = "FAULT" if run.faults else "ok"
            held = run.held_out
            drawn = f"; return {run.recorded:.6g}, {held.mean:.6g} in {held.episodes} held-out episodes" if held else ""
            again = "; trained again: the same" if run.retrained else ""
            yield printable(f"{word:<6} {run.run}: {run.status or 'unreadable'}, {light}{episodes}{drawn}{again}")
        for fault in self.all_faults:
            yield f"fault: {fault}"
        for note in self.notes:
            yield printable(f"note: {note}")
        sound = [run for run in self.runs if not run.faults]
        failed = sum(run.status == "failed" for run in sound)
        be = "is" if len(self.runs) == 1 else "are"
        also = f", {failed} recorded as failed" if failed else ""
        verdict = "verified" if self.verified else f"NOT verified, {len(self.all_faults)} faults"
        yield printable(
            f"{self.target}: {verdict}; {len(sound) - failed} of {counted(len(self.runs), 'run')} {be} sound{also}"
        )
