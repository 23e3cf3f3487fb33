"""The best size at each training budget (isoFLOP profiles), and how it grows with the budget.

Hoffmann et al. 2022, approach 2: at a fixed budget of training FLOPs a small model sees many images and a large one
few; somewhere between lies the best size. Each size's quality at a budget is read off its own curve over training
lengths, straight between two measured lengths, in logarithms of both; sizes whose curve does not hold the budget
are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate
from ldm.networks.cost import PASSES
from ldm.statistics.evidence import Evidence
from ldm.statistics.refusal import NotAsked

LEAST = 3  # sizes that a budget needs for a curve over sizes


@dataclass(frozen=True, kw_only=True, eq=False)
class IsoFlop:
    """Profiles over sizes at several budgets, and a power law for the best number of parameters."""

    profiles: pd.DataFrame  # `budget` (FLOPs), `size` (c), `params`, `images`, `value`, `lo`, `hi`, `n`
    best: pd.DataFrame  # a line a budget: `budget`, `size` (the best measured), `chance`, `params`, `lo`, `hi` (vertex)
    exponent: Estimate | None  # of best params = constant * budget ** exponent; None below two budgets with a vertex


def training_flops(rows: pd.DataFrame) -> Float[np.ndarray, " rows"]:
    """Return the FLOPs that trained each row's model: of forward and backward passes of all images that it saw."""
    return (rows["gflops"].astype(float) * 1e9 * PASSES * rows["images_seen"].astype(float)).to_numpy()


def isoflop(evidence: Evidence, budgets: int = 7) -> IsoFlop:
    """Compare sizes at equal training FLOPs.

    evidence: one row for each size and training length, sampled in one way. budgets: how many, evenly in logarithms
    between the least and the most at which three sizes can be compared; those between that fewer curves hold are left
    out.
    Raises: NotAsked where fewer than three sizes have two lengths each, or have no budget in common.
    """
    rows, flops = evidence.rows, training_flops(evidence.rows)
    lines = {c: np.flatnonzero((rows["size"] == c).to_numpy()) for c in evidence.sizes}
    lines = {c: at[np.argsort(flops[at])] for c, at in lines.items() if len(at) > 1}
    if len(lines) < LEAST:
        raise NotAsked(
            f"An isoFLOP profile needs {LEAST} sizes at two training lengths or more, not {len(lines)}; train more."
        )
    starts, ends = (np.sort([flops[at[i]] for at in lines.values()]) for i in (0, -1))
    least, most = starts[LEAST - 1], ends[-LEAST]
    grid = np.geomspace(least, most, budgets) if least < most else np.array([])
    curves = [[c for c, at in lines.items() if _holds(flops[at], budget)] for budget in grid]  # that hold a budget
    compared = [(budget, inside) for budget, inside in zip(grid, curves, strict=True) if len(inside) >= LEAST]
    if not compared:
        raise NotAsked("No training budget is shared by three sizes; train them for more lengths.")
    found, best, vertices = [], [], []
    for budget, inside in compared:
        values, drawn = map(np.stack, zip(*(_read(budget, flops, evidence, lines[c]) for c in inside), strict=True))
        params = np.array([float(rows["params"].iloc[lines[c][0]]) for c in inside])
        for c, value, replicate, size in zip(inside, values, drawn, params, strict=True):
            e = evidence.estimate(value, replicate)
            per_image = flops[lines[c][0]] / float(rows["images_seen"].iloc[lines[c][0]])
            found.append((budget, c, size, budget / per_image, *e))
        winner = int(values.argmin())
        vertex = np.append(_vertex(np.log(params), values[:, None]), _vertex(np.log(params), drawn))
        lo, hi = np.nanquantile(vertex[1:], [0.025, 0.975]) if np.isfinite(vertex[1:]).any() else (np.nan, np.nan)
        chance = float((drawn.argmin(0) == winner).mean())
        best.append((budget, inside[winner], chance, *np.exp([vertex[0], lo, hi])))
        vertices.append(vertex)
    return IsoFlop(
        profiles=pd.DataFrame(found, columns=["budget", "size", "params", "images", "value", "lo", "hi", "n"]),
        best=pd.DataFrame(best, columns=["budget", "size", "chance", "params", "lo", "hi"]),
        exponent=_exponent(np.log([budget for budget, _ in compared]), np.stack(vertices), evidence.n),
    )


