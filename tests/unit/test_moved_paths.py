"""Import paths that the documentation once showed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

MOVED = [
    ("adaps_agents.streams", "torch_stream", "adaps_agents.random_streams"),
    ("adaps_agents.sharing.layers", "GroupedMLP", "adaps_agents.networks.grouped_mlp"),
    ("adaps_agents.sharing.layers", "Activation", "adaps_agents.networks.grouped_mlp"),
    ("baselines.identify", "identity_study", "baselines.cli.identify"),
]


@pytest.mark.parametrize(("old", "name", "new"), MOVED)
def test_old_paths_give_the_same_object_and_name_the_new_path(old: str, name: str, new: str) -> None:
    module = importlib.import_module(old)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new} and goes with the next version; import {name}"):
        found = getattr(module, name)
    assert found is getattr(importlib.import_module(new), name)


def test_a_name_that_never_was_there_is_an_error() -> None:
    with pytest.raises(AttributeError):
        importlib.import_module("adaps_agents.streams").nothing  # noqa: B018


def test_from_import_works_and_warns_at_the_line_of_the_caller() -> None:
    code = "from adaps_agents.streams import torch_stream"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "DeprecationWarning: adaps_agents.streams is now adaps_agents.random_streams" in done.stderr
