"""Checks of stored weights that need no network: for what they say they are, and what they hold beside weights.

Files are read as numpy arrays; nothing is unpickled and torch is not needed. Whether the weights play as recorded,
:mod:`~baselines.leaderboard.verify.deep` finds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.json_values import json_values
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.files import parse_json
from baselines.leaderboard.records.artifacts import Evaluation, Weights, WeightsFile, decode_weights_names
from baselines.leaderboard.records.metadata_files import Sharing
from baselines.leaderboard.records.reader import FinishedRun
from baselines.leaderboard.records.run_files import RUN_FILES
from baselines.leaderboard.spec.config import RunConfig
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["BEST", "FINAL", "LABELS", "METADATA_KEY", "check_weights"]

FINAL, BEST = "policy.safetensors", "policy_best.safetensors"

METADATA_KEY = "adaps"
"""The one key of a file's metadata; ``adaps_agents.export.weights`` writes it, but cannot be imported without torch."""

MOST_GAIN = 100.0
"""Power of ten by which all layers of an actor may enlarge its observations together; float64 overflows at 308.

Where sums overflow, the order in which they are added decides, and with it an agent's place in a batch: that would tell
agents of one network apart. Two layers of 16 schemes had 6 to 14 at most, 15 small layers 12, and one of 1,024 neurons
has 1.5. Where masks keep a thousandth, ``rescale`` may enlarge by that much more a layer.
"""

_FORMAT = 1
_SCHEME = "scheme."
_CRITIC = "scheme.critic"
# What the best weights may have more than the final ones, because parameters come and go; and what all may have.
_TIMES_MORE, _SMALL_BYTES = 8, 1 << 20
# Buffers that every scheme has; see ``adaps_agents.schemes.base.SharingScheme``.
LABELS, _IDENTITY_STEPS = "scheme.labels", "scheme.identity_steps"


def check_weights(record: FinishedRun, files: Mapping[str, bytes], env: BatchedEnv) -> Iterator[Fault]:
    """Yield what is wrong with a finished run's two files of weights.

    Args:
        record: the run.
        files: bytes of its files by name.
        env: the environment of its task, for sizes, parameters and hidden types.
    """
    evaluation, sharing = record.evaluation, record.sharing
    weights: dict[str, Weights] = {}
    for file in (FINAL, BEST):
        try:
            unread = list(_ballast_faults(file, files[file], sharing))
            if unread:
                yield from unread
                continue
            stored: WeightsFile = RUN_FILES[file].decode(files[file], record.config)
            weights[file] = stored.arrays
            said = _header(stored.metadata)
        except ValueError as error:
            yield Fault(file, "", str(error))
            continue
        for where, found, rule in _header_differences(said, record, env):
            yield Fault(file, f"__metadata__.{where}", f"{found!r}, not {rule!r}")
        yield from _told_faults(file, said, record.config, sharing)
        yield from _array_faults(file, weights[file])
        yield from _identity_faults(file, weights[file], sharing)
    if len(weights) == 2:
        yield from _label_faults(weights[FINAL], sharing, env.num_agents)
        yield from _pair_faults(weights[FINAL], weights[BEST], evaluation)


def _ballast_faults(file: str, data: bytes, sharing: Sharing) -> Iterator[Fault]:
    """Look at the header before any array is read: names are a scheme's, and there is no more than it holds."""
    for name in decode_weights_names(data):
        if not name.startswith(_SCHEME):
            yield Fault(file, ascii(name), f"an array of nobody; names of a policy's arrays begin with {_SCHEME!r}")
            return
    held = None if sharing.diagnostics is None else sharing.diagnostics.memory_bytes
    if held is not None and len(data) > (most := _TIMES_MORE * held + _SMALL_BYTES):
        yield Fault(file, "", f"{len(data):,} bytes; of a policy that holds {held:,} bytes at most {most:,} are read")


def _handed_types(config: RunConfig, options: Mapping[str, Any]) -> bool:
    """Whether a scheme with these options, as they were written down, was handed the hidden types."""
    given = config.scheme.settings
    return "types" in options and "types" not in given


