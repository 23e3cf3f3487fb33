"""The paper's findings downstream as questions to rows: F2 and F5 (super-resolution), Fig. 6 (DreamBooth).

Of DreamBooth it is also asked who learns a subject without losing its class.

Those about distilled models are in `ldm.statistics.student`. As in `ldm.statistics.verdicts`, each verdict is holds,
fails or undecided, with its effect and its interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ldm.metrics import Estimate
from ldm.statistics.bands import bands
from ldm.statistics.bootstrap import Influences, lower_is_better, replicates
from ldm.statistics.contest import SIDES, contest
from ldm.statistics.evidence import Evidence
from ldm.statistics.families import by_training
from ldm.statistics.isoflop import training_flops
from ldm.statistics.ranks import rank_correlation
from ldm.statistics.refusal import NotAsked
from ldm.statistics.verdicts import Verdict, answered, listed, majority, sure

SETTLED = 4  # a finetuning of the largest size counts from its longest one divided by this on


def f2(rows: pd.DataFrame, metric: str, influences: Influences | None = None, *, at_end: bool = False) -> Verdict:
    """Judge F2: finetuned for super-resolution, quality follows the size more than the compute of finetuning.

    The claim is of section 3.2, Fig. 4. It is asked in two turns, each of the largest size against the best smaller
    one: within equal compute of finetuning, from where the largest has settled to where no smaller one was finetuned
    for longer, each read off its curve over the lengths (a size that ended before stays as it ended); and `at_end`,
    each size after its longest finetuning. Holds where the largest is surely better over more than half of the
    doublings, fails where it is surely not (a smaller one is, or they are alike within the margin) over more than half.
    The effect is its mean advantage, as a share of its value.
    Raises: NotAsked for rows of one size, and where the two have no such budgets in common.
    """
    rows = _of_several(rows, metric, "F2")
    large, longest = rows["c"] == rows["c"].max(), rows.groupby("c")["images_seen"].transform("max")
    if at_end:
        evidence = Evidence.of(rows[rows["images_seen"] == longest], metric, influences)
        smaller = (evidence.rows["size"] != evidence.sizes[-1]).to_numpy(bool)
        found = bands(evidence, np.ones(len(smaller)), smaller, SIDES, 1, 2)  # one budget, which all afford
        lengths = sorted({int(images) for images in evidence.rows["images_seen"]})
        when = f"after {', '.join(f'{images:,}' for images in lengths)} images"
    else:
        kept = rows[~large | (rows["images_seen"] * SETTLED >= longest)].assign(family=large.astype(int))
        evidence = Evidence.of(_carried_on(kept), metric, influences)
        found = by_training(evidence, SIDES)
        when = f"within the compute of the largest after {longest[large].max() // SETTLED:,} images and more"
    yes, no = sure(found, "largest")
    return Verdict(
        finding="F2",
        answer=majority(yes, no),
        metric=metric,
        effect=_turned(found.mean),
        meaning=f"advantage of c = {evidence.sizes[-1]} over the best smaller size, as a share of its own value:",
        asked=f"sizes {listed(evidence.sizes)} {when}; {evidence.trainings}",
        detail="" if at_end else f"surely better over {yes:.0%} of the doublings, surely not over {no:.0%}",
    )


FEW_STEPS = (4, 20)  # the paper's two ranges of steps in super-resolution; the second begins where the first ends
MANY_STEPS = (20, 250)


def f5(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> Verdict:
    """Judge F5: in super-resolution smaller models win at equal cost with 4 to 20 steps, larger ones beyond.

    The claim is of section 3.5, Fig. 12. Budgets are those of 4 to 250 steps of the largest size. The finding holds
    where a smaller one is surely better over more than half of the doublings up to 20 steps, and the largest over more
    than half of those beyond. It fails where either is surely otherwise (the other side is better, or they are alike
    within the margin) over more than half. A budget buys the best of the step counts that it affords; the largest
    one's 250 steps are where budgets end, and none buys them. The effect is the mean advantage of the best smaller size
    up to 20 steps, less that beyond, as a share of the largest one's value; its interval counts both as if they were
    apart, though they are of the same pictures.
    """
    evidence = Evidence.of(_of_several(rows, metric, "F5"), metric, influences)
    mine = evidence.rows[evidence.rows["size"] == evidence.sizes[-1]].set_index("steps")["cost"].sort_index()
    least, turn, most = (float(mine[mine.index <= steps].max()) for steps in (FEW_STEPS[0], *MANY_STEPS))
    if not least < turn < most:
        raise NotAsked(
            f"F5 needs c = {evidence.sizes[-1]} with {FEW_STEPS[0]}, {FEW_STEPS[1]} and more steps; run such cells."
        )
    few, many = (
        contest(evidence, start=start, end=end, fewest=FEW_STEPS[0]) for start, end in ((least, turn), (turn, most))
    )
    (small, not_small), (large, not_large) = sure(few, "smaller"), sure(many, "largest")
    largest = f"c = {few.largest}"
    error = float(np.hypot(few.mean.se, many.mean.se))
    return Verdict(
        finding="F5",
        answer=majority(min(small, large), max(not_small, not_large)),
        metric=metric,
        effect=Estimate.of(few.mean.value - many.mean.value, error, evidence.n),
        meaning=f"advantage of the best smaller size over {largest} up to {FEW_STEPS[1]} of its steps, less that"
        " beyond, as a share of its value:",
        asked=f"sizes {listed(evidence.sizes)}, budgets of {listed(mine.index.astype(int))} steps of {largest};"
        f" {evidence.trainings}",
        detail=f"up to {FEW_STEPS[1]} steps a smaller one is surely better over {small:.0%} of the doublings, surely"
        f" not over {not_small:.0%}; beyond, {largest} is surely better over {large:.0%}, surely not over"
        f" {not_large:.0%}",
    )


def _carried_on(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with one more of each training of a size that ended before the largest settled: as it ended.

    A budget affords it, and it has no use for more.
    Raises: NotAsked where all smaller sizes ended before.
    """
    flops = pd.Series(training_flops(rows), rows.index)
    start = flops[rows["family"] == 1].min()
    if flops[rows["family"] == 0].max() <= start:
        raise NotAsked(
            "F2 within equal compute needs a smaller size that was finetuned for more than the largest was when it"
            " settled; finetune for longer, or compare sizes that are nearer to each other."
        )
    last = rows[rows["images_seen"] == rows.groupby("c")["images_seen"].transform("max")]
    early = last[flops[last.index] < start]
    further = np.ceil(early["images_seen"].astype(float) * start / flops[early.index]).astype(int)
    return pd.concat([rows, early.assign(images_seen=further)], ignore_index=True)


