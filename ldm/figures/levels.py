"""Levels of caption side by side: pictures, quality against cost, and who wins at each budget.

A level says how much of a scene the caption tells (`ldm.data.scenes.captions`); the rest is left to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pandas as pd
from IPython.display import Markdown

from ldm import profiles
from ldm.figures import samples, tables
from ldm.figures.charts import best, color, pick, quality_panels
from ldm.figures.contest import advantages, in_steps, shares
from ldm.metrics.catalogue import brief, metric_of
from ldm.networks import sizes
from ldm.statistics import optimum
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.contest import contest, up_to
from ldm.statistics.evidence import Evidence
from ldm.statistics.verdicts import FEWEST
from ldm.study.results import Store

SAYS = {"all": "everything", "some": "some of it", "subject": "the subject", "nothing": "nothing"}  # of captions
NETWORKS = dict.fromkeys(sizes.UNETS, "UNets") | dict.fromkeys(sizes.PATCHES, "transformers")
PREDICTED = {"eps": "the noise", "x0": "the picture"}  # in words, where a profile's word is none
Part = TypeVar("Part")
MISSING = "No rows of these settings are recorded yet."


def in_order(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return what there is of each level in the order of SAYS: the fuller captions first."""
    return {level: parts[level] for level in SAYS if level in parts}


def title(level: str) -> str:
    """Return what captions of a level say, for a panel's heading."""
    return f"the caption says {SAYS[level]}"


def by_setting(
    found: Mapping[str, pd.DataFrame], draw: Callable[[pd.DataFrame], Sequence[Any]], missing: str = MISSING
) -> list[Any]:
    """Return what is drawn of each profile's rows; of those without rows, nothing.

    Each stands under the name of its setting where there are several.

    found: profile -> rows of its grid, as `ldm.study.recorded.by_level` gives them. missing: what is said where none
    has two sizes.
    """
    known = {name: rows for name, rows in found.items() if rows["c"].nunique() > 1}
    shown = []
    for name, rows in known.items():
        shown += [*([Markdown(f"### {setting(name)}")] if len(known) > 1 else []), *draw(rows)]
    return shown or [Markdown(missing)]


def setting(name: str) -> str:
    """Return how a profile's networks predict, and which times its samplers visit, in words."""
    profile = profiles.get(name)
    return f"Predicting {PREDICTED.get(profile.predict, profile.predict)}, drawn on {profile.spacing} times"


