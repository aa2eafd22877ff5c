"""Measure the identity phase on random teams: ``python docs/identity_study.py SET OUT.jsonl [FIRST LAST [KEY=VALUE]]``.

``KEY=VALUE`` is a setting of the phase, its value in JSON; ``0 25 events=false`` is an ablation on 25 teams. A
name in capitals is one of its constants, as in ``EVENTS_NEEDED=40``.

Sets, each a list of teams that a number draws:

- ``types``: 100 rosters of BPS, C-RWARE and LBF whose types differ by the margins of ``docs/explanation/results.md``;
- ``near``: 40 rosters whose types differ by less, or in what random play hardly ever shows;
- ``equal``: 100 teams of one type in these families;
- ``exchangeable``: 100 teams of made-up play in which agents are exchangeable, straight into the tests.

One JSON line a team: what it is, and what was found. Teams that ``OUT`` holds already are left out, so a study that
was stopped goes on. The summary of the file is printed at the end.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from adaps_agents.identity.collect import Outcomes, Steps, Transitions
from adaps_agents.identity.exchange_test import Evidence, group_agents
from adaps_agents.identity.phase import IdentityConfig
from adaps_agents.identity.reward_events import RewardEvents, uneven_groups
from adaps_agents.identity.reward_regression import RewardRegression
from baselines.cli.identify import identity_study

Team: TypeAlias = tuple[str, str, dict[str, Any]]
"""What sort of team it is, environment id, and parameters."""

SETS = {"types": 100, "near": 40, "equal": 100, "exchangeable": 100}
WAREHOUSES = ((1, 3, 8), (2, 3, 8), (2, 5, 8))


def main(name: str, out: str, first: int = 0, last: int | None = None, **settings: Any) -> None:
    """Run the teams of a set that the file does not hold yet."""
    torch.set_num_threads(1)
    for key in [key for key in settings if key.isupper()]:
        set_constant(key, settings.pop(key))
    path = Path(out)
    known = {json.loads(line)["index"] for line in path.read_text().splitlines()} if path.exists() else set()
    with path.open("a") as file:
        for index in range(first, SETS[name] if last is None else last):
            if index not in known:
                file.write(json.dumps({"set": name, "index": index, **measured(name, index, settings)}) + "\n")
                file.flush()
    print(summary([json.loads(line) for line in path.read_text().splitlines()]))  # noqa: T201


def set_constant(name: str, value: Any) -> None:
    """Give a constant of the phase another value, in every module that has it."""
    modules = [module for key, module in sys.modules.items() if key.startswith("adaps_agents.identity.")]
    having = [module for module in modules if hasattr(module, name)]
    if not having:
        raise SystemExit(f"no module of the identity phase has a constant {name}")
    for module in having:
        setattr(module, name, value)


def measured(name: str, index: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what one team is and what was found."""
    rng = np.random.default_rng([list(SETS).index(name), index])
    started = time.process_time()
    if name == "exchangeable":
        row = exchangeable(rng)
    else:
        sort, env_id, params = {"types": types, "near": near, "equal": equal}[name](rng)
        row = {"sort": sort, **identity_study(env_id, index, IdentityConfig(**settings), **params)}
    return {**row, "cpu_seconds": round(time.process_time() - started, 1)}


def summary(rows: list[dict[str, Any]]) -> str:
    """Return a table: for each sort of team how many, how many right, and the verdicts of the right and the wrong."""
    lines = ["| teams | number | right | found or nothing differs, right | the same, wrong |", "|---|---|---|---|---|"]
    for sort in [*sorted({row["sort"] for row in rows}), None]:
        some = [row for row in rows if sort in (None, row["sort"])]
        right = [row["ari"] >= 0.99 for row in some]
        sure = [row["verdict"] in ("found", "nothing differs") for row in some]
        both = sum(map(min, right, sure))
        lines.append(f"| {sort or 'all'} | {len(some)} | {sum(right)} | {both} | {sum(sure) - both} |")
    return "\n".join(lines)


# -- teams of several types ---------------------------------------------------------------------------------------


def types(rng: Generator) -> Team:
    """Draw a roster whose types differ by a margin."""
    family = rng.choice(["bps", "crware", "lbf"], p=[0.5, 0.25, 0.25])
    return {"bps": bps_types, "crware": crware_types, "lbf": lbf_types}[family](rng)


