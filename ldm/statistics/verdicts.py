"""The paper's findings about pretraining and sampling as questions to rows: F1, F3 and F4.

Each verdict is holds, fails or undecided, with its effect. A finding is asked of several quality metrics, since metrics
may disagree; nothing is decided by eye, and the rules stood before the rows of the second edition (`book/protocol.md`).
Rows come from `ldm.study.results`; uncertainty over pictures and over trainings is in `ldm.statistics.evidence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ldm.metrics import Estimate, Z
from ldm.metrics.catalogue import short
from ldm.statistics.bands import HALF, MARGIN, SAME, Bands
from ldm.statistics.bootstrap import Influences
from ldm.statistics.budget import training_compute
from ldm.statistics.contest import PAPER, Contest, agreement, contest, counted
from ldm.statistics.evidence import Evidence
from ldm.statistics.ranks import somers_lead
from ldm.statistics.refusal import NotAsked
from ldm.statistics.scatter import RULE, Luck

SMALL_DOUBLINGS = 2  # doublings of the budget from the largest model's least on that count as small ones
FEWEST = 4  # the paper's least number of steps
MOST_OF_FEW = 20  # steps up to which samplers are put in order


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An answer: `effect` is in the unit that `meaning` names."""

    finding: str
    answer: str  # "holds", "fails" or "undecided"
    metric: str
    effect: Estimate
    meaning: str
    asked: str  # of which models and settings
    turn: str = ""  # which of a finding's questions this answers, where it has several
    detail: str = ""  # what else this metric's rows say, for whoever reads closely

    def __str__(self) -> str:
        more = f" In detail: {self.detail}." if self.detail else ""
        return (
            f"**{self.finding} {self.answer}** by {short(self.metric)}. Effect: {self.meaning} {self.effect:.3g}."
            f"{more} Asked of {self.asked}."
        )


def listed(values: Iterable[Any]) -> str:
    """Return the different values, in order, as text."""
    return ", ".join(map(str, sorted(set(values))))


def called(name: str) -> str:
    """Return a sampler's or a student's name as sentences have it: DDIM, DPM++, CoDi."""
    usual, _, times = name.partition("-")
    said = {"codi": "CoDi", "unipc": "UniPC"}.get(usual, usual.upper())
    return f"{said}, {times} times" if times else said


def answered(effect: Estimate, level: float) -> str:
    """Say whether the effect's interval lies above the level (holds), below it (fails), or holds it (undecided)."""
    return "holds" if effect.lo > level else "fails" if effect.hi < level else "undecided"


