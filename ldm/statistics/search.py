"""What a search among noises gains, and by whose eyes: the verifier's that chose, and those that did not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ldm.metrics import Z, mean_difference
from ldm.metrics.catalogue import short
from ldm.statistics import comparisons
from ldm.statistics.bootstrap import InfluencesOf, lower_is_better
from ldm.statistics.worth import PLAIN

CHOSE = "the verifier itself"


def gains(rows: pd.DataFrame, lever: str, metrics: Sequence[str], influences: InfluencesOf) -> pd.DataFrame:
    """Return by how much the best of several pictures is better than one, in the fewest steps, as a share of its value.

    lever: the search's name in the column `lever`, beside the plain rows.

    Columns `c`, `steps`, `candidates`, `by` (a metric in words, or CHOSE), `better`, `lo`, `hi`, `n`. Without a search
    and with one, each at its best guidance; what the verifier itself gains is at the guidance that is best for it. It
    is empty where no search is recorded.
    """
    searched = rows[rows["lever"] == lever]
    if searched.empty:
        return pd.DataFrame()
    searched = searched[searched["steps"] == searched["steps"].min()]
    plain = rows[(rows["lever"] == PLAIN) & rows["steps"].isin(searched["steps"]) & rows["c"].isin(searched["c"])]
    both, found = pd.concat([plain, searched], ignore_index=True), []
    for metric in metrics:
        usual = lower_is_better(plain, metric).groupby("c")["value"].min().abs()
        gaps = comparisons.beside(both, metric, "", influences(both, metric), by="dose")
        value = gaps["c"].map(usual)
        share = {"better": -gaps["worse"] / value, "lo": -gaps["hi"] / value, "hi": -gaps["lo"] / value}
        found.append(gaps[["c", "steps", "dose", "n"]].assign(by=short(metric), **share))
    found.append(_by_the_verifier(searched, influences))
    data = pd.concat(found, ignore_index=True)
    return data.assign(candidates=data["dose"].str.removeprefix("best of ").astype(int)).drop(columns="dose")


def _by_the_verifier(searched: pd.DataFrame, influences: InfluencesOf) -> pd.DataFrame:
    """Return what its own score gains, picture by picture; without a known influence of each there is no interval."""
    kept, first = (searched[searched["metric"] == name].set_index("key") for name in ("similarity", "similarity_first"))
    known = influences(kept.reset_index(), "similarity"), influences(first.reset_index(), "similarity_first")
    lines = []
    for key, row in kept.sort_values("value").groupby(["c", "dose"]).tail(1).iterrows():
        base, half = first.loc[key, "value"], np.nan
        if key in known[0] and key in known[1]:
            half = Z * mean_difference(*(of[key].astype(float) for of in known)).se
        better = row["value"] - base
        lines.append(
            {name: row[name] for name in ("c", "steps", "dose", "n")}
            | {"by": CHOSE, "better": better / base, "lo": (better - half) / base, "hi": (better + half) / base}
        )
    return pd.DataFrame(lines)
