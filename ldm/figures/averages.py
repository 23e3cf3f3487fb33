"""What the length of the average of the weights (EMA) does to the quality of pictures: a chart and a sentence."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ldm.figures.charts import columns, curve, pick, quality_axis, tooltip
from ldm.metrics.catalogue import metric_of
from ldm.statistics import comparisons
from ldm.statistics.bootstrap import Influences
from ldm.study.averages import USUAL

MISSING = (
    "*No rows, and no snapshots to make them from: `python -m ldm pretrain --c 8 --seed 1 --snapshots 32` keeps some, "
    "`python -m ldm average --help` says how to average them.*"
)


def curves(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Plot quality against the share, a colour a length of the training; of one size."""
    found = pick(rows, metric, one=("c", "sampler", "steps", "guidance"))
    data = columns(found).assign(
        share=found["strength"], seen=[f"{n / 1000:g}k pictures seen" for n in found["images_seen"]]
    )
    order = list(data.sort_values("images_seen")["seen"].unique())
    base = alt.Chart(data).encode(
        x=alt.X(
            "share:Q",
            title="share of the training that the average spans (σ_rel)",
            axis=alt.Axis(format="~g", tickCount=6),
        ),
        color=alt.Color("seen:O", title=None, sort=order, scale=alt.Scale(domain=order)),
    )
    shares = [alt.Tooltip("share:Q", title="share averaged"), *tooltip(found, metric)]
    return alt.layer(*curve(base, quality_axis(metric), line=1, tooltip=shares)).properties(
        width="container",
        height=300,
        description=f"{metric_of(metric).title} against the share of the training that the weights' average spans",
    )


def against_usual(rows: pd.DataFrame, metric: str, influences: Influences) -> str:
    """Say by how much each share is worse than the usual one, in Markdown, a row a length.

    Both are judged on the same captions and noise.
    """
    gaps = pd.concat(
        [
            comparisons.beside(part, metric, USUAL, influences, by="strength").assign(images=images)
            for images, part in rows[rows["metric"] == metric].groupby("images_seen")
        ]
    )
    gaps = gaps.assign(
        text=comparisons.in_words(gaps),
        seen=gaps["images"].map("{:,}".format),
        share=gaps["strength"].map("{:g}".format),
    )
    table = gaps.pivot(index="seen", columns="share", values="text").loc[gaps["seen"].unique()]
    return table.rename_axis("pictures seen").to_markdown()
