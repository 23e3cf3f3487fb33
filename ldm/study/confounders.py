"""Is F3 an artefact? The finding asked again with one suspect at a time changed: training, guidance, spacing, n.

Each suspect is a set of conditions; a condition is a grid of cells that differs from the others in that alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ldm.metrics import Estimate, Z
from ldm.metrics.catalogue import brief, metric_of
from ldm.profile import Profile
from ldm.statistics.bootstrap import lower_is_better
from ldm.statistics.scatter import scatter_by_steps
from ldm.study.results import Store
from ldm.study.run import run
from ldm.study.sampling import Evaluation, SamplingEvaluator, sampling_grid

Conditions = Mapping[str, Sequence[Evaluation]]
SWEPT = (1.0, 1.5, 2.0, 3.0)  # guidance values that some size may prefer
FEW_AND_MANY = (1, 2, 3, 4, 8, 16, 50)


def trainings(
    profile: Profile, sizes: Sequence[int], lengths: Sequence[int] = (), steps: Sequence[int] = ()
) -> Conditions:
    """Return all sizes after fewer and more images: every second length of the profile, unless told otherwise."""
    steps = steps or _known(FEW_AND_MANY, profile.steps)
    return {
        f"{images:,} images": sampling_grid(profile, sizes, steps, _known(SWEPT, profile.guidance), images=images)
        for images in lengths or profile.lengths[::-2][::-1]
    }


def guidances(profile: Profile, sizes: Sequence[int]) -> Conditions:
    """Return the conditions: no guidance, one value for all, and the best value for each size and step count."""
    grid = lambda *values: sampling_grid(profile, sizes, profile.steps, values)
    weak = min(value for value in profile.guidance if value > 1)
    return {
        "none": grid(1.0),
        f"{weak:g} for all": grid(weak),
        "4 for all": grid(4.0),
        "the best of each": grid(*profile.guidance),
    }


def spacings(profile: Profile, sizes: Sequence[int], steps: Sequence[int] = ()) -> Conditions:
    """Return the conditions: times that start at the very last one, and those that SD was released with.

    The first are called trailing, the second leading.
    """
    steps = steps or _known((2, 4, 8, 16, 32, 50), profile.steps)
    return {
        spacing: sampling_grid(
            profile,
            sizes,
            steps,
            _known(SWEPT, profile.guidance),
            sampler="ddim" if spacing == profile.spacing else f"ddim-{spacing}",
        )
        for spacing in ("trailing", "leading")
    }


def counts(profile: Profile, sizes: Sequence[int], ns: Sequence[int] = (), steps: int = 8) -> list[Evaluation]:
    """Return one setting, scored on ever more pictures, from a quarter of the profile's number on."""
    ns = ns or sorted({max(16, profile.n // 4), profile.n, 4 * profile.n, min(16 * profile.n, 4096)})
    weak = min(value for value in profile.guidance if value > 1)
    return [cell for n in ns for cell in sampling_grid(profile, sizes, [steps], [weak], n=n)]


def _known(wanted: Sequence[float], there: Sequence[float]) -> list[Any]:
    return [value for value in wanted if value in there]


def ran(conditions: Conditions, *, store: Store, evaluator: SamplingEvaluator) -> dict[str, pd.DataFrame]:
    """Return the rows of each condition, by its name; missing cells are run."""
    return {name: run(cells, store=store, evaluator=evaluator, title=name) for name, cells in conditions.items()}


def scatter(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return how far trainings differ in their best settings, a line a metric and size, a column a step count.

    Sizes with one training have no line.
    """
    found = []
    for metric in metrics:
        for c, part in lower_is_better(rows, metric).groupby("c"):
            if part["seed"].nunique() > 1:
                shares = scatter_by_steps(part)
                found.append(
                    {"by": brief(metric), "c": c} | {f"{s} steps": f"{one.sd:.1%}" for s, one in shares.items()}
                )
    return pd.DataFrame(found)


def limits(rows: pd.DataFrame, metric: str, *, least: int) -> pd.DataFrame:
    """Return the metric at infinitely many pictures: a line in 1/n through the counts from `least` up, read at 0.

    `least`: the bias is a line in 1/n only where n is several times the features' dimension
    (Chong and Forsyth 2020). The counts share their first pictures, which the intervals do not use: they err towards
    doubt. A size with fewer than two counts has no line. Columns `c`, `value`, `lo`, `hi`, and `slope`: what one
    picture more or less does.
    """
    rows, found = rows[(rows["metric"] == metric) & (rows["n"] >= least)], []
    for c, part in rows.groupby("c"):
        if part["n"].nunique() < 2:
            continue  # one point has no line
        se = (part["hi"] - part["lo"]).to_numpy(float) / (2 * Z)
        coefficients, covariance = np.polyfit(
            1 / part["n"].to_numpy(float), part["value"].to_numpy(float), 1, w=1 / se, cov="unscaled"
        )
        limit = Estimate.of(coefficients[1], np.sqrt(covariance[1, 1]), int(part["n"].max()))
        found.append({"c": c, "value": limit.value, "lo": limit.lo, "hi": limit.hi, "slope": coefficients[0]})
    return pd.DataFrame(found, columns=["c", "value", "lo", "hi", "slope"])


def order_by_n(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return how each metric ranks the sizes, best first, at each count of pictures.

    A row's own n can be less than its cell's: where captions leave things out, not every picture is asked for all.
    """
    found = []
    for n, part in rows.groupby(rows.groupby("key")["n"].transform("max")):
        line = {"n": n}
        for metric in metrics:
            up = metric_of(metric).better == "higher"
            ranked = part[part["metric"] == metric].sort_values("value", ascending=not up)
            line[metric] = ", ".join(f"{c}" for c in ranked["c"])
        found.append(line)
    return pd.DataFrame(found)
