"""The best size at a training budget, on made-up curves whose best size is known in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.statistics.evidence import Evidence
from ldm.statistics.isoflop import isoflop, training_flops
from ldm.statistics.refusal import NotAsked

SIZES = (8, 16, 24, 32, 48, 64)
LENGTHS = tuple(20_000 * 2**i for i in range(6))


def loss(params: float, images: float) -> float:
    """A law of the form of Hoffmann et al.: the best size, 40 parameters an image, grows as the root of the budget."""
    return 1 + 8.3e6 / params**0.9 + 3e5 / images**0.9


def family(value, se: float = 0.001) -> Evidence:
    """Sizes whose parameters and FLOPs go with the square of c, at six lengths."""
    rng, rows = np.random.default_rng(0), []
    for c in SIZES:
        params = 8_000.0 * c**2
        for images in LENGTHS:
            measured = value(params, images) + se * rng.standard_normal()
            rows.append(
                {
                    "key": f"{c}-{images}",
                    "metric": "kid_effnet",
                    "protocol": "synthetic",
                    "c": c,
                    "params": params,
                    "gflops": params * 1e-7,
                    "images_seen": images,
                    "steps": 50,
                    "value": measured,
                    "lo": measured - 1.96 * se,
                    "hi": measured + 1.96 * se,
                    "n": 1024,
                }
            )
    return Evidence.of(pd.DataFrame(rows), "kid_effnet")


def test_the_best_size_grows_as_the_law_says():
    found = isoflop(family(loss))
    assert found.exponent is not None and found.exponent.value == pytest.approx(0.5, abs=0.1)
    sizes = found.best["size"].tolist()
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_where_size_is_useless_the_smallest_is_best_and_no_law_is_told():
    found = isoflop(family(lambda params, images: 100 / np.log(images)))
    smallest = found.profiles.groupby("budget")["size"].min()
    assert found.best["size"].tolist() == smallest.tolist()
    assert found.exponent is None and found.best["params"].isna().all()


def test_a_measured_point_is_read_off_its_curve():
    evidence = family(loss, se=1e-9)
    flops = training_flops(evidence.rows)
    found = isoflop(evidence, budgets=2).profiles
    one = found[(found["budget"] == found["budget"].max())].iloc[0]
    at = int(np.argmin(np.abs(np.log(flops) - np.log(one["budget"])) + 100 * (evidence.rows["size"] != one["size"])))
    if np.isclose(flops[at], one["budget"]):
        assert one["value"] == pytest.approx(evidence.values[at])
    assert (found["lo"] <= found["value"]).all() and (found["value"] <= found["hi"]).all()


def test_too_few_sizes_are_refused_in_a_sentence():
    evidence = family(loss)
    with pytest.raises(ValueError, match="needs 3 sizes at two training lengths or more, not 2"):
        isoflop(evidence.where(evidence.rows["size"] <= 16))


def test_a_budget_that_fewer_than_three_curves_hold_is_left_out():
    """Curves of two lengths are short: between budgets that three sizes share lie some of one or two."""
    every = family(loss)  # c = 16 and 24 span all budgets, c = 32 ends before c = 48 begins
    kept = every.rows["size"].isin([16, 24])
    kept |= every.rows["size"].isin([32, 48]) & every.rows["images_seen"].isin(LENGTHS[:2])
    some = every.where(kept)
    flops, sizes = training_flops(some.rows), some.rows["size"]
    ends = {c: (flops[sizes == c].min(), flops[sizes == c].max()) for c in some.sizes}
    found = isoflop(some, budgets=40)
    assert 30 < found.profiles["budget"].nunique() == len(found.best) < 40
    for budget, part in found.profiles.groupby("budget"):
        held = [c for c, (least, most) in ends.items() if least * (1 - 1e-6) <= budget <= most * (1 + 1e-6)]
        assert len(part) == len(held) == 3
    short = every.where(every.rows["images_seen"].isin(LENGTHS[:2]) & every.rows["size"].isin([8, 24, 64]))
    with pytest.raises(NotAsked, match="shared by three sizes"):
        isoflop(short)


def test_replicates_below_nought_do_not_bend_the_curve_of_the_others():
    """A KID near 0 has replicates below it; the value lies on a power all the same, and they on it where they can."""
    near = family(lambda params, images: 1e4 / images, se=0.1)
    assert (near.replicates < 0).any() and (near.replicates > 0).any()
    found = isoflop(near).profiles
    budget = found["budget"].unique()[3]
    for one in found[found["budget"] == budget].itertuples():
        assert one.lo < one.value < one.hi and one.value == pytest.approx(1e4 / one.images, abs=0.4)
