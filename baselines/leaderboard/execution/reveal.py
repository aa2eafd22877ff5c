"""Revealing the seeds that a suite has committed to: every finished run plays episodes that nobody could train on."""

from __future__ import annotations

import base64
import json
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from baselines.leaderboard.errors import ConfigError, OutputDirectoryError
from baselines.leaderboard.execution.apart import answer_apart, begin_apart, needs_plugin
from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.learner import build_model, network_only
from baselines.leaderboard.execution.plan import SUITE_FILE, read_suite_file
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.records.reader import FinishedRun, find_runs, read_run, read_weights
from baselines.leaderboard.records.revealed import (
    SALT_FILE,
    RevealedPlay,
    commitment_of,
    decode_play,
    encode_play,
    play_path,
    read_salt,
    revealed_seeds,
    write_revealed,
)
from baselines.leaderboard.spec.config import REVEALED

__all__ = ["play_revealed", "reveal"]


def reveal(out: Path, salt_file: Path) -> int:
    """Play the final policy of every finished run in the episodes of a salt; write ``revealed/``, whole or not at all.

    Returns:
        How many runs were played.

    Raises:
        ConfigError: the suite commits to no salt or to another one, has open runs or light records, or a policy cannot
            be played.
        OutputDirectoryError: the seeds are revealed already, or the disk refuses.
        DamagedRecordError: a run cannot be trusted.
        DirectoryLockedError: another process runs jobs there.
    """
    suite = read_suite_file(out)
    if suite is None or suite.seed_commitment is None:
        raise ConfigError(
            f"{out / SUITE_FILE} has no seed_commitment; make one with `adaps leaderboard commit` before the first run."
        )
    salt = read_salt(salt_file)
    if commitment_of(salt) != suite.seed_commitment:
        raise ConfigError(
            f"{salt_file} has the hash {commitment_of(salt)}; the suite commits to {suite.seed_commitment}. Give the "
            "salt of that one."
        )
    with directory_lock(out):
        if (out / REVEALED).exists():
            raise OutputDirectoryError(f"{out / REVEALED} is there already; it is kept as it is.")
        records = {record.config.run_id: record for record in map(read_run, find_runs(out))}
        missing = [config.run_id for config in suite.runs() if config.run_id not in records]
        if missing:
            raise ConfigError(
                f"{len(missing)} runs are open ({missing[0]}); whoever knows the seeds could train on them. Finish the "
                "suite first."
            )
        finished = [record for record in records.values() if isinstance(record, FinishedRun)]
        light = [record.config.run_id for record in finished if record.light]
        if light:
            raise ConfigError(f"{light[0]} is light; without weights nothing can be played. Give the full records.")
        files = {play_path(record.config.run_id): _played(record, salt) for record in finished}
        write_revealed(out, {f"{REVEALED}/{SALT_FILE}": f"{salt}\n".encode("ascii"), **files})
    return len(finished)


def _played(record: FinishedRun, salt: str) -> bytes:
    try:
        return _played_apart(record, salt) if needs_plugin(record.config) else encode_play(play_revealed(record, salt))
    except Exception as error:  # whatever weights or settings from elsewhere bring about
        raise ConfigError(
            f"{record.config.run_id} cannot be played ({type(error).__name__}: {error}), so nothing was revealed. "
            "`adaps leaderboard verify --deep` names what is wrong with a run; leave its row out."
        ) from error


def _played_apart(record: FinishedRun, salt: str) -> bytes:
    """Code of a plug-in must not have a part in what other runs play."""
    message, ending = answer_apart(_main, record, salt)
    if message is None:
        raise RuntimeError(ending)
    data = base64.b64decode(message)
    decode_play(data, record.config.task)
    return data


def _main(connection: Connection) -> None:
    """Play the one run that is asked for."""
    data = base64.b64encode(encode_play(play_revealed(*begin_apart(connection))))
    connection.send_bytes(json.dumps(data.decode("ascii")).encode("ascii"))


def play_revealed(record: FinishedRun, salt: str) -> RevealedPlay:
    """Play the final policy of a run, as its task is scored, on one thread as in the run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        policy = build_model(network_only(record.config)).policy
        policy.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(record).items()})
        first_seed = int(revealed_seeds(salt, record.config.task)[0])
        episodes = Evaluator(record.config).scored(policy, first_seed)
    finally:
        torch.set_num_threads(threads)
    return RevealedPlay(episodes.returns, episodes.actions, episodes.lengths)
