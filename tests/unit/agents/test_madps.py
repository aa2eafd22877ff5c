"""MADPS: policy distances, and splitting and fusing parts by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from methods_common import (
    NUM_AGENTS,
    P_ACTOR,
    P_CRITIC,
    SMALL,
    agent_gradient,
    build,
    observations,
    on_bps_1,
    randomised,
)
from type_game import type_game

from adaps_agents.diagnostics import MapdConfig, mapd
from adaps_agents.diagnostics.mapd import DecisionEncoder, wasserstein
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes import LearningState
from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError
from baselines.schemes import madps
from baselines.schemes.madps import MADPS, reshared

QUICK = {"epochs": 2}
EPS = {"eps0": 0.25, "eps1": 0.5, "eps2": 1.0}
SHALLOW, DEEP = [0, 0, 2, 0], [1, 3, 3, 0]


def _dealt(scheme: Any, shallow: list[int] = SHALLOW, deep: list[int] = DEEP) -> Any:
    scheme.shallow.copy_(torch.tensor(shallow))
    scheme.deep.copy_(torch.tensor(deep))
    scheme._assign()
    return scheme


class AlreadyShared(MADPS):
    """MADPS after some checks: parts shared across each other, one of them unused."""

    fups_options = None

    def make_networks(self) -> None:
        super().make_networks()
        number = self.spaces.num_agents
        _dealt(self, [index // 2 * 2 for index in range(number)], [index % 3 for index in range(number)])


def _line(*places: float) -> Any:
    """Return the distances of policies on a line."""
    points = np.array(places, np.float32)
    return np.abs(points[:, None] - points[None])


def _changed(distances: Any, shallow: list[int], deep: list[int]) -> Any:
    after = reshared(distances, np.array(shallow), np.array(deep), **EPS)
    return after[0].tolist(), after[1].tolist(), after[2]


def test_parameters_on_bps_1() -> None:
    scheme = on_bps_1("madps")
    report = scheme.param_report()
    assert report["trainable"] == 15 * (P_ACTOR + P_CRITIC) == 151_770
    assert (report["trainable_actor"], report["trainable_critic"]) == (15 * P_ACTOR, 15 * P_CRITIC)
    assert (scheme.actor_net.cut, scheme.critic_net.cut) == (2, 0)


def test_the_defaults_are_the_published_ones() -> None:
    scheme = build("madps")
    assert (scheme.window, scheme.eps0, scheme.eps1, scheme.eps2) == (100, 0.25, 0.5, 1.0)
    distance = scheme.distance
    assert (distance.latent, distance.hidden, distance.kl_weight) == (10, 32, 0.01)
    assert (distance.learning_rate, distance.batch_size, distance.epochs) == (3e-4, 128, 10)
    assert scheme.shallow.tolist() == [0, 0, 0, 0]
    assert scheme.deep.tolist() == [0, 1, 2, 3]
    assert [build("madps", SMALL, (8,) * layers).actor_net.cut for layers in (1, 2, 3, 4)] == [1, 2, 2, 2]


@pytest.mark.parametrize("options", [{"start": "shared"}, {"start": "private"}, {"shallow_layers": 1}])
def test_options_keep_the_rules(options: dict[str, Any]) -> None:
    check_scheme("madps", **options).raise_if_failed()


def test_shared_parts_keep_the_rules() -> None:
    check_scheme(AlreadyShared).raise_if_failed()


def test_equal_indices_are_full_sharing_and_distinct_ones_private_networks() -> None:
    obs = observations()
    for start, name in (("shared", "fups"), ("private", "nops")):
        ours, plain = build("madps", start=start), build(name)
        torch.testing.assert_close(ours.actor(obs), plain.actor(obs))
        torch.testing.assert_close(ours.critic(obs), plain.critic(obs))


def test_agents_use_the_parts_of_their_indices() -> None:
    scheme = _dealt(randomised(build("madps")))
    actor, critic = scheme.actor_net, scheme.critic_net
    for agent, (shallow, deep) in enumerate(zip(SHALLOW, DEEP, strict=True)):
        for layer, (weight, bias) in enumerate(scheme.actor_net.effective_params(agent)):
            index = shallow if layer < 2 else deep
            assert torch.equal(weight, actor.weights[layer][index])
            assert torch.equal(bias, actor.biases[layer][index])
        assert torch.equal(scheme.critic_net.effective_params(agent)[0][0], critic.weights[0][deep])
    assert scheme.assignment().tolist() == [0, 1, 2, 3]
    assert _dealt(scheme, [2, 0, 2, 0], [1, 3, 1, 3]).assignment().tolist() == [0, 1, 0, 1]


def test_a_loss_of_one_agent_stays_in_its_parts() -> None:
    scheme = _dealt(randomised(build("madps")))
    for layer, index in ((0, SHALLOW), (1, SHALLOW), (2, DEEP)):
        gradient = agent_gradient(scheme, 2, scheme.actor_net.weights[layer])
        assert gradient[index[2]].abs().sum() > 0
        others = [row for row in range(NUM_AGENTS) if row != index[2]]
        assert float(gradient[others].abs().sum()) == 0.0


def test_distances_are_symmetric_and_zero_between_equal_policies() -> None:
    scheme = randomised(_dealt(build("madps"), [0, 0, 0, 1], [2, 2, 3, 1]), scale=2.0)
    measured = mapd(scheme.actor, observations(20), MapdConfig(), torch_stream(0, "distance"))
    assert float(measured.diagonal().abs().max()) == 0.0
    assert torch.equal(measured, measured.T)
    assert float(measured[0, 1]) == pytest.approx(0.0, abs=1e-5)
    assert float(measured[0, 2]) > 1e-3
    again = mapd(scheme.actor, observations(20), MapdConfig(), torch_stream(0, "distance"))
    assert torch.equal(measured, again)


def test_wasserstein_by_hand() -> None:
    mean = torch.tensor([[[0.0, 0.0], [3.0, 0.0]]])
    logvar = torch.tensor([[[0.0, 0.0], [0.0, 2 * np.log(5.0)]]])
    assert float(wasserstein(mean, logvar)[0, 0, 1]) == pytest.approx(5.0)


def test_the_distance_is_the_mean_over_all_observations_shown_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, obs = randomised(build("madps")), observations(9)
    kept: list[DecisionEncoder] = []
    train = madps.mapd.__globals__["_train"]
    monkeypatch.setitem(madps.mapd.__globals__, "_train", lambda *args: kept.append(train(*args)) or kept[0])
    monkeypatch.setitem(madps.mapd.__globals__, "BLOCK", 5 * NUM_AGENTS**2)
    measured = mapd(scheme.actor, obs, MapdConfig(epochs=1), torch_stream(0, "distance"))
    pairs = []
    with torch.no_grad():
        for row in obs.flatten(0, 1):
            everybody = row.expand(1, NUM_AGENTS, -1)
            mean, logvar = kept[0].encode(scheme.actor(everybody).softmax(-1), everybody)
            pairs.append(wasserstein(mean, logvar)[0])
    torch.testing.assert_close(measured, torch.stack(pairs).mean(0), atol=1e-5, rtol=1e-4)


def test_the_autoencoder_learns_decisions_and_ranks_policies_by_what_they_do() -> None:
    """Agents 0, 1 choose action 0 and agents 2, 3 action 2, each pair with a little noise of its own."""

    def actor(obs: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*obs.shape[:2], 3)
        for agent, (action, size) in enumerate(((0, 3.0), (0, 3.3), (2, 3.0), (2, 3.3))):
            logits[:, agent, action] = size
        return logits

    config = MapdConfig(learning_rate=3e-3, epochs=20)
    measured = mapd(actor, observations(400), config, torch_stream(0, "distance"))
    within, between = max(measured[0, 1], measured[2, 3]), min(measured[0, 2], measured[1, 3], measured[0, 3])
    assert float(between) > 5 * float(within)


def test_far_policies_of_one_shallow_part_are_split_to_a_part_of_their_own() -> None:
    assert _changed(_line(0, 2), [0, 0], [0, 1]) == ([0, 1], [0, 1], [(0, 1)])
    assert _changed(_line(0, 0.9), [0, 0], [0, 1]) == ([0, 0], [0, 1], [])


def test_a_split_takes_a_part_that_nobody_uses() -> None:
    # Agent 2 uses part 1: the copy for agent 1 must not be laid over it.
    assert _changed(_line(0, 5, 9), [0, 0, 1], [0, 1, 2]) == ([0, 2, 1], [0, 1, 2], [(0, 2)])


def test_near_policies_of_one_shallow_part_share_the_deep_part() -> None:
    assert _changed(_line(0, 0.2), [0, 0], [0, 1]) == ([0, 0], [0, 0], [])
    assert _changed(_line(0, 0.3), [0, 0], [0, 1]) == ([0, 0], [0, 1], [])


def test_near_policies_of_two_shallow_parts_share_one_and_keep_their_deep_parts() -> None:
    assert _changed(_line(0, 0.1), [0, 1], [0, 1]) == ([0, 0], [0, 1], [])
    assert _changed(_line(0, 0.6), [0, 1], [0, 1]) == ([0, 1], [0, 1], [])


def test_whoever_joins_must_be_near_the_first_of_the_part() -> None:
    # Agent 2 is near agent 1, but not near agent 0, whose part agent 1 uses.
    assert _changed(_line(0, 0.4, 0.8), [0, 0, 2], [0, 1, 2]) == ([0, 0, 2], [0, 1, 2], [])
    assert _changed(_line(0.7, 0.8, 1.0), [0, 0, 2], [0, 0, 2])[0] == [0, 0, 0]


def test_an_agent_changes_once_a_check() -> None:
    # Agent 1 leaves agent 0; only the next check finds that agents 1 and 2, which left alike, can share.
    shallow, deep, copies = _changed(_line(0, 2, 2.1), [0, 0, 0], [0, 1, 2])
    assert (shallow, copies) == ([0, 1, 2], [(0, 1), (0, 2)])
    assert _changed(_line(0, 2, 2.1), shallow, deep)[0] == [0, 1, 1]


def test_two_types_end_in_two_networks() -> None:
    shallow, deep = [0] * 6, list(range(6))
    for _ in range(4):
        shallow, deep, _copies = _changed(_line(0, 3, 0.1, 3.1, 0.05, 3.05), shallow, deep)
    assert shallow == [0, 1, 0, 1, 0, 1]
    assert deep == [0, 1, 0, 1, 0, 1]


def _checked(monkeypatch: pytest.MonkeyPatch, scheme: Any, distances: Any) -> torch.optim.Optimizer:
    """Let the scheme find the given distances at its next check, with an optimiser that has moments."""
    monkeypatch.setattr(madps, "mapd", lambda *args: torch.from_numpy(distances))
    optimizer = torch.optim.Adam(scheme.parameters(), lr=1e-3)
    obs = observations()
    (scheme.actor(obs).square().sum() + scheme.critic(obs).square().sum()).backward()
    optimizer.step()
    scheme.learning = LearningState(observations=obs, optimizer=optimizer)
    assert scheme.after_update(1) is False
    return optimizer


def test_a_split_leaves_outputs_unchanged_and_copies_the_optimisers_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    # Agents 1 and 3 share part 2 at first, so the copy is not of the part of the first agent's number.
    scheme = _dealt(randomised(build("madps", period=1)), [0, 2, 1, 2], [0, 1, 2, 3])
    obs, outputs = observations(), []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: (step(self), outputs.append(scheme.actor(obs)))[0])
    optimizer = _checked(monkeypatch, scheme, _line(0, 10, 20, 30))
    assert scheme.shallow.tolist() == [0, 2, 1, 3]
    torch.testing.assert_close(scheme.actor(obs), outputs[0])
    net = scheme.actor_net
    for tensor in (*net.weights[:2], *net.biases[:2]):
        assert torch.equal(tensor[3], tensor[2])
        for moment in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(optimizer.state[tensor][moment][3], optimizer.state[tensor][moment][2])
            assert float(optimizer.state[tensor][moment][3].abs().sum()) > 0
    assert float(optimizer.state[net.weights[2]]["exp_avg"][3].abs().sum()) > 0
    assert not torch.equal(net.weights[2][3], net.weights[2][2])


def test_fused_agents_use_one_actor_and_one_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = randomised(build("madps", period=1))
    _checked(monkeypatch, scheme, _line(0, 9, 0.1, 18))
    obs = observations()[:, :1].expand(-1, NUM_AGENTS, -1).contiguous()
    logits, values = scheme.actor(obs), scheme.critic(obs)
    torch.testing.assert_close(logits[:, 0], logits[:, 2])
    torch.testing.assert_close(values[:, 0], values[:, 2])
    assert scheme.assignment().tolist() == [0, 1, 0, 2]
    assert scheme.sharing_summary()["deep_parts"] == [0, 1, 0, 3]
    assert scheme.sharing_summary()["policy_distances"][0][3] == 18.0


def test_observations_are_kept_in_the_window_before_a_check_alone() -> None:
    scheme = build("madps", period=5, window=2, distance=QUICK)
    scheme.learning = LearningState(observations=observations(3))
    kept = []
    for update in range(1, 11):
        scheme.after_update(update)
        kept.append(len(scheme._seen))
        if update == 5:
            assert bool((scheme.distances > 0).any())
    # Updates 4 and 5 are kept; the check after 5 uses them up.
    assert kept == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]


def test_whoever_shares_both_parts_stays_together() -> None:
    scheme = build("madps", period=1, distance=QUICK)
    scheme.learning = LearningState(observations=observations(3))
    for update in range(2):
        scheme.after_update(update)
    # Untrained policies are all alike: the first check fuses them, and the second finds no distance.
    assert scheme.assignment().tolist() == [0, 0, 0, 0]
    assert float(scheme.distances.abs().max()) == 0.0


def test_the_pool_bounds_what_is_kept() -> None:
    scheme = build("madps", period=10, window=10, pool=10 * 2 * NUM_AGENTS)
    scheme.learning = LearningState(observations=observations(50))
    scheme.after_update(1)
    assert scheme._seen[0].shape == (2, NUM_AGENTS, 5)
    rows = {tuple(row) for row in observations(50).flatten(1).tolist()}
    assert all(tuple(row) in rows for row in scheme._seen[0].flatten(1).tolist())
    assert build("madps", SMALL).pool == 100 * 8 * 5 * 15


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_learners_split_and_a_saved_model_goes_on(algorithm: Any, tmp_path: Path) -> None:
    options = {"period": 3, "window": 2, "eps0": 0.0, "eps1": 0.0, "eps2": 1e-9, "distance": QUICK}
    model = small_model(algorithm, "madps", scheme_options=options)
    model.learn(80)
    assert model.scheme.shallow.unique().numel() > 1
    held = [parameter for group in model.policy.optimizer.param_groups for parameter in group["params"]]
    assert sum(p.numel() for p in held) == model.scheme.param_report()["trainable"]
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=type_game(4), device="cpu")
    assert fingerprint(loaded.scheme.state_dict()) == fingerprint(model.scheme.state_dict())
    assert loaded.scheme.assignment().tolist() == model.scheme.assignment().tolist()
    obs = np.random.default_rng(0).standard_normal((3, model.num_agents, 2)).astype(np.float32)
    assert (loaded.policy.act(obs, deterministic=True) == model.policy.act(obs, deterministic=True)).all()
    loaded.learn(40, reset_num_timesteps=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"period": 0}, "period is 0"),
        ({"window": 1.5}, "window is 1.5"),
        ({"pool": 0}, "pool is 0"),
        ({"eps0": -0.1}, "eps0 is -0.1"),
        ({"eps1": 0.1}, "eps1 is 0.1; it must be a finite number >= 0.25"),
        ({"eps2": 0.9}, "eps2 is 0.9; it must be a finite number >= 1"),
        ({"shallow_layers": 0}, "shallow_layers is 0"),
        ({"start": "alone"}, "start is 'alone'; choose one of private_deep, shared, private"),
        ({"distance": {"latnt": 3}}, "no distance setting 'latnt'"),
        ({"distance": {"latent": 0}}, "distance latent is 0"),
        ({"distance": {"learning_rate": 0}}, "distance learning_rate is 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("madps", SMALL, **options)


def test_a_network_of_one_layer_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="no shallow and deep part"):
        build("madps", SMALL, ())
