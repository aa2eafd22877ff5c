"""The warehouses' rules on floors small enough to check by hand, and what types can and cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaps_envs import InvalidActionError, InvalidStateError, make, make_batched

UP, DOWN, LEFT, RIGHT = range(4)
NOOP, FORWARD, TURN_LEFT, TURN_RIGHT, TOGGLE = range(5)

# Six columns, shelves 0 to 3 in the corners of a floor with two goals.
FLOOR = "x....x\n......\n..gg..\nx....x"
ROBOT = tuple[int, int, int]


def _warehouse(robots: list[ROBOT], *, env_id: str = "RWARE-tiny-4a", floor: str = FLOOR, **params: Any) -> Any:
    """Return one lane with robots ``(x, y, direction)``."""
    params.setdefault("request_queue_size", 1)
    if env_id.startswith("RWARE"):
        params.setdefault("num_agents", len(robots))
    env = make_batched(env_id, 1, layout=floor, **params)
    env.reset(seed=0)
    x, y, facing = (np.array([part]) for part in zip(*robots, strict=True))
    env.set_state({"agent_x": x, "agent_y": y, "agent_dir": facing})
    return env


def _load(env: Any, robot: int, shelf: int) -> None:
    """Put a shelf on a robot."""
    state = env.get_state()
    state["carrying"][0, robot] = shelf
    state["shelf_x"][0, shelf], state["shelf_y"][0, shelf] = state["agent_x"][0, robot], state["agent_y"][0, robot]
    env.set_state(state)


def _cells(env: Any) -> list[tuple[int, int]]:
    state = env.get_state()
    return list(zip(state["agent_x"][0].tolist(), state["agent_y"][0].tolist(), strict=True))


def _step(env: Any, *actions: int) -> Any:
    return env.step(np.array([actions]))


def test_turns_and_walls() -> None:
    env = _warehouse([(1, 0, UP)])
    facings = []
    for action in (TURN_LEFT, TURN_LEFT, TURN_LEFT, TURN_LEFT, TURN_RIGHT):
        _step(env, action)
        facings.append(int(env.get_state()["agent_dir"][0, 0]))
    assert facings == [LEFT, DOWN, RIGHT, UP, RIGHT]
    _step(env, TURN_LEFT)
    _step(env, FORWARD)
    assert _cells(env) == [(1, 0)]


def test_face_to_face_both_stay_and_hold_everybody_behind() -> None:
    env = _warehouse([(1, 1, RIGHT), (2, 1, LEFT), (0, 1, RIGHT), (2, 0, DOWN)])
    _step(env, FORWARD, FORWARD, FORWARD, FORWARD)
    assert _cells(env) == [(1, 1), (2, 1), (0, 1), (2, 0)]


def test_a_ring_turns_and_those_who_queue_for_it_stay() -> None:
    ring = [(1, 0, RIGHT), (2, 0, DOWN), (2, 1, LEFT), (1, 1, UP)]
    env = _warehouse([(3, 1, LEFT), *ring])
    _step(env, *[FORWARD] * 5)
    assert _cells(env) == [(3, 1), (2, 0), (2, 1), (1, 1), (1, 0)]


def test_the_longest_chain_wins_and_moves_as_one() -> None:
    # Two in a row from the right against one from the left, for the cell (2, 1).
    env = _warehouse([(1, 1, RIGHT), (3, 1, LEFT), (4, 1, LEFT)])
    _step(env, FORWARD, FORWARD, FORWARD)
    assert _cells(env) == [(1, 1), (2, 1), (3, 1)]


def test_a_tie_goes_to_the_lowest_index() -> None:
    env = _warehouse([(3, 1, LEFT), (1, 1, RIGHT), (2, 0, DOWN)])
    _step(env, FORWARD, FORWARD, FORWARD)
    assert _cells(env) == [(2, 1), (1, 1), (2, 0)]


def test_a_standing_robot_stops_the_queue_behind_it() -> None:
    env = _warehouse([(3, 1, LEFT), (4, 1, LEFT), (2, 1, UP)])
    _step(env, FORWARD, FORWARD, TURN_LEFT)
    assert _cells(env) == [(3, 1), (4, 1), (2, 1)]
    assert env.get_state()["agent_dir"][0, 2] == LEFT


def test_only_unloaded_robots_pass_under_shelves() -> None:
    env = _warehouse([(1, 0, LEFT), (4, 0, RIGHT)])
    _load(env, 0, 3)
    _step(env, FORWARD, FORWARD)
    assert _cells(env) == [(1, 0), (5, 0)]


def test_a_loaded_robot_follows_a_loaded_one_but_not_one_under_a_shelf() -> None:
    env = _warehouse([(2, 1, RIGHT), (3, 1, RIGHT)])
    _load(env, 0, 0)
    _load(env, 1, 1)
    _step(env, FORWARD, FORWARD)
    assert _cells(env) == [(3, 1), (4, 1)]
    state = env.get_state()
    assert (state["shelf_x"][0, :2].tolist(), state["shelf_y"][0, :2].tolist()) == ([3, 4], [1, 1])
    env = _warehouse([(1, 0, LEFT), (0, 0, DOWN)])
    _load(env, 0, 3)
    _step(env, FORWARD, FORWARD)
    assert _cells(env) == [(1, 0), (0, 1)]


def test_shelves_are_taken_anywhere_and_put_down_off_the_highway_only() -> None:
    env = _warehouse([(0, 0, RIGHT)], request_queue_size=1)
    _step(env, TOGGLE)
    assert env.get_state()["carrying"].tolist() == [[0]]
    _step(env, FORWARD)
    _step(env, TOGGLE)
    assert env.get_state()["carrying"].tolist() == [[0]]
    for action in (TURN_LEFT, TURN_LEFT, FORWARD, TOGGLE):
        _step(env, action)
    state = env.get_state()
    assert state["carrying"].tolist() == [[-1]]
    assert (state["shelf_x"][0, 0], state["shelf_y"][0, 0]) == (0, 0)


@pytest.mark.parametrize(
    ("pay", "at_goal", "others", "at_home"), [("individual", 1, 0, 0), ("global", 1, 1, 0), ("two_stage", 0.5, 0, 0.5)]
)
def test_pay(pay: str, at_goal: float, others: float, at_home: float) -> None:
    env = _warehouse([(2, 1, DOWN), (5, 1, UP)], reward_type=pay)
    _load(env, 0, 0)
    env.set_state({"request_queue": np.array([[0]])})
    assert _step(env, FORWARD, NOOP)[1].tolist() == [[at_goal, others]]
    assert env.get_state()["request_queue"][0, 0] != 0
    assert env.get_state()["carrying"][0, 0] == 0
    assert env.get_state()["inactive_steps"] == 0
    # Home again: down, left, left, then put it down in the corner (0, 3), whose own shelf is away.
    state = env.get_state()
    state["shelf_x"][0, 2], state["shelf_y"][0, 2] = 0, 0
    env.set_state({**state, "request_queue": np.array([[1]])})
    assert not any(_step(env, action, NOOP)[1].any() for action in (FORWARD, TURN_RIGHT, FORWARD, FORWARD))
    assert _step(env, TOGGLE, NOOP)[1].tolist() == [[at_home, 0]]
    assert _cells(env)[0] == (0, 3)
    assert env.get_state()["inactive_steps"] == 5


def test_a_replacement_that_stands_on_the_second_goal_is_delivered_in_the_same_step() -> None:
    paid = set()
    for seed in range(20):
        env = _warehouse([(2, 1, DOWN), (3, 2, UP)])
        _load(env, 0, 0)
        _load(env, 1, 1)
        env.set_state({"request_queue": np.array([[0]])})
        streams = make_batched("RWARE-tiny-4a", 1, seed=seed)
        streams.reset()
        env.set_state({"rng": streams.get_state()["rng"]})
        rewards = _step(env, FORWARD, NOOP)[1][0].tolist()
        paid.add(tuple(rewards))
    assert paid == {(1, 0), (1, 1)}


def test_only_the_right_type_is_paid() -> None:
    for kind, expected in ((0, 0.0), (1, 1.0)):
        robots = [(2, 1, DOWN), (5, 1, UP)]
        robots = robots if kind == 0 else robots[::-1]
        env = _warehouse(robots, env_id="CRWARE-tiny-4a-2c", num_agents=2, rotate_actions=False)
        _load(env, kind, 0)
        env.set_state({"request_queue": np.array([[0]]), "shelf_color": np.array([[1, 0, 0, 0]])})
        actions = [NOOP, NOOP]
        actions[kind] = FORWARD
        assert _step(env, *actions)[1][0].tolist() == [0.0, expected]
        assert (env.get_state()["request_queue"][0, 0] == 0) == (kind == 0)


def test_actions_are_rotated_by_type() -> None:
    env = _warehouse([(1, 1, UP), (4, 1, UP)], env_id="CRWARE-tiny-4a-2c", num_agents=2)
    _step(env, 1, 2)
    assert _cells(env) == [(1, 0), (4, 0)]
    _step(env, 2, 3)
    assert env.get_state()["agent_dir"].tolist() == [[LEFT, LEFT]]


def test_time_limit_truncates_and_inactivity_terminates() -> None:
    env = _warehouse([(1, 1, UP)], max_cycles=3)
    assert [tuple(bool(flag[0]) for flag in _step(env, NOOP)[2:]) for _ in range(3)][-1] == (False, True)
    env = _warehouse([(1, 1, UP)], max_cycles=2, max_inactivity_steps=2)
    _step(env, NOOP)
    assert tuple(bool(flag[0]) for flag in _step(env, NOOP)[2:]) == (True, False)


def test_observation_of_one_robot_is_what_the_page_says() -> None:
    env = _warehouse([(1, 0, LEFT), (1, 1, RIGHT)], request_queue_size=1)
    env.set_state({"request_queue": np.array([[0]])})
    obs = env.observe()[0, 0]
    assert obs[:8].tolist() == [1, 0, 0, 0, 0, 1, 0, 1]
    cells = obs[8:].reshape(3, 3, 7)
    assert (cells[0] == [0, 1, 0, 0, 0, 0, 0]).all()
    assert cells[1, 0].tolist() == [0, 1, 0, 0, 0, 1, 1]
    assert cells[1, 1].tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert cells[2, 1].tolist() == [1, 0, 0, 0, 1, 0, 0]
    names = [field.name for field in env.obs_fields]
    assert len(names) == len(set(names)) == env.obs_dim == 71
    assert obs[names.index("cell_-1_+0_requested")] == 1


def test_messages_are_seen_by_neighbours() -> None:
    env = _warehouse([(1, 1, UP), (2, 1, UP)], msg_bits=2)
    assert env.num_actions == 20
    assert env.action_names[NOOP + 5 * 2] == "noop, message 10"
    names = [field.name for field in env.obs_fields]
    # A message is sent even if the move fails: robot 1 is told 2, robot 0 is told 3.
    obs = _step(env, TURN_RIGHT + 5 * 2, NOOP + 5 * 3)[0][0]
    bits = [names.index(f"cell_{dx}_+0_message_bit_{bit}") for dx in ("-1", "+1") for bit in (0, 1)]
    assert obs[1, bits[:2]].tolist() == [0, 1]
    assert obs[0, bits[2:]].tolist() == [1, 1]
    with pytest.raises(InvalidActionError, match="out of range"):
        _step(env, 20, 0)


def test_types_share_spaces_but_not_orders() -> None:
    env = make_batched("CRWARE-tiny-4a-2c", 2)
    plain = make_batched("CRWARE-tiny-4a-2c", 2, shuffle_obs=False)
    left, right = env.reset(seed=1), plain.reset(seed=1)
    for agent, kind in enumerate(env.agent_types):
        assert np.array_equal(left[:, agent], right[:, agent][:, list(env.params.roster[kind].obs_permutation)])
    assert len({env.obs_space_high.min(), env.obs_space_high.max()}) == 1
    assert env.params.roster[0].obs_permutation != env.params.roster[1].obs_permutation
    assert make_batched("CRWARE-tiny-4a-2c", 1).params == env.params
    assert make_batched("CRWARE-tiny-4a-2c", 1, type_seed=1).params.roster != env.params.roster


def test_types_can_be_dialled_at_fixed_spaces() -> None:
    shapes = set()
    for num_types in (1, 2, 4):
        env = make_batched("CRWARE-small-8a-2c", 2, num_colours=4, num_types=num_types)
        shapes.add((env.reset(seed=0).shape, env.global_state().shape, env.obs_space_high.tobytes()))
        assert len(np.unique(env.agent_types)) == num_types
        assert env.delivers.sum(axis=0).tolist() == [1] * 4
    assert len(shapes) == 1


@pytest.mark.parametrize(
    ("agents", "colours", "groups"), [(8, 3, (4, 2, 2)), (9, 3, (3, 3, 3)), (5, 2, (3, 2)), (4, 1, (4,))]
)
def test_agents_are_dealt_as_in_the_original(agents: int, colours: int, groups: tuple[int, ...]) -> None:
    env = make_batched("CRWARE-tiny-4a-2c", 1, num_agents=agents, num_colours=colours)
    assert env.params.groups == groups
    assert make_batched("CRWARE-tiny-4a-2c", 1, groups=groups, num_colours=colours).params == env.params


def test_a_short_sighted_type_sees_zeros_beyond_its_range() -> None:
    roster = [{"count": 2, "sensor_range": 1}, {"count": 2}]
    env = make_batched("CRWARE-tiny-4a-2c", 50, sensor_range=2, roster=roster, shuffle_obs=False)
    full = make_batched("CRWARE-tiny-4a-2c", 50, sensor_range=2, shuffle_obs=False)
    obs, other = env.reset(seed=3), full.reset(seed=3)
    near = [8 + 4 * (5 * row + column) + entry for row in (1, 2, 3) for column in (1, 2, 3) for entry in range(4)]
    seen = np.isin(np.arange(108), [*range(8), *near])
    assert np.array_equal(obs[:, :2, seen], other[:, :2, seen])
    assert not obs[:, :2, ~seen].any()
    assert np.array_equal(obs[:, 2:], other[:, 2:])
    assert env.obs_mask.all()


def test_unequal_spaces_are_cut_to_size_where_asked_for() -> None:
    roster = [{"count": 1, "sensor_range": 1}, {"count": 1}]
    env = make("CRWARE-tiny-4a-2c", sensor_range=2, roster=roster, unequal_spaces=True)
    assert [env.observation_space(agent).shape for agent in env.possible_agents] == [(44,), (108,)]
    obs, _ = env.reset(seed=0)
    padded = env.unwrapped.batched.observe()[0]
    assert np.array_equal(obs["agent_0"], padded[0][env.unwrapped.batched.obs_mask[0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agent_x": [[1, 1]], "agent_y": [[1, 1]]}, "two agents stand in one cell"),
        ({"shelf_x": [[0, 0, 0, 5]], "shelf_y": [[0, 0, 3, 3]]}, "two shelves stand in one cell"),
        ({"shelf_x": [[1, 5, 0, 5]]}, "a shelf that nobody carries stands on a highway"),
        ({"request_queue": [[2, 2]]}, "request_queue holds a shelf twice"),
        ({"carrying": [[0, 0]]}, "two agents carry one shelf"),
        ({"carrying": [[0, -1]]}, "a carried shelf is not in its carrier's cell"),
        ({"carrying": [[4, -1]]}, r"spans \[-1, 4\]; legal is \[-1, 3\]"),
        ({"agent_x": [[6, 0]]}, r"legal is \[0, 5\]"),
        ({"agent_dir": [[0, 4]]}, r"legal is \[0, 3\]"),
        ({"agent_x": [[0.5, 1]]}, "dtype float64"),
        ({"agent_z": [[0, 1]]}, "unknown state array 'agent_z'"),
        ({"shelf_color": [[0, 0, 0, 0]]}, "unknown state array 'shelf_color'"),
    ],
)
def test_states_that_do_not_fit_together_are_refused(change: dict[str, Any], message: str) -> None:
    env = _warehouse([(1, 0, UP), (2, 0, UP)], request_queue_size=2)
    before = env.get_state()
    with pytest.raises(InvalidStateError, match=message):
        env.set_state({name: np.array(value) for name, value in change.items()})
    assert all(np.array_equal(array, before[name]) for name, array in env.get_state().items())


def test_a_refused_first_state_leaves_the_environment_unbegun() -> None:
    env, twin = (make_batched("RWARE-tiny-4a", 2, seed=5) for _ in range(2))
    with pytest.raises(InvalidStateError, match="two agents stand in one cell"):
        env.set_state({"agent_x": np.zeros((2, 4), int), "agent_y": np.zeros((2, 4), int)})
    assert np.array_equal(env.reset(), twin.reset())


def test_part_of_a_state_in_some_lanes() -> None:
    env = make_batched("CRWARE-tiny-4a-2c", 3, seed=0)
    env.reset()
    before, obs = env.get_state(), env.observe()
    colours = 1 - before["shelf_color"]
    env.set_state({"shelf_color": colours}, mask=np.array([False, True, False]))
    after = env.get_state()["shelf_color"]
    assert np.array_equal(after[1], colours[1])
    assert np.array_equal(after[[0, 2]], before["shelf_color"][[0, 2]])
    assert np.array_equal(env.observe()[[0, 2]], obs[[0, 2]])
    assert not np.array_equal(env.observe()[1], obs[1])


def test_what_stands_where_is_kept_right_through_play() -> None:
    """Observations depend on tables that follow the state step by step: rebuilding them changes nothing."""
    env = make_batched("CRWARE-tiny-4a-2c", 16, num_agents=30, num_colours=3, request_queue_size=20, sensor_range=2)
    generator = np.random.default_rng(0)
    env.reset(seed=1)
    for _ in range(200):
        obs = env.step(generator.integers(0, 5, (16, 30)))[0]
        env.set_state(env.get_state())
        assert np.array_equal(env.observe(), obs)


def test_global_state_shows_robots_shelves_and_requests() -> None:
    env = make_batched("CRWARE-tiny-4a-2c", 2, seed=0)
    env.reset()
    whole, state = env.global_state(), env.get_state()
    assert whole.shape == (2, 4 * 8 + 3 * 110)
    assert ((whole >= env.state_low) & (whole <= env.state_high)).all()
    planes = whole[:, 32:].reshape(2, 3, 11, 10)
    assert planes.sum(axis=(2, 3)).tolist() == [
        [*np.bincount(state["shelf_color"][lane], minlength=2).tolist(), 4] for lane in range(2)
    ]
    assert np.array_equal(whole[:, :32].reshape(2, 4, 8)[..., 0], state["agent_x"])
