"""How seconds and memory grow as work grows (`benchmarks.growth`), and how little is left of work that is done."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from ldm.figures.charts import ABOVE, curve
from ldm.study.conditions import latest

UPPER = 3  # amounts that an exponent is fitted to: below them, what is done once hides what grows
NAMES = {"seconds": "seconds", "gigabytes at most": "gigabytes, at most"}


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what was measured on the machine measured last: kind, amount, metric, value, lo, hi and n (rounds).

    Kinds stand in the order in which they were measured.
    """
    timed = latest(rows[rows["task"] == "growth"]).sort_values("created", kind="stable")
    timed = timed.rename(columns={"contender": "kind", "strength": "amount"})
    return timed[["kind", "amount", "metric", "value", "lo", "hi", "n"]].reset_index(drop=True)


def again(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the seconds of commands that find the study done (`benchmarks.again`), to print; of the newest machine."""
    timed = latest(rows[rows["task"] == "again"])
    seconds = [f"{row.value:.1f} s [{row.lo:.1f}, {row.hi:.1f}]" for row in timed.itertuples()]
    return pd.DataFrame({"the command": timed["contender"].tolist(), "takes": seconds}) if seconds else pd.DataFrame()


def exponent(amounts: Sequence[float], values: Sequence[float]) -> float:
    """Return the power with which values grow with amounts: the slope between the logarithms of the UPPER largest."""
    order = np.argsort(amounts)[-UPPER:]
    return float(np.polyfit(np.log(np.take(amounts, order)), np.log(np.take(values, order)), 1)[0])


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Say of each kind what the largest amount costs, and with which powers of the amount seconds and memory grow."""
    lines = []
    for kind, part in found.groupby("kind", sort=False):
        line = {"what becomes more": kind, "from, to": f"{part['amount'].min():,.0f}, {part['amount'].max():,.0f}"}
        for metric, name, unit in (("seconds", "time", "s"), ("gigabytes at most", "memory", "GB")):
            of = part[part["metric"] == metric].sort_values("amount")
            line[f"{name} of the most"] = f"{of['value'].iloc[-1]:.3g} {unit}"
            power = round(exponent(of["amount"].tolist(), of["value"].tolist()), 2) + 0.0  # no minus before a nought
            line[f"power of {name}"] = f"{power:.2f}"
        lines.append(line)
    return pd.DataFrame(lines)


def chart(found: pd.DataFrame) -> alt.FacetChart:
    """Plot seconds and gigabytes against the amount, both on logarithmic axes, a panel a kind."""
    data = found.assign(what=found["metric"].map(NAMES))
    x = alt.X(
        "amount:Q",
        title="amount",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(format="~s", tickCount=5),
    )
    y = alt.Y("value:Q", title="s, GB", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=4))
    base = alt.Chart().encode(
        x=x,
        color=alt.Color("what:N", title=None, scale=alt.Scale(domain=list(NAMES.values()))),
        tooltip=[
            alt.Tooltip("kind:N", title="of"),
            alt.Tooltip("amount:Q", format=",d"),
            alt.Tooltip("what:N", title="in"),
            alt.Tooltip("value:Q", title="middle", format=".3~g"),
            alt.Tooltip("lo:Q", title="least", format=".3~g"),
            alt.Tooltip("hi:Q", title="most", format=".3~g"),
            alt.Tooltip("n:Q", title="rounds"),
        ],
    )
    return (
        alt.layer(*curve(base, y), data=data)
        .properties(width=540, height=90)
        .facet(row=alt.Row("kind:N", title=None, sort=list(dict.fromkeys(found["kind"])), header=ABOVE))
        .resolve_scale(x="independent", y="independent")
        .properties(description="seconds and gigabytes against how much there is to do, a panel for each kind of work")
    )
