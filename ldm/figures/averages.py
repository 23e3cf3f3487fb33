"""What the length of the average of the weights (EMA) does to the held-out loss: a chart and a sentence."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ldm.figures.charts import color, curve, interval, model_label
from ldm.metrics.catalogue import metric_of
from ldm.statistics import comparisons
from ldm.statistics.bootstrap import Influences

USUAL = 0.1  # the share that a training's own average spans (`ldm.training.config.TrainConfig.ema`)


def by_size(rows: pd.DataFrame, metric: str, influences: Influences) -> alt.LayerChart:
    """Plot by how many per cent each share is worse than the usual one, a line a size, at one length of training.

    The intervals are of the difference: both are judged on the same pictures.
    """
    usual = rows[rows["strength"] == USUAL].set_index("c")
    gaps = comparisons.beside(rows, metric, USUAL, influences, by="strength")
    gaps = pd.concat([gaps, usual.reset_index()[["c", "n"]].assign(strength=USUAL, worse=0.0, lo=0.0, hi=0.0)])
    level = usual["value"].loc[gaps["c"]].to_numpy()
    data = gaps.assign(
        model=[model_label(c, usual["params"][c]) for c in gaps["c"]],
        share=gaps["strength"],
        value=gaps["worse"] / level,
        lo=gaps["lo"] / level,
        hi=gaps["hi"] / level,
    ).sort_values(["c", "share"])
    base = alt.Chart(data[["model", "c", "share", "value", "lo", "hi", "n"]]).encode(
        x=alt.X("share:Q", title="share of the training averaged (σ_rel)", axis=alt.Axis(format="~g")),
        color=color(data),
    )
    y = alt.Y(
        "value:Q",
        title=f"loss, beyond that of a share of {USUAL:g}",
        axis=alt.Axis(format="+.1%"),
    )
    tooltip = [alt.Tooltip("model:N"), alt.Tooltip("share:Q", title="share averaged"), *interval("worse by", "+.2%")]
    return alt.layer(*curve(base, y, tooltip=tooltip)).properties(
        width="container",
        height=260,
        description=f"{metric_of(metric).title} by the length of the average, a line a size",
    )


def best_shares(rows: pd.DataFrame, metric: str, influences: Influences) -> str:
    """Say which share is best for each size, and by how much the usual one is worse, in a sentence."""
    clauses = []
    for c, part in rows.groupby("c"):
        best = part.loc[part["value"].idxmin()]
        if best["strength"] == USUAL:
            clauses.append(f"for c = {c:.0f} the usual {USUAL:g} is the best of them")
            continue
        [gap] = comparisons.beside(
            part[part["strength"].isin([USUAL, best["strength"]])], metric, best["strength"], influences, by="strength"
        ).to_dict("records")
        worse, lo, hi = (gap[name] / best["value"] for name in ("worse", "lo", "hi"))
        clauses.append(
            f"for c = {c:.0f} it is {best['strength']:g}, and {USUAL:g} is worse by {worse:.1%} [{lo:.1%}, {hi:.1%}]"
        )
    return f"The best of these shares: {'; '.join(clauses)}."
