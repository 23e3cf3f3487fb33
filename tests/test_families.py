"""Two families of networks at every budget: on made-up rows whose truth is known, in both directions."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm.statistics import families, verdicts
from ldm.statistics.evidence import Evidence
from tests.synthetic import STEP_COST, sampling

NAMES = ("UNets", "transformers")
WIDTHS = {8: 48, 16: 72, 32: 120}  # partners of equal cost
STEPS = (2, 4, 8, 16)


def two(first, second, *, se: float = 0.05) -> tuple[pd.DataFrame, dict]:
    """Rows of both families, whose truth is first(c, steps, guidance) and second(the partner's c, steps, guidance)."""
    rows, influences = sampling(first, se=se, steps=STEPS)
    others, found = sampling(second, se=se, steps=STEPS, seed=1)
    others = others.assign(c=others["c"].map(WIDTHS), key="t" + others["key"], family=1, profile="laptop-dit")
    both = pd.concat([rows.assign(family=0, profile="laptop-eps"), others], ignore_index=True)
    return both, influences | {f"t{key}": part for key, part in found.items()}


def compared(first, second, **how):
    rows, influences = two(first, second, **how)
    return families.between(Evidence.of(rows, "kid_effnet", influences), NAMES)


def usual(c, steps, guidance):
    return 10 + 40 / steps + 100 / c + guidance


def test_a_family_that_is_better_everywhere_is_said_to_be_in_either_order():
    worse = lambda *setting: 1.3 * usual(*setting)
    one, other = compared(usual, worse), compared(worse, usual)
    assert families.better(one) == "UNets" and families.better(other) == "transformers"
    assert one.shares["UNets"] == pytest.approx(1) and other.shares["transformers"] == pytest.approx(1)
    assert (one.advantage > 0.15).all() and (other.advantage < -0.15).all()


def test_families_that_are_one_are_alike_and_noisy_ones_undecided():
    assert families.better(compared(usual, usual)) == "same"
    assert families.better(compared(usual, usual, se=5)) == families.NEITHER


def test_one_that_needs_more_steps_loses_small_budgets_and_wins_large_ones():
    slow = lambda c, steps, guidance: 5 + 120 / steps + 50 / c + guidance
    found = compared(usual, slow)
    assert found.winners[0] == "UNets" and found.winners[-1] == "transformers"


def test_budgets_are_those_that_both_families_can_use():
    rows, influences = two(usual, usual)
    dearer = rows["family"] == 1
    rows.loc[dearer, "cost"] = 1.5 * rows.loc[dearer, "cost"]
    found = families.between(Evidence.of(rows, "kid_effnet", influences), NAMES)
    least, most = min(STEPS) * STEP_COST[8], max(STEPS) * STEP_COST[32]
    assert found.budgets[0] == 1.5 * least and found.end == most and "forfeit" not in found.winners


def test_a_size_counts_where_its_partner_has_rows():
    rows, _ = two(usual, usual)
    rows = rows[rows["c"] != 120]
    kept = families.with_partners(rows, ((8, 48), (16, 72), (24, 96), (32, 120)))
    assert sorted(kept["c"].unique()) == [8, 16, 48, 72]
    assert families.with_partners(rows[rows["family"] == 0], [(8, 48)]).empty


def test_a_width_that_both_families_have_is_two_models():
    """Of a UNet and a transformer of the same c, each with two trainings, none is pooled with the other."""
    rows, _ = two(usual, lambda *setting: 2 * usual(*setting))
    rows = rows[rows["c"].isin([8, 48])].assign(c=48)
    twins = pd.concat([rows.assign(seed=seed, key=f"{seed}" + rows["key"]) for seed in (0, 1)], ignore_index=True)
    evidence = Evidence.of(twins, "kid_effnet")
    assert len(evidence.rows) == len(rows) and set(evidence.rows["seeds"]) == {2}
    assert evidence.scatter.sd == pytest.approx(0, abs=1e-9) and evidence.scatter.dof == 2


def test_one_family_is_no_comparison():
    rows, influences = two(usual, usual)
    with pytest.raises(ValueError, match="the rows are of one: run the grid for UNets and transformers"):
        families.between(Evidence.of(rows[rows["family"] == 0], "kid_effnet", influences), NAMES)


def agreeing(first, second, **how) -> tuple:
    rows, influences = two(first, second, **how)
    parts = (Evidence.of(rows[rows["family"] == i], "kid_effnet", influences) for i in (0, 1))
    return verdicts.side_by_side(*parts)


def test_both_families_answer_alike_where_size_pays_in_both_and_not_where_it_pays_in_one():
    size = lambda c, steps, guidance: 10 + 2 / steps + 400 / c + guidance  # steps hardly matter, size does
    steps = lambda c, steps, guidance: 10 + 400 / steps + 2 / c + guidance  # and the other way
    scaled = lambda *setting: 2 * size(*setting)  # another family may draw worse and answer alike
    (one, other), shares = agreeing(size, scaled)
    assert shares["agree"] == pytest.approx(1) and one.mean.value == pytest.approx(other.mean.value, abs=0.02)
    (one, other), shares = agreeing(size, steps)
    assert shares["differ"] > 0.5 and other.mean.value > one.mean.value + 0.3
    assert agreeing(size, steps, se=50)[1]["open"] > 0.5


def test_two_families_are_set_side_by_side_at_budgets_that_both_largest_can_use():
    rows, influences = two(usual, usual)
    dearer = rows["family"] == 1
    rows.loc[dearer, "cost"] = 1.5 * rows.loc[dearer, "cost"]
    parts = (Evidence.of(rows[rows["family"] == i], "kid_effnet", influences) for i in (0, 1))
    (one, other), _ = verdicts.side_by_side(*parts)
    assert one.budgets[0] == other.budgets[0] == 1.5 * min(STEPS) * STEP_COST[32]
    assert one.end == other.end == max(STEPS) * STEP_COST[32]
