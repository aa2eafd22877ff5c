"""The notebook: it is stored without outputs, and runs from the first cell to the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NAME = "first_board.ipynb"


def test_the_notebook_is_stored_without_outputs(repository: Path) -> None:
    stored = json.loads((repository / "examples" / NAME).read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in stored["cells"])


@pytest.mark.slow
def test_the_notebook_runs_to_a_board(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(repository))
    notebook = nbformat.read(repository / "examples" / NAME, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "data" in output]
    assert any("<img" in data.get("text/html", "") for data in shown)
    assert any("image/gif" in data for data in shown)
    printed = "".join(output.get("text", "") for output in outputs)
    assert "groups:" in printed
    assert (tmp_path / "runs" / "smoke" / "site" / "index.html").is_file()
    rows = json.loads((tmp_path / "runs" / "smoke" / "board.json").read_text())
    assert all(f"{row['task']} {row['scheme']} " in printed for row in rows)
