"""Threads of torch for as long as something runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from adaps_envs.core.validation import whole_number
from adaps_envs.errors import InvalidParameterError, quoted

__all__ = ["checked_threads", "running_on"]


@contextmanager
def running_on(number: int | None) -> Iterator[None]:
    """Let torch use ``number`` threads inside, and as many as before afterwards; None changes nothing."""
    before = torch.get_num_threads()
    if number is None or number == before:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def checked_threads(number: int | None) -> int | None:
    """Return the number of threads, or raise InvalidParameterError unless it is None or an integer >= 1."""
    try:
        return None if number is None else whole_number("torch_threads", number, 1)
    except InvalidParameterError as error:
        raise InvalidParameterError(
            f"torch_threads is {quoted(number)}; give an integer >= 1, or None to leave torch alone."
        ) from error
