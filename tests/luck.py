"""What a test asks of the runs that a seed's training happened to give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

_PINNED = re.search(r"^torch==(\S+)", (Path(__file__).parents[1] / "constraints.txt").read_text(), re.MULTILINE)


def ask(luck: bool, why: str) -> None:
    """Fail without ``luck`` under the pinned torch; skip under another one, whose streams train the seeds otherwise."""
    assert _PINNED is not None
    if not luck and torch.__version__.split("+")[0] != _PINNED[1]:
        pytest.skip(f"{why}; torch {torch.__version__} trains these seeds otherwise than {_PINNED[1]}")
    assert luck, why
