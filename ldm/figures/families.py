"""Two families of networks beside each other: what they cost, what they draw within a budget, and who wins in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.figures.charts import best, palette, pick, quality_panels
from ldm.figures.contest import advantages, shares
from ldm.figures.explorer import budget_explorer
from ldm.figures.kinds import Kinds
from ldm.figures.levels import MISSING, NETWORKS, SAYS, recorded, title
from ldm.figures.samples import thumbnail
from ldm.figures.tables import table
from ldm.metrics.catalogue import brief, metric_of
from ldm.networks import sizes
from ldm.profile import Profile
from ldm.statistics import families, verdicts
from ldm.statistics.bootstrap import InfluencesOf, lower_is_better
from ldm.statistics.contest import contest
from ldm.statistics.evidence import Evidence
from ldm.statistics.scatter import scatter_of
from ldm.study.results import Store


def names(pair: Sequence[Profile]) -> Kinds:
    """Return what the families of two profiles are called. Raises: ValueError unless they are of two kinds."""
    found = [NETWORKS[profile.network] for profile in pair]
    if len(set(found)) != 2 or len(pair) != 2:
        given = ", ".join(f"{profile.name} ({kind})" for profile, kind in zip(pair, found, strict=True))
        raise ValueError(f"families: {given}; expected two profiles, one of UNets and one of transformers.")
    return found[0], found[1]


def partners(pair: Sequence[Profile]) -> list[tuple[int, ...]]:
    """Return the sizes of two profiles that cost alike: those at the same place of their families."""
    return list(zip(*(profile.family for profile in pair), strict=False))


def together(found: Mapping[str, pd.DataFrame], levels: Sequence[Level], metric: str) -> dict[Level, pd.DataFrame]:
    """Return level -> the rows of both families by one metric, of partners at the step counts that both have.

    found: profile -> rows of its grid (`ldm.study.recorded.by_level`), of two profiles. A column `family` is 0 or 1.
    """
    pairs = partners([profiles.get(name) for name in found])
    shown: dict[Level, pd.DataFrame] = {}
    for level in levels:
        parts = [part for rows in found.values() for part in recorded(rows, metric, [level]).values()]
        if len(parts) == 2:
            common = set(parts[0]["steps"]) & set(parts[1]["steps"])
            both = pd.concat([part[part["steps"].isin(common)].assign(family=i) for i, part in enumerate(parts)])
            if len(both := families.with_partners(both, pairs)):
                shown[level] = both.reset_index(drop=True)
    return shown


def costs(pair: Sequence[Profile], rows: Mapping[str, pd.DataFrame]) -> Markdown:
    """Return as a table what the partners with rows cost, below each other: parameters, and the GFLOPs of one pass."""
    known = {int(c) for part in rows.values() for c in part["c"]}
    lines = []
    for two in partners(pair):
        for kind, profile, c in zip(names(pair), pair, two, strict=True):
            if set(two) <= known:
                shape = (profile.latent_shape[0], profile.tokens, profile.context)
                line: dict[str, Any] = {
                    "network": f"{kind[:-1]} {c}",
                    "parameters": sizes.params(profile.network, c, profile.context),
                    "GFLOPs a pass": sizes.gflops(profile.network, c, *shape),
                }
                lines.append(line)
    return Markdown(table(pd.DataFrame(lines)) if lines else MISSING)


def luck(rows: Mapping[Level, pd.DataFrame], pair: Sequence[Profile], metric: str) -> Markdown:
    """Say which networks were trained several times, and how far such trainings scatter: a line a level."""
    lines = []
    for level, part in rows.items():
        seeds = part.groupby(["family", "c"])["seed"].nunique()
        several = [f"{names(pair)[i][:-1]} {c} ({n} trainings)" for (i, c), n in seeds.items() if n > 1]
        scatter = scatter_of(lower_is_better(part, metric))
        clause = (
            f"{' and '.join(several)} scatter by {scatter.shares} of the value ({scatter.dof} degrees of freedom)"
            if scatter
            else "each network was trained once, so intervals do not cover training again"
        )
        lines.append(f"- If {title(level)}: {clause}.")
    return Markdown("\n".join(lines) or MISSING)


Alone = Mapping[Level, Sequence[Evidence]]  # of one metric: the evidence of each family by itself


def alone(rows: Mapping[Level, pd.DataFrame], metric: str, influences: InfluencesOf) -> dict[Level, list[Evidence]]:
    """Return level -> the evidence of each family by itself, at levels that have two sizes of both.

    rows: of `together`.
    """
    found = {}
    for level, part in rows.items():
        parts = [part[part["family"] == i] for i in (0, 1)]
        if all(one["c"].nunique() > 1 for one in parts):
            found[level] = [Evidence.of(one, metric, influences(one, metric)) for one in parts]
    return found


def finding(found: Mapping[str, Alone], pair: Sequence[Profile]) -> Markdown:
    """Return as a table whether F3 holds in each family: a line a metric and level, a column a family.

    With each answer stand the sizes, over which shares of the budgets a smaller one is surely better, and surely not,
    and the mean advantage. found: metric -> `alone`.
    """
    lines = []
    for metric, by_level in found.items():
        for level, both in by_level.items():
            line = {"by": brief(metric), "the caption says": SAYS[level]}
            for evidence, kind in zip(both, names(pair), strict=True):
                budgets = verdicts.small_budgets(evidence)
                yes, no = verdicts.sure(budgets)
                line[kind] = (
                    f"{verdicts.listed(evidence.sizes)}: **{verdicts.majority(yes, no)}**, {yes:.0%} better, {no:.0%}"
                    f" not; {budgets.mean:+.0%}"
                )
            lines.append(line)
    return Markdown(table(pd.DataFrame(lines)) if lines else MISSING)


def alike(found: Mapping[str, Alone]) -> Markdown:
    """Return as a table whether a smaller network wins at the same budgets in both families: a line a metric and level.

    And, in a sentence, whether the finding is one family's alone: what more than half of the lines say.
    found: metric -> `alone`.
    """
    words = {"holds": "they agree", "fails": "they differ", "undecided": "it is open"}
    lines, answers = [], []
    for metric, by_level in found.items():
        for level, both in by_level.items():
            _, ends = verdicts.side_by_side(*both)
            answers.append(verdicts.majority(ends["agree"], ends["differ"]))
            line = {"by": brief(metric), "the caption says": SAYS[level], "answer": words[answers[-1]]}
            lines.append(line | {f"surely {way}": f"{ends[way]:.0%}" for way in ("agree", "differ")})
    if not lines:
        return Markdown(MISSING)
    counts = {name: answers.count(name) for name in words}
    verdict = verdicts.majority(*(counts[name] / len(answers) for name in ("holds", "fails")))
    said = {"holds": "no", "fails": "yes", "undecided": "undecided"}[verdict]
    return Markdown(
        f"{table(pd.DataFrame(lines))}\n\nIs who wins one family's finding alone? **{said[0].upper()}{said[1:]}**: of"
        f" {len(answers)} comparisons they surely agree in {counts['holds']}, and surely differ in {counts['fails']}."
    )


def smaller_or_largest(found: Alone, pair: Sequence[Profile]) -> tuple[Any, ...]:
    """Plot the best smaller network against the largest along the budget, a panel a level and family."""
    panels = {
        f"{kind}: {title(level)}": contest(evidence)
        for level, both in found.items()
        for evidence, kind in zip(both, names(pair), strict=True)
    }
    if not panels:
        return (Markdown(MISSING),)
    return advantages(panels), Markdown(table(shares(panels), what="Shares of the budgets"))


def explore(
    rows: Mapping[str, Mapping[Level, pd.DataFrame]], store: Store, captions: Mapping[str, Sequence[str]]
) -> Any:
    """Return the budget explorer over the first training of both families, which the reader switches between.

    rows: metric -> level -> rows of `together`. Captions that say nothing are left out: nothing can be right of them.
    captions: of its pictures, at each level.
    """
    parts = [part for by_level in rows.values() for level, part in by_level.items() if level != "nothing"]
    if not parts:
        return Markdown(MISSING)
    both = pd.concat(parts, ignore_index=True)
    return budget_explorer(
        both[both["seed"] == 0],
        list(rows),
        store.influences,
        pictures=lambda key: thumbnail(store, key),
        captions=captions,
        axes=("cost", "flops"),
    )


def curves(rows: Mapping[str, pd.DataFrame], pair: Sequence[Profile], metric: str) -> Any:
    """Plot quality at the best guidance against sampling cost, a panel a level: a colour a pair, dashed the second."""
    if not rows:
        return Markdown(MISSING)
    parts = []
    for level, part in rows.items():
        drawn = best(pick(part[part["seed"] == 0], metric), ["family", "c", "steps"])
        parts.append(by_partners(drawn.assign(panel=title(level)), pair))
    data = pd.concat(parts)
    chart = quality_panels(
        data,
        metric,
        [title(level) for level in rows],
        keep=("who", "kind"),
        tips=[alt.Tooltip("kind:N", title="family")],
        **encoding(data, pair),
    )
    described = f"{metric_of(metric).title} against sampling cost, both families, a panel a level"
    return chart.properties(description=described)


def by_partners(rows: pd.DataFrame, pair: Sequence[Profile]) -> pd.DataFrame:
    """Return rows with what `encoding` tells them apart by: `who`, the partners, and `kind`, the family."""
    of_pair = {(i, c): _named(two) for two in partners(pair) for i, c in enumerate(two)}
    who = [of_pair[int(i), int(c)] for i, c in zip(rows["family"], rows["c"], strict=True)]
    return rows.assign(who=who, kind=rows["family"].map(dict(enumerate(names(pair)))))


def encoding(data: pd.DataFrame, pair: Sequence[Profile]) -> dict[str, Any]:
    """Return how curves of `by_partners` rows are drawn: a colour for two partners, dashed the second family."""
    shown = [who for who in map(_named, partners(pair)) if who in set(data["who"])]
    dash = alt.StrokeDash(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=list(names(pair)), range=[[1, 0], [5, 4]]),
        legend=alt.Legend(orient="bottom"),  # beside the other it would be too wide for a phone
    )
    by_size = {two[0]: who for two in partners(pair) if (who := _named(two)) in shown}
    scale = alt.Scale(domain=palette(by_size))  # as in other charts
    hue = alt.Color("who:O", title="c and width", scale=scale, legend=alt.Legend(values=shown))
    return {"color": hue, "strokeDash": dash, "detail": "kind:N"}


def _named(two: Sequence[int]) -> str:
    return f"{two[0]} and {two[1]}"
