"""The five faces of one of our ids: each keeps its own API's rules, and all of them play the same game.

Each check takes ``face(api, **options)``, which makes the environment behind a face.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from adaps_envs.adapters.common import shows_vectors, team_observation, team_reward
from adaps_envs.registry import spec
from adaps_envs.testing.play_through import RandomPlayer, equal
from adaps_envs.testing.report import FULL, Effort, NotApplicableError, require

__all__ = ["FACE_CHECKS", "FaceFactory"]

FaceFactory = Callable[..., Any]
LANES = 2
SEED = 11


def check_agreement(face: FaceFactory, effort: Effort = FULL) -> str:
    """All faces return what the batched core returns for the same seed and actions."""
    core = face("batched", num_envs=1)
    parallel, turns, team = face("parallel"), face("aec"), face("gym")
    start = core.reset(seed=SEED)[0]
    views = {
        "parallel": _rows(core, parallel.reset(seed=SEED)[0]),
        "gym": team.reset(seed=SEED)[0],
        "aec": _turn_rows(core, turns, SEED),
    }
    _require_same_rows(core, start, views, "the start")
    player = RandomPlayer(parallel, SEED)
    for step in range(effort.steps):
        own = player.actions()
        listed = np.array([own[agent] for agent in core.possible_agents])
        obs, rewards, terminated, truncated = core.step(core.padding.from_own(listed[None]))
        moment = parallel.step(own)
        for agent in core.possible_agents:
            turns.step(own[agent])
        seen = team.step(listed)
        views = {"parallel": _rows(core, moment[0]), "gym": seen[0], "aec": _observed(core, turns)}
        _require_same_rows(core, obs[0], views, f"step {step}")
        paid = {"parallel": moment[1], "aec": turns.rewards}
        for name, amounts in paid.items():
            require(equal([amounts[agent] for agent in core.possible_agents], rewards[0].tolist()),
                    f"step {step}: {name} pays other rewards than the core")  # fmt: skip
        require(seen[1] == float(team_reward(core, rewards)[0]), f"step {step}: gym pays another reward than the core")
        flags = (bool(terminated[0]), bool(truncated[0]))
        ends = {"parallel": _flags(core, moment[2], moment[3]), "gym": seen[2:4],
                "aec": _flags(core, turns.terminations, turns.truncations)}  # fmt: skip
        for name, end in ends.items():
            require(tuple(end) == flags, f"step {step}: {name} ends as {tuple(end)}, the core as {flags}")
        if any(flags):
            return f"1 episode of {step + 1} steps"
    return f"{effort.steps} steps"


def check_gymnasium(face: FaceFactory, effort: Effort = FULL) -> str:
    """Gymnasium's ``check_env`` accepts the team view without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="reset options")
        gymnasium_check_env(face("gym", render_mode="rgb_array"), skip_render_check=True)
    return "Gymnasium's own"