def f1(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> Verdict:
    """Judge F1: pretraining quality follows training compute, beyond the number of images (section 3.1, Fig. 3).

    The effect is Somers' D of quality on compute (normalised cost x images seen), less that on images seen alone: a
    larger model spends more compute on the same images. Holds where its interval lies above 0, fails where it lies
    below, as it does where size is useless.
    Raises: NotAsked for rows at fewer than four amounts of compute, or of one size or length.
    """
    evidence = Evidence.of(rows, metric, influences)
    rows = evidence.rows
    compute = training_compute(rows).to_numpy()
    images = rows["images_seen"].to_numpy(float)
    if len(set(compute)) < 4 or len(set(images)) < 2 or len(evidence.sizes) < 2:
        raise NotAsked(
            f"F1 needs rows at 4 or more amounts of compute, of 2 sizes and 2 lengths, not {len(set(compute))} of c ="
            f" {listed(evidence.sizes)}; run more lengths or sizes."
        )
    effect = somers_lead(compute, images, evidence.values, evidence.replicates, evidence.n)
    return Verdict(
        finding="F1",
        answer=answered(effect, 0),
        metric=metric,
        effect=effect,
        meaning="Somers' D of quality on training compute, minus Somers' D on images seen:",
        asked=f"{len(rows)} models (c = {listed(rows['size'])}); {evidence.trainings}",
        detail=evidence.spread,
    )


def small_budgets(
    evidence: Evidence, *, fewest: int = 1, unit: str = PAPER, guided: bool = False, margin: float = MARGIN
) -> Contest:
    """Compare sizes over the small budgets: from the largest model's `fewest` steps on, for two doublings.

    guided: whether these steps are guided, which tells where evaluations are counted.
    """
    rows = evidence.rows
    largest = rows[(rows["size"] == evidence.sizes[-1]) & (rows["steps"] >= fewest)]
    if guided:
        largest = largest[largest["guidance"] > 1]
    if largest.empty:
        raise NotAsked(
            f"No row of c = {evidence.sizes[-1]} has {fewest} or more {'guided ' * guided}steps; run more step counts."
        )
    cost = counted(largest, unit)
    start, most = float(cost.min()), float(cost.max())
    end = min(start * 2**SMALL_DOUBLINGS, most)
    return contest(evidence, start=start, end=end, fewest=fewest, unit=unit, margin=margin)


def f3(
    rows: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
    *,
    fewest: int = 1,
    unit: str = PAPER,
    guided: bool = False,
    margin: float = MARGIN,
    luck: Luck = RULE,
) -> Verdict:
    """Judge F3: at small sampling budgets a smaller model beats the largest (section 3.3, Fig. 9).

    Small budgets reach from the least that the largest model can use, of `fewest` steps or more (the paper: 4), over
    two doublings. The finding holds where a smaller model is surely better over more than half of the doublings, fails
    where it is surely not better (the largest is, or they are alike within the margin) over more than half, and is
    undecided otherwise. The effect is the mean advantage of the best smaller model, as a share of the value of the
    largest. unit, guided: how a picture's cost is counted, and whether the range begins at guided steps. luck: how the
    luck of training is counted (`ldm.statistics.evidence`).
    """
    evidence = Evidence.of(rows, metric, influences, luck=luck)
    found = small_budgets(evidence, fewest=fewest, unit=unit, guided=guided, margin=margin)
    (yes, no), large = sure(found), evidence.rows[evidence.rows["size"] == found.largest]
    mine = large.loc[large["guidance"] > 1 if guided else large["steps"] >= fewest, "steps"].astype(int)
    least, kind = mine[mine >= fewest].min(), "guided " * guided + "steps"
    return Verdict(
        finding="F3",
        answer=majority(yes, no),
        metric=metric,
        effect=found.mean,
        meaning=f"advantage of the best smaller model over c = {found.largest}, as a share of its value:",
        asked=f"budgets of {least} to {min(least * 2**SMALL_DOUBLINGS, mine.max())} {kind} of c = {found.largest},"
        f" sizes {listed(evidence.sizes)}; {evidence.trainings}",
        detail=f"surely better over {yes:.0%} of the doublings, surely not over {no:.0%}"
        + f"; {evidence.spread}" * bool(evidence.spread),
    )


def sure(found: Bands, side: str = "smaller") -> tuple[float, float]:
    """Return over which shares of the doublings this side is surely better, and surely not."""
    return found.shares[side], sum(found.shares[other] for other in (*found.sides, SAME) if other != side)


def majority(yes: float, no: float) -> str:
    """Say holds or fails where either share of the doublings is more than half, and else undecided."""
    return "holds" if yes > HALF else "fails" if no > HALF else "undecided"


def f4(
    rows: pd.DataFrame,
    metric: str,
    sampler: str,
    influences: Influences | None = None,
    *,
    usual: str = "ddim",
) -> Verdict:
    """Judge F4: another sampler gives the same verdict about sizes and steps (section 3.4, Fig. 11).

    Under each sampler the best smaller model is compared with the largest, of the sizes and step counts that both
    samplers have, over the budgets that both have. The finding holds where the two comparisons surely end alike over
    more than half of the doublings, fails where they surely end differently over more than half, and is undecided
    otherwise. The effect is the difference of the two mean advantages.
    """
    evidence = Evidence.of(rows, metric, influences)
    names = evidence.rows["sampler"]
    drawn = [evidence.rows[names == name] for name in (usual, sampler)]
    steps, sizes = (set.intersection(*(set(part[column]) for part in drawn)) for column in ("steps", "size"))
    within = evidence.rows["steps"].isin(steps) & evidence.rows["size"].isin(sizes)
    parts = [evidence.where((names == name) & within) for name in (usual, sampler)]
    if len(sizes) < 2 or len(steps) < 2:
        raise NotAsked(
            f"F4 needs two sizes and two step counts by both {usual} and {sampler}; run more cells of either."
        )
    found, shares = side_by_side(*parts)
    value = found[1].mean.value - found[0].mean.value
    error = float(np.hypot(found[0].mean.se, found[1].mean.se))
    return Verdict(
        finding="F4",
        answer=majority(shares["agree"], shares["differ"]),
        metric=metric,
        effect=Estimate.of(value, error, evidence.n),
        meaning=f"advantage of the best smaller model by {called(sampler)}, minus its advantage by {called(usual)}:",
        asked=f"{called(usual)} and {called(sampler)}, sizes {listed(parts[0].sizes)}; {evidence.trainings}",
        detail=f"the answers surely agree over {shares['agree']:.0%} of the doublings, surely differ over"
        f" {shares['differ']:.0%}" + f"; {evidence.spread}" * bool(evidence.spread),
    )


def side_by_side(one: Evidence, other: Evidence) -> tuple[tuple[Contest, Contest], Mapping[str, float]]:
    """Return the contests of two sets of rows over the budgets that the largest size of both can use, and `agreement`.

    Settings of fewer steps than the paper's least are left out.
    """
    large = [counted(part.rows[part.rows["size"] == part.sizes[-1]], PAPER) for part in (one, other)]
    start, end = max(cost.min() for cost in large), min(cost.max() for cost in large)
    first, second = (contest(part, start=start, end=end, fewest=FEWEST) for part in (one, other))
    return (first, second), agreement(first, second)


def order_of_samplers(
    rows: pd.DataFrame,
    metric: str,
    better: str,
    worse: str,
    influences: Influences | None = None,
) -> Verdict:
    """Judge whether one sampler is better than another at few steps, as section 3.4 says (Fig. 11).

    There DPM-Solver++ is better than DDIM, and DDIM than DDPM.

    The effect is by how much `worse` is worse than `better`, as a share of the value, on average over all sizes and
    step counts from 4 to 20 that both have, each at its best guidance. Holds where its interval lies above 0; else
    fails where it lies below the margin: the two are alike, or the other way round.
    """
    evidence = Evidence.of(rows, metric, influences)
    table, values = evidence.rows, evidence.values
    keep = table["steps"].between(FEWEST, MOST_OF_FEW)
    best = {
        key: list(part.index)
        for key, part in table[keep & table["sampler"].isin([better, worse])].groupby(["sampler", "size", "steps"])
    }
    pairs = [(best[better, *k], best[worse, *k]) for s, *k in best if s == better and (worse, *k) in best]
    if not pairs:
        raise NotAsked(
            f"No size and step count up to {MOST_OF_FEW} has rows by both {better} and {worse}; run such cells."
        )

    drawn = evidence.replicates
    share = [max(abs(values[a].min()), Z * float(evidence.sd(drawn[a].min(0)))) for a, _ in pairs]

    def gap(x: np.ndarray) -> np.ndarray:
        return np.mean([(x[b].min(0) - x[a].min(0)) / s for (a, b), s in zip(pairs, share, strict=True)], axis=0)

    effect = evidence.estimate(float(gap(values)), gap(drawn))
    return Verdict(
        finding="F4, order",
        answer="holds" if effect.lo > 0 else "fails" if effect.hi < MARGIN else "undecided",
        metric=metric,
        effect=effect,
        meaning=f"excess of {called(worse)} over {called(better)}, as a share of the value:",
        asked=f"{len(pairs)} pairs of size and steps, {FEWEST} to {MOST_OF_FEW}; {evidence.trainings}",
        detail=evidence.spread,
    )


def verdict_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Set verdicts side by side, one a metric: do the metrics agree?"""
    return pd.DataFrame(
        [
            {
                "finding": v.finding,
                "metric": short(v.metric),
                "answer": v.answer,
                "effect [95 % interval]": f"{v.effect:.3g}",
                "pictures a point": v.effect.n,
            }
            for v in verdicts
        ]
    )
