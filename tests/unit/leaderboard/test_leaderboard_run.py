"""Worker processes, interruption, exit codes: what a person and a batch system meet."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from commands import descendants, run_cli, running, start_run, suite_text
from fabricate import fabricate_failure, fabricate_run, snapshot
from rich.console import Console

from adaps_agents import SharingA2C
from adaps_envs.errors import UnknownNameError
from baselines.leaderboard import report
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution import local_engine as pool
from baselines.leaderboard.execution.engine import Died, Finished, Progress, Started
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.local_engine import WorkerPool
from baselines.leaderboard.execution.plan import Job, JobState, make_plan
from baselines.leaderboard.execution.progress import ProgressDisplay, duration, time_left
from baselines.leaderboard.execution.signals import end_on_signal, signals_deferred
from baselines.leaderboard.execution.suite_runner import RunInterrupted, run_suite
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.records.reader import find_runs, read_run
from baselines.leaderboard.spec import loading as suite_module
from baselines.leaderboard.spec.config import LearnerConfig, RunConfig, SuiteConfig
from baselines.leaderboard.spec.loading import load_suite


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(suite_text())
    return path


def lines_until(stream: IO[str] | None, pattern: str) -> str:
    assert stream is not None
    read: Iterator[str] = iter(stream.readline, "")
    for line in read:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no line matched {pattern}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_suite_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    suite_file, out = tmp_path / "a tiny one.toml", tmp_path / "out"
    suite_file.write_text(suite_text(60_000))
    process = start_run(suite_file, out, "--jobs", "2")
    lines_until(process.stdout, r"^done ")
    workers = descendants(process.pid)
    os.killpg(process.pid, number) if number is signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    message = re.fullmatch(r"interrupted: \d of 4 runs are done\. To go on: (adaps .+)", errors.strip())
    assert message, errors
    while any(running(pid) for pid in workers):
        time.sleep(0.02)
    assert list(out.glob("*/*/*.partial-*")) == []
    finished = {path: path.stat().st_mtime_ns for path in find_runs(out)}
    assert finished

    words = shlex.split(message[1])
    assert words == ["adaps", "leaderboard", "run", "--suite", str(suite_file), "--out", str(out), "--jobs", "2"]
    again = subprocess.run([sys.executable, "-m", "baselines", *words[1:]], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "page:" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "a finished run was made again"
    assert len(find_runs(out)) == 4


@pytest.mark.parametrize("where", ["check", "write_report"])
def test_an_interruption_at_any_other_time_says_how_to_go_on(
    tmp_path: Path, suite_file: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    for config in load_suite(suite_file).runs():
        if where == "write_report" or config.seed == 0:
            fabricate_run(tmp_path / "out", config, 0.5)
    monkeypatch.setattr({"check": WorkerPool, "write_report": report}[where], where, interrupt)
    handler = signal.getsignal(signal.SIGTERM)
    code = run_cli("leaderboard", "run", "--suite", suite_file, "--out", tmp_path / "out", "--seed", "1", "--seed", "0")
    assert code == 130
    assert capsys.readouterr().err.strip() == (
        f"interrupted. To go on: adaps leaderboard run --suite {suite_file} --out {tmp_path / 'out'} --seed 1 --seed 0"
    )
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_interruption_during_the_imports_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    stopped = subprocess.run(
        [sys.executable, "-m", "baselines", "leaderboard", "run", "--out", "a folder"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert stopped.returncode == 130
    assert stopped.stderr.strip() == (
        "interrupted before anything began. To go on: adaps leaderboard run --out 'a folder'"
    )


def test_an_interruption_that_no_command_answers_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(suite_module, "list_suites", interrupt)
    assert run_cli("leaderboard", "suites") == 130
    assert capsys.readouterr().err.strip() == "interrupted. To go on: adaps leaderboard suites"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_must_end_first_is_not_interrupted_but_the_signal_is_not_lost(number: signal.Signals) -> None:
    ended: list[str] = []

    def work() -> None:
        with signals_deferred():
            signal.raise_signal(number)
            signal.raise_signal(number)
            ended.append("work")

    with end_on_signal(), pytest.raises(KeyboardInterrupt):
        work()
    assert ended == ["work"]
    with end_on_signal(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_an_interruption_while_a_worker_starts_is_heard(
    tmp_path: Path, suite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(pool.WorkerProcess):
        def __init__(self) -> None:
            super().__init__()
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(pool, "WorkerProcess", Interrupting)
    with pytest.raises(RunInterrupted):
        run_suite(load_suite(suite_file), tmp_path / "out", jobs=1, console=Console(file=io.StringIO()))


def job_of(config: RunConfig, out: Path) -> Job:
    return Job(config, out / config.run_id, JobState.OPEN)


def test_a_killed_worker_is_replaced_and_its_job_tried_once_more(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig]
) -> None:
    suite = make_suite(schemes=["fups"], seeds=[0])
    jobs = [job_of(config, tmp_path) for config in suite.runs()]
    seen = []
    with WorkerPool(1) as pool:
        for event in pool.run(jobs):
            seen.append(event)
            if isinstance(event, Started) and event.job is jobs[0]:
                os.kill(pool._workers[0].pid, signal.SIGKILL)
    kinds = [type(event) for event in seen if not isinstance(event, Progress)]
    assert kinds == [Started, Died, Started, Died, Started, Finished]
    first, second = (event for event in seen if isinstance(event, Died))
    assert (first.final, second.final) == (False, True)
    assert "SIGKILL" in first.reason
    assert find_runs(tmp_path) == [jobs[1].directory]


def test_a_job_whose_workers_die_becomes_a_failed_row(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = make_suite(schemes=["fups"], seeds=[0, 1])
    victim = make_plan(suite, tmp_path).jobs[0]

    class Killing(WorkerPool):
        def run(self, jobs: list[Job]) -> Iterator[object]:  # type: ignore[override]
            for event in super().run(jobs):
                if isinstance(event, Started) and event.job.run_id == victim.run_id:
                    os.kill(self._workers[-1].pid, signal.SIGKILL)
                yield event

    monkeypatch.setattr("baselines.leaderboard.execution.suite_runner.WorkerPool", Killing)
    console = Console(file=io.StringIO(), width=140)
    summary = run_suite(suite, tmp_path, jobs=1, console=console)
    assert (summary.done, summary.failed) == (3, 1)
    failure = read_run(victim.directory).failure
    assert failure is not None
    assert failure.type == "WorkerDied"
    assert "SIGKILL" in failure.message
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"again   {victim.run_id}" in text
    assert f"failed  {victim.run_id}" in text

    monkeypatch.undo()
    assert run_suite(suite, tmp_path, jobs=1, console=console).failed == 1
    again = run_suite(suite, tmp_path, jobs=1, retry_failed=True, console=console)
    assert (again.done, again.failed) == (4, 0)


def test_nothing_to_do_starts_no_process(tmp_path: Path, suite: SuiteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for config in suite.runs():
        fabricate_run(tmp_path, config, 0.5)
    monkeypatch.setattr("baselines.leaderboard.execution.suite_runner.WorkerPool", None)
    summary = run_suite(suite, tmp_path, console=Console(file=io.StringIO()))
    assert (summary.done, summary.failed) == (8, 0)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"schemes": ["fups_id", "adap"]}, UnknownNameError, "Did you mean 'adaps'"),
        ({"learner": {"settings": {"n_step": 5}}}, ConfigError, "no setting 'n_step'. Did you mean 'n_steps'"),
    ],
)
def test_a_worker_looks_the_suite_over(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(kind, match=message):
        run_suite(make_suite(**changes), out, jobs=2, check=True, console=Console(file=io.StringIO()))
    assert not out.exists()


def test_a_check_whose_worker_dies_says_so(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(pool.WorkerProcess):
        def __init__(self) -> None:
            super().__init__()
            os.kill(self.pid, signal.SIGKILL)

    monkeypatch.setattr(pool, "WorkerProcess", Killed)
    with pytest.raises(ConfigError, match="could not be looked over: the worker process was ended by SIGKILL"):
        run_suite(make_suite(), tmp_path / "out", jobs=1, check=True, console=Console(file=io.StringIO()))
    assert multiprocessing.active_children() == []


def test_the_workers_that_look_over_run_the_jobs(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(schemes=["fups"], seeds=[0])
    with WorkerPool(3) as workers:
        workers.check(suite)
        before = {worker.pid for worker in workers._workers}
        assert len(before) == 2, "as many as there are runs"
        events = list(workers.run([job_of(config, tmp_path) for config in suite.runs()]))
        assert {worker.pid for worker in workers._workers} == before
    assert [event.status for event in events if isinstance(event, Finished)] == ["done", "done"]


def test_the_process_that_waits_loads_no_learner(tmp_path: Path, suite_file: Path) -> None:
    program = (
        "import sys; from baselines.cli.main import main\n"
        "try: main()\n"
        "finally: print({'torch', 'sklearn', 'stable_baselines3', 'matplotlib'} & {*sys.modules}, file=sys.stderr)"
    )
    options = ["leaderboard", "run", "--suite", str(suite_file), "--scheme", "nops", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", program, *options], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_failed_runs_are_left_alone_and_give_exit_code_1(
    tmp_path: Path, suite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    runs = load_suite(suite_file).runs()
    for config in runs[1:]:
        fabricate_run(out, config, 0.5)
    fabricate_failure(out, runs[0])
    before = snapshot(out / "one")
    code = run_cli("leaderboard", "run", "--suite", suite_file, "--out", out)
    assert code == 1
    assert "1 run failed; --retry-failed repeats what has failed" in capsys.readouterr().err
    assert snapshot(out / "one") == before
    assert (out / "board.json").exists()


def test_a_part_of_a_suite_leaves_the_rest_open(tmp_path: Path, suite_file: Path) -> None:
    out = tmp_path / "out"
    whole = load_suite(suite_file)
    fabricate_run(out, next(run for run in whole.runs() if run.run_id == "one/nops/seed-1"), 0.5)
    code = run_cli(
        "leaderboard", "run", "--suite", suite_file, "--out", out, "--scheme", "nops", "--seed", "1"
    )  # fmt: skip
    assert code == 0
    rows = {row["scheme"]: row for row in json.loads((out / "board.json").read_text())}
    assert (rows["nops"]["runs"], rows["nops"]["open"]) == (1, 1)
    assert (rows["fups"]["runs"], rows["fups"]["open"]) == (0, 2)


def test_dry_run_shows_the_plan_and_writes_nothing(
    tmp_path: Path, suite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_cli("leaderboard", "run", "--suite", suite_file, "--out", tmp_path / "out", "--dry-run")
    assert code == 0
    printed = capsys.readouterr().out
    assert printed.count("open ") == 4
    assert "to run: 4 runs, 8,000 environment steps" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fups", "fup", "no sharing scheme 'fup'. Did you mean 'fups'"),
        ("env_steps = 400", "dims = 3", "no identity setting 'dims'"),
    ],
)
def test_dry_run_refuses_what_a_run_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    suite_file = tmp_path / "tiny.toml"
    suite_file.write_text(suite_text(schemes=("fups", "adaps"), seeds=(0,)).replace(old, new))
    out = tmp_path / "out"
    assert run_cli("leaderboard", "run", "--suite", suite_file, "--out", out, "--dry-run", "--skip-probe") == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["leaderboard", "run", "--suite", "quik"], "Did you mean 'quick'"),
        (["leaderboard", "run", "--suite", "absent.toml"], "cannot read absent.toml"),
        (["leaderboard", "run", "--suite", "quick", "--scheme", "adap"], "no scheme 'adap'"),
        (["leaderboard", "run", "--suite", "quick", "--out", "/proc/adaps"], "cannot write /proc/adaps"),
        (["leaderboard", "run", "--suite", "quick", "--out", "/dev/null/x"], "cannot write /dev/null/x"),
        (["leaderboard", "report", "absent"], "absent is not a directory"),
        (["leaderboard", "references", "BPS-77"], "no environment 'BPS-77'"),
        (
            ["train", "BPS-1", "--steps", "5000", "--out", "x"],
            "training may spend 5,000 environment steps, and the identity phase of scheme 'adaps' takes at least",
        ),
        (["train", "BPS-77", "--out", "x"], "no environment 'BPS-77'"),
        (["train", "BPS-1", "--suite", "quik", "--out", "x"], "Did you mean 'quick'"),
        (["train", "BPS-1", "--recurrent", "lstm", "--out", "x"], "recurrent"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_cli(*words)
    captured = capsys.readouterr()
    assert code == 2
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert "Traceback" not in captured.err


def test_a_damaged_run_stops_run_and_is_a_row_of_report(
    tmp_path: Path, suite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    directory = fabricate_run(out, load_suite(suite_file).runs()[0], 0.5)
    (directory / "status.json").write_text("")
    before = snapshot(out)
    code = run_cli("leaderboard", "run", "--suite", suite_file, "--out", out)
    assert code == 2
    assert "status.json" in capsys.readouterr().err
    assert {name: data for name, data in snapshot(out).items() if name != ".lock"} == before
    code = run_cli("leaderboard", "report", out)
    assert code == 0
    assert "damaged one/fups/seed-0" in capsys.readouterr().out


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_folder_of_other_files_is_left_alone(
    tmp_path: Path, suite_file: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    before = snapshot(tmp_path)
    assert run_cli("leaderboard", "run", "--suite", suite_file, "--out", tmp_path, *more) == 2
    assert "is not empty and holds neither a suite.json nor runs" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


def test_a_directory_in_use_is_left_alone(tmp_path: Path, suite_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with directory_lock(out):
        code = run_cli("leaderboard", "run", "--suite", suite_file, "--out", out)
    assert code == 2
    assert f"in use by process {os.getpid()}" in capsys.readouterr().err


def test_listings(capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in ((["envs"], "BPS-1-v0"), (["schemes"], "adaps"), (["leaderboard", "suites"], "quick")):
        code = run_cli(*words)
        assert code == 0
        assert expected in capsys.readouterr().out


def test_train_leaves_a_model_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    code = run_cli("train", "BPS-1", "--scheme", "fups", "--steps", "2000", "--out", out)
    assert code == 0
    said = capsys.readouterr().out
    assert "fups: 15 agents in 1 group, 10,118 trainable parameters\nall agents share every parameter" in said
    assert "return" in said
    assert SharingA2C.load(out / "model.zip").num_timesteps >= 2000
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 11
    code = run_cli("train", "BPS-1", "--scheme", "fups", "--steps", "2000", "--out", out)
    assert code == 2
    assert "not empty" in capsys.readouterr().err


def test_an_interrupted_training_promises_nothing_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    words = ("train", "BPS-1", "--scheme", "fups", "--steps", "2000", "--out", tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr(SharingA2C, "learn", interrupt)
        assert run_cli(*words) == 130
    assert "interrupted. Nothing is stored yet: begin again." in capsys.readouterr().err
    assert run_cli(*words) == 0


def test_train_takes_the_learner_of_a_suite_and_a_memory(tmp_path: Path) -> None:
    words = ("--scheme", "fups", "--steps", "2000", "--suite", "paper", "--recurrent", "gru_actor")
    assert run_cli("train", "CRWARE-tiny-4a-2c", *words, "--out", tmp_path / "model") == 0
    written = json.loads((tmp_path / "model" / "config.json").read_text())["learner"]
    expected = load_suite("paper").learner_for("CRWARE-tiny-4a-2c").model_copy(update={"recurrent": "gru_actor"})
    assert LearnerConfig.model_validate(written) == expected
    assert SharingA2C.load(tmp_path / "model" / "model.zip").num_timesteps >= 2000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (89 * 60, "89 min"), (2 * 3600 + 299, "2 h 05 min")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def lines_of(console: Console) -> list[str]:
    """What was printed; before rich 14.3, a display that ends leaves an empty line."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n").splitlines()


