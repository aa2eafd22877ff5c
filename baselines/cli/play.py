"""``adaps play``: watch scripted or trained policies, or drive agents by hand.

A :class:`Session` knows nothing of windows: it takes names of keys and gives pictures, so that it can be recorded into
a GIF without a display, and tested.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from adaps_envs.adapters.window import CLOSED, Window
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidParameterError
from adaps_envs.policies import make_policy

__all__ = ["CONTROLS", "Model", "Session", "help_text", "play", "record"]

CONTROLS = {
    "tab": "drive the next agent",
    "shift+tab": "drive the agent before",
    "a": "let the policy drive your agent too, or take over again",
    "p": "let the game run on its own, or pause it",
    "r": "start another episode",
    "h": "print the keys",
    "q": "leave (or escape)",
}
_QUIT = ("q", "escape", CLOSED)
_PANEL = 34
_INK = (40, 40, 40)
_PAPER = (245, 245, 245)
# No type has this colour, and it stands out from the ink of all families.
_MARK = (220, 0, 110)
_MARK_RADIUS = 16


class Model(Protocol):
    """A trained policy in one lane, which may remember what it saw since the last :meth:`begin`."""

    def begin(self) -> None:
        """Begin an episode."""

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int64]:
        """Return actions ``[1, N] int64`` for observations ``[1, N, F] float32``."""


class Session:
    """One lane played by a policy, of which a human may drive one agent.

    Attributes:
        env: the environment, one lane.
        driven: index of the agent that a human drives; None if nobody does.
        running: whether the game goes on without a key.
        autopilot: whether the policy drives the human's agent too.
        over: whether the user has asked to leave.
    """

    def __init__(
        self, env: BatchedEnv, policy: str, *, seed: int = 0, driven: int | None = None, model: Model | None = None
    ) -> None:
        """Start an episode.

        Args:
            env: one lane.
            policy: name of the scripted policy, or what ``model`` is called.
            model: plays instead of a scripted policy.
            seed: of the first episode and of the policy.
            driven: the agent that a human drives.

        Raises:
            InvalidParameterError: more than one lane, no such agent, or an action key that a control needs.
            UnknownNameError: no such policy.
        """
        if env.num_envs != 1:
            raise InvalidParameterError(f"a session plays one lane, the batch has {env.num_envs}; give num_envs=1.")
        if driven is not None and not 0 <= driven < env.num_agents:
            raise InvalidParameterError(f"there is no agent {driven}; choose 0..{env.num_agents - 1}.")
        self.env, self.driven = env, driven
        self.running = self.autopilot = driven is None
        self.over = False
        self._name, self._model = policy, model
        self._policy = make_policy(policy, env) if model is None else model
        self._generator = np.random.default_rng(seed)
        self._keys = action_keys(env)
        self._steps, self._return, self._last = 0, 0.0, np.zeros(env.num_agents)
        self._obs = env.reset(seed=seed)
        if model is not None:
            model.begin()

    def press(self, key: str) -> str | None:
        """Do what ``key`` stands for; return a text to print, if it asks for one. Unknown keys do nothing."""
        if key in _QUIT:
            self.over = True
        elif key == "r":
            self.restart()
        elif key == "p":
            self.running = not self.running
        elif key == "h":
            return help_text(self.env)
        elif self.driven is not None:
            self._drive(key)
        return None

    def tick(self) -> None:
        """Let the game go on for a step if it runs on its own."""
        if self.running:
            self.step()

    def step(self, action: int | None = None) -> None:
        """Advance by one step; an episode that has ended starts again instead.

        Args:
            action: of the driven agent; None is action 0, or the policy's with the autopilot.
        """
        if self.env.ended[0]:
            self.restart()
            return
        actions = self._policy(self._obs, self._generator)
        if self.driven is not None and not (self.autopilot and action is None):
            actions[0, self.driven] = 0 if action is None else action
        self._obs, rewards, _, _ = self.env.step(actions)
        self._last = rewards[0].astype(np.float64)
        self._steps += 1
        self._return += float(self._last.sum())

    def restart(self) -> None:
        """Start another episode; the random stream goes on."""
        self._obs = self.env.reset()
        if self._model is not None:
            self._model.begin()
        self._steps, self._return, self._last = 0, 0.0, np.zeros(self.env.num_agents)

    def frame(self) -> NDArray[np.uint8]:
        """Return the picture with a line of text below, ``[height + 34, width, 3] uint8``."""
        picture = self.env.render_frame(0)
        height, width = picture.shape[:2]
        image = Image.new("RGB", (width, height + _PANEL), _PAPER)
        image.paste(Image.fromarray(picture))
        canvas = ImageDraw.Draw(image)
        self._point_at_driven(canvas)
        for line, text in enumerate(self._texts()):
            canvas.text((6, height + 4 + 14 * line), text, fill=_INK)
        return np.asarray(image, dtype=np.uint8).copy()

    def _drive(self, key: str) -> None:
        assert self.driven is not None
        if key in ("tab", "shift+tab"):
            self.driven = (self.driven + (1 if key == "tab" else -1)) % self.env.num_agents
        elif key == "a":
            self.autopilot = not self.autopilot
        elif key in self._keys:
            self.step(self._keys[key])

    def _texts(self) -> tuple[str, str]:
        first = f"{self.env.spec_id}   step {self._steps}/{self.env.max_cycles}   return {self._return:.2f}"
        if self.driven is None:
            return first, f"{self._name} policy" if self._model is None else self._name
        state = "autopilot" if self.autopilot else "you"
        return first, f"{state}: agent_{self.driven}   reward {self._last[self.driven]:.2f}   others: {self._name}"

    def _point_at_driven(self, canvas: ImageDraw.ImageDraw) -> None:
        pixels = self.env.agent_pixels(0)
        if pixels is None or self.driven is None:
            return
        x, y = pixels[self.driven].tolist()
        radius = _MARK_RADIUS
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_MARK, width=3)


def action_keys(env: BatchedEnv) -> dict[str, int]:
    """Return the action of each key: the family's own keys, and digits for the first ten actions."""
    taken = [key for key in env.action_keys if key in CONTROLS or key in _QUIT]
    if taken:
        raise InvalidParameterError(f"{env.family} uses the key {taken[0]!r} for an action; it controls the game.")
    digits = {str(action): action for action in range(min(10, env.num_actions))}
    own = {key: action for action, key in enumerate(env.action_keys[: env.num_actions])}
    return {**digits, **own}


