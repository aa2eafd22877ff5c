"""Play in episodes that were secret while runs trained: ``revealed/``, next to the runs, once a board is closed.

A suite names the hash of a salt; the salt gives the environment seeds of these episodes. Their actions are stored, so
that returns can be replayed without weights.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.bounds import MAX_RETURN
from baselines.leaderboard.errors import ConfigError, DamagedRecordError, OutputDirectoryError
from baselines.leaderboard.files import (
    fsync_directory,
    make_directory,
    read_plain_file,
    sha256_hex,
    write_file,
    writing,
)
from baselines.leaderboard.records.npz import decode_npz, encode_npz
from baselines.leaderboard.records.reader import FinishedRun, RunRecord
from baselines.leaderboard.spec.config import REVEALED, RunConfig, SuiteConfig, TaskConfig

__all__ = [
    "SALT_FILE",
    "RevealedPlay",
    "RevealedSet",
    "commitment_of",
    "copy_revealed",
    "encode_play",
    "new_salt",
    "play_path",
    "read_play",
    "read_revealed",
    "read_salt",
    "revealed_files",
    "revealed_salt",
    "revealed_seeds",
    "unexpected_files",
    "write_revealed",
]

SALT_FILE = "salt.txt"

_SALT = re.compile(r"[0-9a-f]{64}")
_MAX_SALT_BYTES = 256
_MAX_PLAY_BYTES = 64 << 20
# Above every other seed, and too many to be trained on.
_FIRST_SEED = 1 << 48
_SEED_DIGITS = 12


@dataclass(frozen=True)
class RevealedPlay:
    """The final policy of a run in E revealed episodes, played as its task is scored.

    Attributes:
        returns: ``[E] float64`` team returns.
        actions: ``[T, E, N] uint8``; 0 after the end of an episode.
        lengths: ``[E] int64`` steps of each episode.
    """

    returns: NDArray[np.float64]
    actions: NDArray[np.uint8]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class RevealedSet:
    """The salt, and the play of every finished run by its id."""

    salt: str
    plays: Mapping[str, RevealedPlay]


def new_salt() -> str:
    """Return a salt that nobody can guess."""
    return secrets.token_hex(32)


def commitment_of(salt: str) -> str:
    """Return what a suite names before the salt is revealed: its SHA-256, 64 hexadecimal digits."""
    return sha256_hex(salt.encode("ascii"))


def revealed_seeds(salt: str, task: TaskConfig) -> NDArray[np.int64]:
    """Return the environment seeds ``[E] int64`` of a task's revealed episodes; they follow from salt and task name."""
    first = _FIRST_SEED + int(sha256_hex(f"{salt} {task.name}".encode())[:_SEED_DIGITS], 16)
    return np.arange(task.eval_episodes, dtype=np.int64) + first


def read_salt(path: Path) -> str:
    """Read a file that holds a salt and nothing else.

    Raises:
        ConfigError: it does not, or cannot be read.
    """
    try:
        text = read_plain_file(path, _MAX_SALT_BYTES).decode("ascii", "replace").removesuffix("\n")
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"{path} holds no salt ({error}); give the file of `adaps leaderboard commit`.") from None
    if not _SALT.fullmatch(text):
        raise ConfigError(
            f"{path} holds no salt: a salt has 64 hexadecimal digits; `adaps leaderboard commit` makes one."
        )
    return text


def play_path(run: str) -> str:
    """Return where the play of a run lies below the output directory."""
    return f"{REVEALED}/{run}.npz"


def encode_play(play: RevealedPlay) -> bytes:
    """Return the play of a run as bytes; the same values give the same bytes."""
    return encode_npz({field.name: getattr(play, field.name) for field in fields(play)})


def decode_play(data: bytes, task: TaskConfig) -> RevealedPlay:
    """Read the play of a run and hold it to its task.

    Raises:
        ValueError: wrong members, shapes, dtypes or values.
    """
    arrays: dict[str, NDArray[Any]] = decode_npz(data)
    episodes = task.eval_episodes
    if set(arrays) != {field.name for field in fields(RevealedPlay)}:
        raise ValueError(f"holds {sorted(arrays)}, not {sorted(field.name for field in fields(RevealedPlay))}")
    returns, actions, lengths = arrays["returns"], arrays["actions"], arrays["lengths"]
    for name, array, shape, dtype in (
        ("returns", returns, (episodes,), "float64"),
        ("lengths", lengths, (episodes,), "int64"),
        ("actions", actions, (*actions.shape[:1], episodes, *actions.shape[2:3]), "uint8"),
    ):
        if array.shape != shape or array.dtype != dtype or (name == "actions" and array.ndim != 3):
            raise ValueError(
                f"{name} is {array.dtype} {list(array.shape)}; the task has {episodes} episodes of {dtype}"
            )
    if not (np.abs(returns) <= MAX_RETURN).all():
        raise ValueError(f"returns holds a value beyond {MAX_RETURN:g}, or none")
    if (lengths < 1).any() or (lengths > len(actions)).any():
        raise ValueError(f"lengths must lie in 1..{len(actions)}")
    return RevealedPlay(returns, actions, lengths)