def test_time_left_follows_the_rate() -> None:
    assert time_left(10.0, 0, 100) == "estimating the time left"
    assert time_left(10.0, 25, 100) == "about 30 s left"
    assert time_left(13.0, 32, 1_000_000) == "estimating the time left", "not 116 hours"
    assert time_left(200.0, 32, 1_000) == "about 1 h 41 min left"


def test_time_left_counts_from_the_first_steps(tmp_path: Path, suite: SuiteConfig) -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), width=140)
    (job,) = (job_of(config, tmp_path) for config in suite.runs()[:1])
    with ProgressDisplay(console, "tiny", [job], clock=lambda: now[0]) as display:
        display.show(Started(job))
        now[0] = 29.0  # a process, its imports, compiling
        display.show(Progress(job, 0))
        now[0] = 39.0
        display.show(Progress(job, 1_000))
    assert lines_of(console) == [
        "running 1,000 of 2,000 environment steps, 0 of 1 run, about 10 s left",
        "        one/fups_id/seed-0  50%, about 10 s left",
    ]


def test_phases_without_steps_are_named(tmp_path: Path, suite: SuiteConfig) -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), width=140)
    (job,) = (job_of(config, tmp_path) for config in suite.runs()[:1])
    with ProgressDisplay(console, "tiny", [job], clock=lambda: now[0]) as display:
        for told in (None, 0, "finding groups", 500, 1_000):
            display.show(Started(job) if told is None else Progress(job, told))
            now[0] += 31.0
            display._refresh()
    shown = [line.split("%, ")[1] for line in console.file.getvalue().splitlines() if "%, " in line]  # type: ignore[attr-defined]
    estimating = "estimating the time left"  # also after the phase: how long it took says nothing about the rest
    assert shown == ["compiling, once", estimating, "finding groups", estimating, "about 2 min left"]


