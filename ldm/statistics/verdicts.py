"""The paper's findings as questions to rows: each verdict is holds, fails or undecided, with its effect.

A finding is asked of every quality metric that the rows hold, since metrics may disagree; nothing is
decided by eye. Rows come from `ldm.study.results`; uncertainty is propagated by `ldm.statistics.bootstrap.replicates`,
paired where the pictures' influences are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate
from ldm.statistics.bootstrap import Influences, lower_is_better, replicates
from ldm.statistics.comparisons import paired
from ldm.statistics.ranks import rank_correlation, somers


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An answer: `effect` is in the unit that `meaning` names."""

    finding: str
    answer: str  # "holds", "fails" or "undecided"
    metric: str
    effect: Estimate
    meaning: str
    asked: str  # of which models and settings

    def __str__(self) -> str:
        e = self.effect
        return (
            f"**{self.finding} {self.answer}** by {self.metric}: {self.meaning} {e.value:.3g} "
            f"[{e.lo:.3g}, {e.hi:.3g}]; asked of {self.asked}."
        )


def _listed(values: Iterable) -> str:
    """Different values, in order."""
    return ", ".join(map(str, sorted(set(values))))


def _answer(effect: Estimate, level: float) -> str:
    """Whether the effect's interval lies above the level, below it, or holds it."""
    return "holds" if effect.lo > level else "fails" if effect.hi < level else "undecided"


