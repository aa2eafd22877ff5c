"""``adaps play``: sessions driven by keys, recordings without a window, the window under a dummy display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import adaps_envs
from adaps_envs.adapters.window import CLOSED, Window
from adaps_envs.errors import InvalidParameterError, UnknownNameError
from baselines.cli.main import app
from baselines.cli.play import CONTROLS, Session, action_keys, help_text, play, record


def _session(driven: int | None = None, policy: str = "random", **params: Any) -> Session:
    env = adaps_envs.make_batched("BPS-1", 1, **{"groups": [2, 1], "max_cycles": 5, **params})
    return Session(env, policy, seed=3, driven=driven)


def _velocity(session: Session) -> NDArray[Any]:
    return session.env.get_state()["vel"][0]


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_every_id_can_be_recorded(env_id: str, tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    session = Session(adaps_envs.make_batched(env_id, 1), "random")
    height, width = session.env.render_frame(0).shape[:2]
    assert record(session, out, steps=3, fps=10) == 4
    with Image.open(out) as picture:
        assert picture.size == (width, height + 34)
        assert picture.n_frames == 4
        assert picture.info["duration"] == 100


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_every_id_can_be_driven_by_keys(env_id: str) -> None:
    env = adaps_envs.make_batched(env_id, 1)
    session = Session(env, "random", driven=0)
    keys = action_keys(env)
    assert set(range(min(10, env.num_actions))) <= set(keys.values())
    for key in keys:
        session.press(key)
    assert session.frame().dtype == np.uint8
    places = env.agent_pixels(0)
    assert places is None or places.shape == (env.num_agents, 2)


def test_recorded_policies_are_reproducible(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.gif", "b.gif", "c.gif")]
    for path, seed in zip(files, (3, 3, 4), strict=True):
        arguments = ["play", "BPS-1", "--record", str(path), "--steps", "3", "--seed", str(seed), "--policy", "random"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    contents = [path.read_bytes() for path in files]
    assert contents[0] == contents[1] != contents[2]


def test_recording_lasts_an_episode_by_default_and_goes_on_after_it(tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    arguments = ["play", "BPS-1", "-p", "groups=[1]", "-p", "max_cycles=4", "--policy", "expert", "--record", str(out)]
    assert "5 pictures" in CliRunner().invoke(app, arguments).stdout
    assert "10 pictures" in CliRunner().invoke(app, [*arguments, "--steps", "9", "--force"]).stdout


def test_recording_replaces_nothing_unasked(tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    out.write_bytes(b"precious")
    with pytest.raises(InvalidParameterError, match="--force to replace"):
        record(_session(), out, steps=1, fps=10)
    assert out.read_bytes() == b"precious"
    record(_session(), out, steps=1, fps=10, overwrite=True)
    assert out.read_bytes().startswith(b"GIF89a")


@pytest.mark.parametrize(("name", "message"), [("out.mp4", "should end in .gif"), ("no/out.gif", "there is no folder")])
def test_recording_into_the_wrong_place(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        record(_session(), tmp_path / name, steps=1, fps=10)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    agents = pytest.importorskip("adaps_agents")
    path = tmp_path_factory.mktemp("model") / "model.zip"
    env = adaps_envs.make("BPS-1", api="sb3", num_envs=1, groups=[2, 1], max_cycles=5)
    agents.SharingA2C("nops", env, seed=0, policy_kwargs={"recurrent": "gru"}).save(path)
    return path


def test_a_model_is_recorded_in_the_roster_it_was_trained_with(model: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.gif", "b.gif", "c.gif")]
    for path, source, words in zip(files, (model, model.parent, model), ([], [], ["-p", "max_cycles=9"]), strict=True):
        arguments = ["play", "BPS-1", "--model", str(source), "--record", str(path), *words]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.exception
        assert f"{10 if words else 6} pictures" in result.stdout
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_model_plays_as_its_task_is_scored(tmp_path: Path) -> None:
    agents = pytest.importorskip("adaps_agents")
    from baselines.cli.play_model import open_model

    for env_id, name in (("BPS-1", "greedy"), ("LBF-10x10-6p-5f-3t", "sampled")):
        path = tmp_path / f"{env_id}.zip"
        agents.SharingA2C("fups", adaps_envs.make(env_id, api="sb3", num_envs=1), seed=0).save(path)
        env, model = open_model(path, env_id, {})
        assert model.name == f"fups model, {name}"
        obs = env.reset(seed=0)
        for sampled in (True, False):
            _, chosen = open_model(path, env_id, {}, sampled=sampled)
            seen = {chosen(obs, np.random.default_rng(seed)).tobytes() for seed in range(20)}
            assert (len(seen) > 1) is sampled
            assert np.array_equal(chosen(obs, np.random.default_rng(5)), chosen(obs, np.random.default_rng(5)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["BPS-1", "--policy", "expert"], "--model and --policy both say who plays"),
        (["BPS-1", "-p", "groups=[2,2]"], "is for 3 agents, BPS-1-v0 here has 4"),
        (["BPS-2"], "is for 3 agents, BPS-2-v0 here has 30; it was trained in BPS-1-v0"),
        (["LBF-8x8-2p-3f"], "was trained in BPS-1-v0, which is no lbf"),
        (["BPS-1", "-p", "colour=1"], "has no parameter 'colour'"),
    ],
)
def test_a_model_that_does_not_fit(model: Path, tmp_path: Path, words: list[str], said: str) -> None:
    arguments = ["play", *words, "--model", str(model), "--record", str(tmp_path / "out.gif")]
    assert said in str(CliRunner().invoke(app, arguments).exception)
    assert not (tmp_path / "out.gif").exists()


def test_another_roster_than_the_trained_one_is_told(model: Path, tmp_path: Path) -> None:
    arguments = ["play", "BPS-1", "--model", str(model), "--steps", "1", "--force", "--record", str(tmp_path / "a.gif")]
    assert "note:" not in CliRunner().invoke(app, [*arguments, "-p", "groups=[2,1]"]).output
    told = CliRunner().invoke(app, [*arguments, "-p", "groups=[1,2]"]).output
    assert "trained on agents of the types [0, 0, 1], here they are [0, 1, 1]" in told


def test_sampling_belongs_to_a_model() -> None:
    assert "--sampled says how a trained model plays" in str(
        CliRunner().invoke(app, ["play", "BPS-1", "--sampled", "--watch"]).exception
    )


def test_there_is_no_such_model(tmp_path: Path) -> None:
    arguments = ["play", "BPS-1", "--model", str(tmp_path / "none.zip"), "--record", str(tmp_path / "out.gif")]
    assert "--model: there is no" in str(CliRunner().invoke(app, arguments).exception)


def test_keys_move_the_driven_agent_only() -> None:
    session = _session(driven=1, policy="expert")
    session.press("left")
    assert _velocity(session)[1].tolist() == [-0.5, 0.0]
    assert (_velocity(session)[[0, 2]] != 0).any()
    session.press("4")
    assert _velocity(session)[1].tolist() == [-0.375, 0.5]
    session.press("f12")
    session.tick()
    assert _velocity(session)[1].tolist() == [-0.375, 0.5]


def test_choosing_agents() -> None:
    session = _session(driven=0)
    session.press("shift+tab")
    assert session.driven == 2
    session.press("tab")
    assert session.driven == 0


def test_running_and_autopilot() -> None:
    session = _session(driven=0, policy="expert")
    session.press("p")
    session.tick()
    assert _velocity(session)[0].tolist() == [0.0, 0.0]
    session.press("a")
    session.tick()
    assert (_velocity(session)[0] != 0).any()
    session.press("p")
    before = _velocity(session)
    session.tick()
    assert np.array_equal(_velocity(session), before)


def test_an_ended_episode_starts_again() -> None:
    session = _session(driven=0)
    for _ in range(5):
        session.press("space")
    assert session.env.ended[0]
    session.press("space")
    assert session.env.get_state()["cur_steps"][0] == 0
    session.press("space")
    session.press("r")
    assert session.env.get_state()["cur_steps"][0] == 0


def test_the_driven_agent_is_pointed_at() -> None:
    free, driven = _session(), _session(driven=0)
    difference = (free.frame() != driven.frame()).any(axis=2)[:400]
    rows, columns = np.nonzero(difference)
    x, y = driven.env.agent_pixels(0)[0]
    assert abs(columns.mean() - x) < 3
    assert abs(rows.mean() - y) < 3


def test_help_names_every_key_once() -> None:
    lines = help_text(_session().env).splitlines()
    assert lines[0].split() == ["space", "or", "0", "nothing"]
    assert len(lines) == 5 + len(CONTROLS)
    assert _session(driven=0).press("h") == help_text(_session().env)


def test_a_family_cannot_take_a_control_key(monkeypatch: pytest.MonkeyPatch) -> None:
    env = _session().env
    monkeypatch.setattr(type(env), "action_keys", ("space", "q"))
    with pytest.raises(InvalidParameterError, match="uses the key 'q'"):
        action_keys(env)


def test_wrong_sessions() -> None:
    with pytest.raises(InvalidParameterError, match=r"there is no agent 3; choose 0\.\.2"):
        _session(driven=3)
    with pytest.raises(InvalidParameterError, match="plays one lane"):
        Session(adaps_envs.make_batched("BPS-1", 2), "random")
    with pytest.raises(UnknownNameError, match="no scripted policy 'genius'"):
        _session(policy="genius")


class ScriptedWindow(Window):
    """Shows nothing, and presses keys."""

    def __init__(self, keys: list[list[str]]) -> None:
        super().__init__("test")
        self.frames: list[NDArray[np.uint8]] = []
        self.keys = keys
        self.closed = False

    def show(self, frame: NDArray[np.uint8]) -> None:
        self.frames.append(frame)

    def pressed(self) -> list[str]:
        return self.keys.pop(0) if self.keys else []

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("leave", ["q", "escape", CLOSED])
def test_window_loop(leave: str) -> None:
    said: list[str] = []
    waited: list[float] = []
    window = ScriptedWindow([["left"], ["h"], [], [leave]])
    session = _session(driven=0)
    assert play(session, fps=20, window=window, say=said.append, sleep=waited.append) == 4
    assert session.over
    assert window.closed
    assert said == [help_text(session.env)]
    assert waited == [0.05] * 4
    assert not np.array_equal(window.frames[0], window.frames[1])
    assert np.array_equal(window.frames[1], window.frames[2])


def test_real_window_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window("test")
    assert window.pressed() == []
    session = _session(driven=0)

    def press(_: float) -> None:
        events = [("left", 0), ("tab", 1)] if session.env.get_state()["cur_steps"][0] == 0 else [("q", 0)]
        for name, shift in events:
            modifier = pygame.KMOD_LSHIFT if shift else 0
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(name), mod=modifier))

    assert play(session, fps=50, steps=10, window=window, sleep=press) == 3
    assert session.driven == 2
    assert session.over
    assert not pygame.display.get_init()
