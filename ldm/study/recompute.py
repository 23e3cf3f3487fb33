"""Recorded cells that are run again on this machine: the notebooks check the record while one looks on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ldm.metrics.catalogue import short
from ldm.study.results import Store
from ldm.study.run import run
from ldm.study.sampling import Evaluation, SamplingEvaluator

ROUNDING = 1e-9  # a share of 1 has 1 as its upper end, give or take the last digit


def drawn_by_lot(
    cells: Sequence[Evaluation], share: int, *, store: Store, evaluator: SamplingEvaluator
) -> list[Evaluation]:
    """Return `share` of the cells that have a record and whose models are on this machine; always the same ones.

    Of these, the half that is cheaper to draw takes part, or more where half are fewer than asked for: nobody waits for
    an hour to see a record checked.
    """
    recorded = set(store.rows(only="recorded")["key"])
    able = [cell for cell in cells if evaluator.is_here(cell) and evaluator.key(cell) in recorded]
    spent = [evaluator.columns(cell) for cell in able]
    by_price = sorted(range(len(able)), key=lambda i: spent[i]["gflops"] * spent[i]["nfe"] * able[i].n)
    half = sorted(by_price[: max(share, -(-len(able) // 2))])
    return [able[half[i]] for i in sorted(np.random.default_rng(0).permutation(len(half))[:share])]


def recompute(cells: Sequence[Evaluation], *, store: Store, evaluator: SamplingEvaluator) -> pd.DataFrame:
    """Run recorded cells again on this machine and set the values side by side, one row a metric.

    The new rows have a store of their own, which is gone afterwards: the record is never compared with itself, nor
    this code with what an earlier one gave.
    `agrees`: the new value lies within the recorded interval. `off`: by how many of its half widths it differs.
    """
    with TemporaryDirectory() as folder:
        new = run(cells, store=Store(Path(folder)), evaluator=evaluator, title="again")
    recorded = store.rows(key=[evaluator.key(cell) for cell in cells], only="recorded")
    both = recorded.merge(new, on=["key", "metric"], suffixes=("", "_again"))
    spans = zip(both["value"], both["lo"], both["hi"], strict=True)
    half, gap = (both["hi"] - both["lo"]) / 2, (both["value_again"] - both["value"]).abs()
    return pd.DataFrame(
        {
            "c": both["c"],
            "images": both["images_seen"],
            "steps": both["steps"],
            "guidance": both["guidance"],
            "metric": both["metric"],
            "recorded": [f"{value:.4g} [{lo:.4g}, {hi:.4g}]" for value, lo, hi in spans],
            "n": both["n"],
            "again": [f"{value:.4g}" for value in both["value_again"]],
            "agrees": both["value_again"].between(both["lo"] - ROUNDING, both["hi"] + ROUNDING),
            "off": np.where(gap > ROUNDING, gap / half, 0.0),
        }
    )


def agreement(cells: Sequence[Evaluation], share: int, *, store: Store, evaluator: SamplingEvaluator) -> str:
    """Recompute a share of the cells (negative: the profile's) and say in Markdown how the record fares."""
    chosen = drawn_by_lot(cells, evaluator.profile.recompute if share < 0 else share, store=store, evaluator=evaluator)
    if not chosen:
        return (
            "Nothing was recomputed: no setting was asked for, or none of these has a record and a model on this"
            " machine."
        )
    table = recompute(chosen, store=store, evaluator=evaluator)
    hits = int(table["agrees"].sum())
    shown = table[(table["metric"] == "kid_effnet") | ~table["agrees"]].drop(columns="off")
    shown = shown.assign(metric=shown["metric"].map(short)).rename(columns={"c": "size c", "n": "pictures"})
    return (
        f"{len(chosen)} of the {len(cells)} settings were run again, chosen by lot (where there are many, from the"
        f" cheaper half), and {len(table)} values compared. **{hits} of {len(table)}** lie within the recorded"
        f" interval. The largest change is {table['off'].max():.1%} of its interval's half width. The table shows one"
        f" metric of each setting, and every value that does not agree.\n\n{shown.to_markdown(index=False)}"
    )
