"""What a search among noises gains, as a chart (`ldm.statistics.search`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import ABOVE, INK, curve, interval
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.search import gains
from ldm.study.lever_cells import Search

MISSING = "No search is recorded yet: `python -m tools.evaluate_family` runs them."


def chart(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> Any:
    """Plot what a search gains against the number of candidates, a panel a size."""
    data = gains(rows, Search.name, metrics, influences)
    if data.empty:
        return Markdown(MISSING)
    one = data.drop_duplicates(["c", "by"]).assign(candidates=1, better=0.0, lo=0.0, hi=0.0)
    data = pd.concat([one, data], ignore_index=True)
    names = list(dict.fromkeys(data["by"]))
    x = alt.X(
        "candidates:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12),
        axis=alt.Axis(values=sorted(set(data["candidates"]))),
        title="pictures to choose from",
    )
    colour = alt.Color("by:N", title=None, scale=alt.Scale(domain=names), legend=alt.Legend(columns=1, labelLimit=280))
    shown = [alt.Tooltip("by:N", title="by"), *interval("better by", "+.1%")]
    base = alt.Chart().encode(x=x, color=colour, tooltip=shown)
    y = alt.Y("better:Q", title="better by", axis=alt.Axis(format="+%"))
    zero = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(y=alt.datum(0.0))
    return (
        alt.layer(zero, *curve(base, y), data=data.assign(panel=[f"c = {c}" for c in data["c"]]))
        .properties(width=540, height=120)
        .facet(row=alt.Row("panel:N", title=None, sort=[f"c = {c}" for c in sorted(set(data["c"]))], header=ABOVE))
        .properties(description="what a search gains by each metric against the number of pictures to choose from")
    )