def f1(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> Verdict:
    """F1: pretraining quality follows training compute, over all sizes and lengths (section 3.1, Fig. 3).

    The effect is Kendall's rank correlation of quality with compute = normalised cost x images seen.
    Holds where its interval lies above 1/2, fails where it lies below.
    """
    rows = lower_is_better(rows, metric)
    compute = (rows["cost"] / rows["steps"] * rows["images_seen"]).to_numpy(float)
    if len(rows) < 4 or len(set(compute)) < 4:
        raise ValueError(
            f"F1 needs rows at 4 or more amounts of compute, not {len(set(compute))}; run more lengths or sizes."
        )
    losses, drawn = rows["value"].to_numpy(float), replicates(rows, influences).T[:500]
    effect = rank_correlation(-compute, losses, np.broadcast_to(-compute, drawn.shape), drawn, int(rows["n"].min()))
    return Verdict(
        finding="F1",
        answer=_answer(effect, 0.5),
        metric=metric,
        effect=effect,
        meaning="rank correlation of quality with training compute",
        asked=f"{len(rows)} models (c = {_listed(rows['size'])})",
    )


def f2(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> Verdict:
    """F2: finetuned for super-resolution, quality follows the size more than the compute of finetuning (section 3.2,
    Fig. 4).

    The effect is Somers' D of quality on size, less that on compute = normalised cost x images of finetuning. (D
    leaves out the pairs that tie in what explains: lengths of one size do not count against size.) Holds where its
    interval excludes 0 from above, fails from below.
    """
    rows = lower_is_better(rows, metric)
    lengths = rows.groupby("size")["images_seen"].nunique()
    if len(lengths) < 2 or lengths.min() < 2:
        raise ValueError(
            "F2 needs two sizes or more, each at two lengths of finetuning or more; finetune and run more cells."
        )
    size = rows["size"].to_numpy(float)
    compute = (rows["cost"] / rows["steps"] * rows["images_seen"]).to_numpy(float)

    def lead(losses: Float[np.ndarray, "*replicates m"]) -> Float[np.ndarray, "*replicates"]:
        return somers(-size, losses) - somers(-compute, losses)

    value = float(lead(rows["value"].to_numpy(float)))
    lo, hi = np.quantile(lead(replicates(rows, influences).T[:500]), [0.025, 0.975])
    effect = Estimate(value, float(min(lo, value)), float(max(hi, value)), int(rows["n"].min()))
    return Verdict(
        finding="F2",
        answer=_answer(effect, 0),
        metric=metric,
        effect=effect,
        meaning="Somers' D of quality on size, less that on the compute of finetuning:",
        asked=f"{len(rows)} models (c = {_listed(rows['size'])})",
    )


def f3(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> Verdict:
    """F3: at a small sampling budget a smaller model beats the largest (section 3.3, Fig. 9).

    The budget is the least that the largest model can use. The effect is how much better the best
    smaller model is there, in the metric's unit; the finding holds or fails where its interval excludes 0.
    """
    rows = lower_is_better(rows, metric)
    largest = _largest(rows, "F3")
    budget = rows.loc[rows["size"] == largest, "cost"].min()
    effect = _advantage(rows, [budget], influences)
    return Verdict(
        finding="F3",
        answer=_answer(effect, 0),
        metric=metric,
        effect=effect,
        meaning=f"advantage of the best smaller model over c = {largest} at a budget of {budget:.3g}:",
        asked=f"sizes {_listed(rows['size'])}, steps {_listed(rows['steps'])}",
    )


def _largest(rows: pd.DataFrame, finding: str) -> int:
    if rows["size"].nunique() < 2:
        raise ValueError(f"{finding} compares sizes: run the grid for two of them at least.")
    return rows["size"].max()


def _advantage(rows: pd.DataFrame, budgets: Sequence[float], influences: Influences | None) -> Estimate:
    """How much better the best smaller model is than the largest, each at its best setting within a budget; the mean of
    budgets.
    """
    rows = rows[rows["cost"] <= max(budgets) * (1 + 1e-9)]
    big, cost = (rows["size"] == rows["size"].max()).to_numpy(), rows["cost"].to_numpy(float)

    def advantage(values: np.ndarray) -> np.ndarray:
        gaps = []
        for budget in budgets:
            affordable = cost <= budget * (1 + 1e-9)
            gaps.append(values[..., affordable & big].min(-1) - values[..., affordable & ~big].min(-1))
        return np.mean(gaps, axis=0)

    value = float(advantage(rows["value"].to_numpy(float)))
    draws = advantage(replicates(rows, influences).T)
    return Estimate(value, *map(float, 2 * value - np.quantile(draws, [0.975, 0.025])), int(rows["n"].min()))


def f4(
    rows: pd.DataFrame, metric: str, sampler: str, influences: Influences | None = None, *, usual: str = "ddim"
) -> Verdict:
    """F4: another sampler does not change how quality depends on size and steps (section 3.4, Fig. 11).

    The effect is Kendall's rank correlation between the two samplers over all sizes and step counts that both
    have, each at its best guidance. Holds where its interval lies above 1/2, fails where it lies below.
    """
    both = paired(rows, metric, usual, sampler)
    values, n = both["value"].to_numpy(float), len(both) // 2
    if n < 4:
        raise ValueError(
            f"F4 needs 4 or more pairs of size and steps by both {usual} and {sampler}, not {n}; run more cells."
        )
    drawn = replicates(both, influences).T[:500]
    effect = rank_correlation(values[:n], values[n:], drawn[:, :n], drawn[:, n:], int(both["n"].min()))
    return Verdict(
        finding="F4",
        answer=_answer(effect, 0.5),
        metric=metric,
        effect=effect,
        meaning=f"rank correlation of quality by {sampler} with that by {usual}",
        asked=f"{n} pairs of size and steps",
    )


FEW = (4, 20)  # the paper's two ranges of steps in super-resolution; the second begins after the first
MANY = (20, 250)


def f5(rows: pd.DataFrame, metric: str, influences: Influences | None = None, *, few: bool = True) -> Verdict:
    """F5: in super-resolution smaller models win at equal cost with 4 to 20 steps, larger ones beyond (section 3.5,
    Fig. 12).

    `few` picks the half of the finding. The effect is how much better the best smaller model is than the largest (with
    many steps: how much worse), on average over all budgets that the largest uses within the range; within a budget
    both may use any number of steps from the paper's least on. Intervals as in `f3`.
    """
    rows = lower_is_better(rows, metric)
    lo, hi = FEW if few else MANY
    rows = rows[rows["steps"] >= FEW[0]]
    largest = _largest(rows, "F5")
    within = (rows["size"] == largest) & rows["steps"].between(lo, hi, inclusive="both" if few else "right")
    if not within.any():
        raise ValueError(f"F5 needs c = {largest} with {lo} to {hi} steps; run such cells.")
    budgets = sorted(rows.loc[within, "cost"])
    effect = _advantage(rows, budgets, influences)
    if not few:
        effect = Estimate(-effect.value, -effect.hi, -effect.lo, effect.n)
    smaller, who = "the best smaller model", f"c = {largest}"
    return Verdict(
        finding="F5",
        answer=_answer(effect, 0),
        metric=metric,
        effect=effect,
        meaning="advantage of {} over {} at equal cost:".format(*((smaller, who) if few else (who, smaller))),
        asked=f"sizes {_listed(rows['size'])}, budgets of c = {largest} at steps {_listed(rows.loc[within, 'steps'])}",
    )


def fig6(
    pretraining: pd.DataFrame,
    tuned: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
    *,
    quality: str = "alignment",
) -> Verdict:
    """Fig. 6: once a subject is learnt, quality depends on size as it did after pretraining (section 3.2).

    pretraining: one row of `quality` a size. tuned: one row of `metric` a size, over subjects, whose influences are
    the subjects'. The effect is Kendall's rank correlation of the two over sizes. Holds where its interval lies above
    1/2, fails where it lies below. Raises: ValueError for fewer than two sizes, or for two rows of one size.
    """
    a, b = (lower_is_better(rows, name).sort_values("size") for rows, name in ((pretraining, quality), (tuned, metric)))
    sizes = sorted(set(a["size"]) & set(b["size"]))
    a, b = (rows[rows["size"].isin(sizes)] for rows in (a, b))
    if len(sizes) < 2 or not len(a) == len(b) == len(sizes):
        raise ValueError(
            f"Fig. 6 needs one row of each study at 2 or more sizes; there are {len(a)} and {len(b)} at {len(sizes)}."
        )
    drawn = replicates(a).T[:500], replicates(b, influences, seed=1).T[:500]
    effect = rank_correlation(a["value"].to_numpy(float), b["value"].to_numpy(float), *drawn, int(b["n"].min()))
    return Verdict(
        finding="Fig. 6",
        answer=_answer(effect, 0.5),
        metric=metric,
        effect=effect,
        meaning=f"rank correlation over sizes with {quality} as pretrained",
        asked=f"c = {', '.join(map(str, sizes))}",
    )


def f6(
    rows: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
    *,
    method: str = "codi",
    steps: int = 4,
    allowance: float = 1.0,
) -> Verdict:
    """F6: at the cost of the largest model, distilled, a smaller undistilled one still keeps up (section 3.6, Fig. 13).

    `rows`: of teachers and students, told apart by `task`. The budget is what the largest size costs at the student's
    `steps`, times `allowance`: the paper's own comparison allows 7/4 of it (Fig. 13) or 2 (its text). The effect is
    how much better the best smaller undistilled model within it is, in the metric's unit; the finding holds or fails
    where its interval excludes 0, and "undecided" is what the paper calls similar. Guidance is chosen on either
    side, and is not counted in the paper's cost; a student needs no second evaluation for it.
    """
    rows = lower_is_better(rows, metric)
    largest = rows["size"].max()
    distilled = (rows["task"] == method) & (rows["size"] == largest) & (rows["steps"] == steps)
    if not distilled.any():
        raise ValueError(f"F6 needs {method} at c = {largest} and {steps} steps: run its cells.")
    budget = allowance * rows.loc[distilled, "cost"].min()
    smaller = (rows["task"] == "pretrain") & (rows["size"] < largest) & (rows["cost"] <= budget * (1 + 1e-9))
    if not smaller.any():
        raise ValueError(
            f"F6 needs a smaller undistilled model at a cost of at most {budget:.3g}: run cells with fewer steps."
        )
    compared = rows[distilled | smaller]
    effect = _advantage(compared, [budget], influences)
    return Verdict(
        finding="F6",
        answer=_answer(effect, 0),
        metric=metric,
        effect=effect,
        meaning=f"advantage of the best smaller undistilled model over c = {largest} by {method} in {steps} steps:",
        asked=f"a budget of {budget:.3g}, sizes {_listed(compared['size'])}",
    )


def effect_in_words(v: Verdict) -> str:
    """Value and interval."""
    return f"{v.effect.value:.3g} [{v.effect.lo:.3g}, {v.effect.hi:.3g}]"


def verdict_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Verdicts side by side, one a metric: do the metrics agree?"""
    return pd.DataFrame(
        [
            {
                "finding": v.finding,
                "metric": v.metric,
                "answer": v.answer,
                "effect": effect_in_words(v),
                "n a point": v.effect.n,
            }
            for v in verdicts
        ]
    )
