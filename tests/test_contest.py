"""Smaller against larger at every budget, and the scatter of trainings: on made-up rows whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ldm.figures import contest as figures
from ldm.statistics import verdicts
from ldm.statistics.bootstrap import lower_is_better
from ldm.statistics.contest import COUNTED, agreement, contest, stretches, up_to
from ldm.statistics.evidence import Evidence
from ldm.statistics.refusal import NotAsked
from ldm.statistics.scatter import scatter_by_steps, scatter_of, training_scatter
from ldm.study import confounders
from tests.synthetic import STEP_COST, sampling

STEPS = (1, 2, 4, 8, 16, 32)


def crossing(c, steps, guidance):
    """Steps pay up to eight, and size after that."""
    return 100 / min(steps, 8) + 400 / c


def trained(value, seeds: int, scatter: float, *, se: float = 0.2, luck: int = 0, **options):
    """Rows of several trainings a size, each of which is off by a factor of its own at all settings."""
    rng = np.random.default_rng(luck)
    parts, influences = [], {}
    for seed in range(seeds):
        lucky = {c: 1 + scatter * rng.standard_normal() for c in STEP_COST}
        rows, found = sampling(
            lambda c, steps, guidance, lucky=lucky: value(c, steps, guidance) * lucky[c],
            se=se,
            seed=1000 * luck + seed,
            **options,
        )
        parts.append(rows.assign(seed=seed, key=f"{seed}/" + rows["key"]))
        influences |= {f"{seed}/{key}": part for key, part in found.items()}
    return pd.concat(parts, ignore_index=True), influences


def test_shares_of_doublings_are_those_of_the_truth():
    """c = 32 costs four times c = 8. Up to its four steps c = 8 has more steps that pay; from eight on c = 32 wins."""
    rows, influences = sampling(crossing, se=0.01, steps=STEPS, guidance=(1.0,))
    found = contest(Evidence.of(rows[rows["c"] != 16], "kid_effnet", influences), start=2.0, end=128.0)
    table = found.table().set_index("from")["winner"]
    assert table[2.0] == "forfeit" and table[4.0] == "smaller" and table[32.0] == table[64.0] == "largest"
    assert sum(found.shares.values()) == pytest.approx(1) and found.shares["forfeit"] == pytest.approx(1 / 6)
    assert found.at(5.0) == "smaller" and found.at(127.0) == "largest"
    assert found.best[0] == 8 and found.best[-1] == 32


def test_stretches_are_counted_in_steps_that_the_largest_affords():
    """Equal price by the truth: 8 steps of c = 8 cost two of c = 32; c = 32 in eight steps is better than all."""
    rows, influences = sampling(crossing, se=0.01, steps=STEPS, guidance=(1.0,))
    found = contest(Evidence.of(rows[rows["c"] != 16], "kid_effnet", influences), start=2.0, end=128.0)
    counted = stretches(found, STEP_COST[32])
    assert counted[0][:2] == ("smaller", 1) and counted[-1] == ("largest", counted[-1][1], 32)
    assert [one[1] for one in counted[1:]] == [one[2] + 1 for one in counted[:-1]], "without a gap"
    assert all(winner == found.at(STEP_COST[32] * (first + 0.5)) for winner, first, _ in counted[:-1])


def test_budgets_begin_at_four_steps_of_the_smallest_and_end_at_the_largest_ones_most():
    rows, influences = sampling(crossing, steps=STEPS, guidance=(1.0,))
    found = contest(Evidence.of(rows, "kid_effnet", influences))
    assert found.budgets[0] == 4 * STEP_COST[8] and found.end == 32 * STEP_COST[32]
    assert found.doublings.sum() == pytest.approx(np.log2(32))


def test_the_band_holds_the_truth_at_all_budgets_at_once():
    true = contest(Evidence.of(*sampling(crossing, se=1e-6, steps=STEPS, guidance=(1.0,))[:1], "kid_effnet"))
    held = []
    for seed in range(60):
        rows, influences = sampling(crossing, se=1.0, steps=STEPS, guidance=(1.0,), seed=seed)
        found = contest(Evidence.of(rows, "kid_effnet", influences))
        held.append(bool(((found.lo <= true.advantage) & (true.advantage <= found.hi)).all()))
    assert np.mean(held) >= 0.85


def test_evaluations_counted_charge_guidance_twice():
    """With guidance free c = 8 buys its quality; where each guided step counts twice, nobody can afford it."""
    rows, influences = sampling(crossing, steps=STEPS, guidance=(1.0, 2.0))
    rows = rows.assign(gflops=rows["cost"] / rows["steps"], nfe=rows["steps"] * rows["guidance"].astype(int))
    found = contest(Evidence.of(rows, "kid_effnet", influences), unit=COUNTED)
    assert found.budgets[0] == 4 * STEP_COST[8] and found.end == 2 * 32 * STEP_COST[32]
    with pytest.raises(ValueError, match="unit = 'seconds': expected 'cost'"):
        contest(Evidence.of(rows, "kid_effnet", influences), unit="seconds")


def test_small_budgets_of_evaluations_begin_at_guided_steps_where_asked():
    rows, influences = sampling(crossing, steps=STEPS, guidance=(1.0, 2.0))
    rows = rows.assign(gflops=rows["cost"] / rows["steps"], nfe=rows["steps"] * rows["guidance"].astype(int))
    evidence = Evidence.of(rows, "kid_effnet", influences)
    any_step, guided = (
        verdicts.small_budgets(evidence, fewest=4, unit=COUNTED, guided=which) for which in (False, True)
    )
    assert (any_step.budgets[0], guided.budgets[0]) == (4 * STEP_COST[32], 2 * 4 * STEP_COST[32])
    alone = evidence.where(evidence.rows["guidance"] == 1)
    with pytest.raises(ValueError, match="4 or more guided steps"):
        verdicts.small_budgets(alone, fewest=4, unit=COUNTED, guided=True)


def test_a_contest_up_to_four_steps_of_the_largest_ends_there():
    rows, influences = sampling(crossing, steps=STEPS, guidance=(1.0,))
    evidence = Evidence.of(rows, "kid_effnet", influences)
    found = up_to(evidence, 4)
    assert (found.budgets[0], found.end) == (4 * STEP_COST[8], 4 * STEP_COST[32])
    assert up_to(evidence, 5) is None  # c = 32 was not drawn in so many
    few = (evidence.rows["size"] == 32) & (evidence.rows["steps"] == 4) | (evidence.rows["steps"] == 32)
    assert up_to(evidence.where(few), 4) is None  # the smaller ones cost more


def test_luck_among_many_tied_settings_makes_no_finding():
    """All settings of both sides are truly equal, and the smaller models have most of them: one in forty may err."""
    tie = lambda c, steps, guidance: 50.0
    made = [
        swapped(sampling(tie, se=3.0, steps=STEPS, guidance=(1.0, 2.0), seed=seed, shared=0.4)) for seed in range(60)
    ]
    found = [contest(Evidence.of(*one), start=4.0, end=16.0) for one in made]
    assert np.mean([(one.lo > 0).any() for one in found]) <= 0.1
    assert np.mean([(one.hi < 0).any() for one in found]) <= 0.1
    assert np.mean([one.mean.lo > 0 or one.mean.hi < 0 for one in found]) <= 0.12


def test_answers_with_other_names_whose_bands_overlap_do_not_differ():
    """3 % is within the margin, and whether a band ends below 5 % or above is luck."""
    small = lambda c, steps, guidance: 100.0 if c == 32 else 97.0
    made = [
        contest(Evidence.of(*swapped(sampling(small, se=0.7, steps=STEPS, guidance=(1.0,), seed=seed, shared=0.4))))
        for seed in range(12)
    ]
    assert max(agreement(one, other)["differ"] for one, other in zip(made[::2], made[1::2], strict=True)) == 0


def test_samplers_that_end_alike_agree_and_forfeits_do_not_count():
    evidence = [
        Evidence.of(*sampling(value, se=0.01, steps=STEPS, guidance=(1.0,))[:1], "kid_effnet")
        for value in (crossing, lambda c, steps, guidance: 1000 / c)
    ]
    one, other = (contest(part, start=2.0) for part in evidence)
    assert agreement(one, one) == {"agree": 1.0, "differ": 0.0, "open": 0.0}
    assert 0.2 < agreement(one, other)["differ"] < 0.8


def test_the_scatter_of_trainings_is_found_and_pooled_over_sizes():
    found = [
        training_scatter(trained(crossing, 3, 0.1, luck=luck)[0].assign(size=lambda r: r["c"])) for luck in range(40)
    ]
    assert {spread.dof for spread in found} == {6}
    assert np.sqrt(np.mean([spread.sd**2 for spread in found])) == pytest.approx(0.1, rel=0.15)
    assert training_scatter(sampling(crossing)[0].assign(size=8)) is None


@pytest.mark.slow
def test_replicates_of_pooled_seeds_scatter_as_new_trainings_would():
    """The interval of a mean of three trainings holds the truth about as often as it says."""
    held = []
    for luck in range(60):
        evidence = Evidence.of(*swapped(trained(crossing, 3, 0.1, luck=luck)))
        row = int(np.flatnonzero((evidence.rows["size"] == 16) & (evidence.rows["steps"] == 8))[0])
        lo, hi = np.quantile(evidence.replicates[row], [0.025, 0.975])
        held.append(lo <= crossing(16, 8, 1) <= hi)
        assert set(evidence.rows["seeds"]) == {3} and len(evidence.rows) == 3 * 4 * 3
    assert 0.87 <= np.mean(held) <= 1


def swapped(made):
    rows, influences = made
    return rows, "kid_effnet", influences


def test_rows_of_two_n_are_not_taken_for_trainings():
    rows, influences = trained(crossing, 2, 0.1)
    twice = pd.concat([rows, rows.assign(n=1024, key="b" + rows["key"])])
    with pytest.raises(ValueError, match="pass the rows of one n alone"):
        Evidence.of(twice, "kid_effnet", influences)


def test_values_near_zero_do_not_blow_up_the_scatter_of_trainings():
    near_zero = lambda c, steps, guidance: {1: 90.0, 2: 10.0, 4: 1.0, 8: 0.5}[steps]
    found = [trained(near_zero, 3, 0.05, se=1.0, luck=luck, steps=(1, 2, 4, 8))[0] for luck in range(20)]
    assert max(training_scatter(rows.assign(size=rows["c"])).sd for rows in found) < 0.15
    at_zero = found[0].assign(size=found[0]["c"], value=0.0)
    assert np.isfinite([one.sd for one in scatter_by_steps(at_zero).values()]).all()


def test_a_setting_that_one_training_lacks_is_left_out():
    rows, influences = trained(crossing, 2, 0.1)
    lacking = (rows["seed"] == 1) & (rows["c"] == 8) & (rows["steps"] == 2)
    evidence = Evidence.of(rows[~lacking], "kid_effnet", influences)
    assert not ((evidence.rows["size"] == 8) & (evidence.rows["steps"] == 2)).any()
    assert ((evidence.rows["size"] == 16) & (evidence.rows["steps"] == 2)).any()


@pytest.mark.slow
def test_one_lucky_training_does_not_make_a_finding():
    """Sizes tie and trainings scatter by a tenth: of verdicts from three trainings a size hardly any is sure."""
    tie = lambda c, steps, guidance: 100.0
    made = [swapped(trained(tie, 3, 0.1, luck=luck, steps=STEPS, guidance=(1.0,))) for luck in range(40)]
    answers = [verdicts.f3(*one, margin=0).answer for one in made]
    assert np.mean([answer != "undecided" for answer in answers]) <= 0.15
    alone = [verdicts.f3(rows[rows["seed"] == 0], metric, i, margin=0) for rows, metric, i in made]
    assert np.mean([verdict.answer != "undecided" for verdict in alone]) > 0.5
    assert "so the interval does not cover training again" in alone[0].asked


def test_a_scatter_known_from_two_trainings_widens_the_band_and_leaves_the_advantage():
    """Student's tails of one degree of freedom have no variance: it would be in the advantage's unit."""
    rows, influences = trained(crossing, 2, 0.2, steps=STEPS, guidance=(1.0,))
    twice = rows[(rows["seed"] == 0) | (rows["c"] == 8)]
    evidence = Evidence.of(twice, "kid_effnet", influences)
    assert evidence.scatter.dof == 1
    found = contest(evidence)
    within = evidence.rows[evidence.rows["cost"] <= found.budgets[-1]]
    small, big = (within.loc[(within["size"] == 32) == largest, "value"].min() for largest in (False, True))
    assert found.advantage[-1] == pytest.approx((big - small) / big)
    once = contest(Evidence.of(twice[twice["seed"] == 0], "kid_effnet", influences))
    assert found.hi[-1] - found.lo[-1] > 3 * (once.hi[-1] - once.lo[-1])


def test_scatter_by_steps_is_that_of_the_best_settings_and_widens_where_trainings_differ():
    """Trainings differ by nothing in one step and by a tenth from two on; with guidance values are large and alike."""
    value = lambda c, steps, guidance: 100.0 if guidance == 1 else 1000.0
    rows, influences = trained(value, 3, 0.0, se=1e-6, steps=STEPS, guidance=(1.0, 2.0))
    off = {seed: 1 + 0.1 * (seed - 1) for seed in range(3)}
    moved = rows["seed"].map(off).where((rows["steps"] > 1) & (rows["guidance"] == 1), 1.0)
    for name in ("value", "lo", "hi"):
        rows[name] = rows[name] * moved
    known = scatter_by_steps(lower_is_better(rows, "kid_effnet"))
    assert known[1].sd == pytest.approx(0, abs=1e-6) and {one.dof for one in known.values()} == {6}
    assert [known[steps].sd for steps in STEPS[1:]] == pytest.approx([0.1] * 5, rel=1e-3)
    one, steps, none = (Evidence.of(rows, "kid_effnet", influences, luck=luck) for luck in ("one", "steps", "none"))
    assert one.scatter.sd < 0.02 and "0.0% to 10.0%" in steps.spread and none.scatter is None
    width = lambda evidence, steps: float(np.mean(evidence.sd(evidence.replicates)[evidence.rows["steps"] == steps]))
    assert width(steps, 8) > 3 * width(one, 8) > width(none, 8) and width(steps, 1) < 0.01
    assert verdicts.f3(rows, "kid_effnet", influences, luck="none").effect.n == rows["n"].min()


def test_scatter_by_steps_leaves_out_sizes_with_one_training():
    rows, _ = trained(crossing, 2, 0.2, steps=STEPS, guidance=(1.0,))
    rows = lower_is_better(rows, "kid_effnet")
    twice, eight = rows[(rows["seed"] == 0) | (rows["size"] == 8)], rows[rows["size"] == 8]
    assert scatter_by_steps(twice) == scatter_by_steps(eight)
    assert scatter_by_steps(rows[rows["seed"] == 0]) == {}


def test_values_that_are_not_drawn_in_steps_scatter_by_one_share():
    """Held-out losses have no steps: their trainings differ by one share, which every row takes."""
    rows, _ = trained(crossing, 3, 0.1, steps=(8,), guidance=(1.0,))
    losses = lower_is_better(rows, "kid_effnet")
    for without in (losses.assign(steps=np.nan), losses.drop(columns="steps")):
        known = scatter_of(without)
        assert known == training_scatter(without) and (known.at(without) == known.sd).all()


def test_f3_is_asked_with_the_luck_of_training_counted_in_three_ways():
    rows, influences = trained(crossing, 3, 0.1, steps=STEPS, guidance=(1.0,))
    table = figures.by_luck(rows, ["kid_effnet"], lambda part, metric: influences)
    assert table["steps"].tolist() == ["all", "4 and more"] * 3 and table["the luck of training"].nunique() == 3
    verdict = verdicts.f3(rows, "kid_effnet", influences)
    assert table["kid_effnet"][4] == f"**{verdict.answer}** {verdict.effect:+.0%}", "the rule's is the verdict's"
    apart = [float(str(text).split("[")[1].split("%")[0]) for text in table["kid_effnet"][[0, 2, 4]]]
    assert apart[0] > max(apart[1:]), "without luck it is surer"
    lines = confounders.scatter(rows, ["kid_effnet"])
    assert lines["c"].tolist() == [8, 16, 32] and list(lines.columns[2:]) == [f"{steps} steps" for steps in STEPS]
    assert confounders.scatter(rows[rows["seed"] == 0], ["kid_effnet"]).empty


def test_a_step_count_known_from_fewer_trainings_has_wider_tails():
    """One size alone was drawn in two steps, by two trainings; three sizes in eight, by three trainings each."""
    level = lambda c, steps, guidance: 100.0
    rows, influences = trained(level, 3, 0.1, se=1e-3, steps=(2, 8), guidance=(1.0,))
    few = rows[(rows["steps"] == 8) | ((rows["c"] == 8) & (rows["seed"] < 2))]
    two, eight = (few[few["steps"] == steps] for steps in (2, 8))
    known = scatter_by_steps(lower_is_better(pd.concat([two, eight[eight["c"] != 8]]), "kid_effnet"))
    assert {steps: one.dof for steps, one in known.items()} == {2: 1, 8: 4}
    evidence = Evidence.of(pd.concat([two, eight[eight["c"] != 8]]), "kid_effnet", influences)
    noise = np.abs(evidence.replicates - evidence.values[:, None])
    tail = np.quantile(noise, 0.995, axis=1) / np.quantile(noise, 0.5, axis=1)
    assert tail[evidence.rows["steps"] == 2].min() > 2 * tail[evidence.rows["steps"] == 8].max()


def test_lengths_of_one_training_are_no_trainings():
    level = lambda c, steps, guidance: 100.0
    rows, _ = trained(level, 3, 0.1, steps=(8,), guidance=(1.0,))
    lengths = pd.concat([rows.assign(images_seen=images) for images in (1_000, 2_000, 4_000)])
    [known] = scatter_by_steps(lower_is_better(lengths, "kid_effnet")).values()
    assert known.dof == training_scatter(lower_is_better(lengths, "kid_effnet")).dof == 6


def test_two_rows_of_one_setting_are_refused_with_one_training_too():
    rows, influences = trained(lambda c, steps, guidance: 100.0, 1, 0.0)
    with pytest.raises(ValueError, match="Two rows are of one setting and training") as caught:
        Evidence.of(pd.concat([rows, rows.assign(key="again")]), "kid_effnet", influences)
    assert not isinstance(caught.value, NotAsked), "a page stops at it"


def test_levers_are_settings():
    rows, _ = trained(crossing, 2, 0.1, steps=(8,), guidance=(1.0,))
    both = pd.concat([rows.assign(lever=lever, dose="") for lever in ("plain", "interval")], ignore_index=True)
    both["key"] = both["key"] + both["lever"]
    found = Evidence.of(both, "kid_effnet").rows
    assert found.groupby("size")["lever"].nunique().eq(2).all() and set(found["seeds"]) == {2}
