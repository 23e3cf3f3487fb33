"""What each lever is worth at equal cost: in a sentence, as a chart, and in pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from ldm.figures import contest, explorer, tables
from ldm.figures.charts import ABOVE, INK, cost_axis, curve
from ldm.figures.levels import title
from ldm.figures.samples import label, of_captions
from ldm.metrics.catalogue import brief, told_apart
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.budget import affordable
from ldm.statistics.contest import DONE
from ldm.statistics.evidence import Evidence
from ldm.statistics.worth import OUTCOMES, PLAIN, Worth, chances, with_steps_between, worth
from ldm.study.lever_cells import Stored
from ldm.study.results import Store

WORDS: dict[str, str] = {
    "better": "surely better than without",
    "same": "alike within the margin",
    "worse": "surely worse",
    "open": "not told apart",
}
COLOURS: dict[str, str] = {"better": "#3b8f5a", "same": "#5b8db8", "worse": "#c0504d", "open": "#8f8f8f"}
UNITS = {DONE: contest.UNITS[DONE], "clock": "seconds a picture, in the networks"}
Found = Mapping[str, Mapping[str, Evidence]]  # level of caption -> metric -> what is known
MOST = 0.6  # of a gain or a loss that a chart has room for; tooltips say all of it
NONE = "no lever"
MISSING = "No lever's rows are recorded yet: `python -m tools.evaluate_family` runs them."


def evidence(
    rows: pd.DataFrame,
    levels: Sequence[str],
    metrics: Sequence[str],
    influences: InfluencesOf,
) -> Found:
    """Return what is known at each level of caption, by each metric.

    Weights in fewer bits are left out: they are no way to spend FLOPs.
    """
    rows, found = rows[rows["lever"] != Stored.name], {}
    for level in levels:
        part = rows[rows["level"] == level]
        if set(part["lever"]) - {PLAIN}:
            found[level] = {metric: Evidence.of(part, metric, influences(part, metric)) for metric in metrics}
    return found


def by_level(found: Found, draw: Callable[[Evidence], Any], metrics: Sequence[str] = ()) -> list[Any]:
    """Return what is drawn of each level and metric, under their names. metrics: of these alone."""
    shown = []
    for level, by in found.items():
        shown += _heading(found, level)
        for metric, one in by.items():
            if not metrics or metric in metrics:
                shown += [Markdown(f"By {brief(metric)}:"), draw(one)]
    return shown or [Markdown(MISSING)]


def _heading(found: Found, level: str) -> list[Any]:
    """Return a level's heading, where there are several levels."""
    return [Markdown(f"### Where {title(level)}")] if len(found) > 1 else []


def worths(evidence: Evidence, unit: str = "done") -> dict[str, Worth]:
    """Return what each lever is worth, the one that gains most in the mean first. unit: a key of UNITS."""
    priced = with_steps_between(evidence, evidence.rows[unit].to_numpy(float))
    levers = [lever for lever in dict.fromkeys(evidence.rows["lever"]) if lever != PLAIN]
    found = {lever: worth(priced, lever) for lever in levers}
    return dict(sorted(found.items(), key=lambda item: -item[1].mean.value))


def setting(row: Any) -> str:
    """Return a setting in words: `c = 16, 8 steps, guidance 3, c = 32 after 2 steps`."""
    parts = [f"c = {int(row['c'])}", label("steps", int(row["steps"])), f"guidance {row['guidance']:g}", row["dose"]]
    return ", ".join(filter(None, parts))


def answer(found: Found) -> list[Any]:
    """Return a table for each level of caption: what each lever gains by each metric, in the mean over its costs.

    It says at how many of the costs the lever is surely better, and at how many surely worse.
    """
    shown = []
    for level, by in found.items():
        gains = {name: worths(by[metric]) for metric, name in told_apart(by).items()}
        lines = [
            {"lever": lever} | {name: _gain_in_words(of[lever]) for name, of in gains.items()}
            for lever in next(iter(gains.values()))
        ]
        shown += [*_heading(found, level), Markdown(pd.DataFrame(lines).to_markdown(index=False))]
    return shown or [Markdown(MISSING)]


def _gain_in_words(one: Worth) -> str:
    """Return a mean gain with its interval, and at how many costs that is sure."""
    gain, counts = one.mean, one.counts
    sure = [f"{name} at {counts[name]}" for name in ("better", "worse") if counts[name]]
    return f"{gain:+.0%}; " + (
        f"{' and '.join(sure)} of {len(one.budgets)}" if sure else f"sure at none of {len(one.budgets)}"
    )


