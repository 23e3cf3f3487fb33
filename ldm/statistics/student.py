"""What the paper says of distilled models (section 3.6), as questions to rows of teachers and students.

F6, that the largest model, distilled, is no better than a smaller one of equal cost that is not; that a student in four
steps improves on its teacher at every size; and that it saves as many steps at every size. Rows tell teachers
("pretrain") and students apart by `task`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ldm.metrics import Estimate, Z
from ldm.statistics.bands import MARGIN
from ldm.statistics.bootstrap import Influences, basic, lower_is_better, of_one_training, replicates
from ldm.statistics.budget import affordable
from ldm.statistics.comparisons import accelerated
from ldm.statistics.refusal import NotAsked
from ldm.statistics.scatter import scatter_of
from ldm.statistics.verdicts import Verdict, answered, called, listed

TEACHER = "pretrain"
ALIKE = 1.5  # factors of steps saved whose ratio is below this count as the same


def f6(
    rows: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
    *,
    method: str = "codi",
    steps: int = 4,
    allowance: float = 1.0,
    trainings: pd.DataFrame | None = None,
) -> Verdict:
    """Judge F6: at the cost of the largest model, distilled, a smaller undistilled one is as good (section 3.6).

    The largest is the largest with such a student; smaller ones need none. The budget is what it costs at the student's
    `steps`, times `allowance`: the paper's own comparison allows 7/4 of it (Fig. 13) or 2 (its text). The effect is how
    much better the best smaller undistilled model within it is, as a share of the student's value. "As good" is no
    worse than by the margin, or by the scatter of trainings in as many steps where that is known and larger: it holds
    where the effect's interval lies above that, fails where it lies below. `trainings`: rows that know it, of models
    that were trained several times; none: it is not known. Guidance is chosen on either side, and is not counted in the
    paper's cost; a student needs no second evaluation for it. Raises: NotAsked where the student or the smaller
    models have no rows.
    """
    rows = of_one_training(rows, metric)
    distilled = (rows["task"] == method) & (rows["steps"] == steps)
    if not distilled.any():
        raise NotAsked(f"F6 needs {method} in {steps} steps: run its cells.")
    largest = rows.loc[distilled, "size"].max()
    distilled &= rows["size"] == largest
    budget = allowance * rows.loc[distilled, "cost"].min()
    smaller = (rows["task"] == TEACHER) & (rows["size"] < largest) & affordable(rows["cost"], budget)
    if not smaller.any():
        raise NotAsked(
            f"F6 needs a smaller undistilled model at a cost of at most {budget:.3g}: run cells with fewer steps."
        )
    scatter = None if trainings is None else scatter_of(lower_is_better(trainings, metric))
    margin = max(MARGIN, float(scatter.at(rows[distilled]).max()) if scatter else 0.0)
    compared = rows[distilled | smaller].reset_index(drop=True)
    ours = (compared["task"] == TEACHER).to_numpy()
    value, drawn = _gain(compared["value"].to_numpy(float), ours, replicates(compared, influences))
    effect = basic(value, drawn, int(compared["n"].min()))
    return Verdict(
        finding="F6",
        answer=answered(effect, -margin),
        metric=metric,
        effect=effect,
        meaning=f"advantage of the best smaller undistilled model over c = {largest} by {called(method)} in {steps}"
        " steps, as a share of the latter's value:",
        asked=f"a budget of {allowance * steps:g} steps of c = {largest} (a cost of {budget:.3g}),"
        f" sizes {listed(compared['size'])}",
        detail=f"{margin:.1%} worse counts as alike",
    )


def _gain(values: np.ndarray, ours: np.ndarray, drawn: np.ndarray) -> tuple[float, np.ndarray]:
    """Return by how much the best of our values is better than the best of the others, and the same in each replicate.

    Both are shares of the others' measured value.
    """
    theirs = drawn[~ours].min(0)
    share = max(abs(values[~ours].min()), Z * theirs.std())  # a value that may be 0 is no measure of anything
    return float((values[~ours].min() - values[ours].min()) / share), (theirs - drawn[ours].min(0)) / share


def _too_few(method: str, steps: int) -> NotAsked:
    return NotAsked(f"{method} in {steps} steps needs rows beside its teacher at two sizes or more; run its cells.")


def every_size_gains(
    rows: pd.DataFrame, metric: str, influences: Influences | None = None, *, method: str = "codi", steps: int = 4
) -> Verdict:
    """Judge the first half of Fig. 13: in four steps a student is better than its teacher in as many, at every size.

    The effect is the least gain of any size, as a share of the teacher's value, each at its best guidance. Its interval
    is from a band that holds for all sizes together: it holds where every size surely gains, and fails where one surely
    loses. Raises: NotAsked where fewer than two sizes have both.
    """
    rows = of_one_training(rows, metric)
    rows = rows[rows["task"].isin([TEACHER, method]) & (rows["steps"] == steps)].reset_index(drop=True)
    sizes = [c for c, part in rows.groupby("size") if part["task"].nunique() == 2]
    if len(sizes) < 2:
        raise _too_few(method, steps)
    drawn, values, student = replicates(rows, influences), rows["value"].to_numpy(float), rows["task"] == method
    gains, noise = [], []
    for c in sizes:
        mine = (rows["size"] == c).to_numpy()
        gain, moved = _gain(values[mine], student[mine].to_numpy(), drawn[mine])
        gains.append(gain)
        noise.append(moved - moved.mean())
    errors = np.array(noise)
    spread = np.maximum(errors.std(1), 1e-12)
    reach = np.quantile(np.abs(errors / spread[:, None]).max(0), 0.95) * spread
    effect = Estimate(min(gains), float(np.min(gains - reach)), float(np.min(gains + reach)), int(rows["n"].min()))
    return Verdict(
        finding="Fig. 13",
        answer=answered(effect, 0),
        metric=metric,
        effect=effect,
        meaning=f"least gain of any size by {called(method)} in {steps} steps over its teacher, as a share of the"
        " value:",
        asked=f"c = {listed(sizes)}",
    )


def same_factor(
    rows: pd.DataFrame, metric: str, influences: Influences | None = None, *, method: str = "codi", steps: int = 4
) -> Verdict:
    """Judge the second half of Fig. 13: a student saves its teacher as many steps at every size (about five times).

    The effect is the ratio of the largest factor of any size to the smallest (`comparisons.accelerations`). It holds
    where it surely lies below ALIKE, and fails where it surely lies above. Where a teacher is as good at none of its
    step counts, its factor counts as that of twice the most. Raises: as `every_size_gains`.
    """
    rows = of_one_training(rows, metric)
    rows = rows.loc[rows.groupby(["task", "size", "steps"])["value"].idxmin()]
    most, factors, drawn = 2 * float(rows.loc[rows["task"] == TEACHER, "steps"].max()), [], []
    sizes = []
    for size, part in rows.groupby("size"):
        student = part[(part["task"] == method) & (part["steps"] == steps)]
        teacher = part[part["task"] == TEACHER].sort_values("steps")
        if len(student) == 1 and len(teacher):
            value, replicated = accelerated(student, teacher, influences)
            sizes.append(size)
            factors.append(min(value, most) / steps)
            drawn.append(np.minimum(replicated, most) / steps)
    if len(factors) < 2:
        raise _too_few(method, steps)
    ratio = lambda of: np.max(of, 0) / np.min(of, 0)
    lo, hi = np.quantile(ratio(np.array(drawn)), [0.025, 0.975])
    effect = Estimate(float(ratio(np.array(factors))), float(lo), float(hi), int(rows["n"].min()))
    return Verdict(
        finding="Fig. 13",
        answer="holds" if effect.hi < ALIKE else "fails" if effect.lo > ALIKE else "undecided",
        metric=metric,
        effect=effect,
        meaning=f"largest factor of steps saved by {called(method)} in {steps} steps over the smallest, of all sizes:",
        asked=f"c = {listed(sizes)}",
    )
