"""The page of a run: its result, its sharing, and everything that says where it comes from."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.records.reader import SUMS, RunRecord
from baselines.leaderboard.report.data.values import decimal
from baselines.leaderboard.report.figures.sharing_figure import group_labels, record_figure
from baselines.leaderboard.report.pages.common import SitePages, commit_of, run_page, task_page
from baselines.leaderboard.spec.config import seeds_of

__all__ = ["render_run_page"]

_CURVE_POINTS = 400
_CURVE_WIDTH, _CURVE_HEIGHT, _MARGIN = 420, 110, 16

Facts = list[tuple[str, str]]


def render_run_page(pages: SitePages, record: RunRecord) -> str:
    """Return the page of a run that can be read, finished or failed."""
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
        curve=_curve(record),
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
        sums=(record.directory / SUMS).read_text("ascii"),
    )


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


def _curve(record: RunRecord) -> Markup | None:
    """Draw the run's learning curve in a few hundred bytes: there may be thousands of these pages."""
    evaluation = record.evaluation
    if evaluation is None:
        return None
    stride = -(-len(evaluation.steps) // _CURVE_POINTS)
    chosen = np.unique(np.append(np.arange(0, len(evaluation.steps), stride), len(evaluation.steps) - 1))
    heights = evaluation.scored(record.config.task).mean(axis=1)
    steps, shown = evaluation.steps[chosen].astype(float), heights[chosen]
    x = _MARGIN / 2 + _scaled(steps, _CURVE_WIDTH - _MARGIN)
    y = _MARGIN + _CURVE_HEIGHT - _scaled(shown, _CURVE_HEIGHT)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    low, high, first, last = (decimal(value, 1) for value in (shown.min(), shown.max(), heights[0], heights[-1]))
    bottom = _CURVE_HEIGHT + 2 * _MARGIN
    end = f"{last} after {int(evaluation.steps[-1]):,} steps"
    return Markup(
        f'<svg viewBox="0 0 {_CURVE_WIDTH} {bottom + _MARGIN}" role="img" font-family="sans-serif" font-size="11" '
        f'aria-label="from {first} to {last}">'
        f'<polyline points="{points}" fill="none" stroke="#0072B2" stroke-width="2"/>'
        f'<text x="0" y="10">highest {high}</text>'
        f'<text x="0" y="{bottom + 8}">lowest {low}</text>'
        f'<text x="{_CURVE_WIDTH}" y="{bottom + 8}" text-anchor="end">{end}</text></svg>'
    )


def _scaled(values: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    spread = float(values.max() - values.min())
    return np.asarray((values - values.min()) / spread * length if spread > 0 else np.full(len(values), length / 2))
