"""The paper's findings about super-resolution as questions to rows: F2 and F5.

As in `ldm.statistics.verdicts`, each verdict is holds, fails or undecided, with its effect and its interval.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ldm.metrics import Estimate
from ldm.statistics.bands import bands
from ldm.statistics.bootstrap import Influences
from ldm.statistics.contest import SIDES, contest
from ldm.statistics.evidence import Evidence
from ldm.statistics.families import by_training
from ldm.statistics.isoflop import training_flops
from ldm.statistics.refusal import NotAsked
from ldm.statistics.verdicts import Verdict, listed, majority, sure

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