def revealed_salt(out: Path, suite: SuiteConfig | None) -> str | None:
    """Return the revealed salt of an output directory; None where nothing is revealed.

    Raises:
        DamagedRecordError: it is none, or not the one that the suite commits to.
    """
    if not os.path.lexists(out / REVEALED):
        return None
    if (out / REVEALED).is_symlink():
        raise _damaged(out, REVEALED, "a link; it is a plain directory")
    try:
        salt = read_salt(out / REVEALED / SALT_FILE)
    except ConfigError as error:
        raise _damaged(out, f"{REVEALED}/{SALT_FILE}", str(error)) from None
    committed = None if suite is None else suite.seed_commitment
    if commitment_of(salt) != committed:
        fault = f"its hash is {commitment_of(salt)}; the suite's seed_commitment is {committed or 'missing'}"
        raise _damaged(out, f"{REVEALED}/{SALT_FILE}", fault)
    return salt


def read_play(out: Path, config: RunConfig) -> RevealedPlay:
    """Read the revealed play of a finished run.

    Raises:
        DamagedRecordError: it is missing, or not what its task asks for.
    """
    name = play_path(config.run_id)
    try:
        return decode_play(read_plain_file(out / name, _MAX_PLAY_BYTES), config.task)
    except FileNotFoundError:
        raise _damaged(out, name, "missing; every finished run is played in the revealed episodes") from None
    except ValueError as error:
        raise _damaged(out, name, str(error)) from None


def read_revealed(out: Path, suite: SuiteConfig | None, records: Iterable[RunRecord]) -> RevealedSet | None:
    """Return what is revealed of the finished runs among ``records``; None where nothing is.

    Raises:
        DamagedRecordError: naming the file and the fault.
    """
    salt = revealed_salt(out, suite)
    if salt is None:
        return None
    finished = [record for record in records if isinstance(record, FinishedRun)]
    return RevealedSet(salt, {record.config.run_id: read_play(out, record.config) for record in finished})


def unexpected_files(out: Path, runs: Iterable[str]) -> list[str]:
    """Return what lies in ``revealed/`` and is neither the salt nor the play of one of ``runs``, and all links."""
    expected = {f"{REVEALED}/{SALT_FILE}", *map(play_path, runs)}
    expected |= {parent.as_posix() for name in expected for parent in Path(name).parents}
    found = {path.relative_to(out).as_posix(): path for path in (out / REVEALED).rglob("*")}
    return sorted(name for name, path in found.items() if name not in expected or path.is_symlink())


def revealed_files(out: Path, runs: Iterable[str]) -> dict[str, bytes]:
    """Return the files of ``revealed/`` by path, those of some runs; nothing where nothing is revealed."""
    plays = [play_path(run) for run in runs]
    names = [f"{REVEALED}/{SALT_FILE}", *plays] if plays else []
    return {name: (out / name).read_bytes() for name in names if (out / name).is_file()}


def write_revealed(out: Path, files: Mapping[str, bytes]) -> None:
    """Write ``revealed/`` whole or not at all.

    Raises:
        OutputDirectoryError: it is there already, or the disk refuses.
    """
    staged = out / f".{REVEALED}"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        for name, data in sorted(files.items()):
            path = staged / name
            make_directory(path.parent)
            write_file(path, data)
        with writing(out):
            if (out / REVEALED).exists():
                raise OutputDirectoryError(f"{out / REVEALED} is there already; it is kept as it is.")
            (staged / REVEALED).rename(out / REVEALED)
            fsync_directory(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def copy_revealed(source: Path, out: Path, runs: Iterable[str]) -> None:
    """Copy what is revealed of some runs; what is there already must be the same.

    Raises:
        OutputDirectoryError: other plays are there, or the disk refuses.
    """
    files = revealed_files(source, runs)
    if not files:
        return
    if not (out / REVEALED).exists():
        write_revealed(out, files)
    elif any(not (out / name).is_file() or (out / name).read_bytes() != data for name, data in files.items()):
        raise OutputDirectoryError(f"{out / REVEALED} is not that of {source}; move it away, or choose another --out.")


def _damaged(out: Path, name: str, fault: str) -> DamagedRecordError:
    message = f"damaged {out / name}: {fault}. Move {out / REVEALED} away, and reveal the seeds again."
    return DamagedRecordError(message, file=name, fault=fault)
