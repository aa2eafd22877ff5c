"""Moving pictures of policies: recorded actions, played again in the environment and drawn. No weights, no torch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adaps_envs.core.batched import BatchedEnv
from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.execution.replay import ReplayError, first_difference, open_environment, replay
from baselines.leaderboard.records.reader import RunRecord, read_final_actions

__all__ = ["Film", "FilmError", "film", "shared_episode", "still_of_start"]

# A longer episode is shown in strides, whole.
MAX_FRAMES = 125
# A board of so many cells has about a million pixels a frame: its film takes seconds and some hundred megabytes.
MAX_STATE_VALUES = 1 << 14
# A frame of more takes too long, and nobody could tell the agents apart.
MAX_AGENTS = 2_000
_SECONDS = 8.0
_SLOWEST, _FASTEST = 160, 60
_SMALL = 240


class FilmError(ValueError):
    """Why a record has no picture."""


@dataclass(frozen=True)
class Film:
    """One episode as an animation.

    Attributes:
        gif: animated GIF that repeats.
        still: PNG of the last picture, for those who want nothing to move.
        size: width and height in pixels.
        episode: its place among the run's evaluation episodes.
        seed: environment seed of the episode.
        steps: of the episode.
        stride: every so many steps there is a picture.
        team_return: as replayed.
    """

    gif: bytes
    still: bytes
    size: tuple[int, int]
    episode: int
    seed: int
    steps: int
    stride: int
    team_return: float


def shared_episode(records: Sequence[RunRecord]) -> int:
    """Return the place of the evaluation episode whose mean return over some runs of a task is the median one (the
    lower of two): all runs of a task play the same episodes, and one shows what schemes do differently.
    """
    played = [run.evaluation.scored(run.config.task)[-1] for run in records if run.evaluation is not None]
    means = np.mean(played, axis=0)
    return int(np.argsort(means, kind="stable")[(len(means) - 1) // 2])


def still_of_start(record: RunRecord, episode: int) -> bytes | None:
    """Return a small PNG of an evaluation episode's first step; None if the scene cannot be drawn."""
    assert record.evaluation is not None
    try:
        env = open_environment(record.config)
        if _too_large(env):
            return None
        env.reset(seed=[int(record.evaluation.seeds[episode])])
        image = Image.fromarray(env.render_frame(0))
    except Exception:  # parameters from outside may give a scene that its family cannot draw; the film says why
        return None
    image.thumbnail((_SMALL, _SMALL))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def film(record: RunRecord, episode: int) -> Film:
    """Show an evaluation episode of a finished run, at the last point.

    Args:
        record: of the run.
        episode: its place among the evaluation episodes.

    Raises:
        FilmError: the actions are damaged, do not play, do not give the recorded return, or the scene is too large.
    """
    assert record.evaluation is not None
    returns = record.evaluation.scored(record.config.task)[-1]
    try:
        log = read_final_actions(record)
        length = int(log.final_lengths[episode])
        actions = log.final[:length, episode]
        seeds = record.evaluation.seeds[episode : episode + 1]
        lengths = log.final_lengths[episode : episode + 1]
        replayed = replay(record.config, "final", seeds, actions[:, None], lengths)
        if first_difference(record.config.task, replayed, returns[episode : episode + 1])[0]:
            raise FilmError(f"the actions give a return of {replayed[0]:.1f}, the record says {returns[episode]:.1f}")
        env = open_environment(record.config)
    except (ReplayError, DamagedRecordError) as error:
        raise FilmError(str(error)) from None
    if message := _too_large(env):
        raise FilmError(message)
    stride = -(-length // (MAX_FRAMES - 1))
    try:
        frames = _frames(env, int(seeds[0]), actions.astype(np.int64), stride)
    except Exception as error:  # parameters from outside may give a scene that its family cannot draw
        raise FilmError(f"the scene cannot be drawn ({type(error).__name__}: {error})") from None
    height, width = frames[0].shape[:2]
    return Film(
        _gif(frames), _png(frames[-1]), (width, height), episode, int(seeds[0]), length, stride, float(replayed[0])
    )


def _too_large(env: BatchedEnv) -> str:
    """Say why a scene is not drawn; empty if it is."""
    if env.num_agents > MAX_AGENTS:
        return f"a team of {env.num_agents:,} agents is too large to be drawn; at most {MAX_AGENTS:,} are"
    values = sum(array.size for array in env.get_state().values())
    if values > MAX_STATE_VALUES:
        return f"a scene of {values:,} values is too large to be drawn; at most {MAX_STATE_VALUES:,} are"
    return ""


def _frames(env: BatchedEnv, seed: int, actions: NDArray[np.int64], stride: int) -> list[NDArray[np.uint8]]:
    """Play ``actions [T, N]`` and return the first picture, every ``stride``-th and the last, ``[H, W, 3]`` each."""
    env.reset(seed=[seed])
    frames = [env.render_frame(0)]
    for step, chosen in enumerate(actions, start=1):
        env.step(chosen[None])
        if step % stride == 0 or step == len(actions):
            frames.append(env.render_frame(0))
    return frames


def _gif(frames: list[NDArray[np.uint8]]) -> bytes:
    # One palette for all pictures, taken from the first, middle and last: colours must not flicker.
    sample = Image.fromarray(np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]]))
    palette = sample.quantize(256)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    pace = min(max(round(1000 * _SECONDS / len(frames)), _FASTEST), _SLOWEST)
    # The last picture stays for a while, so that the eye finds the end.
    durations = [pace] * (len(images) - 1) + [1500]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False)
    return buffer.getvalue()


def _png(frame: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return buffer.getvalue()
