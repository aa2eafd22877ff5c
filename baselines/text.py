"""Text that somebody else wrote: how it enters a record, and how it is shown."""

from __future__ import annotations

__all__ = ["counted", "printable", "storable"]


def counted(number: int, noun: str) -> str:
    """Return ``"1 run"``, ``"2 runs"``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def printable(text: str, *, keep: str = "") -> str:
    """Return ``text`` with everything that could control a terminal or turn the reading direction shown as an escape.

    Args:
        text: from a record, a file name, an exception.
        keep: control characters that may stay; by default none does, and the result is one line.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in text)


def storable(text: str, limit: int) -> str:
    """Return ``text`` as a record can hold it: half characters become escapes, and the middle of a long one goes."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(whole) <= limit:
        return whole
    half = limit // 2
    return f"{whole[:half]}\n... {len(whole) - 2 * half:,} characters left out ...\n{whole[-half:]}"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