def test_a_job_tells_that_it_looks_for_groups(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(suite_text(1_000, schemes=("fups", "adaps"), seeds=(0,)))
    told: dict[str, list[Any]] = {}
    for config in load_suite(path).runs():
        heard = told.setdefault(config.scheme.name, [])
        execute_job(config, tmp_path / "out" / config.run_id, heard.append)
    assert [entry for entry in told["adaps"] if isinstance(entry, str)] == ["finding groups"]
    assert told["adaps"][:2] == [0, "finding groups"]
    assert not any(isinstance(entry, str) for entry in told["fups"])


def test_plain_lines_for_a_log_file(tmp_path: Path, suite: SuiteConfig) -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), width=140)
    jobs = [job_of(config, tmp_path) for config in suite.runs()[:2]]
    with ProgressDisplay(console, "tiny", jobs, clock=lambda: now[0]) as display:
        display.show(Started(jobs[0]))
        display.show(Progress(jobs[0], 0))
        now[0] = 40.0
        display.show(Progress(jobs[0], 1_000))
        now[0] = 80.0
        display.show(Finished(jobs[0], "done", 0.91234, ""))
        display.show(Started(jobs[1]))
        display.show(Died(jobs[1], "killed", 1, final=False))
        display.show(Started(jobs[1]))
        display.show(Finished(jobs[1], "failed", None, "ValueError: [bold]markup[/bold]"))
    assert lines_of(console) == [
        "running 1,000 of 4,000 environment steps, 0 of 2 runs, about 2 min left",
        "        one/fups_id/seed-0  50%, about 40 s left",
        "done    one/fups_id/seed-0  0.912  80 s  [1/2, about 80 s left]",
        "again   one/adaps/seed-0  killed; the run is taken up once more",
        "failed  one/adaps/seed-0  ValueError: [bold]markup[/bold]  0 s  [2/2, about 0 s left]",
    ]


def test_steps_of_an_earlier_attempt_are_not_taken_for_speed(tmp_path: Path, suite: SuiteConfig) -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), width=140)
    (job,) = (job_of(config, tmp_path) for config in suite.runs()[:1])
    with ProgressDisplay(console, "tiny", [job], clock=lambda: now[0]) as display:
        display.show(Started(job))
        display.show(Progress(job, 1_600))
        now[0] = 60.0
        display.show(Progress(job, 1_800))
        display.show(Finished(job, "done", 0.5, ""))
    assert lines_of(console) == [
        "goes on one/fups_id/seed-0  from 1,600 of 2,000 environment steps",
        "running 1,800 of 2,000 environment steps, 0 of 1 run, about 60 s left",
        "        one/fups_id/seed-0  90%, about 60 s left",
        "done    one/fups_id/seed-0  0.500  60 s  [1/1, about 0 s left]",
    ]
