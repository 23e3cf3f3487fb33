"""The rule "take the largest size that affords N steps", on made-up rows where the right N is known."""

from __future__ import annotations

import numpy as np
import pytest

from ldm.statistics.evidence import Evidence
from ldm.statistics.rule_of_thumb import best_settings, budgets_between, regrets, rule, settings
from tests.synthetic import sampling

STEPS = (1, 2, 4, 8, 16, 32)


def evidence(value, se: float = 0.01, seed: int = 0) -> Evidence:
    rows, influences = sampling(value, se=se, seed=seed, steps=STEPS, guidance=(1.0, 2.0))
    return Evidence.of(rows, "kid_effnet", influences)


def saturating(enough: int):
    """Quality that stops growing with steps at `enough`, and then grows with size; guidance 2 is a little worse."""
    return lambda c, steps, guidance: 1000 / min(steps, enough) + 40 / c + 0.5 * guidance


@pytest.mark.parametrize("enough", [4, 8])
def test_the_number_of_steps_that_pay_is_found_and_following_it_costs_nothing(enough):
    found = rule(evidence(saturating(enough)), evidence(saturating(enough), seed=1))
    assert found.steps == enough
    assert found.regret.value == pytest.approx(0, abs=0.01)
    assert found.regret.lo <= found.regret.value <= found.regret.hi


def test_where_steps_are_useless_the_largest_affordable_size_is_taken():
    made = evidence(lambda c, steps, guidance: 1000 / c)
    found = rule(made, made)
    assert found.steps == 1
    assert set(found.table["size"]) == {32}


def test_a_size_that_affords_too_few_steps_is_not_taken():
    made = evidence(saturating(8))
    taken = settings(made, 8, [4.0, 8.0, 16.0, 32.0])
    assert taken["size"].tolist() == [8, 8, 16, 32] and taken["steps"].tolist() == [4, 8, 8, 8]
    assert set(taken["guidance"]) == {1.0}


def test_regret_is_the_excess_over_the_best_within_the_budget():
    made = evidence(lambda c, steps, guidance: 10 / steps + 100 / c, se=1e-9)
    budgets = budgets_between(made, 5)
    taken, best = settings(made, 1, budgets), best_settings(made, budgets)
    spent = regrets(made, taken, best)[:, 0]
    assert (spent >= -1e-9).all() and np.isfinite(spent).all()
    assert regrets(made, best, best) == pytest.approx(0)
    with pytest.raises(ValueError, match="was not evaluated here"):
        regrets(made.where(made.rows["size"] < 32), taken, taken)
    with pytest.raises(ValueError, match="expected step counts that the rows have"):
        rule(made, made, [7])


@pytest.mark.slow
def test_where_all_settings_tie_the_regret_measured_on_others_is_none():
    tie = lambda c, steps, guidance: 50.0
    found = [rule(evidence(tie, 1.0, 2 * i), evidence(tie, 1.0, 2 * i + 1)).regret for i in range(10)]
    assert np.mean([e.value for e in found]) == pytest.approx(0, abs=0.015)
    assert np.mean([e.lo > 0 or e.hi < 0 for e in found]) <= 0.2
