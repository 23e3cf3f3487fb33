"""How far trainings differ by their seed alone, as a share of the value, and how little few of them tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.statistics.bootstrap import REPLICATES
from ldm.statistics.settings import DRAWN, network_of, present

# How the luck of training is counted: by what the best settings scatter by at each step count; by one share of the
# value for all settings; or not at all.
Luck = Literal["steps", "one", "none"]
RULE: Luck = "steps"  # of the verdicts (`book/protocol.md`)


class Spread(NamedTuple):
    """Standard deviation between training seeds, and its degrees of freedom."""

    sd: float
    dof: int
    by_steps: Mapping[int, Spread] = MappingProxyType({})  # step count -> that of it, where it is asked of each

    @property
    def shares(self) -> str:
        """The standard deviation as a share of the value, in words: a range where it is known of each step count."""
        known = [one.sd for one in self.by_steps.values()] or [self.sd]
        return " to ".join(dict.fromkeys(f"{sd:.1%}" for sd in (min(known), max(known))))

    def each(self, rows: pd.DataFrame) -> list[Spread]:
        """Return that of each row's step count; of all where it is not known of that one."""
        return [self.by_steps.get(int(steps), self) for steps in rows["steps"]] if self.by_steps else [self] * len(rows)

    def at(self, rows: pd.DataFrame) -> Float[np.ndarray, " rows"]:
        """Return the standard deviation of each row, as a share of its value."""
        return np.array([one.sd for one in self.each(rows)])


def scatter_of(rows: pd.DataFrame, luck: Luck = RULE) -> Spread | None:
    """Return how far trainings scatter that differ in their seed alone, in one way of counting it.

    None where it is not counted, or where none has a twin.
    """
    found = None if luck == "none" else training_scatter(rows)
    return found._replace(by_steps=scatter_by_steps(rows)) if found and luck == "steps" else found


def training_scatter(rows: pd.DataFrame) -> Spread | None:
    """Return how far trainings differ that differ in their seed alone, as one share of the value for all settings.

    None where none has a twin.

    The variance between seeds is averaged over a model's settings, then pooled over models: two or three seeds say
    little about their own scatter. It holds each training's own luck with the pictures too. It is taken for models
    without a twin as well, which is an extrapolation.
    """
    if "seed" not in rows:
        return None
    models, drawn = _twins(rows)
    if drawn.empty:
        return None
    drawn["square"] = drawn["mean"] ** 2  # what they are weighed by: near 0 a share of the value says nothing
    model = drawn.groupby(level=models, dropna=False).agg(
        variance=("variance", "sum"), square=("square", "sum"), seeds=("seeds", "first")
    )
    shares = model["variance"] / model["square"].clip(lower=1e-12)
    return _pooled_spread(shares, model["seeds"] - 1)


def _pooled_spread(shares: pd.Series, dof: pd.Series) -> Spread:
    """Pool variances of models, as shares of their squared values, by their degrees of freedom: first in each network.

    A network's lengths of training come from the same trainings, so they add none. Both have `network` in their index.
    """
    of_network = (shares * dof).groupby(level="network").sum() / dof.groupby(level="network").sum()
    trainings = dof.groupby(level="network").max()
    return Spread(float(np.sqrt((of_network * trainings).sum() / trainings.sum())), int(trainings.sum()))


def scatter_by_steps(rows: pd.DataFrame) -> dict[int, Spread]:
    """Return step count -> how far trainings that differ in their seed alone differ there, as a share of the value.

    Of each model's settings with so many steps the one with the best mean is asked, which a budget would choose: others
    are many, and may be large and alike. Empty where nothing was drawn in steps, as held-out losses are not.
    """
    if "steps" not in rows:
        return {}
    models, drawn = _twins(rows)
    drawn = drawn.reset_index()
    best = drawn.loc[drawn.groupby([*models, "steps"], dropna=False)["mean"].idxmin()]
    best = best.assign(share=best["variance"] / (best["mean"] ** 2).clip(lower=1e-12), dof=best["seeds"] - 1)
    by_steps = best.set_index("network").groupby("steps")
    return {int(steps): _pooled_spread(part["share"], part["dof"]) for steps, part in by_steps}


def _twins(rows: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Return the columns that name a model, and mean, variance and number of its trainings in each setting.

    Settings that one of a model's trainings lacks are left out, as are models that were trained once.
    """
    models = ["network", *present(rows, "task", "images_seen")]
    settings = [*models, *present(rows, *DRAWN, "strength")]
    rows = rows.assign(network=network_of(rows))
    rows["expected"] = rows.groupby(models, dropna=False)["seed"].transform("nunique")
    drawn = rows.groupby(settings, dropna=False).agg(
        mean=("value", "mean"), variance=("value", "var"), seeds=("seed", "nunique"), expected=("expected", "first")
    )
    return models, drawn[(drawn["seeds"] == drawn["expected"]) & (drawn["seeds"] > 1)]


def tails(dofs: set[int], rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Return degrees of freedom -> what makes normal replicates Student's (REPLICATES,): few trainings tell a scatter.

    They are of one draw: a chi-square of more degrees is one of fewer and what comes on top.
    """
    found, square, known = {}, np.zeros(REPLICATES), 0
    for dof in sorted(dofs):
        square, known = square + rng.chisquare(dof - known, REPLICATES), dof
        found[dof] = np.sqrt(dof / square)
    return found
