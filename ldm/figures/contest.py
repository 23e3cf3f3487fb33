"""Smaller against larger at every budget: who wins, by how much, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures import tables
from ldm.figures.charts import ABOVE, COST, INK, cost_axis
from ldm.figures.findings import told
from ldm.metrics.catalogue import brief, told_apart
from ldm.statistics.bands import FORFEIT, OPEN, SAME, Bands
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.budget import step_of_the_largest
from ldm.statistics.contest import COUNTED, DONE, PAPER, SIDES, Contest, contest, stretches
from ldm.statistics.evidence import Evidence
from ldm.statistics.refusal import NotAsked
from ldm.statistics.scatter import Luck
from ldm.statistics.verdicts import FEWEST, f3

WORDS = {  # how a comparison can end, in the order of the legend
    SIDES[0]: "a smaller model is surely better",
    SAME: "alike within the margin",
    SIDES[1]: "the largest is surely better",
    OPEN: "not told apart",
    FORFEIT: "the largest affords no step",
}
UNITS = {COUNTED: "GFLOPs a picture, all evaluations", DONE: "GFLOPs a picture, truly done", PAPER: COST}
COUNTS = {  # ways to count a picture's cost: its unit, and whether the range begins at guided steps
    "the paper's": (PAPER, False),
    "all evaluations": (COUNTED, False),
    "all evaluations, from guided steps on": (COUNTED, True),
}
LUCK: dict[Luck, str] = {  # ways to count the luck of training
    "none": "not counted",
    "one": "one share for all settings",
    "steps": "a share for each number of steps (the rule)",
}
COLOURS = ("#e07b39", "#3fa796", "#3b6fb6", "#8f8f8f", "#f0d9a8")  # of WORDS, in their order


def advantages(contests: Mapping[str, Contest]) -> alt.FacetChart:
    """Plot the advantage of the best smaller model over the largest at every budget, with its band, a panel a contest.

    Above zero a smaller model is better. The strip at the foot names who surely wins; a forfeit is named as one.
    """
    unit = UNITS[next(iter(contests.values())).unit]
    return along_the_budget(contests, WORDS, unit, "advantage of smaller").properties(
        description="advantage of the best smaller model over the largest at every sampling budget, with its band"
    )


def along_the_budget(panels: Mapping[str, Bands], words: Mapping[str, str], unit: str, title: str) -> alt.FacetChart:
    """Plot the advantage of one side over the other along the budget, with its band, a panel a comparison.

    words: of each way in which it can end, in the order of the legend. unit, title: of the axes.
    """
    data = pd.concat([c.table().assign(panel=name) for name, c in panels.items()], ignore_index=True)
    data["word"] = data["winner"].map(words)
    clipped = data.assign(**{name: data[name].clip(-1, 1) for name in ("lo", "hi", "advantage")})
    fair = clipped[clipped["winner"] != FORFEIT]
    x, x2 = cost_axis("from", unit), "to:Q"
    y = alt.Y("lo:Q", title=title, axis=alt.Axis(format="+%"))
    shown = [
        alt.Tooltip("from:Q", title="budget from", format=".3~g"),
        alt.Tooltip("to:Q", title="to", format=".3~g"),
        alt.Tooltip("advantage:Q", format="+.1%"),
        alt.Tooltip("lo:Q", title="from", format="+.1%"),
        alt.Tooltip("hi:Q", title="to (95 %, all budgets at once)", format="+.1%"),
        alt.Tooltip("word:N", title="who wins"),
        alt.Tooltip("best:Q", title="best size"),
    ]
    scale = alt.Scale(domain=list(words.values()), range=list(COLOURS[: len(words)]))
    ends = [word for word in words.values() if word in set(data["word"])]  # a legend of what happened
    legend = alt.Legend(columns=1, labelLimit=260, symbolType="square", symbolOpacity=1, values=ends)
    wins = alt.Color("word:N", title=None, scale=scale, legend=legend)
    base = alt.Chart().encode(x=x, x2=x2)
    zero = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(y=alt.datum(0.0))
    band = base.transform_filter("datum.winner != 'forfeit'").mark_rect(opacity=0.35).encode(y=y, y2="hi:Q", color=wins)
    line = (
        base.transform_filter("datum.winner != 'forfeit'")
        .mark_rule(strokeWidth=2.5)
        .encode(y="advantage:Q", color=wins, tooltip=shown)
    )
    foot = float(min(fair["lo"].min(), 0)) - 0.12 if len(fair) else -0.2
    strip = base.mark_rule(strokeWidth=9).encode(y=alt.datum(foot), color=wins, tooltip=shown)
    return (
        alt.layer(zero, band, line, strip, data=clipped)
        .properties(width=540, height=190)
        .facet(
            row=alt.Row(
                "panel:N",
                title=None,
                sort=list(panels),
                header=ABOVE,
            )
        )
    )


def shown(
    rows: pd.DataFrame,
    metrics: Sequence[str],
    influences: InfluencesOf,
    *,
    unit: str = PAPER,
) -> tuple[Any, ...]:
    """Return what a notebook displays: the chart of advantages by each metric, and how the range divides.

    Where there is no contest, it says why not.
    """
    try:
        named = told_apart(metrics).items()
        found = {name: contest(Evidence.of(rows, m, influences(rows, m)), unit=unit) for m, name in named}
    except NotAsked as error:
        return (Markdown(f"Not asked of these rows: {error}"),)
    return advantages(found), Markdown(tables.table(shares(found), what="Shares of the budgets"))


def in_steps(evidence: Evidence, found: Contest) -> str:
    """Say who wins at which budgets of their contest, counted in steps that the largest model affords."""
    clauses = []
    for winner, first, last in stretches(found, step_of_the_largest(evidence.rows)):
        steps = f"{first} to {last} steps" if last > first else f"{first} step{'s' * (first > 1)}"
        clauses.append(f"{WORDS[winner]} where the budget buys {steps} of c = {evidence.sizes[-1]}")
    return "; ".join(clauses)


def answer(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> Markdown:
    """Say who wins at which budgets: a line a metric. Where there is no contest, it says why not."""
    lines = []
    for metric in metrics:
        try:
            evidence = Evidence.of(rows, metric, influences(rows, metric))
            clause = f"{in_steps(evidence, contest(evidence))}."
        except NotAsked as error:
            clause = f"not asked of these rows: {error}"
        lines.append(f"- By {brief(metric)}, {clause}")
    return Markdown("\n".join(lines))


def by_count(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> pd.DataFrame:
    """Ask F3 with a picture's cost counted in each way."""
    ways = {way: (rows, dict(unit=unit, guided=guided)) for way, (unit, guided) in COUNTS.items()}
    return f3_each_way("what a picture costs", ways, metrics, influences)