def _header(metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.keys() != {METADATA_KEY}:
        raise ValueError(f"its metadata has the keys {sorted(metadata)}, not {METADATA_KEY!r} alone")
    header = parse_json(metadata[METADATA_KEY])
    objects = ("scheme_options", "environment_params", "network")
    if not isinstance(header, dict) or not all(isinstance(header.get(name), dict) for name in objects):
        raise ValueError(f"its metadata does not tell {', '.join(objects)}")
    # A file of a network without memory need not say so.
    header["network"].setdefault("recurrent", "none")
    return header


def _header_differences(
    said: Mapping[str, Any], record: FinishedRun, env: BatchedEnv
) -> Iterator[tuple[str, Any, Any]]:
    """Yield entries of a file's header that are not the run's: where, what is there, what the run has."""
    config = record.config
    facts = {
        "format": _FORMAT,
        "scheme": config.scheme.name,
        "environment": env.spec_id,
        "num_agents": env.num_agents,
        "obs_dim": env.obs_dim,
        "num_actions": env.num_actions,
        "library": record.provenance.packages.get("adaps", "unknown"),
    }
    central = config.learner.policy_settings.get("critic") == "central"
    network = {
        **{name: value for name, value in config.learner.policy_settings.items() if name in said["network"]},
        "net_arch": list(config.learner.net_arch),
        "recurrent": config.learner.recurrent,
        "state_dim": env.state_dim if central else 0,
    }
    options = {**config.scheme.settings}
    if "types" in said["scheme_options"] and "types" not in options:
        options["types"] = np.unique(env.agent_types, return_inverse=True)[1].tolist()
    params = json_values(env.params)
    # An environment may have got parameters since; those that the task sets must be there.
    wanted = {*said["environment_params"], *environment_params(config)}
    known = {name: params[name] for name in params if name in wanted}
    for part, found, rule in (
        ("", {name: said.get(name) for name in facts}, facts),
        ("network.", {name: said["network"].get(name) for name in network}, network),
        ("scheme_options.", said["scheme_options"], options),
        ("environment_params.", said["environment_params"], known),
    ):
        for name in sorted(found.keys() | rule.keys()):
            if found.get(name) != rule.get(name):
                yield f"{part}{name}", found.get(name), rule.get(name)


def _told_faults(file: str, said: Mapping[str, Any], config: RunConfig, sharing: Sharing) -> Iterator[Fault]:
    if _handed_types(config, said["scheme_options"]) and sharing.summary.get("told_types") is not True:
        message = f"{sharing.summary.get('told_types')!r}; {file} says that the scheme was handed the hidden types"
        yield Fault("sharing.json", "summary.told_types", message)


def _array_faults(file: str, arrays: Weights) -> Iterator[Fault]:
    if not arrays:
        yield Fault(file, "", "holds no weights")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            yield Fault(file, ascii(name), "holds a value that is not finite")
            return
    gain = sum(_gain(array) for name, array in arrays.items() if not name.startswith(_CRITIC))
    if gain > MOST_GAIN:
        message = f"its sums could overflow: its layers enlarge what they read by up to 1e{gain:.0f}"
        yield Fault(file, "", f"{message}; at most 1e{MOST_GAIN:.0f} is allowed")


def _gain(array: NDArray[Any]) -> float:
    """Return the power of ten by which one array enlarges what it is multiplied with or added to, at most."""
    if array.dtype.kind != "f" or array.size == 0:
        return 0.0
    sizes = np.abs(array.astype(np.float64))
    return float(np.log10(max(1.0, (sizes.sum(axis=-1) if array.ndim > 1 else sizes).max())))


def _identity_faults(file: str, arrays: Weights, sharing: Sharing) -> Iterator[Fault]:
    stored = arrays.get(_IDENTITY_STEPS)
    if stored is None or stored.size != 1 or stored.dtype != np.int64:
        yield Fault(file, _IDENTITY_STEPS, "missing, or not one whole number")
    elif int(stored.item()) != sharing.identity_steps:
        message = f"{sharing.identity_steps}; {file} has {_IDENTITY_STEPS} = {int(stored.item())}"
        yield Fault("sharing.json", "identity_steps", message)


def _label_faults(arrays: Weights, sharing: Sharing, num_agents: int) -> Iterator[Fault]:
    """The groups are part of the weights, by whatever name ``sharing.json`` tells them once more."""
    stored = arrays.get(LABELS)
    if stored is None or stored.shape != (num_agents,) or stored.dtype != np.int64:
        yield Fault(FINAL, LABELS, f"missing, or not one whole number for each of {num_agents} agents")
        return
    labels = stored.tolist()
    named = {f"agent_{agent}": group for agent, group in enumerate(labels)}
    told: dict[str, tuple[Any, Any]] = {"summary.agents": (sharing.summary.get("agents"), named)}
    if sharing.assignment is not None:
        told["assignment"] = (sharing.assignment, labels)
        if sharing.diagnostics is not None:
            told["diagnostics.sharing.groups"] = (sharing.diagnostics.sharing.get("groups"), named)
    for where, (found, rule) in told.items():
        if found is not None and found != rule:
            yield Fault("sharing.json", where, f"{found!r}; {FINAL} has {LABELS} = {labels}")


def _pair_faults(final: Weights, best: Weights, evaluation: Evaluation) -> Iterator[Fault]:
    """Both files are of one scheme, whose parameters may come and go; they are equal if the last point is the best."""
    last = int(evaluation.best_point) == len(evaluation.marks) - 1
    if any(last or not name.startswith(_SCHEME) for name in final.keys() ^ best.keys()):
        yield Fault(BEST, "", f"its names are not those of {FINAL}")
        return
    for name in sorted(final.keys() & best.keys()):
        if final[name].dtype != best[name].dtype or final[name].ndim != best[name].ndim:
            yield Fault(BEST, ascii(name), f"of another type or number of axes than in {FINAL}")
        elif last and not np.array_equal(final[name], best[name]):
            yield Fault(BEST, ascii(name), "the last point is the best; its weights differ")
