"""Docstrings of public functions that take or return arrays give their shapes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("adaps_envs", "adaps_agents", "baselines")
ARRAYS = re.compile(r"\b(NDArray|Tensor|ArrayLike)\b")
# ``[B, N, F]`` or ``x [N, *dims]``; not ``names[i]``, which picks an entry, nor [0, 1], a range of values.
SHAPE = re.compile(r"(?<!\w)\[(?=[^]]*[A-Za-z.]|\d+\])[^][]*\]|\b(scalar|shapes?)\b")


def _without_shape(source: str) -> Iterator[str]:
    """Yield line and name of every public function with arrays in its signature and no shape in its docstring."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list):
            continue  # the implementation's docstring is theirs
        signature = " ".join(ast.unparse(part) for part in (node.args, node.returns) if part is not None)
        if ARRAYS.search(signature) and not SHAPE.search(ast.get_docstring(node) or ""):
            yield f"{node.lineno} {node.name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_of_arrays_give_shapes(package: str, repository: Path) -> None:
    paths = sorted((repository / package).rglob("*.py"))
    assert paths
    found = [
        f"{path.relative_to(repository)}:{function}"
        for path in paths
        for function in _without_shape(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("docstring", [None, "Return the mean.", "Return the mean of ``values[i]`` in [0, 1]."])
def test_a_planted_fault_is_found(docstring: str | None) -> None:
    source = f"class Plain:\n    def mean(self, values: NDArray[np.float32]) -> float:\n        {docstring!r}"
    assert list(_without_shape(source)) == ["2 mean"]


@pytest.mark.parametrize(
    "docstring",
    [
        "Return the mean of ``[B, N] float32``.",
        "Return ``x [..., *dims]``.",
        "Return ``[4]``.",
        "Return a scalar loss.",
    ],
)
def test_a_shape_is_seen(docstring: str) -> None:
    assert list(_without_shape(f"def mean(x: Tensor | None = None) -> Tensor:\n    {docstring!r}")) == []
