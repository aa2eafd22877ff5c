"""Each kind of tampering is noticed, and the verdict names the file and the place."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import fabricate_failure
from luck import ask
from tamper import (
    arrays_of,
    edit_arrays,
    edit_config,
    edit_header,
    edit_json,
    edit_metrics,
    edit_returns,
    edit_text,
    edit_weights,
    flip,
    mend,
    write_arrays,
)

from adaps_agents import export
from adaps_envs import make_batched, make_policy
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.episodes import play_episodes
from baselines.leaderboard.records.artifacts import decode_weights, encode_weights
from baselines.leaderboard.records.reader import SUMS, read_run
from baselines.leaderboard.records.run_files import RUN_FILES
from baselines.leaderboard.spec.config import RunConfig, SchemeConfig, TaskConfig
from baselines.leaderboard.spec.loading import load_suite
from baselines.leaderboard.verify import verify_directory
from baselines.leaderboard.verify.checks import check_evaluation, check_label, check_task, own_settings
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.weights import BEST, FINAL, METADATA_KEY

RUN = "one/adaps/seed-0"
OTHER = "one/adaps/seed-1"
FILES = sorted({*RUN_FILES, SUMS})


def assert_named(runs: Path, file: str, message: str, **options: Any) -> None:
    """The verdict holds a fault in ``file`` whose text matches ``message``."""
    verdict = verify_directory(runs, complete=True, **options)
    assert not verdict.verified
    texts = [str(fault) for fault in verdict.all_faults if fault.file == file]
    assert any(re.search(message, text) for text in texts), [str(fault) for fault in verdict.all_faults]


def test_honest_runs_verify_and_everything_was_replayed(honest_runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in honest_runs.rglob("*")}
    verdict = verify_directory(honest_runs, complete=True)
    assert verdict.verified, [str(fault) for fault in verdict.all_faults]
    assert [run.replayed for run in verdict.runs] == [9, 9, 9, 9]
    assert verdict.notes == [
        "adaps has settings of its own; a board takes it under a label that is no built-in scheme",
        "task one is not built in: its reference scores are those of its author",
    ]
    assert {path: path.stat().st_mtime_ns for path in honest_runs.rglob("*")} == before


def test_honest_runs_verify_deeply(honest_runs: Path) -> None:
    verdict = verify_directory(honest_runs, deep=deep_checks)
    assert verdict.verified, [str(fault) for fault in verdict.all_faults]


@pytest.mark.parametrize("bit", [0, 3, 7])
@pytest.mark.parametrize("position", [0.0, 0.3, 0.77, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file(runs: Path, name: str, position: float, bit: int) -> None:
    flip(runs / RUN / name, position, bit)
    verdict = verify_directory(runs)
    faults = [fault.file for fault in verdict.all_faults]
    assert faults
    assert all(file.startswith(RUN) for file in faults)
    assert f"{RUN}/{name}" in faults or name == SUMS


def test_any_flipped_bit_of_the_sums(runs: Path) -> None:
    path = runs / RUN / SUMS
    honest = path.read_bytes()
    for place in range(0, len(honest), 7):
        for bit in range(8):
            data = bytearray(honest)
            data[place] ^= 1 << bit
            path.write_bytes(data)
            assert not verify_directory(runs / RUN).verified, (place, bit)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file(runs: Path, name: str) -> None:
    path = runs / RUN / name
    path.write_bytes(path.read_bytes()[:-1])
    assert_named(runs, f"{RUN}/{name}", "bytes are not|lines are not")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(runs: Path, name: str) -> None:
    (runs / RUN / name).unlink()
    assert_named(runs, f"{RUN}/{name}", "missing")


def link_file(run: Path) -> None:
    outside = run.parents[2].parent / "outside.json"
    shutil.move(run / "costs.json", outside)
    (run / "costs.json").symlink_to(outside)


def link_run(run: Path) -> None:
    shutil.move(run, run.parents[2].parent / "outside")
    run.symlink_to(run.parents[2].parent / "outside")


def pipe(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")


def swap_logs(run: Path) -> None:
    logs = run / "actions.npz", run.with_name("seed-1") / "actions.npz"
    contents = [path.read_bytes() for path in logs]
    for path, data in zip(logs, reversed(contents), strict=True):
        path.write_bytes(data)
        mend(path.parent)


def swap_final_and_absolute(arrays: dict[str, np.ndarray]) -> None:
    arrays["final"], arrays["absolute"] = arrays["absolute"][:, :4], arrays["absolute"]


def double(run: Path) -> None:
    shutil.rmtree(run)
    shutil.copytree(run.with_name("seed-1"), run)


def double_and_relabel(run: Path) -> None:
    double(run)
    edit_config(run, lambda config: config.update(seed=0))
    edit_header(run, lambda header: header["environment_params"].update(deal_seed=0))


def other_weights(run: Path) -> None:
    for name in ("policy.safetensors", "policy_best.safetensors"):
        shutil.copy(run.with_name("seed-1") / name, run / name)
    edit_header(run, lambda header: header["environment_params"].update(deal_seed=0))


def pickled(run: Path) -> None:
    arrays = arrays_of(run, "evaluation.npz")
    write_arrays(run, "evaluation.npz", {**arrays, "absolute": np.array([print] * 5, dtype=object)})


def enormous_shape(run: Path) -> None:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    arrays = {name: artifact_bytes(array) for name, array in arrays_of(run, "evaluation.npz").items()}
    write_members(run, {**arrays, "absolute": header.getvalue()})


def artifact_bytes(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def write_members(run: Path, members: dict[str, bytes]) -> None:
    import zipfile

    with zipfile.ZipFile(run / "evaluation.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    mend(run)


def fail_without_reason(run: Path) -> None:
    edit_json(run, "status.json", lambda status: status.update(status="failed"))


def fail_a_bad_seed(run: Path) -> None:
    error = {"type": "ValueError", "message": "oops", "traceback": ""}
    edit_json(run, "status.json", lambda status: status.update(status="failed", error=error))


def rearrange_sums(run: Path) -> None:
    lines = (run / SUMS).read_bytes().splitlines(keepends=True)
    (run / SUMS).write_bytes(b"".join(reversed(lines)))


def rename(name: str) -> Callable[[Path], None]:
    return lambda run: run.rename(run.with_name(name)) and None


def extra(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.") and None


def config(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_config(run, edit)


def raw_config(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_json(run, "config.json", lambda payload: edit(payload["config"]) and None)


def evaluation(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_arrays(run, "evaluation.npz", edit)


def returns(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_returns(run, edit)


def actions(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_arrays(run, "actions.npz", edit)


def metadata(name: str, **changes: Any) -> Callable[[Path], None]:
    return lambda run: edit_json(run, name, lambda value: value.update(changes))


def weights(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_weights(run, "policy.safetensors", edit)


def header(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_header(run, edit)


def both_weights(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: [edit_weights(run, name, edit) for name in (FINAL, BEST)] and None


def sharing(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_json(run, "sharing.json", edit)


def together(*steps: Callable[[Path], Any]) -> Callable[[Path], None]:
    def tamper(run: Path) -> None:
        for step in steps:
            step(run)

    return tamper


def better_groups(value: dict[str, Any]) -> None:
    """The hidden types as groups, told the same wherever the file tells them."""
    types = value["agent_types"]
    named = {f"agent_{agent}": group for agent, group in enumerate(types)}
    value.update(assignment=types, ari=1.0)
    value["summary"].update(agents=named, groups_found=2)
    value["diagnostics"]["sharing"].update(groups=named)


def spend_less(steps: int) -> Callable[[Path], None]:
    """Fewer identity steps, wherever they are told."""

    def edit(value: dict[str, Any]) -> None:
        for part in (value, value["summary"], value["diagnostics"]["sharing"]):
            part["identity_steps"] = steps

    def edit_step(lines: list[Any]) -> None:
        lines[0]["step"] = steps

    return together(sharing(edit), evaluation(put("steps", 0, steps)), metrics(edit_step))


def stretch(run: Path) -> None:
    """Eleven points, the second of which is as early as the first and better."""

    def edit(arrays: dict[str, np.ndarray]) -> None:
        marks = np.arange(11) * 200
        old = np.array([0, *[0] * 2, *[1] * 7, 2])
        for name in ("greedy", "sampled"):
            arrays[name] = arrays[name][old]
        arrays["greedy"][1] += 1.0
        arrays.update(marks=marks, steps=np.maximum(marks, 400), best_point=np.array(arrays["greedy"].mean(1).argmax()))

    edit_arrays(run, "evaluation.npz", edit)


def as_baseline(run: Path) -> None:
    edit_config(run, lambda c: c["scheme"].update(label="fups_id"))
    edit_json(run, "sharing.json", lambda value: value.update(scheme="fups_id"))


def noisy(weights: dict[str, np.ndarray], name: str) -> None:
    if weights[name].dtype.kind == "f":
        weights[name] *= np.float32(1.001)


def append(name: str) -> Callable[[Path], None]:
    def tamper(run: Path) -> None:
        (run / name).write_bytes((run / name).read_bytes() + b"more")
        mend(run)

    return tamper


def text(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda run: edit_text(run, name, old, new)


def metrics(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda run: edit_metrics(run, edit)


def add(array: str, place: Any, amount: float) -> Callable[[Any], None]:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        arrays[array][place] += amount

    return edit


def put(array: str, place: Any, value: Any) -> Callable[[Any], None]:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        arrays[array][place] = value

    return edit


def cut(array: str, keep: Any) -> Callable[[Any], None]:
    return lambda arrays: arrays.update({array: arrays[array][keep]})


Kind = tuple[Callable[[Path], Any], str, str]
# name -> what the forger does to a run, with every hash mended; the file that must be named; what must be said.
KINDS: dict[str, Kind] = {
    # returns and actions
    "edited final return": (returns(add("greedy", (-1, 2), 5.0)), "evaluation.npz", r"greedy\[2, 2\]: .*replaying"),
    "edited absolute return": (evaluation(add("absolute", 3, 1e-3)), "evaluation.npz", r"absolute\[3\]: .*replaying"),
    "all final returns raised": (returns(add("greedy", -1, 1.0)), "evaluation.npz", "4 episodes differ"),
    "edited sampled return": (evaluation(add("sampled", (1, 1), 9.0)), "metrics.jsonl", "line 2, sampled_mean"),
    "edited early return": (evaluation(add("greedy", (0, 0), -9.0)), "metrics.jsonl", "line 1, greedy_mean"),
    "swapped action logs": (swap_logs, "evaluation.npz", "replaying actions.npz"),
    "swapped logs in one run": (actions(swap_final_and_absolute), "evaluation.npz", r"greedy\[2, 0\]"),
    "one other action": (
        actions(lambda a: a["absolute"].__setitem__((0, 1, 0), (a["absolute"][0, 1, 0] + 1) % 5)),
        "evaluation.npz",
        r"absolute\[1\].*1 episodes differ",
    ),
    "impossible action": (actions(put("final", (3, 1, 2), 9)), "actions.npz", r"final\[3, 1, 2\]: action 9"),
    "shorter episode": (actions(put("final_lengths", 1, 49)), "actions.npz", r"final\[49, 1\]|final_lengths\[1\]"),
    "shorter log": (
        actions(lambda a: a.update(absolute=a["absolute"][:30], absolute_lengths=np.full(5, 30))),
        "actions.npz",
        r"absolute_lengths\[0\]: the episode goes on after the 30 steps",
    ),
    "longer log": (
        actions(lambda a: a.update(final=np.pad(a["final"], ((0, 1), (0, 0), (0, 0))))),
        "actions.npz",
        "51 steps are stored",
    ),
    "episodes that never end": (
        actions(lambda a: a.update(final=np.pad(a["final"], ((0, 1), (0, 0), (0, 0))), final_lengths=np.full(4, 51))),
        "actions.npz",
        "the episode ends after 50",
    ),
    "another agent's actions": (
        actions(lambda a: a.update(final=np.pad(a["final"], ((0, 0), (0, 0), (0, 1))))),
        "actions.npz",
        "actions of 5 agents",
    ),
    "missing episode": (evaluation(cut("absolute", slice(4))), "evaluation.npz", r"absolute is \[4\]"),
    "missing episode in the log": (actions(cut("final", np.s_[:, :3])), "actions.npz", "final is"),
    "missing log": (actions(lambda a: a.pop("absolute")), "actions.npz", "holds"),
    "NaN return": (returns(put("greedy", (-1, 0), np.nan)), "evaluation.npz", "not finite"),
    "huge return": (returns(put("greedy", (-1, 0), 1e308)), "evaluation.npz", r"greedy holds the return 1e\+308"),
    # marks, steps, seeds
    "other evaluation seed": (evaluation(add("seeds", 1, 7)), "evaluation.npz", r"seeds\[1\]: 3000000008; protocol"),
    "training seeds as evaluation seeds": (
        evaluation(lambda a: a.update(seeds=np.arange(4), absolute_seeds=np.arange(5))),
        "evaluation.npz",
        r"seeds\[0\]: 0; protocol 2 has 3000000000",
    ),
    "other absolute seed": (evaluation(add("absolute_seeds", 0, 1)), "evaluation.npz", r"absolute_seeds\[0\]"),
    "seeds rewritten in the configuration": (
        lambda run: edit_json(run, "config.json", lambda c: c["seeds"].update(evaluation_start=0)),
        "config.json",
        "digest or seeds",
    ),
    "moved mark": (evaluation(add("marks", 1, 1)), "evaluation.npz", r"marks\[1\]: 1001"),
    "hidden identity steps": (evaluation(put("steps", 0, 0)), "evaluation.npz", r"steps\[0\]: 0; its mark, the id"),
    "points moved by a step of all lanes": (
        together(evaluation(add("steps", 1, 4)), metrics(lambda lines: lines[1].update(step=1004))),
        "evaluation.npz",
        r"steps\[1\]: 1004; .* give 1000",
    ),
    "a better point of the same policy": (
        together(config(lambda c: c["task"].update(eval_points=11)), stretch),
        "evaluation.npz",
        r"greedy\[1\]: not those of greedy\[0\]",
    ),
    "another scheme as the baseline": (
        lambda run: as_baseline(run),
        "config.json",
        "label: 'fups_id' is the name of a built-in scheme; this one is 'adaps'",
    ),
    "an unknown scheme under a known name": (
        together(config(lambda c: c["scheme"].update(name="adap")), header(lambda h: h.update(scheme="adap"))),
        "config.json",
        "label: 'adaps' is the name of a built-in scheme; this one is 'adap'",
    ),
    "evaluation longer than the run": (
        metadata("costs.json", evaluation_seconds=1e4),
        "costs.json",
        r"evaluation_seconds: 10000\.0; evaluation is a part of",
    ),
    "overspent budget": (evaluation(add("steps", -1, 500)), "evaluation.npz", r"steps\[2\]"),
    "steps that go back": (evaluation(put("steps", 1, 0)), "evaluation.npz", "must not decrease"),
    "best point moved": (
        evaluation(lambda a: a.update(best_point=np.array((int(a["best_point"]) + 1) % 3))),
        "evaluation.npz",
        "best_point: .*highest greedy mean",
    ),
    # configuration
    "other seed in the configuration": (raw_config(lambda c: c.update(seed=5)), "config.json", "digest or seeds"),
    "other seed, digests mended": (config(lambda c: c.update(seed=5)), "config.json", "belongs to one/adaps/seed-5"),
    "other environment version": (config(lambda c: c["task"].update(env="BPS-1-v9")), "config.json", "no environment"),
    "other environment": (config(lambda c: c["task"].update(env="BPS-2-v0")), "provenance.json", "environment: "),
    "easier parameters": (config(lambda c: c["task"]["params"].update(groups=[4])), "sharing.json", "agent_types"),
    "unknown parameter": (config(lambda c: c["task"]["params"].update(gruops=[4])), "config.json", "no parameter"),
    "parameter of a wrong type": (
        config(lambda c: c["task"]["params"].update(groups={"a": [[]]})),
        "config.json",
        "params|env",
    ),
    "enormous parameter": (config(lambda c: c["task"]["params"].update(num_landmarks=10**9)), "config.json", "10000"),
    "enormously many agents": (
        config(lambda c: c["task"]["params"].update(groups=[1] * 9999)),
        "config.json",
        "at most",
    ),
    "threads as a parameter": (
        raw_config(lambda c: c["task"]["params"].update(num_threads=9)),
        "config.json",
        "num_thr",
    ),
    "reference score edited": (
        config(lambda c: c["task"].update(random_score=-900.0)),
        "config.json",
        "random_score: -900",
    ),
    "budget edited": (config(lambda c: c["task"].update(budget=4_000)), "evaluation.npz", r"marks\[1\]"),
    "settings edited": (config(lambda c: c["learner"].update(num_lanes=5)), "config.json", "learner.num_lanes: 5"),
    "future protocol": (raw_config(lambda c: c.update(protocol="3")), "config.json", r"protocol: .*'2' \(got '3'\)"),
    "future schema": (metadata("costs.json", schema=2), "costs.json", "schema is not 1"),
    "HTML in a scheme's name": (
        raw_config(lambda c: c["scheme"].update(label="<script>alert(1)</script>")),
        "config.json",
        "scheme.label: String should match",
    ),
    "unknown key": (raw_config(lambda c: c.update(sponsor="us")), "config.json", "sponsor: unknown key"),
    # metrics
    "reordered lines": (metrics(lambda lines: lines[::-1]), "metrics.jsonl", "line 1, point: 2"),
    "lost line": (metrics(lambda lines: lines[:-1]), "metrics.jsonl", "2 lines for 3"),
    "doubled line": (metrics(lambda lines: [*lines, lines[-1]]), "metrics.jsonl", "4 lines for 3"),
    "edited line": (metrics(lambda lines: lines[1].update(step=1)), "metrics.jsonl", "line 2, step: 1"),
    "unknown key in a line": (metrics(lambda lines: lines[1].update({"\x1b[2J": 1})), "metrics.jsonl", "unknown key"),
    "NaN in a line": (text("metrics.jsonl", '"point":1', '"point":NaN'), "metrics.jsonl", "line 2: NaN is not"),
    "half a character": (text("metrics.jsonl", '"learner"', '"\\ud800":1,"learner"'), "metrics.jsonl", "half a char"),
    # sharing, costs, provenance, status
    "better ARI": (metadata("sharing.json", ari=0.123), "sharing.json", "ari: 0.123"),
    "ARI taken away": (metadata("sharing.json", ari=None), "sharing.json", "ari: None"),
    "other hidden types": (metadata("sharing.json", agent_types=[0, 1, 0, 1]), "sharing.json", "agent_types"),
    "too few groups": (metadata("sharing.json", assignment=[0]), "sharing.json", "1 groups for 4"),
    "other scheme": (metadata("sharing.json", scheme="oracle"), "sharing.json", "scheme: 'oracle', not 'adaps'"),
    "fewer steps": (metadata("sharing.json", env_steps=10), "sharing.json", "env_steps: 10"),
    "no identity steps": (metadata("sharing.json", identity_steps=0), "evaluation.npz", r"steps\[0\]"),
    "negative parameters": (metadata("sharing.json", parameters={"trainable": -1}), "sharing.json", "negative"),
    "negative seconds": (metadata("costs.json", cpu_seconds=-1.0), "costs.json", "cpu_seconds: -1.0"),
    "a run of next year": (
        metadata("costs.json", finished_at="2999-01-01T00:00:00+00:00"),
        "costs.json",
        "has not come yet",
    ),
    "no costs": (metadata("costs.json", wall_seconds=None), "costs.json", "wall_seconds: None"),
    "infinite seconds": (
        text("costs.json", '"cpu_seconds": ', '"cpu_seconds": 1e999, "x": '),
        "costs.json",
        "too large",
    ),
    "huge memory": (metadata("costs.json", peak_memory_bytes=10**400), "costs.json", "does not fit 64 bits"),
    "a key twice": (text("costs.json", '"schema"', '"schema": 1, "schema"'), "costs.json", "twice"),
    "deep nesting": (lambda run: (run / "costs.json").write_text("[" * 5000) and mend(run), "costs.json", "nested"),
    "other trace digest": (
        metadata("provenance.json", trace_digest="0" * 64),
        "provenance.json",
        "another version",
    ),
    "no trace digest": (metadata("provenance.json", trace_digest=None), "provenance.json", "trace_digest: None"),
    "another environment's provenance": (
        metadata("provenance.json", environment="BPS-2-v0"),
        "provenance.json",
        "env",
    ),
    "bad seed declared failed": (fail_a_bad_seed, "evaluation.npz", "no such file"),
    "failed without reason": (fail_without_reason, "status.json", "a failed run gives an error"),
    "other run in the status": (metadata("status.json", run_id="one/adaps/seed-9"), "status.json", "run_id is"),
    # weights
    "weights that are not finite": (
        weights(lambda w: [array.fill(np.nan) for array in w.values() if array.dtype.kind == "f"]),
        "policy.safetensors",
        "finite",
    ),
    "no weights": (weights(lambda w: w.clear()), "policy.safetensors", "holds no weights"),
    "other scheme in the weights": (header(lambda h: h.update(scheme="seps")), FINAL, "scheme: 'seps', not 'adaps'"),
    "other scheme in the best weights": (header(lambda h: h.update(scheme="seps")), BEST, "scheme: 'seps'"),
    "other options in the weights": (
        header(lambda h: h["scheme_options"].update(keep=0.1)),
        FINAL,
        r"scheme_options\.keep: 0\.1, not None",
    ),
    "other environment in the weights": (
        header(lambda h: h.update(environment="BPS-2-v0")),
        FINAL,
        "environment: 'BPS-2-v0', not 'BPS-1-v0'",
    ),
    "other parameters in the weights": (
        header(lambda h: h["environment_params"].update(groups=[1, 3])),
        FINAL,
        r"environment_params\.groups: \[1, 3\], not \[3, 1\]",
    ),
    "other sizes in the weights": (header(lambda h: h.update(obs_dim=9)), FINAL, "obs_dim: 9, not 8"),
    "other layers in the weights": (
        header(lambda h: h["network"].update(net_arch=[8, 8])),
        FINAL,
        r"network\.net_arch: \[8, 8\], not \[8\]",
    ),
    "other memory in the weights": (
        header(lambda h: h["network"].update(recurrent="gru")),
        FINAL,
        r"network\.recurrent: 'gru', not 'none'",
    ),
    "other library in the weights": (header(lambda h: h.update(library="9.9")), FINAL, "library: '9.9', not"),
    "a header of another kind": (header(lambda h: h.update(network=[])), FINAL, "does not tell"),
    "types handed over in secret": (
        header(lambda h: h["scheme_options"].update(types=[0, 0, 1, 1])),
        "sharing.json",
        r"summary\.told_types: False; .* handed the hidden types",
    ),
    "weights that say nothing": (
        lambda run: (run / FINAL).write_bytes(encode_weights(decode_weights((run / FINAL).read_bytes()))) and mend(run),
        FINAL,
        r"its metadata has the keys \[\]",
    ),
    "bytes behind the weights": (append(FINAL), FINAL, "not a safetensors file"),
    "groups that the weights lack": (
        sharing(better_groups),
        "sharing.json",
        r"assignment: \[0, 1, 0, 0\]; policy.safetensors has scheme.labels = \[0, 0, 0, 0\]",
    ),
    "groups taken from the weights": (both_weights(lambda w: w.pop("scheme.labels")), FINAL, "scheme.labels: missing"),
    "steps taken from the weights": (
        both_weights(lambda w: w.update({"scheme.identity_steps": np.zeros(2)})),
        FINAL,
        "scheme.identity_steps: missing, or not one",
    ),
    "fewer identity steps everywhere but in the weights": (
        spend_less(40),
        "sharing.json",
        "identity_steps: 40; policy.safetensors has scheme.identity_steps = 400",
    ),
    "other names": (weights(lambda w: w.update({"scheme.extra": np.zeros(1)})), "policy_best.safetensors", "names"),
    "an array of no scheme": (
        weights(lambda w: w.update(ballast=np.zeros(1))),
        "policy.safetensors",
        "'ballast': an array of nobody",
    ),
    "more bytes than the policy holds": (
        weights(lambda w: w.update({"scheme.ballast": np.zeros(2 << 20, np.uint8)})),
        "policy.safetensors",
        r"2,\d+,\d+ bytes; of a policy that holds .* are read",
    ),
    "weights that are none": (
        lambda run: (run / "policy.safetensors").write_bytes(b"\xff" * 64) and mend(run),
        "policy.safetensors",
        "not a safetensors file",
    ),
    # files
    "reordered sums": (rearrange_sums, SUMS, "alphabetical order"),
    "a pickle beside": (extra("model.pkl"), "model.pkl", "no such file"),
    "a page beside": (extra("index.html"), "index.html", "no such file"),
    "a directory beside": (lambda run: (run / "more").mkdir(), "more", "no such file"),
    "a link to a file": (link_file, "costs.json", "not a plain file"),
    "a pipe": (pipe, "metrics.jsonl", "not a plain file"),
    "pickled returns": (pickled, "evaluation.npz", "objects, which are never loaded"),
    "an array of 8 TB": (enormous_shape, "evaluation.npz", "not those of its shape"),
}
SET_KINDS: dict[str, Kind] = {
    "doubled job, relabelled and noisy": (
        together(double_and_relabel, both_weights(lambda w: [noisy(w, name) for name in list(w)] and None)),
        f"{OTHER}/policy.safetensors",
        f"weights of {RUN} once more",
    ),
    "diagnostics of one seed taken away": (
        sharing(lambda s: s.pop("diagnostics") and None),
        f"{RUN}/sharing.json",
        "diagnostics: missing; other runs of this scheme have them",
    ),
    "doubled job": (double, f"{RUN}/config.json", f"belongs to {OTHER}"),
    "doubled job, relabelled": (double_and_relabel, f"{OTHER}/policy.safetensors", f"weights of {RUN} once more"),
    "missing job": (lambda run: shutil.rmtree(run), RUN, "missing"),
    "link to a run": (link_run, RUN, "a link"),
    "seed-00": (rename("seed-00"), "one/adaps/seed-00", "not the directory of a run"),
    "another job": (rename("seed-7"), "one/adaps/seed-7/config.json", "belongs to"),
    "HTML as a run": (rename("seed-<b>"), "one/adaps/seed-<b>", "not the directory"),
    "no suite": (lambda run: (run.parents[2] / "suite.json").unlink(), "suite.json", "missing"),
    "suite edited": (
        lambda run: edit_json(run.parents[2], "suite.json", lambda s: s["suite"].update(description="x")),
        "suite.json",
        "digest",
    ),
    "a flipped bit in the suite": (lambda run: flip(run.parents[2] / "suite.json", 0.5), "suite.json", "."),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tampering_with_a_run_is_named(runs: Path, kind: str) -> None:
    tamper, file, message = KINDS[kind]
    tamper(runs / RUN)
    assert_named(runs, f"{RUN}/{file}", message)


def test_choices_of_the_author_are_noted(runs: Path) -> None:
    shutil.rmtree(runs / RUN)
    fabricate_failure(runs, read_run(runs / OTHER).config.model_copy(update={"seed": 7}))
    notes = verify_directory(runs, complete=True).notes
    for text in (
        "1 runs are recorded as failed (one/adaps/seed-7): that is the word of their author",
        "one/adaps has the seeds [1, 7]: chosen by their author, not the first ones",
    ):
        assert text in notes, notes


def test_an_archive_that_is_not_verified_is_noted(runs: Path) -> None:
    assert not any("archive/" in note for note in verify_directory(runs).notes)
    shutil.copytree(runs / RUN, runs / "archive/old" / RUN)
    edit_returns(runs / "archive/old" / RUN, lambda arrays: arrays["greedy"].fill(0.0))
    verdict = verify_directory(runs)
    assert verdict.verified
    assert "archive/ is there and was not verified: a report shows its runs apart, and says so" in verdict.notes


def test_a_policy_disguised_as_another_seeds_is_noted(runs: Path) -> None:
    """Its weights turned round, which a forger makes up for by the order of a layer's units."""
    double_and_relabel(runs / RUN)
    for name in (FINAL, BEST):
        edit_weights(
            runs / RUN, name, lambda w: w.update({k: v[..., ::-1] for k, v in w.items() if v.dtype.kind == "f"})
        )
    verdict = verify_directory(runs)
    assert verdict.verified, [str(fault) for fault in verdict.all_faults]
    assert f"{OTHER} takes every action of {RUN} in the last evaluation" in verdict.notes


