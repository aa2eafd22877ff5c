"""The page of a task: rows, pictures of policies, charts, who shares what, settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.collect import Group
from baselines.leaderboard.report.data.columns import COST_COLUMNS, SCORE_COLUMNS, present
from baselines.leaderboard.report.data.downloads import task_downloads
from baselines.leaderboard.report.data.rows import typical_run
from baselines.leaderboard.report.data.values import decimal
from baselines.leaderboard.report.figures.board_charts import task_charts
from baselines.leaderboard.report.figures.pictures import Film, FilmError, film, shared_episode, still_of_start
from baselines.leaderboard.report.figures.sharing_figure import record_figure
from baselines.leaderboard.report.pages.common import SitePages, distinct, legend, run_page, span, task_page, thumbnail
from baselines.leaderboard.report.pages.site import SiteFolder
from baselines.leaderboard.spec.config import TaskConfig, evaluation_marks, seeds_of

__all__ = ["FILMS_IN_ALL", "films_a_task", "write_task_page", "write_thumbnail"]

FILMS_IN_ALL = 24
"""About how many pictures of policies a site has, unless it is asked for more: each takes a fraction of a second."""


def films_a_task(board: Board) -> int:
    """Return how many schemes of a task are shown at play by default: all of a small suite, one of a large one."""
    return max(1, FILMS_IN_ALL // max(len(board.task_names()), 1))


def write_task_page(pages: SitePages, folder: SiteFolder, task: str, films: int) -> None:
    """Write the page and its pictures.

    Args:
        pages: of the board.
        folder: of the site.
        task: name.
        films: how many schemes are shown at play, the best ones.
    """
    board, config = pages.board, pages.board.task(task)
    rows = board.rows_of(task)
    by_scheme = {group.scheme: group for group in board.groups if group.task == task}
    groups = [by_scheme[row.scheme] for row in rows]
    records = [record for record in board.records if record.config.task.name == task]
    compared = board.comparisons.get(task)
    page = task_page(task)
    content = pages.render(
        "task.html.j2",
        page,
        task,
        facts=[] if config is None else _facts(config),
        rows=rows,
        score_columns=present(SCORE_COLUMNS, rows),
        cost_columns=present(COST_COLUMNS, rows),
        span=span(rows),
        films=list(_films(folder, [group for group in groups if group.done][:films])),
        films_note="The same evaluation episode for all, played by each scheme's run of median return, at the budget, "
        "again from the recorded actions. Agents have the colour of their hidden type.",
        table=task_downloads(task)[0],
        latex=task_downloads(task)[1],
        charts=task_charts(board, task),
        legend=legend(compared),
        improvement=None if compared is None else compared.improvement,
        schemes=[_scheme(pages, group, records) for group in groups],
        settings=_settings(records),
        digests=distinct(records, lambda record: record.provenance.trace_digest),
        problems=pages.problems(task=task),
    )
    folder.write(page, content)


def write_thumbnail(pages: SitePages, folder: SiteFolder, task: str) -> None:
    """Write the small picture of a task, if one of its runs has a scene that can be drawn."""
    records = [typical_run(group) for group in pages.board.groups if group.task == task and group.done]
    picture = still_of_start(records[0], shared_episode(records)) if records else None
    if picture is not None:
        folder.write(thumbnail(task), picture)
        pages.has_thumbnail(task)


def _films(folder: SiteFolder, groups: list[Group]) -> Iterator[dict[str, Any]]:
    episode = shared_episode([typical_run(group) for group in groups]) if groups else 0
    for group in groups:
        record = typical_run(group)
        try:
            shown = film(record, episode)
        except FilmError as error:
            yield {"scheme": group.scheme, "gif": None, "caption": str(error)}
            continue
        stem = f"pictures/{group.task}/{group.scheme}"
        folder.write(f"{stem}.gif", shown.gif)
        folder.write(f"{stem}.png", shown.still)
        width, height = shown.size
        yield {
            "scheme": group.scheme,
            "gif": f"{stem}.gif",
            "still": f"{stem}.png",
            "width": width,
            "height": height,
            "text": f"Animation: {group.scheme} plays an episode of {group.task}",
            "caption": _caption(record, shown),
            "page": run_page(record.config.run_id),
        }


def _caption(record: RunRecord, shown: Film) -> str:
    strides = "" if shown.stride == 1 else f", every {shown.stride} steps"
    return (
        f"Return {decimal(shown.team_return, 1)} in {shown.steps} steps{strides}; training seed {record.config.seed}, "
        f"environment seed {shown.seed}."
    )


def _scheme(pages: SitePages, group: Group, records: list[RunRecord]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": group.scheme,
        "class": "",
        "settings": "",
        "map": None,
        "runs": [pages.run_entry(record) for record in records if record.config.scheme.label == group.scheme],
    }
    if group.done:
        record = typical_run(group)
        scheme = record.config.scheme
        entry["class"] = scheme.name
        entry["settings"] = ", ".join(f"{key} = {value}" for key, value in sorted(scheme.settings.items()))
        entry["map"] = record_figure(record.sharing)
        entry["map_run"] = f"seed-{record.config.seed}"
        entry["map_page"] = run_page(record.config.run_id)
    return entry


def _facts(task: TaskConfig) -> list[tuple[str, str]]:
    marks = evaluation_marks(task)
    return [
        ("environment", task.env),
        ("parameters", ", ".join(f"{key} = {value}" for key, value in sorted(task.params.items())) or "as registered"),
        ("budget", f"{task.budget:,} environment steps, identity steps included"),
        ("evaluation", f"{len(marks)} points, {task.eval_episodes} episodes each, greedy and sampled"),
        ("absolute metric", f"{task.absolute_episodes} fresh episodes of the best point's policy"),
        ("score 0 and 1", f"team return {task.random_score} (random) and {task.scripted_score} (scripted)"),
    ]


def _settings(records: list[RunRecord]) -> str | None:
    """The resolved configuration that all runs of a task share, and their seeds, as JSON text."""
    for record in records:
        shared = record.config.model_dump(mode="json", exclude={"scheme", "seed"})
        seeds = seeds_of(record.config).model_dump(exclude={"training_start"})
        return pretty_json({**shared, "seeds": seeds}).decode()
    return None
