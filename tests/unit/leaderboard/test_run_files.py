"""The table of a run's files, and JSON files of earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricate import COSTS, fabricate_failure, fabricate_run

from baselines.leaderboard.records.metadata_files import Costs, decode_metadata, encode_metadata
from baselines.leaderboard.records.run_files import RUN_FILES, SUMS, files_of
from baselines.leaderboard.spec.config import SuiteConfig

WRITTEN = {"running": "while it runs", "ended": "when it ends", "finished": "when it ends, unless it failed"}


def test_the_documentation_has_the_table(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "file-formats.md").read_text(encoding="utf-8")
    first = text.split("## Light records")[0]
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines() if line.startswith("| `")
    ]
    rows = [[f"`{file.name}`", WRITTEN[file.written], "yes" if file.repeats else "no"] for file in RUN_FILES.values()]
    assert [[name, written, repeats] for name, _, written, repeats in found[:-1]] == rows
    assert found[-1][0] == f"`{SUMS}`"


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_holds_the_files_of_the_table_in_the_bytes_of_their_codecs(
    tmp_path: Path, suite: SuiteConfig, failed: bool
) -> None:
    config = suite.runs()[0]
    directory = fabricate_failure(tmp_path, config) if failed else fabricate_run(tmp_path, config, 0.5)
    expected = files_of(failed=failed)
    assert {path.name for path in directory.iterdir()} == {SUMS, *(file.name for file in expected)}
    for file in expected:
        data = (directory / file.name).read_bytes()
        assert file.encode(file.decode(data, config)) == data, file.name


class LaterCosts(Costs):
    """As ``costs.json`` may look two versions from now."""

    schema_version = 3
    upgrades = {  # noqa: RUF012
        1: lambda values: {**values, "energy_kwh": None},
        2: lambda values: {
            ("energy_joules" if name == "energy_kwh" else name): value for name, value in values.items()
        },
    }

    energy_joules: float | None


def test_a_file_of_an_earlier_version_is_upgraded_step_by_step() -> None:
    found = decode_metadata(encode_metadata(COSTS), LaterCosts)
    assert found == LaterCosts(**COSTS.model_dump(), energy_joules=None)
    second = encode_metadata(COSTS).replace(b'"schema": 1', b'"energy_kwh": 2.0, "schema": 2')
    assert decode_metadata(second, LaterCosts).energy_joules == 2.0
    assert decode_metadata(encode_metadata(found), LaterCosts) == found


@pytest.mark.parametrize("schema", ["0", "4", '"1"', "null", "[1]"])
def test_no_other_version_is_read(schema: str) -> None:
    data = encode_metadata(COSTS).replace(b'"schema": 1', b'"schema": ' + schema.encode())
    models: list[tuple[type[Any], int]] = [(Costs, 1), (LaterCosts, 3)]
    for model, version in models:
        with pytest.raises(ValueError, match=f"schema is not {version}"):
            decode_metadata(data, model)
