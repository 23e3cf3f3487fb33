"""What to do with a budget: a rule of thumb in a sentence for each level of caption, and what following it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from IPython.display import Markdown

from ldm.figures import tables
from ldm.figures.levels import SAYS, in_order
from ldm.metrics.catalogue import brief
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.budget import affordable
from ldm.statistics.evidence import Evidence
from ldm.statistics.rule_of_thumb import Rule, rule


def rules(
    rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf, others: pd.DataFrame | None = None
) -> dict[tuple[str, str], Rule]:
    """Return (level, metric) -> the rule, for levels at which every size of the first level was measured alike.

    Chosen on every second budget, and measured on those between: on other trainings, beside what was the best on the
    first ones, where they have every setting of these; else on the same pictures, by which its regret comes out too
    large rather than too small (`ldm.statistics.rule_of_thumb`).

    others: rows of other trainings; one that lacks a setting of a level and metric, or is among `rows`, is left out.
    """
    rows, found = rows.assign(level=rows["level"].fillna("all")), {}
    sizes = rows.loc[rows["level"] == rows["level"].iloc[0], "c"].nunique()
    for level, said in in_order(dict(tuple(rows.groupby("level")))).items():
        for metric in metrics:
            part = said[said["metric"] == metric]
            settings = part.groupby("c").apply(lambda one: frozenset(zip(one["steps"], one["guidance"], strict=True)))
            if len(settings) == sizes > 1 and settings.nunique() == 1:  # with more of them a size would have more tries
                evidence = Evidence.of(part, metric, influences(part, metric))
                same = _same_settings(part, others)
                elsewhere = evidence if same is None else Evidence.of(same, metric, influences(same, metric))
                found[str(level), metric] = rule(evidence, elsewhere)
    return found


def _same_settings(part: pd.DataFrame, others: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return what other trainings drew in all settings of one level and metric; None where none has."""
    if others is None:
        return None
    settings = part[["profile", "c", "steps", "guidance", "level", "metric"]].drop_duplicates()
    same = others.assign(level=others["level"].fillna("all")).merge(settings)
    same = same[~same["key"].isin(part["key"])]
    whole = same.groupby("seed")["key"].transform("nunique") == len(part)
    return same[whole] if whole.any() else None


def in_words(found: dict[tuple[str, str], Rule]) -> str:
    """Say the rule: a line for levels with the same numbers of steps, the least and the most that a metric chooses."""
    chosen: dict[str, list[int]] = {}
    for (level, _), one in found.items():
        chosen.setdefault(level, []).append(one.steps)
    alike: dict[str, list[str]] = {}
    for level, steps in chosen.items():
        ends = " to ".join(map(str, dict.fromkeys((min(steps), max(steps)))))
        alike.setdefault(ends, []).append(f"**{_said(level)}**")
    lines = [
        f"- Where the caption says {' or '.join(levels)}, take the largest network that can run **{steps} steps**"
        " within the budget."
        for steps, levels in alike.items()
    ]
    ends = "\n\nThe ends of a range are what the least and the most demanding [metric](../book/metrics.md) chooses."
    ranges = any(min(steps) < max(steps) for steps in chosen.values())
    return "\n".join(lines) + ends * ranges if lines else "No rule: these rows are of one size."


def prices(rows: pd.DataFrame, seconds: Mapping[tuple[str, int], tuple[float, float]]) -> str:
    """Say what one guided step of each size costs: in GFLOPs, and in milliseconds where a machine was timed.

    seconds: as `ldm.figures.speed.seconds_of`.
    """
    each = rows.groupby("c")[["profile", "gflops"]].first().sort_index()
    sizes = ", ".join(f"{c}" for c in each.index)
    sentence = f"One guided step, which is two passes, of c = {sizes} costs " + _listed(2 * each["gflops"], "GFLOPs")
    keys = [(profile, int(c)) for c, profile in each["profile"].items()]
    if all(key in seconds for key in keys):
        sentence += (
            f", and {_listed([2000 * seconds[key][0] for key in keys], 'ms')} a picture where many are drawn at once on"
            " [one machine](a2_speed.ipynb#one-pass), beside up to"
            f" {_listed([1000 * max(seconds[key][1] for key in keys)], 'ms')} for all that comes before and after"
        )
    nothing = "Where the caption says nothing, there is nothing to guide by: a step is one pass, half of that."
    return f"{sentence}. {nothing}"