@pytest.mark.parametrize("kind", SET_KINDS)
def test_tampering_with_the_set_is_named(runs: Path, kind: str) -> None:
    tamper, file, message = SET_KINDS[kind]
    tamper(runs / RUN)
    assert_named(runs, file, message)


def test_a_compressed_array_that_unpacks_to_too_much(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(
        runs / RUN, "actions.npz", {**arrays_of(runs / RUN, "actions.npz"), "final": np.zeros(4 << 20, np.uint8)}
    )
    assert (runs / RUN / "actions.npz").stat().st_size < 10_000
    monkeypatch.setattr("baselines.leaderboard.records.npz.MAX_MEMBER_BYTES", 1 << 20)
    assert_named(runs, f"{RUN}/actions.npz", "unpacks to more than 1 MiB")


DEEP_KINDS: dict[str, Kind] = {
    "another seed's weights": (
        other_weights,
        "policy.safetensors|policy_best.safetensors",
        r"episodes differ|once more|its weights differ",
    ),
    "noise in the weights": (
        lambda run: [
            edit_weights(run, name, lambda w: w.update({k: v * -1 for k, v in w.items() if v.dtype.kind == "f"}))
            for name in ("policy.safetensors", "policy_best.safetensors")
        ],
        "policy_best.safetensors",
        r"actions.npz: absolute\[\d+, \d+, \d+\] is \d; its weights choose \d \(.* decisions differ",
    ),
    "fewer parameters": (
        lambda run: edit_json(run, "sharing.json", lambda s: s["parameters"].update(trainable=1)),
        "sharing.json",
        "parameters.trainable: 1; the stored policy gives 198",
    ),
    "less diverse": (
        sharing(lambda s: s["diagnostics"].update(snd=0.5)),
        "sharing.json",
        r"diagnostics.snd: 0\.5; the stored policy gives 0\.",
    ),
    "agents that agree": (
        sharing(lambda s: s["diagnostics"].update(action_disagreement=0.25)),
        "sharing.json",
        r"diagnostics.action_disagreement: 0\.25",
    ),
    "less memory": (
        sharing(lambda s: s["diagnostics"].update(memory_bytes=8)),
        "sharing.json",
        "diagnostics.memory_bytes: 8; the stored policy gives",
    ),
    "other masks": (
        sharing(lambda s: s["diagnostics"]["masks"]["actor"].update(kept=0.5)),
        "sharing.json",
        r"diagnostics.masks.actor.kept: 0\.5",
    ),
    "masks taken away": (
        sharing(lambda s: s["diagnostics"].update(masks={})),
        "sharing.json",
        "diagnostics.masks.actor: nothing; the stored policy gives",
    ),
    "another sharing map": (
        sharing(lambda s: s["diagnostics"]["sharing"]["parts"]["actor"].update(used=[1])),
        "sharing.json",
        r"diagnostics.sharing.parts.actor.used\[0\]: 1;",
    ),
    "other mask overlap": (
        sharing(lambda s: s["summary"].update(actor_mask_overlap=[[0.5]])),
        "sharing.json",
        r"summary.actor_mask_overlap\[0\]\[0\]: 0\.5",
    ),
    "a remark in the summary": (
        sharing(lambda s: s["summary"].update(remark="the best")),
        "sharing.json",
        "summary.remark: 'the best'; the stored policy gives nothing",
    ),
    "types said to be told": (
        sharing(lambda s: s["summary"].update(told_types=True)),
        "sharing.json",
        "summary.told_types: True; the stored policy gives False",
    ),
    "cheaper decisions": (
        sharing(lambda s: s["parameters"].update(flops_per_decision=1)),
        "sharing.json",
        "parameters.flops_per_decision: 1;",
    ),
    "no pretraining": (
        sharing(lambda s: s["parameters"].update(pretraining_parameters=0)),
        "sharing.json",
        "parameters.pretraining_parameters: 0;",
    ),
    "a count taken away": (
        sharing(lambda s: s["parameters"].pop("fixed_bits") and None),
        "sharing.json",
        "parameters.fixed_bits: nothing;",
    ),
    "fewer identity steps in every file": (
        together(both_weights(lambda w: w["scheme.identity_steps"].fill(40)), spend_less(40)),
        "sharing.json",
        "identity_steps: 40; the scheme's identity phase takes 400 to 12804",
    ),
    "ARI and groups taken away": (
        sharing(lambda s: s.update(ari=None, assignment=None)),
        "sharing.json",
        r"assignment: None; the stored policy gives \[",
    ),
    "another activation": (
        header(lambda h: h["network"].update(activation_fn="torch.nn.modules.activation.Tanh")),
        FINAL,
        "network.activation_fn: .*Tanh'; the network has .*ReLU",
    ),
    "edited last sampled return": (returns(add("sampled", (-1, 0), 50.0)), "policy.safetensors", r"sampled\[2\]"),
    "another network": (
        together(
            config(lambda c: c["learner"].update(net_arch=[9])), header(lambda h: h["network"].update(net_arch=[9]))
        ),
        "policy_best.safetensors",
        "not the weights",
    ),
    "an enormous network": (
        together(
            config(lambda c: c["learner"].update(net_arch=[3_000] * 2)),
            header(lambda h: h["network"].update(net_arch=[3_000] * 2)),
        ),
        "config.json",
        "net_arch",
    ),
    "a setting that no scheme takes": (
        together(
            config(lambda c: c["scheme"]["settings"].update(keeep=1)),
            header(lambda h: h["scheme_options"].update(keeep=1)),
        ),
        "config.json",
        "cannot be built",
    ),
}


def borrowed_episodes(run: Path) -> None:
    """One evaluation episode and one absolute episode as the scripted policy plays them, on a machine unlike any."""
    config = read_run(run).config
    returns, logs = arrays_of(run, "evaluation.npz"), arrays_of(run, "actions.npz")
    for log, seeds, recorded in (
        ("final", "seeds", returns["greedy"][-1]),
        ("absolute", "absolute_seeds", returns["absolute"]),
    ):
        env = make_batched(config.task.env, 1, **environment_params(config))
        scripted, rng = make_policy("expert", env), np.random.default_rng(0)
        played = play_episodes(env, lambda obs, policy=scripted, rng=rng: policy(obs, rng), int(returns[seeds][0]))
        assert played.returns[0] > recorded[0] + 50
        recorded[0] = played.returns[0]
        logs[log][:, 0] = played.actions[:, 0]
    edit_returns(run, lambda arrays: arrays.update(returns))
    write_arrays(run, "actions.npz", logs)
    edit_json(run, "provenance.json", lambda value: value.update(processor="one of a kind"))
    ask(int(returns["best_point"]) == int(returns["greedy"].mean(axis=1).argmax()), "the best point would betray it")


def test_episodes_of_another_policy_are_no_rounding_of_another_processor(runs: Path) -> None:
    alone = runs / "one/adaps/seed-1"
    borrowed_episodes(alone)
    assert verify_directory(alone).verified, "the replay alone was not to notice"
    faults = [str(fault) for fault in verify_directory(alone, deep=deep_checks).all_faults]
    for file, log in ((FINAL, "final"), (BEST, "absolute")):
        assert any(re.search(rf"{file}: actions.npz: {log}\[\d+, 0, \d\] is", fault) for fault in faults), faults


@pytest.mark.parametrize("field", ["greedy", "sampled", "absolute"])
def test_small_differences_between_scores_leave_no_room_for_other_returns(runs: Path, field: str) -> None:
    """Where .001 lies between random play and the expert, returns that are off by .0001 are a tenth of the score."""
    edit_config(runs / RUN, lambda config: config["task"].update(random_score=-150.001, scripted_score=-150.0))
    assert verify_directory(runs / RUN, deep=deep_checks).verified
    # The best point stays: returns of its own episodes are changed alike.
    edit_returns(runs / RUN, lambda arrays: arrays[field].__iadd__(1e-4))
    faults = [str(fault) for fault in verify_directory(runs / RUN, deep=deep_checks).all_faults]
    assert any(f"{field}[" in fault for fault in faults), faults


def test_honest_runs_verify_deeply_on_another_processor(runs: Path) -> None:
    edit_json(runs / RUN, "provenance.json", lambda value: value.update(processor="one of a kind"))
    assert verify_directory(runs / RUN, deep=deep_checks).verified


def test_the_metadata_has_the_key_that_its_writer_gives_it() -> None:
    assert export.weights.METADATA_KEY == METADATA_KEY


@pytest.mark.parametrize("kind", DEEP_KINDS)
def test_tampering_that_only_the_weights_betray(runs: Path, kind: str) -> None:
    tamper, file, message = DEEP_KINDS[kind]
    tamper(runs / RUN)
    alone = runs / RUN
    if kind != "another seed's weights":
        assert verify_directory(alone).verified, "the replay alone was not to notice"
    verdict = verify_directory(alone, deep=deep_checks)
    assert any(re.search(file, fault.file) and re.search(message, str(fault)) for fault in verdict.all_faults), [
        str(fault) for fault in verdict.all_faults
    ]


def test_a_built_in_name_stands_for_its_frozen_scores() -> None:
    run = load_suite("quick").runs()[0]

    def with_task(**changes: Any) -> RunConfig:
        return run.model_copy(update={"task": run.task.model_copy(update=changes)})

    assert list(check_task(run)) == []
    assert [fault.where for fault in check_task(with_task(random_score=-5_000.0))] == ["config.task.random_score"]
    assert [fault.where for fault in check_task(with_task(params={"groups": [1]}))] == ["config.task.params"]


def test_a_built_in_name_that_is_spelled_otherwise_is_named() -> None:
    """Who reads a board takes one of two such names for the other."""
    for spelling in ("bps-1", "BPS_1", "BPS.1"):
        easy = TaskConfig(name=spelling, env="BPS-1-v0", params={"groups": [2, 2]}, budget=1_000)
        run = load_suite("quick").runs()[0].model_copy(update={"task": easy})
        assert any("is the built-in task 'BPS-1', spelled otherwise" in str(fault) for fault in check_task(run))
    for spelling in ("FUPS_ID", "fups-id", "FuPS+id"):
        assert [str(fault) for fault in check_label(SchemeConfig(name="fups_id", label=spelling))] == [
            f"config.json: config.scheme.label: {spelling!r} is the built-in scheme 'fups_id', spelled otherwise"
        ]
        (fault,) = check_label(SchemeConfig(name="nops", label=spelling))
        assert "is the name of a built-in scheme; this one is 'nops'" in fault.message
    assert not [*check_label(SchemeConfig(name="fups_id", label="fups_id"))]
    assert not [*check_label(SchemeConfig(name="fups_id", label="x"))]
    assert own_settings(SchemeConfig(name="adaps", label="AdaPS", settings={"keep": 0.25}))


def test_the_last_rollout_goes_a_quarter_beyond_the_budget_at_most(honest_runs: Path) -> None:
    record = read_run(honest_runs / "one/fups_id/seed-0")
    assert record.evaluation is not None
    assert record.sharing is not None
    for n_steps, end, allowed in ((500, 2_000, True), (625, 2_500, True), (626, 2_504, False), (5_000, 20_000, False)):
        learner = record.config.learner.model_copy(update={"settings": {"n_steps": n_steps}})
        config = record.config.model_copy(update={"learner": learner})
        evaluation = replace(record.evaluation, steps=np.array([*record.evaluation.steps[:-1], end]))
        faults = [str(fault) for fault in check_evaluation(config, evaluation, record.sharing)]
        too_long = f"evaluation.npz: steps[2]: {end}; with a budget of 2000 it may be 2500 at most"
        assert faults == ([] if allowed else [too_long])


def test_at_least_forty_kinds() -> None:
    assert len(KINDS) + len(SET_KINDS) + len(DEEP_KINDS) >= 100


def test_a_fault_names_its_run_and_cannot_control_a_terminal(runs: Path) -> None:
    edit_metrics(runs / RUN, lambda lines: lines[0].update({"\x1b]0;owned\x07": 1}))
    lines = list(verify_directory(runs).lines())
    assert any(line.startswith(f"fault: {RUN}/metrics.jsonl: line 1") for line in lines)
    assert all(line.isprintable() for line in lines)
    json.dumps(verify_directory(runs).to_json())
