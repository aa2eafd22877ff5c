"""Mutated submissions: whatever is in them, the answer is a verdict; nothing runs, hangs or gets out."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import snapshot
from tamper import members_of, npz, write_submission

from baselines.leaderboard.config import RunConfig
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.record import SUMS, config_payload, encode_sums
from baselines.leaderboard.verify import pack_submission, verify_submission

Members = dict[str, bytes]
HANG_SECONDS = 120
NASTY_NAMES = (
    "../../escaped", "/tmp/escaped", "a/../../../escaped", "one/adaps/seed-0/../../../../escaped", "C:/escaped",
    "one/adaps/seed-0", "one//seed-0/config.json", "\x00", "é/ü/seed-0/config.json", "a" * 5000,
    "con/nul/seed-0/costs.json",
)  # fmt: skip
NASTY_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**62, 10**30, 1e308, -1e-320, "", "\x1b[2J", "<script>", "../..", "\ud800", "x" * 100_000,
    [], [[]], {}, {"a": {"b": []}}, [0] * 5000, "BPS-2-v0", "__import__('os')",
)  # fmt: skip


class Bomb:
    """Unpickling it would leave a file behind."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.sentinel),)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, insert, double or shuffle bytes."""
    mutable = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(mutable) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(mutable):
            mutable[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del mutable[place : place + rng.choice((1, 4, 1000))]
        elif kind == 2:
            mutable[place:place] = rng.randbytes(rng.choice((1, 4, 200)))
        elif kind == 3:
            mutable[place:place] = mutable[place : place + 300]
        else:
            mutable[place : place + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"PK\x01\x02", b"9999"))
    return bytes(mutable)


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Change one leaf, key or entry somewhere in a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        changed = dict(value)
        if rng.random() < 0.1:
            changed[str(rng.choice(NASTY_VALUES))[:50]] = changed.pop(key)
        elif rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = mutate_value(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], mutate_value(value[place], rng), *value[place + 1 :]]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((value + 1, -value, value * 2, value * 1000, value / 3, value - 1))
    return rng.choice(NASTY_VALUES)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    changed = mutate_value(json.loads(data), rng)
    return (json.dumps(changed, sort_keys=True, indent=2) + "\n").encode()


def mutate_config(data: bytes, rng: random.Random) -> bytes:
    """A valid other configuration, with the digests that belong to it, where the mutation allows one."""
    config = json.loads(data)["config"]
    changed = mutate_value(config, rng)
    try:
        return pretty_json(config_payload(RunConfig.model_validate(changed)))
    except Exception:
        return (json.dumps({"schema": 1, "config": changed}) + "\n").encode()


def mutate_arrays(data: bytes, rng: random.Random, sentinel: Path) -> bytes:
    with np.load(BytesIO(data)) as loaded:
        arrays = {name: loaded[name].copy() for name in loaded.files}
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    kind = rng.randrange(7)
    if kind == 0 and array.size:
        array.flat[rng.randrange(array.size)] = rng.choice((0, 1, 3, 200))
    elif kind == 1:
        arrays[name] = array.astype(rng.choice(("float32", "int8", "complex64", "S3", "float64")))
    elif kind == 2:
        arrays[name] = np.concatenate([array.reshape(-1)] * 2)
    elif kind == 3:
        arrays[name] = np.array([Bomb(sentinel)], dtype=object)
    elif kind == 4 and array.dtype.kind == "f":
        array.flat[0] = rng.choice((np.nan, np.inf, 1e308))
    elif kind == 5:
        arrays[rng.choice(("extra", "../escaped", name + ".npy"))] = array
    else:
        arrays[name] = array[..., :-1] if array.ndim else array.reshape(1)
    return npz(arrays)


def mutate_member(name: str, data: bytes, rng: random.Random, sentinel: Path) -> bytes:
    if rng.random() < 0.3:
        return mutate_bytes(data, rng)
    if name.endswith("config.json"):
        return mutate_config(data, rng)
    if name.endswith(".json"):
        return mutate_json(data, rng)
    if name.endswith(".jsonl"):
        lines = data.splitlines(keepends=True)
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(mutate_value(json.loads(lines[place]), rng)).encode() + b"\n"
        return b"".join(lines)
    if name.endswith(".npz"):
        return mutate_arrays(data, rng, sentinel)
    return mutate_bytes(data, rng)


def mend(members: Members, rng: random.Random) -> None:
    """Write the sums of every run anew, as a forger would, most of the time."""
    if rng.random() < 0.15:
        return
    for sums in [name for name in members if name.endswith(f"/{SUMS}")]:
        run = sums[: -len(SUMS)]
        files = {
            name.removeprefix(run): data for name, data in members.items() if name.startswith(run) and name != sums
        }
        members[sums] = encode_sums(files)


def mutated_submission(file: Path, honest: Members, rng: random.Random, sentinel: Path) -> None:
    """Write one mutated submission."""
    members = dict(honest)
    if rng.random() < 0.2:
        write_submission(file, members)
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))
        return
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(sorted(members))
        kind = rng.random()
        if kind < 0.08:
            del members[name]
        elif kind < 0.16:
            members[rng.choice((*NASTY_NAMES, name.replace("seed-0", "seed-5"), name + "x"))] = members[name]
        elif kind < 0.24:
            members[name] = members[rng.choice(sorted(members))]
        else:
            members[name] = mutate_member(name, members[name], rng, sentinel)
        if not members:
            break
    mend(members, rng)
    write_submission(file, members)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cases", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_every_mutated_submission_gets_a_verdict_and_nothing_gets_out(
    honest_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int
) -> None:
    temporary, sentinel = tmp_path / "temporary", tmp_path / "executed"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    few = shutil.copytree(honest_runs, tmp_path / "runs")
    honest_file = tmp_path / "honest.zip"
    pack_submission(few, honest_file)
    honest = members_of(honest_file)
    shutil.rmtree(few)
    file = tmp_path / "mutated.zip"
    before = {**snapshot(tmp_path), "mutated.zip": b""}
    verified = 0
    for case in range(cases):
        rng = random.Random(case)
        try:
            mutated_submission(file, honest, rng, sentinel)
        except (UnicodeEncodeError, ValueError, TypeError, OverflowError):
            continue  # the mutation itself cannot be written down
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            verdict = verify_submission(file)
            "\n".join(verdict.lines()).encode()
            json.dumps(verdict.to_json()).encode()
        except ConfigError as error:
            raise AssertionError(f"case {case}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        verified += verdict.verified
        assert list(temporary.iterdir()) == [], case
        assert not sentinel.exists(), case
    assert {**snapshot(tmp_path), "mutated.zip": b""} == before
    assert verified < cases // 4
