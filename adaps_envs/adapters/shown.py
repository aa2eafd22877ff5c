"""How environments show themselves: one line in a shell, a picture in a notebook."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from adaps_envs.core.batched import BatchedEnv

__all__ = ["Shown"]


class Shown:
    """Gives an adapter ``repr`` and, in notebooks, a picture of its first lane."""

    batched: BatchedEnv

    def __repr__(self) -> str:
        """Return kind, id and sizes on one line."""
        return self.batched.described(type(self).__name__)

    def _repr_html_(self) -> str:
        """Return the line and a picture, of an example where nothing has begun; it changes no state."""
        from PIL import Image

        env, note = self.batched, ""
        if not env.begun:
            env, note = _example(env), " An example start; reset() begins."
        picture = io.BytesIO()
        Image.fromarray(env.render_frame(0)).save(picture, "PNG")
        data = base64.b64encode(picture.getvalue()).decode("ascii")
        line = html.escape(repr(self))
        return (
            f"<figure><img alt='{html.escape(env.spec_id)}' src='data:image/png;base64,{data}'/>"
            f"<figcaption><code>{line}</code>{note}</figcaption></figure>"
        )


def _example(env: BatchedEnv) -> BatchedEnv:
    made: Any = type(env)
    example: BatchedEnv = made(1, env.params, seed=0, spec_id=env.spec_id)
    example.reset()
    return example