def check_stable_baselines3(face: FaceFactory, effort: Effort = FULL) -> str:
    """stable-baselines3's ``check_env`` accepts the team view."""
    checker = _learner("stable_baselines3.common.env_checker")
    if not isinstance(face("gym").observation_space, spaces.Box):
        raise NotApplicableError("observations have named parts; stable-baselines3 takes no tuples.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A matrix of observations that is no picture: it advises to flatten.
        warnings.filterwarnings("ignore", message=".*unconventional shape")
        checker.check_env(face("gym"), skip_render_check=True)
    return "stable-baselines3's own"


def check_gymnasium_vector(face: FaceFactory, effort: Effort = FULL) -> str:
    """The vector view does what Gymnasium's ``SyncVectorEnv`` over the single view does, resets included."""
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        ours = face("gym_vector", num_envs=LANES, autoreset_mode=mode)
        theirs = SyncVectorEnv([lambda: face("gym") for _ in range(LANES)], autoreset_mode=mode)
        require(ours.metadata["autoreset_mode"] is mode, "metadata['autoreset_mode'] is not what was asked for")
        require(ours.single_action_space == theirs.single_action_space, "the single spaces differ")
        require(equal(ours.reset(seed=SEED)[0], theirs.reset(seed=SEED)[0]), f"{mode.value}: the starts differ")
        theirs.action_space.seed(SEED)
        for step in range(_past_the_end(ours.batched, effort)):
            actions = theirs.action_space.sample()
            same = equal(list(ours.step(actions))[:4], list(theirs.step(actions))[:4])
            require(same, f"{mode.value}: step {step} differs from SyncVectorEnv")
    return f"2 modes of {_past_the_end(ours.batched, effort)} steps, {LANES} lanes"


def check_vec_env(face: FaceFactory, effort: Effort = FULL) -> str:
    """The ``VecEnv`` keeps stable-baselines3's contract: seeds, same-step resets, last observations, time limits."""
    wrappers = _learner("stable_baselines3.common.vec_env")
    ours, core = face("sb3", num_envs=LANES), face("batched", num_envs=LANES)
    ours.seed(SEED)
    require(equal(ours.reset(), _slots(core.reset(seed=SEED))), "seed(s) is not honoured at the next reset")
    require(len(ours.reset_infos) == ours.num_envs, "reset_infos does not have one entry a slot")
    generator = np.random.default_rng(SEED)
    for step in range(_past_the_end(core, effort)):
        actions = generator.integers(0, core.num_actions, (LANES, core.num_agents))
        obs, rewards, dones, infos = ours.step(actions.reshape(-1))
        expected, paid, terminated, truncated = core.step(actions)
        require(equal(rewards, paid.reshape(-1)), f"step {step}: other rewards than the core's")
        ended = terminated | truncated
        require(equal(dones, ended.repeat(core.num_agents)), f"step {step}: other ends than the core's")
        _check_ends(core, infos, dones, expected, truncated & ~terminated)
        after = core.reset(mask=ended) if ended.any() else expected
        require(equal(obs, _slots(after)), f"step {step}: not the observations after a same-step reset")
    wrapped = wrappers.VecNormalize(wrappers.VecMonitor(face("sb3", num_envs=LANES)))
    require(bool(np.isfinite(wrapped.reset()).all()), "observations are not finite behind VecNormalize")
    return f"{_past_the_end(core, effort)} steps of {LANES} lanes"


def check_registries(face: FaceFactory, effort: Effort = FULL) -> str:
    """``gymnasium.make``, ``gymnasium.make_vec`` and ``pettingzoo.make`` give the same environment under its names."""
    core = face("batched", num_envs=1)
    known = spec(core.spec_id)
    made: dict[str, Any] = {
        "gymnasium.make": gymnasium.make(known.gym_id).unwrapped,
        "gymnasium.make_vec": gymnasium.make_vec(known.gym_id, num_envs=LANES),
    }
    if hasattr(pettingzoo, "make"):  # from 1.27 on
        made["pettingzoo.make('parallel')"] = pettingzoo.make("parallel", known.pz_id)
        made["pettingzoo.make('aec')"] = pettingzoo.make("aec", known.pz_id).unwrapped
    for call, env in made.items():
        name = env.batched.spec_id
        require(name == known.id, f"{call} gives {name}, not {known.id}")
    return ""


FACE_CHECKS: Mapping[str, Callable[..., str]] = {
    "agreement": check_agreement,
    "gymnasium": check_gymnasium,
    "stable_baselines3": check_stable_baselines3,
    "gymnasium_vector": check_gymnasium_vector,
    "vec_env": check_vec_env,
    "registries": check_registries,
}


def _learner(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotApplicableError(f"stable-baselines3 is not installed ({error}).") from error


def _past_the_end(core: Any, effort: Effort) -> int:
    """Return a number of steps that passes an episode's end where that is not too far."""
    return core.max_cycles + 5 if core.max_cycles <= max(effort.steps, 60) else effort.steps


def _slots(obs: np.ndarray) -> np.ndarray:
    return obs.reshape(-1, obs.shape[-1])


def _rows(core: Any, by_agent: Mapping[str, Any]) -> list[Any]:
    return [by_agent[agent] for agent in core.possible_agents]


def _turn_rows(core: Any, turns: Any, seed: int) -> list[Any]:
    turns.reset(seed=seed)
    return _observed(core, turns)


def _observed(core: Any, turns: Any) -> list[Any]:
    return [turns.observe(agent) for agent in core.possible_agents]


def _flags(core: Any, terminated: Mapping[str, bool], truncated: Mapping[str, bool]) -> tuple[bool, bool]:
    return all(terminated[agent] for agent in core.possible_agents), all(
        truncated[agent] for agent in core.possible_agents
    )


def _require_same_rows(core: Any, padded: np.ndarray, views: Mapping[str, Any], when: str) -> None:
    """Compare the agents' observations; the team's view is padded as the core's is, the others are cut to size."""
    if shows_vectors(core):
        own = [padded[agent, core.padding.own_entries(agent)] for agent in range(core.num_agents)]
    else:
        own = [core.structure(row) for row in padded]
    for name, rows in views.items():
        same = equal(rows, team_observation(core, padded) if name == "gym" else own)
        require(same, f"{when}: {name} shows other observations than the core")


def _check_ends(
    core: Any, infos: list[dict[str, Any]], dones: np.ndarray, last: np.ndarray, by_limit: np.ndarray
) -> None:
    for slot, (info, done) in enumerate(zip(infos, dones, strict=True)):
        lane, agent = divmod(slot, core.num_agents)
        shown = info.get("terminal_observation")
        require((shown is not None) == bool(done), f"slot {slot}: terminal_observation without an end, or the reverse")
        if done:
            require(equal(shown, last[lane, agent]), f"slot {slot}: terminal_observation is not the last observation")
            flag = info.get("TimeLimit.truncated")
            require(flag == bool(by_limit[lane]), f"slot {slot}: TimeLimit.truncated is {flag!r} at this end")
