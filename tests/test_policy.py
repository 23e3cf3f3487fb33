"""A rule with levers, on made-up rows whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from ldm.statistics.evidence import Evidence
from ldm.statistics.policy import Pull, budgets_of, follow, policy
from ldm.statistics.worth import PLAIN
from tests.test_worth import done, evidence


def guided(found: Evidence) -> Evidence:
    """The same evidence, as if all of it were guided."""
    found.rows["guidance"] = 2.0
    return found


def taken(found: Evidence, pulls: list[Pull], budgets) -> list[tuple[str, int, int]]:
    rows = found.rows.iloc[follow(found, done(found), pulls, np.asarray(budgets, float))]
    return list(zip(rows["lever"], rows["size"], rows["steps"], strict=True))


def test_it_takes_the_largest_size_that_affords_the_steps_and_then_as_many_as_it_affords():
    found = guided(evidence({"helps": 0.85}))
    price = (found.rows["done"] / found.rows["steps"]).groupby(found.rows["size"]).first()
    small, large = price.index.min(), price.index.max()
    asked = [Pull("helps", 8)]
    assert taken(found, asked, [8 * price[large], 16 * price[large]]) == [("helps", large, 8), ("helps", large, 16)]
    assert taken(found, asked, [8 * price[small]]) == [("helps", small, 8)]
    assert taken(found, asked, [7.9 * price[small]]) == [(PLAIN, small, 6)]  # too few for the lever
    assert taken(found, [*asked, Pull("helps", 4)], [7.9 * price[small]]) == [("helps", small, 4)]
    with pytest.raises(ValueError, match="buys nothing"):
        follow(found, done(found), asked, np.array([1e-9]))


def test_plain_sampling_keeps_its_guidance_where_a_guided_step_is_affordable():
    found = evidence({"helps": 0.85})
    unguided = guided(found).rows["steps"] > 6
    found.rows.loc[unguided, "guidance"] = 1.0
    most = float(done(found).max())
    assert {steps for _, _, steps in taken(found, [Pull(PLAIN, 1)], [most])} == {6}


def test_where_no_lever_is_affordable_plain_sampling_keeps_its_guidance_too():
    found = evidence({"helps": 0.85})
    found.rows["guidance"] = np.where(found.rows["steps"] > 6, 1.0, 2.0)
    small = int(found.rows["size"].min())
    price = float((found.rows["done"] / found.rows["steps"])[found.rows["size"] == small].min())
    assert taken(found, [Pull("helps", 16)], [12 * price]) == [(PLAIN, small, 6)]
    assert taken(found, [Pull("helps", 16)], [6 * price])[0][2] == 6
    found.rows["guidance"] = 1.0
    assert taken(found, [Pull("helps", 16)], [12 * price]) == [(PLAIN, small, 12)]


def test_the_policy_of_the_best_lever_loses_nothing_and_of_none_what_the_lever_is_worth():
    found = guided(evidence({"helps": 0.7, "harms": 1.3}, steps=(2, 3, 4, 6, 8, 12, 16, 32)))
    helped, plain, harmed = (policy(found, done(found), lever, []) for lever in ("helps", PLAIN, "harms"))
    assert helped.regret.value < 0.06 and 0.25 < plain.regret.lo < harmed.regret.value
    assert plain.worst >= plain.regret.value
    assert plain.regret.value - helped.regret.value == pytest.approx(1 / 0.7 - 1, abs=0.15)


def test_a_second_lever_stands_in_only_where_that_loses_less():
    found = guided(evidence({"helps": 0.8, "harms": 1.3}, steps=(4, 8, 16)))
    assert [pull.lever for pull in policy(found, done(found), "helps", ["harms"]).pulls] == ["helps"]
    after = policy(found, done(found), "harms", ["helps"]).pulls
    assert [pull.lever for pull in after] == ["harms", "helps"]


def test_budgets_begin_where_there_is_something_to_choose():
    found = evidence({"helps": 0.85})
    cost, pulled = done(found), (found.rows["lever"] != PLAIN).to_numpy()
    grid = budgets_of(found, cost)
    assert grid[0] == pytest.approx(cost[pulled].min()) and grid[-1] == pytest.approx(cost[pulled].max())
    with pytest.raises(ValueError, match="both"):
        budgets_of(found.where(~pulled), cost[~pulled])


def test_a_lever_without_rows_is_refused():
    found = guided(evidence({"helps": 0.85}))
    with pytest.raises(ValueError, match="'absent'"):
        policy(found, done(found), "absent", [])
    with pytest.raises(ValueError, match="'studnets'"):
        policy(found, done(found), "helps", ["studnets"])
