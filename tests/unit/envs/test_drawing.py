"""Pictures at other scales and as SVG, of every environment."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from type_game import TypeGame, TypeGameParams

import adaps_envs
from adaps_envs.errors import InvalidParameterError, ResetNeededError

SVG = "{http://www.w3.org/2000/svg}"


def _begun(env_id: str) -> Any:
    env = adaps_envs.make_batched(env_id, 2, seed=0)
    env.reset()
    return env


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_a_larger_picture_shows_the_same(env_id: str) -> None:
    env = _begun(env_id)
    small, large = env.render_frame(1), env.render_frame(1, scale=2)
    height, width, _ = small.shape
    assert large.shape == (2 * height, 2 * width, 3)
    reduced = np.asarray(Image.fromarray(large).reduce(2), np.int16)
    assert (np.abs(reduced - small).max(axis=-1) > 96).mean() < 0.03


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_the_vector_picture_is_of_the_same_size(env_id: str) -> None:
    env = _begun(env_id)
    height, width, _ = env.render_frame(0).shape
    root = ElementTree.fromstring(env.render_svg(0))
    assert (root.tag, root.get("width"), root.get("height")) == (f"{SVG}svg", str(width), str(height))
    assert root.get("viewBox") == f"0 0 {2 * width} {2 * height}"
    assert len(root.findall(f"{SVG}ellipse")) >= env.num_agents
    assert env.render_svg(0) == env.render_svg(0) != env.render_svg(1)


def test_what_cannot_be_drawn_is_refused() -> None:
    env = adaps_envs.make_batched("BPS-1", 1)
    with pytest.raises(ResetNeededError):
        env.render_svg()
    env.reset(seed=0)
    for scale in (0, 17, 1.5, True):
        with pytest.raises(InvalidParameterError, match="scale"):
            env.render_frame(scale=scale)
    with pytest.raises(InvalidParameterError, match="lane"):
        env.render_svg(1)


def test_a_family_that_paints_pixels_alone_says_so() -> None:
    env = TypeGame(1, TypeGameParams(), seed=0)
    env.reset()
    assert env.render_frame().ndim == 3
    for call in (lambda: env.render_frame(scale=2), env.render_svg):
        with pytest.raises(InvalidParameterError, match="type_game draws pixels of one size"):
            call()


@pytest.mark.parametrize("env_id", ["BPS-1", "CRWARE-small-8a-2c", "LBF-10x10-6p-5f-3t"])
def test_the_font_has_a_glyph_for_everything_that_is_written(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, Any]] = []
    draw_text = ImageDraw.ImageDraw.text

    def text(canvas: Any, xy: Any, text: str, **options: Any) -> None:
        written.append((text, options["font"]))
        draw_text(canvas, xy, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    env = adaps_envs.make_batched(env_id, 1, seed=0)
    policy, generator = adaps_envs.make_policy("expert", env), np.random.default_rng(0)
    obs = env.reset()
    for _ in range(25):
        env.render_frame(0)
        obs = env.reset() if env.ended[0] else env.step(policy(obs, generator))[0]
    assert written
    for words, font in written:
        missing = bytes(font.getmask("\uffff"))
        assert not [letter for letter in words if bytes(font.getmask(letter)) == missing], words
