"""Two kinds of network at every budget: which draws better, in words and as a chart.

A kind is a family of networks, or one way to train or to cut them; rows have a column `family`, 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import COST
from ldm.figures.contest import along_the_budget, shares
from ldm.figures.levels import MISSING, title
from ldm.figures.tables import table
from ldm.metrics.catalogue import brief
from ldm.statistics import families
from ldm.statistics.bands import OPEN, SAME, Bands
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.evidence import Evidence

Kinds = tuple[str, str]  # what the two are called, in the plural: "UNets", "transformers"


def compared(rows: Mapping[str, pd.DataFrame], kinds: Kinds, metric: str, influences: InfluencesOf) -> dict[str, Bands]:
    """Return level -> the comparison of the first kind with the second. rows: level -> rows of both by this metric."""
    return {
        level: families.between(Evidence.of(part, metric, influences(part, metric)), kinds)
        for level, part in rows.items()
    }


def words(kinds: Kinds) -> dict[str, str]:
    """Return how a comparison can end, in words, in the order of a legend."""
    first, second = kinds
    return {
        first: f"the {first} are surely better",
        SAME: "alike within the margin",
        second: f"the {second} are surely better",
        OPEN: "not told apart",
    }


def verdict(found: Bands, kinds: Kinds) -> str:
    """Say which kind is better altogether, in a clause."""
    return {**words(kinds), families.NEITHER: "it is undecided which are better"}[families.better(found)]


def answer(found: Mapping[str, Mapping[str, Bands]], kinds: Kinds) -> Markdown:
    """Say which kind is better altogether, a line a metric and level. found: metric -> `compared`."""
    lines = [
        f"- By {brief(metric)}, if {title(level)}, **{verdict(one, kinds)}** (mean advantage of the"
        f" {one.sides[0]}: {one.mean:+.0%})."
        for metric, by_level in found.items()
        for level, one in by_level.items()
    ]
    return Markdown("\n".join(lines) or MISSING)


def along(found: Mapping[str, Bands], kinds: Kinds) -> tuple[Any, ...]:
    """Plot the advantage of the first kind at every budget, a panel a level, and say how the range divides."""
    if not found:
        return (Markdown(MISSING),)
    return advantage({title(level): one for level, one in found.items()}, kinds, COST, "sampling")


def advantage(panels: Mapping[str, Bands], kinds: Kinds, unit: str, budget: str) -> tuple[Any, ...]:
    """Plot the advantage of the first kind at every budget (of sampling, of training), and how the range divides."""
    ends, (first, second) = words(kinds), kinds
    chart = along_the_budget(panels, ends, unit, f"advantage of {first}")
    described = f"advantage of the {first} over the {second} at every {budget} budget, with its band"
    return chart.properties(description=described), Markdown(table(shares(panels, ends), what="Shares of the budgets"))