def at_budgets(evidence: Evidence, budgets: Float[np.ndarray, " m"]) -> tuple[Evidence, Float[np.ndarray, " rows"]]:
    """Return a row for each network and each of these training budgets that lies on its curve, and each row's budget.

    evidence: one row for each network (profile and size) and training length. Values and replicates are read off the
    curve as `isoflop` reads them. Raises: NotAsked for a network with one length, which has no curve, and where no
    budget lies on any.
    """
    flops = training_flops(evidence.rows)
    kept, values, drawn, at = [], [], [], []
    for name, line in evidence.rows.groupby(["profile", "size"], sort=False).indices.items():
        line = line[np.argsort(flops[line])]
        if len(line) < 2:
            raise NotAsked(
                f"Network {name} was measured after one length of training alone; measure it after another, too."
            )
        for budget in budgets:
            if _holds(flops[line], budget):
                value, replicates = _read(budget, flops, evidence, line)
                kept.append(line[0])
                values.append(value)
                drawn.append(replicates)
                at.append(budget)
    if not kept:
        raise NotAsked("No network has two training lengths with one of these budgets between them; train for more.")
    rows = evidence.rows.iloc[kept].assign(value=values).reset_index(drop=True)
    return replace(evidence, rows=rows, replicates=np.stack(drawn)), np.array(at)


def _holds(flops: np.ndarray, budget: float) -> bool:
    """Return whether a curve at these FLOPs, in growing order, reaches a budget on both sides."""
    return bool(flops[0] * (1 - 1e-9) <= budget <= flops[-1] * (1 + 1e-9))


def _read(budget: float, flops: np.ndarray, evidence: Evidence, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the value and the replicates (k,) at a budget within a size's curve, straight over the logarithm of FLOPs.

    flops: of all rows. line: the places of the curve's rows, by FLOPs.
    """
    x = np.log(flops[line])
    i = int(np.clip(np.searchsorted(x, np.log(budget)) - 1, 0, len(x) - 2))
    share = np.clip((np.log(budget) - x[i]) / (x[i + 1] - x[i]), 0, 1)
    ends = line[i : i + 2]
    falls = (evidence.values[ends] > 0).all()  # as a power, so that a chord would lie above the curve

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        chord = a * (1 - share) + b * share
        power = falls & (a > 0) & (b > 0)  # a replicate of a small value may be below 0
        return np.where(power, np.where(power, a, 1) ** (1 - share) * np.where(power, b, 1) ** share, chord)

    return between(*evidence.values[ends]), between(*evidence.replicates[ends])


def _vertex(x: Float[np.ndarray, " sizes"], values: Float[np.ndarray, "sizes k"]) -> Float[np.ndarray, " k"]:
    """Return the lowest point of the parabola through the best size and its two neighbours.

    NaN where the best has but one.
    """
    middle = values.argmin(0)
    inside = (middle > 0) & (middle < len(x) - 1)
    at = np.clip(middle, 1, len(x) - 2) + np.array([[-1], [0], [1]])
    (x0, x1, x2), (y0, y1, y2) = x[at], np.take_along_axis(values, at, 0)
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = (x0 + x1) / 2 - left * (x2 - x0) / (2 * (right - left))
    return np.where(inside, vertex, np.nan)


def _exponent(x: Float[np.ndarray, " m"], vertices: Float[np.ndarray, "m k"], n: int) -> Estimate | None:
    """Return the slope of the vertices over the budgets, with an interval.

    It is that of the replicates that have two budgets or more.
    """

    def slope(y: np.ndarray) -> float:
        known = np.isfinite(y)
        return float(np.polyfit(x[known], y[known], 1)[0]) if known.sum() > 1 else np.nan

    value, drawn = slope(vertices[:, 0]), np.array([slope(y) for y in vertices[:, 1:1001].T])
    if not np.isfinite(value) or np.isfinite(drawn).mean() < 0.5:
        return None
    lo, hi = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(value, float(min(lo, value)), float(max(hi, value)), n)
