"""All levers on one frontier: the best that any setting draws within a budget, and a rule to get near it.

The frontier is of settings that were measured. Rules may take step counts between those of plain sampling as well, as a
lever's worth does (`ldm.statistics.worth`): somebody who follows one would.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from ldm.figures import tables
from ldm.figures.charts import ABOVE, INK, cost_axis, curve, interval, panel_axis, unbeaten
from ldm.figures.levels import SAYS, title
from ldm.figures.levers import MISSING, NONE, UNITS, Found, setting
from ldm.metrics.catalogue import brief, metric_of
from ldm.statistics.budget import affordable
from ldm.statistics.evidence import Evidence
from ldm.statistics.policy import Policy, budgets_of, policy
from ldm.statistics.worth import PLAIN, Priced, chances, with_steps_between
from ldm.study.lever_grid import STUDENTS

USUAL = "plain"  # the dashed line's name
PALETTE = (  # of levers, in the order of their rows, so that a lever has one colour in all charts
    *("#b8860b", "#a4509f", "#d9822b", "#2aa3a3", "#e377c2", "#7a6a4f", "#98df8a"),
    *("#c0504d", "#3b8f5a", "#8c9ed9", "#2f6db3", "#17becf"),
)


def settings(evidence: Evidence, unit: str = "done") -> pd.DataFrame:
    """Return the settings that no cheaper one beats, cheapest first, as rows with more columns.

    They are `budget`, the setting's cost; `name` of the lever; `words`, the setting; `chance` that the best within this
    budget has this lever; and `value`, `lo` and `hi` with the sign of their metric.
    """
    cost = evidence.rows[unit].to_numpy(float)
    best = unbeaten(evidence.rows.assign(budget=cost), "budget", "value")
    likely = chances(Priced(evidence, cost), best["budget"].to_numpy(float))
    found = best.assign(
        name=best["lever"].replace(PLAIN, NONE),
        words=[setting(row) for row in best.to_dict("records")],
        chance=[likely[lever][place] for place, lever in enumerate(best["lever"])],
    )
    return found if metric_of(evidence.metric).better == "lower" else _turned(found)


def _turned(rows: pd.DataFrame) -> pd.DataFrame:
    """Give values of a metric of which more is better their sign back."""
    return rows.assign(value=-rows["value"], lo=-rows["hi"], hi=-rows["lo"])


def chart(found: Found, metric: str, unit: str = "done") -> Any:
    """Plot the settings that no cheaper one beats, in the colours of their levers, a panel a level of caption.

    The dashed line is of those without a lever. unit: a key of `ldm.figures.levers.UNITS`. Where no machine was timed
    and the unit is the clock's, it says so.
    """
    if not found:
        return Markdown(MISSING)
    parts = []
    for level, by in found.items():
        evidence, panel = by[metric], title(level)
        if evidence.rows[unit].isna().any():
            return Markdown("No machine is timed yet: `python -m benchmarks.levers` times this one.")
        plain = evidence.where(evidence.rows["lever"] == PLAIN)
        parts += [settings(evidence, unit).assign(panel=panel), settings(plain, unit).assign(panel=panel, name=USUAL)]
    keep = ["panel", "budget", "name", "words", "chance", "value", "lo", "hi", "n"]
    every = pd.concat(parts, ignore_index=True)[keep]
    least = every["value"].min() / 4  # a logarithmic axis has no nought, which an interval may reach
    data = every.assign(lo=every["lo"].clip(lower=least))
    shown = [name for name in dict.fromkeys(data["name"]) if name != USUAL]
    colour = alt.Color(
        "name:N", title=None, scale=_scale(found), legend=alt.Legend(columns=1, labelLimit=260, values=shown)
    )
    tips = [
        alt.Tooltip("name:N", title="lever"),
        alt.Tooltip("words:N", title="setting"),
        alt.Tooltip("budget:Q", title=UNITS[unit], format=".3~g"),
        *interval(metric_of(metric).title),
    ]
    x, y = cost_axis("budget", UNITS[unit]), panel_axis(metric, type="log", nice=False, padding=10)
    plain, pulled = (alt.Chart().transform_filter(f"datum.name {sign} '{USUAL}'") for sign in ("==", "!="))
    dashed = plain.mark_line(color=INK, strokeDash=[4, 4], interpolate="step-after").encode(x=x, y=y)
    stepped = pulled.mark_line(color=INK, strokeOpacity=0.5, interpolate="step-after").encode(x=x, y=y)
    chance = alt.Tooltip("chance:Q", title="chance that its lever is best", format=".0%")
    points = curve(pulled.encode(x=x, color=colour, tooltip=[*tips, chance]), y, line=None)
    return (
        alt.layer(dashed, stepped, *points, data=data)
        .properties(width=540, height=240)
        .facet(row=alt.Row("panel:N", title=None, sort=[title(level) for level in found], header=ABOVE))
        .resolve_scale(y="independent")
        .properties(description=f"the best {metric_of(metric).title} within a budget, with any lever and with none")
    )


def _scale(found: Found) -> alt.Scale:
    """Return the colours of all levers, with or without a point; plain sampling's is that of axes."""
    every = [lever for by in found.values() for lever in next(iter(by.values())).rows["lever"]]
    levers = [lever for lever in dict.fromkeys(every) if lever != PLAIN]
    colours = [PALETTE[place % len(PALETTE)] for place in range(len(levers))]
    return alt.Scale(domain=[NONE, *levers], range=[INK, *colours])


