"""The page of a run: its result, its sharing, and everything that says where it comes from."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.records.light import light_files
from baselines.leaderboard.records.reader import SUMS, RunRecord
from baselines.leaderboard.report.data.values import decimal
from baselines.leaderboard.report.figures.board_charts import CaptionedChart
from baselines.leaderboard.report.figures.charts import run_chart
from baselines.leaderboard.report.figures.sharing_figure import group_labels, record_figure
from baselines.leaderboard.report.pages.common import SitePages, commit_of, run_archive, run_page, task_page
from baselines.leaderboard.spec.config import seeds_of

__all__ = ["packed", "render_run_page"]

_CURVE_POINTS = 400

Facts = list[tuple[str, str]]


def render_run_page(pages: SitePages, record: RunRecord, *, archive: bool) -> str:
    """Return the page of a run that can be read, finished or failed; ``archive`` says that the site has its record."""
    config = record.config
    return pages.render(
        "run.html.j2",
        run_page(config.run_id),
        config.run_id,
        task=config.task.name,
        task_page=task_page(config.task.name),
        scheme=config.scheme.label,
        seed=config.seed,
        results=_results(record),
        charts=_charts(record),
        failure=record.failure,
        map=record_figure(record.sharing),
        sharing=_sharing(record),
        provenance=_provenance(record),
        costs=_costs(record),
        digest=config.digest,
        context=config.context_digest,
        config=pretty_json(
            {**config.model_dump(mode="json"), "seeds": seeds_of(config).model_dump(mode="json")}
        ).decode(),
        archive=run_archive(config.run_id) if archive else "",
        sums=(record.directory / SUMS).read_text("ascii"),
    )


def packed(record: RunRecord) -> bytes:
    """Return a run's light record as a ZIP file, which ``adaps leaderboard verify`` takes when unpacked."""
    buffer = io.BytesIO()
    # Without dates, so that the same record gives the same bytes.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(light_files(record.directory).items()):
            archive.writestr(zipfile.ZipInfo(f"{record.config.run_id}/{name}"), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _results(record: RunRecord) -> Facts:
    facts: Facts = [("status", record.status), ("protocol", record.config.protocol)]
    if record.light:
        facts.append(("record", "light: without weights and without the actions of the absolute episodes"))
    evaluation, task = record.evaluation, record.config.task
    if evaluation is None:
        return facts
    measured = [
        ("at the budget, greedy", evaluation.greedy[-1]),
        ("at the budget, sampled", evaluation.sampled[-1]),
        (f"best point ({int(evaluation.best_point)}), {len(evaluation.absolute)} fresh episodes", evaluation.absolute),
    ]
    for name, returns in measured:
        text = f"team return {decimal(returns.mean(), 2)} ± {decimal(returns.std(), 2)} over episodes"
        if task.random_score is not None:
            text += f", score {decimal(task.normalise(float(returns.mean())), 3)}"
        facts.append((name, text))
    return facts


def _sharing(record: RunRecord) -> Facts:
    sharing = record.sharing
    if sharing is None:
        return []
    facts = [(name.replace("_", " "), f"{count:,}") for name, count in sorted(sharing.parameters.items())]
    facts.append(("identity steps", f"{sharing.identity_steps:,} of {sharing.env_steps:,} environment steps"))
    labels = group_labels(sharing)
    if labels is not None:
        facts.append(("groups", _members(labels)))
    facts.append(("hidden types", _members(sharing.agent_types)))
    if sharing.ari is not None:
        facts.append(("adjusted Rand index", f"{sharing.ari:.3f} of the groups against the hidden types"))
    return facts


def _members(labels: list[int]) -> str:
    """Return "0: agents 0 1 2; 1: agents 3 4" of labels, so that the picture is not the only place."""
    groups: dict[int, list[str]] = {}
    for agent, label in enumerate(labels):
        groups.setdefault(label, []).append(str(agent))
    return "; ".join(f"{label}: agents {' '.join(members)}" for label, members in sorted(groups.items()))


def _provenance(record: RunRecord) -> Facts:
    origin = record.provenance
    facts = [
        ("environment", origin.environment),
        ("scripted rollout, SHA-256", origin.trace_digest),
        ("commit", commit_of(record)),
        ("packages", ", ".join(f"{name} {version}" for name, version in sorted(origin.packages.items()))),
        ("Python", origin.python),
        ("system", origin.system),
        ("machine", origin.machine),
        ("processor", origin.processor),
        ("cores", origin.cores),
    ]
    return [(name, str(text)) for name, text in facts if text]


def _costs(record: RunRecord) -> Facts:
    facts: Facts = []
    for name, value in record.costs.model_dump().items():
        if value is None or value == "":
            continue
        if name.endswith("_bytes"):
            facts.append((name.removesuffix("_bytes").replace("_", " "), f"{value / 2**20:,.0f} MiB"))
        elif name.endswith("_seconds"):
            facts.append((name.removesuffix("_seconds").replace("_", " ") + " time", f"{value:,.1f} s"))
        else:
            facts.append((name.removesuffix("_at").replace("_", " "), str(value)))
    return facts


def _charts(record: RunRecord) -> list[CaptionedChart]:
    """Return the run's learning curve, thinned out: there may be thousands of these pages."""
    evaluation = record.evaluation
    if evaluation is None:
        return []
    stride = -(-len(evaluation.steps) // _CURVE_POINTS)
    chosen = np.unique(np.append(np.arange(0, len(evaluation.steps), stride), len(evaluation.steps) - 1))
    returns = evaluation.scored(record.config.task).mean(axis=1)
    how = record.config.task.scored
    chart = run_chart(record.config.scheme.label, evaluation.steps[chosen], returns[chosen], record.config.run_id)
    return [(f"Team return at the evaluation points, {how} play, mean over episodes", chart)]
