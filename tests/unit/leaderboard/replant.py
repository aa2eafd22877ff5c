"""Putting weights into a record, and measuring with them all that verification measures: what a patient forger does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from luck import ask
from tamper import arrays_of, edit_json, edit_returns, edit_weights, write_arrays

from baselines.leaderboard.execution.diagnosis import sharing_of
from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.verify.weights import BEST, FINAL

Weights = dict[str, np.ndarray]


def replant(run: Path, weights: Weights) -> None:
    """Let the final policy of ``run`` have these weights, and be its best one; all else follows from them."""
    record = read_run(run)
    policy = build_model(record.config).policy
    policy.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    edit_weights(run, FINAL, lambda stored: [stored.clear(), stored.update(weights)])
    shutil.copy(run / FINAL, run / BEST)
    evaluator, returns = Evaluator(record.config), arrays_of(run, "evaluation.npz")
    greedy, absolute = evaluator.greedy(policy), evaluator.absolute(policy)
    returns["greedy"][-1], returns["sampled"][-1] = greedy.returns, evaluator.sampled(policy).returns
    for point in range(1, len(returns["greedy"]) - 1):
        if returns["greedy"][point].mean() >= greedy.returns.mean():
            returns["greedy"][point] = greedy.returns - 1.0
    returns["absolute"] = absolute.returns
    returns["best_point"] = np.array(returns["greedy"].mean(axis=1).argmax())
    ask(int(returns["best_point"]) == len(returns["greedy"]) - 1, "the untrained point is better; take another seed")
    logs: dict[str, Any] = {
        "final": greedy.actions, "final_lengths": greedy.lengths,
        "absolute": absolute.actions, "absolute_lengths": absolute.lengths,
    }  # fmt: skip
    edit_returns(run, lambda arrays: arrays.update(returns))
    write_arrays(run, "actions.npz", logs)
    assert record.sharing is not None
    types = np.array(record.sharing.agent_types)
    told = sharing_of(record.config, policy, record.sharing.env_steps, types).model_dump(mode="json")
    edit_json(run, "sharing.json", lambda value: value.update(told))


def permuted(weights: Weights, seed: int) -> Weights:
    """The same functions with the neurons of every hidden layer in another order, scaled by powers of two."""
    rng, out = np.random.default_rng(seed), {name: array.copy() for name, array in weights.items()}
    for part in ("actor_net", "critic_net"):
        layers = sum(name.startswith(f"scheme.{part}.weights.") for name in weights)
        for layer in range(layers - 1):
            names = [f"scheme.{part}.{kind}.{number}" for kind, number in (
                ("weights", layer), ("biases", layer), ("weights", layer + 1))]  # fmt: skip
            width = out[names[0]].shape[-2]
            order, scale = rng.permutation(width), np.float32(2.0) ** rng.integers(-3, 4, width).astype(np.float32)
            out[names[0]] = np.ascontiguousarray(out[names[0]][..., order, :] * scale[:, None])
            out[names[1]] = np.ascontiguousarray(out[names[1]][..., order] * scale)
            out[names[2]] = np.ascontiguousarray(out[names[2]][..., order] / scale)
    return out


def noisy(weights: Weights, seed: int, share: float) -> Weights:
    """Noise of a share of each array's size."""
    rng = np.random.default_rng(seed)

    def noise(array: np.ndarray) -> np.ndarray:
        size = share * np.sqrt((array.astype(np.float64) ** 2).mean())
        return (array + size * rng.standard_normal(array.shape)).astype(array.dtype)

    return {name: noise(array) if array.dtype.kind == "f" else array for name, array in weights.items()}
