"""Draw the moving pictures of the README: ``python docs/make_pictures.py`` writes ``docs/img/<family>.gif``.

Each one shows a scripted policy that knows the hidden types, drawn by the environment itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import adaps_envs

FOLDER = Path(__file__).parent / "img"
PICTURES = {"bps": "BPS-1", "crware": "CRWARE-tiny-4a-2c", "lbf": "LBF-10x10-6p-5f-3t"}
STEPS = 60
HEIGHT = 280


def film(env_id: str, seed: int = 0) -> list[Image.Image]:
    """Return the pictures of ``STEPS`` steps of ``env_id``; where an episode ends, the next one begins."""
    env = adaps_envs.make_batched(env_id, 1, seed=seed)
    policy = adaps_envs.make_policy("expert", env)
    generator = np.random.default_rng(seed)
    obs, pictures = env.reset(), [_picture(env.render_frame())]
    for _ in range(STEPS):
        obs = env.step(policy(obs, generator))[0]
        pictures.append(_picture(env.render_frame()))
        if env.ended.any():
            obs = env.reset(mask=env.ended)
    return pictures


def _picture(frame: np.ndarray) -> Image.Image:
    image = Image.fromarray(frame)
    size = (round(image.width * HEIGHT / image.height), HEIGHT)
    return image.resize(size, Image.Resampling.LANCZOS).quantize(64, dither=Image.Dither.NONE)


def main(folder: Path = FOLDER) -> None:
    """Write every picture into ``folder``."""
    folder.mkdir(exist_ok=True)
    for name, env_id in PICTURES.items():
        first, *others = film(env_id)
        first.save(folder / f"{name}.gif", save_all=True, append_images=others, duration=120, loop=0)


if __name__ == "__main__":
    main()
