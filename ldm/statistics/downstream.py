"""The paper's findings downstream as questions to rows: F2 and F5 (super-resolution), Fig. 6 (DreamBooth).

Of DreamBooth it is also asked who learns a subject without losing its class.

Those about distilled models are in `ldm.statistics.student`. As in `ldm.statistics.verdicts`, each verdict is holds,
fails or undecided, with its effect and its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.special

from ldm.metrics import Estimate
from ldm.statistics.bootstrap import Influences, basic, lower_is_better, replicates
from ldm.statistics.budget import affordable, lowest
from ldm.statistics.ranks import rank_correlation, somers_lead
from ldm.statistics.verdicts import Verdict, answered, listed


def f2(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> Verdict:
    """Judge F2: finetuned for super-resolution, quality follows the size more than the compute of finetuning.

    The claim is of section 3.2, Fig. 4.

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
    effect = somers_lead(
        size, compute, rows["value"].to_numpy(float), replicates(rows, influences), int(rows["n"].min())
    )
    return Verdict(
        finding="F2",
        answer=answered(effect, 0),
        metric=metric,
        effect=effect,
        meaning="Somers' D of quality on size, minus Somers' D on the compute of finetuning:",
        asked=f"{len(rows)} models (c = {listed(rows['size'])})",
    )


def _largest(rows: pd.DataFrame, finding: str) -> int:
    if rows["size"].nunique() < 2:
        raise ValueError(f"{finding} compares sizes: run the grid for two of them at least.")
    return rows["size"].max()


def _advantage(rows: pd.DataFrame, budgets: Sequence[float], influences: Influences | None) -> Estimate:
    """Return how much better the best smaller model is than the largest, on average over budgets.

    Each is at its best setting within a budget.
    """
    rows = rows[affordable(rows["cost"], max(budgets))]
    big, cost = (rows["size"] == rows["size"].max()).to_numpy(), rows["cost"].to_numpy(float)
    for side, who in ((big, "the largest size"), (~big, "a smaller size")):
        if not affordable(cost[side], min(budgets)).any():
            raise ValueError(f"A budget of {min(budgets):.3g} affords no setting of {who}: run cells with fewer steps.")

    def advantage(values: np.ndarray) -> np.ndarray:
        return (lowest(values[big], cost[big], budgets) - lowest(values[~big], cost[~big], budgets)).mean(0)

    value = float(advantage(rows["value"].to_numpy(float)))
    return basic(value, advantage(replicates(rows, influences)), int(rows["n"].min()))


FEW_STEPS = (4, 20)  # the paper's two ranges of steps in super-resolution; the second begins after the first
MANY_STEPS = (20, 250)


def f5(rows: pd.DataFrame, metric: str, influences: Influences | None = None, *, few: bool = True) -> Verdict:
    """Judge F5: in super-resolution smaller models win at equal cost with 4 to 20 steps, larger ones beyond.

    The claim is of section 3.5, Fig. 12.

    `few` picks the half of the finding. The effect is how much better the best smaller model is than the largest (with
    many steps: how much worse), on average over all budgets that the largest uses within the range; within a budget
    both may use any number of steps from the paper's least on. Intervals as in `f3`.
    """
    rows = lower_is_better(rows, metric)
    lo, hi = FEW_STEPS if few else MANY_STEPS
    rows = rows[rows["steps"] >= FEW_STEPS[0]]
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
        answer=answered(effect, 0),
        metric=metric,
        effect=effect,
        meaning="advantage of {} over {} at equal cost:".format(*((smaller, who) if few else (who, smaller))),
        asked=f"sizes {listed(rows['size'])}, budgets of c = {largest} at steps {listed(rows.loc[within, 'steps'])}",
    )


def fig6(
    pretraining: pd.DataFrame,
    tuned: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
) -> Verdict:
    """Judge Fig. 6: once a subject is learnt, quality depends on size as it did after pretraining (section 3.2).

    pretraining: one row of `alignment` a size. tuned: one row of `metric` a size, over subjects, whose influences are
    the subjects'. The effect is Kendall's rank correlation of the two over sizes. Holds where its interval lies above
    1/2, fails where it lies below. Raises: ValueError for fewer than two sizes, or for two rows of one size.
    """
    a, b = (
        lower_is_better(rows, name).sort_values("size") for rows, name in ((pretraining, "alignment"), (tuned, metric))
    )
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
        answer=answered(effect, 0.5),
        metric=metric,
        effect=effect,
        meaning="rank correlation over sizes with alignment as pretrained",
        asked=f"c = {', '.join(map(str, sizes))}",
    )


RECOGNISED, LEAKED = 0.5, 0.1  # shares of pictures: at least so many of the subject, at most so many of its class


def learnt_and_kept(recognised: Estimate, leaked: Estimate) -> str:
    """Say whether subjects are learnt and their class is kept: "yes", "no" or "undecided".

    Yes where at least half of the pictures of the subject surely show it, and at most a tenth of those of its class do;
    no where either is surely otherwise. The intervals are over subjects, so "surely" is said of these trainings.
    """
    if recognised.lo >= RECOGNISED and leaked.hi <= LEAKED:
        return "yes"
    return "no" if recognised.hi < RECOGNISED or leaked.lo > LEAKED else "undecided"


def subject_by_subject(rows: pd.DataFrame, subjects: Mapping[str, str], metric: str, one: str, other: str) -> Estimate:
    """Return how much larger `metric` is by variant `one` than by `other`, subject by subject, averaged over sizes.

    After the longest finetuning; Student's interval over subjects. Raises: ValueError for fewer than two subjects.
    """
    last = rows[(rows["metric"] == metric) & (rows["train_steps"] == rows["train_steps"].max())]
    values = last.assign(subject=last["key"].map(subjects)).pivot_table(
        index="subject", columns=["task", "c"], values="value"
    )
    gaps = (values[one] - values[other]).mean(axis=1).dropna().to_numpy(float)
    if len(gaps) < 2:
        raise ValueError(f"{len(gaps)} subjects have been learnt with {one!r} and with {other!r}: expected 2 or more.")
    half = scipy.special.stdtrit(len(gaps) - 1, 0.975) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return Estimate(float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half), len(gaps))
