"""The pages of the documentation and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "envs"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        ROOT / "PACKAGE.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "examples").rglob("README.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
    if path.parent != GENERATED
)


def text(page: str) -> str:
    """Return the text of a page of :data:`PAGES`."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the contents of a page's fenced blocks in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)
