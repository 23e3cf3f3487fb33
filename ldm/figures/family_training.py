"""Two families of networks at equal training compute: how well each predicts the noise of held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import curve, interval, quality_axis
from ldm.figures.families import by_partners, encoding, partners
from ldm.figures.kinds import Kinds, advantage, verdict
from ldm.figures.levels import MISSING
from ldm.metrics.catalogue import metric_of
from ldm.profile import Profile
from ldm.statistics import families
from ldm.statistics.bands import Bands
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.evidence import Evidence
from ldm.statistics.isoflop import training_flops

LOSS = "denoising"
FLOPS = "training FLOPs"


def together(found: Mapping[str, pd.DataFrame], pair: Sequence[Profile]) -> pd.DataFrame:
    """Return the held-out losses of partners of both families, with a column `family`, 0 or 1.

    found: profile -> its rows (`ldm.study.recorded.held_out`), in the order of the pair.
    """
    both = pd.concat([rows.assign(family=i) for i, rows in enumerate(found.values())], ignore_index=True)
    return families.with_partners(both, partners(pair)).reset_index(drop=True) if len(both) else both


def curves(rows: pd.DataFrame, pair: Sequence[Profile]) -> Any:
    """Plot the held-out loss of first trainings against training FLOPs: a colour a pair, dashed the second family."""
    if not len(rows):
        return Markdown(MISSING)
    first = by_partners(rows[rows["seed"] == 0], pair)
    data = first[["who", "kind", "c", "images_seen", "value", "lo", "hi", "n"]].assign(flops=training_flops(first))
    x = alt.X("flops:Q", title=FLOPS, scale=alt.Scale(type="log", padding=14), axis=alt.Axis(format=".0e", tickCount=5))
    tips = [
        alt.Tooltip("kind:N", title="family"),
        alt.Tooltip("c:Q", title="c or width"),
        alt.Tooltip("images_seen:Q", title="images seen in training", format=",d"),
        alt.Tooltip("flops:Q", title=FLOPS, format=".2e"),
        *interval(metric_of(LOSS).title),
    ]
    base = alt.Chart(data).encode(x=x, tooltip=tips, **encoding(data, pair))
    return alt.layer(*curve(base, quality_axis(LOSS, type="log", nice=False, padding=10))).properties(
        width="container", height=320, description="held-out denoising loss against training FLOPs, both families"
    )


def compared(rows: pd.DataFrame, kinds: Kinds, influences: InfluencesOf) -> Bands | None:
    """Return the comparison of the first family with the second at every training budget.

    None without rows of both, or where the lengths of their trainings have no range of budgets in common.
    """
    if not len(rows) or rows.groupby(["profile", "c"])["images_seen"].nunique().max() < 2:  # no curves
        return None
    evidence = Evidence.of(rows, LOSS, influences(rows, LOSS))
    try:
        return families.by_training(evidence, kinds)
    except families.Apart:
        return None


def along(found: Bands | None, kinds: Kinds) -> tuple[Any, ...]:
    """Plot the advantage of the first family along the training budget, and say how the range divides."""
    if found is None:
        return (Markdown(MISSING),)
    return advantage({metric_of(LOSS).title: found}, kinds, FLOPS, "training")


def answer(found: Bands | None, kinds: Kinds) -> Markdown:
    """Say which family is better at equal training compute, in a sentence."""
    if found is None:
        return Markdown(MISSING)
    return Markdown(
        f"At equal training FLOPs, by {metric_of(LOSS).title}, **{verdict(found, kinds)}** (mean advantage of"
        f" the {found.sides[0]}: {found.mean:+.1%})."
    )
