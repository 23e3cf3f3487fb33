"""Over how much of a training should weights be averaged? One run, averaged after the fact in many ways (EDM2, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import altair as alt
import pandas as pd

from ldm import comparisons, ema, pretrain, study
from ldm.charts import columns, pick, quality_axis, tooltip
from ldm.frontier import Influences
from ldm.judges import Score, metric_of
from ldm.profiles import Profile
from ldm.results import Row, Store

USUAL = 0.1  # what `train.TrainConfig.ema` spans
MISSING = (
    "*No rows, and no snapshots to make them from: `python -m ldm pretrain --c 8 --seed 1 --snapshots 32` keeps some, "
    "`python -m ldm average --help` says how to average them.*"
)


@dataclass(frozen=True, kw_only=True)
class Averaged(study.Evaluation):
    """One point: the run's weights, averaged over a share of it (sigma_rel, `ldm.ema`)."""

    share: float

    def __post_init__(self):
        super().__post_init__()
        ema.exponent(self.share)  # refuses shares that make no sense


def grid(
    scale: Profile, sizes: Sequence[int], lengths: Sequence[int], shares: Sequence[float], *, steps: int, guidance: float,
    n: int | None = None, seed: int = 1,
) -> list[Averaged]:  # fmt: skip
    """Every size x length x share, of the training by this seed. No lengths: all of the profile."""
    return [
        Averaged(
            study="pretraining", profile=scale.name, c=c, images=images, steps=steps, guidance=guidance, n=n or scale.n,
            seed=seed, share=share,
        )
        for c in sizes for images in lengths or scale.lengths for share in shares
    ]  # fmt: skip


class Laboratory(study.Laboratory):
    """The same for averages: `strength` of a row is the share."""

    def model_of(self, cell: Averaged) -> tuple:
        return cell.c, cell.images, cell.seed, pretrain.average_kind(cell.share)

    def rows(self, cell: Averaged, score: Score, seconds: float) -> list[Row]:
        return [replace(row, task="average", strength=cell.share) for row in super().rows(cell, score, seconds)]


def measure(cells: Sequence[Averaged], *, store: Store, lab: Laboratory) -> pd.DataFrame:
    """The rows of those cells that are in the store or can be run here; none, where no snapshots are: they do not ship."""
    try:
        found = study.at_hand(cells, store=store, lab=lab)
    except ValueError:  # no model of any of them
        return pd.DataFrame()
    return study.run(found, store=store, lab=lab, title="averages")


def curves(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Quality against the share, a colour a length of the training; of one size."""
    found = pick(rows, metric, one=("c", "sampler", "steps", "guidance"))
    data = columns(found).assign(share=found["strength"], seen=[f"{n / 1000:g}k pictures seen" for n in found["images_seen"]])
    order = list(data.sort_values("images_seen")["seen"].unique())
    base = alt.Chart(data).encode(
        x=alt.X("share:Q", title="share of the training that the average spans (σ_rel)", axis=alt.Axis(format="~g", tickCount=6)),
        color=alt.Color("seen:O", title=None, sort=order, scale=alt.Scale(domain=order)),
    )
    shares = [alt.Tooltip("share:Q", title="share averaged"), *tooltip(found, metric)]
    return alt.layer(
        base.mark_line().encode(y="value:Q"),
        base.mark_rule().encode(y=quality_axis(metric), y2="hi:Q").encode(y="lo:Q"),
        base.mark_point().encode(y=quality_axis(metric), tooltip=shares),
    ).properties(
        width="container", height=300,
        description=f"{metric_of(metric).title} against the share of the training that the weights' average spans",
    )  # fmt: skip


def against_usual(rows: pd.DataFrame, metric: str, influences: Influences) -> str:
    """By how much each share is worse than the usual one on the same captions and noise, in Markdown, a row a length."""
    gaps = pd.concat([
        comparisons.beside(part, metric, USUAL, influences, by="strength").assign(images=images)
        for images, part in rows[rows["metric"] == metric].groupby("images_seen")
    ])  # fmt: skip
    gaps = gaps.assign(text=comparisons.in_words(gaps), seen=gaps["images"].map("{:,}".format), share=gaps["strength"].map("{:g}".format))
    table = gaps.pivot(index="seen", columns="share", values="text").loc[gaps["seen"].unique()]
    return table.rename_axis("pictures seen").to_markdown()