def by_the_clock(
    rows: pd.DataFrame,
    found: Mapping[tuple[str, str], Rule],
    metric: str,
    influences: InfluencesOf,
    seconds: Mapping[tuple[str, int], tuple[float, float]],
) -> str:
    """Say what the same rule by one metric loses where budgets are seconds, in which small networks are not so cheap.

    rows: those of `rules`. seconds: as `ldm.figures.speed.seconds_of`; where a size was not timed, nothing is said.
    """
    keys = list(zip(rows["profile"], rows["c"].astype(int), strict=True))
    if not all(key in seconds for key in keys):
        return ""
    rows, clauses = rows.assign(level=rows["level"].fillna("all")), []
    passes = rows.groupby(["level", "steps"])["nfe"].transform("max").astype(float)  # a step is guided, as in the rule
    rows["cost"] = [seconds[key][0] * nfe + seconds[key][1] for key, nfe in zip(keys, passes, strict=True)]
    for (level, by), one in found.items():
        if by == metric:
            part = rows[(rows["level"] == level) & (rows["metric"] == metric)]
            evidence = Evidence.of(part, metric, influences(part, metric))
            followed = rule(evidence, evidence, [one.steps])
            said = f"{followed.regret.value:.0%} where the caption says {_said(level)} (at worst {followed.worst:.0%}"
            better = rule(evidence, evidence).steps
            choose = f"; {better} steps would be the number to choose" if better != one.steps else ""
            clauses.append(f"{said}{choose})")
    if not clauses:
        return ""
    return (
        "The rule counts FLOPs. By the clock of [one machine](a2_speed.ipynb#one-pass) small networks are slower than"
        " their FLOPs say, and some of each picture's time is no network's. With budgets in milliseconds the rule loses"
        f" {'; '.join(clauses)}."
    )


def example(found: Mapping[tuple[str, str], Rule], metric: str, rows: pd.DataFrame, gflops: float) -> str:
    """Say which size the rule by one metric takes for so many GFLOPs a picture, at each level that buys its steps."""
    price = rows.groupby("c")["gflops"].first().sort_index()
    taken: dict[int, list[str]] = {}
    for (level, by), one in found.items():
        if by == metric:
            passes = one.steps * (1 if level == "nothing" else 2)
            if bought := list(price.index[affordable(passes * price, gflops)]):
                taken.setdefault(int(max(bought)), []).append(_said(level))
    said = [f"c = {size} where the caption says {' or '.join(levels)}" for size, levels in taken.items()]
    ends = {"nothing", "some", "all"}  # of how much captions say, and the usual
    if len(taken) == 1 and {_said(level) for level in ends} <= set(*taken.values()):
        said = [f"c = {next(iter(taken))}, whatever the caption says"]
    return f"By {brief(metric)}, for {gflops:g} GFLOPs a picture, the rule takes {', and '.join(said)}." if said else ""


def _said(level: str) -> str:
    """Say how much a caption says, where no scene was named before."""
    return "some of the scene" if level == "some" else SAYS[level]


def _listed(values: Iterable[float], unit: str) -> str:
    return ", ".join(f"{value:.0f}" if value >= 100 else f"{value:.2g}" for value in values) + f" {unit}"


def regrets(found: dict[tuple[str, str], Rule]) -> Markdown:
    """Say as a table what following each rule costs, in the mean and at worst, and what other numbers would cost."""
    lines = [
        {
            "the caption says": SAYS[level],
            "by": brief(metric),
            "steps": one.steps,
            "measured on": "other trainings" if one.elsewhere else "the same pictures",
            "worse than the best choice by": f"{one.regret:.1%}",
            "at worst": f"{one.worst:.1%}",
            "with other numbers of steps": "; ".join(
                f"{steps}: {cost:.0%}"
                for steps, cost in zip(one.candidates, one.chosen, strict=True)
                if steps != one.steps
            ),
        }
        for (level, metric), one in found.items()
    ]
    return Markdown(tables.table(pd.DataFrame(lines), what="What the rule loses") if lines else "")
