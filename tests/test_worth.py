"""What a lever is worth, on made-up rows whose truth is known: better, alike, worse, and of no use at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.statistics.evidence import Evidence
from ldm.statistics.worth import PLAIN, Priced, chances, with_steps_between, worth
from tests.synthetic import sampling

STEPS, COSTLY = (4, 8, 16), {"twice the price": 2.0, "half the price": 0.5}


def pays(c, steps, guidance):
    """Steps and size pay everywhere."""
    return 400 / c + 100 / steps


def evidence(truth: dict[str, float], *, se: float = 0.2, luck: int = 0, steps=STEPS) -> Evidence:
    """Plain settings at many step counts, and of each lever those of `steps`, whose values are scaled."""
    parts, influences = [], {}
    for place, (lever, factor) in enumerate({PLAIN: 1.0, **truth}.items()):
        rows, found = sampling(
            lambda c, steps, guidance, factor=factor: factor * pays(c, steps, guidance),
            se=se,
            seed=100 * luck + place,
            steps=(2, 3, 4, 6, 8, 12, 16, 32) if lever == PLAIN else steps,
            guidance=(1.0,),
        )
        price = COSTLY.get(lever, 1.0)
        parts.append(rows.assign(lever=lever, key=f"{lever}/" + rows["key"], done=rows["cost"] * price))
        influences |= {f"{lever}/{key}": part for key, part in found.items()}
    return Evidence.of(pd.concat(parts, ignore_index=True), "kid_effnet", influences)


def done(found: Evidence) -> np.ndarray:
    return found.rows["done"].to_numpy(float)


def priced(found: Evidence) -> Priced:
    return with_steps_between(found, done(found))


def test_a_lever_that_helps_is_better_one_that_harms_worse_and_one_that_does_nothing_the_same():
    found = evidence({"helps": 0.85, "harms": 1.15, "nothing": 1.0})
    assert set(worth(priced(found), "helps").outcomes) == {"better"}
    assert set(worth(priced(found), "harms").outcomes) == {"worse"}
    assert set(worth(priced(found), "nothing").outcomes) <= {"same", "open"}
    helped = worth(priced(found), "helps")
    assert (abs(helped.gain - 0.15) < 0.03).all() and helped.mean.lo < 0.15 < helped.mean.hi
    assert helped.counts["better"] == len(helped.budgets) == len(helped.table())
    assert list(helped.best["done"]) == pytest.approx(list(helped.budgets))


def test_the_same_pictures_at_twice_the_price_are_worse_and_at_half_of_it_better():
    found = evidence({"twice the price": 1.0, "half the price": 1.0})
    assert (worth(priced(found), "twice the price").gain < 0).all()
    cheap = worth(priced(found), "half the price")
    assert (cheap.gain > 0).all() and cheap.budgets[0] >= done(found)[(found.rows["lever"] == PLAIN).to_numpy()].min()


@pytest.mark.parametrize("steps", [STEPS, (5, 7, 10, 14, 20)], ids=["plain's costs", "costs between"])
def test_useless_levers_seldom_seem_better(steps):
    """The band holds at all budgets together, so of 40 useless levers one may seem so.

    Where their costs lie between plain's, plain sampling that left its budget unspent would lose nearly always.
    """
    wrong = 0
    for luck in range(40):
        found = evidence({"nothing": 1.0}, se=1.0, luck=luck, steps=steps)
        wrong += worth(priced(found), "nothing", margin=0).counts["better"] > 0
    assert wrong <= 3


def test_what_does_nothing_at_costs_between_plains_is_the_same():
    known = evidence({"nothing": 1.0}, se=0.05, steps=(3, 5, 7, 10, 14, 20))
    found = worth(priced(known), "nothing")
    assert set(found.outcomes) == {"same"} and np.abs(found.gain).max() < 0.02


def test_chances_are_of_the_best_of_all():
    likely = chances(priced(evidence({"helps": 0.85, "harms": 1.15})), np.geomspace(8, 40, 5))
    assert sum(likely.values()) == pytest.approx(np.ones(5)) and likely["harms"].max() < 0.05


def test_a_budget_that_buys_nothing_has_no_winner():
    found = evidence({"helps": 0.85})
    with pytest.raises(ValueError, match="buys nothing"):
        chances(priced(found), np.array([1e-9]))


def test_a_lever_without_rows_is_refused():
    found = evidence({"helps": 0.85})
    with pytest.raises(ValueError, match="run both"):
        worth(priced(found), "absent")