def table(found: Found, metric: str, count: int = 8) -> Markdown:
    """Say what to pull within each of so many budgets: the best setting, what it scores, and what plain sampling does.

    Budgets are in GFLOPs, and some of those at which the rules are asked.
    """
    lines = []
    for level, by in found.items():
        evidence = by[metric]
        cost = evidence.rows["done"].to_numpy(float)
        grid = budgets_of(evidence, cost)
        grid = grid[np.linspace(0, len(grid) - 1, count).round().astype(int)]
        best, plain = settings(evidence), settings(evidence.where(evidence.rows["lever"] == PLAIN))
        likely = chances(Priced(evidence, cost), grid)
        for place, budget in enumerate(grid):
            top, usual = (rows[affordable(rows["budget"], budget)].iloc[-1] for rows in (best, plain))
            lines.append(
                {
                    "the caption says": SAYS[level],
                    "GFLOPs": f"{budget:.2g}",
                    "best": f"{top['name']}: {top['words']}",
                    brief(metric): _value(top),
                    "no lever": _value(usual),
                    "chance of this lever": f"{likely[top['lever']][place]:.0%}",
                }
            )
    return Markdown(tables.table(pd.DataFrame(lines), what="What to pull within a budget") if lines else MISSING)


def _value(row: Any) -> str:
    return f"{row['value']:.3g} [{row['lo']:.3g}, {row['hi']:.3g}]"


def policies(evidence: Evidence) -> dict[str, Policy]:
    """Return lever -> the policy that pulls it, and students below its reach if that loses less; the best first."""
    priced = with_steps_between(evidence, evidence.rows["done"].to_numpy(float))
    levers = list(dict.fromkeys(evidence.rows["lever"]))
    seconds = [STUDENTS] if STUDENTS in levers else []
    found = {lever: policy(*priced, lever, seconds) for lever in levers}
    return dict(sorted(found.items(), key=lambda item: item[1].regret.value))


def rules(evidence: Evidence) -> Markdown:
    """Say as a table what following a simple rule with each lever loses, the best rule first."""
    lines = [
        {"rule": _in_words(one), "worse than the best of all by": f"{one.regret:.1%}", "at worst": f"{one.worst:.0%}"}
        for one in policies(evidence).values()
    ]
    return Markdown(tables.table(pd.DataFrame(lines), what=f"Rules by {brief(evidence.metric)}"))


def _in_words(one: Policy) -> str:
    """Return a policy in words: `autoguidance (4 steps or more), else students (2 or more)`."""
    first, *rest = one.pulls
    said = f"{first.lever or 'plain sampling'} ({first.steps} steps or more)"
    return ", else ".join([said, *(f"{pull.lever} ({pull.steps} or more)" for pull in rest)])
