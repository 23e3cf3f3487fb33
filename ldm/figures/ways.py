"""A network in another way, beside its usual one at equal cost: on another path to the picture, or of other patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures import kinds
from ldm.figures.charts import best, pick, quality_panels
from ldm.figures.levels import MISSING
from ldm.figures.tables import table
from ldm.metrics import Estimate
from ldm.metrics.catalogue import metric_of
from ldm.profile import Profile
from ldm.profiles import get
from ldm.study import findings, recorded
from ldm.study.results import Store

SOLVERS: dict[str, str] = {"ddim": "Euler", "heun": "Heun", "dpm++": "DPM-Solver++"}  # of `recorded.STRAIGHT`


@dataclass(frozen=True)
class Way:
    """Some sizes of a profile, under what they are called beside another way, in the plural."""

    name: str
    profile: Profile
    sizes: tuple[int, ...]


def together(store: Store, pair: Sequence[Way], metrics: Sequence[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """Return metric -> level -> the rows of both ways at the step counts that all sizes have, all trainings.

    At the level of caption that they were trained on; a column `family` is 0 or 1, and `kind` the way's name. A metric
    has no level where the sizes have not several step counts in common. Raises: ValueError for ways of two levels.
    """
    levels = {way.profile.level for way in pair}
    if len(levels) != 1:
        raise ValueError(f"The ways were trained on captions that say {' and '.join(sorted(levels))}; expected one.")
    parts = []
    for i, way in enumerate(pair):
        rows = recorded.by_level(store, way.profile, [way.profile.level], way.profile.n)
        parts.append(rows[rows["c"].isin(way.sizes)].assign(family=i, kind=way.name))
    both = pd.concat(parts, ignore_index=True)
    return {metric: _common(both[both["metric"] == metric], pair) for metric in metrics}


def _common(rows: pd.DataFrame, pair: Sequence[Way]) -> dict[str, pd.DataFrame]:
    """Return the rows of one metric at the step counts that every size of both ways has, under their level."""
    sizes = [(i, c) for i, way in enumerate(pair) for c in way.sizes]
    steps = [set(rows.loc[(rows["family"] == i) & (rows["c"] == c), "steps"]) for i, c in sizes]
    shared = set.intersection(*steps)
    return {pair[0].profile.level: rows[rows["steps"].isin(shared)].reset_index(drop=True)} if len(shared) > 1 else {}


def compared(found: Mapping[str, Mapping[str, pd.DataFrame]], pair: Sequence[Way], store: Store) -> tuple[Any, ...]:
    """Say which way is better by each metric, and show by the first one at which budgets that is sure.

    found: metric -> rows of both ways, as `together` gives them.
    """
    first, second = (way.name for way in pair)
    bands = {
        name: kinds.compared(rows, (first, second), name, store.influences) for name, rows in found.items() if rows
    }
    if not bands:
        return (Markdown(MISSING),)
    shown = next(iter(bands.values()))
    return kinds.answer(bands, (first, second)), *kinds.along(shown, (first, second))


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
    shown = list(dict.fromkeys(found["kind"]))
    chart = quality_panels(
        found,
        metric,
        list(panels),
        keep=("kind",),
        tips=[alt.Tooltip("kind:N", title="way")],
        color=alt.Color("kind:N", title=None, sort=shown, scale=alt.Scale(scheme="tableau10")),
    )
    return chart.properties(description=f"{metric_of(metric).title} against sampling cost, a colour a way")


def straight(store: Store, profiles: Sequence[Profile], sizes: Sequence[int], metric: str) -> pd.DataFrame:
    """Return what solvers drew on a straight path in few steps: rows of first trainings, with the profile's `shift`.

    profiles: of the same models, which differ in the shift of their times.
    """
    parts = []
    for profile in profiles:
        rows = recorded.whole_grid(store, profile, samplers=recorded.STRAIGHT)
        few = rows["steps"].isin(findings.few_steps(profile))
        parts.append(rows[few & rows["c"].isin(sizes) & (rows["metric"] == metric)].assign(shift=profile.shift))
    return pd.concat(parts, ignore_index=True)


def solvers(rows: pd.DataFrame, metric: str) -> Markdown:
    """Return as a table how well solvers draw on times shifted in several ways: a line each, a column a step count.

    In a cell stand the value at the best guidance and its interval over pictures. Heun's method asks the network twice
    a step, so that a line says how many evaluations its steps are. rows: of `straight`.
    """
    if rows.empty:
        return Markdown(MISSING)
    found = best(pick(rows, metric), ["c", "sampler", "shift", "steps"])
    lines = []
    for (c, sampler, shift), part in found.groupby(["c", "sampler", "shift"], sort=False):
        cells = part.set_index("steps").sort_index()
        plan = get(str(part["profile"].iloc[0])).plan
        asked = [str(plan(str(sampler), int(steps)).n) for steps in cells.index]
        line = {"width": c, "solver": SOLVERS[str(sampler)], "times shifted by": shift, "evaluations": ", ".join(asked)}
        lines.append(
            line
            | {
                f"{steps} steps": Estimate(one["value"], one["lo"], one["hi"], int(one["n"]))
                for steps, one in cells.iterrows()
            }
        )
    shown = pd.DataFrame(lines).sort_values(["width", "solver", "times shifted by"])
    return Markdown(table(shown, what="Solvers and shifts"))
