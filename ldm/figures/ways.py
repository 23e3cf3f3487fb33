"""A network in another way, beside its usual one at equal cost: on another path to the picture, or of other patches.

How the two compare is said by `ldm.figures.sides`; here are their rows, their curves, and a table of solvers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import best, pick, quality_panels
from ldm.figures.levels import MISSING
from ldm.figures.tables import table
from ldm.metrics.catalogue import metric_of
from ldm.profiles import Profile
from ldm.study import findings, recorded
from ldm.study.results import Store

SOLVERS = dict(zip(recorded.STRAIGHT, ("Euler", "Heun", "DPM-Solver++"), strict=True))


@dataclass(frozen=True)
class Way:
    """Some sizes of a profile, under what they are called beside another way, in the plural."""

    name: str
    profile: Profile
    sizes: tuple[int, ...]


def together(store: Store, pair: Sequence[Way], metric: str) -> dict[str, pd.DataFrame]:
    """Return level -> the rows of both ways by one metric at the step counts that all sizes have, all trainings.

    At the level of caption that they were trained on; a column `family` is 0 or 1, and `kind` the way's name. Empty
    where a size has no rows of several step counts.
    """
    parts = []
    for i, way in enumerate(pair):
        rows = recorded.by_level(store, way.profile, [way.profile.level], way.profile.n)
        rows = rows[(rows["metric"] == metric) & rows["c"].isin(way.sizes)]
        known = rows.groupby("c")["steps"].nunique()
        if set(known.index[known > 1]) != set(way.sizes):
            return {}
        parts.append(rows.assign(family=i, kind=way.name))
    common = set.intersection(*(set(steps) for part in parts for _, steps in part.groupby("c")["steps"]))
    both = pd.concat(parts, ignore_index=True)
    return {pair[0].profile.level: both[both["steps"].isin(common)].reset_index(drop=True)}


def curves(panels: Mapping[str, pd.DataFrame], metric: str) -> Any:
    """Plot quality at the best guidance against sampling cost, of first trainings: a colour a way.

    panels: heading -> rows of two ways of one size each, as `together` gives them.
    """
    if not panels:
        return Markdown(MISSING)
    drawn = [
        best(pick(rows[rows["seed"] == 0], metric), ["kind", "steps"]).assign(panel=heading)
        for heading, rows in panels.items()
    ]
    found = pd.concat(drawn)
    kinds = list(dict.fromkeys(found["kind"]))
    chart = quality_panels(
        found,
        metric,
        list(panels),
        keep=("kind",),
        tips=[alt.Tooltip("kind:N", title="way")],
        color=alt.Color("kind:N", title=None, sort=kinds, scale=alt.Scale(scheme="tableau10")),
    )
    return chart.properties(description=f"{metric_of(metric).title} against sampling cost, a colour a way")


def solvers(store: Store, profiles: Sequence[Profile], sizes: Sequence[int], metric: str) -> Markdown:
    """Return as a table how well solvers draw on times shifted in several ways: a line each, a column a step count.

    In a cell stand the value at the best guidance and its interval over pictures, of the first training. profiles: of
    the same models, which differ in their shift; a line without rows is left out.
    """
    lines = []
    for c in sizes:
        for sampler, called in SOLVERS.items():
            for profile in profiles:
                grid = recorded.whole_grid(store, profile, samplers=recorded.STRAIGHT)
                rows = grid[(grid["c"] == c) & (grid["sampler"] == sampler) & (grid["metric"] == metric)]
                if rows.empty:
                    continue
                found = best(pick(rows, metric), ["steps"]).set_index("steps")
                line = {"width": c, "solver": called, "times shifted by": profile.shift}
                for steps in findings.few_steps(profile):
                    one = found.loc[steps] if steps in found.index else None
                    text = "–" if one is None else f"{one['value']:.3g} [{one['lo']:.3g}, {one['hi']:.3g}]"
                    line[f"{steps} steps"] = text
                lines.append(line)
    return Markdown(table(pd.DataFrame(lines), what="Solvers and shifts") if lines else MISSING)