def chart(evidence: Evidence, unit: str = "done") -> Any:
    """Plot by how much the best with each lever is better than the best without, at each cost of the lever."""
    found = worths(evidence, unit)
    parts = [one.table().assign(name=lever) for lever, one in found.items()]
    data = pd.concat(parts, ignore_index=True)
    data["setting"] = [setting(row) for row in data.to_dict("records")]
    data["word"] = data["outcome"].map(WORDS)
    data = data[["name", "budget", "gain", "lo", "hi", "word", "setting", "value", "n"]]
    shown = data.assign(**{f"{name}_shown": data[name].clip(-MOST, MOST) for name in ("gain", "lo", "hi")})
    scale = alt.Scale(domain=[WORDS[name] for name in OUTCOMES], range=[COLOURS[name] for name in OUTCOMES])
    ends = [WORDS[name] for name in OUTCOMES if WORDS[name] in set(data["word"])]
    wins = alt.Color("word:N", title=None, scale=scale, legend=alt.Legend(columns=1, labelLimit=240, values=ends))
    tooltip = [
        alt.Tooltip("setting:N", title="best setting"),
        alt.Tooltip("budget:Q", title=UNITS[unit], format=".3~g"),
        alt.Tooltip("gain:Q", title="better by", format="+.1%"),
        alt.Tooltip("lo:Q", title="from", format="+.1%"),
        alt.Tooltip("hi:Q", title="to (95 %, all its costs at once)", format="+.1%"),
        alt.Tooltip("n:Q", title="n images", format=",d"),
    ]
    base = alt.Chart().encode(x=cost_axis("budget", UNITS[unit]), color=wins, tooltip=tooltip)
    y = alt.Y("gain_shown:Q", title="better by", axis=alt.Axis(format="+%", tickCount=4), scale=alt.Scale(nice=False))
    zero = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(y=alt.datum(0.0))
    return (
        alt.layer(zero, *curve(base, y, line=None, ends=("lo_shown", "hi_shown")), data=shown)
        .properties(width=540, height=90)
        .facet(row=alt.Row("name:N", title=None, sort=list(found), header=ABOVE))
        .properties(
            description="by how much the best setting with each lever is better than the best without, at equal cost"
        )
    )


def likely(evidence: Evidence) -> Markdown:
    """Say as a table how likely each lever has the best setting within each budget.

    The budgets are five, in GFLOPs a picture, up to the most expensive setting of the levers.
    """
    cost, pulled = evidence.rows["done"].to_numpy(float), (evidence.rows["lever"] != PLAIN).to_numpy()
    grid = np.geomspace(cost[pulled].min(), cost[pulled].max(), 6)[1:]
    priced = with_steps_between(evidence, cost)  # plain sampling may take any number of steps
    counts, found = priced.evidence.rows["lever"].value_counts(), chances(priced, grid)
    lines = [
        {"lever": lever or NONE, "settings": int(counts[lever])}
        | {f"{budget:.2g}": f"{share:.0%}" for budget, share in zip(grid, chance, strict=True)}
        for lever, chance in sorted(found.items(), key=lambda item: -float(item[1].mean()))
    ]
    return Markdown(tables.table(pd.DataFrame(lines)))


def flips(evidence: Evidence) -> Markdown:
    """Say which levers are worth something by FLOPs and not by the clock, or the other way round."""
    if evidence.rows["clock"].isna().any():
        return Markdown("No machine is timed yet: `python -m benchmarks.levers` times this one.")
    by_flops, by_clock, lines = worths(evidence, "done"), worths(evidence, "clock"), []
    for lever in by_flops:
        a, b = by_flops[lever].mean, by_clock[lever].mean
        if (a.lo > 0) != (b.lo > 0) or (a.hi < 0) != (b.hi < 0):
            lines.append(f"- **{lever[0].upper()}{lever[1:]}**: {a:+.1%} by FLOPs, {b:+.1%} by the clock.")
    return Markdown("\n".join(lines) or "No lever's mean gain changes sides between FLOPs and seconds.")


def explore(rows: pd.DataFrame, metrics: Sequence[str], store: Store) -> Any:
    """Return the budget explorer with a choice of levers: every size at its best setting with it."""
    if not set(rows["lever"]) - {PLAIN}:
        return Markdown(MISSING)
    shown = rows[(rows["lever"] != Stored.name) & rows["metric"].isin(metrics)]
    return explorer.budget_explorer(
        shown.assign(sampler=shown["lever"].replace(PLAIN, NONE)),
        metrics,
        store.influences,
        axes=("flops", "passes"),
        called={**explorer.LABELS, "sampler": "lever"},
    )


def doses(evidence: Evidence, lever: str) -> Markdown:
    """Say as a table which setting of a lever is best at each cost at which it becomes another, and what it gains."""
    if lever not in set(evidence.rows["lever"]):
        return Markdown(MISSING)
    priced = with_steps_between(evidence, evidence.rows["done"].to_numpy(float))
    lines = [
        {
            "GFLOPs": f"{row['budget']:.2g}",
            "best setting": setting(row),
            "better than plain sampling by": f"{row['gain']:+.0%} [{row['lo']:+.0%}, {row['hi']:+.0%}]",
        }
        for row in worth(priced, lever).table().to_dict("records")
    ]
    return Markdown(tables.table(pd.DataFrame(lines), what="The best settings"))


def pictures(store: Store, found: Found, level: str, budget: float, captions: Sequence[str]) -> Any:
    """Show what each lever draws best of the first captions within one budget, in GFLOPs: a line each, the best first.

    They are of one level, and best by its first metric; each line says what its setting scores by every metric.
    """
    if level not in found:
        return Markdown(MISSING)
    by = found[level]
    rows, names = next(iter(by.values())).rows, told_apart(by)
    scores = {metric: one.rows.set_index("key")["value"] for metric, one in by.items()}
    within = rows[affordable(rows["done"], budget)]
    best = within.loc[within.groupby("lever")["value"].idxmin()].sort_values("value")
    lines = [
        f"{row['lever'] or NONE}: {setting(row)} ("
        + ", ".join(f"{name} {abs(scores[metric][row['key']]):.2g}" for metric, name in names.items())
        + ")"
        for row in best.to_dict("records")
    ]
    return of_captions(store, best["key"], lines, captions)