def bps_types(rng: Generator) -> Team:
    sort = str(rng.choice(["landmark", "speed", "acceleration", "order"], p=[0.52, 0.16, 0.16, 0.16]))
    number = int(rng.integers(2, 9 if sort == "landmark" else 5))
    counts = uneven(rng, number, round(np.exp(rng.uniform(np.log(max(4, number)), np.log(100)))))
    roster: list[dict[str, Any]] = [{"count": count} for count in counts]
    params: dict[str, Any] = {"roster": roster, "deal_seed": seed(rng)}
    if sort == "landmark":
        params["num_landmarks"] = number + int(rng.integers(0, 3))
        return "bps landmark", "BPS-1", params
    for entry in roster:
        entry["landmark"] = 0
    if sort == "order":
        return "bps order of entries", "BPS-1", {**params, "shuffle_obs": True, "num_landmarks": 2}
    ratio, top = rng.uniform(1.25, 2.0), rng.uniform(0.6, 1.2)
    for power, entry in enumerate(roster):
        if sort == "acceleration":
            entry["acceleration"] = round(float(5 / ratio**power), 3)
        elif power:
            entry["max_speed"] = round(float(top / ratio ** (power - 1)), 3)
    return f"bps {sort}", "BPS-1", params


def crware_types(rng: Generator) -> Team:
    number = int(rng.integers(2, 5))
    shuffled, rotated = ((True, False), (False, True), (True, True))[int(rng.integers(3))]
    rows, columns, height = WAREHOUSES[int(rng.integers(3))]
    params = {
        "shelf_rows": rows, "shelf_columns": columns, "column_height": height,
        "groups": uneven(rng, number, int(rng.integers(number, 4 * number + 1))), "type_seed": seed(rng),
        "difficulty": str(rng.choice(["easy", "normal", "hard"])), "num_colours": number,
        "shuffle_obs": shuffled, "rotate_actions": rotated, "deal_seed": seed(rng),
    }  # fmt: skip
    sort = f"crware{' order of entries' * shuffled}{' rotation' * rotated}"
    return sort, "CRWARE-tiny-4a-2c", params


def lbf_types(rng: Generator) -> Team:
    sort = str(rng.choice(["levels", "sight"], p=[0.75, 0.25]))
    number = int(rng.integers(2, 5))
    side, foods = int(rng.integers(7, 13)), int(rng.integers(3, 7))
    counts = uneven(rng, number, int(rng.integers(max(4, number), 13)))
    kinds = [1, 2, 3, 4] if sort == "levels" else [1, 2, 4, side]
    roster = [
        {"count": count, "level" if sort == "levels" else "sight": kind}
        for count, kind in zip(counts, kinds, strict=False)
    ]
    params = {
        "roster": roster, "field_size": side, "max_num_food": foods, "max_food_level": max(2, number),
        "max_player_level": number, "deal_seed": seed(rng),
    }  # fmt: skip
    return f"lbf {sort}", "LBF-15x15-12p-6f-3t", params


def near(rng: Generator) -> Team:
    """Draw a roster whose types hardly differ in random play."""
    sort = ("colours", "colours", "acceleration", "speed", "levels", "food", "team_sum")[rng.integers(7)]
    number = int(rng.integers(2, 5))
    counts = uneven(rng, number, int(rng.integers(max(4, number), 17)))
    roster: list[dict[str, Any]] = [{"count": count} for count in counts]
    params: dict[str, Any] = {"deal_seed": seed(rng)}
    if sort == "colours":
        params |= {"groups": counts, "num_colours": number, "shuffle_obs": False, "rotate_actions": False}
        return "crware colours alone", "CRWARE-small-8a-2c", params
    if sort in ("levels", "food"):
        for level, entry in enumerate(roster, 1):
            entry["level"] = level
        params |= {"max_player_level": number, "roster": roster, "field_size": int(rng.integers(12, 21))}
        # Strong food needs three or four at once; with food of level 1, levels act in joint loads alone.
        params |= {"max_food_level": 2 * number, "force_coop": True} if sort == "levels" else {"max_food_level": 1}
        return f"lbf {'strong' if sort == 'levels' else 'weak'} food", "LBF-15x15-12p-6f-3t", params
    for power, entry in enumerate(roster):
        entry["landmark"] = power if sort == "team_sum" else 0
        if sort == "acceleration":
            entry["acceleration"] = round(float(5 / rng.uniform(1.01, 1.06) ** power), 3)
        elif sort == "speed" and power:
            entry["max_speed"] = round(float(rng.uniform(1.3, 1.9)), 3)
    if sort == "team_sum":
        params["reward"] = sort
    params |= {"roster": roster, "num_landmarks": number}
    return f"bps {sort}", "BPS-1", params


