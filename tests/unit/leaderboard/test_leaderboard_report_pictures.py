"""Pictures made from records: policies at play, who shares what, charts."""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import PIL
import pytest
from fabricate import TYPES, fabricate_run
from PIL import Image, ImageSequence
from tamper import edit_arrays

from adaps_agents.schemes.registry import is_builtin, list_schemes
from adaps_envs import make_batched
from adaps_envs.core.palette import colour_of
from baselines.leaderboard.records.metadata_files import Sharing
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.report.figures import pictures
from baselines.leaderboard.report.figures.charts import COSTS, Chart, cost_chart, curve_chart, run_chart, score_chart
from baselines.leaderboard.report.figures.pictures import FilmError, film, shared_episode, still_of_start
from baselines.leaderboard.report.figures.plane import MARKERS, Plane, spread
from baselines.leaderboard.report.figures.sharing_figure import group_labels, mask_overlaps, record_figure
from baselines.leaderboard.report.figures.styles import COLOURS, style_of
from baselines.leaderboard.report.figures.ticks import decade_ticks, round_ticks, short
from baselines.leaderboard.spec.config import SuiteConfig


def sharing(**changes: Any) -> Sharing:
    """What a scheme with two groups of two agents reports."""
    values: dict[str, Any] = {
        "scheme": "adaps", "env_steps": 10, "identity_steps": 0, "parameters": {"trainable": 1},
        "assignment": [0, 0, 1, 1], "agent_types": TYPES, "ari": 1.0,
        "summary": {
            "agents": {f"agent_{i}": i // 2 for i in range(4)}, "actor_mask_overlap": [[1.0, 0.25], [0.5, 1.0]]
        },
    }  # fmt: skip
    return Sharing(**{**values, **changes})


def assert_shown(gif: Image.Image, number: int, pace: int) -> None:
    """Pictures and their time; before Pillow 13, equal ones in a row become one that stays longer."""
    stays = [int(frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]
    assert len(stays) == number or (int(PIL.__version__.split(".")[0]) < 13 and len(stays) < number)
    assert sum(stays) == pytest.approx(pace * (number - 1) + 1500, abs=10 * len(stays))  # in hundredths of a second
    gif.seek(0)


def test_a_film_shows_the_recorded_episode_of_median_return(runs: Path) -> None:
    record = read_run(next(runs.glob("*/adaps/seed-0")))
    shown = film(record, shared_episode([record]))
    assert record.evaluation is not None
    returns = record.evaluation.greedy[-1]
    assert shown.team_return == pytest.approx(np.sort(returns)[(len(returns) - 1) // 2])
    assert shown.seed == record.evaluation.seeds[shown.episode]
    with Image.open(io.BytesIO(shown.gif)) as gif, Image.open(io.BytesIO(shown.still)) as still:
        assert shown.steps == 50
        assert_shown(gif, 51, pace=157)
        assert gif.size == still.size == shown.size
        first = np.asarray(gif.convert("RGB")).astype(int)
        gif.seek(gif.n_frames - 1)
        last = np.asarray(gif.convert("RGB")).astype(int)
        end = np.asarray(still).astype(int)
    assert np.abs(first - last).max() > 50, "nothing moves"
    assert np.abs(last - end).mean() < 2, "the still is not the end"
    assert film(record, shown.episode).gif == shown.gif


def test_a_long_episode_is_shown_whole_in_strides(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_FRAMES", 13)
    shown = film(read_run(next(runs.glob("*/adaps/seed-0"))), 0)
    assert shown.stride == 5
    with Image.open(io.BytesIO(shown.gif)) as gif:
        assert_shown(gif, 11, pace=160)


def test_actions_that_do_not_give_the_return_make_no_picture(tmp_path: Path, suite: SuiteConfig) -> None:
    with pytest.raises(FilmError, match=r"the actions give a return of .*, the record says"):
        film(read_run(fabricate_run(tmp_path, suite.runs()[0], 0.5)), 0)


def test_actions_that_do_not_play_make_no_picture(runs: Path) -> None:
    run = next(runs.glob("*/adaps/seed-0"))
    edit_arrays(run, "actions.npz", lambda arrays: arrays.update(final=np.full_like(arrays["final"], 77)))
    with pytest.raises(FilmError, match="action 77"):
        film(read_run(run), 0)


def test_a_scene_too_large_makes_no_picture(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_STATE_VALUES", 3)
    with pytest.raises(FilmError, match="too large"):
        film(read_run(next(runs.glob("*/adaps/seed-0"))), 0)


def test_the_largest_board_that_is_drawn_has_a_million_pixels() -> None:
    """A cell takes 64 of them at least, and a film holds all frames at once: 444 x 444 cells took eight gigabytes."""
    largest, beyond = (make_batched("LBF-20x20-12p-10f", 1, field_size=[side, side]) for side in (127, 444))
    assert "is too large to be drawn" in pictures._too_large(beyond)
    assert pictures._too_large(largest) == ""
    largest.reset(seed=[0])
    assert 1_000_000 < largest.render_frame(0).size / 3 < 1_100_000


def test_a_team_too_large_makes_no_picture(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = read_run(next(runs.glob("*/adaps/seed-0")))
    assert still_of_start(record, 0) is not None
    monkeypatch.setattr(pictures, "MAX_AGENTS", 3)
    with pytest.raises(FilmError, match="a team of 4 agents is too large to be drawn; at most 3 are"):
        film(record, 0)
    assert still_of_start(record, 0) is None


def test_the_map_names_groups_types_and_overlap() -> None:
    text = record_figure(sharing())
    assert text is not None
    assert 'aria-label="4 agents in 2 groups; masks of the actor overlap by 0.25 to 1.00"' in text
    assert text.count("hidden type 0") == text.count("hidden type 1") == 2
    assert re.findall(r">g(\d)<", text) == ["0", "1"]
    assert text.count("<image") == 1
    assert "lightest 0.25" in text


def test_the_map_shows_schemes_that_look_for_no_groups() -> None:
    text = record_figure(sharing(assignment=None, summary={"agents": {f"agent_{i}": i for i in range(4)}}))
    assert text is not None
    assert re.findall(r">g(\d)<", text) == ["0", "1", "2", "3"]
    assert record_figure(sharing(assignment=None, summary={})) is None


@pytest.mark.parametrize(
    "agents", [{"agent_0": 0}, {f"agent_{i}": "<b>" for i in range(4)}, {f"agent_{i}": -1 for i in range(4)}, [0], "x"]
)
def test_strange_groups_fall_back_to_the_assignment(agents: Any) -> None:
    assert group_labels(sharing(summary={"agents": agents})) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "overlap", [[], [[1.0], [1.0]], [["<b>"]], "x", None, [[True]], {"0": 1}, [[1.0, 2.0]], [[[1.0]]]]
)
def test_strange_overlaps_are_not_drawn(overlap: Any) -> None:
    assert mask_overlaps(sharing(summary={"actor_mask_overlap": overlap})) == {}
    assert mask_overlaps(sharing(summary={"<b>_mask_overlap": [[1.0]]})) == {}


def test_a_large_team_has_a_small_map() -> None:
    agents = 200
    summary = {
        "agents": {f"agent_{i}": i for i in range(agents)},
        "actor_mask_overlap": np.random.default_rng(0).uniform(size=(agents, agents)).round(4).tolist(),
    }
    text = record_figure(sharing(assignment=None, agent_types=[0] * agents, summary=summary))
    assert text is not None
    assert len(text) < 250_000


def test_styles_differ_as_long_as_they_can() -> None:
    styles = [dataclasses.astuple(style_of(name)) for name in list_schemes() if is_builtin(name)]
    assert len({(colour, dashes) for colour, dashes, _ in styles}) == len(styles)
    assert len({(colour, marker) for colour, _, marker in styles}) == len(styles)


def test_a_name_has_one_style_that_no_scheme_of_the_suite_has() -> None:
    ours = {style_of(name) for name in list_schemes() if is_builtin(name) and not style_of(name).dashes}
    others = [style_of(name) for name in ("mine", "<b>", "x" * 300, "\udc80")]
    assert others == [style_of(name) for name in ("mine", "<b>", "x" * 300, "\udc80")]
    assert not ours & set(others)
    assert style_of("adaps").colour == "#cc243c"


def luminance(colour: Sequence[float]) -> float:
    """As WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def test_colours_of_schemes_are_seen_on_both_papers_and_are_none_of_the_types() -> None:
    types = [colour_of(number) for number in range(7)]
    for colour in map(rgb, COLOURS):
        light, dark, own = luminance(rgb("#ffffff")), luminance(rgb("#14171c")), luminance(colour)
        assert (light + 0.05) / (own + 0.05) >= 3
        assert (own + 0.05) / (dark + 0.05) >= 3
        assert min(np.linalg.norm(np.subtract(colour, kind)) for kind in types) > 40


def drawn(plane: Plane, title: str = "title") -> ElementTree.Element:
    """The picture, which must be well-formed XML."""
    return ElementTree.fromstring(plane.svg(title))


def paths(plane: Plane, **attributes: str) -> list[str]:
    """Outlines of the shapes with these attributes."""
    return [
        path.attrib["d"]
        for path in drawn(plane).iter("path")
        if all(path.get(name.replace("_", "-")) == value for name, value in attributes.items())
    ]


def test_a_line_goes_from_corner_to_corner() -> None:
    plane = Plane(height=264, left=60)
    plane.line([1.0, 3.0], [10.0, 30.0], "#123456")
    plane.limit(0, 1, 3)
    plane.limit(1, 10, 30)
    assert paths(plane, stroke="#123456") == ["M60.0 212.0L536.0 12.0"]


@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_a_line_is_broken_where_a_number_is_missing(gap: float) -> None:
    plane = Plane()
    plane.line(range(5), [0.0, 1.0, gap, 1.0, 0.0], "#123456")
    plane.band(range(5), [0.0, 0.0, gap, 0.0, 0.0], np.ones(5), "#654321")
    (path,) = paths(plane, stroke="#123456")
    assert path.count("M") == 2
    assert path.count("L") == 2
    assert paths(plane, fill="#654321") == []


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1e308], [-1e308, 1e308], [5.0, 5.0], [0.0, 0.0], [1e-300, 2e-300], [0.0, 5e-324], [1.0, 1.0 + 2e-16],
        [math.nan] * 2,
    ],
)  # fmt: skip
def test_numbers_of_any_size_are_drawn(values: list[float]) -> None:
    plane = Plane()
    plane.line([0, 1], values, "#123456")
    plane.marker(0, values[0], "#123456", "cross")
    text = plane.svg("title")
    assert "nan" not in text
    assert "inf" not in text
    assert len(text) < 20_000
    heights = [label.text for label in drawn(plane).iter("text") if label.get("text-anchor") == "end"]
    assert len({*heights}) == len(heights) > 0, "ticks that read the same"


def scored(scheme: str, iqm: float, parameters: int) -> Any:
    """A row of the board, as far as the charts look at it."""
    ends = {"ci_low": iqm - 0.1, "ci_high": iqm + 0.1}
    return SimpleNamespace(scheme=scheme, iqm=iqm, trainable_parameters=parameters, **ends)


def test_charts_of_scores_show_every_scheme_once_with_its_interval() -> None:
    rows = [scored("nops", 0.9, 150_000), scored("<b>" * 20, 0.2, 10_000)]
    for chart in (score_chart(rows, "title"), cost_chart(rows, COSTS[0], "title")):
        picture = ElementTree.fromstring(chart.svg())
        for style in (style_of(row.scheme) for row in rows):
            shapes = [path for path in picture.iter("path") if style.colour in (path.get("fill"), path.get("stroke"))]
            assert len(shapes) == 2
    labels = [text.text for text in ElementTree.fromstring(score_chart(rows, "title").svg()).iter("text")]
    assert "nops" in labels
    assert "<b>" * 5 + "…" in labels
    costs = [text.text for text in ElementTree.fromstring(cost_chart(rows, COSTS[0], "title").svg()).iter("text")]
    assert "10 k" in costs
    assert "100 k" in costs


def test_the_best_scheme_is_on_top_and_further_right() -> None:
    rows = [scored("nops", 0.9, 2), scored("fups", 0.2, 1)]
    picture = ElementTree.fromstring(score_chart(rows, "title").svg())
    places = {path.get("fill"): path.attrib["d"][1:].split("L")[0].split() for path in picture.iter("path")}
    best, other = (tuple(map(float, places[style_of(name).colour])) for name in ("nops", "fups"))
    assert best[0] > other[0]
    assert best[1] < other[1]


def test_an_empty_plane_has_axes() -> None:
    assert len(list(drawn(Plane()).iter("text"))) > 4


def test_markup_in_names_is_text() -> None:
    plane, name = Plane(), "<script>&\"'"
    plane.marker(0, 0, "#123456", MARKERS[0])
    plane.label(0, name)
    plane.label(1, name)
    plane.ticks(1, [(0.0, name)])
    picture = drawn(plane, name)
    assert picture.get("aria-label") == name
    assert [text.text for text in picture.iter("text")].count(name) == 3
    assert picture.find(".//script") is None


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.05, 1.05), (0.3, 0.31), (-2e6, 3e6), (1e-9, 2e-9), (99.0, 101.0)]
)
def test_an_axis_has_some_round_numbers(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert 3 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
    assert max(len(short(tick)) for tick in ticks) <= 9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_costs_that_are_almost_equal_still_get_a_tick() -> None:
    ticks = decade_ticks(math.log10(10_110), math.log10(10_190))
    assert ticks
    assert all(10_110 < tick < 10_190 for tick in ticks)


@pytest.mark.parametrize(("low", "high"), [(0.0, 7.0), (2.47, 2.68), (3.9, 5.2), (-0.1, 0.1), (2.0, 2.01)])
def test_a_logarithmic_axis_has_some_round_numbers(low: float, high: float) -> None:
    ticks = decade_ticks(low, high)
    assert 1 <= len(ticks) <= 8
    assert all(low <= np.log10(tick) <= high for tick in ticks)
    assert len(ticks) == len(set(ticks))
    assert len(labels_across(ticks, low, high)) >= min(len(ticks), 2)


def labels_across(ticks: list[float], low: float, high: float) -> list[tuple[float, str]]:
    """Where the labels below an axis from ``low`` to ``high`` stand; none overlaps another."""
    plane = Plane()
    plane.limit(0, low, high)
    plane.ticks(0, [(math.log10(tick), short(tick)) for tick in ticks])
    labels = [
        (float(text.attrib["x"]), text.text or "")
        for text in drawn(plane).iter("text")
        if text.get("text-anchor") == "middle"
    ]
    for (x, text), (other, after) in itertools.pairwise(sorted(labels)):
        assert other - x > 3.9 * (len(text) + len(after)), f"{text} and {after} overlap"
    return labels


def test_labels_that_would_overlap_give_way_to_the_important_ones() -> None:
    ticks = [10.0, 9.0, 9.5, 9.9, 11.0]
    assert [text for _, text in labels_across(ticks, 0.0, 5.0)] == ["10"]


def test_names_at_the_end_of_lines_keep_their_distance() -> None:
    assert spread([1.0, 1.0, 1.0], 10, 0, 100) == [1.0, 11.0, 21.0]
    assert spread([99.0, 99.0, 99.0], 10, 0, 100) == [80.0, 90.0, 100.0]
    assert spread([], 10, 0, 100) == []


def curve(scheme: str, height: float) -> Any:
    ends = {"low": [height - 1] * 3, "high": [height + 1] * 3}
    return SimpleNamespace(scheme=scheme, steps=[0, 1, 2], centre=[height] * 3, identity_steps=0.0, **ends)


def test_lines_and_points_are_named_where_they_are() -> None:
    chart = curve_chart([curve("adaps", 0.5), curve("fups", 0.5), curve("<b>", 9.0)], 2, "title")
    names = {text.text: text.attrib for text in ElementTree.fromstring(chart.svg()).iter("text")}
    assert {"adaps", "fups", "<b>"} <= names.keys()
    assert abs(float(names["adaps"]["y"]) - float(names["fups"]["y"])) >= 16
    assert float(names["<b>"]["y"]) < float(names["adaps"]["y"])
    points = cost_chart([scored("adaps", 0.9, 10), scored("fups", 0.9, 10)], COSTS[0], "title")
    places = [(text.attrib["x"], text.attrib["y"]) for text in ElementTree.fromstring(points.svg()).iter("text")]
    assert len(places) == len(set(places))


def test_scores_near_one_are_told_apart() -> None:
    rows = [scored("adaps", 1.0, 3), scored("fups", 0.98, 2), scored("nops", 0.0, 1)]
    chart = score_chart(rows, "title")
    assert chart.wide
    heads = {path.get("fill"): float(path.attrib["d"][1:].split()[0]) for path in picture_of(chart).iter("path")}
    first, second, last = (heads[style_of(row.scheme).colour] for row in rows)
    assert first - second > 0.1 * (first - last)
    assert {"1", "0.9", "0"} <= {text.text for text in picture_of(chart).iter("text")}
    assert not score_chart([scored("adaps", 0.5, 1), scored("fups", 0.99, 1)], "title").wide


def picture_of(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(chart.svg())


def test_the_live_chart_has_the_numbers_of_the_picture() -> None:
    data = cost_chart([scored("adaps", 0.9, 150_000), scored("nops", math.nan, 10)], COSTS[0], "title").data()
    assert data["series"][0] | {"colour": "", "dashes": []} == {
        "name": "adaps", "colour": "", "dashes": [], "start": 0.0, "x": [150_000.0], "y": [0.9], "low": [0.8],
        "high": [1.0],
    }  # fmt: skip
    assert data["series"][1]["y"] == [None]
    assert data["ticks"][:2] == [10.0, 100.0]
    assert run_chart("adaps", [0, 1], [-3.0, -2.0], "title").data()["near"] is None


def test_all_films_of_a_task_show_one_episode(runs: Path) -> None:
    records = [read_run(path) for path in sorted(runs.glob("*/*/seed-0"))]
    episode = shared_episode(records)
    assert len(records) > 1
    films = [film(record, episode) for record in records]
    assert len({shown.seed for shown in films}) == 1
    assert {shown.episode for shown in films} == {episode}
    assert still_of_start(records[0], episode) == still_of_start(records[1], episode)
    assert still_of_start(records[0], episode) != still_of_start(records[0], (episode + 1) % 4)
