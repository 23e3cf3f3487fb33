"""What the networks of both families draw at one cost, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import Markdown

from ldm.data.scenes.captions import Level
from ldm.figures import samples
from ldm.figures.families import names
from ldm.figures.levels import MISSING
from ldm.profile import Profile
from ldm.statistics.budget import step_price
from ldm.statistics.optimum import within
from ldm.study.results import Store

SHOWN = 4  # pictures of each network


def pictures(store: Store, rows: Mapping[Level, pd.DataFrame], pair: Sequence[Profile], metric: str, few: int) -> Any:
    """Show what each network draws best for what a few steps of the most expensive one cost, partners below each other.

    They are the first captions of the first level. rows: of `together`.
    """
    if not rows:
        return Markdown(MISSING)
    level, part = next(iter(rows.items()))
    part, budget = part[part["seed"] == 0], few * float(step_price(part).max())
    captions = samples.captions(pair[0], [level], range(SHOWN))[level]
    points = pd.concat(
        within(part[part["family"] == i], metric, [budget]).assign(
            kind=kind, place=lambda found, i=i: found["c"].map(pair[i].family.index)
        )
        for i, kind in enumerate(names(pair))
    ).sort_values("place", kind="stable")
    lines = [f"{row.kind[:-1]} {row.c}: {samples.label('steps', row.steps)}" for row in points.itertuples()]
    return samples.of_captions(store, points["key"], lines, captions)