# -- teams of one type --------------------------------------------------------------------------------------------


def equal(rng: Generator) -> Team:
    """Draw a team of one type: BPS up to 500 agents (always paid), C-RWARE and LBF up to 40 (rarely paid)."""
    family = str(rng.choice(["bps", "crware", "lbf"], p=[0.4, 0.3, 0.3]))
    if family == "bps":
        count = round(15 * (500 / 15) ** (rng.random() ** 1.5))
        return family, "BPS-1", {"roster": [{"count": count}], "num_landmarks": int(rng.integers(1, 5))}
    count = round(np.exp(rng.uniform(np.log(15), np.log(40))))
    if family == "crware":
        rows, columns, height = WAREHOUSES[2]
        params = {"shelf_rows": rows, "shelf_columns": columns, "column_height": height, "num_agents": count}
        return family, "CRWARE-tiny-4a-2c", {**params, "num_types": 1, "type_seed": seed(rng)}
    roster = [{"count": count, "level": int(rng.integers(1, 3))}]
    params = {"roster": roster, "field_size": int(rng.integers(10, 21)), "max_num_food": int(rng.integers(4, 11))}
    return family, "LBF-15x15-12p-6f-3t", {**params, "max_player_level": 2, "max_food_level": 2}


def exchangeable(rng: Generator) -> dict[str, Any]:
    """Draw made-up play of a team of 15 to 500 and test it: paid all the time, rarely, or in bursts of one agent."""
    count, sort = round(np.exp(rng.uniform(np.log(15), np.log(500)))), str(rng.choice(["dense", "sparse", "bursts"]))
    blocks, steps, actions = int(rng.integers(100, 400)), 8, 4
    shape = (blocks, steps, count)
    obs = rng.normal(size=(blocks * steps * count, 3)).astype(np.float32)
    if sort == "dense":
        # Agents of a block have good and bad luck of their own, and see what pays.
        paid = rng.normal(size=(blocks, 1, count)) + rng.normal(size=shape) + obs[:, 0].reshape(shape)
    else:
        luck = rng.exponential(size=(blocks, 1, count)) ** 2 if sort == "bursts" else 1.0
        paid = (rng.random(shape) < 10 ** rng.uniform(-3, -1.5) * luck) * rng.integers(1, 4, shape)
    agents: NDArray[np.int64] = np.broadcast_to(np.arange(count), shape).reshape(-1)
    numbers = np.arange(blocks).repeat(steps * count)
    rewards = paid.astype(np.float32).reshape(-1)
    landed = obs + rng.normal(size=obs.shape).astype(np.float32)
    data = Transitions(agents, rng.integers(0, actions, obs.shape[0]), rewards, numbers, obs, landed)
    evidence: dict[str, Evidence] = {"events": RewardEvents(Outcomes(**vars(data.outcomes)), count, actions)}
    if sort == "dense":
        evidence["regression"] = RewardRegression(*Steps.of(data, count).halves(), actions)
    grouping = group_agents(evidence, count)
    found = int(grouping.labels.max()) + 1
    doubtful = grouping.doubts or uneven_groups(data, grouping.labels)
    verdict = "ambiguous" if doubtful else "found" if found > 1 else "nothing differs"
    what = {"count": count, "blocks": blocks}
    return {"sort": sort, "params": what, "true": 1, "found": found, "ari": float(found == 1), "verdict": verdict}


def uneven(rng: Generator, number: int, total: int) -> list[int]:
    """Deal ``total`` agents to so many types, at least one each."""
    return [int(count) + 1 for count in rng.multinomial(total - number, rng.dirichlet(np.ones(number)))]


def seed(rng: Generator) -> int:
    return int(rng.integers(2**31))


if __name__ == "__main__":
    given = dict(argument.split("=") for argument in sys.argv[5:])
    main(*sys.argv[1:3], *map(int, sys.argv[3:5]), **{key: json.loads(value) for key, value in given.items()})
