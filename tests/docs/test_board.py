"""The boards in the repository follow from their records, byte for byte."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from baselines.leaderboard.execution.plan import read_suite_file, write_suite_file
from baselines.leaderboard.spec.loading import select
from baselines.leaderboard.verify import pack_submission, unpacked_submission

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/explanation/results.md")
OFFICIAL = (*PAGES, "docs/board/board.md", "docs/board/board.csv", "docs/board/board.json")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The records, and the pages that are made from them."""
    shutil.copytree(ROOT / "docs/board", tmp_path / "docs/board")
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def made(root: Path) -> dict[str, bytes]:
    found = sorted((root / "docs/board").rglob("*.*"))
    files = [path for path in found if path.is_file() and path.parent.name != "records"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in (*(root / page for page in PAGES), *files)}


def make(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_board", ROOT / "docs/make_board.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in (("ROOT", root), ("FOLDER", root / "docs/board")):
        monkeypatch.setattr(module, name, path)
    module.main()


def test_the_board_and_the_pages_are_those_of_the_records(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(copy)
    assert any(name.endswith(".svg") for name in before)
    make(copy, monkeypatch)
    assert made(copy) == before


def test_another_result_changes_the_pages(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(copy)
    packed = copy / "docs/board/records/official.zip.xz"
    with unpacked_submission(packed) as records:
        suite = read_suite_file(records)
        assert suite is not None
        write_suite_file(select(suite, seeds=list(suite.seeds[1:])), records)
        packed.unlink()
        pack_submission(records, packed.with_suffix(""))
    packed.with_suffix("").rename(packed)
    make(copy, monkeypatch)
    after = made(copy)
    assert set(OFFICIAL) <= {name for name in after if after[name] != before[name]}
