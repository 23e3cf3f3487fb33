"""Two families of networks at every budget: on made-up rows whose truth is known, in both directions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.networks.cost import PASSES
from ldm.statistics import families, verdicts
from ldm.statistics.bands import Bands
from ldm.statistics.evidence import Evidence
from ldm.statistics.isoflop import at_budgets
from tests.synthetic import STEP_COST, sampling

NAMES = ("UNets", "transformers")
WIDTHS = {8: 48, 16: 72, 32: 120}  # partners of equal cost
STEPS = (2, 4, 8, 16)
ROW = {"key": "a", "profile": "p", "metric": "denoising", "protocol": "synthetic", "c": 8, "gflops": 1.0} | dict(
    params=1e6, value=1.0, lo=0.9, hi=1.1, n=64
)


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


LENGTHS = tuple(20_000 * 2**i for i in range(6))


def trained(first, second, *, dearer: float = 1.0, se: float = 1e-4) -> Bands:
    """The comparison by training: losses first(FLOPs) and second(FLOPs) of three sizes each, at six lengths."""
    rng, rows = np.random.default_rng(0), []
    for family, (loss, factor) in enumerate([(first, 1.0), (second, dearer)]):
        for unet, width in WIDTHS.items():
            for images in LENGTHS:
                gflops = factor * unet**2 * 1e-4
                value = loss(gflops * 1e9 * PASSES * images) * (1 + 0.02 * (unet == 8)) + se * rng.standard_normal()
                rows.append(
                    {
                        "key": f"{family}-{unet}-{images}",
                        "profile": NAMES[family],
                        "family": family,
                        "metric": "denoising",
                        "protocol": "synthetic",
                        "c": (unet, width)[family],
                        "gflops": gflops,
                        "params": 1e6,
                        "images_seen": images,
                        "value": value,
                        "lo": value - 1.96 * se,
                        "hi": value + 1.96 * se,
                        "n": 1024,
                    }
                )
    return families.by_training(Evidence.of(pd.DataFrame(rows), "denoising"), NAMES)


def law(flops):
    return 0.05 + 3 * flops**-0.12


def test_at_equal_training_compute_the_better_family_is_found_in_either_order_and_a_crossing_seen():
    worse = lambda flops: 1.2 * law(flops)
    one, other = trained(law, worse), trained(worse, law)
    assert families.better(one) == "UNets" and families.better(other) == "transformers"
    assert one.advantage == pytest.approx(1 - 1 / 1.2, abs=0.01)
    steep = lambda flops: law(flops) * (flops / 3e13) ** -0.2
    crossing = trained(law, steep)
    assert crossing.winners[0] == "UNets" and crossing.winners[-1] == "transformers"


@pytest.mark.parametrize("dearer", [1.0, 1.15, 0.8])
def test_families_of_one_law_are_alike_at_every_training_budget_whatever_a_length_costs(dearer):
    found = trained(law, law, dearer=dearer)
    assert found.shares["same"] == pytest.approx(1)
    cheapest, dearest = (c**2 * 1e5 * PASSES * images for c, images in ((8, LENGTHS[0]), (32, LENGTHS[-1])))
    assert found.budgets[0] == pytest.approx(max(1, dearer) * cheapest)
    assert found.end == pytest.approx(min(1, dearer) * dearest)


def test_a_training_budget_that_no_curve_holds_is_refused():
    rows = pd.DataFrame([{**ROW, "images_seen": images, "key": f"{images}"} for images in (20_000, 40_000)])
    with pytest.raises(ValueError, match="two training lengths with one of these budgets between them"):
        at_budgets(Evidence.of(rows, "denoising"), np.array([1e9]))


def test_a_network_with_one_length_is_named_and_not_left_out_unsaid():
    with pytest.raises(ValueError, match="was measured after one length of training alone"):
        at_budgets(Evidence.of(pd.DataFrame([{**ROW, "images_seen": 20_000}]), "denoising"), np.array([1e9]))


def test_families_without_a_budget_in_common_are_no_comparison():
    rows, influences = two(usual, usual)
    rows.loc[rows["family"] == 1, "cost"] += 1e6
    with pytest.raises(ValueError, match="The UNets and the transformers have no range of budgets in common"):
        families.between(Evidence.of(rows, "kid_effnet", influences), NAMES)
