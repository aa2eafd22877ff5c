"""`adaps identify`, as a user and as another program call it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from baselines.cli.main import app

SMALL = [
    "identify",
    "BPS-1",
    "-p",
    "groups=[2,1]",
    "--seeds",
    "2",
    "--env-steps",
    "640",
    "-i",
    'encoder={"updates":20}',
]


def test_a_study_is_one_json_list() -> None:
    result = CliRunner().invoke(app, [*SMALL, "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert row["types"] == [0, 0, 1]
        assert len(row["labels"]) == 3
        assert row["env_steps"] == 640
        assert row["params"] == {"groups": [2, 1]}
        assert row["true"] == 2
        assert {"ari", "found", "verdict", "reason"} <= set(row)


def test_a_study_is_told_seed_by_seed() -> None:
    result = CliRunner().invoke(app, [*SMALL, "-i", "method=paper"])
    assert result.exit_code == 0
    assert "seed 0    true types 2   found 2" in result.stdout
    assert result.stdout.count("untested: K-means always finds as many groups as it is asked for") == 2
    assert "labels 0 " in result.stdout
    assert "BPS-1: exactly the hidden types in" in result.stdout


def test_settings_may_have_a_name() -> None:
    result = CliRunner().invoke(app, [*SMALL[:8], "-i", "seps-originals"])
    assert "choose one of seps-original" in str(result.exception)
    result = CliRunner().invoke(
        app, ["identify", "BPS-1", "-p", "groups=[1,1]", "--seeds", "1", "--env-steps", "64", "-i", "seps-original"]
    )
    assert result.exit_code == 0
    assert "environment steps 64 " in result.stdout
    assert "untested" in result.stdout


def test_unknown_settings_are_refused() -> None:
    result = CliRunner().invoke(app, [*SMALL, "-i", "methods=paper"])
    assert "Did you mean 'method'" in str(result.exception)