def _of_several(rows: pd.DataFrame, metric: str, finding: str) -> pd.DataFrame:
    """Return the rows of a metric, if they are of several sizes."""
    rows = rows[rows["metric"] == metric].reset_index(drop=True)
    if rows["c"].nunique() == 1:
        raise NotAsked(f"{finding} compares sizes: run the grid for two of them at least.")
    return rows


def _turned(effect: Estimate) -> Estimate:
    """Return the effect as the other side sees it."""
    return Estimate(-effect.value, -effect.hi, -effect.lo, effect.n)


def fig6(
    pretraining: pd.DataFrame,
    tuned: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
) -> Verdict:
    """Judge Fig. 6: once a subject is learnt, quality depends on size as it did after pretraining (section 3.2).

    pretraining: one row of `alignment` a size. tuned: one row of `metric` a size, over subjects, whose influences are
    the subjects'. The effect is Kendall's rank correlation of the two over sizes. Holds where its interval lies above
    1/2, fails where it lies below. Raises: NotAsked for fewer than two sizes, or for two rows of one size.
    """
    a, b = (
        lower_is_better(rows, name).sort_values("size") for rows, name in ((pretraining, "alignment"), (tuned, metric))
    )
    sizes = sorted(set(a["size"]) & set(b["size"]))
    a, b = (rows[rows["size"].isin(sizes)] for rows in (a, b))
    if len(sizes) < 2 or not len(a) == len(b) == len(sizes):
        raise NotAsked(
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

    After the longest finetuning; Student's interval over subjects. Those that lack a size are left out: sizes differ,
    and their mean would be of others. Raises: ValueError for fewer than two subjects, and for an unknown variant.
    """
    last = rows[(rows["metric"] == metric) & (rows["train_steps"] == rows["train_steps"].max())]
    values = last.assign(subject=last["key"].map(subjects)).pivot_table(
        index="subject", columns=["task", "c"], values="value"
    )
    known = list(values.columns.get_level_values("task").unique())
    if unknown := [name for name in (one, other) if name not in known]:
        raise ValueError(f"variant {unknown[0]!r}: expected one of {', '.join(map(repr, known))}; finetune it first.")
    both = (values[one] - values[other]).dropna(axis=1, how="all")  # sizes that both were finetuned at
    gaps = both.mean(axis=1, skipna=False).dropna().to_numpy(float)
    if len(gaps) < 2:
        raise NotAsked(f"{len(gaps)} subjects have been learnt with {one!r} and with {other!r}: expected 2 or more.")
    return Estimate.of_few(gaps)