def by_luck(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> pd.DataFrame:
    """Ask F3 with the luck of training counted in each way (`ldm.statistics.scatter.Luck`)."""
    ways = {name: (rows, dict(luck=luck)) for luck, name in LUCK.items()}
    return f3_each_way("the luck of training", ways, metrics, influences)


def by_condition(
    conditions: Mapping[str, pd.DataFrame], metrics: Sequence[str], influences: InfluencesOf
) -> pd.DataFrame:
    """Ask F3 of the rows of each condition, such as of `ldm.study.confounders.ran`."""
    return f3_each_way("condition", {name: (rows, {}) for name, rows in conditions.items()}, metrics, influences)


def f3_each_way(
    head: str,
    ways: Mapping[str, tuple[pd.DataFrame, Mapping[str, Any]]],
    metrics: Sequence[str],
    influences: InfluencesOf,
) -> pd.DataFrame:
    """Ask F3 in each way, from all step counts and from four: a line each, a column a metric.

    Where there is no contest, its cell says why not. ways: each name, under `head` -> its rows, and how they are asked
    (options of `ldm.statistics.verdicts.f3`).
    """
    return pd.DataFrame(
        {head: way, "steps": "all" if fewest == 1 else f"{fewest} and more"}
        | {m: told(f3, rows, m, influences(rows, m), fewest=fewest, **options) for m in metrics}
        for way, (rows, options) in ways.items()
        for fewest in (1, FEWEST)
    )


def shares(panels: Mapping[str, Bands], words: Mapping[str, str] = WORDS) -> pd.DataFrame:
    """Return how the range of budgets divides, in doublings: a line a comparison, columns in these words."""
    return pd.DataFrame(
        {"": name, "doublings": round(float(one.doublings.sum()), 1)}
        | {words[way]: f"{share:.0%}" for way, share in one.shares.items() if way in words}
        for name, one in panels.items()
    )
