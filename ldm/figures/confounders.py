"""The order of sizes against the number of pictures judged, as a chart."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ldm.figures.charts import color, columns, curve, panel_axis, pick, tooltip
from ldm.metrics.catalogue import metric_of
from ldm.study.confounders import limits


def n_chart(rows: pd.DataFrame, metric: str, *, least: int) -> alt.LayerChart:
    """Plot the metric of each size against 1/n, and the line that is read at 1/n = 0."""
    shown = pd.concat([pick(part, metric) for _, part in rows[rows["metric"] == metric].groupby("n")])
    data = columns(shown).assign(inverse=1 / shown["n"].astype(float))
    lines = limits(shown, metric, least=least).merge(data[["c", "model"]].drop_duplicates(), on="c")
    ends = pd.concat([lines.assign(inverse=x, value=lines["value"] + x * lines["slope"]) for x in (0, 1 / least)])
    x = alt.X("inverse:Q", title="1 / pictures (0: infinitely many)", axis=alt.Axis(format="~g", tickCount=5))
    base = alt.Chart(data).encode(x=x, color=color(data), tooltip=tooltip(data, metric))
    return alt.layer(
        alt.Chart(ends).mark_line(strokeDash=[4, 4]).encode(x=x, y=panel_axis(metric), color=color(data)),
        *curve(base, panel_axis(metric), line=None),
    ).properties(
        width="container",
        height=260,
        description=f"{metric_of(metric).title} against one over the number of pictures, one line a model size",
    )
