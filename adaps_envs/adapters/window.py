"""A window for ``render_mode="human"``: an optional extra, imported when the first picture is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import InvalidParameterError

__all__ = ["Window"]


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
            pygame.event.pump()
            self._screen.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
            pygame.display.flip()
        except pygame.error as error:
            self._screen = None
            raise InvalidParameterError(
                f"no window can be opened for render_mode='human' ({error}); use render_mode='rgb_array'."
            ) from error

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._screen is not None:
            _pygame().display.quit()
            self._screen = None


def _pygame() -> Any:
    try:
        import pygame
    except ImportError as error:
        raise InvalidParameterError(
            "render_mode='human' needs pygame: pip install 'adaps[render]', or use render_mode='rgb_array'."
        ) from error
    return pygame
