"""Charts of training budgets: the isoFLOP profiles with their best sizes, and the held-out loss by noise level."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import INK, color, curve, interval, model_label
from ldm.figures.laws import scientific
from ldm.metrics.catalogue import metric_of
from ldm.statistics.bootstrap import Influences
from ldm.statistics.evidence import Evidence
from ldm.statistics.isoflop import IsoFlop, isoflop
from ldm.statistics.refusal import NotAsked


def shown(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> tuple[Any, ...]:
    """Return what a notebook displays of models at several lengths: chart and sentence, or why there is neither."""
    try:
        found = isoflop(Evidence.of(rows, metric, influences))
    except NotAsked as error:
        return (Markdown(f"Not asked of these rows: {error}"),)
    return profiles(found, metric), Markdown(in_words(found))


def power_of_ten(number: float) -> str:
    """Return a large number as charts have it: 3.8 x 10¹²."""
    digits, power = f"{number:.1e}".split("e+")
    return f"{digits} x 10" + str(int(power)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def profiles(found: IsoFlop, metric: str) -> alt.LayerChart:
    """Plot quality against size at equal training FLOPs, a line a budget, the best size of each marked."""
    data = found.profiles.assign(budget_text=[power_of_ten(b) for b in found.profiles["budget"]])
    winners = data.merge(found.best[["budget", "size"]], on=["budget", "size"])
    order = list(dict.fromkeys(data["budget_text"]))
    x = alt.X(
        "params:Q", title="parameters", scale=alt.Scale(type="log", nice=False, padding=20), axis=alt.Axis(format="~s")
    )
    y = alt.Y("value:Q", title=metric_of(metric).title, scale=alt.Scale(type="log", zero=False, nice=False, padding=10))
    shades = alt.Color("budget_text:O", title="training FLOPs", sort=order, scale=alt.Scale(scheme="viridis"))
    tips = [
        alt.Tooltip("size:Q", title="c"),
        alt.Tooltip("budget:Q", title="training FLOPs", format=".2e"),
        alt.Tooltip("images:Q", title="images seen", format=",.0f"),
        *interval(metric_of(metric).title),
    ]
    base = alt.Chart(data).encode(x=x, color=shades, tooltip=tips)
    return alt.layer(
        *curve(base, y),
        alt.Chart(winners).mark_point(size=190, filled=False, color=INK, strokeWidth=2).encode(x=x, y=y, tooltip=tips),
    ).properties(
        width="container",
        height=340,
        description=f"{metric_of(metric).title} against parameters at equal training FLOPs; rings mark the best sizes",
    )


def in_words(found: IsoFlop) -> str:
    """Return the best size at each budget, and the law through the vertices, in sentences."""
    ends = [found.best.iloc[0], found.best.iloc[-1]]
    said = " and ".join(f"c = {int(b['size'])} at {scientific(b['budget'])} FLOPs" for b in ends)
    law = "Too few budgets have a best size inside the family for a law."
    if e := found.exponent:
        law = (
            "The lowest point of a parabola through the best size and its neighbours lies between sizes; its number of"
            f" parameters grows as the budget to the power {e:.2f}."
        )
    return f"The best size is {said}. {law}"


def by_time(rows: pd.DataFrame) -> alt.LayerChart:
    """Plot the held-out denoising loss at each time of the schedule, a line a size: where a larger network helps."""
    data = pd.DataFrame(
        {
            "model": [model_label(c, p) for c, p in zip(rows["c"], rows["params"], strict=True)],
            "c": rows["c"].astype(int),
            "time": rows["strength"].astype(float),
            "value": rows["value"],
            "lo": rows["lo"],
            "hi": rows["hi"],
            "n": rows["n"].astype(int),
        }
    ).sort_values(["c", "time"])
    tips = [alt.Tooltip("model:N"), alt.Tooltip("time:Q", title="time"), *interval("loss")]
    x = alt.X("time:Q", title="time: 0 almost clean, 1000 almost noise", scale=alt.Scale(nice=False))
    y = alt.Y("value:Q", title="mean squared error of the noise", scale=alt.Scale(type="log", nice=False, padding=10))
    base = alt.Chart(data).encode(x=x, color=color(data), tooltip=tips)
    return alt.layer(*curve(base, y)).properties(
        width="container", height=320, description="held-out denoising loss by time, one curve a size"
    )