def shared(found: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return each setting's rows of the sizes, levels and step counts that all settings with rows have.

    Who wins depends on who is there, and on how many step counts one may choose from. Empty where no level has two
    sizes in two settings.
    """
    known = {name: rows for name, rows in found.items() if rows["c"].nunique() > 1}
    if len(known) < 2:
        return {}
    places = {name: pd.MultiIndex.from_frame(rows[["c", "level", "steps"]]) for name, rows in known.items()}
    common = set.intersection(*map(set, places.values()))
    sizes = pd.DataFrame(common, columns=["c", "level", "steps"]).groupby("level")["c"].nunique()
    return {name: rows[places[name].isin(common)] for name, rows in known.items()} if (sizes > 1).any() else {}


def recorded(rows: pd.DataFrame, metric: str, levels: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the rows of each level that has two sizes or more by this metric, in the order of the levels.

    They are those of the step counts that all these levels have: a level with more of them would have more tries. A
    size with a single step count, as where a grid is being drawn, says nothing of steps and is left out.
    """
    found = _comparable({level: rows[(rows["level"] == level) & (rows["metric"] == metric)] for level in levels})
    common = set.intersection(*(set(part["steps"]) for part in found.values())) if found else set()
    return _comparable({level: part[part["steps"].isin(common)] for level, part in found.items()})


def _comparable(parts: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the parts that have two sizes of two step counts or more, without their other sizes."""
    kept = {level: part[part.groupby("c")["steps"].transform("nunique") > 1] for level, part in parts.items()}
    return {level: part for level, part in kept.items() if part["c"].nunique() > 1}


def evidence_of(
    rows: pd.DataFrame, metric: str, levels: Sequence[str], influences: InfluencesOf
) -> dict[str, Evidence]:
    """Return what is known of each level by this metric, all trainings pooled, in the order of the levels."""
    parts = recorded(rows, metric, levels)
    return {level: Evidence.of(part, metric, influences(part, metric)) for level, part in parts.items()}


def pictures(
    store: Store, rows: pd.DataFrame, metric: str, levels: Sequence[str], beyond: pd.DataFrame | None = None
) -> Any:
    """Show the largest model's pictures of the same scenes and noise: a line a level, a column a step count.

    Each at its best guidance; grey where a setting has not been run. beyond: rows of step counts that are looked at
    alone, and compared with nothing.
    """
    parts = recorded(rows[rows["seed"] == 0], metric, levels)
    if not parts:
        return Markdown(MISSING)
    largest = {}
    for level, part in parts.items():
        more = part[:0] if beyond is None else beyond[(beyond["level"] == level) & (beyond["metric"] == metric)]
        both = pd.concat([part, more[more["seed"] == 0]])
        largest[level] = pick(both[both["c"] == part["c"].max()], metric)
    found = pd.concat([best(part, ["steps"]).assign(said=SAYS[level]) for level, part in largest.items()])
    return samples.of_rows(store, found, "said", "steps")


def curves(rows: pd.DataFrame, metric: str, levels: Sequence[str]) -> Any:
    """Plot quality at the best guidance against sampling cost, a panel a level, on one axis of cost."""
    parts = recorded(rows[rows["seed"] == 0], metric, levels)
    if not parts:
        return Markdown(MISSING)
    picked = [best(pick(part, metric), ["c", "steps"]).assign(panel=title(level)) for level, part in parts.items()]
    found = pd.concat(picked)
    described = f"{metric_of(metric).title} against sampling cost, a panel a level of caption"
    chart = quality_panels(found, metric, [title(level) for level in parts], color=color(found))
    return chart.properties(description=described)


def contests(
    rows: pd.DataFrame,
    metric: str,
    levels: Sequence[str],
    influences: InfluencesOf,
) -> tuple[Any, ...]:
    """Compare smaller against largest at every budget, a panel a level; all trainings are pooled.

    It also says how the range divides, and how its part does that ends where the largest affords four steps.
    """
    evidence = evidence_of(rows, metric, levels, influences)
    if not evidence:
        return (Markdown(MISSING),)
    found = {title(level): contest(one) for level, one in evidence.items()}
    to_four = {title(level): small for level, one in evidence.items() if (small := up_to(one, FEWEST))}
    trainings = "; ".join(
        f"{SAYS[level]}: {one.trainings}" + f" ({one.spread})" * bool(one.spread) for level, one in evidence.items()
    )
    small = f"Up to {FEWEST} steps of the largest alone:\n\n{tables.table(shares(to_four))}\n\n" if to_four else ""
    return advantages(found), Markdown(
        f"{tables.table(shares(found), what='Shares of the budgets')}\n\n{small}By what the caption says: {trainings}."
    )


def answer(rows: pd.DataFrame, metric: str, levels: Sequence[str], influences: InfluencesOf) -> Markdown:
    """Say who wins at which budgets, counted in steps that the largest model affords: a line a level."""
    evidence = evidence_of(rows, metric, levels, influences)
    lines = [f"- If {title(level)}, {in_steps(one, contest(one))}." for level, one in evidence.items()]
    return Markdown(f"By {brief(metric)}:\n\n" + "\n".join(lines) if lines else MISSING)


def more_steps(
    rows: pd.DataFrame, metric: str, levels: Sequence[str], influences: InfluencesOf, few: int = 4, many: int = 16
) -> Markdown:
    """Return as a table by how much each size is better in many steps than in few, at each level, trainings pooled."""
    sign = 1 if metric_of(metric).better == "lower" else -1
    lines = [
        {
            "the caption says": SAYS[level],
            "c": one.c,
            f"{few} steps": f"{sign * one.few:.3g}",
            f"{many} steps": f"{sign * one.many:.3g}",
            "better by": f"{one.better:+.0%}",
            "trainings": one.trainings,
        }
        for level, part in recorded(rows, metric, levels).items()
        for one in optimum.more_steps(part, metric, influences(part, metric), few, many).itertuples()
    ]
    return Markdown(tables.table(pd.DataFrame(lines)) if lines else MISSING)


def enough(rows: pd.DataFrame, metric: str, levels: Sequence[str], influences: InfluencesOf) -> Markdown:
    """Return as a table how many steps are enough for each size at each level.

    Enough is said by `ldm.statistics.optimum.enough_steps`.
    """
    parts = recorded(rows[rows["seed"] == 0], metric, levels)
    found = [optimum.enough_steps(part, metric, influences(part, metric)) for part in parts.values()]
    for level, part in zip(parts, found, strict=True):
        part.insert(0, "the caption says", SAYS[level])
    return Markdown(tables.table(pd.concat(found)) if found else MISSING)
