"""Tools of a forger who knows the format: edits that mend every hash that they can."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.records.artifacts import (
    Weights,
    decode_weights,
    decode_weights_metadata,
    encode_metrics,
    encode_weights,
)
from baselines.leaderboard.records.reader import SUMS, encode_sums
from baselines.leaderboard.records.run_files import config_payload
from baselines.leaderboard.spec.config import RunConfig
from baselines.leaderboard.verify import packing as submission
from baselines.leaderboard.verify.weights import BEST, FINAL, METADATA_KEY

Arrays = dict[str, np.ndarray]


def mend(run: Path) -> None:
    """Write SHA256SUMS of a run anew."""
    if not (run / SUMS).exists():
        return
    names = [name for name in os.listdir(run) if name != SUMS and (run / name).is_file()]
    (run / SUMS).write_bytes(encode_sums({name: (run / name).read_bytes() for name in names}))


def edit_json(run: Path, name: str, edit: Callable[[Any], Any]) -> None:
    """Change a JSON file in place, laid out as its writer does it; ``edit`` may return a new value."""
    value = json.loads((run / name).read_bytes())
    changed = edit(value)
    (run / name).write_bytes(pretty_json(value if changed is None else changed))
    mend(run)


def edit_text(run: Path, name: str, old: str, new: str) -> None:
    """Replace text in a file, which must be there."""
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new, 1))
    mend(run)


def edit_config(run: Path, edit: Callable[[Any], Any]) -> None:
    """Change the configuration and give it the digests and seeds that belong to it."""
    config = json.loads((run / "config.json").read_bytes())["config"]
    edit(config)
    payload = config_payload(RunConfig.model_validate(config))
    (run / "config.json").write_bytes(pretty_json(payload))
    edit_json(run, "status.json", lambda status: status.update(run_id=RunConfig.model_validate(config).run_id))


def arrays_of(run: Path, name: str) -> Arrays:
    """All arrays of an archive."""
    with np.load(run / name) as loaded:
        return {key: loaded[key] for key in loaded.files}


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An archive as the leaderboard writes it, but of whatever arrays."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = BytesIO()
            np.save(member, array, allow_pickle=True)
            archive.writestr(npz_info(name), member.getvalue())
    return buffer.getvalue()


def npz_info(name: str) -> zipfile.ZipInfo:
    """What the leaderboard's archives say of an array."""
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def write_arrays(run: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace an archive, its hash mended."""
    (run / name).write_bytes(npz(arrays))
    mend(run)


def edit_arrays(run: Path, name: str, edit: Callable[[Arrays], Any]) -> None:
    """Change arrays in place or by assignment to their names."""
    arrays = arrays_of(run, name)
    edit(arrays)
    write_arrays(run, name, arrays)


def edit_returns(run: Path, edit: Callable[[Arrays], Any]) -> None:
    """Change returns and whatever follows from them in metrics.jsonl."""
    edit_arrays(run, "evaluation.npz", edit)
    arrays = {name: array.astype(np.longdouble) for name, array in arrays_of(run, "evaluation.npz").items()}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_bytes().splitlines()]
    for point, line in enumerate(lines):
        for kind in ("greedy", "sampled"):
            line[f"{kind}_mean"] = float(arrays[kind][point].mean())
            line[f"{kind}_std"] = float(arrays[kind][point].std())
    (run / "metrics.jsonl").write_bytes(encode_metrics(lines))
    mend(run)


def edit_metrics(run: Path, edit: Callable[[list[Any]], Any]) -> None:
    """Change the list of points; ``edit`` may return a new one."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_bytes().splitlines()]
    changed = edit(lines)
    (run / "metrics.jsonl").write_bytes(encode_metrics(lines if changed is None else changed))
    mend(run)


def edit_weights(run: Path, name: str, edit: Callable[[Weights], Any]) -> None:
    """Change weights in place or by assignment to their names; what the file says of itself stays."""
    data = (run / name).read_bytes()
    weights = {key: array.copy() for key, array in decode_weights(data).items()}
    edit(weights)
    (run / name).write_bytes(encode_weights(weights, decode_weights_metadata(data)))
    mend(run)


def edit_header(run: Path, edit: Callable[[Any], Any]) -> None:
    """Change what both files of weights say they are for."""
    for name in (FINAL, BEST):
        data = (run / name).read_bytes()
        header = json.loads(decode_weights_metadata(data)[METADATA_KEY])
        edit(header)
        metadata = {METADATA_KEY: json.dumps(header, sort_keys=True)}
        (run / name).write_bytes(encode_weights(decode_weights(data), metadata))
    mend(run)


def flip(path: Path, position: float, bit: int = 0) -> None:
    """Flip one bit at a fraction of the file."""
    data = bytearray(path.read_bytes())
    data[min(int(position * len(data)), len(data) - 1)] ^= 1 << bit
    path.write_bytes(data)


def members_of(file: Path) -> dict[str, bytes]:
    """The members of a submission, its manifest excepted."""
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != submission.MANIFEST}


def write_submission(file: Path, members: Mapping[str, bytes]) -> None:
    """Write members as a submission whose manifest lists them."""
    submission._write_archive(file, submission._in_order(dict(members)))


def append_member(file: Path, info: zipfile.ZipInfo, data: bytes) -> None:
    """Add a member to a submission behind its manifest's back."""
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(info, data)