def help_text(env: BatchedEnv) -> str:
    """Return what every key does."""
    by_action: dict[int, list[str]] = {}
    for key, action in action_keys(env).items():
        by_action.setdefault(action, []).insert(0, key)
    lines = [(" or ".join(keys), env.action_names[action]) for action, keys in by_action.items()]
    return "\n".join(f"  {key:<12} {meaning}" for key, meaning in [*lines, *CONTROLS.items()])


def play(
    session: Session,
    *,
    fps: float,
    steps: int | None = None,
    window: Window | None = None,
    say: Callable[[str], None] = print,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Show the session in a window until the user leaves; return how many pictures were shown.

    Args:
        session: what is played.
        fps: pictures a second, and steps a second while the game runs on its own.
        steps: leave after so many pictures; None goes on.
        window: where to show it; None opens one.
        say: prints help.
        sleep: waits for so many seconds.

    Raises:
        InvalidParameterError: pygame is not installed, or there is no display.
    """
    shown = 0
    screen = window or Window(f"adaps play {session.env.spec_id}")
    try:
        while not session.over and (steps is None or shown < steps):
            screen.show(session.frame())
            shown += 1
            for key in screen.pressed():
                text = session.press(key)
                if text:
                    say(text)
            session.tick()
            sleep(1.0 / fps)
    finally:
        screen.close()
    return shown


def record(session: Session, out: Path, *, steps: int, fps: float, overwrite: bool = False) -> int:
    """Play ``steps`` steps without a window into an animated GIF; return its number of pictures.

    Raises:
        InvalidParameterError: not a ``.gif``, the file exists already, or its folder does not.
    """
    if out.suffix.lower() != ".gif":
        raise InvalidParameterError(f"--record writes animated GIFs; {out.name!r} should end in .gif.")
    if out.exists() and not overwrite:
        raise InvalidParameterError(f"{out} exists; give another name, or --force to replace it.")
    if not out.parent.is_dir():
        raise InvalidParameterError(f"there is no folder {str(out.parent)!r} to write {out.name} into; create it.")
    frames = [session.frame()]
    for _ in range(steps):
        session.step()
        frames.append(session.frame())
    images = [Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    # Encoded first, so that a failure leaves no broken file behind.
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
    out.write_bytes(buffer.getvalue())
    return len(images)
