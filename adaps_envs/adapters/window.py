"""A window for ``render_mode="human"`` and ``adaps play``: an optional extra, imported with the first picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import InvalidParameterError

__all__ = ["CLOSED", "Window"]

# What Window.pressed() reports when the user closes the window.
CLOSED = "window closed"
# A held key repeats after so many milliseconds, and then at this interval.
_REPEAT = (250, 80)


class Window:
    """Shows pictures with pygame. Nothing is opened before the first picture."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._screen: Any = None

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show ``frame [height, width, 3] uint8``.

        Raises:
            InvalidParameterError: pygame is not installed, or there is no display.
        """
        pygame = _pygame()
        try:
            if self._screen is None:
                pygame.display.init()
                pygame.display.set_caption(self._title)
                self._screen = pygame.display.set_mode((frame.shape[1], frame.shape[0]))
                pygame.key.set_repeat(*_REPEAT)
            pygame.event.pump()
            self._screen.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
            pygame.display.flip()
        except pygame.error as error:
            self._screen = None
            raise InvalidParameterError(
                f"no window can be opened ({error}); use render_mode='rgb_array', or adaps play --record out.gif."
            ) from error

    def pressed(self) -> list[str]:
        """Return the keys pressed since the last call, e.g. ``left``, ``a``, ``1`` or ``shift+tab``; also ``CLOSED``.

        It is empty before the first picture.
        """
        if self._screen is None:
            return []
        pygame = _pygame()
        return [
            CLOSED if event.type == pygame.QUIT else _key_name(pygame, event)
            for event in pygame.event.get((pygame.QUIT, pygame.KEYDOWN))
        ]

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._screen is not None:
            _pygame().display.quit()
            self._screen = None


def _key_name(pygame: Any, event: Any) -> str:
    # The digits of a number pad are called "[1]" and so on.
    name = str(pygame.key.name(event.key)).strip("[]")
    return f"shift+{name}" if getattr(event, "mod", 0) & pygame.KMOD_SHIFT else name


def _pygame() -> Any:
    try:
        import pygame
    except ImportError as error:
        raise InvalidParameterError(
            "a window needs pygame: pip install 'adaps[render]', or use render_mode='rgb_array', "
            "or adaps play --record out.gif."
        ) from error
    return pygame
